#include "causal/hops.h"

#include <stdlib.h>
#include <string.h>

#include "causal/hop_walk.h"
#include "causal/windows.h"

typedef struct {
    tspi_hop_sink sink;
    void *ctx;
    tsp_error *err;
    tsp_status rc;
    size_t n;
    tspi_hop run[TSPI_HOP_RUN];
} scanner;

static tsp_status flush(scanner *s)
{
    size_t n = s->n;

    s->n = 0;
    return n ? s->sink(s->ctx, s->run, n, s->err) : TSP_OK;
}

TSPI_INLINED bool take(void *ctx, const tspi_hop *hop)
{
    scanner *s = ctx;

    s->run[s->n++] = *hop;
    return s->n < TSPI_HOP_RUN || (s->rc = flush(s)) == TSP_OK;
}

tsp_status tspi_hops_scan_range(const tspi_join *join, const tspi_hop_range *range, tspi_hop_sink sink, void *ctx,
                                tsp_error *err)
{
    scanner s;

    s.sink = sink;
    s.ctx = ctx;
    s.err = err;
    s.rc = TSP_OK;
    s.n = 0;
    return tspi_hops_walk(join, range, take, &s) ? flush(&s) : s.rc;
}

typedef struct {
    tspi_hop_sink sink;
    void *ctx;
    bool lean;
} taker;

static tsp_status scan_join(void *ctx, const tspi_join *join, tsp_error *err)
{
    const taker *t = ctx;
    tspi_hop_range all = {.spans_end = join->set->spans_n, .links_end = join->set->links_n, .lean = t->lean};

    return tspi_hops_scan_range(join, &all, t->sink, t->ctx, err);
}

tsp_status tspi_hops_scan(const tspi_join *join, tspi_hop_sink sink, void *ctx, tsp_error *err)
{
    return tspi_join_each(join, scan_join, &(taker){sink, ctx, false}, err);
}

tsp_status tspi_hops_scan_lean(const tspi_join *join, tspi_hop_sink sink, void *ctx, tsp_error *err)
{
    return tspi_join_each(join, scan_join, &(taker){sink, ctx, true}, err);
}

typedef struct {
    tspi_hop *hops;
    size_t n, cap;
    bool with_same_clock;
} collector;

static tsp_status collect(void *ctx, const tspi_hop *hops, size_t n, tsp_error *err)
{
    collector *c = ctx;

    if (c->n + n > c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 4096;
        tspi_hop *bigger = realloc(c->hops, cap * sizeof *bigger);
        if (!bigger)
            return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by %zu hops", c->n);
        c->hops = bigger;
        c->cap = cap;
    }
    for (size_t k = 0; k < n; k++)
        if (c->with_same_clock || !hops[k].same_clock)
            c->hops[c->n++] = hops[k];
    return TSP_OK;
}

tsp_status tspi_hops_collect(const tspi_join *join, bool with_same_clock, tspi_hop **ret_hops, size_t *ret_n,
                             tsp_error *err)
{
    collector c = {.with_same_clock = with_same_clock};
    tsp_status rc = tspi_hops_scan(join, collect, &c, err);

    if (rc != TSP_OK) {
        free(c.hops);
        return rc;
    }
    *ret_hops = c.hops;
    *ret_n = c.n;
    return TSP_OK;
}
