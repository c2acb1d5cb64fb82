#include "base/duration.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int64_t ns;
} units[] = {
    {"ns", 1},          {"us", 1000},         {"\xc2\xb5s", 1000},  {"ms", 1000000},       {"s", 1000000000},
    {"m", 60000000000}, {"min", 60000000000}, {"h", 3600000000000}, {"d", 86400000000000},
};

bool tspi_duration_parse(const char *text, int64_t *ret_ns)
{
    bool negative = *text == '-', digits = false;
    __int128 value = 0, scale = 1, limit = (__int128)INT64_MAX * 1000000000;

    if (*text == '-' || *text == '+')
        text++;
    for (bool fraction = false; (*text >= '0' && *text <= '9') || (*text == '.' && !fraction); text++) {
        if (*text == '.') {
            fraction = true;
            continue;
        }
        digits = true;
        value = value * 10 + (*text - '0');
        if (fraction)
            scale *= 10;
        if (value > limit || scale > 1000000000000000)
            return false;
    }
    if (!digits)
        return false;
    for (size_t k = 0; k < sizeof units / sizeof *units; k++) {
        if (strcmp(text, units[k].name) != 0)
            continue;
        if (value > ((__int128)1 << 120) / units[k].ns)
            return false;
        __int128 ns = (value * units[k].ns + scale / 2) / scale;
        if (ns > INT64_MAX)
            return false;
        *ret_ns = negative ? -(int64_t)ns : (int64_t)ns;
        return true;
    }
    return false;
}

void tspi_duration_format(int64_t ns, char *ret_text, size_t size)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } steps[] = {{"h", 3600000000000}, {"s", 1000000000}, {"ms", 1000000}, {"us", 1000}, {"ns", 1}};
    uint64_t rest = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    size_t k = 0;

    if (!rest) {
        snprintf(ret_text, size, "0ms");
        return;
    }
    /* The largest unit that needs no more than three decimals; hours only when whole. */
    while (k < 4 && (steps[k].ns > rest || rest % (k == 0 ? steps[k].ns : steps[k].ns / 1000)))
        k++;
    uint64_t whole = rest / steps[k].ns, part = steps[k].ns >= 1000 ? rest % steps[k].ns / (steps[k].ns / 1000) : 0;
    int n = snprintf(ret_text, size, "%s%" PRIu64, ns < 0 ? "-" : "", whole);
    if (part && n > 0 && (size_t)n < size) {
        n += snprintf(ret_text + n, size - (size_t)n, ".%03" PRIu64, part);
        while ((size_t)n < size && ret_text[n - 1] == '0')
            ret_text[--n] = '\0';
    }
    if (n > 0 && (size_t)n < size)
        snprintf(ret_text + n, size - (size_t)n, "%s", steps[k].name);
}
