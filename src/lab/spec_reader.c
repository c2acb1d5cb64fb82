#include "lab/spec_reader.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "lab/spec_line.h"

void tspi_spec_bad(tspi_spec_reader *in, const char *path, const char *format, ...)
{
    char what[256];
    va_list args;

    if (in->rc != TSP_OK)
        return;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    in->rc = tsp_error_set(in->err, TSP_EINVAL, "%s: line %zu: %s: %s", in->name,
                           tspi_spec_line(in->text, in->len, path), path, what);
}

/* A seed: libcyaml would take -1 for the largest number. */
void tspi_spec_get_seed(tspi_spec_reader *in, const char *from, uint64_t *to)
{
    char *end;

    if (!from)
        return;
    errno = 0;
    uint64_t value = strtoull(from, &end, 10);
    if (!isdigit((unsigned char)from[0]) || *end || errno)
        tspi_spec_bad(in, "seed", "'%s' is no whole number below 2^64", from);
    else
        *to = value;
}

void tspi_spec_get_text(const char *from, char **to)
{
    if (from) {
        free(*to);
        *to = strdup(from);
    }
}

void tspi_spec_get_count(tspi_spec_reader *in, const char *path, const uint32_t *from, uint32_t lo, uint32_t hi,
                         uint32_t *to)
{
    if (!from)
        return;
    if (*from < lo || *from > hi)
        tspi_spec_bad(in, path, "%u is not between %u and %u", *from, lo, hi);
    else
        *to = *from;
}

void tspi_spec_get_number(tspi_spec_reader *in, const char *path, const double *from, double lo, double hi, double *to)
{
    if (!from)
        return;
    if (!(*from >= lo && *from <= hi))
        tspi_spec_bad(in, path, "%g is not between %g and %g", *from, lo, hi);
    else
        *to = *from;
}

void tspi_spec_get_duration(tspi_spec_reader *in, const char *path, const char *from, int64_t lo, int64_t hi,
                            int64_t *to)
{
    char low[32], high[32];
    int64_t ns;

    if (!from)
        return;
    if (!tspi_duration_parse(from, &ns)) {
        tspi_spec_bad(in, path, "'%s' is no duration: write a number with a unit, such as 5ms", from);
        return;
    }
    tspi_duration_format(lo, low, sizeof low);
    tspi_duration_format(hi, high, sizeof high);
    if (ns < lo || ns > hi)
        tspi_spec_bad(in, path, "%s is not between %s and %s", from, low, high);
    else
        *to = ns;
}

void tspi_spec_get_word(tspi_spec_reader *in, const char *path, const char *from, const char *const *words, size_t n,
                        int *to)
{
    if (!from)
        return;
    for (size_t k = 0; k < n; k++)
        if (!strcmp(from, words[k])) {
            *to = (int)k;
            return;
        }
    tspi_spec_bad(in, path, "'%s' is none of the words it can be (%s, %s%s)", from, words[0], words[1],
                  n > 2 ? " ..." : "");
}
