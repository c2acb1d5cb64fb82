/* Files of bounds against UTC, in each of the ways in which people have them; and what is wrong with others. */
#include "test.h"

#include "base/random.h"
#include "mend/utc_bounds.h"
#include "truespan/clocks.h"

static tsp_status read_text(const char *text, size_t len, tspi_utc_bounds *ret, tsp_error *err)
{
    char path[] = P_tmpdir "/truespan-bounds-XXXXXX";
    int fd = mkstemp(path);

    memset(ret, 0, sizeof *ret);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len)
        abort();
    close(fd);
    tsp_status rc = tspi_utc_bounds_read(path, ret, err);
    unlink(path);
    return rc;
}

static void check_row(const tspi_utc_bounds *b, size_t k, const char *clock, int64_t at, int64_t lo, int64_t hi,
                      uint32_t line)
{
    REQUIRE(k < b->n);
    CHECK_STR(b->rows[k].clock, clock);
    CHECK_INT(b->rows[k].at_ns, at);
    CHECK_INT(b->rows[k].lo_ns, lo);
    CHECK_INT(b->rows[k].hi_ns, hi);
    CHECK_INT(b->rows[k].line, line);
}

static void good(const char *text, size_t n, tspi_utc_bounds *ret)
{
    tsp_error err = {0};

    CHECK_STATUS(read_text(text, strlen(text), ret, &err), TSP_OK, &err);
    CHECK_INT(ret->n, n);
}

TEST(utc_bounds, csv_by_its_heading)
{
    tspi_utc_bounds b;

    good("# by hand\nclock,at,offset_ns,error_ns\nhost-a,1700000000123456789,-200,900\n\n"
         "\"host b\" , 1700000001.5 ,5000000,0\r\n",
         2, &b);
    check_row(&b, 0, "host-a", 1700000000123456789, -1100, 700, 3);
    check_row(&b, 1, "host b", 1700000001500000000, 5000000, 5000000, 5);
    tspi_utc_bounds_release(&b);
    good("error_ns,note,at,clock,offset_ns\n5,x,1000,h,7", 1, &b);
    check_row(&b, 0, "h", 1000, 2, 12, 2);
    tspi_utc_bounds_release(&b);
    good("clock,at,lo_ns,hi_ns\nh,1000,-3,9\n", 1, &b);
    check_row(&b, 0, "h", 1000, -3, 9, 2);
    tspi_utc_bounds_release(&b);
    /* ClockBound: when the clock showed at, it was between earliest and latest. Ahead by 0.4 ms at most. */
    good("clock,at,earliest,latest\nh,1700000000.000500,1700000000.000100,1700000000.000700\n", 1, &b);
    check_row(&b, 0, "h", 1700000000000500000, -200000, 400000, 2);
    tspi_utc_bounds_release(&b);
}

/* The example of chronyc(1): 6.523 us slow, so behind; bound = root delay / 2 + root dispersion, a ns outward. */
TEST(utc_bounds, chrony_tracking)
{
    static const char report[] = "clock host-a at 1485510557.25\n"
                                 "Reference ID    : CB00710F (ntp1.example.net)\n"
                                 "Stratum         : 3\n"
                                 "Ref time (UTC)  : Fri Jan 27 09:49:17 2017\n"
                                 "System time     : 0.000006523 seconds slow of NTP time\n"
                                 "Last offset     : -0.000006747 seconds\n"
                                 "RMS offset      : 0.000035822 seconds\n"
                                 "Frequency       : 3.225 ppm slow\n"
                                 "Residual freq   : -0.000 ppm\n"
                                 "Skew            : 0.129 ppm\n"
                                 "Root delay      : 0.013639022 seconds\n"
                                 "Root dispersion : 0.001100737 seconds\n"
                                 "Update interval : 64.2 seconds\n"
                                 "Leap status     : Normal\n";
    char fast[4 * sizeof report], *slow;
    tspi_utc_bounds b;
    const int64_t error = 13639022 / 2 + 1100737;

    good(report, 1, &b);
    check_row(&b, 0, "host-a", 1485510557250000000, -6523 - error - 1, -6523 + error + 1, 2);
    tspi_utc_bounds_release(&b);
    /* Two of them, the second fast; and one that knows no time. */
    snprintf(fast, sizeof fast, "%sclock host-b at 1485510558000000000\n%s", report, strchr(report, '\n') + 1);
    slow = strstr(strstr(fast, "host-b"), "slow");
    memcpy(slow, "fast", 4);
    strcat(fast, "clock host-c at 1485510559000000000\nReference ID    : 00000000 ()\n"
                 "Leap status     : Not synchronised\n");
    good(fast, 2, &b);
    check_row(&b, 1, "host-b", 1485510558000000000, 6523 - error - 1, 6523 + error + 1, 16);
    CHECK_INT(b.unsynchronised, 1);
    tspi_utc_bounds_release(&b);
}

/* The same with -c; a positive system time is slow. */
TEST(utc_bounds, chrony_tracking_as_csv)
{
    const int64_t error = 13639022 / 2 + 1100737;
    tspi_utc_bounds b;
#define REPORT                                                                                                         \
    "CB00710F,203.0.113.15,3,1485510557.123,0.000006523,-0.000006747,0.000035822,-3.225,-0.000,0.129,0.013639022,"     \
    "0.001100737,64.2,Normal\n"

    good("host-a,1485510557250000000," REPORT "clock host-b at 1485510558000000001\n" REPORT
         "x,5,00000000,,0,0.0,0,0,0,0,0,0,1,1,0,Not synchronised\n",
         2, &b);
    check_row(&b, 0, "host-a", 1485510557250000000, -6523 - error - 1, -6523 + error + 1, 1);
    check_row(&b, 1, "host-b", 1485510558000000001, -6523 - error - 1, -6523 + error + 1, 3);
    CHECK_INT(b.unsynchronised, 1);
    tspi_utc_bounds_release(&b);
}

/* The example line of chrony.conf(5), log tracking, with the banner that chronyd repeats; more clocks; and a line of a
 * clock that knows no time. The bound is the last column, either way, with half a unit of its fourth digit, a ns
 * outward. */
TEST(utc_bounds, chrony_tracking_log)
{
    static const char banner[] =
        "====================================================================================================\n"
        "   Date (UTC) Time     IP Address   St   Freq ppm   Skew ppm     Offset L Co  Offset sd Rem. corr. Root delay "
        "Root disp. Max. error\n"
        "====================================================================================================\n";
    static const char line[] =
        "2017-08-22 13:22:36 203.0.113.15     2     -3.541      0.075 -8.621e-06 N  2  2.940e-03 "
        "-2.084e-04  1.534e-02  3.472e-04  8.304e-03\n";
    char text[4 * sizeof banner + 4 * sizeof line];
    tspi_utc_bounds b;

    snprintf(text, sizeof text, "clock host-a\n%s%sclock host-b\r\n%s%s", banner, line, banner, line);
    memcpy(strstr(strstr(text, "host-b"), "2017-08-22 13"), "2024-02-29 00", 13);
    strcat(text, "2024-02-29 00:22:37 0.0.0.0     0     -3.541      0.075 -8.621e-06 ?  0  2.940e-03 -2.084e-04  "
                 "1.534e-02  3.472e-04  8.304e-03\n");
    good(text, 2, &b);
    check_row(&b, 0, "host-a", 1503408156000000000, -8308154, 8308154, 5);
    check_row(&b, 1, "host-b", 1709166156000000000, -8308154, 8308154, 10);
    CHECK_INT(b.unsynchronised, 1);
    tspi_utc_bounds_release(&b);
}

/* As spreadsheets write it, and with blanks about the heading. */
TEST(utc_bounds, csv_of_a_spreadsheet)
{
    tspi_utc_bounds b;

    good("\xef\xbb\xbf\"clock\",\"at\",\"offset_ns\",\"error_ns\"\r\n\"h\",\"1000\",\"-7\",\"5\"\r\n", 1, &b);
    check_row(&b, 0, "h", 1000, -12, -2, 2);
    tspi_utc_bounds_release(&b);
    good("clock , at , lo_ns , hi_ns\nh , 1000 , 1 , 2\n", 1, &b);
    check_row(&b, 0, "h", 1000, 1, 2, 2);
    tspi_utc_bounds_release(&b);
}

TEST(utc_bounds, what_is_wrong_is_said_with_its_line)
{
#define LOG_REST " 13:22:36 10.0.0.1 2 -3.5 0.1 -8e-06 N 2 1 1 1 1 "
#define LOG_LINE "2017-08-22" LOG_REST "8e-3\n"
    static const struct {
        const char *text, *line, *says;
        tsp_status status;
    } bad[] = {
        {"", "", "no bound", TSP_EPARSE},
        {"clock,at,offset_ns,error_ns\n", "", "no bound", TSP_EPARSE},
        {"host,1,2,3\n", "line 1", "heading", TSP_EPARSE},
        {"clock,at,offset_ns\nh,1,2\n", "line 1", "error_ns", TSP_EPARSE},
        {"clock,at,offset_ns,error_ns\nh,1,2, x\n", "line 2, column 8", "error_ns", TSP_EPARSE},
        {"clock,at,offset_ns,error_ns\nh,1,2,-1\n", "line 2", "0 or more", TSP_EPARSE},
        {"clock,at,offset_ns,error_ns\nh,1,2\n", "line 2, column 6", "error_ns", TSP_EPARSE},
        {"clock,at,offset_ns,error_ns\nh,noon,2,3\n", "line 2, column 3: at", "Unix ns", TSP_EPARSE},
        {"clock,at,offset_ns,error_ns\n,1,2,3\n", "line 2", "clock", TSP_EPARSE},
        {"clock,at,offset_ns,error_ns\nh,1.5e3,2,3\n", "line 2", "at", TSP_EPARSE},
        {"clock,at,lo_ns,hi_ns\nh,1,3,2\n", "line 2", "ends before", TSP_EPARSE},
        {"clock,at,lo_ns,hi_ns\nh,9223372036854775807,1,2\n", "line 2", "no clock shows", TSP_ERANGE},
        {"clock,at,lo_ns,hi_ns\nh,9223372036854775808,1,2\n", "line 2", "at", TSP_EPARSE},
        {"clock,at,offset_ns,error_ns\nh,1,9223372036854775807,9223372036854775807\n", "line 2", "far", TSP_ERANGE},
        {"clock,at,lo_ns,hi_ns\nh,1,-9223372036854775808,0\n", "line 2", "no clock shows", TSP_ERANGE},
        {"clock,at,earliest,latest\nh,1,-5,x\n", "line 2", "latest", TSP_EPARSE},
        {"Reference ID    : 1\n", "line 1", "clock NAME at NS", TSP_EPARSE},
        {"clock h\nReference ID    : 1\n", "line 2", "NAME at NS", TSP_EPARSE},
        {"clock h at noon\n", "line 1, column 12", "Unix ns", TSP_EPARSE},
        {"clock h at 1\nReference ID : 1\nSystem time : 1 s\n", "line 3", "slow or fast", TSP_EPARSE},
        {"clock h at 1\nReference ID : 1\nRoot delay : x\n", "line 3", "seconds", TSP_EPARSE},
        {"clock h at 1\nReference ID : 1\nRoot delay : 1 seconds\n", "line 2", "System time", TSP_EPARSE},
        {"hello\n", "line 1, column 1", "CSV, or what chrony prints", TSP_EPARSE},
        {"clock h at 1\nReference ID : 1\nSystem time : x slow\n", "line 3, column 15", "System time", TSP_EPARSE},
        {"h,1,CB00710F,a,3,1,0.1,0,0,0,0,0,x,0,64,Normal\n", "line 1, column 34", "root delay", TSP_EPARSE},
        {LOG_LINE, "line 1", "clock NAME", TSP_EPARSE},
        {"clock h\n2017-08-22 13:22:36 203.0.113.15 2\n", "line 2", "14 columns", TSP_EPARSE},
        {"clock h\n2017-02-30" LOG_REST "8e-3\n", "line 2, column 1: Date", "a date", TSP_EPARSE},
        {"clock h\n2017-08-22" LOG_REST "-8e-3\n", "line 2, column 60", "Max. error", TSP_EPARSE},
        {"clock h\n2017-08-22" LOG_REST "nan\n", "line 2", "Max. error", TSP_EPARSE},
    };
    tspi_utc_bounds b;

    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        tsp_error err = {0};
        CHECK_STATUS(read_text(bad[k].text, strlen(bad[k].text), &b, &err), bad[k].status, &err);
        CHECK_CONTAINS(err.message, bad[k].line);
        CHECK_CONTAINS(err.message, bad[k].says);
        tspi_utc_bounds_release(&b);
    }
    tsp_error err = {0};
    CHECK(tspi_utc_bounds_read("/nowhere/at/all", &b, &err) == TSP_EIO);
    CHECK_CONTAINS(err.message, "/nowhere/at/all");
}

/* Whatever is in the file: an answer or an error, and limits that are limits. */
TEST(utc_bounds, hostile_text)
{
    static const char *const words[] = {"clock",
                                        ",",
                                        "at",
                                        "\n",
                                        "offset_ns",
                                        "error_ns",
                                        ":",
                                        "Root delay",
                                        "seconds",
                                        "-9223372036854775808",
                                        "1e400",
                                        "nan",
                                        ".",
                                        "h",
                                        " ",
                                        "CB00710F",
                                        "#",
                                        "\"",
                                        "Reference ID",
                                        "1700000000.1",
                                        "\xff",
                                        "earliest",
                                        "latest",
                                        "2017-08-22 13:22:36 ",
                                        "clock h\n",
                                        "slow"};
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 3000; round++) {
        char text[512];
        tspi_utc_bounds b;
        tsp_error err = {0};
        size_t len = (size_t)snprintf(text, sizeof text, "%s", round % 3 ? "" : "clock,at,earliest,latest\n");
        while (len < 400 && tspi_random_below(&random, 40)) {
            const char *word = words[tspi_random_below(&random, sizeof words / sizeof *words)];
            len += (size_t)snprintf(text + len, sizeof text - len, "%s", word);
        }
        tsp_status rc = read_text(text, len, &b, &err);
        CHECK(rc == TSP_OK || rc == TSP_EPARSE || rc == TSP_ERANGE);
        CHECK(rc == TSP_OK || err.message[0]);
        for (size_t k = 0; k < b.n; k++)
            CHECK(b.rows[k].lo_ns <= b.rows[k].hi_ns && llabs(b.rows[k].at_ns) <= TSP_STAMP_MAX);
        tspi_utc_bounds_release(&b);
    }
}
