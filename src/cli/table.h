/* Lines of columns for people: widths from the content, numbers to the right, one blank column pair between. */
#ifndef TSPI_CLI_TABLE_H
#define TSPI_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { TABLE_COLUMNS = 12 };

typedef struct {
    unsigned columns;
    bool right[TABLE_COLUMNS]; /* aligned to the right */
    char **cells;              /* owned; row by row */
    size_t cells_n, cells_cap;
    bool failed;
} table;

/* align: a letter a column, 'l' or 'r'. */
void table_init(table *t, const char *align);
void table_release(table *t);

/* The next cell, row by row; text is copied. */
void table_add(table *t, const char *text);
void table_addf(table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Every line begins with indent blanks. No blanks end a line. */
void table_print(const table *t, int indent, FILE *out);

/* 1234567 as "1,234,567". */
void format_count(uint64_t n, char *ret, size_t size);

/* A difference for a column: three digits or so, with its unit: "5.12 ms", "763 us", "0". */
void format_ns(int64_t ns, char *ret, size_t size);

/* 1400000 as "1.3 MiB". */
void format_bytes(uint64_t bytes, char *ret, size_t size);

#endif
