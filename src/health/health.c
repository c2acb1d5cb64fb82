#include "health/health.h"

#include <stdlib.h>
#include <string.h>

#define STEPS_A_WINDOW 30
#define POINTS_MAX 10000
#define RING_MAX 100000

typedef struct {
    uint64_t hops, violations;
} bucket;

static tsp_status check_options(const tspi_health_options *options, int64_t *ret_window, int64_t *ret_step,
                                tsp_error *err)
{
    int64_t window = options && options->window_ns ? options->window_ns : TSPI_HEALTH_WINDOW_NS;
    int64_t step = options && options->step_ns ? options->step_ns : window / STEPS_A_WINDOW;

    if (window < 1000 || step < 1 || step > window)
        return tsp_error_set(err, TSP_EINVAL, "a health window needs at least 1us and a step no longer than itself");
    *ret_window = window;
    *ret_step = step;
    return TSP_OK;
}

static tspi_health_point point_of(int64_t at_ns, bucket sum)
{
    return (tspi_health_point){at_ns, sum.hops, sum.violations, sum.violations == 0,
                               sum.hops ? (double)sum.violations / (double)sum.hops : 0.0};
}

typedef struct {
    bool with_soft;
    int64_t first_ns, last_ns; /* received stamps; first > last: none */
    int64_t step_ns;
    bucket *buckets; /* owned; bucket k holds [first + k step, first + (k + 1) step) */
    size_t n;
} series;

static bool counts(const series *s, const tspi_hop *hop)
{
    return !hop->same_clock && (s->with_soft || hop->kind == TSPI_HOP_HARD);
}

static tsp_status find_range(void *ctx, const tspi_hop *hops, size_t n, tsp_error *err)
{
    series *s = ctx;

    (void)err;
    for (size_t k = 0; k < n; k++) {
        if (!counts(s, &hops[k]))
            continue;
        if (hops[k].received_ns < s->first_ns)
            s->first_ns = hops[k].received_ns;
        if (hops[k].received_ns > s->last_ns)
            s->last_ns = hops[k].received_ns;
    }
    return TSP_OK;
}

static tsp_status fill(void *ctx, const tspi_hop *hops, size_t n, tsp_error *err)
{
    series *s = ctx;

    (void)err;
    for (size_t k = 0; k < n; k++) {
        if (!counts(s, &hops[k]))
            continue;
        bucket *b = &s->buckets[(hops[k].received_ns - s->first_ns) / s->step_ns];
        b->hops++;
        b->violations += tspi_hop_is_violation(&hops[k]);
    }
    return TSP_OK;
}

static tsp_status roll(const series *s, size_t window_steps, tspi_health_point **ret_points, tsp_error *err)
{
    tspi_health_point *points = malloc(s->n * sizeof *points);
    bucket sum = {0};

    if (!points)
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by %zu health points", s->n);
    for (size_t k = 0; k < s->n; k++) {
        sum.hops += s->buckets[k].hops;
        sum.violations += s->buckets[k].violations;
        if (k >= window_steps) {
            sum.hops -= s->buckets[k - window_steps].hops;
            sum.violations -= s->buckets[k - window_steps].violations;
        }
        int64_t at_ns; /* the last step may end beyond all time */
        if (__builtin_mul_overflow((int64_t)(k + 1), s->step_ns, &at_ns) ||
            __builtin_add_overflow(at_ns, s->first_ns, &at_ns))
            at_ns = INT64_MAX;
        points[k] = point_of(at_ns, sum);
    }
    *ret_points = points;
    return TSP_OK;
}

tsp_status tspi_health_measure(const tspi_join *join, const tspi_health_options *options,
                               tspi_health_point **ret_points, size_t *ret_n, tsp_error *err)
{
    series s = {.with_soft = options && options->with_soft, .first_ns = INT64_MAX, .last_ns = INT64_MIN};
    int64_t window_ns;
    tsp_status rc = check_options(options, &window_ns, &s.step_ns, err);

    *ret_points = NULL;
    *ret_n = 0;
    if (rc != TSP_OK || (rc = tspi_hops_scan(join, find_range, &s, err)) != TSP_OK || s.first_ns > s.last_ns)
        return rc;
    int64_t range = s.last_ns - s.first_ns;
    if (range / s.step_ns >= POINTS_MAX)
        s.step_ns = range / POINTS_MAX + 1;
    s.n = (size_t)(range / s.step_ns) + 1;
    s.buckets = calloc(s.n, sizeof *s.buckets);
    if (!s.buckets)
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by %zu health windows", s.n);
    size_t window_steps = (size_t)(window_ns / s.step_ns);
    rc = tspi_hops_scan(join, fill, &s, err);
    if (rc == TSP_OK)
        rc = roll(&s, window_steps ? window_steps : 1, ret_points, err);
    if (rc == TSP_OK)
        *ret_n = s.n;
    free(s.buckets);
    return rc;
}

struct tspi_health_ring {
    int64_t step_ns;
    int64_t newest; /* number of the newest step; bucket of step k is buckets[k % n] */
    bool any;
    bucket *buckets;
    size_t n;
};

tsp_status tspi_health_ring_new(const tspi_health_options *options, tspi_health_ring **ret_ring, tsp_error *err)
{
    int64_t window_ns, step_ns;
    tsp_status rc = check_options(options, &window_ns, &step_ns, err);

    if (rc != TSP_OK)
        return rc;
    if (window_ns / step_ns > RING_MAX)
        return tsp_error_set(err, TSP_EINVAL, "a health window has at most %d steps", RING_MAX);
    tspi_health_ring *ring = calloc(1, sizeof *ring);
    if (ring) {
        ring->n = (size_t)(window_ns / step_ns);
        ring->step_ns = step_ns;
        ring->buckets = calloc(ring->n, sizeof *ring->buckets);
    }
    if (!ring || !ring->buckets) {
        free(ring);
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by a health window");
    }
    *ret_ring = ring;
    return TSP_OK;
}

void tspi_health_ring_free(tspi_health_ring *ring)
{
    if (!ring)
        return;
    free(ring->buckets);
    free(ring);
}

static int64_t step_of(const tspi_health_ring *ring, int64_t ns)
{
    return ns / ring->step_ns - (ns % ring->step_ns < 0);
}

static bucket *bucket_of(tspi_health_ring *ring, int64_t step)
{
    int64_t n = (int64_t)ring->n;
    return &ring->buckets[((step % n) + n) % n];
}

/* Make step the newest, forgetting what falls out of the window. */
static void advance(tspi_health_ring *ring, int64_t step)
{
    if (!ring->any || step - ring->newest >= (int64_t)ring->n)
        memset(ring->buckets, 0, ring->n * sizeof *ring->buckets);
    else
        for (int64_t k = ring->newest + 1; k <= step; k++)
            *bucket_of(ring, k) = (bucket){0};
    ring->newest = step;
    ring->any = true;
}

void tspi_health_ring_add(tspi_health_ring *ring, int64_t received_ns, bool violation)
{
    int64_t step = step_of(ring, received_ns);

    if (!ring->any || step > ring->newest)
        advance(ring, step);
    if (step <= ring->newest - (int64_t)ring->n)
        return;
    bucket *b = bucket_of(ring, step);
    b->hops++;
    b->violations += violation;
}

tspi_health_point tspi_health_ring_at(tspi_health_ring *ring, int64_t now_ns)
{
    bucket sum = {0};
    int64_t step = step_of(ring, now_ns);

    if (!ring->any || step > ring->newest)
        advance(ring, step);
    for (size_t k = 0; k < ring->n; k++) {
        sum.hops += ring->buckets[k].hops;
        sum.violations += ring->buckets[k].violations;
    }
    int64_t newest_ns = ring->newest * ring->step_ns;
    return point_of(now_ns > newest_ns ? now_ns : newest_ns, sum);
}
