#include <strings.h>

#include "wire/wire_scan.h"

#define LETTER(c) (1u << ((c)&31))
const uint32_t tspi_attr_first_letters[32] = {
    [5] = LETTER('e') | LETTER('i'),
    [9] = LETTER('s'),
    [10] = LETTER('e'),
    [16] = LETTER('h') | LETTER('g') | LETTER('o') | LETTER('@'),
    [18] = LETTER('g'),
    [19] = LETTER('m'),
    [20] = LETTER('r'),
    [24] = LETTER('m') | LETTER('r') | LETTER('j') | LETTER('t'),
    [25] = LETTER('h'),
};

#define IS(word) (!memcmp(key, "" word, sizeof(word) - 1))

/* By length first: nearly every key is dismissed by one jump. */
enum tspi_attr tspi_attr_find(const char *key, size_t len)
{
    switch (len) {
    case 5:
        return IS("error") ? TSPI_ATTR_ERROR : IS("index") ? TSPI_ATTR_TOKEN_INDEX : TSPI_ATTR_OTHER;
    case 9:
        return IS("span.kind") ? TSPI_ATTR_SPAN_KIND : TSPI_ATTR_OTHER;
    case 10:
        return IS("error.type") ? TSPI_ATTR_ERROR_TYPE : TSPI_ATTR_OTHER;
    case 16:
        return IS("http.status_code")   ? TSPI_ATTR_HTTP_STATUS
               : IS("grpc.status_code") ? TSPI_ATTR_GRPC_STATUS
               : IS("otel.status_code") ? TSPI_ATTR_OTEL_STATUS
               : IS("@jaeger@warnings") ? TSPI_ATTR_WARNINGS
                                        : TSPI_ATTR_OTHER;
    case 18:
        return IS("gen_ai.token.index") ? TSPI_ATTR_TOKEN_INDEX : TSPI_ATTR_OTHER;
    case 19:
        return IS("messaging.operation") ? TSPI_ATTR_OPERATION : TSPI_ATTR_OTHER;
    case 20:
        return IS("rpc.grpc.status_code") ? TSPI_ATTR_GRPC_STATUS : TSPI_ATTR_OTHER;
    case 24:
        return IS("messaging.operation.type")   ? TSPI_ATTR_OPERATION
               : IS("rpc.response.status_code") ? TSPI_ATTR_GRPC_STATUS
               : IS("jaeger.internal.warnings") ? TSPI_ATTR_WARNINGS
               : IS("truespan.stream.sequence") ? TSPI_ATTR_SEQUENCE
                                                : TSPI_ATTR_OTHER;
    case 25:
        return IS("http.response.status_code") ? TSPI_ATTR_HTTP_STATUS : TSPI_ATTR_OTHER;
    default:
        return TSPI_ATTR_OTHER;
    }
}

static bool text_is(tspi_text text, const char *word)
{
    return text.len == strlen(word) && !strncasecmp(text.text, word, text.len);
}

static bool text_has(tspi_text text, const char *word)
{
    size_t n = strlen(word);

    for (size_t at = 0; at + n <= text.len; at++)
        if (!strncasecmp(text.text + at, word, n))
            return true;
    return false;
}

static bool speaks_of_deadline(tspi_text text)
{
    return text_has(text, "timeout") || text_has(text, "timed out") || text_has(text, "timedout") ||
           text_has(text, "deadline") || text_has(text, "cancel");
}

static enum tspi_operation operation_of(tspi_text text)
{
    static const struct {
        const char *word;
        enum tspi_operation operation;
    } words[] = {{"create", TSPI_OPERATION_CREATE},   {"send", TSPI_OPERATION_SEND},
                 {"publish", TSPI_OPERATION_SEND},    {"receive", TSPI_OPERATION_RECEIVE},
                 {"process", TSPI_OPERATION_PROCESS}, {"deliver", TSPI_OPERATION_PROCESS},
                 {"settle", TSPI_OPERATION_SETTLE}};

    for (size_t k = 0; k < sizeof words / sizeof words[0]; k++)
        if (text_is(text, words[k].word))
            return words[k].operation;
    return TSPI_OPERATION_NONE;
}

static enum tspi_span_kind kind_of(tspi_text text)
{
    static const char *const words[] = {"unspecified", "internal", "server", "client", "producer", "consumer"};

    for (unsigned k = 0; k < sizeof words / sizeof words[0]; k++)
        if (text_is(text, words[k]))
            return (enum tspi_span_kind)k;
    return TSPI_KIND_UNSPECIFIED;
}

static bool is_number(const tspi_value *value, int64_t *ret_number)
{
    if (value->type == TSPI_VALUE_INT) {
        *ret_number = value->number;
        return true;
    }
    return (value->type == TSPI_VALUE_TEXT || value->type == TSPI_VALUE_DOUBLE) && value->text.len &&
           tspi_json_number_text((const uint8_t *)value->text.text, value->text.len, 0, ret_number) == TSPI_JSON_NUMBER;
}

/* gRPC: 1 cancelled and 4 deadline exceeded are ends that one side decided alone. */
static uint16_t grpc_flags(const tspi_value *value)
{
    int64_t number;

    if (is_number(value, &number))
        return number == 1 || number == 4 ? TSPI_SPAN_ERROR | TSPI_SPAN_TIMEOUT : number ? TSPI_SPAN_ERROR : 0;
    if (text_is(value->text, "OK") || !value->text.len)
        return 0;
    return speaks_of_deadline(value->text) ? TSPI_SPAN_ERROR | TSPI_SPAN_TIMEOUT : TSPI_SPAN_ERROR;
}

/* HTTP: 408, 504 and nginx's 499 likewise. Other status codes are left to the span's own status. */
static uint16_t http_flags(const tspi_value *value)
{
    int64_t number;

    if (is_number(value, &number) && (number == 408 || number == 499 || number == 504))
        return TSPI_SPAN_TIMEOUT;
    return 0;
}

static uint16_t error_flags(enum tspi_attr attr, const tspi_value *value)
{
    if (value->type == TSPI_VALUE_BOOL)
        return value->number ? TSPI_SPAN_ERROR : 0;
    if (text_is(value->text, "false") || (attr == TSPI_ATTR_ERROR_TYPE && !value->text.len))
        return 0;
    return speaks_of_deadline(value->text) ? TSPI_SPAN_ERROR | TSPI_SPAN_TIMEOUT : TSPI_SPAN_ERROR;
}

void tspi_scan_attribute(tspi_scan *scan, enum tspi_attr attr, const tspi_value *value)
{
    tspi_raw_span *span = &scan->span;

    if (value->type == TSPI_VALUE_NONE)
        return;
    switch (attr) {
    case TSPI_ATTR_OPERATION: {
        enum tspi_operation operation = operation_of(value->text);
        if (operation)
            span->operation = (uint8_t)operation;
        break;
    }
    case TSPI_ATTR_ERROR_TYPE:
    case TSPI_ATTR_ERROR:
        span->flags |= error_flags(attr, value);
        break;
    case TSPI_ATTR_GRPC_STATUS:
        span->flags |= grpc_flags(value);
        break;
    case TSPI_ATTR_HTTP_STATUS:
        span->flags |= http_flags(value);
        break;
    case TSPI_ATTR_OTEL_STATUS:
        span->flags |= text_is(value->text, "ERROR") ? TSPI_SPAN_ERROR : 0;
        break;
    case TSPI_ATTR_SPAN_KIND:
        if (!span->kind)
            span->kind = (uint8_t)kind_of(value->text);
        break;
    case TSPI_ATTR_SEQUENCE:
        if (is_number(value, &span->sequence))
            span->has_sequence = true;
        break;
    case TSPI_ATTR_WARNINGS:
        tspi_scan_warning(scan, (const uint8_t *)value->text.text, value->text.len);
        break;
    case TSPI_ATTR_TOKEN_INDEX: /* of events; the readers take it themselves */
    case TSPI_ATTR_OTHER:
        break;
    }
}

void tspi_scan_warning(tspi_scan *scan, const uint8_t *text, size_t len)
{
    tspi_text warning = {(const char *)text, len};

    if (text_has(warning, "timestamps were adjusted by"))
        scan->span.flags |= TSPI_SPAN_ADJUSTED;
    if (text_has(warning, "not applying calculated delta"))
        scan->span.flags |= TSPI_SPAN_UNADJUSTED_DELTA;
}
