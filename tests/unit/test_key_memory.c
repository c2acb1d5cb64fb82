#include "test.h"

#include "base/random.h"
#include "lab/key_memory.h"

/* Beside a plain list of the last N different keys. */
TEST(key_memory, knows_the_last_keys_and_no_others)
{
    enum { N = TSPI_KEY_MEMORY_N, KEYS = 3 * N };
    static tspi_key_memory memory;
    static uint64_t added_at[KEYS]; /* 0 = never */
    tspi_random random;
    uint64_t n = 0;

    memset(&memory, 0, sizeof memory);
    tspi_random_seed(&random, seed);
    uint64_t base = tspi_random_u64(&random);
    for (int k = 0; k < 100000; k++) {
        uint64_t row = tspi_random_below(&random, KEYS), key = base + row * (row % 2 ? 1 : UINT64_C(1) << 40);
        bool known = added_at[row] && n - added_at[row] < N;
        if (tspi_key_memory_has(&memory, key) != known)
            TEST_FAIL("key %llu is %s", (unsigned long long)row, known ? "forgotten" : "made up");
        if (tspi_random_below(&random, 3) == 0)
            continue;
        tspi_key_memory_add(&memory, key);
        added_at[row] = known ? added_at[row] : ++n;
        CHECK(tspi_key_memory_has(&memory, key));
    }
}
