#include "base/number_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "truespan/base.h"

void tspi_format_count(uint64_t n, char *ret, size_t size)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    size_t at = 0;

    for (int k = 0; k < len && at + 2 < size; k++) {
        if (k && (len - k) % 3 == 0)
            ret[at++] = ',';
        ret[at++] = digits[k];
    }
    ret[at] = 0;
}

void tspi_format_ns(int64_t ns, char *ret, size_t size)
{
    static const struct {
        double ns;
        const char *name;
    } units[] = {{86400e9, "d"}, {3600e9, "h"}, {1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}};
    double magnitude = fabs((double)ns);

    if (!ns) {
        snprintf(ret, size, "0");
        return;
    }
    for (size_t k = 0; k < sizeof units / sizeof units[0]; k++)
        if (magnitude >= units[k].ns * 0.9995 || units[k].ns == 1) {
            double value = (double)ns / units[k].ns;
            int decimals = units[k].ns == 1 || fabs(value) >= 99.95 ? 0 : fabs(value) >= 9.995 ? 1 : 2;
            snprintf(ret, size, "%.*f %s", decimals, value, units[k].name);
            return;
        }
}

void tspi_format_bytes(uint64_t bytes, char *ret, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1023.95 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    snprintf(ret, size, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

void tspi_format_instant(int64_t ns, char *ret, size_t size)
{
    time_t seconds = (time_t)(ns / TSP_NS_PER_S);
    int64_t rest = ns % TSP_NS_PER_S;
    struct tm tm;
    char text[40];

    if (rest < 0) {
        rest += TSP_NS_PER_S;
        seconds--;
    }
    if (gmtime_r(&seconds, &tm) && strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm))
        snprintf(ret, size, "%s.%09" PRId64 "Z", text, rest);
    else
        snprintf(ret, size, "%" PRId64, ns);
}
