#include "lab/key_memory.h"

#include "base/hash.h"

static uint32_t bucket_of(uint64_t key)
{
    return (uint32_t)(tspi_hash_mix(key) % TSPI_KEY_MEMORY_N);
}

bool tspi_key_memory_has(const tspi_key_memory *memory, uint64_t key)
{
    for (uint32_t row = memory->first[bucket_of(key)]; row; row = memory->next[row - 1])
        if (memory->keys[row - 1] == key)
            return true;
    return false;
}

static void forget(tspi_key_memory *memory, uint32_t row)
{
    uint16_t *at = &memory->first[bucket_of(memory->keys[row])];

    while (*at != row + 1)
        at = &memory->next[*at - 1];
    *at = memory->next[row];
}

void tspi_key_memory_add(tspi_key_memory *memory, uint64_t key)
{
    uint32_t row = (uint32_t)(memory->n % TSPI_KEY_MEMORY_N);
    uint16_t *first = &memory->first[bucket_of(key)];

    if (tspi_key_memory_has(memory, key))
        return;
    if (memory->n++ >= TSPI_KEY_MEMORY_N)
        forget(memory, row);
    memory->keys[row] = key;
    memory->next[row] = *first;
    *first = (uint16_t)(row + 1);
}
