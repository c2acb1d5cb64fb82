#include "cli/fix_print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/table.h"
#include "cli/terminal.h"

enum { MOVES_SHOWN = 20 };

/* What a clock's stamps were moved by, at its last hop. Stamps move against the offset. */
static int64_t last_move(const tspi_mend *m, uint32_t clock)
{
    const tsp_clock_result *row = &m->answer.clocks[clock];

    return row->knots_n ? -tsp_track_offset(row->track, row->knots[row->knots_n - 1].at_ns) : 0;
}

static void violations_line(const char *what, const tspi_mend_violations *v, FILE *out)
{
    const struct {
        const char *name;
        uint64_t n;
    } kinds[] = {{"hard", v->hard},
                 {"soft", v->soft},
                 {"same clock", v->same_clock},
                 {"negative duration", v->negative_duration},
                 {"token order", v->token_order}};
    char n[32];
    bool any = false;

    format_count(v->total, n, sizeof n);
    fprintf(out, "%s %s", what, n);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        if (kinds[k].n) {
            format_count(kinds[k].n, n, sizeof n);
            fprintf(out, "%s%s %s", any ? ", " : " (", n, kinds[k].name);
            any = true;
        }
    fputs(any ? ")\n" : "\n", out);
}

typedef struct {
    uint32_t clock;
    int64_t by_ns;
} clock_move;

static int furthest_first(const void *a, const void *b)
{
    const clock_move *x = a, *y = b;
    uint64_t x_far = x->by_ns < 0 ? -(uint64_t)x->by_ns : (uint64_t)x->by_ns;
    uint64_t y_far = y->by_ns < 0 ? -(uint64_t)y->by_ns : (uint64_t)y->by_ns;

    return x_far != y_far ? (x_far < y_far ? 1 : -1) : (x->clock > y->clock) - (x->clock < y->clock);
}

/* Clocks in the input's order; of many the furthest, and how many more. */
static void moves_lines(const tspi_mend *m, FILE *out)
{
    clock_move *moves = malloc(((size_t)m->causal.clocks.clocks_n + 1) * sizeof *moves);
    char by[32], name[TERMINAL_NAME];
    size_t n = 0;

    for (uint32_t c = 0; moves && c < m->causal.clocks.clocks_n; c++)
        if (m->moves[c])
            moves[n++] = (clock_move){c, last_move(m, c)};
    if (n > MOVES_SHOWN)
        qsort(moves, n, sizeof *moves, furthest_first);
    for (size_t k = 0; k < n && k < MOVES_SHOWN; k++) {
        format_ns(moves[k].by_ns, by, sizeof by);
        fprintf(out, "%s moved by %s%s at the end\n",
                terminal_shown(m->causal.clocks.clocks[moves[k].clock].name, name, sizeof name),
                moves[k].by_ns > 0 ? "+" : "", by);
    }
    if (n > MOVES_SHOWN) {
        format_count(n - MOVES_SHOWN, by, sizeof by);
        fprintf(out, "and %s more by less; --json lists all\n", by);
    }
    free(moves);
}

void fix_print_text(const tspi_mend *m, const tspi_mend_outcome *o, FILE *out)
{
    char moved[32], spans[32];

    violations_line("violations before:", &o->before, out);
    violations_line("violations left:  ", &o->left, out);
    moves_lines(m, out);
    format_count(o->spans_moved, moved, sizeof moved);
    format_count(m->set.spans_n, spans, sizeof spans);
    fprintf(out, "%s of %s spans moved, %" PRIu64 " of %u clocks\n", moved, spans, o->clocks_moved,
            m->causal.clocks.clocks_n);
    if (o->clamped)
        fprintf(out, "%" PRIu64 " late stamp%s moved\n", o->clamped, o->clamped == 1 ? "" : "s");
    else if (o->left.hard + o->left.soft && m->lies_n)
        fputs("What is left between clocks no clock explains: stamps written late, or answers cut off.\n", out);
    if (o->left.same_clock + o->left.negative_duration)
        fputs("What contradicts itself on one clock is no matter of clocks, and was left.\n", out);
}

static void json_violations(tspi_buf *buf, const char *key, const tspi_mend_violations *v)
{
    tspi_buf_printf(buf,
                    "\"%s\": {\"total\": %" PRIu64 ", \"hard\": %" PRIu64 ", \"soft\": %" PRIu64
                    ", \"same_clock\": %" PRIu64 ", \"negative_duration\": %" PRIu64 ", \"token_order\": %" PRIu64
                    "},\n ",
                    key, v->total, v->hard, v->soft, v->same_clock, v->negative_duration, v->token_order);
}

void fix_print_json(const tspi_mend *m, const tspi_mend_outcome *o, FILE *out)
{
    tspi_buf buf = {0};
    bool any = false;

    tspi_buf_putc(&buf, '{');
    json_violations(&buf, "before", &o->before);
    json_violations(&buf, "left", &o->left);
    tspi_buf_printf(&buf,
                    "\"spans\": %zu, \"spans_moved\": %" PRIu64 ", \"late_stamps_moved\": %" PRIu64
                    ", \"largest_move_ns\": %" PRId64 ",\n \"clocks_moved\": [",
                    m->set.spans_n, o->spans_moved, o->clamped, o->largest_ns);
    for (uint32_t c = 0; c < m->causal.clocks.clocks_n; c++)
        if (m->moves[c]) {
            const char *name = m->causal.clocks.clocks[c].name;
            tspi_buf_puts(&buf, any ? ",\n  {\"clock\": " : "\n  {\"clock\": ");
            tspi_buf_json_string(&buf, name, strlen(name));
            tspi_buf_printf(&buf, ", \"by_ns\": %" PRId64 "}", last_move(m, c));
            any = true;
        }
    tspi_buf_puts(&buf, "]}\n");
    fwrite(buf.data, 1, buf.len, out);
    tspi_buf_release(&buf);
}
