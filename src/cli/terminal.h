/* What the terminal behind stdout can show. */
#ifndef TSPI_CLI_TERMINAL_H
#define TSPI_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* The locale says that more than ASCII can be shown. */
bool terminal_speaks_utf8(void);

/* stdout is a terminal that moves its cursor: drawings are welcome. */
bool terminal_draws(void);

/* It draws, and NO_COLOR (no-color.org) is not set. */
bool terminal_wants_colour(void);

/* Replace, in place, what would command a terminal or turn the direction of its text: names in traces are anybody's. */
void terminal_clean(char *text);

/* A copy of text, cleaned, in ret; cut to its size between characters. Returns ret. */
const char *terminal_shown(const char *text, char *ret, size_t size);
enum { TERMINAL_NAME = 256 }; /* room for a name in a sentence */

/* Columns of the terminal behind stdout; 100 where it does not say, never fewer than 40 nor more than 400. */
unsigned terminal_columns(void);

#endif
