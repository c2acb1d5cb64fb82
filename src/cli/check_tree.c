#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/check_print.h"
#include "cli/table.h"

/* Deeper spans are not indented further: a chain of a thousand would leave the screen. */
#define DEPTH_SHOWN 40

/* Of the worst trace, so that it does not push all else off the screen. */
#define WORST_LINES 12

enum { BAR_LEAST = 16, BAR_MOST = 60, BAR_BYTES = BAR_MOST * 4 };

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

/* Depth first, so a parent is the last line before that is one less deep. n: there is none. */
static size_t parent_line(const tsp_check_span *rows, size_t n, size_t line)
{
    size_t k = line;

    while (k > 0 && rows[line].depth)
        if (rows[--k].depth < rows[line].depth)
            return k;
    return n;
}

typedef struct {
    double from_ns, column_ns;
    unsigned columns; /* 0 = no bars */
    bool utf8;
} time_scale;

/* Bars get what the other columns leave, within reason. lines: which rows will be shown; NULL = all. */
static time_scale find_scale(const tsp_check_span *rows, size_t n, const bool *lines, const check_screen *screen)
{
    int64_t from = INT64_MAX, to = INT64_MIN;

    for (size_t k = 0; k < n; k++) {
        if ((lines && !lines[k]) || rows[k].start_ns == TSP_NO_VALUE)
            continue;
        int64_t end = rows[k].end_ns == TSP_NO_VALUE ? rows[k].start_ns : rows[k].end_ns;
        int64_t least = rows[k].start_ns < end ? rows[k].start_ns : end;
        int64_t most = rows[k].start_ns < end ? end : rows[k].start_ns;
        from = least < from ? least : from;
        to = most > to ? most : to;
    }
    if (!screen->columns || from > to)
        return (time_scale){0};
    unsigned columns = screen->columns / 3 < BAR_LEAST ? BAR_LEAST : screen->columns / 3;
    columns = columns > BAR_MOST ? BAR_MOST : columns;
    double width = (double)to - (double)from;
    return (time_scale){(double)from, (width > 0 ? width : 1) / columns, columns, screen->utf8};
}

static unsigned column_of(const time_scale *scale, double ns)
{
    double column = (ns - scale->from_ns) / scale->column_ns;

    if (column < 0)
        return 0;
    return column >= scale->columns ? scale->columns - 1 : (unsigned)column;
}

/* A span as a bar; what lies before its cause or after the call that it answers is hatched. */
static void bar(const tsp_check_span *row, const time_scale *scale, char ret[BAR_BYTES])
{
    static const char *const glyphs[2][3] = {{"=", "<", ">"}, {"━", "░", "░"}};
    size_t len = 0;

    ret[0] = 0;
    if (!scale->columns || row->start_ns == TSP_NO_VALUE)
        return;
    double start = (double)row->start_ns, end = row->end_ns == TSP_NO_VALUE ? start : (double)row->end_ns;
    unsigned first = column_of(scale, start < end ? start : end), last = column_of(scale, start < end ? end : start);
    /* A hop that is off by longer than its span lasts makes the hatch longer than the bar: up to where it should be. */
    unsigned early = row->hop_by_ns > 0 ? column_of(scale, start + (double)row->hop_by_ns) : 0;
    unsigned late = row->reply_by_ns > 0 ? column_of(scale, end - (double)row->reply_by_ns) : scale->columns;
    if (row->hop_by_ns > 0 && early == first)
        early++;
    if (row->reply_by_ns > 0 && late == last)
        late = last ? last - 1 : 0;
    unsigned stop = row->hop_by_ns > 0 && early > last + 1 ? early - 1 : last;
    for (unsigned k = 0; k <= stop && k < scale->columns; k++) {
        int kind = k < first ? -1 : row->hop_by_ns > 0 && k < early ? 1 : row->reply_by_ns > 0 && k > late ? 2 : 0;
        len += (size_t)snprintf(ret + len, BAR_BYTES - len, "%s", kind < 0 ? " " : glyphs[scale->utf8][kind]);
    }
}

static void print_heads(table *t, const char *bars)
{
    table_init(t, "rrllll");
    table_add(t, "start");
    table_add(t, "length");
    table_add(t, "clock");
    table_add(t, "span");
    table_add(t, bars);
    table_add(t, "");
}

static void add_line(table *t, const tsp_check_span *row, int64_t origin_ns, unsigned outdent, const time_scale *scale,
                     const char *note)
{
    char text[BAR_BYTES];

    stamp(row, origin_ns, text, sizeof text);
    table_add(t, text);
    length(row, text, sizeof text);
    table_add(t, text);
    table_add(t, row->clock);
    unsigned depth = row->depth > outdent ? row->depth - outdent : 0;
    depth = depth < DEPTH_SHOWN ? depth : DEPTH_SHOWN;
    table_addf(t, "%*s%s%s%s", (int)depth * 2, "", row->name[0] ? row->name : row->span_id, row->kind[0] ? ", " : "",
               row->kind);
    bar(row, scale, text);
    table_add(t, text);
    table_add_drawn(t, note);
}

void check_print_tree(const tsp_check *check, const char *trace_id, const check_screen *screen, FILE *out)
{
    size_t n;
    const tsp_check_span *rows = tsp_check_tree(check, &n);
    const time_scale scale = find_scale(rows, n, NULL, screen);
    const int64_t origin_ns = earliest(rows, n);
    char note[300];
    table t;

    fprintf(out, "Trace %s: %zu span%s; times in ms\n\n", trace_id, n, n == 1 ? "" : "s");
    print_heads(&t, "");
    for (size_t k = 0; k < n; k++) {
        remark(&rows[k], screen->colour, note, sizeof note);
        add_line(&t, &rows[k], origin_ns, 0, &scale, note);
    }
    table_print(&t, 0, out);
    table_release(&t);
}

/* The offending line of an example; n: it is not there. */
static size_t find_offender(const tsp_check_span *rows, size_t n, const tsp_check_example *worst)
{
    for (size_t k = 0; k < n; k++) {
        bool inverted =
            rows[k].start_ns != TSP_NO_VALUE && rows[k].end_ns != TSP_NO_VALUE && rows[k].end_ns < rows[k].start_ns;
        if (rows[k].hop_by_ns == worst->by_ns || rows[k].reply_by_ns == worst->by_ns ||
            (inverted && !strcmp(rows[k].span_id, worst->span_id)))
            return k;
    }
    return n;
}

/* The offender, its nearest ancestors, and what lies around it, WORST_LINES in all. */
static void choose_lines(const tsp_check_span *rows, size_t n, size_t offender, bool *ret)
{
    size_t left = WORST_LINES - 1;

    ret[offender] = true;
    for (size_t k = parent_line(rows, n, offender); k < n && left > WORST_LINES / 2; k = parent_line(rows, n, k)) {
        ret[k] = true;
        left--;
    }
    for (size_t far = 1; left && (far <= offender || offender + far < n); far++) {
        if (far <= offender && !ret[offender - far]) {
            ret[offender - far] = true;
            left--;
        }
        if (left && offender + far < n && !ret[offender + far]) {
            ret[offender + far] = true;
            left--;
        }
    }
}

static void print_lines(const tsp_check_span *rows, size_t n, const bool *lines, size_t offender,
                        const check_screen *screen, FILE *out)
{
    const time_scale scale = find_scale(rows, n, lines, screen);
    size_t parent = parent_line(rows, n, offender);
    unsigned outdent = UINT_MAX;
    const int64_t origin_ns = earliest(rows, n);
    char note[300];
    table t;

    for (size_t k = 0; k < n; k++)
        if (lines[k] && rows[k].depth < outdent)
            outdent = rows[k].depth;
    print_heads(&t, "");
    for (size_t k = 0; k < n; k++) {
        if (!lines[k])
            continue;
        remark(&rows[k], screen->colour, note, sizeof note);
        if (k == parent && !note[0])
            snprintf(note, sizeof note, "its parent");
        add_line(&t, &rows[k], origin_ns, outdent, &scale, note);
    }
    table_print(&t, 2, out);
    table_release(&t);
}

void check_print_worst(const tsp_check *check, const check_screen *screen, FILE *out)
{
    size_t n, examples_n, shown = 0;
    const tsp_check_span *rows = tsp_check_tree(check, &n);
    const tsp_check_example *worst = tsp_check_examples(check, &examples_n);
    size_t offender = screen->columns && n && examples_n ? find_offender(rows, n, worst) : n;
    bool *lines = offender < n ? calloc(n, sizeof *lines) : NULL;

    if (!lines)
        return;
    choose_lines(rows, n, offender, lines);
    for (size_t k = 0; k < n; k++)
        shown += lines[k];
    fprintf(out, "\nThe worst trace, %s; times in ms", worst->trace_id);
    if (shown < n)
        fprintf(out, "; %zu of its %zu spans, --trace shows all", shown, n);
    fputc('\n', out);
    print_lines(rows, n, lines, offender, screen, out);
    free(lines);
}
