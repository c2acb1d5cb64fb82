#include "test.h"

#include "base/random.h"
#include "lab/request_table.h"

enum { KEYS = 4000 };

struct remembered {
    tspi_request request;
    uint64_t value;
};

static size_t released;

static void count_release(tspi_request *request)
{
    (void)request;
    released++;
}

/* Random additions, look-ups and removals beside a plain array that knows the truth. */
TEST(request_table, agrees_with_an_array)
{
    static tspi_request_table table;
    static uint64_t truth[KEYS]; /* 0 = not there */
    tspi_random random;
    size_t n = 0;

    tspi_random_seed(&random, seed);
    uint64_t base = tspi_random_u64(&random);
    for (int k = 0; k < 60000; k++) {
        size_t row = tspi_random_below(&random, KEYS);
        uint64_t key = base + row * (row % 2 ? 1 : UINT64_C(1) << 40);
        struct remembered *found = (struct remembered *)tspi_request_find(&table, key);
        if (!found != !truth[row])
            TEST_FAIL("row %zu is %s", row, found ? "there" : "missing");
        if (found) {
            CHECK(found->request.key == key);
            CHECK(found->value == truth[row]);
            tspi_request_remove(&table, &found->request);
            free(found);
            truth[row] = 0;
            n--;
        } else {
            found = (struct remembered *)tspi_request_add(&table, key, sizeof *found);
            REQUIRE(found);
            CHECK(!found->value && !found->request.number);
            found->value = truth[row] = tspi_random_u64(&random) | 1;
            n++;
        }
        CHECK_INT(table.n, n);
    }
    released = 0;
    tspi_request_table_clear(&table, count_release);
    CHECK_INT(released, n);
    CHECK_INT(table.n, 0);
    tspi_request_table_clear(&table, NULL);
}

TEST(request_table, removing_a_stranger_changes_nothing)
{
    static tspi_request_table table;
    tspi_request stranger = {.key = 7};

    REQUIRE(tspi_request_add(&table, 7, sizeof(tspi_request)));
    tspi_request_remove(&table, &stranger);
    CHECK_INT(table.n, 1);
    CHECK(tspi_request_find(&table, 7));
    tspi_request_table_clear(&table, NULL);
}
