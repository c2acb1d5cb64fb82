#include "truespan/base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fill(tsp_error *err, tsp_status code, uint64_t offset, const char *format, va_list args)
{
    if (!err)
        return;
    err->code = code;
    err->offset = offset;
    vsnprintf(err->message, sizeof err->message, format, args);
}

tsp_status tsp_error_set(tsp_error *err, tsp_status code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(err, code, TSP_NO_OFFSET, format, args);
    va_end(args);
    return code;
}

tsp_status tsp_error_at(tsp_error *err, tsp_status code, uint64_t offset, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(err, code, offset, format, args);
    va_end(args);
    return code;
}

tsp_status tsp_error_sys(tsp_error *err, int sys_errno, const char *format, ...)
{
    tsp_status code = sys_errno == ENOMEM ? TSP_ENOMEM : TSP_EIO;
    va_list args;
    va_start(args, format);
    fill(err, code, TSP_NO_OFFSET, format, args);
    va_end(args);
    if (err) {
        size_t used = strlen(err->message);
        snprintf(err->message + used, sizeof err->message - used, ": %s", strerror(sys_errno));
    }
    return code;
}

void tsp_error_note(tsp_error *err, const char *format, ...)
{
    char note[sizeof err->message], old[sizeof err->message];
    va_list args;

    if (!err)
        return;
    va_start(args, format);
    vsnprintf(note, sizeof note, format, args);
    va_end(args);
    memcpy(old, err->message, sizeof old);
    int used = snprintf(err->message, sizeof err->message, "%s: ", note);
    if (used > 0 && (size_t)used < sizeof err->message)
        snprintf(err->message + used, sizeof err->message - (size_t)used, "%.*s",
                 (int)(sizeof err->message - (size_t)used - 1), old);
}

const char *tsp_status_name(tsp_status code)
{
    static const char *const names[] = {
        [TSP_OK] = "ok",
        [TSP_EINVAL] = "invalid argument",
        [TSP_ENOMEM] = "out of memory",
        [TSP_EIO] = "input/output error",
        [TSP_EPARSE] = "malformed input",
        [TSP_ERANGE] = "out of range",
        [TSP_EAGAIN] = "try again",
        [TSP_ECLOSED] = "closed",
        [TSP_EINFEASIBLE] = "infeasible",
        [TSP_EUNSUPPORTED] = "unsupported",
        [TSP_EINTERRUPTED] = "interrupted",
    };
    if ((size_t)code >= sizeof names / sizeof *names || !names[code])
        return "unknown status";
    return names[code];
}

const char *tsp_version(void)
{
    return TSP_VERSION;
}
