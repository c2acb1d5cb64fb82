/* What names the clock of one process: the key that was asked for, or the best of what its attributes say of its
 * machine. Which processes share a clock then is clock_identity's. */
#ifndef TSPI_CAUSAL_CLOCK_NAMING_H
#define TSPI_CAUSAL_CLOCK_NAMING_H

#include "span/span.h"

/* A key that was asked for, cut at its plus signs. */
enum { TSPI_CLOCK_KEY_PARTS = 8, TSPI_CLOCK_NAME_SIZE = 512 };
typedef struct {
    const char *whole; /* NULL = default order only */
    char text[TSPI_CLOCK_NAME_SIZE];
    const char *part[TSPI_CLOCK_KEY_PARTS];
    int width[TSPI_CLOCK_KEY_PARTS]; /* of an address's network, or -1 */
    unsigned parts_n;
} tspi_clock_key;

/* The result points into itself: do not move it. TSP_EINVAL: too long, too many parts, an absurd width. */
tsp_status tspi_clock_key_parse(const char *key, tspi_clock_key *ret, tsp_error *err);

/* The name that the key gives, or false when the process lacks a part of it. */
bool tspi_clock_key_name(const tspi_clock_key *key, const tspi_process *process, char *ret, size_t size);

/* The default order. Returns the key used; the name is written to ret. NULL: nothing names the machine. */
const char *tspi_clock_default_name(const tspi_process *process, char *ret, size_t size);

/* An attribute's value; NULL = it has none. */
const char *tspi_process_attribute(const tspi_process *process, const char *key);

#endif
