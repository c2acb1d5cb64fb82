/* What is wrong with a file, by the audit that users run. */
#ifndef TEST_VIOLATIONS_IN_H
#define TEST_VIOLATIONS_IN_H

#include "truespan/check.h"

/* UINT64_MAX: it cannot be read. */
static inline uint64_t violations_in(const char *path)
{
    tsp_check_options options = {.paths = &path, .paths_n = 1};
    tsp_check *check = NULL;
    uint64_t n = UINT64_MAX;

    if (tsp_check_run(&options, &check, NULL) == TSP_OK)
        n = tsp_check_totals_of(check)->violations;
    tsp_check_free(check);
    return n;
}

#endif
