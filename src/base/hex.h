/* Bytes as lower-case hex digits. */
#ifndef TSPI_BASE_HEX_H
#define TSPI_BASE_HEX_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef int8_t tspi_sixteen_bytes __attribute__((vector_size(16)));

/* Eight bytes as sixteen digits: all nibbles side by side, and those above nine get the distance from ':' to 'a' on
 * top. */
static inline void tspi_hex_of_eight(const uint8_t *bytes, char *ret_text)
{
    tspi_sixteen_bytes x = {0};

    memcpy(&x, bytes, 8);
    tspi_sixteen_bytes high = (x >> 4) & 15, low = x & 15;
    tspi_sixteen_bytes digits =
        __builtin_shufflevector(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    digits += '0' + ((digits > 9) & ('a' - '0' - 10));
    memcpy(ret_text, &digits, sizeof digits);
}

/* n bytes as 2n digits, no NUL. */
static inline void tspi_hex_write(const uint8_t *bytes, size_t n, char *ret_text)
{
    for (; n >= 8; n -= 8, bytes += 8, ret_text += 16)
        tspi_hex_of_eight(bytes, ret_text);
    for (size_t k = 0; k < n; k++) {
        ret_text[2 * k] = "0123456789abcdef"[bytes[k] >> 4];
        ret_text[2 * k + 1] = "0123456789abcdef"[bytes[k] & 15];
    }
}

#endif
