#include "sim/sim_delay.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/duration.h"
#include "base/grow.h"
#include "base/same_math.h"

/* What TCP and IP put around a message. */
enum { OVERHEAD_BYTES = 66 };
/* A lost packet is sent again after this, TCP's least retransmission timeout on Linux; and again after twice as long.
 */
static const int64_t resend_after_ns = 200 * TSP_NS_PER_MS;
/* No message takes longer, whatever the tail of its distribution says. */
static const int64_t longest_ns = 60 * TSP_NS_PER_S;

/* Delays from a file, of one edge or of any. */
struct sample {
    int from, to; /* rows of stages; -1 = any */
    int64_t *delays_ns;
    size_t n, cap;
    size_t at; /* the next to be taken, while left > 0 */
    uint32_t left;
};

struct tspi_sim_delay {
    const tspi_spec *spec;
    tspi_random random;
    struct sample *samples;
    size_t samples_n;
    int64_t *extra_ns;     /* [from * stages_n + to]: sim.edges */
    int64_t *line_free_ns; /* a node: when its line has sent what it was given */
    uint32_t lines_n;
};

/* ------------------------------------------------------------------ the file */

static tsp_status add_delay(tspi_sim_delay *delay, int from, int to, int64_t ns, tsp_error *err)
{
    struct sample *sample = delay->samples, *end = sample + delay->samples_n;

    while (sample < end && (sample->from != from || sample->to != to))
        sample++;
    if (sample == end) {
        struct sample *samples = realloc(delay->samples, (delay->samples_n + 1) * sizeof *samples);
        if (!samples)
            return tsp_error_set(err, TSP_ENOMEM, "out of memory for delays");
        delay->samples = samples;
        sample = &samples[delay->samples_n++];
        *sample = (struct sample){.from = from, .to = to};
    }
    int64_t *delays_ns = tspi_grown(sample->delays_ns, sample->n, &sample->cap, sizeof *delays_ns);
    if (!delays_ns)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for delays");
    sample->delays_ns = delays_ns;
    sample->delays_ns[sample->n++] = ns;
    return TSP_OK;
}

static tsp_status add_line(tspi_sim_delay *delay, char *line, tsp_error *err)
{
    char words[3][64];
    int from = -1, to = -1, n = sscanf(line, "%63s %63s %63s", words[0], words[1], words[2]);
    int64_t ns;

    if (n == 3) {
        from = tspi_spec_stage(delay->spec, words[0]);
        to = tspi_spec_stage(delay->spec, words[1]);
        if (from < 0 || to < 0)
            return tsp_error_set(err, TSP_EINVAL, "there is no stage '%s'", words[from < 0 ? 0 : 1]);
    } else if (n != 1)
        return tsp_error_set(err, TSP_EPARSE, "want a delay, or FROM TO DELAY");
    if (!tspi_duration_parse(words[n - 1], &ns) || ns < 0 || ns > longest_ns)
        return tsp_error_set(err, TSP_EPARSE, "'%s' is no delay between 0ms and 60s", words[n - 1]);
    return add_delay(delay, from, to, ns, err);
}

static tsp_status read_delays(tspi_sim_delay *delay, const char *path, tsp_error *err)
{
    tspi_buf text = {0};
    tsp_status rc = tspi_buf_read_file(&text, path, 256 * 1024 * 1024, err);
    size_t line_no = 0;

    for (size_t at = 0; rc == TSP_OK && at < text.len;) {
        char line[256];
        const char *start = (char *)text.data + at, *end = memchr(start, '\n', text.len - at);
        size_t len = end ? (size_t)(end - start) : text.len - at;
        snprintf(line, sizeof line, "%.*s", (int)(len < sizeof line ? len : sizeof line - 1), start);
        line[strcspn(line, "#\r")] = '\0';
        line_no++;
        at += len + 1;
        if (line[strspn(line, " \t")]) {
            rc = add_line(delay, line, err);
            if (rc != TSP_OK)
                tsp_error_note(err, "%s: line %zu", path, line_no);
        }
    }
    tspi_buf_release(&text);
    if (rc == TSP_OK && !delay->samples_n)
        rc = tsp_error_set(err, TSP_EINVAL, "%s: it holds no delay", path);
    return rc;
}

/* ------------------------------------------------------------------ life */

static bool stage_is(const tspi_spec *spec, const char *name, uint32_t stage)
{
    return !name || !strcmp(name, spec->stages[stage].name);
}

static tsp_status check_edges_are_covered(const tspi_sim_delay *delay, tsp_error *err)
{
    const tspi_spec *spec = delay->spec;

    for (uint32_t from = 0; from < spec->stages_n; from++)
        for (uint32_t to = 0; to < spec->stages_n; to++) {
            bool covered = !tspi_spec_sends(spec, from, to);
            for (size_t k = 0; k < delay->samples_n; k++)
                covered |= delay->samples[k].from < 0 ||
                           (delay->samples[k].from == (int)from && delay->samples[k].to == (int)to);
            if (!covered)
                return tsp_error_set(err, TSP_EINVAL, "%s: it holds no delay from '%s' to '%s'", spec->sim.delays_file,
                                     spec->stages[from].name, spec->stages[to].name);
        }
    return TSP_OK;
}

tsp_status tspi_sim_delay_new(const tspi_spec *spec, const tspi_random *random, tspi_sim_delay **ret_delay,
                              tsp_error *err)
{
    tspi_sim_delay *delay = calloc(1, sizeof *delay);
    size_t pairs = (size_t)spec->stages_n * spec->stages_n;
    tsp_status rc = TSP_OK;

    if (delay) {
        *delay = (tspi_sim_delay){.spec = spec, .random = *random, .lines_n = tspi_spec_nodes(spec)};
        delay->extra_ns = calloc(pairs + 1, sizeof *delay->extra_ns);
        delay->line_free_ns = calloc(delay->lines_n + 1, sizeof *delay->line_free_ns);
    }
    if (!delay || !delay->extra_ns || !delay->line_free_ns)
        rc = tsp_error_set(err, TSP_ENOMEM, "out of memory for delays");
    for (uint32_t k = 0; rc == TSP_OK && k < spec->sim.edges_n; k++)
        for (size_t pair = 0; pair < pairs; pair++)
            if (stage_is(spec, spec->sim.edges[k].from, (uint32_t)(pair / spec->stages_n)) &&
                stage_is(spec, spec->sim.edges[k].to, (uint32_t)(pair % spec->stages_n)))
                delay->extra_ns[pair] += spec->sim.edges[k].delay_ns;
    if (rc == TSP_OK && spec->sim.delays == TSPI_DELAYS_EMPIRICAL) {
        rc = read_delays(delay, spec->sim.delays_file, err);
        if (rc == TSP_OK)
            rc = check_edges_are_covered(delay, err);
    }
    if (rc != TSP_OK) {
        tspi_sim_delay_free(delay);
        return rc;
    }
    *ret_delay = delay;
    return TSP_OK;
}

void tspi_sim_delay_free(tspi_sim_delay *delay)
{
    if (!delay)
        return;
    for (size_t k = 0; k < delay->samples_n; k++)
        free(delay->samples[k].delays_ns);
    free(delay->samples);
    free(delay->extra_ns);
    free(delay->line_free_ns);
    free(delay);
}

void tspi_sim_delay_begin(tspi_sim_delay *delay)
{
    memset(delay->line_free_ns, 0, delay->lines_n * sizeof *delay->line_free_ns);
}

/* ------------------------------------------------------------------ drawing */

/* Delays that follow one another are alike, and messages keep their order: drawn one by one the slow ones would hold up
 * all behind them. So delays are taken in runs, from a place that is drawn (the moving-blocks bootstrap; Kunsch 1989).
 */
static int64_t draw_empirical(tspi_sim_delay *delay, uint32_t from, uint32_t to)
{
    struct sample *best = NULL;

    for (size_t k = 0; k < delay->samples_n; k++) {
        struct sample *sample = &delay->samples[k];
        if (sample->from == (int)from && sample->to == (int)to) {
            best = sample;
            break;
        }
        if (sample->from < 0)
            best = sample;
    }
    if (!best)
        return delay->spec->link.delay_ns;
    if (!best->left || best->at == best->n) {
        best->at = tspi_random_below(&delay->random, best->n);
        best->left = delay->spec->sim.delays_run;
    }
    best->left--;
    return best->delays_ns[best->at++];
}

/* What comes on top of the least delay, in units of link.jitter. */
static double draw_excess(tspi_sim_delay *delay)
{
    double shape = delay->spec->sim.shape;

    switch (delay->spec->sim.delays) {
    case TSPI_DELAYS_UNIFORM:
        return tspi_random_uniform(&delay->random, -1.0, 1.0);
    case TSPI_DELAYS_EXPONENTIAL:
        return tspi_random_exponential(&delay->random, 1);
    case TSPI_DELAYS_PARETO:
        return tspi_same_pow(1.0 - tspi_random_unit(&delay->random), -1 / shape) - 1;
    case TSPI_DELAYS_LOGNORMAL:
        return tspi_same_exp(shape * tspi_random_normal(&delay->random));
    default:
        return 0;
    }
}

static int64_t draw_congestion(tspi_sim_delay *delay, uint32_t from, uint32_t to, int64_t since_ns)
{
    const tspi_spec *spec = delay->spec;
    int64_t sum_ns = 0;

    for (uint32_t k = 0; k < spec->sim.congestion_n; k++) {
        const tspi_sim_congestion *row = &spec->sim.congestion[k];
        if (since_ns < row->at_ns || since_ns - row->at_ns >= row->for_ns || !stage_is(spec, row->from, from) ||
            !stage_is(spec, row->to, to))
            continue;
        sum_ns += row->delay_ns;
        if (row->spread_ns)
            sum_ns += (int64_t)tspi_random_exponential(&delay->random, (double)row->spread_ns);
    }
    return sum_ns;
}

static int64_t wait_for_line(tspi_sim_delay *delay, uint32_t node, size_t bytes, int64_t since_ns)
{
    int64_t takes_ns = (int64_t)((double)(bytes + OVERHEAD_BYTES) * 8e3 / delay->spec->link.rate_mbit);
    int64_t *free_ns = &delay->line_free_ns[node];

    *free_ns = (*free_ns > since_ns ? *free_ns : since_ns) + takes_ns;
    return *free_ns - since_ns;
}

int64_t tspi_sim_delay_draw(tspi_sim_delay *delay, uint32_t from, uint32_t to, uint32_t node, size_t bytes,
                            int64_t since_ns)
{
    const tspi_spec *spec = delay->spec;
    int64_t ns = delay->extra_ns[from * spec->stages_n + to];

    if (spec->sim.delays == TSPI_DELAYS_EMPIRICAL)
        ns += draw_empirical(delay, from, to);
    else {
        double excess = draw_excess(delay) * (double)spec->link.jitter_ns;
        ns += spec->link.delay_ns + (excess < (double)longest_ns ? (int64_t)excess : longest_ns);
    }
    if (spec->sim.congestion_n)
        ns += draw_congestion(delay, from, to, since_ns);
    if (spec->link.rate_mbit > 0)
        ns += wait_for_line(delay, node, bytes, since_ns);
    for (int64_t again_ns = resend_after_ns; spec->link.loss > 0 && again_ns < longest_ns; again_ns *= 2) {
        if (tspi_random_unit(&delay->random) >= spec->link.loss)
            break;
        ns += again_ns;
    }
    return ns < longest_ns ? ns : longest_ns;
}
