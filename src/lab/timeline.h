/* A run's figures over time, for clocks that do not stay as wrong as they are: the rate of negative spans in stretches
 * of time, beside the rate that the clock's true offset predicts, the offset itself, and causality_health. This is the
 * one place that reads a run's truth. */
#ifndef TSPI_LAB_TIMELINE_H
#define TSPI_LAB_TIMELINE_H

#include "base/buf.h"
#include "causal/hops.h"
#include "lab/lab_result.h"
#include "lab/spec.h"

/* Whether runs of this spec get figures over time. */
bool tspi_timeline_wanted(const tspi_spec *spec);

/* Whether delays change over time by the spec itself, so that a prediction must compare like times with like. */
bool tspi_timeline_load_changes(const tspi_spec *spec);

/* Read run->folder/truth.jsonl and keep what each hop's truth is, in run->truth. hops: the run's hard hops between
 * clocks, in the order of run->edges, which is filled already; set: the spans that they name. */
tsp_status tspi_timeline_read(const tspi_spec *spec, const tspi_span_set *set, const tspi_hop *hops,
                              tspi_run_result *run, tsp_error *err);

/* Fill run->timeline. baseline: the run with true clocks, or NULL. */
tsp_status tspi_timeline_measure(const tspi_spec *spec, const tspi_run_result *baseline, tspi_run_result *run,
                                 tsp_error *err);

/* What happened, in a sentence or a few: why the rate fell or rose, and whether a health that came back means a clock
 * that came back. Appended to ret_text, a line each; nothing when nothing changed. */
void tspi_timeline_explain(const tspi_run_result *run, tspi_buf *ret_text);

#endif
