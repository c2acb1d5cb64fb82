#include "test.h"

#include "base/random.h"
#include "transport/transport.h"

enum { HEADERS_MAX = 12, PAYLOAD_MAX = 8 * 1024 * 1024 };

struct header {
    char name[64];
    uint8_t value[300];
    size_t len;
};

/* Distinct names: a lookup finds the first of a name. Values hold any bytes, zeros among them, or none. */
static size_t draw_headers(tspi_random *random, struct header *headers)
{
    size_t n = tspi_random_below(random, HEADERS_MAX + 1);

    for (size_t k = 0; k < n; k++) {
        snprintf(headers[k].name, sizeof headers[k].name, "%zu-%.*s", k, (int)tspi_random_below(random, 30),
                 "abcdefghijklmnopqrstuvwxyz \xc3\xa9-");
        headers[k].len = tspi_random_below(random, 4) ? tspi_random_below(random, sizeof headers[k].value) : 0;
        tspi_random_bytes(random, headers[k].value, headers[k].len);
        if (headers[k].len)
            headers[k].value[tspi_random_below(random, headers[k].len)] = 0;
    }
    return n;
}

static void check_same(const tspi_msg *msg, const struct header *headers, size_t n, const uint8_t *payload, size_t len)
{
    size_t got_len;

    for (size_t k = 0; k < n; k++) {
        const void *value = tspi_msg_header(msg, headers[k].name, &got_len);
        if (!value || got_len != headers[k].len || memcmp(value, headers[k].value, got_len) != 0)
            TEST_FAIL("header '%s' differs", headers[k].name);
    }
    CHECK(!tspi_msg_header(msg, "absent", &got_len));
    const uint8_t *got = tspi_msg_payload(msg, &got_len);
    CHECK_INT(got_len, len);
    CHECK(got_len != len || !len || !memcmp(got, payload, len));
}

TEST(msg, headers_and_payloads_come_back_byte_for_byte)
{
    static const size_t sizes[] = {0, 1, 2, 255, 256, 4096, 65536, 1024 * 1024, PAYLOAD_MAX};
    uint8_t *payload = malloc(PAYLOAD_MAX);
    tspi_random random;

    tspi_random_seed(&random, seed);
    tspi_random_bytes(&random, payload, PAYLOAD_MAX);
    for (int round = 0; round < 300; round++) {
        struct header headers[HEADERS_MAX];
        size_t n = draw_headers(&random, headers);
        size_t len =
            round < 9 ? sizes[round] : tspi_random_below(&random, UINT64_C(1) << tspi_random_below(&random, 18));
        tspi_msg *msg = tspi_msg_new(tspi_random_u64(&random)), *back = NULL;
        tsp_error err = {0};

        for (size_t k = 0; k < n; k++)
            CHECK_INT(tspi_msg_add_header(msg, headers[k].name, headers[k].value, headers[k].len), TSP_OK);
        CHECK_INT(tspi_msg_set_payload(msg, payload, len), TSP_OK);
        check_same(msg, headers, n, payload, len);
        CHECK_STATUS(tspi_msg_parse(msg->frame, msg->len, &back, &err), TSP_OK, &err);
        check_same(back, headers, n, payload, len);
        tspi_msg_free(back);
        tspi_msg_free(msg);
    }
    free(payload);
}

TEST(msg, a_payload_can_be_set_again_but_headers_come_first)
{
    tspi_msg *msg = tspi_msg_new(1);
    size_t len;

    CHECK_INT(tspi_msg_add_header(msg, "", "v", 1), TSP_OK);
    CHECK_INT(tspi_msg_set_payload(msg, "longer text", 11), TSP_OK);
    CHECK_INT(tspi_msg_add_header(msg, "late", "v", 1), TSP_EINVAL);
    CHECK_INT(tspi_msg_set_payload(msg, "short", 5), TSP_OK);
    CHECK(!memcmp(tspi_msg_payload(msg, &len), "short", 5) && len == 5);
    CHECK(tspi_msg_header(msg, "", &len) && len == 1);
    tspi_msg_free(msg);
    tspi_msg_free(NULL);
}

TEST(msg, what_is_too_large_is_refused_and_leaves_the_message_whole)
{
    uint8_t *much = calloc(1, TSPI_MSG_MAX_BYTES);
    char *name = malloc(70000);
    tspi_msg *msg = tspi_msg_new(1), *back;
    tsp_error err = {0};
    size_t len;

    memset(name, 'n', 69999);
    name[69999] = '\0';
    CHECK_INT(tspi_msg_add_header(msg, "kept", "v", 1), TSP_OK);
    CHECK_INT(tspi_msg_add_header(msg, name, "v", 1), TSP_EINVAL);
    CHECK_INT(tspi_msg_add_header(msg, "big", much, TSPI_MSG_MAX_BYTES), TSP_ENOMEM);
    CHECK_INT(tspi_msg_add_header(msg, "overflow", much, SIZE_MAX - 3), TSP_ENOMEM);
    CHECK_INT(tspi_msg_set_payload(msg, much, TSPI_MSG_MAX_BYTES), TSP_ENOMEM);
    CHECK_INT(tspi_msg_set_payload(msg, much, SIZE_MAX), TSP_ENOMEM);
    CHECK_STATUS(tspi_msg_parse(msg->frame, msg->len, &back, &err), TSP_OK, &err);
    CHECK(tspi_msg_header(back, "kept", &len) && len == 1);
    tspi_msg_free(back);
    tspi_msg_free(msg);
    free(much);
    free(name);
}

/* Frames that nobody made: random bytes, true frames cut short or with lengths changed. */
TEST(msg, hostile_frames_are_refused_or_read_within_bounds)
{
    tspi_random random;
    int accepted = 0;

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 40000; round++) {
        size_t len = tspi_random_below(&random, 80);
        uint8_t *frame = malloc(len ? len : 1);
        tspi_msg *msg = NULL;

        tspi_random_bytes(&random, frame, len);
        /* Small lengths, so that many get past the first checks. */
        for (size_t k = 0; k + 4 <= len; k += 4 + tspi_random_below(&random, 4))
            if (tspi_random_below(&random, 3))
                frame[k + 1] = frame[k + 2] = frame[k + 3] = 0, frame[k] &= 31;
        if (tspi_msg_parse(frame, len, &msg, NULL) == TSP_OK) {
            size_t got_len;
            accepted++;
            CHECK(msg->payload_at >= 4 && msg->payload_at <= msg->len);
            tspi_msg_header(msg, "traceparent", &got_len);
            tspi_msg_header(msg, "", &got_len);
            tspi_msg_payload(msg, &got_len);
            CHECK(got_len <= len);
            tspi_msg_free(msg);
        }
        free(frame);
    }
    CHECK(accepted > 100);
}

TEST(msg, a_cut_or_bent_frame_never_reads_past_its_end)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 3000; round++) {
        struct header headers[HEADERS_MAX];
        size_t n = draw_headers(&random, headers), got_len;
        tspi_msg *msg = tspi_msg_new(0), *back;

        for (size_t k = 0; k < n; k++)
            tspi_msg_add_header(msg, headers[k].name, headers[k].value, headers[k].len);
        tspi_msg_set_payload(msg, "payload", 7);
        size_t len = tspi_random_below(&random, msg->len + 1);
        uint8_t *frame = malloc(len ? len : 1);
        memcpy(frame, msg->frame, len);
        for (uint64_t bends = tspi_random_below(&random, 4); len && bends; bends--)
            frame[tspi_random_below(&random, len)] = (uint8_t)tspi_random_u64(&random);
        if (tspi_msg_parse(frame, len, &back, NULL) == TSP_OK) {
            for (size_t k = 0; k < n; k++)
                tspi_msg_header(back, headers[k].name, &got_len);
            tspi_msg_free(back);
        }
        free(frame);
        tspi_msg_free(msg);
    }
    tspi_msg *msg;
    CHECK_INT(tspi_msg_parse("", (size_t)TSPI_MSG_MAX_BYTES + 1, &msg, NULL), TSP_EPARSE);
}
