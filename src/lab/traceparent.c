#include "lab/traceparent.h"

#include <string.h>

void tspi_hex_write(const uint8_t *bytes, size_t n, char *ret_text)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t k = 0; k < n; k++) {
        ret_text[2 * k] = digits[bytes[k] >> 4];
        ret_text[2 * k + 1] = digits[bytes[k] & 15];
    }
}

/* 1 + the value of a lower-case hex digit; 0 = it is none. */
static const uint8_t hex_values[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

/* Returns false on a digit that is not lower-case hex. *ret_any: some byte is not zero. */
static bool hex_read(const char *text, size_t n, uint8_t *ret_bytes, bool *ret_any)
{
    unsigned any = 0, bad = 0;

    for (size_t k = 0; k < n; k++) {
        unsigned high = hex_values[(uint8_t)text[2 * k]], low = hex_values[(uint8_t)text[2 * k + 1]];
        bad |= !high | !low;
        ret_bytes[k] = (uint8_t)((high - 1) << 4 | (low - 1));
        any |= ret_bytes[k];
    }
    *ret_any = any != 0;
    return !bad;
}

void tspi_traceparent_write(const tspi_trace_context *context, char ret_text[TSPI_TRACEPARENT_LEN + 1])
{
    uint8_t span_id[8];

    for (int k = 0; k < 8; k++)
        span_id[k] = (uint8_t)(context->span_id >> (56 - 8 * k));
    memcpy(ret_text, "00-", 3);
    tspi_hex_write(context->trace_id, 16, ret_text + 3);
    ret_text[35] = '-';
    tspi_hex_write(span_id, 8, ret_text + 36);
    ret_text[52] = '-';
    tspi_hex_write(&context->flags, 1, ret_text + 53);
    ret_text[TSPI_TRACEPARENT_LEN] = '\0';
}

bool tspi_traceparent_parse(const char *text, size_t len, tspi_trace_context *ret_context)
{
    uint8_t version, span_id[8];
    bool any, any_trace, any_span;

    if (len < TSPI_TRACEPARENT_LEN || text[2] != '-' || text[35] != '-' || text[52] != '-')
        return false;
    if (!hex_read(text, 1, &version, &any) || version == 0xff)
        return false;
    if (len > TSPI_TRACEPARENT_LEN && (version == 0 || text[TSPI_TRACEPARENT_LEN] != '-'))
        return false;
    if (!hex_read(text + 3, 16, ret_context->trace_id, &any_trace) || !hex_read(text + 36, 8, span_id, &any_span) ||
        !hex_read(text + 53, 1, &ret_context->flags, &any))
        return false;
    ret_context->span_id = 0;
    for (int k = 0; k < 8; k++)
        ret_context->span_id = ret_context->span_id << 8 | span_id[k];
    return any_trace && any_span;
}
