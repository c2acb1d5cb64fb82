#include "report/trace_pack.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/saturate.h"

enum { NAME_BYTES = 200, NO_START = 8, NO_END = 16, ERROR = 32 };
enum { FROM_END = 8, TO_END = 16, SOFT = 32, VIOLATED = 64, LEFT = 128 };

typedef struct {
    const tspi_mend *mend;
    const tspi_pick *pick;
    uint32_t *rows;  /* owned; spans of picked traces, by place, then start */
    size_t *first;   /* owned; a row a picked trace: its first in rows; one more at the end */
    uint32_t *lines; /* owned; a row a span of the set: its line in its trace */
    uint32_t *names; /* owned; a row a name of the set: 1 + number on the page, 0 = not there */
    uint32_t names_n;
    tspi_buf index, text, bytes;
} packer;

void tspi_put_base64(tspi_buf *out, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    if (!tspi_buf_reserve(out, (len + 2) / 3 * 4))
        return;
    for (size_t k = 0; k < len; k += 3) {
        uint32_t three = (uint32_t)bytes[k] << 16 | (k + 1 < len ? (uint32_t)bytes[k + 1] << 8 : 0) |
                         (k + 2 < len ? bytes[k + 2] : 0);
        tspi_buf_putc(out, digits[three >> 18]);
        tspi_buf_putc(out, digits[three >> 12 & 63]);
        tspi_buf_putc(out, k + 1 < len ? digits[three >> 6 & 63] : '=');
        tspi_buf_putc(out, k + 2 < len ? digits[three & 63] : '=');
    }
}

void tspi_put_short_text(tspi_buf *out, const char *text)
{
    size_t len = strnlen(text, NAME_BYTES + 1);
    char cut[NAME_BYTES + 4];

    if (len <= NAME_BYTES) {
        tspi_buf_json_string(out, text, len);
        return;
    }
    /* Never in the middle of a character: a prefix that is no UTF-8 at all is cut where it is. */
    size_t at = NAME_BYTES;
    while (at > NAME_BYTES - 4 && ((uint8_t)text[at] & 0xC0) == 0x80)
        at--;
    memcpy(cut, text, at);
    memcpy(cut + at, "\xE2\x80\xA6", 3);
    tspi_buf_json_string(out, cut, at + 3);
}

static void put_number(tspi_buf *out, uint64_t n)
{
    for (; n >= 128; n >>= 7)
        tspi_buf_putc(out, (char)(n | 128));
    tspi_buf_putc(out, (char)n);
}

static void put_signed(tspi_buf *out, int64_t n)
{
    put_number(out, ((uint64_t)n << 1) ^ (uint64_t)(n >> 63));
}

/* ------------------------------------------------------------------ rows and lines */

static bool has(const packer *p, size_t row)
{
    return tspi_pick_has(p->pick, &p->mend->set, row) && !tspi_join_is_copy(&p->mend->causal.join, row);
}

static size_t place_of(const packer *p, uint32_t row)
{
    return p->pick->order[p->mend->set.spans[row].trace] - 1;
}

static int by_start(const void *a, const void *b, void *ctx)
{
    const packer *p = ctx;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    size_t px = place_of(p, x), py = place_of(p, y);
    int64_t sx = tspi_mend_raw(p->mend, x).start_ns, sy = tspi_mend_raw(p->mend, y).start_ns;

    if (px != py)
        return px < py ? -1 : 1;
    if (sx != sy)
        return sx < sy ? -1 : 1;
    return x < y ? -1 : x > y;
}

static tsp_status arrange(packer *p, tsp_error *err)
{
    const tspi_span_set *set = &p->mend->set;
    size_t n = 0;

    for (size_t k = 0; k < set->spans_n; k++)
        n += has(p, k);
    p->rows = malloc((n + 1) * sizeof *p->rows);
    p->first = calloc(p->pick->traces_n + 2, sizeof *p->first);
    p->lines = calloc(set->spans_n + 1, sizeof *p->lines);
    p->names = calloc(set->names_n + 1, sizeof *p->names);
    if (!p->rows || !p->first || !p->lines || !p->names)
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by the spans of a page");
    n = 0;
    for (size_t k = 0; k < set->spans_n; k++)
        if (has(p, k))
            p->rows[n++] = (uint32_t)k;
    if (n)
        qsort_r(p->rows, n, sizeof *p->rows, by_start, p);
    for (size_t k = 0; k < n; k++) {
        size_t place = place_of(p, p->rows[k]);
        if (!k || place != place_of(p, p->rows[k - 1]))
            p->first[place] = k;
        p->lines[p->rows[k]] = (uint32_t)(k - p->first[place]);
    }
    p->first[p->pick->traces_n] = n;
    return TSP_OK;
}

/* ------------------------------------------------------------------ one trace */

static uint32_t name_of(packer *p, uint32_t name)
{
    if (!p->names[name]) {
        tspi_buf_puts(&p->text, p->names_n ? "," : "");
        tspi_put_short_text(&p->text, p->mend->set.names[name]);
        p->names[name] = ++p->names_n;
    }
    return p->names[name] - 1;
}

/* A difference of stamps; 0 where one is absent. Stamps of hostile input may be 300 years apart, twice: saturate. */
static int64_t difference(int64_t a, int64_t b)
{
    return a == TSPI_NO_STAMP || b == TSPI_NO_STAMP ? 0 : tspi_sub_most(a, b);
}

static void put_span(packer *p, uint32_t row, int64_t origin_ns)
{
    const tspi_span_set *set = &p->mend->set;
    const tspi_span *span = &set->spans[row];
    const tspi_mend_stamps raw = tspi_mend_raw(p->mend, row);
    uint32_t parent = p->mend->causal.join.parent[row];
    bool known = parent != TSPI_NONE && set->spans[parent].trace == span->trace && has(p, parent);
    unsigned flags = span->kind & 7;

    flags |= raw.start_ns == TSPI_NO_STAMP ? NO_START : 0;
    flags |= raw.end_ns == TSPI_NO_STAMP ? NO_END : 0;
    flags |= span->flags & TSPI_SPAN_ERROR ? ERROR : 0;
    put_number(&p->bytes, known ? p->lines[parent] + 1 : 0);
    put_number(&p->bytes, set->processes[span->process].clock);
    put_number(&p->bytes, name_of(p, span->name));
    put_number(&p->bytes, flags);
    put_signed(&p->bytes, difference(raw.start_ns, origin_ns));
    put_signed(&p->bytes, difference(raw.end_ns, raw.start_ns));
    put_signed(&p->bytes, difference(span->start_ns, raw.start_ns));
    put_signed(&p->bytes, difference(span->end_ns, raw.end_ns));
    for (int shift = 56; shift >= 0; shift -= 8)
        tspi_buf_putc(&p->bytes, (char)(span->span_id >> shift));
}

static int64_t corrected(const packer *p, uint32_t row, bool end)
{
    const tspi_span *span = &p->mend->set.spans[row];

    return end ? span->end_ns : span->start_ns;
}

/* Returns whether the pair is still violated. */
static bool put_pair(packer *p, const tspi_pair *pair)
{
    int64_t by_ns =
        difference(corrected(p, pair->from_span, pair->from_end), corrected(p, pair->to_span, pair->to_end));
    bool left = by_ns >= pair->allowance_ns;
    unsigned flags = pair->relation & 7;

    flags |= pair->from_end ? FROM_END : 0;
    flags |= pair->to_end ? TO_END : 0;
    flags |= pair->soft ? SOFT : 0;
    flags |= pair->raw_by_ns >= pair->allowance_ns ? VIOLATED : 0;
    flags |= left ? LEFT : 0;
    put_number(&p->bytes, p->lines[pair->from_span]);
    put_number(&p->bytes, p->lines[pair->to_span]);
    put_number(&p->bytes, flags);
    put_signed(&p->bytes, pair->raw_by_ns);
    put_signed(&p->bytes, by_ns);
    return left;
}

/* Pairs into another trace have no line here. */
static bool is_inside(const packer *p, const tspi_pair *pair)
{
    const tspi_span *spans = p->mend->set.spans;

    return spans[pair->from_span].trace == spans[pair->to_span].trace && has(p, pair->from_span) &&
           has(p, pair->to_span);
}

static uint64_t put_pairs(packer *p, size_t first, size_t end)
{
    uint64_t n = 0, left = 0;

    for (size_t k = first; k < end; k++)
        n += is_inside(p, &p->pick->pairs[k]);
    put_number(&p->bytes, n);
    for (size_t k = first; k < end; k++)
        if (is_inside(p, &p->pick->pairs[k]))
            left += put_pair(p, &p->pick->pairs[k]);
    return left;
}

/* The first stamp of all, raw or corrected. */
static int64_t origin_of(const packer *p, size_t first, size_t end)
{
    int64_t least = INT64_MAX;

    for (size_t k = first; k < end; k++) {
        const tspi_mend_stamps raw = tspi_mend_raw(p->mend, p->rows[k]);
        const int64_t stamps[] = {raw.start_ns, raw.end_ns};
        for (int s = 0; s < 2; s++)
            if (stamps[s] != TSPI_NO_STAMP && stamps[s] < least)
                least = stamps[s];
    }
    return least == INT64_MAX ? 0 : least;
}

static void put_trace(packer *p, size_t place, size_t first_pair, size_t end_pair)
{
    const tspi_picked_trace *trace = &p->pick->traces[place];
    const tspi_trace_id *id = &p->mend->set.traces[trace->trace];
    size_t first = p->first[place], end = p->first[place + 1], at = p->bytes.len;
    int64_t origin_ns = origin_of(p, first, end);
    uint64_t left;

    for (size_t k = first; k < end; k++)
        put_span(p, p->rows[k], origin_ns);
    left = put_pairs(p, first_pair, end_pair);
    tspi_buf_puts(&p->index, place ? ",\n  [\"" : "\n  [\"");
    if (id->hi)
        tspi_buf_printf(&p->index, "%016" PRIx64, id->hi);
    tspi_buf_printf(&p->index,
                    "%016" PRIx64 "\",%" PRIu64 ",%zu,%" PRIu64 ",%" PRIu64 ",%" PRId64 ",\"%" PRId64 "\",%zu]", id->lo,
                    trace->spans, end - first, trace->violations, left, trace->worst_ns, origin_ns, at);
}

static void put_traces(packer *p)
{
    const tspi_span *spans = p->mend->set.spans;
    size_t pair = 0;

    for (size_t place = 0; place < p->pick->traces_n; place++) {
        size_t first = pair;
        while (pair < p->pick->pairs_n && p->pick->order[spans[p->pick->pairs[pair].to_span].trace] == place + 1)
            pair++;
        put_trace(p, place, first, pair);
    }
}

tsp_status tspi_trace_pack(const tspi_mend *mend, const tspi_pick *pick, tspi_buf *out, tspi_buf *bytes, tsp_error *err)
{
    packer p = {.mend = mend, .pick = pick};
    tsp_status rc = arrange(&p, err);

    if (rc == TSP_OK) {
        put_traces(&p);
        tspi_buf_printf(out, "{\"total\": %zu, \"spans\": %zu, \"names\": [", pick->total, mend->set.spans_n);
        tspi_buf_append(out, p.text.data, p.text.len);
        tspi_buf_puts(out, "], \"index\": [");
        tspi_buf_append(out, p.index.data, p.index.len);
        tspi_buf_puts(out, "]}");
        tspi_put_base64(bytes, p.bytes.data, p.bytes.len);
        if (!tspi_buf_ok(out) || !tspi_buf_ok(bytes) || !tspi_buf_ok(&p.index) || !tspi_buf_ok(&p.text) ||
            !tspi_buf_ok(&p.bytes))
            rc = tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by the traces of a page");
    }
    free(p.rows);
    free(p.first);
    free(p.lines);
    free(p.names);
    tspi_buf_release(&p.index);
    tspi_buf_release(&p.text);
    tspi_buf_release(&p.bytes);
    return rc;
}
