#include "transport/content.h"

#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = TSPI_FRAME_LENGTH_BYTES, HEADER_PREFIX_BYTES = TSPI_FRAME_PREFIX_BYTES, FIRST_CAP = 256 };

/* A frame stands behind its message in one block of memory, until it grows beyond its room there. */
static uint8_t *room_behind(tspi_msg *msg)
{
    return (uint8_t *)(msg + 1);
}

/* Messages come and go by the hundred thousand a second, nearly all in blocks of one size: each thread keeps some. */
#if !defined(__SANITIZE_ADDRESS__)
enum { SPARES_MAX = 64 };
#else
enum { SPARES_MAX = 0 }; /* a message used after its end shall be seen */
#endif
static _Thread_local struct {
    tspi_msg *first;
    int n;
} spares;

static tspi_msg *msg_alloc(size_t cap)
{
    tspi_msg *msg = spares.first;
    bool is_common = cap <= FIRST_CAP;

    cap = is_common ? FIRST_CAP : cap;
    if (is_common && msg) {
        spares.first = msg->next;
        spares.n--;
    } else
        msg = malloc(sizeof *msg + cap);
    if (msg) {
        *msg = (tspi_msg){.cap = cap, .is_common_size = is_common};
        msg->frame = room_behind(msg);
    }
    return msg;
}

static void block_free(tspi_msg *msg)
{
    if (!msg->is_common_size || spares.n >= SPARES_MAX) {
        free(msg);
        return;
    }
    msg->next = spares.first;
    spares.first = msg;
    spares.n++;
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Move the frame to where it has room for need bytes. */
static bool grow(tspi_msg *msg, size_t need)
{
    if (need > TSPI_MSG_MAX_BYTES)
        return false;
    size_t cap = msg->cap * 2 > need ? msg->cap * 2 : need;
    cap = cap < TSPI_MSG_MAX_BYTES ? cap : TSPI_MSG_MAX_BYTES;
    bool is_malloced = msg->frame != room_behind(msg) && !msg->release;
    uint8_t *frame = realloc(is_malloced ? msg->frame : NULL, cap);
    if (!frame)
        return false;
    if (!is_malloced)
        memcpy(frame, msg->frame, msg->len);
    if (msg->release)
        msg->release(room_behind(msg));
    msg->release = NULL;
    msg->frame = frame;
    msg->cap = cap;
    msg->is_common_size = false; /* a library may free it on a thread of its own, which should keep none */
    return true;
}

/* extra: at most TSPI_MSG_MAX_BYTES and a header's name. */
static inline bool reserve(tspi_msg *msg, size_t extra)
{
    return msg->len + extra <= msg->cap || grow(msg, msg->len + extra);
}

tspi_msg *tspi_msg_new(uint64_t key)
{
    tspi_msg *msg = msg_alloc(FIRST_CAP);

    if (!msg)
        return NULL;
    msg->key = key;
    msg->len = msg->payload_at = LENGTH_BYTES;
    tspi_frame_put_u32(msg->frame, 0);
    return msg;
}

void tspi_msg_free(tspi_msg *msg)
{
    if (!msg)
        return;
    if (msg->release)
        msg->release(room_behind(msg));
    else if (msg->frame != room_behind(msg))
        free(msg->frame);
    block_free(msg);
}

tspi_msg *tspi_msg_around(size_t handle_size, void (*release)(void *handle), void **ret_handle)
{
    tspi_msg *msg = msg_alloc(handle_size);

    if (!msg)
        return NULL;
    *ret_handle = room_behind(msg);
    msg->frame = NULL;
    msg->cap = 0; /* it cannot grow where it is */
    msg->release = release;
    return msg;
}

tsp_status tspi_msg_add_named(tspi_msg *msg, const char *name, size_t name_len, const void *value, size_t len)
{
    if (msg->len != msg->payload_at || name_len > UINT16_MAX)
        return TSP_EINVAL;
    if (len > TSPI_MSG_MAX_BYTES || !reserve(msg, HEADER_PREFIX_BYTES + name_len + len))
        return TSP_ENOMEM;
    tspi_frame_put_header(msg->frame + msg->len, name, name_len, value, len);
    msg->len += HEADER_PREFIX_BYTES + name_len + len;
    msg->payload_at = msg->len;
    tspi_frame_put_u32(msg->frame, (uint32_t)(msg->len - LENGTH_BYTES));
    return TSP_OK;
}

tsp_status tspi_msg_set_payload(tspi_msg *msg, const void *payload, size_t len)
{
    msg->len = msg->payload_at;
    if (len > TSPI_MSG_MAX_BYTES || !reserve(msg, len))
        return TSP_ENOMEM;
    if (len)
        memcpy(msg->frame + msg->payload_at, payload, len);
    msg->len += len;
    return TSP_OK;
}

const void *tspi_msg_find(const tspi_msg *msg, const char *name, size_t name_len, size_t *ret_len)
{
    for (size_t at = LENGTH_BYTES; at < msg->payload_at;) {
        const uint8_t *header = msg->frame + at;
        size_t its_len = (size_t)header[0] | (size_t)header[1] << 8, len = get_u32(header + 2);
        if (its_len == name_len && !memcmp(header + HEADER_PREFIX_BYTES, name, name_len)) {
            *ret_len = len;
            return header + HEADER_PREFIX_BYTES + name_len;
        }
        at += HEADER_PREFIX_BYTES + its_len + len;
    }
    return NULL;
}

bool tspi_msg_next_header(const tspi_msg *msg, size_t *at, tspi_msg_header_view *ret_view)
{
    if (!*at)
        *at = LENGTH_BYTES;
    if (*at >= msg->payload_at)
        return false;
    const uint8_t *header = msg->frame + *at;
    ret_view->name_len = (size_t)header[0] | (size_t)header[1] << 8;
    ret_view->len = get_u32(header + 2);
    ret_view->name = (const char *)header + HEADER_PREFIX_BYTES;
    ret_view->value = header + HEADER_PREFIX_BYTES + ret_view->name_len;
    *at += HEADER_PREFIX_BYTES + ret_view->name_len + ret_view->len;
    return true;
}

static bool headers_fit(const uint8_t *frame, size_t end)
{
    size_t at = LENGTH_BYTES;

    while (at < end) {
        if (end - at < HEADER_PREFIX_BYTES)
            return false;
        size_t size = HEADER_PREFIX_BYTES + ((size_t)frame[at] | (size_t)frame[at + 1] << 8);
        size += get_u32(frame + at + 2);
        if (size > end - at)
            return false;
        at += size;
    }
    return true;
}

static tsp_status check_frame(const uint8_t *frame, size_t len, size_t *ret_payload_at, tsp_error *err)
{
    if (len > TSPI_MSG_MAX_BYTES)
        return tsp_error_set(err, TSP_EPARSE, "a message of %zu bytes is over the limit of %d", len,
                             TSPI_MSG_MAX_BYTES);
    if (len < LENGTH_BYTES)
        return tsp_error_set(err, TSP_EPARSE, "a message of %zu bytes is no frame", len);
    size_t headers = get_u32(frame);
    if (headers > len - LENGTH_BYTES || !headers_fit(frame, LENGTH_BYTES + headers))
        return tsp_error_set(err, TSP_EPARSE, "a message's headers do not fit its frame of %zu bytes", len);
    *ret_payload_at = LENGTH_BYTES + headers;
    return TSP_OK;
}

tspi_msg *tspi_msg_for_frame(size_t len)
{
    tspi_msg *msg = len <= TSPI_MSG_MAX_BYTES ? msg_alloc(len) : NULL;

    if (msg)
        msg->len = len;
    return msg;
}

tspi_msg *tspi_msg_of(const tspi_content *content)
{
    tspi_msg *msg = tspi_msg_for_frame(tspi_content_len(content));

    if (msg) {
        msg->key = content->key;
        msg->payload_at = tspi_content_write(content, msg->frame);
    }
    return msg;
}

tsp_status tspi_msg_check(tspi_msg *msg, tsp_error *err)
{
    return check_frame(msg->frame, msg->len, &msg->payload_at, err);
}

tsp_status tspi_msg_parse(const void *frame, size_t len, tspi_msg **ret_msg, tsp_error *err)
{
    size_t payload_at;
    tsp_status rc = check_frame(frame, len, &payload_at, err);

    if (rc != TSP_OK)
        return rc;
    tspi_msg *msg = tspi_msg_for_frame(len);
    if (!msg)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a message of %zu bytes", len);
    memcpy(msg->frame, frame, len);
    msg->payload_at = payload_at;
    *ret_msg = msg;
    return TSP_OK;
}
