/* What an experiment found. Plain rows, filled by measure.c and experiment.c, shown by summary.c and src/report. */
#ifndef TSPI_LAB_LAB_RESULT_H
#define TSPI_LAB_LAB_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "health/health.h"
#include "lab/lab_stats.h"
#include "lab/memory_log.h"

/* Hops from one node's clock to another's. */
typedef struct {
    char *from, *to; /* owned */
    uint64_t hops, negative;
    double rate, rate_lo, rate_hi;
    double predicted, predicted_lo, predicted_hi; /* NAN = not known; 95 %, from the run without skew */
    int64_t worst_ns;                             /* the most negative span, as a positive number; 0 = none */
    int64_t p50_ns;                               /* median of the apparent delay */
    int64_t margin_ns;      /* the smallest apparent delay: how much more skew until the first negative span */
    int64_t margin_1pct_ns; /* and until 1 % of the hops */
    int64_t *slacks_ns;     /* owned, sorted; a row a hop */
    int64_t *slices;        /* owned; which slice of time that hop belongs to */
} tspi_edge_result;

/* What is true of a hop. */
typedef struct {
    uint32_t edge;     /* row of the run's edges */
    bool negative;     /* by its stamps */
    int64_t at_ns;     /* when it was received, true time since the run's first hop */
    int64_t delay_ns;  /* how long it took, truly */
    int64_t shift_ns;  /* by how much the two clocks' true offsets make it look faster */
    int64_t offset_ns; /* of the skewed stage's clock; INT64_MIN = the hop does not touch it */
} tspi_hop_truth;

/* One stretch. Its hops are those received in it. */
typedef struct {
    int64_t at_ns;    /* its end, Unix ns, true time */
    int64_t since_ns; /* its end, after the run's first hop */
    uint64_t hops, negative;
    double rate, rate_lo, rate_hi;                /* 95 % */
    double predicted, predicted_lo, predicted_hi; /* from the true offsets and the hop delays of the run with true
                                                     clocks; NAN = not known */
    int64_t offset_ns;                            /* of the skewed stage's clocks, truly: mean */
    int64_t hop_p50_ns, hop_p1_ns; /* true delays of the hops that leave the skewed stage (or enter it, where the clock
                                      is behind): median, first percentile; 0 = there were none */
    double healthy;                /* share of the health windows that end in it and are healthy; 1 = all */
    bool healthy_at_end;
} tspi_timeline_point;

/* One point of a sweep: all its blocks. */
typedef struct {
    char transport[16];
    int64_t skew_ns;
    bool null_run;
    bool true_clock; /* no clock was off, in an experiment whose clocks drift: the baseline of its predictions */
    uint64_t seed;
    char folder[4096];
    uint64_t requests, tokens, spans, hops, negative;
    double rate, rate_lo, rate_hi;                /* of negative spans among the hops between clocks */
    double predicted, predicted_lo, predicted_hi; /* NAN = not known; 95 % */
    tspi_edge_result *edges;                      /* owned */
    size_t edges_n;
    tspi_health_point *health; /* owned */
    size_t health_n;
    tspi_hop_truth *truth;         /* owned; hops rows, by edge; NULL unless figures over time are wanted */
    int64_t began_ns;              /* Unix ns, true time of its first hop's arrival */
    tspi_timeline_point *timeline; /* owned */
    size_t timeline_n;
    uint64_t token_order_anomalies;
    double requests_per_s, tokens_per_s;
    int64_t latency_p50_ns, latency_p99_ns, ttft_p50_ns;
    char outputs_sha256[65]; /* over the outputs of all prompts that were asked */
    int outputs_match;       /* 1 yes, 0 no, -1 not comparable */
    int64_t elapsed_ns;      /* of its blocks */
} tspi_run_result;

typedef struct {
    char transport[16];
    int64_t skew_ns;
    uint32_t pairs;
    double (*rates)[2]; /* owned; a pair's requests per second without and with skew */
    tspi_ratio ratio;   /* with over without; the rows' intervals hold together with 95 % */
} tspi_throughput_result;

/* A block that failed, was left out and then repeated. */
typedef struct {
    int64_t at_ns;  /* when it failed, Unix ns */
    char block[80]; /* what it was part of */
    char why[512];
} tspi_gap;

/* A process of the run and the memory of its own that it took (memory_log.h). */
typedef struct {
    char transport[16], name[80];
    tspi_memory_figures figures;
} tspi_memory_result;

/* A transport whose parts were not here. */
typedef struct {
    char transport[16];
    char why[256];
} tspi_left_out;

enum { TSPI_LEFT_OUT_MAX = 3 };

typedef struct {
    char folder[4096];
    char how[256]; /* a sentence: how nodes were separated */
    bool netns, partial;
    tspi_run_result *runs; /* owned */
    size_t runs_n;
    tspi_throughput_result *throughput; /* owned */
    size_t throughput_n;
    uint64_t foreign; /* messages that somebody else sent to the nodes; they were dropped */
    tspi_gap *gaps;   /* owned, in order of time */
    size_t gaps_n;
    tspi_memory_result *memory; /* owned; empty in virtual time */
    size_t memory_n;
    tspi_left_out left_out[TSPI_LEFT_OUT_MAX];
    size_t left_out_n;
    tspi_ratio all_skews; /* throughput with skew over without, all rows pooled; ratio 0 = not measured */
    double seconds;       /* of the whole experiment */
    double simulated_s;   /* in virtual time: how long its blocks were; 0 = real time */
    double simulation_s, simulation_cpu_s; /* how long that took, on the wall and of the processor */
    char outputs_note[160];                /* why outputs were not compared; "" = they were */
} tspi_lab_result;

void tspi_run_result_release(tspi_run_result *run);
void tspi_lab_result_release(tspi_lab_result *result);

/* The run without skew that is no null run, of the same transport; NULL when there is none. */
const tspi_run_result *tspi_lab_baseline(const tspi_lab_result *result, const char *transport);

/* The rows of a run's edges in the order of their names, to find those of another run among them. Owned by the caller
 * (free); NULL: out of memory. */
uint32_t *tspi_edge_index_new(const tspi_run_result *run);

/* The row of run's edges with the ends of like, or -1. */
int64_t tspi_edge_find(const tspi_run_result *run, const uint32_t *index, const tspi_edge_result *like);

/* Whether the measured and the predicted rate agree: their 95 % intervals overlap. 1 yes, 0 no, -1 nothing predicted.
 */
int tspi_run_agrees(const tspi_run_result *run);

/* Whether the windows of a run were all healthy. */
bool tspi_run_healthy(const tspi_run_result *run);

#endif
