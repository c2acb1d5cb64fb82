/* The whole audit, from the bytes of any format to its JSON answer: nothing crashes, hangs or leaks; an audit that
 * fails says why; counts add up; the answer is JSON; several threads say what one says. The last byte chooses among the
 * options. */
#include <sys/mman.h>
#include <unistd.h>

#include "cli/check_print.h"
#include "fuzz_wire.h"
#include "truespan/check.h"
#include "wire/json_scan.h"

enum { EXAMPLES = 7 };

static void check_totals(const tsp_check *check)
{
    const tsp_check_totals *t = tsp_check_totals_of(check);
    uint64_t by_cause = 0;

    for (int k = 0; k < TSP_CAUSES_N; k++)
        by_cause += t->causes[k];
    FUZZ_CHECK(by_cause == t->violations);
    FUZZ_CHECK(t->hard + t->soft + t->same_clock + t->negative_duration + t->token_order == t->violations);
    FUZZ_CHECK(t->copies <= t->spans && t->shared_spans <= t->spans && t->traces <= t->spans);
    FUZZ_CHECK(t->clocks <= t->spans || t->clocks <= t->bytes);
}

static void check_edges(const tsp_check *check)
{
    const tsp_check_totals *t = tsp_check_totals_of(check);
    uint64_t hops = 0, hard = 0, soft = 0;
    size_t n;
    const tsp_check_edge *rows = tsp_check_edges(check, &n);

    for (size_t k = 0; k < n; k++) {
        uint64_t by_cause = 0;
        for (int c = 0; c < TSP_CAUSES_N; c++)
            by_cause += rows[k].causes[c];
        FUZZ_CHECK(by_cause == rows[k].violations);
        FUZZ_CHECK(rows[k].hard_violations + rows[k].soft_violations == rows[k].violations);
        FUZZ_CHECK(rows[k].violations <= rows[k].hops);
        FUZZ_CHECK((rows[k].worst_ns > 0) == (rows[k].violations > 0));
        FUZZ_CHECK(rows[k].margin_ns <= rows[k].slack_p50_ns);
        FUZZ_CHECK(!k || rows[k - 1].worst_ns >= rows[k].worst_ns);
        hops += rows[k].hops;
        hard += rows[k].hard_violations;
        soft += rows[k].soft_violations;
    }
    FUZZ_CHECK(hops == t->hops && hard == t->hard && soft == t->soft);
}

static void check_examples(const tsp_check *check)
{
    const tsp_check_totals *t = tsp_check_totals_of(check);
    size_t n;
    const tsp_check_example *rows = tsp_check_examples(check, &n);

    FUZZ_CHECK(n == (t->violations < EXAMPLES ? t->violations : EXAMPLES));
    for (size_t k = 0; k < n; k++)
        FUZZ_CHECK(rows[k].by_ns > 0 && (!k || rows[k - 1].by_ns >= rows[k].by_ns));
}

/* The answer as text, which must be one JSON value. */
static tspi_buf answer(const tsp_check *check)
{
    tspi_buf text = {0};
    char *bytes = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&bytes, &len);

    FUZZ_CHECK(out != NULL);
    check_print_json(check, out);
    fclose(out);
    tspi_buf_append(&text, bytes, len);
    free(bytes);
    tspi_json json = {.at = text.data, .end = text.data + text.len};
    FUZZ_CHECK(tspi_json_skip(&json) && tspi_json_peek(&json) == -1);
    return text;
}

static tsp_check *run(const char *path, tsp_check_options options, unsigned threads)
{
    tsp_check *check = NULL;
    tsp_error err = {0};

    options.paths = &path;
    options.paths_n = 1;
    options.threads = threads;
    options.examples = EXAMPLES;
    if (tsp_check_run(&options, &check, &err) == TSP_OK)
        return check;
    FUZZ_CHECK(err.message[0] && err.code != TSP_OK);
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
    static const char *const keys[] = {NULL, NULL, "service.name", "ip/24"};
    uint8_t choice = n ? in[n - 1] : 0;
    tsp_check_options options = {.keep_going = choice & 1, .clock_key = keys[choice >> 1 & 3]};
    char path[64];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    FUZZ_CHECK(fd >= 0 && write(fd, in, n) == (ssize_t)n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    tsp_check *check = run(path, options, 1);
    if (check) {
        check_totals(check);
        check_edges(check);
        check_examples(check);
        tspi_buf one = answer(check);
        tsp_check *again = run(path, options, 3);
        FUZZ_CHECK(again != NULL);
        tspi_buf three = answer(again);
        FUZZ_CHECK(one.len == three.len && !memcmp(one.data, three.data, one.len));
        tsp_check_free(again);
        tspi_buf_release(&one);
        tspi_buf_release(&three);
    }
    tsp_check_free(check);
    close(fd);
    return 0;
}
