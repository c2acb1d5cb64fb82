#include "cli/wrap.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/terminal.h"

enum { HANG = 2, HANG_MOST = 20 };

/* Characters of len bytes of UTF-8. */
static unsigned width_of(const char *text, size_t len)
{
    unsigned n = 0;

    for (size_t k = 0; k < len; k++)
        n += ((unsigned char)text[k] & 0xc0) != 0x80;
    return n;
}

/* One line, len bytes without its end; all blanks stay but those at which it breaks. */
static void put_line(const char *line, size_t len, unsigned columns, FILE *out)
{
    size_t at = 0;
    unsigned column = 0, hang;

    while (at < len && line[at] == ' ')
        at++;
    hang = (unsigned)at < HANG_MOST ? (unsigned)at + HANG : HANG_MOST + HANG;
    if (!columns || hang >= columns / 2 || width_of(line, len) <= columns) {
        fwrite(line, 1, len, out);
        return;
    }
    fprintf(out, "%*s", (int)at, "");
    column = (unsigned)at;
    for (bool first = true; at < len; first = false) {
        size_t blanks = strspn(line + at, " "), word;
        blanks = at + blanks > len ? len - at : blanks;
        for (word = at + blanks; word < len && line[word] != ' ';)
            word++;
        unsigned width = width_of(line + at + blanks, word - at - blanks);
        if (!first && width && column + blanks + width > columns) {
            fprintf(out, "\n%*s", (int)hang, "");
            column = hang;
        } else {
            fwrite(line + at, 1, blanks, out);
            column += (unsigned)blanks;
        }
        fwrite(line + at + blanks, 1, word - at - blanks, out);
        column += width;
        at = word;
    }
}

void wrap_put(const char *text, unsigned columns, FILE *out)
{
    while (*text) {
        size_t len = strcspn(text, "\n");
        put_line(text, len, columns, out);
        text += len;
        if (*text) {
            fputc('\n', out);
            text++;
        }
    }
}

FILE *wrap_begin(wrap *w, FILE *out)
{
    *w = (wrap){.out = out};
    w->file = isatty(STDOUT_FILENO) ? open_memstream(&w->text, &w->len) : NULL;
    return w->file ? w->file : out;
}

void wrap_end(wrap *w)
{
    if (!w->file)
        return;
    fclose(w->file);
    if (w->text)
        wrap_put(w->text, terminal_columns(), w->out);
    free(w->text);
    *w = (wrap){0};
}
