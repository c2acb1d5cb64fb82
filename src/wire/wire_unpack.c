#include "wire/wire_unpack.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

enum { GZIP_WINDOW = 15 + 16, STEP = 256 * 1024 };
#define RATIO_FREE_BYTES (UINT64_C(256) << 20) /* below this, nobody minds how well it was packed */

struct tspi_unpacker {
    const char *name;
    enum tspi_compression compression;
    const tspi_wire_options *options;
    z_stream z;
    ZSTD_DStream *zstd;
    bool z_ready, ended; /* ended: at the end of a member or frame */
    uint64_t taken, given;
};

tspi_unpacker *tspi_unpacker_new(const char *name, enum tspi_compression compression, const tspi_wire_options *options)
{
    tspi_unpacker *u = calloc(1, sizeof *u);

    if (!u)
        return NULL;
    u->name = name;
    u->compression = compression;
    u->options = options;
    if (compression == TSPI_GZIP)
        u->z_ready = inflateInit2(&u->z, GZIP_WINDOW) == Z_OK;
    if (compression == TSPI_ZSTD)
        u->zstd = ZSTD_createDStream();
    if ((compression == TSPI_GZIP && !u->z_ready) || (compression == TSPI_ZSTD && !u->zstd)) {
        tspi_unpacker_free(u);
        return NULL;
    }
    return u;
}

void tspi_unpacker_free(tspi_unpacker *u)
{
    if (!u)
        return;
    if (u->z_ready)
        inflateEnd(&u->z);
    ZSTD_freeDStream(u->zstd);
    free(u);
}

static tsp_status broken(const tspi_unpacker *u, const char *what, tsp_error *err)
{
    return tsp_error_at(err, TSP_EPARSE, (size_t)u->taken, "%s: byte %llu: the compressed data %s", u->name,
                        (unsigned long long)u->taken, what);
}

static tsp_status within_limits(const tspi_unpacker *u, tsp_error *err)
{
    unsigned ratio = u->options->max_ratio ? u->options->max_ratio : 200;

    if (u->options->max_plain_bytes && u->given > u->options->max_plain_bytes)
        return tsp_error_set(err, TSP_ERANGE,
                             "%s unpacks to more than %llu bytes, the limit: unpack it yourself if it is to be read",
                             u->name, (unsigned long long)u->options->max_plain_bytes);
    if (u->given > RATIO_FREE_BYTES && u->given / ratio > u->taken)
        return tsp_error_set(err, TSP_ERANGE,
                             "%s unpacks to more than %u times its size, as only bombs do: unpack it yourself if it is "
                             "to be read",
                             u->name, ratio);
    return TSP_OK;
}

/* Members one behind another, as gzip allows; zeros behind the last are padding. */
static tsp_status gzip_step(tspi_unpacker *u, const uint8_t *bytes, size_t len, tspi_buf *out, size_t *ret_used,
                            tsp_error *err)
{
    size_t at = 0;

    if (u->ended) {
        while (at < len && !bytes[at])
            at++;
        *ret_used = at;
        if (at == len)
            return TSP_OK;
        inflateReset(&u->z);
        u->ended = false;
    }
    size_t in = len - at < STEP ? len - at : STEP;
    u->z.next_in = (Bytef *)(uintptr_t)(bytes + at);
    u->z.avail_in = (uInt)in;
    u->z.next_out = out->data + out->len;
    u->z.avail_out = STEP;
    int got = inflate(&u->z, Z_NO_FLUSH);
    *ret_used = at + in - u->z.avail_in;
    out->len += STEP - u->z.avail_out;
    u->given += STEP - u->z.avail_out;
    u->ended = got == Z_STREAM_END;
    return got == Z_OK || got == Z_BUF_ERROR || u->ended ? TSP_OK : broken(u, "is damaged", err);
}

static tsp_status zstd_step(tspi_unpacker *u, const uint8_t *bytes, size_t len, tspi_buf *out, size_t *ret_used,
                            tsp_error *err)
{
    if (!len && u->ended)
        return TSP_OK;
    ZSTD_inBuffer in = {bytes, len < STEP ? len : STEP, 0};
    ZSTD_outBuffer to = {out->data + out->len, STEP, 0};
    size_t more = ZSTD_decompressStream(u->zstd, &to, &in);

    *ret_used = in.pos;
    out->len += to.pos;
    u->given += to.pos;
    u->ended = !more;
    return ZSTD_isError(more) ? broken(u, "is damaged", err) : TSP_OK;
}

/* A message alone behind its length: all of it must be there. */
static tsp_status frame_step(tspi_unpacker *u, const uint8_t *bytes, size_t len, bool last, tspi_buf *out,
                             size_t *ret_used, tsp_error *err)
{
    size_t frame = len < 4 ? 0 : (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
    bool cut = false;

    u->ended = !len;
    if (!len)
        return TSP_OK;
    if (len < 4 || frame > len - 4)
        return last ? broken(u, "ends early: a message is announced that is longer than what is left", err) : TSP_OK;
    size_t before = out->len;
    tspi_wire_options strict = *u->options;
    strict.keep_going = false;
    tsp_status rc = tspi_pack_undo(u->name, bytes, frame + 4, u->compression, &strict, out, &cut, err);
    if (rc != TSP_OK) {
        out->len = before;
        return rc;
    }
    u->given += out->len - before;
    *ret_used = frame + 4;
    return TSP_OK;
}

tsp_status tspi_unpacker_step(tspi_unpacker *u, const uint8_t *bytes, size_t len, bool last, tspi_buf *out,
                              size_t *ret_used, bool *ret_done, tsp_error *err)
{
    uint64_t given = u->given;
    tsp_status rc = TSP_OK;

    *ret_used = 0;
    *ret_done = false;
    if (!tspi_buf_reserve(out, STEP))
        return tsp_error_set(err, TSP_ENOMEM, "%s: memory is exhausted by unpacking", u->name);
    if (u->compression == TSPI_GZIP)
        rc = gzip_step(u, bytes, len, out, ret_used, err);
    else if (u->compression == TSPI_ZSTD)
        rc = zstd_step(u, bytes, len, out, ret_used, err);
    else
        rc = frame_step(u, bytes, len, last, out, ret_used, err);
    u->taken += *ret_used;
    if (rc == TSP_OK)
        rc = within_limits(u, err);
    if (rc != TSP_OK || !last || *ret_used || u->given != given)
        return rc;
    *ret_done = true;
    return u->ended ? TSP_OK : broken(u, "ends early: the file was cut off", err);
}
