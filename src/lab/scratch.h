/* Folders of our own outside the run's: a media driver's shared memory, a remote node's files. Each is held by a lock
 * that the kernel lets go with its last holder, however that ends: so what a killed run left behind is known for sure,
 * and the next one removes it. */
#ifndef TSPI_LAB_SCRATCH_H
#define TSPI_LAB_SCRATCH_H

#include <stddef.h>

#include "truespan/base.h"

/* Make BASE/PREFIXxxxxxx for this user alone, and lock it. ret_lock_fd (close-on-exec) holds the lock, as do copies of
 * it in children; the last close gives it up. */
tsp_status tspi_scratch_make(const char *base, const char *prefix, char *ret_folder, size_t size, int *ret_lock_fd,
                             tsp_error *err);

/* Remove a folder and all in it; "" is none. */
void tspi_scratch_remove(const char *folder);

/* Remove this user's folders BASE/PREFIX* whose lock nobody holds. Returns how many. */
unsigned tspi_scratch_sweep(const char *base, const char *prefix);

#endif
