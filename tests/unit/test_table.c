#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "test.h"

enum { COLUMNS = 6, ROWS = 5, CELL = 24 };

static const char *const letters[] = {"a", "é", "━", "😀"};

static void random_text(tspi_random *r, unsigned most, char *ret)
{
    unsigned n = (unsigned)tspi_random_below(r, most + 1);

    ret[0] = 0;
    for (unsigned k = 0; k < n; k++)
        strcat(ret, letters[tspi_random_below(r, 4)]);
}

/* The longest line that a table prints, and how many lines. */
static unsigned print_widest(const table *t, int indent, unsigned *ret_lines)
{
    char *text = NULL;
    size_t size = 0;
    unsigned widest = 0;
    FILE *out = open_memstream(&text, &size);

    table_print(t, indent, out);
    fclose(out);
    *ret_lines = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), ++*ret_lines)
        widest = table_width_of(line) > widest ? table_width_of(line) : widest;
    free(text);
    return widest;
}

TEST(table, columns_are_left_out_in_order_until_a_line_fits)
{
    static const int spare[] = {4, 1, 3, -1};
    tspi_random r;

    tspi_random_seed(&r, seed);
    for (int round = 0; round < 200; round++) {
        unsigned columns = (unsigned)tspi_random_below(&r, 120), before, after, lines;
        char text[4 * CELL + 1];
        table t;
        table_init(&t, "lrlrll");
        for (unsigned k = 0; k < COLUMNS * ROWS; k++) {
            random_text(&r, CELL - 1, text);
            strcat(text, "x");
            table_add(&t, text);
        }
        before = print_widest(&t, 2, &lines);
        CHECK_INT(lines, ROWS);
        unsigned hidden = table_fit(&t, 2, columns, spare);
        after = print_widest(&t, 2, &lines);
        CHECK_INT(lines, ROWS);
        CHECK(hidden <= 3);
        CHECK(!columns || after <= columns || hidden == 3);
        CHECK(hidden ? after < before : after == before);
        for (unsigned k = 0; k < 3; k++)
            CHECK(t.hidden[spare[k]] == (k < hidden));
        table_release(&t);
    }
}

TEST(table, names_give_way_when_no_column_can)
{
    static const int none[] = {-1};
    tspi_random r;

    tspi_random_seed(&r, seed);
    for (int round = 0; round < 200; round++) {
        char text[4 * CELL + 2];
        unsigned columns = 40 + (unsigned)tspi_random_below(&r, 100), lines, before, after;
        bool utf8 = tspi_random_below(&r, 2);
        table t;
        table_init(&t, "llr");
        for (unsigned k = 0; k < 3 * ROWS; k++) {
            random_text(&r, k % 3 == 2 ? 8 : CELL - 1, text);
            strcat(text, "x");
            table_add(&t, text);
        }
        before = print_widest(&t, 2, &lines);
        table_fit(&t, 2, columns, none);
        table_squeeze(&t, 2, columns, 2, utf8);
        after = print_widest(&t, 2, &lines);
        CHECK_INT(lines, ROWS);
        CHECK(before <= columns ? after == before : after <= columns);
        for (unsigned k = 0; k < 3 * ROWS; k++)
            CHECK(t.cells[k][strlen(t.cells[k]) - 1] == 'x');
        table_release(&t);
    }
}

TEST(table, a_clipped_text_is_as_long_as_it_may_be)
{
    tspi_random r;

    tspi_random_seed(&r, seed);
    for (int round = 0; round < 500; round++) {
        char text[4 * CELL + 1], clipped[4 * CELL + 1];
        unsigned width = 3 + (unsigned)tspi_random_below(&r, CELL), had;
        bool utf8 = tspi_random_below(&r, 2);
        random_text(&r, CELL, text);
        strcpy(clipped, text);
        had = table_width_of(text);
        table_clip(clipped, width, utf8);
        CHECK(had <= width ? !strcmp(text, clipped) : table_width_of(clipped) <= width);
        if (had <= width)
            continue;
        /* Where the dots have no room in bytes what is cut off is simply gone. */
        size_t dots = strlen(utf8 ? "…" : "..");
        bool dotted = strlen(clipped) >= dots && !strcmp(clipped + strlen(clipped) - dots, utf8 ? "…" : "..");
        CHECK(table_width_of(clipped) == (dotted ? width : width - (utf8 ? 1 : 2)));
        CHECK(!strncmp(text, clipped, strlen(clipped) - (dotted ? dots : 0)));
    }
}
