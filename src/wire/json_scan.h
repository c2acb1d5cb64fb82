/* A forward cursor over JSON text: no tree, no copies, no recursion. Values that nobody asks for are passed over
 * 64 bytes at a time; inside those only strings and brackets are looked at.
 *
 * The first failure sets problem and moves the cursor to the end, where every call fails at once; so loops end by
 * themselves and one check after them is enough. Input needs no padding and no NUL. */
#ifndef TSPI_WIRE_JSON_SCAN_H
#define TSPI_WIRE_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__) && !defined(TSPI_JSON_PORTABLE)
#include <emmintrin.h>
#define TSPI_JSON_SSE2 1
#endif

#include "span/span_set.h"

typedef struct {
    const uint8_t *at, *end;
    const uint8_t *problem_at;
    const char *problem; /* a static text; NULL while all is well */
    char key[64];        /* a key that had escapes, without them */
} tspi_json;

/* What stands between the quotes. */
typedef struct {
    const uint8_t *at;
    size_t len;
    bool escaped; /* holds a backslash */
} tspi_json_text;

/* Note the first failure; always false. */
bool tspi_json_fail(tspi_json *json, const uint8_t *at, const char *problem);

/* From behind an opening quote: the closing quote, or NULL. ret_escaped: a backslash came before it. */
const uint8_t *tspi_json_string_end(const uint8_t *at, const uint8_t *end, bool *ret_escaped);

/* From an opening bracket or brace: what follows its partner, or NULL when the input ends first. */
const uint8_t *tspi_json_container_end(const uint8_t *at, const uint8_t *end);
const uint8_t *tspi_json_container_end_portable(const uint8_t *at, const uint8_t *end);

static inline bool tspi_json_blank(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}
const uint8_t *tspi_json_space_end(const uint8_t *at, const uint8_t *end);

/* The next byte that is not a blank, without taking it; -1 at the end. */
static inline int tspi_json_peek(tspi_json *json)
{
    if (json->at<json->end && * json->at> ' ')
        return *json->at;
    json->at = tspi_json_space_end(json->at, json->end);
    return json->at < json->end ? *json->at : -1;
}

/* Take open ('{' or '['). True when something stands inside; an empty container is taken whole. */
static inline bool tspi_json_open(tspi_json *json, char open)
{
    if (tspi_json_peek(json) != open)
        return tspi_json_fail(json, json->at, open == '{' ? "expected '{'" : "expected '['");
    json->at++;
    if (tspi_json_peek(json) == open + 2) { /* '}' is '{' + 2, ']' is '[' + 2 */
        json->at++;
        return false;
    }
    return true;
}

/* Behind a member or an element: true when another follows, false when the container was closed. */
static inline bool tspi_json_more(tspi_json *json, char open)
{
    int c = tspi_json_peek(json);

    if (c == ',') {
        json->at++;
        return true;
    }
    if (c == open + 2) {
        json->at++;
        return false;
    }
    return tspi_json_fail(json, json->at, open == '{' ? "expected ',' or '}'" : "expected ',' or ']'");
}

/* Take a string. */
static inline bool tspi_json_string(tspi_json *json, tspi_json_text *ret_text)
{
    if (tspi_json_peek(json) != '"')
        return tspi_json_fail(json, json->at, "expected a string");
    const uint8_t *at = json->at + 1;
#ifdef TSPI_JSON_SSE2
    /* Most strings are shorter than two vectors: stay inline for them. */
    for (int k = 0; k < 2 && json->end - at >= 16; k++, at += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)at);
        unsigned quote = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')));
        unsigned slash = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
        if (slash && (!quote || __builtin_ctz(slash) < __builtin_ctz(quote)))
            break;
        if (quote) {
            at += __builtin_ctz(quote);
            *ret_text = (tspi_json_text){json->at + 1, (size_t)(at - json->at - 1), false};
            json->at = at + 1;
            return true;
        }
    }
#endif
    const uint8_t *close = tspi_json_string_end(at, json->end, &ret_text->escaped);
    if (!close)
        return tspi_json_fail(json, json->at, "this string never ends: was the input cut off?");
    ret_text->at = json->at + 1;
    ret_text->len = (size_t)(close - json->at - 1);
    json->at = close + 1;
    return true;
}

/* Take a member's key and the colon behind it. Escapes in it are undone. */
bool tspi_json_key_slow(tspi_json *json, tspi_json_text *key);
static inline bool tspi_json_key(tspi_json *json, tspi_json_text *ret_key)
{
    if (!tspi_json_string(json, ret_key))
        return false;
    if (tspi_json_peek(json) != ':')
        return tspi_json_fail(json, json->at, "expected ':'");
    json->at++;
    return !ret_key->escaped || tspi_json_key_slow(json, ret_key);
}

/* Take any value. */
bool tspi_json_skip(tspi_json *json);

/* Take the literal null if it is next. */
bool tspi_json_null(tspi_json *json);

static inline bool tspi_json_is(const tspi_json_text *text, const char *word, size_t len)
{
    return text->len == len && !memcmp(text->at, word, len);
}
#define TSPI_JSON_IS(text, word) tspi_json_is(text, "" word, sizeof(word) - 1)

/* A number, bare or in quotes, as exactly value * 10^scale: digits, fraction and exponent are taken as they stand and
 * never pass through a double. ret_text: its characters, without the quotes. */
enum tspi_json_number {
    TSPI_JSON_NUMBER,
    TSPI_JSON_NULL,     /* null, or an empty string */
    TSPI_JSON_TOO_BIG,  /* whole, but beyond int64 */
    TSPI_JSON_FRACTION, /* not whole at this scale */
    TSPI_JSON_NOT_ONE,  /* some other value; it was passed over */
};
enum tspi_json_number tspi_json_number(tspi_json *json, unsigned scale, int64_t *ret_value, tspi_json_text *ret_text);

/* The characters of number text, len > 0. */
enum tspi_json_number tspi_json_number_text(const uint8_t *at, size_t len, unsigned scale, int64_t *ret_value);

/* text without its escapes into out, which has room for text->len bytes. Broken escapes become U+FFFD. Returns the
 * length. */
size_t tspi_json_unescape(const tspi_json_text *text, char *out);

#endif
