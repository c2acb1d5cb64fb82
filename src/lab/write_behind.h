/* Writing files while the work goes on: a thread of its own makes and writes what it is given. For the simulator, where
 * text and files cost more than simulating. Whoever gives faster than the thread can write takes a hand in it. */
#ifndef TSPI_LAB_WRITE_BEHIND_H
#define TSPI_LAB_WRITE_BEHIND_H

#include "base/buf.h"

typedef struct tspi_write_behind tspi_write_behind;
struct tspi_write_chunk;

/* One who gives. His chunks are written in their order and never two at once, on whatever thread. */
typedef struct tspi_write_lane {
    /* Write a chunk: bytes of the giver's own form, which may be changed. ends: nothing comes behind it for now.
     * scratch: two empty buffers, the same for all lanes, so that they stay in a processor's cache. */
    tsp_status (*write)(struct tspi_write_lane *lane, tspi_buf *chunk, bool ends, tspi_buf scratch[2], tsp_error *err);
    /* The rest is write_behind.c's; zero it to initialise. */
    struct tspi_write_chunk *first, *last;
    struct tspi_write_lane *next; /* of those with something to write that nobody is writing */
    uint32_t unwritten;           /* chunks, with the one that is being written */
} tspi_write_lane;

/* lanes: about how many there will be. NULL: no memory, or no thread. */
tspi_write_behind *tspi_write_behind_new(uint32_t lanes);
/* Waits for what is under way; NULL is fine. */
void tspi_write_behind_free(tspi_write_behind *behind);

/* Whether so few lanes may well keep their files open. */
bool tspi_write_behind_holds_files(const tspi_write_behind *behind);

/* Write what buf holds, some time later; buf is empty afterwards and may be another memory. lane stays where it is
 * until it is written. Writes here, too, while much is unwritten. */
tsp_status tspi_write_behind_give(tspi_write_behind *behind, tspi_write_lane *lane, tspi_buf *buf, bool ends,
                                  tsp_error *err);

/* Wait until all that a lane gave is written; a lane that gave nothing may have no behind. */
void tspi_write_behind_finish(tspi_write_behind *behind, const tspi_write_lane *lane);

/* Wait until all is written. The first failure since the last drain, if there was one. */
tsp_status tspi_write_behind_drain(tspi_write_behind *behind, tsp_error *err);

#endif
