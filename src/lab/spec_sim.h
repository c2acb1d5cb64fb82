/* The part of a spec that only virtual time has: how long work takes, how delays are distributed, what goes wrong on
 * the way. The lab, where the world decides all that, takes no notice of it. */
#ifndef TSPI_LAB_SPEC_SIM_H
#define TSPI_LAB_SPEC_SIM_H

#include <stdint.h>

#include "base/buf.h"
#include "lab/spec_reader.h"

enum tspi_delays {
    TSPI_DELAYS_UNIFORM,     /* link.delay +- link.jitter, as the lab's link does it */
    TSPI_DELAYS_CONSTANT,    /* link.delay */
    TSPI_DELAYS_EXPONENTIAL, /* link.delay at the least, and an exponential part of mean link.jitter */
    TSPI_DELAYS_PARETO,    /* link.delay at the least, and a Pareto part (Lomax) of scale link.jitter and this shape */
    TSPI_DELAYS_LOGNORMAL, /* link.delay at the least, and a log-normal part of median link.jitter, sigma = shape */
    TSPI_DELAYS_EMPIRICAL, /* drawn from a file */
    TSPI_DELAYS_N,
};

enum { TSPI_SIM_ROWS_MAX = 64 };

/* More delay from one stage to another; an empty name means any stage. */
typedef struct {
    char *from, *to; /* owned; NULL = any */
    int64_t delay_ns;
} tspi_sim_edge;

/* For a while, more delay; on top of it an exponential part, as a queue's is. */
typedef struct {
    char *from, *to; /* owned; NULL = any */
    int64_t at_ns, for_ns, delay_ns, spread_ns;
} tspi_sim_congestion;

typedef struct {
    enum tspi_delays delays;
    double shape;
    char *delays_file;                 /* owned */
    uint32_t delays_run;               /* so many lines of it are taken one after another, then a new place is drawn */
    int64_t wake_ns, wake_spread_ns;   /* from a message's arrival until an idle node has it: least, mean beyond that */
    int64_t receive_ns, send_ns;       /* a message's processing at either end */
    int64_t tokenize_ns, token_ns;     /* a prompt; a token of one answer */
    int64_t detokenize_ns, service_ns; /* a message of tokens; a call at a service */
    double work_spread;                /* share of each of these that is exponential: 0 = always the same */
    double saturated;                  /* on saturated cores: share of wakings that find the core taken */
    int64_t saturated_wait_ns;         /* and then wait so long in the mean, exponential */
    double late_stamps;                /* share of sent stamps that are written late */
    int64_t late_by_ns;                /* mean of their lateness, exponential */
    int64_t offset_ns;                 /* every clock besides those of clock.stage: standard deviations */
    int64_t drift_ppb, wander_ppb;     /* wander: the same for all */
    tspi_sim_edge *edges;              /* owned */
    uint32_t edges_n;
    tspi_sim_congestion *congestion; /* owned */
    uint32_t congestion_n;
} tspi_sim_spec;

struct raw_sim;
void tspi_sim_spec_get(tspi_spec_reader *in, const struct raw_sim *raw, tspi_sim_spec *sim);
void tspi_sim_spec_write(const tspi_sim_spec *sim, tspi_buf *out);
void tspi_sim_spec_release(tspi_sim_spec *sim);

const char *tspi_delays_name(enum tspi_delays delays);

#endif
