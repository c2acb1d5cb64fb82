#include "clock/track.h"

#include <stdlib.h>
#include <string.h>

tsp_track *tspi_track_new(uint32_t pieces, const int64_t *cuts, const size_t *first, const tspi_track_knot *knots)
{
    tsp_track *track = calloc(1, sizeof *track);

    if (!track)
        return NULL;
    track->pieces = pieces;
    track->cuts = malloc((size_t)pieces * sizeof *track->cuts);
    track->first = malloc(((size_t)pieces + 1) * sizeof *track->first);
    track->knots = malloc((first[pieces] + 1) * sizeof *track->knots);
    if (!track->cuts || !track->first || !track->knots) {
        tspi_track_free(track);
        return NULL;
    }
    if (pieces > 1)
        memcpy(track->cuts, cuts, (pieces - 1) * sizeof *cuts);
    memcpy(track->first, first, ((size_t)pieces + 1) * sizeof *first);
    if (first[pieces])
        memcpy(track->knots, knots, first[pieces] * sizeof *knots);
    return track;
}

void tspi_track_free(tsp_track *track)
{
    if (!track)
        return;
    free(track->cuts);
    free(track->first);
    free(track->knots);
    free(track);
}

/* Between two knots, rounded down. */
static int64_t interpolate(const tspi_track_knot *a, const tspi_track_knot *b, int64_t stamp)
{
    int64_t run = b->at - a->at, rise, product;

    if (!__builtin_sub_overflow(b->x, a->x, &rise) && !__builtin_mul_overflow(rise, stamp - a->at, &product))
        return a->x + product / run - (product % run < 0); /* nearly always */
    __int128 wide = ((__int128)b->x - a->x) * (stamp - a->at);
    return a->x + (int64_t)(wide / run - (wide % run < 0));
}

int64_t tspi_track_near(const tsp_track *track, uint32_t piece, int64_t stamp, size_t *hint)
{
    size_t first = track->first[piece], end = track->first[piece + 1], k = *hint;

    if (first == end)
        return 0;
    if (k < first || k >= end)
        k = first;
    while (k > first && track->knots[k].at > stamp)
        k--;
    while (k + 1 < end && track->knots[k + 1].at <= stamp)
        k++;
    *hint = k;
    if (k + 1 == end || track->knots[k].at > stamp)
        return track->knots[k].x;
    return interpolate(&track->knots[k], &track->knots[k + 1], stamp);
}

int64_t tspi_track_piece_offset(const tsp_track *track, uint32_t piece, int64_t stamp)
{
    size_t lo = track->first[piece], hi = track->first[piece + 1], first = lo, end = hi;

    while (lo < hi) { /* the first knot after stamp */
        size_t mid = lo + (hi - lo) / 2;
        if (track->knots[mid].at <= stamp)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (first == end)
        return 0;
    if (lo == first)
        return track->knots[first].x;
    if (lo == end)
        return track->knots[end - 1].x;
    return interpolate(&track->knots[lo - 1], &track->knots[lo], stamp);
}

int64_t tsp_track_offset(const tsp_track *track, int64_t stamp_ns)
{
    uint32_t piece = 0;

    while (piece + 1 < track->pieces && track->cuts[piece] <= stamp_ns)
        piece++;
    return tspi_track_piece_offset(track, piece, stamp_ns);
}

int64_t tsp_track_correct(const tsp_track *track, int64_t stamp_ns)
{
    int64_t corrected;

    if (__builtin_sub_overflow(stamp_ns, tsp_track_offset(track, stamp_ns), &corrected))
        return stamp_ns;
    return corrected;
}
