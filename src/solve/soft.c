#include "solve/soft.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"
#include "solve/order.h"

/* P(X <= k) of a binomial, from the bottom up. Exact enough up to n = 10^5; beyond, the normal limit. */
static double binomial_below(uint32_t n, double p, uint32_t k)
{
    double log_term = n * log1p(-p), sum = 0;

    if (n > 100000)
        return 0.5 * erfc((n * p - k - 0.5) / sqrt(2 * n * p * (1 - p)));
    for (uint32_t q = 0; q <= k; q++) {
        sum += exp(log_term);
        log_term += log((double)(n - q) / (q + 1)) + log(p / (1 - p));
    }
    return sum;
}

double tspi_soft_rate(uint32_t calls, uint32_t lies)
{
    double low = 0, high = 1;

    if (lies >= calls)
        return 1;
    for (int round = 0; round < 50; round++) { /* Clopper & Pearson 1934 */
        double p = (low + high) / 2;
        *(binomial_below(calls, p, lies) > 0.05 ? &low : &high) = p;
    }
    return high;
}

uint32_t tspi_soft_quantile(uint32_t n, double rate, double chance)
{
    uint32_t low = 0, high = n;

    if (rate <= 0)
        return 0;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (1 - binomial_below(n, rate, mid) <= chance)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

bool tspi_soft_exceeds(uint32_t n, double rate, double chance, uint32_t many)
{
    return many > n || rate <= 0 || 1 - binomial_below(n, rate, many - 1) <= chance;
}

void tspi_soft_drop_operations(tspi_hop_store *hops)
{
    if (!hops->soft_n)
        return;
    for (size_t row = 0; row < hops->n; row++) {
        tspi_stored_hop *hop = &hops->hops[row];
        const tspi_lies *lies;
        if (!(hop->flags & TSPI_STORED_SOFT))
            continue;
        lies = tspi_hop_store_lies(hops, hop->operation);
        if (lies && lies->calls >= SOFT_CALLS_LEAST && lies->lies > SOFT_LIES_MOST * lies->calls)
            hop->flags |= TSPI_STORED_UNCOUNTED;
    }
}

typedef struct {
    double window, u, rate;
    size_t row;
} soft_hop;

static int by_window(const void *a_, const void *b_)
{
    const soft_hop *a = a_, *b = b_;

    if (a->window != b->window)
        return a->window < b->window ? -1 : 1;
    if (a->u != b->u)
        return a->u < b->u ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

static double rate_of(const tspi_hop_store *hops, uint32_t operation, double usual)
{
    const tspi_lies *lies = tspi_hop_store_lies(hops, operation);

    if (!lies || lies->calls < SOFT_CALLS_LEAST)
        return usual;
    return fmin(tspi_soft_rate(lies->calls, lies->lies), SOFT_LIES_MOST);
}

/* All operations together. */
static double usual_rate(const tspi_hop_store *hops)
{
    uint64_t calls = 0, lies = 0;

    for (size_t k = 0; k < hops->lies_cap; k++)
        if (hops->lies[k].calls) {
            calls += hops->lies[k].calls;
            lies += hops->lies[k].lies;
        }
    if (calls < SOFT_CALLS_LEAST)
        return SOFT_LIES_MOST;
    while (calls > UINT32_MAX) {
        calls /= 2;
        lies /= 2;
    }
    return fmin(tspi_soft_rate((uint32_t)calls, (uint32_t)lies), SOFT_LIES_MOST);
}

static size_t gather(const tspi_fit *fit, const tspi_stored_edge *edge, double window, double usual, soft_hop *soft)
{
    const uint16_t without = TSPI_STORED_LATE | TSPI_STORED_CONFLICT | TSPI_STORED_AMBIGUOUS | TSPI_STORED_UNCOUNTED;
    uint32_t last = 0;
    double rate = -1;
    size_t n = 0;

    for (size_t row = edge->first; row < edge->first + edge->n; row++) {
        const tspi_stored_hop *hop = &fit->hops->hops[row];
        if (!(hop->flags & TSPI_STORED_SOFT) || (hop->flags & without))
            continue;
        if (rate < 0 || hop->operation != last)
            rate = rate_of(fit->hops, last = hop->operation, usual);
        soft[n++] = (soft_hop){floor((fit->t[row] - fit->t_first) / window), fit->u[row], rate, row};
    }
    return n;
}

/* Late answers by unlike amounts: servers that go on after answering. A clock makes them all late by the same: what is
 * late is then further off than answers differ. values: room for n. */
static bool is_uneven(const tspi_fit *fit, const soft_hop *soft, size_t n, double *values)
{
    size_t late = 0;
    double spread;

    for (size_t k = 0; k < n; k++)
        values[k] = soft[k].u;
    spread = tspi_quantile(values, n, 0.75) - tspi_quantile(values, n, 0.25);
    for (size_t k = 0; k < n; k++) {
        int64_t slack = tspi_stored_slack(&fit->hops->hops[soft[k].row]);
        if (slack < 0)
            values[late++] = -(double)slack;
    }
    return late && tspi_median(values, late) < spread;
}

/* Nothing is known of how often these answers lie, and they lie by unlike amounts: then no quorum of them is believed,
 * since any share may lie. */
static bool drop_uneven(const tspi_fit *fit, tspi_hop_store *hops, const soft_hop *soft, size_t n, double *values)
{
    for (size_t k = 0; k < n; k++)
        if (soft[k].rate < SOFT_LIES_MOST)
            return false;
    if (!n || !is_uneven(fit, soft, n, values))
        return false;
    for (size_t k = 0; k < n; k++)
        hops->hops[soft[k].row].flags |= TSPI_STORED_UNCOUNTED;
    return true;
}

bool tspi_soft_quorum(const tspi_fit *fit, tspi_hop_store *hops, uint32_t quorum, double *ret_rate)
{
    double window = fmax(fit->base_window, SOFT_WINDOW_NS), usual = usual_rate(hops);
    size_t most = 0;
    soft_hop *soft;

    *ret_rate = usual;
    for (size_t e = 0; e < hops->edges_n; e++)
        most = hops->edges[e].n > most ? hops->edges[e].n : most;
    soft = malloc((most + 1) * sizeof *soft);
    double *values = malloc((most + 1) * sizeof *values);
    if (!soft || !values) {
        free(soft);
        free(values);
        return false;
    }
    for (size_t e = 0; e < hops->edges_n && quorum != 1; e++) {
        size_t n = gather(fit, &hops->edges[e], window, usual, soft);
        if (!quorum && drop_uneven(fit, hops, soft, n, values))
            continue;
        qsort(soft, n, sizeof *soft, by_window);
        for (size_t first = 0, end; first < n; first = end) {
            double sum = 0;
            for (end = first; end < n && soft[end].window == soft[first].window; end++)
                sum += soft[end].rate;
            /* Of trials with unequal chances, the binomial with their mean has the heavier tail (Hoeffding 1956). */
            uint32_t count = (uint32_t)(end - first);
            size_t drop = quorum ? quorum - 1 : tspi_soft_quantile(count, sum / count, SOFT_CHANCE);
            for (size_t k = first; k < end && k < first + drop; k++)
                hops->hops[soft[k].row].flags |= TSPI_STORED_UNCOUNTED;
        }
    }
    free(values);
    free(soft);
    return true;
}
