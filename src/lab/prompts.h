/* The requests' texts: a file with one prompt a line ('#' begins a comment line), or the built-in ones. */
#ifndef TSPI_LAB_PROMPTS_H
#define TSPI_LAB_PROMPTS_H

#include "base/buf.h"
#include "truespan/base.h"

typedef struct {
    tspi_buf text; /* owned */
    struct {
        size_t at, len;
    } * rows; /* owned; places in text */
    uint32_t n;
} tspi_prompts;

/* path NULL = the built-in prompts. TSP_EINVAL: the file holds none; a prompt is over 64 KiB or not UTF-8. */
tsp_status tspi_prompts_load(const char *path, tspi_prompts *ret_prompts, tsp_error *err);
void tspi_prompts_release(tspi_prompts *prompts);

static inline const char *tspi_prompt(const tspi_prompts *prompts, uint32_t k, size_t *ret_len)
{
    *ret_len = prompts->rows[k].len;
    return (const char *)prompts->text.data + prompts->rows[k].at;
}

#endif
