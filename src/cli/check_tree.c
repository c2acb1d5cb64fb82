#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/check_print.h"
#include "cli/table.h"
#include "cli/wrap.h"

/* Deeper spans are not indented further: a chain of a thousand would leave the screen. */
#define DEPTH_SHOWN 40

/* Of the worst trace, so that it does not push all else off the screen. */
#define WORST_LINES 12

enum { BAR_LEAST = 16, BAR_MOST = 60, BAR_BYTES = BAR_MOST * 4 };

/* Characters of names on a terminal; where a span's would get fewer the lengths are left out. */
enum { CLOCK_MOST = 16, NAME_LEAST = 30 };

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

typedef struct {
    int64_t from_ns, to_ns;
} stretch;

static void widen(stretch *s, const tsp_check_span *row)
{
    if (row->start_ns == TSP_NO_VALUE)
        return;
    int64_t end = row->end_ns == TSP_NO_VALUE ? row->start_ns : row->end_ns;
    int64_t least = row->start_ns < end ? row->start_ns : end, most = row->start_ns < end ? end : row->start_ns;
    s->from_ns = least < s->from_ns ? least : s->from_ns;
    s->to_ns = most > s->to_ns ? most : s->to_ns;
}

/* Bars get what the other columns leave, within reason. lines: which rows will be shown; NULL = all. They show all of
 * the time of those, or, where the offender and its parent would be a dot in it, the time about these. */
static time_scale find_scale(const tsp_check_span *rows, size_t n, const bool *lines, size_t offender,
                             const check_screen *screen)
{
    stretch all = {INT64_MAX, INT64_MIN}, pair = all;

    for (size_t k = 0; k < n; k++)
        if (!lines || lines[k])
            widen(&all, &rows[k]);
    if (!screen->columns || all.from_ns > all.to_ns)
        return (time_scale){0};
    unsigned columns = screen->columns / 3 < BAR_LEAST ? BAR_LEAST : screen->columns / 3;
    columns = columns > BAR_MOST ? BAR_MOST : columns;
    if (offender < n) {
        size_t parent = parent_line(rows, n, offender);
        widen(&pair, &rows[offender]);
        if (parent < n)
            widen(&pair, &rows[parent]);
    }
    double from = (double)all.from_ns, width = (double)all.to_ns - (double)all.from_ns;
    double near = (double)pair.to_ns - (double)pair.from_ns;
    if (pair.from_ns <= pair.to_ns && near > 0 && near * columns < width * 8) {
        from = (double)pair.from_ns - near / 4;
        width = 1.5 * near;
    }
    return (time_scale){from, (width > 0 ? width : 1) / columns, columns, screen->utf8};
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
    if ((start > end ? start : end) < scale->from_ns ||
        (start < end ? start : end) > scale->from_ns + scale->columns * scale->column_ns)
        return;
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

/* How a tree is laid out. columns 0: no terminal, lines as long as they need be. */
typedef struct {
    time_scale scale;
    const check_screen *screen;
    int indent;
    unsigned outdent;               /* levels of depth that all lines have */
    unsigned clock_room, name_room; /* characters; 0 = any */
    bool lengths;
} tree_layout;

/* What is left for names when stamps and bars have theirs; lengths go where that is little. */
static void find_rooms(const tsp_check_span *rows, size_t n, const bool *lines, int64_t origin_ns, tree_layout *l)
{
    unsigned starts = 5, lengths = 6, clocks = 5;
    char text[64];

    l->lengths = true;
    if (!l->screen->columns)
        return;
    for (size_t k = 0; k < n; k++) {
        if (lines && !lines[k])
            continue;
        stamp(&rows[k], origin_ns, text, sizeof text);
        starts = strlen(text) > starts ? (unsigned)strlen(text) : starts;
        length(&rows[k], text, sizeof text);
        lengths = strlen(text) > lengths ? (unsigned)strlen(text) : lengths;
        clocks = table_width_of(rows[k].clock) > clocks ? table_width_of(rows[k].clock) : clocks;
    }
    l->clock_room = clocks < CLOCK_MOST ? clocks : CLOCK_MOST;
    int room = (int)(l->screen->columns - l->scale.columns) - l->indent - (int)(starts + lengths + l->clock_room) - 8;
    if (room < NAME_LEAST) {
        l->lengths = false;
        room += (int)lengths + 2;
    }
    l->name_room = room < NAME_LEAST / 2 ? NAME_LEAST / 2 : (unsigned)room;
}

static void print_heads(table *t)
{
    table_init(t, "rrllll");
    table_add(t, "start");
    table_add(t, "length");
    table_add(t, "clock");
    table_add(t, "span");
    table_add(t, "");
    table_add(t, "");
}

static void add_line(table *t, const tsp_check_span *row, int64_t origin_ns, const tree_layout *l, const char *note)
{
    unsigned depth = row->depth > l->outdent ? row->depth - l->outdent : 0;
    char text[512];

    stamp(row, origin_ns, text, sizeof text);
    table_add(t, text);
    length(row, text, sizeof text);
    table_add(t, text);
    snprintf(text, sizeof text, "%s", row->clock);
    if (l->clock_room)
        table_clip(text, l->clock_room, l->screen->utf8);
    table_add(t, text);
    depth = depth < DEPTH_SHOWN ? depth : DEPTH_SHOWN;
    if (l->name_room && 2 * depth > l->name_room / 2)
        depth = l->name_room / 4;
    snprintf(text, sizeof text, "%*s%s%s%s", (int)depth * 2, "", row->name[0] ? row->name : row->span_id,
             row->kind[0] ? ", " : "", row->kind);
    if (l->name_room)
        table_clip(text, l->name_room, l->screen->utf8);
    table_add(t, text);
    bar(row, &l->scale, text);
    table_add(t, text);
    table_add_drawn(t, note);
}

/* One line of the table's text, and below it what is to be said of it; returns where the next begins. */
static const char *put_line(const char *text, const char *note, const tree_layout *l, FILE *out)
{
    size_t len = strcspn(text, "\n");

    fprintf(out, "%.*s\n", (int)len, text);
    if (note[0])
        fprintf(out, "%*s%s\n", l->indent + 4, "", note);
    return text + len + (text[len] != 0);
}

/* What is to be said of a line; lines beside it need a word, too: the offender's parent. */
static void note_of(const tsp_check_span *row, bool parent, const tree_layout *l, char *ret, size_t size)
{
    remark(row, l->screen->colour, ret, size);
    if (parent && !ret[0])
        snprintf(ret, size, "its parent");
}

/* Notes stand behind their lines; on a terminal, which has no room there, below them. */
static void print_below(const table *t, const tsp_check_span *rows, size_t n, const bool *lines, const tree_layout *l,
                        FILE *out)
{
    char *text = NULL, note[300];
    size_t len = 0;
    FILE *drawn = open_memstream(&text, &len);

    if (!drawn)
        return;
    table_print(t, l->indent, drawn);
    fclose(drawn);
    const char *at = text ? put_line(text, "", l, out) : "";
    for (size_t k = 0; k < n; k++)
        if (!lines || lines[k]) {
            note_of(&rows[k], false, l, note, sizeof note);
            at = put_line(at, note, l, out);
        }
    free(text);
}

/* lines: which to print, NULL = all. offender: the line whose parent is named as such; n = none. */
static void print_lines(const tsp_check_span *rows, size_t n, const bool *lines, size_t offender, tree_layout *l,
                        FILE *out)
{
    const int64_t origin_ns = earliest(rows, n);
    size_t parent = offender < n ? parent_line(rows, n, offender) : n;
    bool below = l->screen->columns;
    char note[300] = "";
    table t;

    l->scale = find_scale(rows, n, lines, offender, l->screen);
    find_rooms(rows, n, lines, origin_ns, l);
    print_heads(&t);
    for (size_t k = 0; k < n; k++) {
        if (lines && !lines[k])
            continue;
        if (!below)
            note_of(&rows[k], k == parent, l, note, sizeof note);
        add_line(&t, &rows[k], origin_ns, l, note);
    }
    t.hidden[1] = !l->lengths;
    t.hidden[5] = below;
    if (below)
        print_below(&t, rows, n, lines, l, out);
    else
        table_print(&t, l->indent, out);
    table_release(&t);
}

void check_print_tree(const tsp_check *check, const char *trace_id, const check_screen *screen, FILE *out)
{
    size_t n;
    const tsp_check_span *rows = tsp_check_tree(check, &n);
    tree_layout layout = {.screen = screen};

    fprintf(out, "Trace %s: %zu span%s; times in ms\n\n", trace_id, n, n == 1 ? "" : "s");
    print_lines(rows, n, NULL, n, &layout, out);
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

/* Levels of depth that all lines have. */
static unsigned least_depth(const tsp_check_span *rows, size_t n, const bool *lines)
{
    unsigned least = UINT_MAX;

    for (size_t k = 0; k < n; k++)
        if (lines[k] && rows[k].depth < least)
            least = rows[k].depth;
    return least;
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
    wrap w;
    FILE *head = wrap_begin(&w, out);
    fprintf(head, "\nThe worst trace, %s; times in ms", worst->trace_id);
    if (shown < n)
        fprintf(head, "; %zu of its %zu spans, --trace shows all", shown, n);
    fputc('\n', head);
    wrap_end(&w);
    tree_layout layout = {.screen = screen, .indent = 2, .outdent = least_depth(rows, n, lines)};
    print_lines(rows, n, lines, offender, &layout, out);
    free(lines);
}
