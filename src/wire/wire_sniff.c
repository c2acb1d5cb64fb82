/* What a document is, from its first bytes. */
#include "wire/wire_scan.h"

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Text whose first two characters (without blanks) can begin a JSON object or array. */
static bool looks_like_json(const uint8_t *at, const uint8_t *end)
{
    if (end - at >= 3 && !memcmp(at, "\xef\xbb\xbf", 3))
        at += 3;
    while (at < end && (is_space(*at) || *at == 0x1e))
        at++;
    if (at == end || (*at != '{' && *at != '['))
        return false;
    for (at++; at < end && is_space(*at);)
        at++;
    return at == end || strchr("\"{[]}", *at);
}

/* The member names that tell, in the order in which they would be met from outside in. */
static enum tspi_format format_of_key(const tspi_json_text *key)
{
    static const struct {
        const char *word;
        enum tspi_format format;
    } words[] = {
        {"resourceSpans", TSPI_FORMAT_OTLP_JSON},     {"resource_spans", TSPI_FORMAT_OTLP_JSON},
        {"batches", TSPI_FORMAT_OTLP_JSON},           {"scopeSpans", TSPI_FORMAT_OTLP_JSON},
        {"scope_spans", TSPI_FORMAT_OTLP_JSON},       {"instrumentationLibrarySpans", TSPI_FORMAT_OTLP_JSON},
        {"startTimeUnixNano", TSPI_FORMAT_OTLP_JSON}, {"traceID", TSPI_FORMAT_JAEGER_JSON},
        {"spanID", TSPI_FORMAT_JAEGER_JSON},          {"processes", TSPI_FORMAT_JAEGER_JSON},
        {"processID", TSPI_FORMAT_JAEGER_JSON},       {"operationName", TSPI_FORMAT_JAEGER_JSON},
        {"traceId", TSPI_FORMAT_ZIPKIN_JSON}, /* in OTLP it lies deeper, behind resourceSpans */
        {"localEndpoint", TSPI_FORMAT_ZIPKIN_JSON},   {"parentId", TSPI_FORMAT_ZIPKIN_JSON},
    };

    for (size_t k = 0; k < sizeof words / sizeof words[0]; k++)
        if (tspi_json_is(key, words[k].word, strlen(words[k].word)))
            return words[k].format;
    return TSPI_FORMAT_AUTO;
}

/* Walk strings from the front; the first one that is a telling member name decides. Cut-off documents are fine. */
static enum tspi_format sniff_json(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *from = at;
    bool escaped, data = false;

    if (end - at > 1 << 20)
        end = at + (1 << 20);
    while ((at = memchr(at, '"', (size_t)(end - at)))) {
        const uint8_t *close = tspi_json_string_end(at + 1, end, &escaped);
        if (!close)
            break;
        tspi_json_text text = {at + 1, (size_t)(close - at - 1), escaped};
        at = tspi_json_space_end(close + 1, end);
        if (at == end)
            break;
        if (*at != ':')
            continue;
        enum tspi_format format = format_of_key(&text);
        if (format != TSPI_FORMAT_AUTO)
            return format;
        data |= TSPI_JSON_IS(&text, "data");
    }
    if (data)
        return TSPI_FORMAT_JAEGER_JSON; /* {"data": []}: a search that found nothing */
    /* Empty documents: [] is Zipkin's, {} is OTLP's. */
    at = tspi_json_space_end(from, end);
    const uint8_t *inner = at < end ? tspi_json_space_end(at + 1, end) : end;
    if (inner < end && *at == '[' && *inner == ']')
        return TSPI_FORMAT_ZIPKIN_JSON;
    if (inner < end && *at == '{' && *inner == '}')
        return TSPI_FORMAT_OTLP_JSON;
    return TSPI_FORMAT_AUTO;
}

static size_t be32(const uint8_t *at)
{
    return (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
}

/* A length-delimited field at at: its content's beginning, or NULL. */
static const uint8_t *enter_field(const uint8_t *at, const uint8_t *end, uint64_t *ret_len)
{
    uint64_t len = 0;

    for (unsigned shift = 0; at < end && shift < 63; shift += 7) {
        len |= (uint64_t)(*at & 0x7f) << shift;
        if (!(*at++ & 0x80)) {
            *ret_len = len;
            return at;
        }
    }
    return NULL;
}

/* Does at begin like a TracesData? Field 1, in it a field of ResourceSpans, in that one of Resource or ScopeSpans, each
 * no longer than the one around it. The outermost may be cut off by the end of what is here. */
static bool looks_like_proto(const uint8_t *at, const uint8_t *end)
{
    static const char inner[] = "\x0a\x12\x1a", innermost[] = "\x0a\x10\x12\x1a";
    uint64_t outer_len, len;

    if (at == end || *at != 0x0a || !(at = enter_field(at + 1, end, &outer_len)))
        return false;
    if (!outer_len)
        return true; /* an empty ResourceSpans */
    if (at == end)
        return true;
    if (at[0] == 0xc2) /* instrumentation_library_spans, number 1000 */
        return end - at > 1 && at[1] == 0x3e;
    if (!*at || !strchr(inner, *at))
        return false;
    bool text = *at == 0x1a; /* schema_url */
    const uint8_t *from = at;
    if (!(at = enter_field(at + 1, end, &len)) || len + (uint64_t)(at - from) > outer_len)
        return false;
    return !len || text || at == end || (*at && strchr(innermost, *at));
}

/* JSON of some other kind: the commonest are named. */
static tsp_status other_json(const uint8_t *bytes, size_t len, tsp_error *err)
{
    static const struct {
        const char *word, *what;
    } kinds[] = {{"\"traceEvents\"", "a Chrome or Perfetto trace"},
                 {"\"resourceLogs\"", "OTLP logs"},
                 {"\"resourceMetrics\"", "OTLP metrics"},
                 {"\"binaryAnnotations\"", "Zipkin v1, which no Zipkin has written since 2018"}};

    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        if (memmem(bytes, len < 4096 ? len : 4096, kinds[k].word, strlen(kinds[k].word)))
            return tsp_error_at(err, TSP_EPARSE, 0, "this is %s: spans as OTLP, Jaeger or Zipkin v2 are needed",
                                kinds[k].what);
    return tsp_error_at(err, TSP_EPARSE, 0,
                        "this is JSON, but none of OTLP's, Jaeger's or Zipkin v2's: it has no resourceSpans, traceID "
                        "or traceId");
}

static tsp_status unknown(const uint8_t *bytes, size_t len, tsp_error *err)
{
    if (len >= 4 && !memcmp(bytes, "PK\3\4", 4))
        return tsp_error_at(err, TSP_EPARSE, 0, "this is a zip archive: unpack it first");
    if (len >= 4 && !memcmp(bytes, "PAR1", 4))
        return tsp_error_at(err, TSP_EPARSE, 0, "this is a Parquet file: export it as OTLP first");
    if (*bytes == '<')
        return tsp_error_at(err, TSP_EPARSE, 0,
                            "this is HTML or XML, perhaps an error page instead of an API's answer");
    return tsp_error_at(err, TSP_EPARSE, 0,
                        "these bytes are neither OTLP (protobuf or JSON), Jaeger nor Zipkin v2 JSON; "
                        "name the format with --format if they should be");
}

tsp_status tspi_wire_sniff(const uint8_t *bytes, size_t len, enum tspi_format *ret_format, tsp_error *err)
{
    const uint8_t *end = bytes + len;

    *ret_format = TSPI_FORMAT_AUTO;
    if (!len)
        return tsp_error_at(err, TSP_ERANGE, 0, "there is nothing in it: an empty file holds no trace");
    if (looks_like_json(bytes, end)) {
        *ret_format = sniff_json(bytes, end);
        if (*ret_format == TSPI_FORMAT_AUTO)
            return other_json(bytes, len, err);
        return TSP_OK;
    }
    if (looks_like_proto(bytes, end))
        *ret_format = TSPI_FORMAT_OTLP_PROTO;
    else if (len >= 6 && looks_like_json(bytes + 4, end) && be32(bytes) <= len - 4)
        *ret_format = TSPI_FORMAT_OTLP_JSON;
    else if (len >= 4 && be32(bytes) <= len - 4 && (be32(bytes) ? looks_like_proto(bytes + 4, end) : len == 4))
        *ret_format = TSPI_FORMAT_OTLP_PROTO_FRAMED;
    return *ret_format == TSPI_FORMAT_AUTO ? unknown(bytes, len, err) : TSP_OK;
}
