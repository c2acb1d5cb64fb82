#include "lab/request_table.h"

#include <stdlib.h>

#include "base/hash.h"

static tspi_request **bucket(tspi_request_table *table, uint64_t key)
{
    return &table->buckets[tspi_hash_mix(key) % TSPI_REQUEST_BUCKETS];
}

tspi_request *tspi_request_find(tspi_request_table *table, uint64_t key)
{
    tspi_request *request = *bucket(table, key);

    while (request && request->key != key)
        request = request->next;
    return request;
}

tspi_request *tspi_request_add(tspi_request_table *table, uint64_t key, size_t size)
{
    tspi_request *request = calloc(1, size), **head = bucket(table, key);

    if (!request)
        return NULL;
    request->key = key;
    request->next = *head;
    *head = request;
    table->n++;
    return request;
}

void tspi_request_remove(tspi_request_table *table, tspi_request *request)
{
    tspi_request **at = bucket(table, request->key);

    while (*at && *at != request)
        at = &(*at)->next;
    if (*at) {
        *at = request->next;
        table->n--;
    }
}

void tspi_request_table_clear(tspi_request_table *table, void (*release_state)(tspi_request *request))
{
    for (size_t k = 0; k < TSPI_REQUEST_BUCKETS; k++) {
        for (tspi_request *request = table->buckets[k], *next; request; request = next) {
            next = request->next;
            if (release_state)
                release_state(request);
            free(request);
        }
        table->buckets[k] = NULL;
    }
    table->n = 0;
}
