/* Clocks step. Each step cuts its clock's local time in two; a piece between two cuts is a node, which has its own
 * track and no drift tie to its neighbours. A backward step makes local time double-valued, so a stamp near a cut may
 * choose its side one by one: it is then treated as if it had been written just before or after the cut. */
#ifndef TSPI_SOLVE_SIDES_H
#define TSPI_SOLVE_SIDES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "solve/hop_store.h"

typedef struct {
    uint64_t end;  /* 2 * row of the hop, + 1 for its received stamp */
    int64_t stamp; /* in place of the real one */
} tspi_side;

typedef struct {
    uint32_t clocks;
    uint32_t *first;  /* owned, clocks + 1: cuts first[c] .. first[c + 1] are those of clock c */
    int64_t *cuts;    /* owned; local stamps: one at or after the cut is after the step */
    tspi_side *sides; /* owned, sorted by end: the choices */
    size_t sides_n, sides_cap;
} tspi_sides;

bool tspi_sides_init(tspi_sides *sides, uint32_t clocks);
void tspi_sides_release(tspi_sides *sides);

static inline uint32_t tspi_sides_nodes(const tspi_sides *sides)
{
    return sides->clocks + sides->first[sides->clocks];
}

/* The first node of a clock; nodes of one clock follow each other in local time. */
static inline uint32_t tspi_sides_first(const tspi_sides *sides, uint32_t clock)
{
    return clock + sides->first[clock];
}

static inline uint32_t tspi_sides_node(const tspi_sides *sides, uint32_t clock, int64_t stamp)
{
    uint32_t cut = sides->first[clock], end = sides->first[clock + 1];

    while (cut < end && sides->cuts[cut] <= stamp)
        cut++;
    return clock + cut;
}

/* The nodes in which a hop's stamps were written. */
uint32_t tspi_sides_sent_node(const tspi_sides *sides, const tspi_hop_store *hops, size_t row);
uint32_t tspi_sides_received_node(const tspi_sides *sides, const tspi_hop_store *hops, size_t row);

/* Cut a clock at a local stamp; false: out of memory. The new node is the one after it. */
bool tspi_sides_cut(tspi_sides *sides, uint32_t clock, int64_t cut);
void tspi_sides_uncut(tspi_sides *sides, uint32_t clock, int64_t cut);
/* Move a cut; false: it would pass its neighbours, and stays. */
bool tspi_sides_move(tspi_sides *sides, uint32_t clock, int64_t from, int64_t to);

/* Choices, in any order, replace older ones of the same stamps. Flags in hops are kept. False: out of memory. */
bool tspi_sides_choose(tspi_sides *sides, tspi_hop_store *hops, const tspi_side *choices, size_t n);

/* What stamps chose beside a cut. */
void tspi_sides_forget(tspi_sides *sides, tspi_hop_store *hops, uint32_t clock, int64_t cut);

/* The clock of each node: nodes_n numbers. */
void tspi_sides_clocks(const tspi_sides *sides, uint32_t *ret_clock);

#endif
