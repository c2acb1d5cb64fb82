/* What a run's figures over time mean, in words. Each sentence is said only where the figures carry it: intervals that
 * do not overlap, offsets and delays that moved. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/duration.h"
#include "lab/timeline.h"

/* A part of the run: the first third of its stretches, the last, or one. */
struct part {
    double rate, lo, hi;
    int64_t offset_ns, hop_ns;
};

static struct part part_of(const tspi_run_result *run, size_t first, size_t end)
{
    struct part part = {0};
    uint64_t hops = 0, with_delay = 0;
    double offset = 0, delay = 0;

    for (size_t k = first; k < end; k++) {
        const tspi_timeline_point *point = &run->timeline[k];
        double weight = (double)point->hops;
        hops += point->hops;
        part.rate += weight * point->rate;
        part.lo += weight * point->rate_lo;
        part.hi += weight * point->rate_hi;
        offset += weight * (double)point->offset_ns;
        with_delay += point->hop_p50_ns ? point->hops : 0;
        delay += weight * (double)point->hop_p50_ns;
    }
    if (hops) {
        part.rate /= (double)hops;
        part.lo /= (double)hops;
        part.hi /= (double)hops;
        part.offset_ns = (int64_t)(offset / (double)hops);
    }
    part.hop_ns = with_delay ? (int64_t)(delay / (double)with_delay) : 0;
    return part;
}

/* "4.1ms", three digits of it. */
static const char *show(int64_t ns, char ret_text[32])
{
    int64_t unit = 1;

    while (llabs(ns) / unit >= 1000)
        unit *= 10;
    tspi_duration_format((ns + (ns < 0 ? -unit / 2 : unit / 2)) / unit * unit, ret_text, 32);
    return ret_text;
}

static const char *show_time(int64_t ns, char ret_text[32])
{
    tspi_duration_format(ns / TSP_NS_PER_S * TSP_NS_PER_S, ret_text, 32);
    return ret_text;
}

/* Whether a quantity moved by a tenth or more of the larger one. */
static bool moved(int64_t from, int64_t to)
{
    int64_t larger = llabs(from) > llabs(to) ? llabs(from) : llabs(to);
    return llabs(to - from) * 10 >= larger && larger > 0;
}

static void explain_trend(const tspi_run_result *run, tspi_buf *out)
{
    size_t third = run->timeline_n / 3 ? run->timeline_n / 3 : 1;
    struct part first = part_of(run, 0, third), last = part_of(run, run->timeline_n - third, run->timeline_n);
    bool fell = last.hi<first.lo, rose = last.lo> first.hi;
    bool nearer = llabs(last.offset_ns) < llabs(first.offset_ns);
    char a[32], b[32], c[32], d[32];

    if (!fell && !rose)
        return;
    tspi_buf_printf(out, "%s: negative spans went from %.1f %% in the first third to %.1f %% in the last",
                    fell ? "The rate fell" : "It got worse", 100 * first.rate, 100 * last.rate);
    if (moved(first.offset_ns, last.offset_ns) && nearer == fell)
        tspi_buf_printf(out, ", because the clock %s: its true offset went from %s to %s.\n",
                        fell ? "came back" : "went further off", show(first.offset_ns, a), show(last.offset_ns, b));
    else if (first.hop_ns && last.hop_ns && moved(first.hop_ns, last.hop_ns) && (last.hop_ns > first.hop_ns) == fell)
        tspi_buf_printf(
            out,
            ", because hops took %s, not because of the clock: %s in the median and then %s, while its true "
            "offset went from %s to %s.\n",
            fell ? "longer" : "less time", show(first.hop_ns, a), show(last.hop_ns, b), show(first.offset_ns, c),
            show(last.offset_ns, d));
    else
        tspi_buf_printf(out, "; the clock's true offset went from %s to %s.\n", show(first.offset_ns, a),
                        show(last.offset_ns, b));
}

/* Where health came back although the clock did not. Told once, at its first occurrence; how often it happened stands
 * with it. */
static void explain_recovery(const tspi_run_result *run, tspi_buf *out)
{
    const tspi_timeline_point *sick = NULL, *well = NULL;
    int64_t furthest_ns = 0;
    unsigned times = 0;
    char a[32], b[32], c[32], d[32];

    for (size_t k = 1; k < run->timeline_n; k++) {
        const tspi_timeline_point *before = &run->timeline[k - 1], *now = &run->timeline[k];
        if (llabs(before->offset_ns) > furthest_ns)
            furthest_ns = llabs(before->offset_ns);
        bool came_back = llabs(now->offset_ns) * 10 < furthest_ns * 9;
        if (before->healthy_at_end || !now->healthy_at_end || came_back || !now->offset_ns)
            continue;
        if (!times++) {
            sick = before;
            well = now;
        }
    }
    if (!times)
        return;
    tspi_buf_printf(out,
                    "causality_health recovered by %s although the clock did not: it was %s off before and %s after",
                    show_time(well->since_ns, a), show(sick->offset_ns, b), show(well->offset_ns, c));
    if (well->hop_p1_ns > sick->hop_p1_ns && moved(sick->hop_p1_ns, well->hop_p1_ns))
        tspi_buf_printf(out, ". Hops had become slower (the fastest in a hundred took %s), and the skew hides in that",
                        show(well->hop_p1_ns, d));
    else
        tspi_buf_printf(out, ". The window had rolled past the last negative span; the next may come at any time");
    tspi_buf_printf(out, times > 1 ? " (so %u times).\n" : ".\n", times);
}

void tspi_timeline_explain(const tspi_run_result *run, tspi_buf *ret_text)
{
    if (run->timeline_n < 2)
        return;
    explain_trend(run, ret_text);
    explain_recovery(run, ret_text);
}
