#include "lab/spec_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"

void tspi_spec_put_duration_value(tspi_buf *out, const char *key, int64_t ns)
{
    char text[32];

    tspi_duration_format(ns, text, sizeof text);
    tspi_buf_printf(out, "%s: %s", key, text);
}

/* A JSON string is a YAML string, but for some characters that YAML wants escaped, or takes for a line's end (YAML 1.2,
 * 5.1 and 5.4): delete, C1 controls, U+2028, U+2029, the byte order mark, U+FFFE and U+FFFF. */
static void put_quoted(tspi_buf *out, const char *text)
{
    tspi_buf json = {0};

    tspi_buf_json_string(&json, text, strlen(text)); /* which is valid UTF-8 */
    for (size_t k = 0; k < json.len; k++) {
        const uint8_t *at = json.data + k;
        unsigned code = at[0] < 0x80 ? at[0] : 0; /* others that matter begin with c2 or e. */
        if (at[0] == 0xc2)
            code = at[1];
        else if (at[0] >> 4 == 0xe)
            code = (at[0] & 15u) << 12 | (at[1] & 63u) << 6 | (at[2] & 63u);
        if ((code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 || code == 0xfeff || code >= 0xfffe) {
            tspi_buf_printf(out, "\\u%04x", code);
            k += code < 0x80 ? 0 : code < 0x800 ? 1 : 2;
        } else
            tspi_buf_putc(out, (char)at[0]);
    }
    out->failed |= json.failed;
    tspi_buf_release(&json);
}

void tspi_spec_put_text(tspi_buf *out, const char *key, const char *text)
{
    if (!text)
        return;
    tspi_buf_printf(out, "%s: ", key);
    put_quoted(out, text);
    tspi_buf_putc(out, '\n');
}

void tspi_spec_put_item(tspi_buf *out, const char *indent, const char *text)
{
    tspi_buf_printf(out, "%s- ", indent);
    put_quoted(out, text);
    tspi_buf_putc(out, '\n');
}

/* The shortest of a few forms that reads back as the same number. */
void tspi_spec_put_real(tspi_buf *out, const char *key, double value)
{
    char text[40];

    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    tspi_buf_printf(out, "%s: %s\n", key, text);
}
