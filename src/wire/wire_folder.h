/* Folders: their files in order, many at a time. */
#ifndef TSPI_WIRE_WIRE_FOLDER_H
#define TSPI_WIRE_WIRE_FOLDER_H

#include "wire/wire.h"

tsp_status tspi_read_folder(const char *path, const tspi_wire_options *options, tspi_span_set *set,
                            tspi_read_report *report, tsp_error *err);

/* One file of a folder (wire_path.c). What is no trace is passed over, unless its name says that it is one. With
 * keep_going a file that cannot be read is counted and left out. */
tsp_status tspi_read_member(const char *path, const tspi_wire_options *options, tspi_span_set *set,
                            tspi_read_report *report, tsp_error *err);

#endif
