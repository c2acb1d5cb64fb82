/* How amounts, counts and clocks stand in an audit's sentences; a is the audit. */
#ifndef TSPI_HEALTH_AUDIT_WORDS_H
#define TSPI_HEALTH_AUDIT_WORDS_H

#include "base/number_text.h"
#include "health/audit_state.h"

enum { CLOCK_LINES_MAX = 20, EDGE_LINES_MAX = 10 };

/* How much, whichever the sign. */
static inline const char *amount(int64_t ns, char *ret, size_t size)
{
    tspi_format_ns(ns < 0 ? (ns == INT64_MIN ? INT64_MAX : -ns) : ns, ret, size);
    return ret;
}

static inline const char *number(uint64_t n, char *ret, size_t size)
{
    tspi_format_count(n, ret, size);
    return ret;
}

#define AMOUNT(ns) amount(ns, (char[32]){0}, 32)
#define NUMBER(n) number(n, (char[32]){0}, 32)
#define NAME(clock) a->clock_names[clock]

#endif
