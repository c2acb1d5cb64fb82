/* A node on another machine: what it is sent before it starts, where it works there, what it sends back after a block.
 * The conductor runs ssh and speaks the same control lines through it as to a node beside it; files travel between the
 * lines (control.h), so one connection is all it takes. */
#ifndef TSPI_LAB_REMOTE_H
#define TSPI_LAB_REMOTE_H

#include "lab/control.h"
#include "lab/spec.h"

/* ---- the conductor's side */

/* In the child that is to become the node: run ssh towards host. Returns only on failure, errno set. run: unique name
 * of the run, broker: address of the run's own, "" where it needs none. */
void tspi_remote_exec(const tspi_host_spec *host, const char *stage, uint32_t worker, uint16_t port, const char *run,
                      const char *broker);

/* Send spec_path and the spec's prompts file, then "start". */
tsp_status tspi_remote_send_setup(tspi_control *control, const tspi_spec *spec, const char *spec_path, tsp_error *err);

/* Take the file behind the line "file NAME BYTES" of a node called node into folder, where only that node's own files
 * of a run are accepted. meanwhile: tspi_control_recv_file. */
tsp_status tspi_remote_take_file(tspi_control *control, const char *line, const char *node, const char *folder,
                                 void (*meanwhile)(void *ctx), void *ctx, tsp_error *err);

/* ---- the node's side */

/* Where a node works there. A zeroed one is none. */
typedef struct {
    char folder[4096]; /* holds spec.yaml, perhaps prompts.txt, and block/, in which a block leaves its files */
    int lock_fd;       /* scratch.h */
} tspi_remote_place;

/* Say the version, make a private folder, receive the files up to "start". */
tsp_status tspi_remote_receive_setup(tspi_control *control, tspi_remote_place *ret_place, tsp_error *err);

/* Send what a block has left for the node, and remove it here. */
tsp_status tspi_remote_send_block_files(tspi_control *control, const char *folder, const char *node, tsp_error *err);

/* Remove the folder and what is in it. */
void tspi_remote_leave(tspi_remote_place *place);

#endif
