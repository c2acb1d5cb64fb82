/* One way from tracks to stamps: what the hops say (correct_hops.c), what spans become (correct_spans.c), what lying
 * stamps are cut to (clamp.c), what is left (mend_audit.c). correct.c goes it, as often as needed. */
#ifndef TSPI_MEND_CORRECT_H
#define TSPI_MEND_CORRECT_H

#include "mend/mend.h"

/* Beside a step local time is double-valued: a hop knows on which side its stamps lie. */
typedef struct {
    uint32_t span;
    bool is_end;
    int64_t ns; /* corrected */
} tspi_sided;

/* A hop that the solver does not believe, and that is or may be violated: its sent stamp lies. */
typedef struct {
    uint32_t from_span, to_span;
    bool from_end, to_end;
} tspi_lie;

typedef struct {
    tspi_mend *mend;
    uint8_t *broken_groups; /* owned, groups */
    tspi_sided *sides;      /* owned; ascending (span, is_end) */
    size_t sides_n, sides_cap;
    tspi_lie *lies; /* owned */
    size_t lies_n, lies_cap;
    int64_t *least, *most; /* least owned, clocks; most behind it: of each track's offsets */
    size_t *hints;         /* owned, clocks: where its track was read last */
} tspi_correction;

#define NEAR_NS 2000 /* rounding to whole microseconds may still break a hop with as little slack */

/* Which groups are broken, which sides stamps lie on, which stamps lie, which clocks move. TSP_ENOMEM.
 * brief: do without the stamps that lie, where hops need not be gone through to know the rest; no clock steps. */
tsp_status tspi_correct_look(tspi_correction *c, bool brief, tsp_error *err);
void tspi_correct_release(tspi_correction *c);

/* The corrected stamp of one that a hop knows to lie on the other side of a step than its time says; NULL for most. */
const tspi_sided *tspi_correct_side(const tspi_correction *c, uint32_t span, bool is_end);

/* A stamp of a clock that does not step, corrected. */
int64_t tspi_correct_near(const tspi_correction *c, uint32_t clock, int64_t stamp_ns);

/* All spans of clocks that move, as their formats round them; and, when nothing moves any more, events: from their raw
 * stamps, a row each. */
void tspi_correct_spans(const tspi_correction *c);
void tspi_correct_events(tspi_mend *m, const int64_t *raw_at);

/* Lying stamps to the latest time that their hops allow; how many moved. */
uint64_t tspi_correct_clamp(tspi_correction *c);

/* Violations as check would count them: as they were measured, and of what is going to be written. */
void tspi_mend_count(const tspi_causal *causal, tspi_mend_violations *ret);
/* clamped: stamps may have moved on any clock. */
tsp_status tspi_mend_audit(tspi_mend *m, bool clamped, tspi_mend_violations *ret, tsp_error *err);

#endif
