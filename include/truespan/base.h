/* What every part of truespan shares: how a function says that it failed, and what time is.
 *
 * Functions that can fail return a tsp_status and take a tsp_error that may be NULL. The function that detects the
 * failure fills the record; callers add context to it on the way up. The library never exits, and never logs. */
#ifndef TRUESPAN_BASE_H
#define TRUESPAN_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TSP_API __attribute__((visibility("default")))
#define TSP_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define TSP_API
#define TSP_PRINTF(fmt, args)
#endif

typedef enum {
    TSP_OK = 0,
    TSP_EINVAL,       /* an argument or a setting makes no sense */
    TSP_ENOMEM,       /* memory, or a limit on it, is exhausted */
    TSP_EIO,          /* the system refused: open, read, write, connect */
    TSP_EPARSE,       /* the input's bytes are not what their format promises */
    TSP_ERANGE,       /* a number does not fit, or there is too little to compute with */
    TSP_EAGAIN,       /* not now: nothing lost, call again */
    TSP_ECLOSED,      /* the other side is gone */
    TSP_EINFEASIBLE,  /* no clocks explain the stamps */
    TSP_EUNSUPPORTED, /* this build or machine lacks the part */
    TSP_EINTERRUPTED, /* the user asked to stop */
} tsp_status;

#define TSP_NO_OFFSET UINT64_MAX

/* Caller-owned record of a failure. Zero it before first use.
 * offset   byte in the input at which reading failed, or TSP_NO_OFFSET
 * message  one line without a newline; the newest context stands first */
typedef struct {
    tsp_status code;
    uint64_t offset;
    char message[504];
} tsp_error;

/* Fill err (may be NULL) and hand code back, so that a failure is one line: return tsp_error_set(err, TSP_EINVAL, ...). */
TSP_API tsp_status tsp_error_set(tsp_error *err, tsp_status code, const char *format, ...) TSP_PRINTF(3, 4);

/* The same with the byte of the input at which it happened. */
TSP_API tsp_status tsp_error_at(tsp_error *err, tsp_status code, uint64_t offset, const char *format, ...)
    TSP_PRINTF(4, 5);

/* As tsp_error_set, followed by the system's words for error number sys_errno. */
TSP_API tsp_status tsp_error_sys(tsp_error *err, int sys_errno, const char *format, ...) TSP_PRINTF(3, 4);

/* Put context before the message: "while loading 'spec.yaml': line 3: ...". */
TSP_API void tsp_error_note(tsp_error *err, const char *format, ...) TSP_PRINTF(2, 3);

/* A short English name of a status, for people. Never NULL. */
TSP_API const char *tsp_status_name(tsp_status code);

/* Version of the library, "MAJOR.MINOR.PATCH". */
TSP_API const char *tsp_version(void);

/* Time. Stamps are Unix nanoseconds. Two types, so that the compiler refuses to subtract across clocks:
 * what one host's clock showed, and what the reference clock showed. A clock's offset is host minus reference:
 * positive means that the host's clock runs ahead, and reference = host - offset. */
typedef struct {
    int64_t ns;
} tsp_host_time;
typedef struct {
    int64_t ns;
} tsp_ref_time;

#define TSP_NS_PER_US INT64_C(1000)
#define TSP_NS_PER_MS INT64_C(1000000)
#define TSP_NS_PER_S INT64_C(1000000000)

#ifdef __cplusplus
}
#endif
#endif
