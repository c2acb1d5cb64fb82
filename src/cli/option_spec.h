/* One table of options a command: it drives parsing, --help, the man page and the shell completions, so that the four
 * cannot disagree. */
#ifndef TSPI_CLI_OPTION_SPEC_H
#define TSPI_CLI_OPTION_SPEC_H

#include <stdbool.h>

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

#endif
