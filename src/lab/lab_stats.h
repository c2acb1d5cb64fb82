/* The statistics of an experiment. */
#ifndef TSPI_LAB_LAB_STATS_H
#define TSPI_LAB_LAB_STATS_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    double lo, hi;
} tspi_interval;

/* 95 % interval of a share: Wilson's score interval (1927) for hits of n, with n divided by design_effect >= 1, which
 * says how much less than n independent trials the sample is worth. n = 0: [0, 1]. */
tspi_interval tspi_wilson(uint64_t hits, uint64_t n, double design_effect);

/* Design effect of a share measured on clusters (Kish 1965): the variance between clusters over the binomial one, at
 * least 1. sums: of (hits, size) over clusters, as accumulated by tspi_cluster_add. */
typedef struct {
    double hits2, hits_size, size2; /* sums of hits^2, hits * size, size^2 */
    uint64_t hits, size, clusters;
} tspi_clusters;
void tspi_cluster_add(tspi_clusters *clusters, uint64_t hits, uint64_t size);
double tspi_design_effect(const tspi_clusters *clusters);

/* Student's t that |t| exceeds with probability p, with df >= 1 degrees of freedom; df 0: INFINITY. 0 < p < 1.
 * (Hill 1970, ACM algorithm 396; within 1e-3 of the tables.) */
double tspi_student_t(double p, unsigned df);

/* Ratio of paired measurements: exp of the mean log ratio with an interval from a given standard deviation of one log
 * ratio, known with df degrees of freedom. The interval misses with probability p. */
typedef struct {
    double ratio, lo, hi;
} tspi_ratio;
tspi_ratio tspi_ratio_of(const double *log_ratios, size_t n, double sd, unsigned df, double p);

/* Quantile p of n sorted values (nearest rank); n > 0. */
int64_t tspi_quantile_ns(const int64_t *sorted, size_t n, double p);
void tspi_sort_ns(int64_t *values, size_t n);

/* How many of n sorted values lie below limit. */
size_t tspi_count_below_ns(const int64_t *sorted, size_t n, int64_t limit);

#endif
