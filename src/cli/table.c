#include "cli/table.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/terminal.h"

enum { SQUEEZED = 10 };

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

unsigned table_width_of(const char *text)
{
    unsigned n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

void table_clip(char *text, unsigned width, bool utf8)
{
    const char *dots = utf8 ? "…" : "..";
    unsigned keep = width - (utf8 ? 1 : 2), n = 0;
    size_t size = strlen(text) + 1;
    char *end = text;

    if (table_width_of(text) <= width)
        return;
    for (; *end; end++)
        if (((unsigned char)*end & 0xc0) != 0x80 && n++ == keep)
            break;
    /* What is cut off is at least as long in characters; in bytes it need not be. */
    if ((size_t)(end - text) + strlen(dots) + 1 <= size)
        strcpy(end, dots);
    else
        *end = 0;
}

static void find_widths(const table *t, int width[TABLE_COLUMNS])
{
    memset(width, 0, TABLE_COLUMNS * sizeof *width);
    for (size_t k = 0; k < t->cells_n; k++) {
        int w = (int)table_width_of(t->cells[k]);
        if (w > width[k % t->columns])
            width[k % t->columns] = w;
    }
}

/* How long lines are. */
static int line_width(const table *t, const int width[TABLE_COLUMNS], int indent)
{
    int line = indent - 2;

    for (unsigned c = 0; c < t->columns; c++)
        line += t->hidden[c] ? 0 : width[c] + 2;
    return line;
}

/* Bytes of the first n characters. */
static size_t bytes_of(const char *text, unsigned n)
{
    size_t k = 0;

    for (; text[k]; k++)
        if (((unsigned char)text[k] & 0xc0) != 0x80 && n-- == 0)
            break;
    return k;
}

static void shorten(char **cell, unsigned width, bool utf8)
{
    const char *dots = utf8 ? "…" : "..";
    unsigned had = table_width_of(*cell), keep = width - (utf8 ? 1 : 2), head = (keep + 1) / 2;
    char *text = NULL;

    if (had <= width)
        return;
    if (asprintf(&text, "%.*s%s%s", (int)bytes_of(*cell, head), *cell, dots,
                 *cell + bytes_of(*cell, had - (keep - head))) < 0)
        return;
    free(*cell);
    *cell = text;
}

void table_squeeze(table *t, int indent, unsigned columns, unsigned names, bool utf8)
{
    int width[TABLE_COLUMNS], had[TABLE_COLUMNS], line;

    find_widths(t, width);
    memcpy(had, width, sizeof had);
    for (line = line_width(t, width, indent); columns && line > (int)columns; line--) {
        unsigned widest = t->columns;
        for (unsigned c = 0; c < names; c++)
            if (!t->hidden[c] && width[c] > SQUEEZED && (widest == t->columns || width[c] > width[widest]))
                widest = c;
        if (widest == t->columns)
            break;
        width[widest]--;
    }
    for (size_t k = 0; k < t->cells_n; k++)
        if (width[k % t->columns] < had[k % t->columns])
            shorten(&t->cells[k], (unsigned)width[k % t->columns], utf8);
}

unsigned table_fit(table *t, int indent, unsigned columns, const int *spare)
{
    int width[TABLE_COLUMNS], line;
    unsigned hidden = 0;

    find_widths(t, width);
    line = line_width(t, width, indent);
    for (; columns && line > (int)columns && spare[hidden] >= 0; hidden++) {
        t->hidden[spare[hidden]] = true;
        line -= width[spare[hidden]] + 2;
    }
    return hidden;
}

static unsigned last_shown(const table *t)
{
    unsigned last = t->columns - 1;

    while (last && t->hidden[last])
        last--;
    return last;
}

void table_print(const table *t, int indent, FILE *out)
{
    int width[TABLE_COLUMNS];
    bool begun = false;

    find_widths(t, width);
    for (size_t k = 0; k < t->cells_n; k++) {
        unsigned column = (unsigned)(k % t->columns);
        if (t->hidden[column])
            continue;
        bool last = column == last_shown(t) || k + 1 == t->cells_n;
        int gap = width[column] - (int)table_width_of(t->cells[k]);
        fprintf(out, "%*s", begun ? 2 : indent, "");
        if (t->right[column])
            fprintf(out, "%*s%s", gap, "", t->cells[k]);
        else
            fprintf(out, "%s%*s", t->cells[k], last ? 0 : gap, "");
        begun = !last;
        if (last)
            fputc('\n', out);
    }
    if (t->failed)
        fputs("(memory is exhausted: lines are missing)\n", out);
}
