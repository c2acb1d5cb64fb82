#include "base/utf8.h"

size_t tspi_utf8_char(const uint8_t *bytes, size_t len)
{
    if (!len)
        return 0;
    uint8_t lead = bytes[0], low = 0x80, high = 0xbf;
    size_t n;
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        n = 2;
    else if (lead >= 0xe0 && lead <= 0xef)
        n = 3;
    else if (lead >= 0xf0 && lead <= 0xf4)
        n = 4;
    else
        return 0;
    if (len < n)
        return 0;
    if (lead == 0xe0)
        low = 0xa0; /* overlong */
    else if (lead == 0xed)
        high = 0x9f; /* surrogates */
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;
    if (bytes[1] < low || bytes[1] > high)
        return 0;
    for (size_t k = 2; k < n; k++)
        if ((bytes[k] & 0xc0) != 0x80)
            return 0;
    return n;
}

size_t tspi_utf8_valid_prefix(const uint8_t *bytes, size_t len)
{
    size_t at = 0;

    while (at < len) {
        size_t n = tspi_utf8_char(bytes + at, len - at);
        if (!n)
            break;
        at += n;
    }
    return at;
}
