#include "test.h"

#include "base/random.h"
#include "cli/sparkline.h"

#define S INT64_C(1000000000)

static size_t marks(const char *line)
{
    size_t n = 0;
    for (; *line; line++)
        n += ((unsigned char)*line & 0xc0) != 0x80;
    return n;
}

static void draw(const tsp_knot *knots, size_t n, double scale_ns, bool utf8, char ret[SPARKLINE_BYTES])
{
    sparkline_axis axis;
    sparkline_axis_init(&axis);
    sparkline_axis_add(&axis, knots, n);
    sparkline_draw(&axis, knots, n, scale_ns, SPARKLINE_COLUMNS, utf8, ret);
}

TEST(sparkline, a_ramp_rises_and_a_quiet_clock_is_flat)
{
    static const char levels[] = "_.,-~=^\"";
    tspi_random random;
    tsp_knot knots[240];
    char text[SPARKLINE_BYTES];

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 50; round++) {
        int64_t rate = (int64_t)tspi_random_below(&random, 100000) + 1000, at = INT64_C(1700000000) * S;
        for (int k = 0; k < 240; k++)
            knots[k] = (tsp_knot){at + k * S, k * rate, TSP_UNBOUNDED_LO, TSP_UNBOUNDED_HI};
        draw(knots, 240, 1, false, text);
        REQUIRE(marks(text) == SPARKLINE_COLUMNS);
        CHECK(text[0] == '_' && text[SPARKLINE_COLUMNS - 1] == '"');
        for (int c = 1; c < SPARKLINE_COLUMNS; c++)
            CHECK(strchr(levels, text[c]) >= strchr(levels, text[c - 1]));
        draw(knots, 240, 1, true, text);
        CHECK_INT(marks(text), SPARKLINE_COLUMNS);
        CHECK(strlen(text) == 3 * SPARKLINE_COLUMNS);
        /* The same within its own noise: one level, or two neighbours. */
        draw(knots, 240, 1e4 * 240 * (double)rate, false, text);
        for (int c = 1; c < SPARKLINE_COLUMNS; c++)
            CHECK(labs((long)(strchr(levels, text[c]) - strchr(levels, text[0]))) <= 1);
    }
}

TEST(sparkline, what_is_not_known_is_blank)
{
    tsp_knot knots[120];
    char text[SPARKLINE_BYTES];

    for (int k = 0; k < 120; k++)
        knots[k] = (tsp_knot){k * S, k < 60 ? 5000 : TSP_NO_VALUE, 0, 0};
    draw(knots, 120, 1e4, false, text);
    CHECK_INT(marks(text), 12); /* nothing in the second half, and no blanks at the end */
    for (int k = 0; k < 120; k++)
        knots[k].offset_ns = TSP_NO_VALUE;
    draw(knots, 120, 1e4, true, text);
    CHECK(!text[0]);
    draw(knots, 0, 1e4, true, text);
    CHECK(!text[0]);
    knots[0].offset_ns = 1;
    draw(knots, 1, 1e4, true, text); /* no time passes */
    CHECK(!text[0]);
}

TEST(sparkline, a_silence_is_a_gap_and_extremes_fit)
{
    tsp_knot knots[] = {{0, INT64_MAX - 1, 0, 0}, {S, INT64_MAX - 1, 0, 0}, {100 * S, -INT64_MAX, 0, 0}};
    char text[SPARKLINE_BYTES];

    draw(knots, 3, 0, false, text);
    CHECK_INT(strlen(text), SPARKLINE_COLUMNS);
    CHECK(text[0] == '"' && text[SPARKLINE_COLUMNS - 1] == '_' && text[SPARKLINE_COLUMNS / 2] == ' ');
    CHECK(sparkline_scale_ns(0, TSP_UNBOUNDED_LO, TSP_UNBOUNDED_HI) == 1e4);
    CHECK(sparkline_scale_ns(0, -50000000, 50000000) == 1e6);
    CHECK(sparkline_scale_ns(1000000, 0, 0) == 8e6);
}
