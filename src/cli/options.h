/* One table of options a command: it drives parsing, --help, the man page and the shell completions, so that the four
 * cannot disagree. */
#ifndef TSPI_CLI_OPTIONS_H
#define TSPI_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_type {
    OPTION_FLAG,     /* bool * */
    OPTION_STRING,   /* const char ** */
    OPTION_COUNT,    /* uint64_t *: a whole number */
    OPTION_NUMBER,   /* double *: any finite number */
    OPTION_DURATION, /* int64_t *: ns, from a number with a unit: 5ms, 250us, 2h, -3ms */
    OPTION_CHOICE,   /* const char **: one word of choices */
    OPTION_FILE,     /* const char **: completes to files */
    OPTION_FOLDER,   /* const char **: completes to folders */
};

struct option_spec {
    const char *name; /* without the dashes */
    char letter;      /* 0 = none */
    enum option_type type;
    void *value;         /* where it goes; its content before parsing is the default */
    const char *metavar; /* "D", "FILE"; NULL for flags */
    const char *help;    /* one sentence without a full stop; it may be long, help wraps it */
    const char *choices; /* "zmq|kafka|aeron" */
    bool *seen;          /* set when the option was given; may be NULL */
};

struct command_spec {
    const char *name;                  /* "check" */
    const char *summary;               /* one line for the list of commands */
    const char *synopsis;              /* "FILE|DIR|- ..." */
    const char *text;                  /* paragraphs for --help and the man page, separated by blank lines */
    const char *examples;              /* lines "command\n    what it does\n"; may be NULL */
    const struct option_spec *options; /* ends with a row whose name is NULL */
    const char *operands;              /* what operands complete to: "file", "folder", "command" or NULL */
    bool rest;                         /* everything behind the first operand (or --) belongs to the operands */
};

/* Parse argv[1..]; argv[0] is the command's name. Operands are moved to the front of ret_operands (borrowed from argv).
 * Returns -1 to go on, or an exit code: 0 after --help, 2 after a message on stderr about what is wrong. */
int options_parse(const struct command_spec *command, int argc, char **argv, char **ret_operands, int *ret_operands_n);

/* A duration with its unit (ns, us, µs, ms, s, m, min, h, d; fractions allowed) to ns. false: not one, or too large. */
bool options_parse_duration(const char *text, int64_t *ret_ns);

/* ns as a person writes it: "5ms", "2h", "-1.5us"; options_parse_duration reads it back exactly. */
void options_format_duration(int64_t ns, char *ret_text, size_t size);

void options_print_help(const struct command_spec *command, FILE *out);
void options_print_man(const struct command_spec *command, FILE *out);
void options_print_bash(const struct command_spec *const *commands, FILE *out);
void options_print_zsh(const struct command_spec *const *commands, FILE *out);

#endif
