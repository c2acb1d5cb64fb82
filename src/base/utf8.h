/* UTF-8 as RFC 3629 has it: no surrogates, no overlong forms, nothing above U+10FFFF. */
#ifndef TSPI_BASE_UTF8_H
#define TSPI_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Length 1..4 of the character at the start of bytes, or 0 when it is not valid or is cut off. */
size_t tspi_utf8_char(const uint8_t *bytes, size_t len);

/* Length of the longest prefix of bytes that ends on a character boundary and is valid. */
size_t tspi_utf8_valid_prefix(const uint8_t *bytes, size_t len);

#endif
