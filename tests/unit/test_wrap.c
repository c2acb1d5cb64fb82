#include "cli/wrap.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "test.h"

enum { TEXT = 4000, WORDS = 40 };

static const char *const letters[] = {"a", "é", "━", "😀"};

static unsigned width_of(const char *text, size_t len)
{
    unsigned n = 0;

    for (size_t k = 0; k < len; k++)
        n += ((unsigned char)text[k] & 0xc0) != 0x80;
    return n;
}

/* A line of words with blanks before and one or two between them. */
static void random_line(tspi_random *r, char *ret)
{
    unsigned words = 1 + (unsigned)tspi_random_below(r, WORDS), blanks = (unsigned)tspi_random_below(r, 8);

    sprintf(ret, "%*s", (int)blanks, "");
    for (unsigned k = 0; k < words; k++) {
        strcat(ret, k == 0 ? "" : tspi_random_below(r, 6) ? " " : "  ");
        for (unsigned n = 1 + (unsigned)tspi_random_below(r, 14); n; n--)
            strcat(ret, letters[tspi_random_below(r, 4)]);
    }
}

static char *wrapped(const char *text, unsigned columns)
{
    char *bytes = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&bytes, &len);

    wrap_put(text, columns, out);
    fclose(out);
    return bytes;
}

/* The same words in the same order: all else may be blanks. */
static bool same_words(const char *a, const char *b)
{
    for (;;) {
        a += strspn(a, " \n");
        b += strspn(b, " \n");
        size_t n = strcspn(a, " \n");
        if (n != strcspn(b, " \n") || strncmp(a, b, n) != 0)
            return false;
        if (!n)
            return true;
        a += n;
        b += n;
    }
}

/* Every line of text fits, or is one word; each went on as long as it could. */
static bool well_broken(const char *text, unsigned columns, unsigned hang)
{
    for (bool first = true; *text; first = false) {
        size_t len = strcspn(text, "\n"), indent = strspn(text, " ");
        if (!first && indent != hang)
            return false;
        if (width_of(text, len) > columns && memchr(text + indent, ' ', len - indent))
            return false;
        if (len && text[len - 1] == ' ')
            return false;
        const char *next = text + len + (text[len] != 0);
        size_t blanks = strspn(next, " "), word = strcspn(next + blanks, " \n");
        if (word && width_of(text, len) + 1 + width_of(next + blanks, word) <= columns - 1)
            return false;
        text = next;
    }
    return true;
}

TEST(wrap, breaks_between_words_and_keeps_them_all)
{
    tspi_random r;
    char line[TEXT];

    tspi_random_seed(&r, seed);
    for (unsigned k = 0; k < 2000; k++) {
        random_line(&r, line);
        unsigned columns = 40 + (unsigned)tspi_random_below(&r, 100);
        char *text = wrapped(line, columns);
        CHECK(same_words(line, text));
        if (width_of(line, strlen(line)) <= columns)
            CHECK(!strcmp(line, text));
        else
            CHECK(well_broken(text, columns, (unsigned)strspn(line, " ") + 2));
        free(text);
        text = wrapped(line, 0);
        CHECK(!strcmp(line, text));
        free(text);
    }
}

TEST(wrap, keeps_lines_apart)
{
    tspi_random r;
    char one[TEXT], both[2 * TEXT + 4];

    tspi_random_seed(&r, seed);
    for (unsigned k = 0; k < 200; k++) {
        random_line(&r, one);
        char *first = wrapped(one, 60);
        sprintf(both, "%s\n\n%s\n", one, one);
        char *text = wrapped(both, 60), *want = NULL;
        CHECK(asprintf(&want, "%s\n\n%s\n", first, first) > 0 && !strcmp(text, want));
        free(first);
        free(text);
        free(want);
    }
}
