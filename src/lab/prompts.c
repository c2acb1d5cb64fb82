#include "lab/prompts.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

enum { PROMPT_MAX_BYTES = 64 * 1024, FILE_MAX_BYTES = 256 * 1024 * 1024 };

extern const char tspi_default_prompts[];
extern const size_t tspi_default_prompts_len;

static tsp_status add_row(tspi_prompts *prompts, size_t at, size_t len, uint32_t line, const char *path, tsp_error *err)
{
    if (len > PROMPT_MAX_BYTES)
        return tsp_error_at(err, TSP_EINVAL, at, "%s: line %u: a prompt of %zu bytes is over the limit of %d", path,
                            line, len, PROMPT_MAX_BYTES);
    if (tspi_utf8_valid_prefix(prompts->text.data + at, len) != len)
        return tsp_error_at(err, TSP_EINVAL, at, "%s: line %u: the prompt is not UTF-8", path, line);
    if (!(prompts->n & (prompts->n - 1))) { /* grow at every power of two */
        void *rows = realloc(prompts->rows, (prompts->n ? 2 * (size_t)prompts->n : 1) * sizeof *prompts->rows);
        if (!rows)
            return tsp_error_set(err, TSP_ENOMEM, "out of memory for prompts");
        prompts->rows = rows;
    }
    prompts->rows[prompts->n].at = at;
    prompts->rows[prompts->n].len = len;
    prompts->n++;
    return TSP_OK;
}

tsp_status tspi_prompts_load(const char *path, tspi_prompts *ret_prompts, tsp_error *err)
{
    tspi_prompts prompts = {0};
    tsp_status rc = TSP_OK;
    uint32_t line = 1;

    if (path)
        rc = tspi_buf_read_file(&prompts.text, path, FILE_MAX_BYTES, err);
    else
        tspi_buf_append(&prompts.text, tspi_default_prompts, tspi_default_prompts_len);
    for (size_t at = 0; rc == TSP_OK && at < prompts.text.len; line++) {
        const uint8_t *end = memchr(prompts.text.data + at, '\n', prompts.text.len - at);
        size_t next = end ? (size_t)(end - prompts.text.data) : prompts.text.len, len = next - at;
        if (len && prompts.text.data[at + len - 1] == '\r')
            len--;
        if (len && prompts.text.data[at] != '#')
            rc = add_row(&prompts, at, len, line, path ? path : "built-in prompts", err);
        at = next + 1;
    }
    if (rc == TSP_OK && !prompts.n)
        rc = tsp_error_set(err, TSP_EINVAL, "'%s' holds no prompts: write one a line", path);
    if (rc != TSP_OK)
        tspi_prompts_release(&prompts);
    else
        *ret_prompts = prompts;
    return rc;
}

void tspi_prompts_release(tspi_prompts *prompts)
{
    tspi_buf_release(&prompts->text);
    free(prompts->rows);
    *prompts = (tspi_prompts){0};
}
