#include "wire/json_scan.h"

#if defined(TSPI_JSON_SSE2) && defined(__x86_64__)
#include <immintrin.h>
#endif

enum { LONGEST_NUMBER = 1024 }; /* characters; nobody writes longer ones */

bool tspi_json_fail(tspi_json *json, const uint8_t *at, const char *problem)
{
    if (!json->problem) {
        json->problem = at >= json->end ? "the input ends in the middle of a value" : problem;
        json->problem_at = at;
    }
    json->at = json->end;
    return false;
}

const uint8_t *tspi_json_space_end(const uint8_t *at, const uint8_t *end)
{
#ifdef TSPI_JSON_SSE2
    /* Indentation: runs of blanks. Every byte up to a space counts as one; real blanks are told apart below. */
    while (end - at >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i blank =
            _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(' ')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\n'))),
                         _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\t')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\r'))));
        unsigned other = ~(unsigned)_mm_movemask_epi8(blank) & 0xffff;
        if (other)
            return at + __builtin_ctz(other);
        at += 16;
    }
#endif
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

const uint8_t *tspi_json_string_end(const uint8_t *at, const uint8_t *end, bool *ret_escaped)
{
    *ret_escaped = false;
    while (at < end) {
#ifdef TSPI_JSON_SSE2
        if (end - at >= 16) {
            __m128i v = _mm_loadu_si128((const __m128i *)(const void *)at);
            __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
            unsigned mask = (unsigned)_mm_movemask_epi8(hit);
            if (!mask) {
                at += 16;
                continue;
            }
            at += __builtin_ctz(mask);
        }
#endif
        if (*at == '"')
            return at;
        if (*at == '\\') {
            *ret_escaped = true;
            at++;
        }
        at++;
    }
    return NULL;
}

/* Passing over a container.
 *
 * For each block of 64 bytes one bit a byte: quotes, backslashes, opening and closing brackets (of both kinds: in valid
 * JSON they nest, so counting them together ends at the same place). Escaped quotes are dropped, a running exclusive-or
 * turns quotes into "inside a string", brackets inside strings are dropped, and the depth is counted by population
 * counts; only in a block where it may reach zero are bits looked at one by one. */
struct blocks {
    uint64_t in_string; /* all ones while a string goes on from the block before */
    uint64_t escaped;   /* 1 when the block's first byte is escaped */
    uint64_t depth;
};

struct masks {
    uint64_t quote, slash, open, close;
};

static inline __attribute__((always_inline)) uint64_t xor_prefix(uint64_t x)
{
    x ^= x << 1;
    x ^= x << 2;
    x ^= x << 4;
    x ^= x << 8;
    x ^= x << 16;
    return x ^ (x << 32);
}

/* Bits of bytes that a backslash escapes: within a run of backslashes every second one. Runs are rare. */
static uint64_t find_escaped(uint64_t slash, uint64_t *carry)
{
    uint64_t escaped = *carry, found = *carry;

    *carry = 0;
    slash &= ~escaped;
    while (slash) {
        uint64_t bit = slash & -slash, next = bit << 1;
        if (!next)
            *carry = 1;
        found |= next;
        slash &= ~(bit | next);
    }
    return found;
}

/* Index of the byte that closes the container in this block, or -1. */
static inline __attribute__((always_inline)) int take_block(struct blocks *state, struct masks m)
{
    if (m.slash | state->escaped)
        m.quote &= ~find_escaped(m.slash, &state->escaped);
    uint64_t inside = xor_prefix(m.quote) ^ state->in_string;
    state->in_string = (uint64_t)((int64_t)inside >> 63);
    m.open &= ~inside;
    m.close &= ~inside;
    uint64_t closes = (uint64_t)__builtin_popcountll(m.close);
    if (closes >= state->depth) {
        uint64_t close = m.close, closed = 0;
        for (; close; close &= close - 1) {
            uint64_t before = (close & -close) - 1;
            if (state->depth + (uint64_t)__builtin_popcountll(m.open & before) == ++closed)
                return __builtin_ctzll(close);
        }
    }
    state->depth += (uint64_t)__builtin_popcountll(m.open) - closes;
    return -1;
}

static inline __attribute__((always_inline)) struct masks masks_portable(const uint8_t *at)
{
    struct masks m = {0};

    for (unsigned k = 0; k < 64; k++) {
        uint64_t bit = UINT64_C(1) << k;
        uint8_t folded = at[k] | 0x20; /* '[' to '{', ']' to '}', and nothing else to either */
        m.quote |= at[k] == '"' ? bit : 0;
        m.slash |= at[k] == '\\' ? bit : 0;
        m.open |= folded == '{' ? bit : 0;
        m.close |= folded == '}' ? bit : 0;
    }
    return m;
}

/* A walk over whole blocks, then over the rest padded with blanks. */
#define CONTAINER_END(masks_of)                                                                                        \
    struct blocks state = {0};                                                                                         \
    int found = -1;                                                                                                    \
    for (; end - at >= 64; at += 64) {                                                                                 \
        found = take_block(&state, masks_of(at));                                                                      \
        if (found >= 0)                                                                                                \
            return at + found + 1;                                                                                     \
    }                                                                                                                  \
    uint8_t rest[64];                                                                                                  \
    memset(rest, ' ', sizeof rest);                                                                                    \
    memcpy(rest, at, (size_t)(end - at));                                                                              \
    found = take_block(&state, masks_of(rest));                                                                        \
    return found >= 0 ? at + found + 1 : NULL

const uint8_t *tspi_json_container_end_portable(const uint8_t *at, const uint8_t *end)
{
    CONTAINER_END(masks_portable);
}

#ifdef TSPI_JSON_SSE2
static inline __attribute__((always_inline)) uint64_t equal16x4(const __m128i *v, char c)
{
    __m128i want = _mm_set1_epi8(c);
    uint64_t m = 0;

    for (unsigned k = 0; k < 4; k++)
        m |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v[k], want)) << (16 * k);
    return m;
}

static inline __attribute__((always_inline)) struct masks masks_sse2(const uint8_t *at)
{
    __m128i v[4], folded[4];

    for (unsigned k = 0; k < 4; k++) {
        v[k] = _mm_loadu_si128((const __m128i *)(const void *)(at + 16 * k));
        folded[k] = _mm_or_si128(v[k], _mm_set1_epi8(0x20));
    }
    return (struct masks){equal16x4(v, '"'), equal16x4(v, '\\'), equal16x4(folded, '{'), equal16x4(folded, '}')};
}

static const uint8_t *container_end_sse2(const uint8_t *at, const uint8_t *end)
{
    CONTAINER_END(masks_sse2);
}
#endif

#if defined(TSPI_JSON_SSE2) && defined(__x86_64__)
#define HAVE_AVX2 1
#define AVX2 __attribute__((target("avx2,popcnt,bmi")))

AVX2 static inline __attribute__((always_inline)) uint64_t equal32x2(__m256i a, __m256i b, char c)
{
    __m256i want = _mm256_set1_epi8(c);
    uint64_t lo = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, want));
    uint64_t hi = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, want));

    return lo | hi << 32;
}

AVX2 static inline __attribute__((always_inline)) struct masks masks_avx2(const uint8_t *at)
{
    __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)at);
    __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(at + 32));
    __m256i fold = _mm256_set1_epi8(0x20), fa = _mm256_or_si256(a, fold), fb = _mm256_or_si256(b, fold);

    return (struct masks){equal32x2(a, b, '"'), equal32x2(a, b, '\\'), equal32x2(fa, fb, '{'), equal32x2(fa, fb, '}')};
}

AVX2 static const uint8_t *container_end_avx2(const uint8_t *at, const uint8_t *end)
{
    CONTAINER_END(masks_avx2);
}
#endif

const uint8_t *tspi_json_container_end(const uint8_t *at, const uint8_t *end)
{
#ifdef HAVE_AVX2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt"))
        return container_end_avx2(at, end);
#endif
#ifdef TSPI_JSON_SSE2
    return container_end_sse2(at, end);
#else
    return tspi_json_container_end_portable(at, end);
#endif
}

bool tspi_json_null(tspi_json *json)
{
    if (tspi_json_peek(json) != 'n' || json->end - json->at < 4 || memcmp(json->at, "null", 4) != 0)
        return false;
    json->at += 4;
    return true;
}

/* Numbers, true, false, null, and the NaN and Infinity that some writers emit. */
static const uint8_t *scalar_end(const uint8_t *at, const uint8_t *end)
{
    while (at < end && ((*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                        *at == '-' || *at == '+' || *at == '.'))
        at++;
    return at;
}

bool tspi_json_skip(tspi_json *json)
{
    int c = tspi_json_peek(json);
    const uint8_t *next;
    tspi_json_text text;

    if (c == '"')
        return tspi_json_string(json, &text);
    if (c == '{' || c == '[') {
        next = tspi_json_container_end(json->at, json->end);
        if (!next)
            return tspi_json_fail(json, json->at,
                                  c == '{' ? "the '{' here is never closed: was the input cut off?"
                                           : "the '[' here is never closed: was the input cut off?");
    } else {
        next = scalar_end(json->at, json->end);
        if (next == json->at)
            return tspi_json_fail(json, json->at, "expected a value");
    }
    json->at = next;
    return true;
}

static unsigned hex4(const uint8_t *at)
{
    unsigned value = 0;

    for (unsigned k = 0; k < 4; k++) {
        unsigned c = at[k], low = c | 0x20;
        if (c >= '0' && c <= '9')
            value = value << 4 | (c - '0');
        else if (low >= 'a' && low <= 'f')
            value = value << 4 | (low - 'a' + 10);
        else
            return UINT32_MAX;
    }
    return value;
}

static size_t put_utf8(char *out, unsigned c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* The character of \uXXXX at at (behind the u), with its second half if it has one. Returns bytes taken, 0 = broken. */
static size_t take_u(const uint8_t *at, size_t len, unsigned *ret_c)
{
    unsigned c = len >= 4 ? hex4(at) : UINT32_MAX;

    if (c == UINT32_MAX)
        return 0;
    if (c < 0xd800 || c > 0xdfff) {
        *ret_c = c;
        return 4;
    }
    unsigned low = c < 0xdc00 && len >= 10 && at[4] == '\\' && at[5] == 'u' ? hex4(at + 6) : 0;
    if (low < 0xdc00 || low > 0xdfff) {
        *ret_c = 0xfffd; /* half a pair */
        return 4;
    }
    *ret_c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    return 10;
}

/* Each escape is at least as long as what it stands for, except a lone backslash before some other byte, which is kept
 * with that byte: so the output never outgrows the input. */
size_t tspi_json_unescape(const tspi_json_text *text, char *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const uint8_t *in = text->at;
    size_t n = 0;

    for (size_t at = 0; at < text->len;) {
        if (in[at] != '\\' || at + 1 >= text->len) {
            out[n++] = (char)in[at++];
            continue;
        }
        const char *found = in[at + 1] ? strchr(from, in[at + 1]) : NULL;
        unsigned c;
        size_t took;
        if (found) {
            out[n++] = to[found - from];
            at += 2;
        } else if (in[at + 1] == 'u' && (took = take_u(in + at + 2, text->len - at - 2, &c))) {
            n += put_utf8(out + n, c);
            at += 2 + took;
        } else {
            out[n++] = (char)in[at++];
            out[n++] = (char)in[at++];
        }
    }
    return n;
}

bool tspi_json_key_slow(tspi_json *json, tspi_json_text *key)
{
    if (key->len > sizeof json->key)
        return true; /* longer than any key that is looked for */
    key->len = tspi_json_unescape(key, json->key);
    key->at = (const uint8_t *)json->key;
    return true;
}

/* mantissa * 10^exponent as an int64. */
static enum tspi_json_number scale_up(unsigned __int128 mantissa, int64_t exponent, bool negative, int64_t *ret_value)
{
    const unsigned __int128 limit = (unsigned __int128)INT64_MAX + (negative ? 1 : 0);

    if (!mantissa) {
        *ret_value = 0;
        return TSPI_JSON_NUMBER;
    }
    for (; exponent > 0; exponent--) {
        if (mantissa > limit)
            return TSPI_JSON_TOO_BIG;
        mantissa *= 10;
    }
    for (; exponent < 0; exponent++) {
        if (mantissa % 10)
            return TSPI_JSON_FRACTION;
        mantissa /= 10;
    }
    if (mantissa > limit)
        return TSPI_JSON_TOO_BIG;
    *ret_value = negative ? (int64_t)(0 - (uint64_t)mantissa) : (int64_t)mantissa;
    return TSPI_JSON_NUMBER;
}

/* Fraction and exponent behind the whole digits; false: not a number. */
static bool take_tail(const uint8_t *at, const uint8_t *end, unsigned __int128 *mantissa, int64_t *exponent)
{
    if (at < end && *at == '.') {
        const uint8_t *first = ++at;
        for (; at < end && *at >= '0' && *at <= '9'; at++) {
            if (*at != '0' && *mantissa > UINT64_MAX)
                return false; /* absurdly many digits */
            if (*mantissa > UINT64_MAX)
                continue;
            *mantissa = *mantissa * 10 + (*at - '0');
            --*exponent;
        }
        if (at == first)
            return false;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        bool negative = ++at < end && *at == '-';
        int64_t value = 0;
        if (at < end && (*at == '-' || *at == '+'))
            at++;
        if (at == end)
            return false;
        for (; at < end && *at >= '0' && *at <= '9'; at++)
            value = value < 100000 ? value * 10 + (*at - '0') : value;
        *exponent += negative ? -value : value;
    }
    return at == end;
}

enum tspi_json_number tspi_json_number_text(const uint8_t *at, size_t len, unsigned scale, int64_t *ret_value)
{
    const uint8_t *end = at + len;
    bool negative = len && *at == '-';
    unsigned __int128 mantissa = 0;
    int64_t exponent = scale;

    if (len > LONGEST_NUMBER)
        return TSPI_JSON_NOT_ONE;
    at += negative;
    if (at == end || *at < '0' || *at > '9')
        return TSPI_JSON_NOT_ONE;
    /* The common case first: 18 digits fit 64 bits whatever they are. */
    uint64_t small = 0;
    const uint8_t *stop = end - at > 18 ? at + 18 : end;
    for (; at < stop && *at >= '0' && *at <= '9'; at++)
        small = small * 10 + (*at - '0');
    mantissa = small;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        if (mantissa > UINT64_MAX)
            return TSPI_JSON_TOO_BIG;
        mantissa = mantissa * 10 + (*at - '0');
    }
    if (at < end && !take_tail(at, end, &mantissa, &exponent))
        return TSPI_JSON_NOT_ONE;
    return scale_up(mantissa, exponent, negative, ret_value);
}

enum tspi_json_number tspi_json_number(tspi_json *json, unsigned scale, int64_t *ret_value, tspi_json_text *ret_text)
{
    int c = tspi_json_peek(json);

    *ret_text = (tspi_json_text){json->at, 0, false};
    if (c == '"') {
        if (!tspi_json_string(json, ret_text))
            return TSPI_JSON_NOT_ONE;
        if (!ret_text->len)
            return TSPI_JSON_NULL;
        return tspi_json_number_text(ret_text->at, ret_text->len, scale, ret_value);
    }
    if (tspi_json_null(json))
        return TSPI_JSON_NULL;
    if (c != '-' && (c < '0' || c > '9')) {
        tspi_json_skip(json);
        return TSPI_JSON_NOT_ONE;
    }
    const uint8_t *end = scalar_end(json->at, json->end);
    ret_text->len = (size_t)(end - json->at);
    json->at = end;
    return tspi_json_number_text(ret_text->at, ret_text->len, scale, ret_value);
}
