/* What a stage remembers of requests that are under way: a table from a request's key to a state of the stage's own. */
#ifndef TSPI_LAB_REQUEST_TABLE_H
#define TSPI_LAB_REQUEST_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Begins every state. */
typedef struct tspi_request {
    struct tspi_request *next; /* in its bucket */
    uint64_t key;
    uint32_t number; /* of the stream's next message */
} tspi_request;

enum { TSPI_REQUEST_BUCKETS = 1024 };

/* Zero it to initialise. States are owned; release_state (may be NULL) is called before one is freed. */
typedef struct {
    tspi_request *buckets[TSPI_REQUEST_BUCKETS];
    size_t n;
} tspi_request_table;

/* The state of a key; NULL when there is none. */
tspi_request *tspi_request_find(tspi_request_table *table, uint64_t key);
/* A new cleared state of size bytes; NULL when memory is exhausted. */
tspi_request *tspi_request_add(tspi_request_table *table, uint64_t key, size_t size);
/* Take a state out; the caller frees it. */
void tspi_request_remove(tspi_request_table *table, tspi_request *request);
void tspi_request_table_clear(tspi_request_table *table, void (*release_state)(tspi_request *request));

#endif
