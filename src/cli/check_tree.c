#include <string.h>

#include "cli/check_print.h"
#include "cli/table.h"

/* Deeper spans are not indented further: a chain of a thousand would leave the screen. */
#define DEPTH_SHOWN 40

static int64_t earliest(const tsp_check_span *rows, size_t n)
{
    int64_t first = INT64_MAX;

    for (size_t k = 0; k < n; k++)
        if (rows[k].start_ns != TSP_NO_VALUE && rows[k].start_ns < first)
            first = rows[k].start_ns;
    return first;
}

static void stamp(const tsp_check_span *row, int64_t origin_ns, char *ret, size_t size)
{
    if (row->start_ns == TSP_NO_VALUE)
        snprintf(ret, size, "-");
    else
        snprintf(ret, size, "%.3f", (double)(row->start_ns - origin_ns) / 1e6);
}

static void length(const tsp_check_span *row, char *ret, size_t size)
{
    if (row->start_ns == TSP_NO_VALUE || row->end_ns == TSP_NO_VALUE)
        snprintf(ret, size, "-");
    else
        snprintf(ret, size, "%.3f", (double)(row->end_ns - row->start_ns) / 1e6);
}

static void remark(const tsp_check_span *row, bool colour, char *ret, size_t size)
{
    const char *red = colour ? "\033[31m" : "", *plain = colour ? "\033[0m" : "";
    char by[32];
    size_t len = 0;

    ret[0] = 0;
    if (row->hop_by_ns) {
        format_ns(row->hop_by_ns, by, sizeof by);
        len += (size_t)snprintf(ret + len, size - len, "%s<-- starts %s before its cause (%s)%s ", red, by,
                                tsp_cause_name(row->hop_cause), plain);
    }
    if (row->reply_by_ns && len < size) {
        format_ns(row->reply_by_ns, by, sizeof by);
        len += (size_t)snprintf(ret + len, size - len, "%s<-- ends %s after the call that it answers (%s)%s ", red, by,
                                tsp_cause_name(row->reply_cause), plain);
    }
    if (row->end_ns != TSP_NO_VALUE && row->start_ns != TSP_NO_VALUE && row->end_ns < row->start_ns && len < size)
        len += (size_t)snprintf(ret + len, size - len, "%s<-- ends before it starts%s ", red, plain);
    if (row->parent_missing && len < size)
        snprintf(ret + len, size - len, "(its parent is not in the input) ");
    size_t end = strlen(ret);
    if (end && ret[end - 1] == ' ')
        ret[end - 1] = 0;
}

void check_print_tree(const tsp_check *check, const char *trace_id, bool colour, FILE *out)
{
    size_t n;
    const tsp_check_span *rows = tsp_check_tree(check, &n);
    int64_t origin_ns = earliest(rows, n);
    char text[64], note[300];
    table t;

    fprintf(out, "Trace %s: %zu spans; times in ms\n\n", trace_id, n);
    table_init(&t, "rrlll");
    table_add(&t, "start");
    table_add(&t, "length");
    table_add(&t, "clock");
    table_add(&t, "span");
    table_add(&t, "");
    for (size_t k = 0; k < n; k++) {
        const tsp_check_span *row = &rows[k];
        stamp(row, origin_ns, text, sizeof text);
        table_add(&t, text);
        length(row, text, sizeof text);
        table_add(&t, text);
        table_add(&t, row->clock);
        unsigned depth = row->depth < DEPTH_SHOWN ? row->depth : DEPTH_SHOWN;
        table_addf(&t, "%*s%s%s%s", (int)depth * 2, "", row->name[0] ? row->name : row->span_id,
                   row->kind[0] ? ", " : "", row->kind);
        remark(row, colour, note, sizeof note);
        table_add(&t, note);
    }
    table_print(&t, 0, out);
    table_release(&t);
}
