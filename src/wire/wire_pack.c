#include "wire/wire_pack.h"

#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { GZIP_WINDOW = 15 + 16, STEP = 256 * 1024 };
#define RATIO_FREE_BYTES (UINT64_C(256) << 20) /* below this, nobody minds how well it was packed */
#define MOST_PLAIN_BYTES (UINT64_C(64) << 30)

static size_t be32(const uint8_t *at)
{
    return (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
}

static enum tspi_compression magic(const uint8_t *at, size_t len)
{
    if (len >= 3 && at[0] == 0x1f && at[1] == 0x8b && at[2] == 8)
        return TSPI_GZIP;
    if (len >= 4 && !memcmp(at, "\x28\xb5\x2f\xfd", 4))
        return TSPI_ZSTD;
    return TSPI_PLAIN;
}

enum tspi_compression tspi_pack_sniff(const uint8_t *bytes, size_t len)
{
    enum tspi_compression found = magic(bytes, len);

    if (found != TSPI_PLAIN || len < 8)
        return found;
    found = magic(bytes + 4, len - 4);
    if (found == TSPI_PLAIN || !be32(bytes))
        return TSPI_PLAIN;
    return found == TSPI_GZIP ? TSPI_FRAMED_GZIP : TSPI_FRAMED_ZSTD;
}

/* One unpacking: where its input lies, and what it may grow to. */
struct unpack {
    const char *name;
    const uint8_t *base;
    size_t total; /* of the whole input */
    uint64_t limit;
    unsigned ratio;
    tspi_buf *out;
    size_t out_first;
    tsp_error *err;
};

static tsp_status broken(const struct unpack *u, size_t at, const char *what)
{
    return tsp_error_at(u->err, TSP_EPARSE, at, "%s: byte %zu: the compressed data %s", u->name, at, what);
}

/* Room for one more step of output, within the limits. */
static tsp_status make_room(const struct unpack *u)
{
    uint64_t have = u->out->len - u->out_first;

    if (have > u->limit)
        return tsp_error_set(u->err, TSP_ERANGE,
                             "%s unpacks to more than %llu bytes, the limit: unpack it yourself if it is to be read",
                             u->name, (unsigned long long)u->limit);
    if (have > RATIO_FREE_BYTES && have / u->ratio > u->total)
        return tsp_error_set(u->err, TSP_ERANGE,
                             "%s unpacks to more than %u times its size, as only bombs do: unpack it yourself if it is "
                             "to be read",
                             u->name, u->ratio);
    if (!tspi_buf_reserve(u->out, STEP))
        return tsp_error_set(u->err, TSP_ENOMEM, "%s: memory is exhausted by unpacking", u->name);
    return TSP_OK;
}

/* Members one behind another, as gzip allows; zeros behind the last are padding. */
static tsp_status undo_gzip(const struct unpack *u, const uint8_t *bytes, size_t len)
{
    z_stream z = {0};
    size_t at = 0;
    tsp_status rc = TSP_OK;
    int got = Z_OK;

    if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
        return tsp_error_set(u->err, TSP_ENOMEM, "%s: memory is exhausted by unpacking", u->name);
    while (rc == TSP_OK) {
        rc = make_room(u);
        if (rc != TSP_OK)
            break;
        size_t in = len - at < STEP ? len - at : STEP, room = u->out->cap - u->out->len;
        room = room < UINT32_MAX ? room : UINT32_MAX;
        z.next_in = (Bytef *)(uintptr_t)(bytes + at);
        z.avail_in = (uInt)in;
        z.next_out = u->out->data + u->out->len;
        z.avail_out = (uInt)room;
        got = inflate(&z, Z_NO_FLUSH);
        at += in - z.avail_in;
        u->out->len += room - z.avail_out;
        if (got == Z_STREAM_END) {
            while (at < len && !bytes[at])
                at++;
            if (at == len)
                break;
            inflateReset(&z);
        } else if (got == Z_BUF_ERROR && at == len)
            rc = broken(u, (size_t)(bytes - u->base) + at, "ends early: the file was cut off");
        else if (got != Z_OK && got != Z_BUF_ERROR)
            rc = broken(u, (size_t)(bytes - u->base) + at, "is damaged");
    }
    inflateEnd(&z);
    return rc;
}

static tsp_status undo_zstd(const struct unpack *u, const uint8_t *bytes, size_t len)
{
    ZSTD_DStream *z = ZSTD_createDStream();
    ZSTD_inBuffer in = {bytes, len, 0};
    tsp_status rc = TSP_OK;
    size_t more = 1; /* 0 at the end of a frame */

    if (!z)
        return tsp_error_set(u->err, TSP_ENOMEM, "%s: memory is exhausted by unpacking", u->name);
    while (rc == TSP_OK) {
        rc = make_room(u);
        if (rc != TSP_OK)
            break;
        ZSTD_outBuffer out = {u->out->data + u->out->len, u->out->cap - u->out->len, 0};
        size_t before = in.pos;
        more = ZSTD_decompressStream(z, &out, &in);
        u->out->len += out.pos;
        if (ZSTD_isError(more))
            rc = broken(u, (size_t)(bytes - u->base) + in.pos, "is damaged");
        else if (in.pos == len && out.pos < out.size) {
            if (more)
                rc = broken(u, (size_t)(bytes - u->base) + in.pos, "ends early: the file was cut off");
            break;
        } else if (in.pos == before && !out.pos)
            rc = broken(u, (size_t)(bytes - u->base) + in.pos, "goes nowhere");
    }
    ZSTD_freeDStream(z);
    return rc;
}

static void put_be32(uint8_t *at, size_t value)
{
    for (unsigned k = 0; k < 4; k++)
        at[k] = (uint8_t)(value >> (24 - 8 * k));
}

/* Each frame's message unpacked, behind its new length. */
static tsp_status undo_frames(const struct unpack *u, const uint8_t *bytes, size_t len, bool gzip)
{
    for (size_t at = 0; at < len;) {
        if (len - at < 4 || be32(bytes + at) > len - at - 4)
            return broken(u, at, "ends early: a message is announced that is longer than what is left");
        size_t frame = be32(bytes + at), head = u->out->len;
        tspi_buf_append(u->out, "\0\0\0", 4);
        if (!tspi_buf_ok(u->out))
            return tsp_error_set(u->err, TSP_ENOMEM, "%s: memory is exhausted by unpacking", u->name);
        tsp_status rc = gzip ? undo_gzip(u, bytes + at + 4, frame) : undo_zstd(u, bytes + at + 4, frame);
        size_t plain = u->out->len - head - 4;
        if (rc == TSP_OK && plain > UINT32_MAX)
            rc = tsp_error_set(u->err, TSP_ERANGE, "%s: a message unpacks to more than 4 GiB", u->name);
        if (rc != TSP_OK) {
            u->out->len = head;
            return rc;
        }
        put_be32(u->out->data + head, plain);
        at += 4 + frame;
    }
    return TSP_OK;
}

static uint64_t default_limit(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t half = pages > 0 && size > 0 ? (uint64_t)pages / 2 * (uint64_t)size : MOST_PLAIN_BYTES;

    return half < MOST_PLAIN_BYTES ? half : MOST_PLAIN_BYTES;
}

tsp_status tspi_pack_undo(const char *name, const uint8_t *bytes, size_t len, enum tspi_compression compression,
                          const tspi_wire_options *options, tspi_buf *out, bool *ret_cut, tsp_error *err)
{
    struct unpack u = {.name = name,
                       .base = bytes,
                       .total = len,
                       .limit = options->max_plain_bytes ? options->max_plain_bytes : default_limit(),
                       .ratio = options->max_ratio ? options->max_ratio : 200,
                       .out = out,
                       .out_first = out->len,
                       .err = err};
    tsp_status rc = TSP_OK;

    *ret_cut = false;
    switch (compression) {
    case TSPI_GZIP:
        rc = undo_gzip(&u, bytes, len);
        break;
    case TSPI_ZSTD:
        rc = undo_zstd(&u, bytes, len);
        break;
    case TSPI_FRAMED_GZIP:
    case TSPI_FRAMED_ZSTD:
        rc = undo_frames(&u, bytes, len, compression == TSPI_FRAMED_GZIP);
        break;
    case TSPI_PLAIN:
        tspi_buf_append(out, bytes, len);
        break;
    }
    if (rc == TSP_OK && !tspi_buf_ok(out))
        rc = tsp_error_set(err, TSP_ENOMEM, "%s: memory is exhausted by unpacking", name);
    *ret_cut = rc == TSP_EPARSE && options->keep_going;
    return *ret_cut ? TSP_OK : rc;
}

static bool redo_gzip(const uint8_t *bytes, size_t len, tspi_buf *out)
{
    z_stream z = {0};
    int got = Z_OK;

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    for (size_t at = 0; got == Z_OK && tspi_buf_reserve(out, STEP);) {
        size_t in = len - at < STEP ? len - at : STEP, room = out->cap - out->len;
        room = room < UINT32_MAX ? room : UINT32_MAX;
        z.next_in = (Bytef *)(uintptr_t)(bytes + at);
        z.avail_in = (uInt)in;
        z.next_out = out->data + out->len;
        z.avail_out = (uInt)room;
        got = deflate(&z, at + in == len ? Z_FINISH : Z_NO_FLUSH);
        at += in - z.avail_in;
        out->len += room - z.avail_out;
    }
    deflateEnd(&z);
    return got == Z_STREAM_END;
}

static bool redo_zstd(const uint8_t *bytes, size_t len, tspi_buf *out)
{
    size_t bound = ZSTD_compressBound(len);

    if (ZSTD_isError(bound) || !tspi_buf_reserve(out, bound))
        return false;
    size_t n = ZSTD_compress(out->data + out->len, bound, bytes, len, ZSTD_CLEVEL_DEFAULT);
    if (ZSTD_isError(n))
        return false;
    out->len += n;
    return true;
}

static bool redo_frames(const uint8_t *bytes, size_t len, bool gzip, tspi_buf *out)
{
    for (size_t at = 0; at < len;) {
        size_t plain = be32(bytes + at), head = out->len;
        tspi_buf_append(out, "\0\0\0", 4);
        if (!tspi_buf_ok(out) ||
            !(gzip ? redo_gzip(bytes + at + 4, plain, out) : redo_zstd(bytes + at + 4, plain, out)) ||
            out->len - head - 4 > UINT32_MAX)
            return false;
        put_be32(out->data + head, out->len - head - 4);
        at += 4 + plain;
    }
    return true;
}

tsp_status tspi_pack_redo(const char *name, const uint8_t *bytes, size_t len, enum tspi_compression compression,
                          tspi_buf *out, tsp_error *err)
{
    bool fine = true;

    switch (compression) {
    case TSPI_GZIP:
        fine = redo_gzip(bytes, len, out);
        break;
    case TSPI_ZSTD:
        fine = redo_zstd(bytes, len, out);
        break;
    case TSPI_FRAMED_GZIP:
    case TSPI_FRAMED_ZSTD:
        fine = redo_frames(bytes, len, compression == TSPI_FRAMED_GZIP, out);
        break;
    case TSPI_PLAIN:
        tspi_buf_append(out, bytes, len);
        break;
    }
    if (!fine || !tspi_buf_ok(out))
        return tsp_error_set(err, TSP_ENOMEM, "%s: memory is exhausted by packing", name);
    return TSP_OK;
}
