/* Soft hops join the estimate where they look as clean as the hard ones: where both kinds share an edge, neither's
 * minimum undercuts the other's more often than their numbers explain, and their low tails are alike. */
#include <math.h>
#include <stdlib.h>

#include "solve/constants.h"
#include "solve/estimate.h"
#include "solve/order.h"
#include "solve/room.h"

bool tspi_soft_is_clean(const tspi_fit *fit, bool *ret_clean)
{
    const tspi_hop_store *hops = fit->hops;

    *ret_clean = false;
    if (hops->soft_n < SOFT_LEAST)
        return true;
    double *hard = tspi_room_take(hops->n + 1, sizeof *hard), *soft = tspi_room_take(hops->n + 1, sizeof *soft);
    size_t hard_n = 0, soft_n = 0, edges = 0;
    double under = 0, expected = 0, variance = 0;

    for (size_t e = 0; hard && soft && e < hops->edges_n; e++) {
        const tspi_stored_edge *edge = &hops->edges[e];
        size_t h0 = hard_n, s0 = soft_n;
        double h_min = INFINITY, s_min = INFINITY;
        for (size_t row = edge->first; row < edge->first + edge->n; row++) {
            uint16_t flags = hops->hops[row].flags;
            if (flags & (TSPI_STORED_LATE | TSPI_STORED_AMBIGUOUS | TSPI_STORED_BOUND))
                continue;
            if (flags & TSPI_STORED_SOFT)
                s_min = fmin(s_min, soft[soft_n++] = fit->u[row]);
            else
                h_min = fmin(h_min, hard[hard_n++] = fit->u[row]);
        }
        double nh = (double)(hard_n - h0), ns = (double)(soft_n - s0);
        if (nh == 0 || ns == 0)
            continue;
        edges++;
        under += s_min < h_min;
        expected += ns / (nh + ns);
        variance += nh * ns / ((nh + ns) * (nh + ns));
    }
    if (hard && soft && edges && hard_n >= SOFT_LEAST && soft_n >= SOFT_LEAST) {
        double h_low = tspi_quantile(hard, hard_n, LIE_PART), s_low = tspi_quantile(soft, soft_n, LIE_PART);
        double h_next = tspi_quantile(hard, hard_n, FENCE_STEP * LIE_PART);
        *ret_clean = (under - expected) / sqrt(variance) < SOFT_SIGMA && s_low > h_low - (h_next - h_low);
    }
    bool ok = hard && soft;
    tspi_room_give(hard, hops->n + 1, sizeof *hard);
    tspi_room_give(soft, hops->n + 1, sizeof *soft);
    return ok;
}
