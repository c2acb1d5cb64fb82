#include "lab/all_transports.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "lab/throughput.h"
#include "transport/transport.h"

static const char *const names[] = {"zmq", "kafka", "aeron"};
enum { NAMES_N = sizeof names / sizeof *names };

/* Rows of one array behind those of another; from keeps nothing. */
static bool append(void **rows, size_t *n, void *from, size_t from_n, size_t row_size)
{
    if (!from_n)
        return true;
    char *grown = realloc(*rows, (*n + from_n) * row_size);
    if (!grown)
        return false;
    memcpy(grown + *n * row_size, from, from_n * row_size);
    *rows = grown;
    *n += from_n;
    return true;
}

static tsp_status merge(tspi_lab_result *result, tspi_lab_result *one, tsp_error *err)
{
    if (!append((void **)&result->runs, &result->runs_n, one->runs, one->runs_n, sizeof *one->runs))
        goto no_memory;
    one->runs_n = 0;
    if (!append((void **)&result->throughput, &result->throughput_n, one->throughput, one->throughput_n,
                sizeof *one->throughput))
        goto no_memory;
    one->throughput_n = 0;
    if (!append((void **)&result->gaps, &result->gaps_n, one->gaps, one->gaps_n, sizeof *one->gaps))
        goto no_memory;
    if (!append((void **)&result->memory, &result->memory_n, one->memory, one->memory_n, sizeof *one->memory))
        goto no_memory;
    result->partial |= one->partial;
    result->netns = one->netns;
    result->seconds += one->seconds;
    snprintf(result->how, sizeof result->how, "%s", one->how);
    snprintf(result->outputs_note, sizeof result->outputs_note, "%s", one->outputs_note);
    return TSP_OK;
no_memory:
    return tsp_error_set(err, TSP_ENOMEM, "out of memory for the runs of several transports");
}

static void note_left_out(tspi_lab_result *result, const char *name, const char *why)
{
    tspi_left_out *left = &result->left_out[result->left_out_n++];

    snprintf(left->transport, sizeof left->transport, "%s", name);
    snprintf(left->why, sizeof left->why, "%.255s", why);
}

/* The folder's spec is the whole experiment's again, not the last transport's. */
static tsp_status write_spec(const tspi_spec *spec, const char *folder, tsp_error *err)
{
    char path[4200];
    tspi_buf yaml = {0};

    tspi_spec_write(spec, &yaml);
    snprintf(path, sizeof path, "%s/spec.yaml", folder);
    tsp_status rc = tspi_file_replace(path, yaml.data, yaml.len, err);
    tspi_buf_release(&yaml);
    return rc;
}

static tsp_status run_each(const tspi_spec *spec, const tspi_experiment_options *options, tspi_lab_result *result,
                           tsp_error *err)
{
    tsp_status rc = TSP_OK;

    for (size_t k = 0; k < NAMES_N && rc == TSP_OK && !result->partial; k++) {
        char name[16];
        tspi_spec mine = *spec;
        tspi_lab_result one = {0};
        tsp_error why = {0};
        if (!tspi_transport_find(names[k])) {
            note_left_out(result, names[k], "this build has none (docs/transports.md)");
            continue;
        }
        snprintf(name, sizeof name, "%s", names[k]);
        mine.transport = name;
        rc = tspi_experiment_run(&mine, options, &one, &why);
        if (rc == TSP_EUNSUPPORTED) {
            note_left_out(result, names[k], why.message);
            rc = TSP_OK;
        } else if (rc == TSP_OK)
            rc = merge(result, &one, err);
        else {
            *err = why;
            tsp_error_note(err, "%s", names[k]);
        }
        tspi_lab_result_release(&one);
    }
    if (rc == TSP_OK && !result->runs_n && !result->partial)
        return tsp_error_set(err, TSP_EUNSUPPORTED, "no transport could run: %s: %s", result->left_out[0].transport,
                             result->left_out[0].why);
    return rc;
}

tsp_status tspi_experiment_run_all(const tspi_spec *spec, const tspi_experiment_options *options,
                                   tspi_lab_result *ret_result, tsp_error *err)
{
    tspi_lab_result result = {0};

    if (strcmp(spec->transport, TSPI_TRANSPORT_ALL) != 0)
        return tspi_experiment_run(spec, options, ret_result, err);
    snprintf(result.folder, sizeof result.folder, "%s", options->folder);
    tsp_status rc = run_each(spec, options, &result, err);
    if (rc == TSP_OK)
        rc = write_spec(spec, options->folder, err);
    if (rc == TSP_OK)
        rc = tspi_throughput_pool(&result, err);
    if (rc != TSP_OK)
        tspi_lab_result_release(&result);
    else
        *ret_result = result;
    return rc;
}

/* ------------------------------------------------------------------ the verdict */

struct tally {
    const char *name;
    unsigned predicted, agree;
    const tspi_run_result *off; /* the first run that does not agree */
};

static size_t tally_all(const tspi_lab_result *result, struct tally *ret_tallies)
{
    size_t n = 0;

    for (size_t k = 0; k < result->runs_n; k++) {
        const tspi_run_result *run = &result->runs[k];
        if (!n || strcmp(ret_tallies[n - 1].name, run->transport) != 0)
            ret_tallies[n++] = (struct tally){.name = run->transport};
        int agrees = run->skew_ns ? tspi_run_agrees(run) : -1;
        struct tally *tally = &ret_tallies[n - 1];
        tally->predicted += agrees >= 0;
        tally->agree += agrees == 1;
        if (agrees == 0 && !tally->off)
            tally->off = run;
    }
    return n;
}

TSP_PRINTF(4, 5) static size_t put(char *text, size_t size, size_t at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text + at, size - at, format, args);
    va_end(args);
    return n > 0 && (size_t)n < size - at ? at + (size_t)n : size - 1;
}

void tspi_transports_verdict(const tspi_lab_result *result, char *ret_text, size_t size)
{
    struct tally tallies[NAMES_N] = {0};
    size_t n = tally_all(result, tallies), at;
    unsigned predicted = 0, agree = 0;

    ret_text[0] = '\0';
    if (n < 2)
        return;
    for (size_t k = 0; k < n; k++) {
        predicted += tallies[k].predicted;
        agree += tallies[k].agree;
    }
    if (!predicted)
        return;
    at = put(ret_text, size, 0, "%s: at %u of %u points (",
             agree == predicted ? "The transports agree" : "The transports do not all agree", agree, predicted);
    for (size_t k = 0; k < n; k++)
        at = put(ret_text, size, at, "%s%s %u of %u", k ? ", " : "", tallies[k].name, tallies[k].agree,
                 tallies[k].predicted);
    at = put(ret_text, size, at, ") the negative rate is the one that the transport's own hop delays predict");
    if (agree == predicted)
        at = put(ret_text, size, at, "; what differs between them is the delay");
    for (size_t k = 0; k < n; k++) {
        const tspi_run_result *off = tallies[k].off;
        char skew[32];
        if (!off)
            continue;
        tspi_duration_format(off->skew_ns, skew, sizeof skew);
        at = put(ret_text, size, at, "; %s at %s shows %.1f %% where %.1f %% were predicted", off->transport, skew,
                 100 * off->rate, 100 * off->predicted);
    }
    put(ret_text, size, at, ".");
}
