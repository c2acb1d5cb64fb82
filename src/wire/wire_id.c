/* Trace and span ids as JSON writes them. */
#include "wire/wire_scan.h"

/* Value plus one of a hex digit; 0 = none. */
static const uint8_t hex[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

static bool parse_hex(const uint8_t *at, size_t len, uint64_t *ret_value)
{
    uint64_t value = 0;
    unsigned bad = 0;

    for (size_t k = 0; k < len; k++) {
        unsigned digit = hex[at[k]];
        bad |= !digit;
        value = value << 4 | ((digit - 1) & 15);
    }
    *ret_value = value;
    return !bad;
}

static int base64_digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* Base64 (either alphabet, padded or not) of exactly bytes_n bytes. */
static bool parse_base64(const uint8_t *at, size_t len, uint8_t *bytes, size_t bytes_n)
{
    size_t digits = (bytes_n * 8 + 5) / 6, n = 0;
    uint32_t bits = 0;
    unsigned have = 0;

    if (len != digits && len != (bytes_n + 2) / 3 * 4)
        return false;
    for (size_t k = 0; k < digits; k++) {
        int digit = base64_digit(at[k]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            bytes[n++] = (uint8_t)(bits >> have);
        }
    }
    for (size_t k = digits; k < len; k++)
        if (at[k] != '=')
            return false;
    return n == bytes_n;
}

/* Some writers escape the slash of base64; no id is long, so a copy is cheap. */
static bool without_escapes(tspi_json_text *text, char *room, size_t room_n)
{
    if (!text->escaped)
        return true;
    if (text->len > room_n)
        return false;
    text->len = tspi_json_unescape(text, room);
    text->at = (const uint8_t *)room;
    return true;
}

bool tspi_id_trace(const tspi_json_text *text, tspi_trace_id *ret_id)
{
    tspi_json_text id = *text;
    uint8_t bytes[16];
    char room[64];

    *ret_id = (tspi_trace_id){0, 0};
    if (!without_escapes(&id, room, sizeof room))
        return false;
    if (!id.len)
        return true;
    if (id.len == 32)
        return parse_hex(id.at, 16, &ret_id->hi) && parse_hex(id.at + 16, 16, &ret_id->lo);
    if (!parse_base64(id.at, id.len, bytes, sizeof bytes))
        return false;
    *ret_id = (tspi_trace_id){tspi_id_of_bytes(bytes), tspi_id_of_bytes(bytes + 8)};
    return true;
}

bool tspi_id_span(const tspi_json_text *text, uint64_t *ret_id)
{
    tspi_json_text id = *text;
    uint8_t bytes[8];
    char room[64];

    *ret_id = 0;
    if (!without_escapes(&id, room, sizeof room))
        return false;
    if (!id.len)
        return true;
    if (id.len == 16)
        return parse_hex(id.at, 16, ret_id);
    if (!parse_base64(id.at, id.len, bytes, sizeof bytes))
        return false;
    *ret_id = tspi_id_of_bytes(bytes);
    return true;
}

bool tspi_id_trace_lenient(const tspi_json_text *text, tspi_trace_id *ret_id)
{
    size_t low = text->len < 16 ? text->len : 16;

    *ret_id = (tspi_trace_id){0, 0};
    return text->len <= 32 && parse_hex(text->at, text->len - low, &ret_id->hi) &&
           parse_hex(text->at + (text->len - low), low, &ret_id->lo);
}

/* Zipkin allows parents and ids of 16 digits; some writers pad a span id to 32 with zeros. */
bool tspi_id_span_lenient(const tspi_json_text *text, uint64_t *ret_id)
{
    tspi_trace_id id;
    bool fine = tspi_id_trace_lenient(text, &id) && !id.hi;

    *ret_id = fine ? id.lo : 0;
    return fine;
}
