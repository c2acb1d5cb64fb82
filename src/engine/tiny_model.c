#include "engine/tiny_model.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Reading is done twice with the same code: first with block NULL, which checks every size and counts the bytes that
 * the packed model needs; then for real. A file that passes the first time cannot fail the second time. */

static const char signature[8] = {'T', 'S', 'P', 'T', 'I', 'N', 'Y', '1'};

enum {
    HEADER_WORDS = 9,
    CRC_OFFSET = sizeof signature + 4 * (HEADER_WORDS - 1),
    HEADER_BYTES = sizeof signature + 4 * HEADER_WORDS,
    ALIGN = 64,
};

typedef struct {
    const uint8_t *bytes;
    size_t len, at;
    uint8_t *block; /* NULL while only counting */
    size_t used;
    const tspi_tiny_kernel *kernel;
    bool bad; /* too short, or a value that no exporter writes */
} reader;

static uint32_t load_u32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static uint32_t crc_of(uint32_t crc, const uint8_t *bytes, size_t len)
{
    uint32_t table[256];

    for (uint32_t k = 0; k < 256; k++) {
        uint32_t word = k;
        for (int bit = 0; bit < 8; bit++)
            word = word >> 1 ^ (word & 1 ? 0xedb88320u : 0);
        table[k] = word;
    }
    crc = ~crc;
    for (size_t k = 0; k < len; k++)
        crc = crc >> 8 ^ table[(crc ^ bytes[k]) & 255];
    return ~crc;
}

/* The next len bytes of the file, or NULL. */
static const uint8_t *take(reader *in, size_t len)
{
    const uint8_t *here = in->bytes + in->at;

    if (in->bad || len > in->len - in->at) {
        in->bad = true;
        return NULL;
    }
    in->at += len;
    return here;
}

/* size bytes of the block, aligned; NULL while counting. Sizes are sums of products that check_shape has bounded. */
static void *room(reader *in, size_t size)
{
    void *here = in->block ? in->block + in->used : NULL;

    in->used += (size + ALIGN - 1) / ALIGN * ALIGN;
    return here;
}

/* n floats into a room for padded of them; a value that is not finite or absurdly large is damage. */
static float *read_floats_padded(reader *in, size_t n, size_t padded)
{
    const uint8_t *from = take(in, 4 * n);
    float *to = room(in, sizeof(float) * padded);

    for (size_t k = 0; from && k < n; k++) {
        uint32_t word = load_u32(from + 4 * k);
        float value;
        memcpy(&value, &word, 4);
        if (!(fabsf(value) < 1e6f))
            in->bad = true;
        if (to)
            to[k] = value;
    }
    return to;
}

static float *read_floats(reader *in, size_t n)
{
    return read_floats_padded(in, n, n);
}

static void read_matrix(reader *in, uint32_t rows, uint32_t cols, tspi_tiny_matrix *ret)
{
    const uint32_t padded = (rows + TSPI_TINY_ROWS - 1) / TSPI_TINY_ROWS * TSPI_TINY_ROWS;
    const uint8_t *from;

    ret->rows = rows;
    ret->cols = cols;
    ret->scale = read_floats_padded(in, rows, padded);
    from = take(in, (size_t)rows * cols);
    ret->weights = room(in, (size_t)padded * cols);
    ret->bias = room(in, sizeof(int32_t) * padded);
    for (uint32_t row = 0; from && row < rows; row++) {
        int32_t sum = 0;
        for (uint32_t col = 0; col < cols; col++) {
            int8_t weight = (int8_t)from[(size_t)row * cols + col];
            if (weight == -128) /* the kernels' bounds rest on this */
                in->bad = true;
            sum += weight;
            if (ret->weights)
                ret->weights[in->kernel->place(row, col, cols)] = weight;
        }
        if (ret->bias)
            ret->bias[row] = -128 * sum;
    }
}

static void read_layer(reader *in, const tspi_tiny_model *model, tspi_tiny_layer *ret)
{
    const uint32_t dim = model->dim, kv_dim = model->kv_dim, ffn = model->ffn;

    ret->attn_norm = read_floats(in, dim);
    ret->ffn_norm = read_floats(in, dim);
    ret->q_norm = read_floats(in, model->head_dim);
    ret->k_norm = read_floats(in, model->head_dim);
    read_matrix(in, dim, dim, &ret->wq);
    read_matrix(in, kv_dim, dim, &ret->wk);
    read_matrix(in, kv_dim, dim, &ret->wv);
    read_matrix(in, dim, dim, &ret->wo);
    read_matrix(in, ffn, dim, &ret->gate);
    read_matrix(in, ffn, dim, &ret->up);
    read_matrix(in, dim, ffn, &ret->down);
}

/* Both parts of a merge must be tokens that stand before it. */
static void read_merges(reader *in, tspi_tiny_model *model)
{
    const size_t n = model->vocab - TSPI_TINY_FIRST_MERGE;
    const uint8_t *from = take(in, 4 * n);
    uint16_t *to = room(in, 4 * n);

    for (size_t k = 0; from && k < 2 * n; k++) {
        uint16_t part = (uint16_t)(from[2 * k] | from[2 * k + 1] << 8);
        if (part == TSPI_TINY_END || part >= TSPI_TINY_FIRST_MERGE + k / 2)
            in->bad = true;
        if (to)
            to[k] = part;
    }
    model->merges = to;
}

/* Everything behind the header. */
static void read_body(reader *in, tspi_tiny_model *model)
{
    const float *eps = read_floats(in, 1);

    model->eps = eps ? *eps : 0;
    model->turn = read_floats(in, model->head_dim / 2);
    read_merges(in, model);
    if (!in->kernel) /* the checksum vouches for the rest */
        return;
    read_matrix(in, model->vocab, model->dim, &model->embed);
    model->final_norm = read_floats(in, model->dim);
    model->layer = room(in, sizeof *model->layer * model->layers);
    for (uint32_t k = 0; k < model->layers; k++) {
        tspi_tiny_layer nowhere;
        read_layer(in, model, model->layer ? &model->layer[k] : &nowhere);
    }
    if (in->at != in->len)
        in->bad = true;
}

static tsp_status check_shape(const tspi_tiny_model *m, tsp_error *err)
{
    if (m->dim < 1 || m->dim > 1024 || m->dim % 4 || m->ffn < 1 || m->ffn > 4096 || m->ffn % 4 || m->layers < 1 ||
        m->layers > 64 || m->heads < 1 || m->heads > 64 || m->kv_heads < 1 || m->dim % m->heads ||
        m->heads % m->kv_heads || m->dim / m->heads % 8 || m->vocab <= TSPI_TINY_FIRST_MERGE || m->vocab > 65535 ||
        m->window < 4 || m->window > 8192 || m->window % 4 || m->begin >= m->vocab)
        return tsp_error_set(err, TSP_EUNSUPPORTED,
                             "tiny weights: cannot run a model of dim %u, %u layers, %u heads, %u key heads, ffn %u, "
                             "vocab %u, window %u",
                             m->dim, m->layers, m->heads, m->kv_heads, m->ffn, m->vocab, m->window);
    return TSP_OK;
}

static tsp_status read_header(reader *in, tspi_tiny_model *model, tsp_error *err)
{
    uint32_t *const word[] = {&model->dim, &model->layers, &model->heads,  &model->kv_heads,
                              &model->ffn, &model->vocab,  &model->window, &model->begin};
    const uint8_t *header = in->bytes;
    uint32_t crc;

    if (in->len < sizeof signature || memcmp(header, signature, sizeof signature) != 0)
        return tsp_error_at(err, TSP_EPARSE, 0, "tiny weights: no such file: it does not begin with 'TSPTINY1'");
    if (in->len < HEADER_BYTES)
        return tsp_error_at(err, TSP_EPARSE, in->len, "tiny weights: cut after %zu bytes", in->len);
    crc = crc_of(crc_of(0, header, CRC_OFFSET), header + HEADER_BYTES, in->len - HEADER_BYTES);
    if (crc != load_u32(header + CRC_OFFSET))
        return tsp_error_at(err, TSP_EPARSE, CRC_OFFSET, "tiny weights: damaged or cut: the checksum does not match");
    for (size_t k = 0; k < sizeof word / sizeof *word; k++)
        *word[k] = load_u32(header + sizeof signature + 4 * k);
    in->at = HEADER_BYTES;
    return check_shape(model, err);
}

tsp_status tspi_tiny_model_read(const void *bytes, size_t len, const tspi_tiny_kernel *kernel,
                                tspi_tiny_model *ret_model, tsp_error *err)
{
    tspi_tiny_model model = {.kernel = kernel};
    reader in = {.bytes = bytes, .len = len, .kernel = kernel};
    tsp_status rc = read_header(&in, &model, err);

    if (rc != TSP_OK)
        return rc;
    model.head_dim = model.dim / model.heads;
    model.kv_dim = model.head_dim * model.kv_heads;
    read_body(&in, &model);
    if (in.bad)
        return tsp_error_at(err, TSP_EPARSE, in.at, "tiny weights: the shape and the bytes do not agree");
    model.block = aligned_alloc(ALIGN, in.used);
    if (!model.block)
        return tsp_error_set(err, TSP_ENOMEM, "tiny weights: no memory for %zu bytes", in.used);
    memset(model.block, 0, in.used); /* padded rows are zeros */
    in.block = model.block;
    in.at = HEADER_BYTES;
    in.used = 0;
    read_body(&in, &model);
    *ret_model = model;
    return TSP_OK;
}

void tspi_tiny_model_release(tspi_tiny_model *model)
{
    free(model->block);
    *model = (tspi_tiny_model){0};
}

/* Both in tiny_weights.S, which the build writes. */
extern const uint8_t tspi_tiny_weights[], tspi_tiny_weights_end[];

const void *tspi_tiny_model_builtin(size_t *ret_len)
{
    *ret_len = (size_t)(tspi_tiny_weights_end - tspi_tiny_weights);
    return tspi_tiny_weights;
}
