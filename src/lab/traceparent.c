#include "lab/traceparent.h"

#include <endian.h>
#include <string.h>

#include "base/hex.h"

/* The four bytes that eight lower-case hex digits stand for, the first in the lowest byte. *bad is set where one is
 * none. A digit's nibble is its low four bits, and nine more where it is a letter. */
static inline uint32_t four_of_hex(const char *text, uint64_t *bad)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = 0x80 * ones;
    uint64_t x;

    memcpy(&x, text, sizeof x);
    x = le64toh(x);
    /* In each byte below 0x80, a carry into the top bit says "at least". */
    uint64_t from_0 = x + (0x80 - '0') * ones, from_a = x + (0x80 - 'a') * ones;
    uint64_t past_9 = x + (0x7f - '9') * ones, past_f = x + (0x7f - 'f') * ones;
    uint64_t digits = from_0 & ~past_9, letters = from_a & ~past_f;
    *bad |= x & tops;
    *bad |= ~(digits | letters) & tops;
    x = (x & 0x0f * ones) + 9 * (letters >> 7 & ones);
    x = (x << 4 | x >> 8) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x | x >> 8) & UINT64_C(0x0000ffff0000ffff);
    return (uint32_t)(x | x >> 16);
}

/* Returns false on a digit that is not lower-case hex. *ret_any: some byte is not zero. n is a multiple of four. */
static inline bool hex_read(const char *text, size_t n, uint8_t *ret_bytes, bool *ret_any)
{
    uint64_t bad = 0;
    uint32_t any = 0;

    for (size_t k = 0; k < n; k += 4) {
        uint32_t four = htole32(four_of_hex(text + 2 * k, &bad));
        any |= four;
        memcpy(ret_bytes + k, &four, sizeof four);
    }
    *ret_any = any != 0;
    return !bad;
}

/* The value of a lower-case hex digit; 16 and more: it is none. */
static unsigned digit_of(char c)
{
    return c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
}

static bool hex_read_byte(const char *text, uint8_t *ret_byte)
{
    unsigned high = digit_of(text[0]), low = digit_of(text[1]);

    *ret_byte = (uint8_t)(high << 4 | low);
    return high < 16 && low < 16;
}

void tspi_traceparent_write(const tspi_trace_context *context, char ret_text[TSPI_TRACEPARENT_LEN + 1])
{
    uint64_t span_id = htobe64(context->span_id);

    memcpy(ret_text, "00-", 3);
    tspi_hex_write(context->trace_id, 16, ret_text + 3);
    ret_text[35] = '-';
    tspi_hex_write((const uint8_t *)&span_id, sizeof span_id, ret_text + 36);
    ret_text[52] = '-';
    tspi_hex_write(&context->flags, 1, ret_text + 53);
    ret_text[TSPI_TRACEPARENT_LEN] = '\0';
}

bool tspi_traceparent_parse(const char *text, size_t len, tspi_trace_context *ret_context)
{
    uint8_t version, span_id[8];
    uint64_t number;
    bool any_trace, any_span;

    if (len < TSPI_TRACEPARENT_LEN || text[2] != '-' || text[35] != '-' || text[52] != '-')
        return false;
    if (!hex_read_byte(text, &version) || version == 0xff)
        return false;
    if (len > TSPI_TRACEPARENT_LEN && (version == 0 || text[TSPI_TRACEPARENT_LEN] != '-'))
        return false;
    if (!hex_read(text + 3, 16, ret_context->trace_id, &any_trace) || !hex_read(text + 36, 8, span_id, &any_span) ||
        !hex_read_byte(text + 53, &ret_context->flags))
        return false;
    memcpy(&number, span_id, sizeof number);
    ret_context->span_id = be64toh(number);
    return any_trace && any_span;
}
