#include "lab/measure.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/hex.h"
#include "causal/causal.h"
#include "lab/node.h"
#include "lab/timeline.h"
#include "wire/wire.h"

/* ------------------------------------------------------------------ traces */

struct reading {
    tspi_span_set set;
    tspi_read_report report;
    tspi_causal causal;
    tspi_hop *hops; /* hard, between clocks; sorted by edge, then time slice */
    size_t hops_n;
};

static void reading_release(struct reading *in)
{
    free(in->hops);
    tspi_causal_release(&in->causal);
    tspi_read_report_release(&in->report);
    tspi_span_set_release(&in->set);
}

/* Hops of one such slice of time share what the machine was doing, so they count as one cluster of the sample. */
static const int64_t slice_ns = TSP_NS_PER_S / 2;

static int64_t slice_of(const tspi_hop *hop)
{
    return hop->received_ns / slice_ns;
}

static int by_slice(const void *a, const void *b)
{
    int64_t s = slice_of(a), t = slice_of(b);
    return (s > t) - (s < t);
}

static int by_edge_and_slice(const void *a, const void *b)
{
    const tspi_hop *x = a, *y = b;

    if (x->from_clock != y->from_clock)
        return x->from_clock < y->from_clock ? -1 : 1;
    if (x->to_clock != y->to_clock)
        return x->to_clock < y->to_clock ? -1 : 1;
    return by_slice(a, b);
}

static tsp_status read_traces(const char *folder, struct reading *in, tsp_error *err)
{
    char path[4200];

    snprintf(path, sizeof path, "%s/otlp", folder);
    tsp_status rc = tspi_wire_read_path(path, NULL, &in->set, &in->report, err);
    if (rc == TSP_OK)
        rc = tspi_causal_init(&in->causal, &in->set, NULL, err);
    if (rc == TSP_OK)
        rc = tspi_hops_collect(&in->causal.join, false, &in->hops, &in->hops_n, err);
    if (rc != TSP_OK)
        return rc;
    size_t kept = 0;
    for (size_t k = 0; k < in->hops_n; k++)
        if (in->hops[k].kind == TSPI_HOP_HARD)
            in->hops[kept++] = in->hops[k];
    in->hops_n = kept;
    if (kept)
        qsort(in->hops, kept, sizeof *in->hops, by_edge_and_slice);
    return TSP_OK;
}

/* Clusters of the hops [first, end), which are sorted by slice. */
static tspi_clusters clusters_of(const struct reading *in, size_t first, size_t end)
{
    tspi_clusters clusters = {0};
    uint64_t hits = 0, size = 0;

    for (size_t k = first; k < end; k++) {
        hits += tspi_hop_is_violation(&in->hops[k]);
        size++;
        if (k + 1 == end || slice_of(&in->hops[k]) != slice_of(&in->hops[k + 1])) {
            tspi_cluster_add(&clusters, hits, size);
            hits = size = 0;
        }
    }
    return clusters;
}

static int by_slack(const void *a, const void *b)
{
    int64_t s = tspi_hop_slack_ns(a), t = tspi_hop_slack_ns(b);
    return (s > t) - (s < t);
}

/* hops: of one edge, sorted by slice; left sorted by slack. */
static tsp_status measure_edge(struct reading *in, size_t first, size_t end, tspi_edge_result *edge, tsp_error *err)
{
    const tspi_clock *clocks = in->causal.clocks.clocks;
    size_t n = end - first;
    tspi_clusters clusters = clusters_of(in, first, end);

    *edge = (tspi_edge_result){.hops = n, .predicted = NAN, .predicted_lo = NAN, .predicted_hi = NAN};
    edge->from = strdup(clocks[in->hops[first].from_clock].name);
    edge->to = strdup(clocks[in->hops[first].to_clock].name);
    edge->slacks_ns = malloc(n * sizeof *edge->slacks_ns);
    edge->slices = malloc(n * sizeof *edge->slices);
    if (!edge->from || !edge->to || !edge->slacks_ns || !edge->slices)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for %zu hops", n);
    qsort(in->hops + first, n, sizeof *in->hops, by_slack);
    for (size_t k = 0; k < n; k++) {
        edge->slacks_ns[k] = tspi_hop_slack_ns(&in->hops[first + k]);
        edge->slices[k] = slice_of(&in->hops[first + k]);
    }
    tspi_interval interval = tspi_wilson(clusters.hits, n, tspi_design_effect(&clusters));
    edge->negative = clusters.hits;
    edge->rate = (double)edge->negative / (double)n;
    edge->rate_lo = interval.lo;
    edge->rate_hi = interval.hi;
    edge->margin_ns = edge->slacks_ns[0];
    edge->margin_1pct_ns = tspi_quantile_ns(edge->slacks_ns, n, 0.01);
    edge->p50_ns = tspi_quantile_ns(edge->slacks_ns, n, 0.5);
    edge->worst_ns = edge->negative ? -edge->margin_ns : 0;
    return TSP_OK;
}

static tsp_status measure_edges(struct reading *in, tspi_run_result *run, tsp_error *err)
{
    size_t n = 0;

    for (size_t k = 0; k < in->hops_n; k++)
        n += !k || in->hops[k].from_clock != in->hops[k - 1].from_clock ||
             in->hops[k].to_clock != in->hops[k - 1].to_clock;
    run->edges = calloc(n + 1, sizeof *run->edges);
    if (!run->edges)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for %zu edges", n);
    for (size_t first = 0, end; first < in->hops_n; first = end) {
        for (end = first + 1; end < in->hops_n && in->hops[end].from_clock == in->hops[first].from_clock &&
                              in->hops[end].to_clock == in->hops[first].to_clock;)
            end++;
        tspi_edge_result *edge = &run->edges[run->edges_n++];
        tsp_status rc = measure_edge(in, first, end, edge, err);
        if (rc != TSP_OK)
            return rc;
        run->hops += edge->hops;
        run->negative += edge->negative;
    }
    return TSP_OK;
}

/* The whole run's rate, over all its edges. */
static void measure_rate(struct reading *in, tspi_run_result *run)
{
    if (in->hops_n)
        qsort(in->hops, in->hops_n, sizeof *in->hops, by_slice);
    tspi_clusters clusters = clusters_of(in, 0, in->hops_n);
    tspi_interval interval = tspi_wilson(run->negative, run->hops, tspi_design_effect(&clusters));
    run->rate = run->hops ? (double)run->negative / (double)run->hops : 0;
    run->rate_lo = interval.lo;
    run->rate_hi = interval.hi;
}

/* A run in which no request came leaves files without a byte, which the front door would not take for traces. */
static bool has_traces(const char *folder)
{
    char path[4500];
    struct stat file;
    bool found = false;

    snprintf(path, sizeof path, "%s/otlp", folder);
    DIR *otlp = opendir(path);
    if (!otlp)
        return true; /* whoever reads it will say what is wrong */
    for (struct dirent *entry; !found && (entry = readdir(otlp));) {
        snprintf(path, sizeof path, "%s/otlp/%s", folder, entry->d_name);
        found = stat(path, &file) == 0 && S_ISREG(file.st_mode) && file.st_size > 0;
    }
    closedir(otlp);
    return found;
}

tsp_status tspi_measure_traces(const tspi_spec *spec, tspi_run_result *run, tsp_error *err)
{
    const tspi_health_options health = {.window_ns = spec->experiment.health_window_ns};
    struct reading in = {0};

    run->predicted = run->predicted_lo = run->predicted_hi = NAN;
    run->rate_hi = 1;
    if (!has_traces(run->folder))
        return TSP_OK;
    tsp_status rc = read_traces(run->folder, &in, err);

    if (rc == TSP_OK)
        rc = measure_edges(&in, run, err);
    if (rc == TSP_OK && tspi_timeline_wanted(spec) && !run->null_run)
        rc = tspi_timeline_read(spec, &in.set, in.hops, run, err);
    if (rc == TSP_OK)
        rc = tspi_health_measure(&in.causal.join, &health, &run->health, &run->health_n, err);
    if (rc == TSP_OK) {
        measure_rate(&in, run);
        run->spans = in.set.spans_n;
        run->token_order_anomalies = in.causal.tokens.anomalies;
    } else
        tsp_error_note(err, "while reading the traces of '%s'", run->folder);
    reading_release(&in);
    return rc;
}

/* ------------------------------------------------------------------ requests */

struct outputs {
    uint8_t (*sha256)[32]; /* a prompt */
    bool *seen;
    int match;
};

static bool parse_digest(const char *hex, uint8_t ret_digest[32])
{
    for (int k = 0; k < 32; k++) {
        unsigned byte;
        if (sscanf(hex + 2 * k, "%2x", &byte) != 1)
            return false;
        ret_digest[k] = (uint8_t)byte;
    }
    return true;
}

/* Every answer to a prompt must be the reference's; without one, at least all answers to it alike. */
static void compare_output(const uint8_t (*reference)[32], uint32_t prompt, const uint8_t digest[32],
                           struct outputs *outputs)
{
    if (reference && memcmp(reference[prompt], digest, 32) != 0)
        outputs->match = 0;
    memcpy(outputs->sha256[prompt], digest, 32);
    outputs->seen[prompt] = true;
}

static void digest_all(const struct outputs *outputs, uint32_t prompts_n, char ret_hex[65])
{
    unsigned char digest[32];
    EVP_MD_CTX *sha = EVP_MD_CTX_new();

    EVP_DigestInit_ex(sha, EVP_sha256(), NULL);
    for (uint32_t k = 0; k < prompts_n; k++)
        if (outputs->seen[k])
            EVP_DigestUpdate(sha, outputs->sha256[k], 32);
    EVP_DigestFinal_ex(sha, digest, NULL);
    EVP_MD_CTX_free(sha);
    tspi_hex_write(digest, 32, ret_hex);
    ret_hex[64] = '\0';
}

static tsp_status read_requests(const uint8_t (*reference)[32], uint32_t prompts_n, tspi_buf *text, int64_t *latency_ns,
                                int64_t *ttft_ns, struct outputs *outputs, size_t *ret_n, tsp_error *err)
{
    size_t n = 0;

    for (size_t at = 0; at < text->len;) {
        char *line = (char *)text->data + at, *end = memchr(line, '\n', text->len - at);
        uint32_t request, prompt, tokens;
        char hex[65] = "";
        uint8_t digest[32];
        if (end)
            *end = '\0'; /* sscanf looks for the end of its string, each time */
        if (!end ||
            sscanf(line,
                   "{\"request\":%" SCNu32 ",\"prompt\":%" SCNu32 ",\"tokens\":%" SCNu32 ",\"latency_ns\":%" SCNd64
                   ",\"ttft_ns\":%" SCNd64 ",\"sha256\":\"%64[0-9a-f]",
                   &request, &prompt, &tokens, &latency_ns[n], &ttft_ns[n], hex) != 6 ||
            prompt >= prompts_n || !parse_digest(hex, digest))
            return tsp_error_at(err, TSP_EPARSE, at, "requests.jsonl: byte %zu: no request", at);
        compare_output(reference, prompt, digest, outputs);
        n++;
        at = (size_t)(end - (char *)text->data) + 1;
    }
    *ret_n = n;
    return TSP_OK;
}

tsp_status tspi_measure_requests(const uint8_t (*reference)[32], uint32_t prompts_n, tspi_run_result *run,
                                 tsp_error *err)
{
    char path[4200];
    tspi_buf text = {0};
    struct outputs outputs = {calloc(prompts_n + 1, 32), calloc(prompts_n + 1, 1), reference ? 1 : -1};
    int64_t *latency_ns = NULL, *ttft_ns = NULL;
    size_t n = 0, lines = 0;

    snprintf(path, sizeof path, "%s/requests.jsonl", run->folder);
    tsp_status rc = tspi_buf_read_file(&text, path, 0, err);
    for (size_t k = 0; k < text.len; k++)
        lines += text.data[k] == '\n';
    latency_ns = malloc((lines + 1) * sizeof *latency_ns);
    ttft_ns = malloc((lines + 1) * sizeof *ttft_ns);
    if (rc == TSP_OK && (!outputs.sha256 || !outputs.seen || !latency_ns || !ttft_ns))
        rc = tsp_error_set(err, TSP_ENOMEM, "out of memory for %zu requests", lines);
    if (rc == TSP_OK)
        rc = read_requests(reference, prompts_n, &text, latency_ns, ttft_ns, &outputs, &n, err);
    if (rc == TSP_OK && n) {
        tspi_sort_ns(latency_ns, n);
        tspi_sort_ns(ttft_ns, n);
        run->latency_p50_ns = tspi_quantile_ns(latency_ns, n, 0.5);
        run->latency_p99_ns = tspi_quantile_ns(latency_ns, n, 0.99);
        run->ttft_p50_ns = tspi_quantile_ns(ttft_ns, n, 0.5);
        digest_all(&outputs, prompts_n, run->outputs_sha256);
    }
    run->outputs_match = n ? outputs.match : -1;
    free(outputs.sha256);
    free(outputs.seen);
    free(latency_ns);
    free(ttft_ns);
    tspi_buf_release(&text);
    return rc;
}

/* ------------------------------------------------------------------ prediction */

/* The interval of the share of base's hops with a slack below the n-th, by the same slices of time. */
static tspi_interval share_below(const tspi_edge_result *base, size_t n, tsp_status *rc)
{
    tspi_clusters clusters = {0};

    if (!n || n == base->hops) /* the same in every slice of time */
        return tspi_wilson(n, base->hops, 1);
    int64_t *all = malloc(base->hops * sizeof *all), *below = malloc((n + 1) * sizeof *below);

    if (!all || !below) {
        *rc = TSP_ENOMEM;
        free(all);
        free(below);
        return (tspi_interval){0, 1};
    }
    memcpy(all, base->slices, base->hops * sizeof *all);
    memcpy(below, base->slices, n * sizeof *below);
    tspi_sort_ns(all, base->hops);
    tspi_sort_ns(below, n);
    for (size_t k = 0, b = 0; k < base->hops;) {
        size_t size = 0, hits = 0;
        int64_t slice = all[k];
        for (; k < base->hops && all[k] == slice; k++)
            size++;
        for (; b < n && below[b] == slice; b++)
            hits++;
        tspi_cluster_add(&clusters, hits, size);
    }
    free(all);
    free(below);
    return tspi_wilson(n, base->hops, tspi_design_effect(&clusters));
}

tsp_status tspi_measure_predict(const tspi_spec *spec, const tspi_run_result *baseline, tspi_run_result *run,
                                tsp_error *err)
{
    double expected = 0, lo = 0, hi = 0;
    bool known = run->hops > 0;
    tsp_status rc = TSP_OK;

    if (!baseline || !tspi_clock_model_is_constant(&spec->clock) || run->null_run)
        return TSP_OK;
    uint32_t *index = tspi_edge_index_new(baseline);
    if (!index)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a prediction");
    for (size_t k = 0; k < run->edges_n; k++) {
        tspi_edge_result *edge = &run->edges[k];
        int64_t row = tspi_edge_find(baseline, index, edge);
        const tspi_edge_result *base = row < 0 ? NULL : &baseline->edges[row];
        bool out = tspi_is_clock_of(edge->from, spec->clock_stage), in = tspi_is_clock_of(edge->to, spec->clock_stage);
        int64_t shift_ns = out == in ? 0 : out ? run->skew_ns : -run->skew_ns;
        if (!base || !base->hops) {
            known = false;
            continue;
        }
        size_t n = tspi_count_below_ns(base->slacks_ns, base->hops, shift_ns);
        tspi_interval interval = share_below(base, n, &rc);
        edge->predicted = (double)n / (double)base->hops;
        edge->predicted_lo = interval.lo;
        edge->predicted_hi = interval.hi;
        expected += edge->predicted * (double)edge->hops;
        lo += interval.lo * (double)edge->hops;
        hi += interval.hi * (double)edge->hops;
    }
    free(index);
    if (rc != TSP_OK)
        return tsp_error_set(err, rc, "out of memory for a prediction");
    if (known) {
        run->predicted = expected / (double)run->hops;
        run->predicted_lo = lo / (double)run->hops;
        run->predicted_hi = hi / (double)run->hops;
    }
    return TSP_OK;
}
