#include "report/page.h"

#include <openssl/evp.h>
#include <string.h>

#include "report/trace_pack.h"

/* Made from web/ by its meson.build. */
extern const char tspi_page_style[], tspi_page_body[], tspi_page_library[], tspi_page_script[];
extern const size_t tspi_page_style_len, tspi_page_body_len, tspi_page_library_len, tspi_page_script_len;

static void put_escaped(tspi_buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '<')
            tspi_buf_puts(out, "&lt;");
        else if (*text == '>')
            tspi_buf_puts(out, "&gt;");
        else if (*text == '&')
            tspi_buf_puts(out, "&amp;");
        else if (*text == '"')
            tspi_buf_puts(out, "&quot;");
        else
            tspi_buf_putc(out, *text);
    }
}

/* The policy names an inline script or style by its digest. */
static void put_source(tspi_buf *out, const char *text, size_t len)
{
    unsigned char digest[32] = {0};

    if (!EVP_Digest(text, len, digest, NULL, EVP_sha256(), NULL))
        out->failed = true;
    tspi_buf_puts(out, " 'sha256-");
    tspi_put_base64(out, digest, sizeof digest);
    tspi_buf_putc(out, '\'');
}

static void put_policy(tspi_buf *out)
{
    tspi_buf_puts(out, "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
                       "base-uri 'none'; form-action 'none'; script-src");
    put_source(out, tspi_page_library, tspi_page_library_len);
    put_source(out, tspi_page_script, tspi_page_script_len);
    tspi_buf_puts(out, "; style-src");
    put_source(out, tspi_page_style, tspi_page_style_len);
    tspi_buf_puts(out, "\">\n");
}

static void put_element(tspi_buf *out, const char *name, const char *text, size_t len)
{
    tspi_buf_printf(out, "<%s>", name);
    tspi_buf_append(out, text, len);
    tspi_buf_printf(out, "</%s>\n", name);
}

/* As text: the script makes a script of it, whose digest the policy names, when the first chart is drawn. */
static void put_library(tspi_buf *out)
{
    tspi_buf_puts(out, "<script type=\"text/plain\" id=\"library\">");
    tspi_buf_append(out, tspi_page_library, tspi_page_library_len);
    tspi_buf_puts(out, "</script>\n");
}

/* In JSON a '<' stands in strings only, where it may be written as an escape: no string can end the element. */
void tspi_page_put_json(tspi_buf *out, const char *name, size_t number, const tspi_buf *data)
{
    size_t from = 0;

    if (!tspi_buf_ok(data))
        out->failed = true;
    tspi_buf_printf(out, "<script type=\"application/json\" id=\"%s-%zu\">", name, number);
    for (size_t k = 0; k < data->len; k++)
        if (data->data[k] == '<') {
            tspi_buf_append(out, data->data + from, k - from);
            tspi_buf_puts(out, "\\u003c");
            from = k + 1;
        }
    tspi_buf_append(out, data->data + from, data->len - from);
    tspi_buf_puts(out, "</script>\n");
}

void tspi_page_put_base64(tspi_buf *out, const char *name, size_t number, const tspi_buf *base64)
{
    if (!tspi_buf_ok(base64))
        out->failed = true;
    tspi_buf_printf(out, "<script type=\"text/plain\" id=\"%s-%zu\">", name, number);
    tspi_buf_append(out, base64->data, base64->len);
    tspi_buf_puts(out, "</script>\n");
}

tsp_status tspi_page_write(const char *title, const tspi_buf *first, const tspi_buf *rest, tspi_buf *out,
                           tsp_error *err)
{
    tspi_buf_puts(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    put_policy(out);
    tspi_buf_puts(out,
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                  "<meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n<title>");
    put_escaped(out, title);
    tspi_buf_puts(out, "</title>\n");
    put_element(out, "style", tspi_page_style, tspi_page_style_len);
    tspi_buf_puts(out, "</head>\n<body>\n");
    tspi_buf_append(out, tspi_page_body, tspi_page_body_len);
    tspi_buf_append(out, first->data, first->len);
    put_library(out);
    put_element(out, "script", tspi_page_script, tspi_page_script_len);
    tspi_buf_append(out, rest->data, rest->len);
    tspi_buf_puts(out, "</body>\n</html>\n");
    return tspi_buf_ok(out) && tspi_buf_ok(first) && tspi_buf_ok(rest)
               ? TSP_OK
               : tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by the page");
}
