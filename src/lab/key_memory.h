/* The last thousand requests that a stage is done with. A transport that delivers at least once may bring the first
 * message of a request again when all of it is answered: without this it would look like a new request. */
#ifndef TSPI_LAB_KEY_MEMORY_H
#define TSPI_LAB_KEY_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* A second copy comes within seconds; at 25 requests a second these are 40 of them. */
enum { TSPI_KEY_MEMORY_N = 1024 };

/* Zero it to initialise; nothing to release. */
typedef struct {
    uint64_t keys[TSPI_KEY_MEMORY_N];
    uint16_t next[TSPI_KEY_MEMORY_N];  /* in its bucket: row + 1; 0 = last */
    uint16_t first[TSPI_KEY_MEMORY_N]; /* of a bucket */
    uint64_t n;                        /* remembered ever; row n % N is the next to be overwritten */
} tspi_key_memory;

bool tspi_key_memory_has(const tspi_key_memory *memory, uint64_t key);
/* The oldest is forgotten when all rows are taken. A key that is known already is not remembered twice. */
void tspi_key_memory_add(tspi_key_memory *memory, uint64_t key);

#endif
