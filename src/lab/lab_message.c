#include "lab/lab_message.h"

#include <endian.h>
#include <string.h>

enum { MAGIC = 0x7c, VERSION = 1 };

static void put(uint8_t *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}

static uint32_t get(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

void tspi_lab_head_write(const tspi_lab_head *head, uint8_t ret_bytes[TSPI_LAB_HEAD_BYTES])
{
    ret_bytes[0] = MAGIC;
    ret_bytes[1] = VERSION;
    ret_bytes[2] = head->kind;
    ret_bytes[3] = head->flags;
    put(ret_bytes + 4, head->origin);
    put(ret_bytes + 8, head->block);
    put(ret_bytes + 12, head->request);
    put(ret_bytes + 16, head->prompt);
    put(ret_bytes + 20, head->number);
    put(ret_bytes + 24, head->tokens);
}

tsp_status tspi_lab_head_read(const uint8_t *bytes, size_t len, tspi_lab_head *ret_head, tsp_error *err)
{
    if (len < TSPI_LAB_HEAD_BYTES || bytes[0] != MAGIC || bytes[1] != VERSION || bytes[2] < TSPI_LAB_REQUEST ||
        bytes[2] >= TSPI_LAB_KINDS_END || get(bytes + 4) > UINT16_MAX)
        return tsp_error_set(err, TSP_EPARSE, "a message of %zu bytes is not one of the lab's", len);
    *ret_head = (tspi_lab_head){
        .kind = bytes[2],
        .flags = bytes[3],
        .origin = (uint16_t)get(bytes + 4),
        .block = get(bytes + 8),
        .request = get(bytes + 12),
        .prompt = get(bytes + 16),
        .number = get(bytes + 20),
        .tokens = get(bytes + 24),
    };
    return TSP_OK;
}
