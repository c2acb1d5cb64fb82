#include "mend/utc_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "truespan/clocks.h"

tsp_status tspi_utc_wrong(const tspi_utc_reader *r, const char *field, const char *text, const char *want)
{
    bool within = text >= r->line_start && text <= r->line_start + r->line_len;
    size_t column = (within ? (size_t)(text - r->line_start) : r->line_len) + 1;

    return tsp_error_set(r->err, TSP_EPARSE, "%s: line %u, column %zu: %s: want %s, got '%.60s'", r->path, r->line,
                         column, field, want, text);
}

tsp_status tspi_utc_wrong_line(const tspi_utc_reader *r, uint32_t line, const char *what)
{
    return tsp_error_set(r->err, TSP_EPARSE, "%s: line %u: %s", r->path, line, what);
}

char *tspi_utc_trim(char *text)
{
    text += strspn(text, " \t\r\"");
    for (size_t n = strlen(text); n && strchr(" \t\r\"", text[n - 1]);)
        text[--n] = 0;
    return text;
}

bool tspi_utc_whole(const char *text, int64_t *ret)
{
    char *end;

    if (!*text || strspn(text, "+-0123456789") != strlen(text))
        return false;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return !*end && !errno;
}

bool tspi_utc_moment(const char *text, int64_t *ret)
{
    const char *point = strchr(text, '.');
    char digits[32];
    int64_t seconds, part = 0;
    size_t n;

    if (!point)
        return tspi_utc_whole(text, ret);
    n = strspn(point + 1, "0123456789");
    if ((size_t)(point - text) >= sizeof digits || point == text || !n || n > 9 || point[1 + n])
        return false;
    memcpy(digits, text, (size_t)(point - text));
    digits[point - text] = 0;
    if (!tspi_utc_whole(digits, &seconds) || seconds < -TSP_STAMP_MAX / TSP_NS_PER_S ||
        seconds > TSP_STAMP_MAX / TSP_NS_PER_S)
        return false;
    for (size_t k = 0; k < 9; k++)
        part = part * 10 + (k < n ? point[1 + k] - '0' : 0);
    *ret = seconds * TSP_NS_PER_S + (*text == '-' ? -part : part);
    return true;
}

tsp_status tspi_utc_add(tspi_utc_reader *r, const char *clock, int64_t at_ns, int64_t lo_ns, int64_t hi_ns,
                        uint32_t line)
{
    tspi_utc_bounds *b = r->bounds;
    int64_t first, last;

    if (lo_ns > hi_ns)
        return tsp_error_set(r->err, TSP_EPARSE, "%s: line %u: the bound ends before it begins", r->path, line);
    if (at_ns < -TSP_STAMP_MAX || at_ns > TSP_STAMP_MAX || __builtin_sub_overflow(at_ns, hi_ns, &first) ||
        __builtin_sub_overflow(at_ns, lo_ns, &last) || first < -TSP_STAMP_MAX || last > TSP_STAMP_MAX)
        return tsp_error_set(r->err, TSP_ERANGE, "%s: line %u: field at: no clock shows that time", r->path, line);
    if (!*clock)
        return tsp_error_set(r->err, TSP_EPARSE, "%s: line %u: field clock: it is empty", r->path, line);
    tspi_utc_bound *rows = tspi_grown(b->rows, b->n, &b->cap, sizeof *rows);
    if (!rows)
        return tsp_error_set(r->err, TSP_ENOMEM, "out of memory");
    b->rows = rows;
    char *name = tspi_arena_strndup(&b->arena, clock, strlen(clock));
    if (!name)
        return tsp_error_set(r->err, TSP_ENOMEM, "out of memory");
    b->rows[b->n++] = (tspi_utc_bound){.clock = name, .at_ns = at_ns, .lo_ns = lo_ns, .hi_ns = hi_ns, .line = line};
    return TSP_OK;
}
