/* Sentences for people: on a terminal lines break between words, in a file or a pipe they do not. */
#ifndef TSPI_CLI_WRAP_H
#define TSPI_CLI_WRAP_H

#include <stddef.h>
#include <stdio.h>

/* Write text with its lines no longer than columns characters, unless one word alone is; 0 = any length will do. A line
 * that is broken goes on two columns further in than it began. */
void wrap_put(const char *text, unsigned columns, FILE *out);

/* What is written to the file that wrap_begin returns comes out of wrap_end, wrapped to the terminal if stdout is one.
 * Without memory it is out itself. */
typedef struct {
    FILE *out, *file; /* file: owned */
    char *text;       /* owned */
    size_t len;
} wrap;
FILE *wrap_begin(wrap *w, FILE *out);
void wrap_end(wrap *w);

#endif
