#include "lab/control.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 64 * 1024 };

void tspi_control_init(tspi_control *control, int in_fd, int out_fd)
{
    *control = (tspi_control){.in_fd = in_fd, .out_fd = out_fd};
}

void tspi_control_close(tspi_control *control)
{
    if (control->in_fd >= 0)
        close(control->in_fd);
    if (control->out_fd >= 0 && control->out_fd != control->in_fd)
        close(control->out_fd);
    control->in_fd = control->out_fd = -1;
    tspi_buf_release(&control->in);
}

static tsp_status send_bytes(tspi_control *control, const uint8_t *bytes, size_t len, tsp_error *err)
{
    while (len) {
        ssize_t n = send(control->out_fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && errno == ENOTSOCK)
            n = write(control->out_fd, bytes, len);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd fd = {.fd = control->out_fd, .events = POLLOUT};
            poll(&fd, 1, 1000);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return tsp_error_set(err, TSP_ECLOSED, "the other side is gone");
        bytes += n;
        len -= (size_t)n;
    }
    return TSP_OK;
}

tsp_status tspi_control_send(tspi_control *control, tsp_error *err, const char *format, ...)
{
    tspi_buf line = {0};
    va_list args;
    tsp_status rc = TSP_OK;

    va_start(args, format);
    tspi_buf_vprintf(&line, format, args);
    va_end(args);
    tspi_buf_putc(&line, '\n');
    if (!tspi_buf_ok(&line))
        rc = tsp_error_set(err, TSP_ENOMEM, "out of memory for a control line");
    if (rc == TSP_OK)
        rc = send_bytes(control, line.data, line.len, err);
    tspi_buf_release(&line);
    return rc;
}

tsp_status tspi_control_recv(tspi_control *control, char **ret_line, tsp_error *err)
{
    for (;;) {
        uint8_t *end = control->in.len > control->at
                           ? memchr(control->in.data + control->at, '\n', control->in.len - control->at)
                           : NULL;
        if (end) {
            *end = '\0';
            *ret_line = (char *)control->in.data + control->at;
            control->at = (size_t)(end - control->in.data) + 1;
            return TSP_OK;
        }
        if (control->at) {
            control->in.len -= control->at;
            memmove(control->in.data, control->in.data + control->at, control->in.len);
            control->at = 0;
        }
        if (control->in.len > LINE_MAX_BYTES || !tspi_buf_reserve(&control->in, 4096))
            return tsp_error_set(err, TSP_EPARSE, "a control line is too long");
        ssize_t n = read(control->in_fd, control->in.data + control->in.len, 4096);
        if (n == 0)
            return TSP_ECLOSED;
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? TSP_EAGAIN : TSP_ECLOSED;
        control->in.len += (size_t)n;
    }
}

tsp_status tspi_control_send_file(tspi_control *control, const char *name, const char *path, tsp_error *err)
{
    uint8_t bytes[64 * 1024];
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return TSP_OK;
    if (fd < 0 || fstat(fd, &info) != 0) {
        if (fd >= 0)
            close(fd);
        return tsp_error_sys(err, errno, "cannot open '%s'", path);
    }
    tsp_status rc = tspi_control_send(control, err, "file %s %lld", name, (long long)info.st_size);
    for (off_t left = info.st_size; rc == TSP_OK && left > 0;) {
        ssize_t n = read(fd, bytes, left < (off_t)sizeof bytes ? (size_t)left : sizeof bytes);
        if (n <= 0) /* the other side waits for the bytes that were announced: only the stream's end helps */
            rc = tsp_error_set(err, TSP_EIO, "cannot read '%s' to its end", path);
        else
            rc = send_bytes(control, bytes, (size_t)n, err);
        left -= n;
    }
    close(fd);
    return rc;
}

static tsp_status write_whole(int fd, const uint8_t *bytes, size_t len, const char *path, tsp_error *err)
{
    while (len) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno != EINTR)
            return tsp_error_sys(err, errno, "cannot write '%s'", path);
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        }
    }
    return TSP_OK;
}

/* Wait for bytes in steps, so that meanwhile has its turn. */
static bool await_bytes(const tspi_control *control, int64_t timeout_ns, void (*meanwhile)(void *ctx), void *ctx)
{
    const int64_t step_ns = TSP_NS_PER_S / 2;

    for (int64_t left_ns = timeout_ns; left_ns > 0; left_ns -= step_ns) {
        struct pollfd wait = {.fd = control->in_fd, .events = POLLIN};
        if (meanwhile)
            meanwhile(ctx);
        if (poll(&wait, 1, (int)(step_ns / TSP_NS_PER_MS)) != 0)
            return true;
    }
    return false;
}

tsp_status tspi_control_recv_file(tspi_control *control, uint64_t left, const char *path, int64_t timeout_ns,
                                  void (*meanwhile)(void *ctx), void *ctx, tsp_error *err)
{
    uint8_t bytes[64 * 1024];
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    tsp_status rc = TSP_OK;

    if (fd < 0)
        return tsp_error_sys(err, errno, "cannot open '%s'", path);
    size_t held = control->in.len - control->at; /* what came along with the line */
    held = held < left ? held : (size_t)left;
    if (held)
        rc = write_whole(fd, control->in.data + control->at, held, path, err);
    control->at += held;
    left -= held;
    while (rc == TSP_OK && left) {
        if (!await_bytes(control, timeout_ns, meanwhile, ctx)) {
            rc = tsp_error_set(err, TSP_ECLOSED, "'%s' stopped coming", path);
            break;
        }
        ssize_t n = read(control->in_fd, bytes, left < sizeof bytes ? (size_t)left : sizeof bytes);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n <= 0)
            rc = tsp_error_set(err, TSP_ECLOSED, "the other side is gone");
        else
            rc = write_whole(fd, bytes, (size_t)n, path, err);
        left -= n > 0 ? (uint64_t)n : 0;
    }
    if (close(fd) != 0 && rc == TSP_OK)
        rc = tsp_error_sys(err, errno, "cannot write '%s'", path);
    return rc;
}

tsp_status tspi_control_send_block(tspi_control *control, const tspi_block *block, tsp_error *err)
{
    const tspi_clock_model *clock = &block->clock;
    tspi_buf steps = {0};

    for (uint32_t k = 0; k < clock->steps_n; k++)
        tspi_buf_printf(&steps, "%" PRId64 ":%" PRId64 ":%" PRId64 ",", clock->steps[k].at_ns, clock->steps[k].size_ns,
                        clock->steps[k].slew_ppb);
    tspi_buf_putc(&steps, '\0');
    tsp_status rc = tspi_control_send(
        control, err,
        "begin id=%" PRIu32 " seed=%" PRIu64 " arrival=%d rate=%.17g concurrency=%" PRIu32 " requests=%" PRIu32
        " duration_ns=%" PRId64 " offset_ns=%" PRId64 " drift_ppb=%" PRId64 " wander_ppb=%" PRId64
        " ntp_peak_ns=%" PRId64 " ntp_period_ns=%" PRId64 " clock_seed=%" PRIu64 " steps=%s folder=%s",
        block->id, block->seed, (int)block->arrival, block->rate_per_s, block->concurrency, block->requests,
        block->duration_ns, clock->offset_ns, clock->drift_ppb, clock->wander_ppb, clock->ntp_peak_ns,
        clock->ntp_period_ns, clock->seed, steps.len > 1 ? (char *)steps.data : ",", block->folder);
    tspi_buf_release(&steps);
    return rc;
}

tsp_status tspi_control_parse_block(const char *line, tspi_block *ret_block, tsp_error *err)
{
    tspi_block block = {0};
    tspi_clock_model *clock = &block.clock;
    int arrival = 0, at = 0;
    char steps[2048]; /* 16 of three 64-bit numbers */

    int n = sscanf(line,
                   "begin id=%" SCNu32 " seed=%" SCNu64 " arrival=%d rate=%lg concurrency=%" SCNu32 " requests=%" SCNu32
                   " duration_ns=%" SCNd64 " offset_ns=%" SCNd64 " drift_ppb=%" SCNd64 " wander_ppb=%" SCNd64
                   " ntp_peak_ns=%" SCNd64 " ntp_period_ns=%" SCNd64 " clock_seed=%" SCNu64 " steps=%2047s folder=%n",
                   &block.id, &block.seed, &arrival, &block.rate_per_s, &block.concurrency, &block.requests,
                   &block.duration_ns, &clock->offset_ns, &clock->drift_ppb, &clock->wander_ppb, &clock->ntp_peak_ns,
                   &clock->ntp_period_ns, &clock->seed, steps, &at);
    if (n != 14 || !at || arrival < 0 || arrival > TSPI_ARRIVAL_CLOSED || strlen(line + at) >= sizeof block.folder)
        return tsp_error_set(err, TSP_EPARSE, "no block: '%.80s'", line);
    block.arrival = (enum tspi_arrival)arrival;
    memcpy(block.folder, line + at, strlen(line + at) + 1);
    for (char *step = steps; *step && *step != ',' && clock->steps_n < TSPI_CLOCK_STEPS_MAX;) {
        int used = 0;
        if (sscanf(step, "%" SCNd64 ":%" SCNd64 ":%" SCNd64 ",%n", &clock->steps[clock->steps_n].at_ns,
                   &clock->steps[clock->steps_n].size_ns, &clock->steps[clock->steps_n].slew_ppb, &used) != 3)
            return tsp_error_set(err, TSP_EPARSE, "no steps: '%.80s'", steps);
        clock->steps_n++;
        step += used;
    }
    *ret_block = block;
    return TSP_OK;
}
