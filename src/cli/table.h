/* Lines of columns for people: widths from the content, numbers to the right, one blank column pair between. */
#ifndef TSPI_CLI_TABLE_H
#define TSPI_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/number_text.h"

enum { TABLE_COLUMNS = 12 };

typedef struct {
    unsigned columns;
    bool right[TABLE_COLUMNS]; /* aligned to the right */
    bool hidden[TABLE_COLUMNS];
    char **cells; /* owned; row by row */
    size_t cells_n, cells_cap;
    bool failed;
} table;

/* align: a letter a column, 'l' or 'r'. */
void table_init(table *t, const char *align);
void table_release(table *t);

/* The next cell, row by row; text is copied, and cleaned of what would command a terminal; drawn is not. */
void table_add(table *t, const char *text);
void table_add_drawn(table *t, const char *text);
void table_addf(table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Hide columns, those of spare in its order (-1 ends it), until lines are no longer than a terminal's columns; 0 = any
 * length will do. Returns how many are hidden: spare's first. */
unsigned table_fit(table *t, int indent, unsigned columns, const int *spare);

/* After table_fit, where lines are still too long: shorten the texts of the first columns, which are names, in their
 * middle, since they differ at both ends, the widest column first, none to fewer than 10 characters. utf8: one
 * character for what is left out. */
void table_squeeze(table *t, int indent, unsigned columns, unsigned names, bool utf8);

/* Characters of a text. */
unsigned table_width_of(const char *text);

/* Shorten a text to so many characters, at least 3, its last ones dots. utf8: one character for them. */
void table_clip(char *text, unsigned width, bool utf8);

/* Every line begins with indent blanks. No blanks end a line. */
void table_print(const table *t, int indent, FILE *out);

/* Numbers in cells. */
#define format_count tspi_format_count
#define format_ns tspi_format_ns
#define format_bytes tspi_format_bytes

#endif
