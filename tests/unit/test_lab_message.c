#include "test.h"

#include "base/random.h"
#include "lab/lab_message.h"

static tspi_lab_head draw(tspi_random *random)
{
    return (tspi_lab_head){
        .kind = (uint8_t)(TSPI_LAB_REQUEST + tspi_random_below(random, TSPI_LAB_KINDS_END - TSPI_LAB_REQUEST)),
        .flags = (uint8_t)tspi_random_below(random, 256),
        .origin = (uint16_t)tspi_random_u64(random),
        .block = (uint32_t)tspi_random_u64(random),
        .request = (uint32_t)tspi_random_u64(random),
        .prompt = (uint32_t)tspi_random_u64(random),
        .number = (uint32_t)tspi_random_u64(random),
        .tokens = (uint32_t)tspi_random_u64(random),
    };
}

TEST(lab_message, random_heads_come_back)
{
    tspi_random random;
    tsp_error err = {0};

    tspi_random_seed(&random, seed);
    for (int k = 0; k < 5000; k++) {
        tspi_lab_head head = draw(&random), back;
        uint8_t bytes[TSPI_LAB_HEAD_BYTES];
        tspi_lab_head_write(&head, bytes);
        CHECK_STATUS(tspi_lab_head_read(bytes, sizeof bytes, &back, &err), TSP_OK, &err);
        CHECK_INT(back.kind, head.kind);
        CHECK_INT(back.flags, head.flags);
        CHECK_INT(back.origin, head.origin);
        CHECK_INT(back.block, head.block);
        CHECK_INT(back.request, head.request);
        CHECK_INT(back.prompt, head.prompt);
        CHECK_INT(back.number, head.number);
        CHECK_INT(back.tokens, head.tokens);
    }
}

TEST(lab_message, what_is_no_head_is_refused)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int k = 0; k < 5000; k++) {
        tspi_lab_head head = draw(&random), back;
        uint8_t bytes[TSPI_LAB_HEAD_BYTES];
        tspi_lab_head_write(&head, bytes);
        size_t len = tspi_random_below(&random, TSPI_LAB_HEAD_BYTES);
        uint8_t *shorter = malloc(len ? len : 1);
        memcpy(shorter, bytes, len);
        CHECK_INT(tspi_lab_head_read(shorter, len, &back, NULL), TSP_EPARSE);
        free(shorter);
        bytes[2] = (uint8_t)(TSPI_LAB_KINDS_END + tspi_random_below(&random, 248));
        CHECK_INT(tspi_lab_head_read(bytes, sizeof bytes, &back, NULL), TSP_EPARSE);
        bytes[2] = head.kind;
        bytes[tspi_random_below(&random, 2)] ^= 0x80;
        CHECK_INT(tspi_lab_head_read(bytes, sizeof bytes, &back, NULL), TSP_EPARSE);
    }
}

/* A request's messages meet the same worker; two requests of a block do not share a key. */
TEST(lab_message, keys_tell_requests_apart)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int k = 0; k < 5000; k++) {
        tspi_lab_head head = draw(&random), same = head, other = head;
        same.kind = TSPI_LAB_TEXT;
        same.number++;
        same.tokens = 0;
        CHECK(tspi_lab_key(&same) == tspi_lab_key(&head));
        other.request++;
        CHECK(tspi_lab_key(&other) != tspi_lab_key(&head));
        other = head;
        other.origin ^= 1;
        CHECK(tspi_lab_key(&other) != tspi_lab_key(&head));
    }
}
