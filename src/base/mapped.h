/* Files as mapped bytes.
 *
 * A file that is cut short while it is mapped kills whoever reads what was cut off (SIGBUS). A program that calls
 * tspi_mapped_guard reads zeros there instead, and learns from tspi_mapped_is_cut that what it has read is worthless.
 * The guard is the program's choice: a library does not take a signal from its host. */
#ifndef TSPI_BASE_MAPPED_H
#define TSPI_BASE_MAPPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero it to initialise: nothing is mapped. */
typedef struct {
    const uint8_t *bytes;
    size_t len;
    unsigned guard; /* 1 + its row among the guarded; 0 = none was free */
} tspi_mapped;

/* The first len bytes of a plain file, for reading from the beginning on. false: it cannot be mapped. */
bool tspi_mapped_open(tspi_mapped *ret, int fd, size_t len);
void tspi_mapped_close(tspi_mapped *mapped);

/* Bytes were missing when they were read. */
bool tspi_mapped_is_cut(const tspi_mapped *mapped);

/* From now on no thread of the process dies of a mapped file that is cut short. For main. */
void tspi_mapped_guard(void);

/* What a file is, and how it stands: when either has changed, it is not what was read. All zeros: no plain file. */
typedef struct {
    uint64_t device, inode;
    int64_t bytes, changed_s, changed_ns;
} tspi_file_mark;
bool tspi_file_mark_of(int fd, tspi_file_mark *ret_mark); /* false: no plain file */
bool tspi_file_mark_is(const tspi_file_mark *mark, int fd);

#endif
