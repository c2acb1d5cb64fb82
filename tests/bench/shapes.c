#include "shapes.h"

#include <string.h>

const shape_attribute shape_attributes[SHAPE_ATTRIBUTES] = {
    {"http.request.method", "POST"},
    {"url.full", "http://checkout.shop.svc.cluster.local:8080/api/v2/carts/3fd1e6/items?currency=EUR&page=2"},
    {"server.address", "checkout.shop.svc.cluster.local"},
    {"network.protocol.version", "1.1"},
    {"user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"},
    {"client.address", "10.244.3.17"},
    {"http.route", "/api/v2/carts/{cart}/items"},
    {"session.id", "0f8f3c7e-9d2f-4a58-8a34-6b1d1c8f2e55"},
};

void put_varint(tspi_buf *out, uint64_t value)
{
    for (; value > 127; value >>= 7)
        tspi_buf_putc(out, (char)(value | 128));
    tspi_buf_putc(out, (char)value);
}

void put_bytes(tspi_buf *out, unsigned field, const void *bytes, size_t len)
{
    put_varint(out, field << 3 | 2);
    put_varint(out, len);
    tspi_buf_append(out, bytes, len);
}

void put_text(tspi_buf *out, unsigned field, const char *text)
{
    put_bytes(out, field, text, strlen(text));
}

void put_fixed64(tspi_buf *out, unsigned field, int64_t value)
{
    uint8_t bytes[8];

    for (int k = 0; k < 8; k++)
        bytes[k] = (uint8_t)((uint64_t)value >> (8 * k));
    put_varint(out, field << 3 | 1);
    tspi_buf_append(out, bytes, sizeof bytes);
}

void put_big_endian(tspi_buf *out, unsigned field, const uint64_t *words, unsigned n)
{
    uint8_t bytes[16];

    for (unsigned k = 0; k < 8 * n; k++)
        bytes[k] = (uint8_t)(words[k / 8] >> (56 - 8 * (k & 7)));
    put_bytes(out, field, bytes, 8 * (size_t)n);
}

void put_attribute(tspi_buf *out, unsigned field, const char *key, const char *value)
{
    tspi_buf any = {0}, pair = {0};

    put_text(&any, 1, value);
    put_text(&pair, 1, key);
    put_bytes(&pair, 2, any.data, any.len);
    put_bytes(out, field, pair.data, pair.len);
    tspi_buf_release(&any);
    tspi_buf_release(&pair);
}

void put_span_fields(tspi_buf *span, const uint64_t ids[4], const char *name, unsigned kind, int64_t start_ns,
                     int64_t end_ns)
{
    put_big_endian(span, 1, ids, 2);
    put_big_endian(span, 2, &ids[2], 1);
    if (ids[3])
        put_big_endian(span, 4, &ids[3], 1);
    put_text(span, 5, name);
    put_varint(span, 6 << 3);
    put_varint(span, kind);
    put_fixed64(span, 7, start_ns);
    put_fixed64(span, 8, end_ns);
}

void put_batch(tspi_buf *out, const shape_attribute *attributes, unsigned n, const tspi_buf *spans)
{
    tspi_buf resource = {0}, all = {0};

    for (unsigned k = 0; k < n; k++)
        put_attribute(&resource, 1, attributes[k][0], attributes[k][1]);
    put_bytes(&all, 1, resource.data, resource.len);
    put_bytes(&all, 2, spans->data, spans->len);
    put_bytes(out, 1, all.data, all.len);
    tspi_buf_release(&resource);
    tspi_buf_release(&all);
}
