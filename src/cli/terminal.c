#include "cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { COLUMNS_LEAST = 40, COLUMNS_DEFAULT = 100, COLUMNS_MOST = 400 };

bool terminal_speaks_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        const char *value = getenv(names[k]);
        if (value && *value)
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

bool terminal_draws(void)
{
    const char *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

bool terminal_wants_colour(void)
{
    const char *no_color = getenv("NO_COLOR");

    return terminal_draws() && !(no_color && *no_color);
}

/* Bytes at text that no name needs: control characters (C0, DEL, C1) and directions (U+202A to E, U+2066 to 9). */
static size_t unwanted(const unsigned char *text)
{
    if (text[0] < 0x20 || text[0] == 0x7f)
        return 1;
    if (text[0] == 0xc2 && text[1] >= 0x80 && text[1] <= 0x9f)
        return 2;
    if (text[0] == 0xe2 && text[1] == 0x80 && text[2] >= 0xaa && text[2] <= 0xae)
        return 3;
    return text[0] == 0xe2 && text[1] == 0x81 && text[2] >= 0xa6 && text[2] <= 0xa9 ? 3 : 0;
}

void terminal_clean(char *text)
{
    while (*text) {
        size_t n = unwanted((const unsigned char *)text);
        memset(text, '?', n);
        text += n ? n : 1;
    }
}

const char *terminal_shown(const char *text, char *ret, size_t size)
{
    size_t n = strnlen(text, size - 1);

    while (n && text[n] && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    memcpy(ret, text, n);
    ret[n] = 0;
    terminal_clean(ret);
    return ret;
}

unsigned terminal_columns(void)
{
    struct winsize size;
    unsigned columns = COLUMNS_DEFAULT;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
        columns = size.ws_col;
    return columns < COLUMNS_LEAST ? COLUMNS_LEAST : columns > COLUMNS_MOST ? COLUMNS_MOST : columns;
}
