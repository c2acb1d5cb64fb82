#include "engine/tiny_bpe.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

enum {
    CHUNK_MAX = 32, /* merges never cross chunks; as in tools/train_tiny/tiny_text.py, from which the merges come */
    TOKEN_MAX = 64, /* bytes */
};

typedef struct {
    uint32_t pair; /* left << 16 | right; 0 = empty, since 0 is never part of a merge */
    uint32_t id;
} slot;

struct tspi_tiny_bpe {
    uint32_t vocab;
    slot *slots; /* open addressing, at most half full */
    size_t mask;
    uint32_t *start; /* vocab + 1: token id is bytes[start[id]] .. bytes[start[id + 1]] */
    uint8_t *bytes;
};

static size_t find(const tspi_tiny_bpe *bpe, uint32_t pair)
{
    size_t k = (size_t)tspi_hash_mix(pair) & bpe->mask;

    while (bpe->slots[k].pair && bpe->slots[k].pair != pair)
        k = (k + 1) & bpe->mask;
    return k;
}

static tsp_status spell_out(tspi_tiny_bpe *bpe, const tspi_tiny_model *model, tsp_error *err)
{
    uint32_t at = 0;

    for (uint32_t id = 0; id < bpe->vocab; id++) {
        bpe->start[id] = at;
        if (id > TSPI_TINY_END && id < TSPI_TINY_FIRST_MERGE)
            bpe->bytes[at++] = (uint8_t)(id - 1);
        if (id < TSPI_TINY_FIRST_MERGE)
            continue;
        for (uint32_t half = 0; half < 2; half++) {
            uint32_t part = model->merges[2 * (id - TSPI_TINY_FIRST_MERGE) + half];
            uint32_t len = bpe->start[part + 1] - bpe->start[part];
            if (at + len - bpe->start[id] > TOKEN_MAX)
                return tsp_error_set(err, TSP_EPARSE, "tiny weights: token %u is too long", id);
            memcpy(bpe->bytes + at, bpe->bytes + bpe->start[part], len);
            at += len;
            bpe->start[id + 1] = at;
        }
    }
    bpe->start[bpe->vocab] = at;
    return TSP_OK;
}

tsp_status tspi_tiny_bpe_new(const tspi_tiny_model *model, tspi_tiny_bpe **ret_bpe, tsp_error *err)
{
    const uint32_t merges = model->vocab - TSPI_TINY_FIRST_MERGE;
    tspi_tiny_bpe *bpe = calloc(1, sizeof *bpe);
    size_t slots = 1024;
    tsp_status rc = TSP_ENOMEM;

    while (slots < 2 * (size_t)merges)
        slots *= 2;
    if (bpe) {
        bpe->vocab = model->vocab;
        bpe->mask = slots - 1;
        bpe->slots = calloc(slots, sizeof *bpe->slots);
        bpe->start = calloc((size_t)bpe->vocab + 2, sizeof *bpe->start);
        bpe->bytes = calloc((size_t)bpe->vocab + 1, TOKEN_MAX);
    }
    if (!bpe || !bpe->slots || !bpe->start || !bpe->bytes) {
        tsp_error_set(err, TSP_ENOMEM, "no memory for the tokeniser");
        goto fail;
    }
    rc = spell_out(bpe, model, err);
    if (rc != TSP_OK)
        goto fail;
    for (uint32_t k = 0; k < merges; k++) {
        uint32_t pair = (uint32_t)model->merges[2 * k] << 16 | model->merges[2 * k + 1];
        size_t at = find(bpe, pair);
        if (!bpe->slots[at].pair) /* of two equal merges the first counts */
            bpe->slots[at] = (slot){pair, TSPI_TINY_FIRST_MERGE + k};
    }
    *ret_bpe = bpe;
    return TSP_OK;
fail:
    tspi_tiny_bpe_free(bpe);
    return rc;
}

void tspi_tiny_bpe_free(tspi_tiny_bpe *bpe)
{
    if (!bpe)
        return;
    free(bpe->slots);
    free(bpe->start);
    free(bpe->bytes);
    free(bpe);
}

enum { LETTER = 1, DIGIT, FOREIGN };

static int kind_of(uint8_t b)
{
    if ((b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z'))
        return LETTER;
    if (b >= '0' && b <= '9')
        return DIGIT;
    return b >= 0x80 ? FOREIGN : 0;
}

/* Length of the first chunk: an optional space and a run of letters, of digits or of non-ASCII bytes; else one byte.
 * A run is cut after CHUNK_MAX bytes of chunk; what is left of it makes chunks of its own. */
static size_t chunk_length(const uint8_t *text, size_t len)
{
    size_t n = text[0] == ' ' && len > 1 && kind_of(text[1]) ? 1 : 0;
    const int kind = kind_of(text[n]);

    if (!kind)
        return 1;
    while (n < len && n < CHUNK_MAX && kind_of(text[n]) == kind)
        n++;
    return n;
}

/* Apply the lowest merge again and again, leftmost first. ids holds n tokens; the new n is returned. */
static size_t merge_chunk(const tspi_tiny_bpe *bpe, uint32_t *ids, size_t n)
{
    for (;;) {
        uint32_t best = UINT32_MAX;
        size_t kept = 0;
        for (size_t k = 0; k + 1 < n; k++) {
            const slot *s = &bpe->slots[find(bpe, ids[k] << 16 | ids[k + 1])];
            if (s->pair && s->id < best)
                best = s->id;
        }
        if (best == UINT32_MAX)
            return n;
        for (size_t k = 0; k < n; k++) {
            if (k + 1 < n && bpe->slots[find(bpe, ids[k] << 16 | ids[k + 1])].id == best) {
                ids[kept++] = best;
                k++;
            } else
                ids[kept++] = ids[k];
        }
        n = kept;
    }
}

tsp_status tspi_tiny_bpe_encode(const tspi_tiny_bpe *bpe, const uint8_t *text, size_t len, tspi_buf *ret_ids,
                                tsp_error *err)
{
    while (len) {
        size_t n = chunk_length(text, len), count = n;
        uint32_t ids[CHUNK_MAX];
        for (size_t k = 0; k < n; k++)
            ids[k] = 1u + text[k];
        count = merge_chunk(bpe, ids, count);
        for (size_t k = 0; k < count; k++)
            tspi_tiny_piece_add(ret_ids, ids[k]);
        text += n;
        len -= n;
    }
    if (!tspi_buf_ok(ret_ids))
        return tsp_error_set(err, TSP_ENOMEM, "no memory for a prompt's tokens");
    return TSP_OK;
}

const uint8_t *tspi_tiny_bpe_bytes(const tspi_tiny_bpe *bpe, uint32_t id, size_t *ret_len)
{
    *ret_len = bpe->start[id + 1] - bpe->start[id];
    return bpe->bytes + bpe->start[id];
}

void tspi_tiny_piece_add(tspi_buf *piece, uint32_t id)
{
    const uint8_t bytes[4] = {(uint8_t)id, (uint8_t)(id >> 8), (uint8_t)(id >> 16), (uint8_t)(id >> 24)};

    tspi_buf_append(piece, bytes, sizeof bytes);
}
