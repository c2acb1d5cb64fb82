#include "cli/table.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/terminal.h"

void table_init(table *t, const char *align)
{
    memset(t, 0, sizeof *t);
    for (; align[t->columns] && t->columns < TABLE_COLUMNS; t->columns++)
        t->right[t->columns] = align[t->columns] == 'r';
}

void table_release(table *t)
{
    for (size_t k = 0; k < t->cells_n; k++)
        free(t->cells[k]);
    free(t->cells);
    memset(t, 0, sizeof *t);
}

static char *add_cell(table *t, const char *text)
{
    if (t->cells_n == t->cells_cap) {
        size_t cap = t->cells_cap ? t->cells_cap * 2 : 64;
        char **bigger = realloc(t->cells, cap * sizeof *bigger);
        if (!bigger) {
            t->failed = true;
            return NULL;
        }
        t->cells = bigger;
        t->cells_cap = cap;
    }
    char *copy = strdup(text);
    if (!copy) {
        t->failed = true;
        return NULL;
    }
    return t->cells[t->cells_n++] = copy;
}

void table_add_drawn(table *t, const char *text)
{
    add_cell(t, text);
}

void table_add(table *t, const char *text)
{
    char *cell = add_cell(t, text);

    if (cell)
        terminal_clean(cell);
}

void table_addf(table *t, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    table_add(t, text);
}

static int width_of(const char *text)
{
    int n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

void table_print(const table *t, int indent, FILE *out)
{
    int width[TABLE_COLUMNS] = {0};

    for (size_t k = 0; k < t->cells_n; k++) {
        int w = width_of(t->cells[k]);
        if (w > width[k % t->columns])
            width[k % t->columns] = w;
    }
    for (size_t k = 0; k < t->cells_n; k++) {
        unsigned column = (unsigned)(k % t->columns);
        bool last = column + 1 == t->columns || k + 1 == t->cells_n;
        int gap = width[column] - width_of(t->cells[k]);
        fprintf(out, "%*s", column ? 2 : indent, "");
        if (t->right[column])
            fprintf(out, "%*s%s", gap, "", t->cells[k]);
        else
            fprintf(out, "%s%*s", t->cells[k], last ? 0 : gap, "");
        if (last)
            fputc('\n', out);
    }
    if (t->failed)
        fputs("(memory is exhausted: lines are missing)\n", out);
}
