#include "lab/timeline.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "lab/node.h"

/* Without a wish the run is cut into so many stretches. */
enum { STRETCHES = 20 };
/* And never into more. */
enum { STRETCHES_MAX = 10000 };
/* Hops of one such slice of time share what the machine was doing: one cluster of the sample, as in measure.c. */
static const int64_t slice_ns = TSP_NS_PER_S / 2;

bool tspi_timeline_wanted(const tspi_spec *spec)
{
    return spec->experiment.bucket_ns || !tspi_clock_model_is_constant(&spec->clock);
}

bool tspi_timeline_load_changes(const tspi_spec *spec)
{
    return spec->load.phases_n || spec->sim.congestion_n;
}

/* ------------------------------------------------------------------ the truth of a run */

struct row {
    uint64_t span_id; /* 0 = free */
    int64_t start_ns, offset_ns, late_ns;
};

struct truth {
    struct row *rows; /* open addressing; a power of two */
    size_t cap;
};

static struct row *find(const struct truth *truth, uint64_t span_id)
{
    size_t k = tspi_hash_mix(span_id) & (truth->cap - 1);

    while (truth->rows[k].span_id && truth->rows[k].span_id != span_id)
        k = (k + 1) & (truth->cap - 1);
    return &truth->rows[k];
}

/* A line as span_writer.c writes it. */
static bool read_line(const char *line, struct row *row)
{
    const char *late = strstr(line, "\"start_late_ns\":");

    *row = (struct row){0};
    if (sscanf(line, "{\"span_id\":\"%16" SCNx64 "\",\"start\":\"%" SCNd64, &row->span_id, &row->start_ns) != 2)
        return false;
    const char *offset = strstr(line, "\"start_offset_ns\":");
    if (!offset)
        return false;
    row->offset_ns = strtoll(offset + strlen("\"start_offset_ns\":"), NULL, 10);
    row->late_ns = late ? strtoll(late + strlen("\"start_late_ns\":"), NULL, 10) : 0;
    return row->span_id != 0;
}

static tsp_status read_truth(const char *folder, struct truth *truth, tsp_error *err)
{
    char path[4200];
    tspi_buf text = {0};
    size_t lines = 0;

    snprintf(path, sizeof path, "%s/truth.jsonl", folder);
    tsp_status rc = tspi_buf_read_file(&text, path, 0, err);
    if (rc == TSP_OK)
        tspi_buf_putc(&text, '\0');
    if (rc == TSP_OK && !tspi_buf_ok(&text))
        rc = tsp_error_set(err, TSP_ENOMEM, "out of memory for '%s'", path);
    for (size_t k = 0; k < text.len; k++)
        lines += text.data[k] == '\n';
    for (truth->cap = 64; truth->cap < 2 * lines;)
        truth->cap *= 2;
    truth->rows = rc == TSP_OK ? calloc(truth->cap, sizeof *truth->rows) : NULL;
    if (rc == TSP_OK && !truth->rows)
        rc = tsp_error_set(err, TSP_ENOMEM, "out of memory for the truth of %zu spans", lines);
    for (char *line = (char *)text.data, *end; rc == TSP_OK && line && (end = strchr(line, '\n')); line = end + 1) {
        struct row row;
        *end = '\0';
        if (read_line(line, &row))
            *find(truth, row.span_id) = row;
        else
            rc = tsp_error_at(err, TSP_EPARSE, (uint64_t)(line - (char *)text.data), "%s: no line of truth: '%.60s'",
                              path, line);
    }
    tspi_buf_release(&text);
    return rc;
}

/* ------------------------------------------------------------------ the truth of its hops */

static void fill_hop(const tspi_hop *hop, const struct row *from, const struct row *to, bool from_is_skewed,
                     bool to_is_skewed, tspi_hop_truth *ret)
{
    ret->negative = tspi_hop_is_violation(hop);
    ret->at_ns = to->start_ns;
    ret->delay_ns = to->start_ns - from->start_ns;
    ret->shift_ns = from->offset_ns - to->offset_ns;
    ret->offset_ns = from_is_skewed == to_is_skewed ? INT64_MIN : from_is_skewed ? from->offset_ns : to->offset_ns;
}

tsp_status tspi_timeline_read(const tspi_spec *spec, const tspi_span_set *set, const tspi_hop *hops,
                              tspi_run_result *run, tsp_error *err)
{
    struct truth truth = {0};
    size_t at = 0;

    run->truth = malloc((run->hops + 1) * sizeof *run->truth);
    tsp_status rc = run->truth ? read_truth(run->folder, &truth, err)
                               : tsp_error_set(err, TSP_ENOMEM, "out of memory for the truth of the hops");
    run->began_ns = INT64_MAX;
    for (size_t e = 0; e < run->edges_n && rc == TSP_OK; e++) {
        bool out = tspi_is_clock_of(run->edges[e].from, spec->clock_stage);
        bool in = tspi_is_clock_of(run->edges[e].to, spec->clock_stage);
        for (uint64_t k = 0; k < run->edges[e].hops && rc == TSP_OK; k++, at++) {
            const struct row *from = find(&truth, set->spans[hops[at].from_span].span_id);
            const struct row *to = find(&truth, set->spans[hops[at].to_span].span_id);
            if (!from->span_id || !to->span_id) {
                rc = tsp_error_set(err, TSP_EPARSE, "%s/truth.jsonl lacks spans of the traces", run->folder);
                break;
            }
            run->truth[at].edge = (uint32_t)e;
            fill_hop(&hops[at], from, to, out, in, &run->truth[at]);
            if (to->start_ns < run->began_ns)
                run->began_ns = to->start_ns;
        }
    }
    for (size_t k = 0; k < at && rc == TSP_OK; k++)
        run->truth[k].at_ns -= run->began_ns;
    free(truth.rows);
    return rc;
}

/* ------------------------------------------------------------------ delays to predict from */

/* The baseline's true delays: by edge, then stretch (0 where load does not change), then delay. */
struct base_hop {
    uint32_t edge, stretch;
    int64_t delay_ns, slice;
};

struct base {
    struct base_hop *hops;
    size_t n;
    const tspi_run_result *run;
    uint32_t *index; /* of the run's edges */
};

static int by_place(const void *a, const void *b)
{
    const struct base_hop *x = a, *y = b;

    if (x->edge != y->edge)
        return x->edge < y->edge ? -1 : 1;
    if (x->stretch != y->stretch)
        return x->stretch < y->stretch ? -1 : 1;
    return (x->delay_ns > y->delay_ns) - (x->delay_ns < y->delay_ns);
}

static tsp_status open_base(const tspi_spec *spec, const tspi_run_result *baseline, int64_t stretch_ns,
                            struct base *base, tsp_error *err)
{
    bool changes = tspi_timeline_load_changes(spec);

    *base = (struct base){.run = baseline};
    if (!baseline || !baseline->truth)
        return TSP_OK;
    base->n = baseline->hops;
    base->hops = malloc((base->n + 1) * sizeof *base->hops);
    base->index = tspi_edge_index_new(baseline);
    if (!base->hops || !base->index)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a prediction");
    for (size_t k = 0; k < base->n; k++) {
        const tspi_hop_truth *truth = &baseline->truth[k];
        base->hops[k] = (struct base_hop){truth->edge, changes ? (uint32_t)(truth->at_ns / stretch_ns) : 0,
                                          truth->delay_ns, truth->at_ns / slice_ns};
    }
    if (base->n)
        qsort(base->hops, base->n, sizeof *base->hops, by_place);
    return TSP_OK;
}

/* The first of base's hops that does not sort below key. */
static size_t lower_bound(const struct base *base, const struct base_hop *key)
{
    size_t lo = 0, hi = base->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (by_place(&base->hops[mid], key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static int by_slice(const void *a, const void *b)
{
    const struct base_hop *x = a, *y = b;
    return (x->slice > y->slice) - (x->slice < y->slice);
}

/* The interval of a share p of the hops [first, end), with the spread between slices of time that the share below limit
 * has. */
static tspi_interval interval_of(const struct base *base, size_t first, size_t end, int64_t limit_ns, double p,
                                 tsp_status *rc)
{
    tspi_clusters clusters = {0};
    size_t n = end - first;
    struct base_hop *hops = malloc((n + 1) * sizeof *hops);

    if (!hops) {
        *rc = TSP_ENOMEM;
        return (tspi_interval){0, 1};
    }
    memcpy(hops, base->hops + first, n * sizeof *hops);
    qsort(hops, n, sizeof *hops, by_slice);
    for (size_t k = 0; k < n;) {
        size_t size = 0, hits = 0;
        for (int64_t slice = hops[k].slice; k < n && hops[k].slice == slice; k++, size++)
            hits += hops[k].delay_ns < limit_ns;
        tspi_cluster_add(&clusters, hits, size);
    }
    free(hops);
    return tspi_wilson((uint64_t)llround(p * (double)n), n, tspi_design_effect(&clusters));
}

/* ------------------------------------------------------------------ stretches */

/* The hops of one stretch; sorted by edge, then time. */
struct stretch {
    const tspi_hop_truth *hops;
    size_t n;
    uint32_t number;
};

static int by_time(const void *a, const void *b)
{
    const tspi_hop_truth *x = a, *y = b;
    return (x->at_ns > y->at_ns) - (x->at_ns < y->at_ns);
}

static int by_edge(const void *a, const void *b)
{
    const tspi_hop_truth *x = a, *y = b;
    return x->edge != y->edge ? (x->edge < y->edge ? -1 : 1) : by_time(a, b);
}

static void measure_rate(const struct stretch *stretch, tspi_timeline_point *point)
{
    tspi_clusters clusters = {0};
    uint64_t hits = 0, size = 0;

    for (size_t k = 0; k < stretch->n; k++) {
        hits += stretch->hops[k].negative;
        size++;
        if (k + 1 == stretch->n || stretch->hops[k].at_ns / slice_ns != stretch->hops[k + 1].at_ns / slice_ns) {
            tspi_cluster_add(&clusters, hits, size);
            hits = size = 0;
        }
    }
    tspi_interval interval = tspi_wilson(clusters.hits, clusters.size, tspi_design_effect(&clusters));
    point->hops = clusters.size;
    point->negative = clusters.hits;
    point->rate = clusters.size ? (double)clusters.hits / (double)clusters.size : 0;
    point->rate_lo = interval.lo;
    point->rate_hi = interval.hi;
}

/* What the offsets were, and how long hops truly took that the skew makes look fast. */
static tsp_status measure_truth(const struct stretch *stretch, tspi_timeline_point *point, tsp_error *err)
{
    int64_t *delays_ns = malloc((stretch->n + 1) * sizeof *delays_ns);
    size_t n = 0, touching = 0;
    double sum = 0;

    if (!delays_ns)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for delays");
    for (size_t k = 0; k < stretch->n; k++) {
        const tspi_hop_truth *hop = &stretch->hops[k];
        if (hop->offset_ns == INT64_MIN)
            continue;
        sum += (double)hop->offset_ns;
        touching++;
        if (hop->shift_ns > 0)
            delays_ns[n++] = hop->delay_ns;
    }
    point->offset_ns = touching ? llround(sum / (double)touching) : 0;
    tspi_sort_ns(delays_ns, n);
    point->hop_p50_ns = n ? tspi_quantile_ns(delays_ns, n, 0.5) : 0;
    point->hop_p1_ns = n ? tspi_quantile_ns(delays_ns, n, 0.01) : 0;
    free(delays_ns);
    return TSP_OK;
}

/* Hops [first, end) of one edge: each is negative with the share of the baseline's hops that are faster than its shift.
 */
static bool predict_edge(const struct base *base, const tspi_run_result *run, const struct stretch *stretch,
                         size_t first, size_t end, bool load_changes, double sums[3], tsp_status *rc)
{
    int64_t edge = tspi_edge_find(base->run, base->index, &run->edges[stretch->hops[first].edge]);
    struct base_hop key = {(uint32_t)edge, load_changes ? stretch->number : 0, INT64_MIN, 0};
    double sum = 0, weight = (double)(end - first);

    size_t from = edge < 0 ? 0 : lower_bound(base, &key);
    key.stretch++;
    size_t to = edge < 0 ? 0 : lower_bound(base, &key);
    key.stretch--;
    if (to == from)
        return false;
    for (size_t k = first; k < end; k++) {
        key.delay_ns = stretch->hops[k].shift_ns;
        sum += (double)(lower_bound(base, &key) - from) / (double)(to - from);
    }
    tspi_interval interval =
        interval_of(base, from, to, stretch->hops[first + (end - first) / 2].shift_ns, sum / weight, rc);
    sums[0] += sum;
    sums[1] += interval.lo * weight;
    sums[2] += interval.hi * weight;
    return true;
}

static tsp_status predict(const tspi_spec *spec, const struct base *base, const tspi_run_result *run,
                          const struct stretch *stretch, tspi_timeline_point *point, tsp_error *err)
{
    double sums[3] = {0, 0, 0};
    bool known = base->n && stretch->n;
    tsp_status rc = TSP_OK;

    point->predicted = point->predicted_lo = point->predicted_hi = NAN;
    for (size_t first = 0, end; first < stretch->n && known && rc == TSP_OK; first = end) {
        for (end = first + 1; end < stretch->n && stretch->hops[end].edge == stretch->hops[first].edge;)
            end++;
        known = predict_edge(base, run, stretch, first, end, tspi_timeline_load_changes(spec), sums, &rc);
    }
    if (rc != TSP_OK)
        return tsp_error_set(err, rc, "out of memory for a prediction");
    if (known) {
        point->predicted = sums[0] / (double)stretch->n;
        point->predicted_lo = sums[1] / (double)stretch->n;
        point->predicted_hi = sums[2] / (double)stretch->n;
    }
    return TSP_OK;
}

static void measure_health(const tspi_run_result *run, int64_t from_ns, tspi_timeline_point *point)
{
    size_t seen = 0, healthy = 0;

    point->healthy_at_end = true;
    for (size_t k = 0; k < run->health_n && run->health[k].at_ns <= point->at_ns; k++) {
        point->healthy_at_end = run->health[k].healthy;
        if (run->health[k].at_ns > from_ns) {
            seen++;
            healthy += run->health[k].healthy;
        }
    }
    point->healthy = seen ? (double)healthy / (double)seen : point->healthy_at_end;
}

static tsp_status measure_stretch(const tspi_spec *spec, const struct base *base, tspi_run_result *run,
                                  tspi_hop_truth *hops, size_t n, uint32_t number, int64_t stretch_ns, tsp_error *err)
{
    tspi_timeline_point *point = &run->timeline[run->timeline_n++];
    const struct stretch stretch = {hops, n, number};

    *point = (tspi_timeline_point){.since_ns = ((int64_t)number + 1) * stretch_ns};
    point->at_ns = run->began_ns + point->since_ns;
    measure_rate(&stretch, point);
    measure_health(run, point->at_ns - stretch_ns, point);
    qsort(hops, n, sizeof *hops, by_edge);
    tsp_status rc = predict(spec, base, run, &stretch, point, err);
    return rc == TSP_OK ? measure_truth(&stretch, point, err) : rc;
}

tsp_status tspi_timeline_measure(const tspi_spec *spec, const tspi_run_result *baseline, tspi_run_result *run,
                                 tsp_error *err)
{
    struct base base = {0};
    int64_t last_ns = 0, stretch_ns = spec->experiment.bucket_ns;

    if (!run->truth || !run->hops)
        return TSP_OK;
    qsort(run->truth, run->hops, sizeof *run->truth, by_time);
    last_ns = run->truth[run->hops - 1].at_ns;
    if (!stretch_ns)
        stretch_ns = (spec->experiment.requests ? last_ns : spec->experiment.duration_ns) / STRETCHES + 1;
    if (stretch_ns < last_ns / STRETCHES_MAX + 1)
        stretch_ns = last_ns / STRETCHES_MAX + 1;
    run->timeline = calloc((size_t)(last_ns / stretch_ns) + 1, sizeof *run->timeline);
    tsp_status rc = run->timeline ? open_base(spec, baseline, stretch_ns, &base, err)
                                  : tsp_error_set(err, TSP_ENOMEM, "out of memory for figures over time");
    for (size_t first = 0, end; first < run->hops && rc == TSP_OK; first = end) {
        int64_t number = run->truth[first].at_ns / stretch_ns;
        for (end = first + 1; end < run->hops && run->truth[end].at_ns / stretch_ns == number;)
            end++;
        rc = measure_stretch(spec, &base, run, run->truth + first, end - first, (uint32_t)number, stretch_ns, err);
    }
    free(base.hops);
    free(base.index);
    return rc;
}
