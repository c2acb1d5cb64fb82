#include "report/perfetto.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "report/lanes.h"
#include "report/trace_pack.h"

/* Perfetto takes a thread whose number is its process's for the main one: none is. */
enum { FIRST_TRACK = 10 };

typedef struct {
    const tspi_mend *mend;
    const tspi_pick *pick;
    tspi_buf *out;
    int64_t origin_ns;
    bool after; /* the corrected group */
    uint64_t flows;
    tspi_lane_span *spans; /* owned */
    size_t spans_n;
    uint32_t *lanes; /* owned; a row a clock: how many */
    uint32_t *tids;  /* owned; a row a clock: of its first lane */
    uint32_t *where; /* owned; a row a span of the set: 1 + row in spans */
    bool any;
} writer;

static tspi_mend_stamps stamps_of(const writer *w, uint32_t row)
{
    const tspi_span *span = &w->mend->set.spans[row];

    return w->after ? (tspi_mend_stamps){span->start_ns, span->end_ns} : tspi_mend_raw(w->mend, row);
}

/* What is drawn: a span has a start, and a length of at least 1 ns. */
static bool drawn(const writer *w, uint32_t row, tspi_lane_span *ret)
{
    tspi_mend_stamps s = stamps_of(w, row);

    if (s.start_ns == TSPI_NO_STAMP)
        return false;
    *ret = (tspi_lane_span){.start_ns = s.start_ns,
                            .end_ns = s.end_ns != TSPI_NO_STAMP && s.end_ns > s.start_ns ? s.end_ns : s.start_ns + 1,
                            .row = row,
                            .clock = w->mend->set.processes[w->mend->set.spans[row].process].clock};
    return true;
}

static void put_us(writer *w, const char *key, int64_t ns)
{
    uint64_t size = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;

    tspi_buf_printf(w->out, "\"%s\":%s%" PRIu64 ".%03" PRIu64, key, ns < 0 ? "-" : "", size / 1000, size % 1000);
}

static void begin_event(writer *w)
{
    tspi_buf_puts(w->out, w->any ? ",\n{" : "\n{");
    w->any = true;
}

static void put_name(writer *w, const char *what, uint32_t tid, const char *name, uint32_t copy)
{
    begin_event(w);
    tspi_buf_printf(w->out, "\"ph\":\"M\",\"pid\":%d,\"tid\":%u,\"name\":\"%s\",\"args\":{\"name\":", 1 + w->after, tid,
                    what);
    if (copy) {
        tspi_buf text = {0};
        tspi_buf_printf(&text, "%.160s (%u)", name, copy + 1);
        tspi_buf_putc(&text, '\0');
        tspi_put_short_text(w->out, text.data ? (char *)text.data : "");
        tspi_buf_release(&text);
    } else
        tspi_put_short_text(w->out, name);
    tspi_buf_puts(w->out, "}}");
}

static void put_sort_index(writer *w, const char *what, uint32_t tid, uint32_t index)
{
    begin_event(w);
    tspi_buf_printf(w->out, "\"ph\":\"M\",\"pid\":%d,\"tid\":%u,\"name\":\"%s\",\"args\":{\"sort_index\":%u}}",
                    1 + w->after, tid, what, index);
}

static void put_tracks(writer *w)
{
    put_name(w, "process_name", 0, w->after ? "corrected" : "as stamped", 0);
    put_sort_index(w, "process_sort_index", 0, w->after);
    for (uint32_t c = 0; c < w->mend->causal.clocks.clocks_n; c++)
        for (uint32_t lane = 0; lane < w->lanes[c]; lane++) {
            put_name(w, "thread_name", w->tids[c] + lane, w->mend->causal.clocks.clocks[c].name, lane);
            put_sort_index(w, "thread_sort_index", w->tids[c] + lane, w->tids[c] + lane);
        }
}

static void put_id(writer *w, const char *key, uint64_t id)
{
    tspi_buf_printf(w->out, ",\"%s\":\"%016" PRIx64 "\"", key, id);
}

static void put_span(writer *w, const tspi_lane_span *s)
{
    static const char *const kinds[] = {"span", "internal", "server", "client", "producer", "consumer"};
    const tspi_span *span = &w->mend->set.spans[s->row];
    const tspi_trace_id *trace = &w->mend->set.traces[span->trace];
    const tspi_mend_stamps raw = tspi_mend_raw(w->mend, s->row);

    begin_event(w);
    tspi_buf_printf(w->out, "\"ph\":\"X\",\"pid\":%d,\"tid\":%u,\"cat\":\"%s\",\"name\":", 1 + w->after,
                    w->tids[s->clock] + s->lane, kinds[span->kind < 6 ? span->kind : 0]);
    tspi_put_short_text(w->out, w->mend->set.names[span->name]);
    tspi_buf_putc(w->out, ',');
    put_us(w, "ts", s->start_ns - w->origin_ns);
    tspi_buf_putc(w->out, ',');
    put_us(w, "dur", s->end_ns - s->start_ns);
    tspi_buf_puts(w->out, ",\"args\":{\"trace_id\":\"");
    if (trace->hi)
        tspi_buf_printf(w->out, "%016" PRIx64, trace->hi);
    tspi_buf_printf(w->out, "%016" PRIx64 "\"", trace->lo);
    put_id(w, "span_id", span->span_id);
    if (span->parent_id)
        put_id(w, "parent_span_id", span->parent_id);
    tspi_mend_stamps now = stamps_of(w, s->row);
    tspi_buf_printf(w->out, ",\"start\":\"%" PRId64 "\"", now.start_ns);
    if (now.end_ns != TSPI_NO_STAMP)
        tspi_buf_printf(w->out, ",\"end\":\"%" PRId64 "\"", now.end_ns);
    if (w->after)
        tspi_buf_printf(w->out, ",\"moved_ns\":%" PRId64, span->start_ns - raw.start_ns);
    tspi_buf_puts(w->out, "}}");
}

/* One end of an arrow: inside its span, or the viewer finds nothing to hang it on. */
static void put_arrow_end(writer *w, const tspi_lane_span *at, bool at_end, bool start, bool violated, const char *name)
{
    begin_event(w);
    tspi_buf_printf(w->out, "\"ph\":\"%s\",%s\"pid\":%d,\"tid\":%u,\"id\":%" PRIu64 ",\"cat\":\"%s\",\"name\":\"%s\",",
                    start ? "s" : "f", start ? "" : "\"bp\":\"e\",", 1 + w->after, w->tids[at->clock] + at->lane,
                    w->flows, violated ? "violation" : "hop", name);
    put_us(w, "ts", (at_end ? at->end_ns - 1 : at->start_ns) - w->origin_ns);
    tspi_buf_putc(w->out, '}');
}

static int64_t point_of(const tspi_lane_span *s, bool at_end)
{
    return at_end ? s->end_ns - 1 : s->start_ns;
}

static void put_arrow(writer *w, const tspi_pair *pair)
{
    uint32_t from = w->where[pair->from_span], to = w->where[pair->to_span];

    if (!from || !to || pair->relation == TSPI_HOP_TOKEN || pair->from_span == pair->to_span)
        return;
    const tspi_lane_span *sent = &w->spans[from - 1], *received = &w->spans[to - 1];
    tspi_mend_stamps s = stamps_of(w, pair->from_span), r = stamps_of(w, pair->to_span);
    int64_t by_ns = (pair->from_end ? s.end_ns : s.start_ns) - (pair->to_end ? r.end_ns : r.start_ns);
    bool violated = by_ns >= pair->allowance_ns;
    bool backward = point_of(sent, pair->from_end) > point_of(received, pair->to_end);
    char by[32], name[64];

    tspi_duration_format(by_ns, by, sizeof by);
    snprintf(name, sizeof name, violated ? "received %s before sent" : "%s",
             violated     ? by
             : pair->soft ? "answer"
                          : "hop");
    w->flows++;
    if (backward) {
        put_arrow_end(w, received, pair->to_end, true, violated, name);
        put_arrow_end(w, sent, pair->from_end, false, violated, name);
    } else {
        put_arrow_end(w, sent, pair->from_end, true, violated, name);
        put_arrow_end(w, received, pair->to_end, false, violated, name);
    }
}

static void find_origin(writer *w)
{
    bool known = false;

    for (size_t k = 0; k < w->mend->set.spans_n; k++) {
        const int64_t stamps[] = {tspi_mend_raw(w->mend, k).start_ns, w->mend->set.spans[k].start_ns};
        if (!tspi_pick_has(w->pick, &w->mend->set, k))
            continue;
        for (int s = 0; s < 2; s++)
            if (stamps[s] != TSPI_NO_STAMP && (!known || stamps[s] < w->origin_ns)) {
                w->origin_ns = stamps[s];
                known = true;
            }
    }
}

static tsp_status arrange(writer *w, tsp_error *err)
{
    uint32_t clocks_n = w->mend->causal.clocks.clocks_n, tid = FIRST_TRACK;

    w->spans_n = 0;
    memset(w->where, 0, w->mend->set.spans_n * sizeof *w->where);
    for (size_t k = 0; k < w->mend->set.spans_n; k++)
        if (tspi_pick_has(w->pick, &w->mend->set, k) && !tspi_join_is_copy(&w->mend->causal.join, k) &&
            drawn(w, (uint32_t)k, &w->spans[w->spans_n]))
            w->spans_n++;
    tsp_status rc = tspi_lanes_assign(w->spans, w->spans_n, clocks_n, w->lanes, err);
    for (uint32_t c = 0; c < clocks_n; c++) {
        w->tids[c] = tid;
        tid += w->lanes[c] ? w->lanes[c] : 1;
    }
    for (size_t k = 0; k < w->spans_n; k++)
        w->where[w->spans[k].row] = (uint32_t)k + 1;
    return rc;
}

static tsp_status put_group(writer *w, bool after, tsp_error *err)
{
    w->after = after;
    tsp_status rc = arrange(w, err);
    if (rc != TSP_OK)
        return rc;
    put_tracks(w);
    for (size_t k = 0; k < w->spans_n; k++)
        put_span(w, &w->spans[k]);
    for (size_t k = 0; k < w->pick->pairs_n; k++)
        put_arrow(w, &w->pick->pairs[k]);
    return TSP_OK;
}

tsp_status tspi_perfetto_write(const tspi_mend *mend, const tspi_pick *pick, tspi_buf *out, tsp_error *err)
{
    size_t clocks_n = mend->causal.clocks.clocks_n;
    writer w = {.mend = mend, .pick = pick, .out = out};
    tsp_status rc = TSP_OK;

    w.spans = malloc((mend->set.spans_n + 1) * sizeof *w.spans);
    w.where = malloc((mend->set.spans_n + 1) * sizeof *w.where);
    w.lanes = calloc(clocks_n + 1, sizeof *w.lanes);
    w.tids = calloc(clocks_n + 1, sizeof *w.tids);
    if (!w.spans || !w.where || !w.lanes || !w.tids)
        rc = tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by the tracks of a trace");
    find_origin(&w);
    tspi_buf_puts(out, "{\"displayTimeUnit\":\"ns\",\n\"otherData\":{\"producer\":\"truespan " TSP_VERSION "\"");
    tspi_buf_printf(out, ",\"origin_unix_nano\":\"%" PRId64 "\"},\n\"traceEvents\":[", w.origin_ns);
    for (int after = 0; after < 2 && rc == TSP_OK; after++)
        rc = put_group(&w, after, err);
    tspi_buf_puts(out, "\n]}\n");
    if (rc == TSP_OK && !tspi_buf_ok(out))
        rc = tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by the tracks of a trace");
    free(w.spans);
    free(w.where);
    free(w.lanes);
    free(w.tids);
    return rc;
}
