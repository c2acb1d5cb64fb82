/* Files of bounds against UTC: an answer or an error with its line, and limits that are limits. What was read, written
 * as plain CSV, reads as the same. */
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz_wire.h"
#include "mend/utc_bounds.h"
#include "truespan/clocks.h"

static tsp_status read_bytes(const void *bytes, size_t n, tspi_utc_bounds *ret, tsp_error *err)
{
    char path[64];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    FUZZ_CHECK(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    *ret = (tspi_utc_bounds){0};
    tsp_status rc = tspi_utc_bounds_read(path, ret, err);
    close(fd);
    return rc;
}

static void check_rows(const tspi_utc_bounds *b)
{
    for (size_t k = 0; k < b->n; k++) {
        const tspi_utc_bound *row = &b->rows[k];
        FUZZ_CHECK(row->clock[0] && row->line && row->lo_ns <= row->hi_ns);
        FUZZ_CHECK(llabs(row->at_ns) <= TSP_STAMP_MAX && llabs(row->at_ns - row->lo_ns) <= TSP_STAMP_MAX &&
                   llabs(row->at_ns - row->hi_ns) <= TSP_STAMP_MAX);
    }
}

/* A name that plain CSV can say. */
static bool is_plain(const char *name)
{
    return !strpbrk(name, ",\"#") && strcmp(name, "clock") != 0 && strncmp(name, "clock ", 6) != 0;
}

static void check_again(const tspi_utc_bounds *b)
{
    tspi_buf csv = {0};
    tspi_utc_bounds again;
    size_t plain = 0, k = 0;

    tspi_buf_puts(&csv, "clock,at,lo_ns,hi_ns\n");
    for (size_t j = 0; j < b->n; j++)
        if (is_plain(b->rows[j].clock)) {
            tspi_buf_printf(&csv, "%s,%" PRId64 ",%" PRId64 ",%" PRId64 "\n", b->rows[j].clock, b->rows[j].at_ns,
                            b->rows[j].lo_ns, b->rows[j].hi_ns);
            plain++;
        }
    if (plain) {
        FUZZ_CHECK(read_bytes(csv.data, csv.len, &again, NULL) == TSP_OK && again.n == plain);
        for (size_t j = 0; j < b->n; j++)
            if (is_plain(b->rows[j].clock)) {
                FUZZ_CHECK(!strcmp(again.rows[k].clock, b->rows[j].clock) && again.rows[k].at_ns == b->rows[j].at_ns &&
                           again.rows[k].lo_ns == b->rows[j].lo_ns && again.rows[k].hi_ns == b->rows[j].hi_ns);
                k++;
            }
        tspi_utc_bounds_release(&again);
    }
    tspi_buf_release(&csv);
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
    tspi_utc_bounds bounds;
    tsp_error err = {0};

    if (read_bytes(in, n, &bounds, &err) == TSP_OK) {
        check_rows(&bounds);
        check_again(&bounds);
    } else
        FUZZ_CHECK(err.message[0] && err.code != TSP_OK);
    tspi_utc_bounds_release(&bounds);
    return 0;
}
