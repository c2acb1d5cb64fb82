#include "health/audit_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *tsp_cause_name(tsp_cause cause)
{
    return tspi_cause_name((enum tspi_cause)cause);
}

bool tspi_audit_say(tspi_audit *audit, const char *format, ...)
{
    tsp_check *check = audit->check;
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (check->advice_n == check->advice_cap) {
        size_t cap = check->advice_cap ? check->advice_cap * 2 : 16;
        const char **bigger = realloc(check->advice, cap * sizeof *bigger);
        if (!bigger)
            return false;
        check->advice = bigger;
        check->advice_cap = cap;
    }
    const char *copy = tspi_arena_strndup(&check->arena, text, strlen(text));
    if (copy)
        check->advice[check->advice_n++] = copy;
    return copy != NULL;
}

const tsp_clock_result *tspi_audit_clock(const tspi_audit *a, uint32_t clock)
{
    return a->solved ? &a->judge.mend.answer.clocks[clock] : NULL;
}

const tspi_judge *tspi_audit_judge(const tspi_audit *a)
{
    return a->solved ? &a->judge.judge : NULL;
}

uint32_t tspi_audit_reference(const tspi_audit *a, uint32_t clock)
{
    return a->references ? a->references[clock] : clock;
}

void tsp_check_free(tsp_check *check)
{
    if (!check)
        return;
    free(check->edges);
    free(check->clocks);
    free(check->pairs);
    free(check->examples);
    free(check->tree);
    free(check->advice);
    tspi_arena_release(&check->arena);
    free(check);
}

const tsp_check_totals *tsp_check_totals_of(const tsp_check *check)
{
    return &check->totals;
}

const tsp_check_edge *tsp_check_edges(const tsp_check *check, size_t *ret_n)
{
    *ret_n = check->edges_n;
    return check->edges;
}

const tsp_check_clock *tsp_check_clocks(const tsp_check *check, size_t *ret_n)
{
    *ret_n = check->clocks_n;
    return check->clocks;
}

const tsp_check_pair *tsp_check_pairs(const tsp_check *check, size_t *ret_n)
{
    *ret_n = check->pairs_n;
    return check->pairs;
}

const tsp_check_example *tsp_check_examples(const tsp_check *check, size_t *ret_n)
{
    *ret_n = check->examples_n;
    return check->examples;
}

const tsp_check_span *tsp_check_tree(const tsp_check *check, size_t *ret_n)
{
    *ret_n = check->tree_n;
    return check->tree;
}

const char *const *tsp_check_advice(const tsp_check *check, size_t *ret_n)
{
    *ret_n = check->advice_n;
    return check->advice;
}
