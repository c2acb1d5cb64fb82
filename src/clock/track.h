/* A clock's offset over its own time, in whole ns: linear between knots, constant beyond them; cut where the clock
 * stepped. Interpolation is exact (128-bit products) and rounds down, so that correcting a stamp gives the same ns
 * everywhere. */
#ifndef TSPI_CLOCK_TRACK_H
#define TSPI_CLOCK_TRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "truespan/clocks.h"

typedef struct {
    int64_t at, x;
} tspi_track_knot;

struct tsp_track {
    uint32_t pieces;
    int64_t *cuts;          /* owned, pieces - 1: local stamp of each cut; at or after it is after the step */
    size_t *first;          /* owned, pieces + 1 */
    tspi_track_knot *knots; /* owned; ascending `at` within a piece; an empty piece has offset 0 */
};

/* cuts and knots are copied; first has pieces + 1 entries. NULL: out of memory. */
tsp_track *tspi_track_new(uint32_t pieces, const int64_t *cuts, const size_t *first, const tspi_track_knot *knots);
void tspi_track_free(tsp_track *track);

/* The offset of one piece, wherever the stamp lies. */
int64_t tspi_track_piece_offset(const tsp_track *track, uint32_t piece, int64_t stamp);

/* The same for stamps that follow each other: hint is the knot at which the last one was found. */
int64_t tspi_track_near(const tsp_track *track, uint32_t piece, int64_t stamp, size_t *hint);

#endif
