#include "engine/tiny_forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct tspi_tiny_state {
    const tspi_tiny_model *model;
    uint64_t tokens; /* added so far */
    /* Everything below lies in one block. */
    float *keys, *values; /* [layer][token % window][kv_dim] */
    float *x;             /* the residual stream */
    float *h;             /* what a layer's part sees, and what it gives back */
    float *q, *kv;
    float *gate, *up;
    float *score; /* window */
    float *sin, *cos;
    float *logits;
    tspi_tiny_vector rounded;
    uint8_t block[] __attribute__((aligned(64)));
};

static size_t padded(size_t n)
{
    return (n + TSPI_TINY_ROWS - 1) / TSPI_TINY_ROWS * TSPI_TINY_ROWS;
}

/* Hand out the block's parts; with block NULL only count. */
static size_t lay_out(const tspi_tiny_model *m, tspi_tiny_state *s, uint8_t *block)
{
    const size_t cache = (size_t)m->layers * m->window * m->kv_dim;
    const struct {
        float **to;
        size_t n;
    } part[] = {{&s->keys, cache},      {&s->values, cache},    {&s->x, m->dim},        {&s->h, m->dim},
                {&s->q, m->dim},        {&s->kv, m->kv_dim},    {&s->gate, m->ffn},     {&s->up, m->ffn},
                {&s->score, m->window}, {&s->sin, m->head_dim}, {&s->cos, m->head_dim}, {&s->logits, m->vocab}};
    size_t used = 0;

    for (size_t k = 0; k < sizeof part / sizeof *part; k++) {
        if (block)
            *part[k].to = (float *)(void *)(block + used);
        used += padded(part[k].n) * sizeof(float);
    }
    if (block)
        s->rounded.q = (int8_t *)block + used;
    return used + padded(m->dim > m->ffn ? m->dim : m->ffn);
}

tsp_status tspi_tiny_state_new(const tspi_tiny_model *model, tspi_tiny_state **ret_state, tsp_error *err)
{
    tspi_tiny_state shape, *state;
    const size_t block = (lay_out(model, &shape, NULL) + 63) / 64 * 64, size = sizeof *state + block;

    state = aligned_alloc(64, (size + 63) / 64 * 64);
    if (!state)
        return tsp_error_set(err, TSP_ENOMEM, "no memory for %zu bytes of a session", size);
    memset(state, 0, size);
    state->model = model;
    lay_out(model, state, state->block);
    *ret_state = state;
    return TSP_OK;
}

void tspi_tiny_state_free(tspi_tiny_state *state)
{
    free(state);
}

/* ret = m x, x rounded to int8 first. */
static void multiply(tspi_tiny_state *s, const tspi_tiny_matrix *m, const float *x, float *ret)
{
    tspi_tiny_round(x, m->cols, &s->rounded);
    s->model->kernel->multiply(m, &s->rounded, ret);
}

/* Turn the pairs (k, k + half) of a head by the token's angles. */
static void turn(const tspi_tiny_state *s, float *head)
{
    const size_t half = s->model->head_dim / 2;

    for (size_t k = 0; k < half; k++) {
        const float a = head[k], b = head[k + half];
        head[k] = a * s->cos[k] - b * s->sin[k];
        head[k + half] = b * s->cos[k] + a * s->sin[k];
    }
}

static void norm_and_turn(const tspi_tiny_state *s, float *heads, uint32_t n, const float *gain)
{
    const size_t size = s->model->head_dim;

    for (uint32_t k = 0; k < n; k++) {
        tspi_tiny_norm(heads + k * size, gain, size, s->model->eps, heads + k * size);
        turn(s, heads + k * size);
    }
}

/* ret (head_dim, zeros) = values of the newest n tokens, weighted by softmax(q . key / sqrt(head_dim)). Oldest first,
 * so that the order of the sums depends on the text alone, not on where the ring begins: its tail, then its head. */
static void attend(tspi_tiny_state *s, const float *q, const float *keys, const float *values, float *ret)
{
    const tspi_tiny_model *m = s->model;
    const size_t n = s->tokens < m->window ? (size_t)s->tokens + 1 : m->window;
    const size_t oldest = (size_t)((s->tokens + 1 - n) % m->window),
                 tail = n < m->window - oldest ? n : m->window - oldest;
    const size_t stride = m->kv_dim, size = m->head_dim, whole = (n + 3) / 4 * 4;
    const float unit = 1.0f / sqrtf((float)size);
    float inverse;

    tspi_tiny_dots(q, keys + oldest * stride, stride, tail, size, unit, s->score);
    tspi_tiny_dots(q, keys, stride, n - tail, size, unit, s->score + tail);
    for (size_t k = n; k < whole; k++)
        s->score[k] = -1e30f; /* fill up the last four lanes: exp gives 0 */
    inverse = 1.0f / tspi_tiny_exp_all(s->score, whole, NULL);
    tspi_tiny_mix(ret, s->score, values + oldest * stride, stride, tail, size);
    tspi_tiny_mix(ret, s->score + tail, values, stride, n - tail, size);
    for (size_t k = 0; k < size; k++)
        ret[k] *= inverse;
}

static void attention(tspi_tiny_state *s, const tspi_tiny_layer *layer, size_t number)
{
    const tspi_tiny_model *m = s->model;
    const size_t ring = number * m->window * m->kv_dim, now = s->tokens % m->window * m->kv_dim;
    float *keys = s->keys + ring, *values = s->values + ring;
    const uint32_t group = m->heads / m->kv_heads;

    tspi_tiny_norm(s->x, layer->attn_norm, m->dim, m->eps, s->h);
    tspi_tiny_round(s->h, m->dim, &s->rounded);
    m->kernel->multiply(&layer->wk, &s->rounded, s->kv);
    norm_and_turn(s, s->kv, m->kv_heads, layer->k_norm);
    memcpy(keys + now, s->kv, m->kv_dim * sizeof(float));
    m->kernel->multiply(&layer->wv, &s->rounded, s->kv);
    memcpy(values + now, s->kv, m->kv_dim * sizeof(float));
    m->kernel->multiply(&layer->wq, &s->rounded, s->q);
    norm_and_turn(s, s->q, m->heads, layer->q_norm);
    memset(s->h, 0, m->dim * sizeof(float));
    for (uint32_t head = 0; head < m->heads; head++) {
        const size_t from = head / group * m->head_dim;
        attend(s, s->q + head * m->head_dim, keys + from, values + from, s->h + head * m->head_dim);
    }
    multiply(s, &layer->wo, s->h, s->q);
    tspi_tiny_add(s->x, s->q, m->dim);
}

static void feed_forward(tspi_tiny_state *s, const tspi_tiny_layer *layer)
{
    const tspi_tiny_model *m = s->model;

    tspi_tiny_norm(s->x, layer->ffn_norm, m->dim, m->eps, s->h);
    tspi_tiny_round(s->h, m->dim, &s->rounded);
    m->kernel->multiply(&layer->gate, &s->rounded, s->gate);
    m->kernel->multiply(&layer->up, &s->rounded, s->up);
    tspi_tiny_swiglu(s->gate, s->up, m->ffn);
    multiply(s, &layer->down, s->gate, s->h);
    tspi_tiny_add(s->x, s->h, m->dim);
}

float *tspi_tiny_forward(tspi_tiny_state *s, uint32_t id, bool want_logits)
{
    const tspi_tiny_model *m = s->model;

    for (uint32_t k = 0; k < m->head_dim / 2; k++) {
        double sine, cosine;
        tspi_tiny_sincos((double)s->tokens * (double)m->turn[k], &sine, &cosine);
        s->sin[k] = (float)sine;
        s->cos[k] = (float)cosine;
    }
    for (uint32_t k = 0; k < m->dim; k++)
        s->x[k] = (float)m->embed.weights[m->kernel->place(id, k, m->dim)] * m->embed.scale[id];
    tspi_tiny_norm(s->x, NULL, m->dim, m->eps, s->x);
    for (uint32_t k = 0; k < m->layers; k++) {
        attention(s, &m->layer[k], k);
        feed_forward(s, &m->layer[k]);
    }
    s->tokens++;
    if (!want_logits)
        return NULL;
    tspi_tiny_norm(s->x, m->final_norm, m->dim, m->eps, s->h);
    multiply(s, &m->embed, s->h, s->logits);
    return s->logits;
}
