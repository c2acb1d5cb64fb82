/* Stamps that lie, cut to what their hops allow. */
#include <stdlib.h>

#include "mend/correct.h"

static int64_t *stamp_of(tspi_mend *m, uint32_t span, bool is_end)
{
    return is_end ? &m->set.spans[span].end_ns : &m->set.spans[span].start_ns;
}

/* A stamp written late is known to be no later than what it caused: it goes there, and what it was caused by may have
 * to follow if that lies, too. Whole microseconds stay whole: they come from stamps that are, or are cut down. */
static void clamp_lies(const tspi_correction *c)
{
    tspi_mend *m = c->mend;
    bool changed = true;

    for (int round = 0; changed && round < 16; round++) {
        changed = false;
        for (size_t k = 0; k < c->lies_n; k++) {
            const tspi_lie *l = &c->lies[k];
            int64_t *sent = stamp_of(m, l->from_span, l->from_end), received = *stamp_of(m, l->to_span, l->to_end);
            const tspi_mend_stamps *raw = &m->raw[l->from_span];
            if (*sent % 1000 == 0 && (l->from_end ? raw->end_ns : raw->start_ns) % 1000 == 0)
                received -= received % 1000;
            if (l->from_end && received < m->set.spans[l->from_span].start_ns)
                received = m->set.spans[l->from_span].start_ns;
            if (*sent > received) {
                *sent = received;
                changed = true;
            }
        }
    }
}

static int compare_places(const void *a, const void *b)
{
    const tspi_lie *x = a, *y = b;

    if (x->from_span != y->from_span)
        return x->from_span < y->from_span ? -1 : 1;
    return (int)x->from_end - (int)y->from_end;
}

/* Clamp, and count the stamps that moved. */
uint64_t tspi_correct_clamp(tspi_correction *c)
{
    tspi_mend *m = c->mend;
    int64_t *before = malloc((c->lies_n + 1) * sizeof *before);
    uint64_t n = 0;

    if (c->lies_n)
        qsort(c->lies, c->lies_n, sizeof *c->lies, compare_places);
    for (size_t k = 0; before && k < c->lies_n; k++)
        before[k] = *stamp_of(m, c->lies[k].from_span, c->lies[k].from_end);
    clamp_lies(c);
    for (size_t k = 0; before && k < c->lies_n; k++)
        n += (!k || compare_places(&c->lies[k - 1], &c->lies[k])) &&
             before[k] != *stamp_of(m, c->lies[k].from_span, c->lies[k].from_end);
    free(before);
    return n;
}
