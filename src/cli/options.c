#include "cli/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "cli/options_print.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool parse_count(const char *text, uint64_t *ret)
{
    char *end;

    if (!is_digit(*text))
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*end || errno)
        return false;
    *ret = value;
    return true;
}

static bool parse_number(const char *text, double *ret)
{
    char *end;

    if (!*text || *text == ' ')
        return false;
    double value = strtod(text, &end);
    if (*end || !isfinite(value))
        return false;
    *ret = value;
    return true;
}

static bool is_choice(const char *choices, const char *word)
{
    size_t len = strlen(word);

    for (const char *p = choices; *p;) {
        size_t n = strcspn(p, "|");
        if (n == len && !memcmp(p, word, n))
            return true;
        p += n + (p[n] == '|');
    }
    return false;
}

/* What a value of the option should have been, for the message about one that is not. */
static const char *wanted(const struct option_spec *option)
{
    switch (option->type) {
    case OPTION_COUNT:
        return "a whole number";
    case OPTION_NUMBER:
        return "a number";
    case OPTION_DURATION:
        return "a duration with its unit, such as 5ms, 250us or 2h";
    case OPTION_CHOICE:
        return option->choices;
    default:
        return "a value";
    }
}

static bool store(const struct option_spec *option, const char *text)
{
    switch (option->type) {
    case OPTION_FLAG:
        *(bool *)option->value = true;
        return true;
    case OPTION_COUNT:
        return parse_count(text, option->value);
    case OPTION_NUMBER:
        return parse_number(text, option->value);
    case OPTION_DURATION:
        return tspi_duration_parse(text, option->value);
    case OPTION_CHOICE:
        if (!is_choice(option->choices, text))
            return false;
        break;
    default:
        break;
    }
    *(const char **)option->value = text;
    return true;
}

static int usage(const struct command_spec *command, const char *format, const char *a, const char *b)
{
    fprintf(stderr, "truespan %s: ", command->name);
    fprintf(stderr, format, a, b);
    fprintf(stderr, "\nSee 'truespan %s --help'.\n", command->name);
    return 2;
}

/* Number of single-letter edits between two words, at most 9; for "did you mean". */
static unsigned distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    unsigned row[64];

    if (la > 60 || lb > 60)
        return 9;
    for (size_t j = 0; j <= lb; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned up = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
            if (up + 1 < best)
                best = up + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = up;
            row[j] = best;
        }
    }
    return row[lb] < 9 ? row[lb] : 9;
}

static int unknown_option(const struct command_spec *command, const char *given)
{
    const char *word = given + strspn(given, "-"), *best = NULL;
    unsigned nearest = 3;

    for (const struct option_spec *o = command->options; o->name; o++) {
        unsigned d = distance(word, o->name);
        if (d < nearest) {
            nearest = d;
            best = o->name;
        }
    }
    if (best)
        return usage(command, "there is no option '%s'; did you mean '--%s'?", given, best);
    return usage(command, "there is no option '%s'%s", given, "");
}

static const struct option_spec *find_long(const struct command_spec *command, const char *name, size_t len)
{
    for (const struct option_spec *o = command->options; o->name; o++)
        if (strlen(o->name) == len && !memcmp(o->name, name, len))
            return o;
    return NULL;
}

static const struct option_spec *find_letter(const struct command_spec *command, char letter)
{
    for (const struct option_spec *o = command->options; o->name; o++)
        if (o->letter == letter)
            return o;
    return NULL;
}

/* Set one option from text; named is how the user wrote it. */
static int set(const struct command_spec *command, const struct option_spec *option, const char *named,
               const char *text)
{
    if (!store(option, text)) {
        fprintf(stderr, "truespan %s: %s: want %s, got '%s'\nSee 'truespan %s --help'.\n", command->name, named,
                wanted(option), text, command->name);
        return 2;
    }
    if (option->seen)
        *option->seen = true;
    return -1;
}

/* --name, --name=value, --name value. *at moves to the last word used. */
static int parse_long(const struct command_spec *command, int argc, char **argv, int *at)
{
    const char *word = argv[*at], *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) - 2 : strlen(word) - 2;
    const struct option_spec *option = find_long(command, word + 2, len);
    char named[80];

    if (!option) {
        if (len == 4 && !memcmp(word, "--help", 6)) {
            options_print_help(command, stdout);
            return 0;
        }
        return unknown_option(command, word);
    }
    snprintf(named, sizeof named, "--%s", option->name);
    if (option->type == OPTION_FLAG)
        return equals ? usage(command, "%s takes no value%s", named, "") : set(command, option, named, "");
    if (equals)
        return set(command, option, named, equals + 1);
    if (*at + 1 >= argc)
        return usage(command, "%s wants %s", named, wanted(option));
    return set(command, option, named, argv[++*at]);
}

/* -x, -xVALUE, -x VALUE, and flags run together: -qv. */
static int parse_letters(const struct command_spec *command, int argc, char **argv, int *at)
{
    for (const char *p = argv[*at] + 1; *p; p++) {
        const struct option_spec *option = find_letter(command, *p);
        char named[3] = {'-', *p, 0};
        int rc;

        if (!option) {
            if (*p == 'h') {
                options_print_help(command, stdout);
                return 0;
            }
            return unknown_option(command, argv[*at]);
        }
        if (option->type == OPTION_FLAG) {
            if ((rc = set(command, option, named, "")) >= 0)
                return rc;
            continue;
        }
        if (p[1])
            return set(command, option, named, p + 1);
        if (*at + 1 >= argc)
            return usage(command, "%s wants %s", named, wanted(option));
        return set(command, option, named, argv[++*at]);
    }
    return -1;
}

int options_parse(const struct command_spec *command, int argc, char **argv, char **ret_operands, int *ret_operands_n)
{
    int n = 0;
    bool only_operands = false;

    for (int at = 1; at < argc; at++) {
        const char *word = argv[at];
        int rc = -1;

        if (only_operands || word[0] != '-' || !word[1]) {
            ret_operands[n++] = argv[at];
            only_operands |= command->rest;
        } else if (!strcmp(word, "--"))
            only_operands = true;
        else if (word[1] == '-')
            rc = parse_long(command, argc, argv, &at);
        else
            rc = parse_letters(command, argc, argv, &at);
        if (rc >= 0)
            return rc;
    }
    *ret_operands_n = n;
    return -1;
}
