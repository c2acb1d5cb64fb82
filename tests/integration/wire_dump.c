/* Prints what the readers make of files, a line a span and a process, for wire_oracle.py to compare.
 * With --shift NS each stamp is patched by that much first, and the patched bytes are read. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/wire.h"

static int64_t shift(void *ctx, const tspi_stamp_place *place)
{
    return place->ns + *(const int64_t *)ctx;
}

static void print_process(const tspi_process *process)
{
    for (uint32_t k = 0; k < process->attributes_n; k++)
        printf("%s%s=%s", k ? "\x1f" : "", process->attributes[k].key, process->attributes[k].value);
}

static void print_stamp(int64_t ns)
{
    if (ns == TSPI_NO_STAMP)
        printf(" -");
    else
        printf(" %" PRId64, ns);
}

static void print_set(const tspi_span_set *set)
{
    for (size_t k = 0; k < set->spans_n; k++) {
        const tspi_span *span = &set->spans[k];
        const tspi_trace_id *trace = &set->traces[span->trace];
        printf("span %016" PRIx64 "%016" PRIx64 " %016" PRIx64 " %016" PRIx64, trace->hi, trace->lo, span->span_id,
               span->parent_id);
        print_stamp(span->start_ns);
        print_stamp(span->end_ns);
        printf(" %u %s\t", span->kind, set->names[span->name]);
        print_process(&set->processes[span->process]);
        putchar('\n');
    }
    for (size_t k = 0; k < set->links_n; k++) {
        const tspi_link_row *link = &set->links[k];
        printf("link %" PRIu32 " %016" PRIx64 "%016" PRIx64 " %016" PRIx64 " %u\n", link->from,
               set->traces[link->trace].hi, set->traces[link->trace].lo, link->span_id, link->type);
    }
}

int main(int argc, char **argv)
{
    tspi_span_set set = {0};
    tspi_read_report report = {0};
    tsp_error err = {0};
    tspi_wire_options options = {0};
    int64_t by = 0;
    int k = 1;

    if (k + 1 < argc && !strcmp(argv[k], "--shift")) {
        by = strtoll(argv[k + 1], NULL, 10);
        k += 2;
    }
    tsp_status rc = k < argc ? tspi_wire_read_path(argv[k], &options, &set, &report, &err) : TSP_EINVAL;
    if (rc == TSP_OK && by && k + 1 < argc) {
        rc = tspi_wire_patch_document(&report.documents[0], argv[k + 1], &options, shift, &by, &err);
        tspi_span_set_release(&set);
        tspi_read_report_release(&report);
        if (rc == TSP_OK)
            rc = tspi_wire_read_path(argv[k + 1], &options, &set, &report, &err);
    }
    if (rc == TSP_OK)
        print_set(&set);
    else
        fprintf(stderr, "%s\n", err.message);
    tspi_span_set_release(&set);
    tspi_read_report_release(&report);
    return rc == TSP_OK ? 0 : 2;
}
