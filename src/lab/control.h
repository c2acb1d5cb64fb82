/* The wire between the conductor and its nodes: lines of text over a stream, so that it can as well run through ssh.
 *
 *   conductor -> node                               node -> conductor
 *   peer STAGE WORKER ADDRESS                       ready ADDRESS
 *   connect                                         connected
 *   begin (see tspi_control_send_block)             began
 *   go                                              progress REQUESTS TOKENS     (now and then)
 *                                                   memory BYTES DRIVER_BYTES    (every 10 s)
 *                                                   done REQUESTS TOKENS ELAPSED_NS
 *   count                                           counted SENT RECEIVED WORK   (messages since the start; 1 = has work)
 *   end                                             ended SPANS FOREIGN
 *   quit                                            error TEXT                   (and the node ends)
 *
 * A node on another machine (--remote) is first sent the files it needs, and sends what a block left before "ended":
 *   file NAME BYTES, then the bytes                 version VERSION, before all else
 *   here, every second                              file NAME BYTES, then the bytes
 * A network that is cut tells neither side: ssh notices it here, and the node there by the lines that do not come. */
#ifndef TSPI_LAB_CONTROL_H
#define TSPI_LAB_CONTROL_H

#include "base/buf.h"
#include "lab/node.h"

typedef struct {
    int in_fd, out_fd; /* owned; the same one for a socket */
    tspi_buf in;       /* what came and is not read yet */
    size_t at;         /* start of the next line in it */
} tspi_control;

/* How often the conductor lets nodes on other machines know that it is there, and after what silence they go. */
#define TSPI_CONTROL_TOUCH_EVERY_NS TSP_NS_PER_S
#define TSPI_CONTROL_SILENCE_NS (15 * TSP_NS_PER_S)

void tspi_control_init(tspi_control *control, int in_fd, int out_fd);
void tspi_control_close(tspi_control *control);

/* A line, without its newline in format. TSP_ECLOSED when the other side is gone. */
tsp_status tspi_control_send(tspi_control *control, tsp_error *err, const char *format, ...) TSP_PRINTF(3, 4);

/* The next whole line (borrowed until the next call, NUL-terminated). TSP_EAGAIN: none yet; TSP_ECLOSED: the end.
 * Does not block when in_fd does not. */
tsp_status tspi_control_recv(tspi_control *control, char **ret_line, tsp_error *err);

/* A file's content behind the line "file NAME BYTES"; an absent file is not sent. */
tsp_status tspi_control_send_file(tspi_control *control, const char *name, const char *path, tsp_error *err);

/* The bytes behind such a line, appended to path. Waits for them, at most timeout_ns without any, and calls meanwhile
 * (may be NULL) now and then. */
tsp_status tspi_control_recv_file(tspi_control *control, uint64_t bytes, const char *path, int64_t timeout_ns,
                                  void (*meanwhile)(void *ctx), void *ctx, tsp_error *err);

tsp_status tspi_control_send_block(tspi_control *control, const tspi_block *block, tsp_error *err);
tsp_status tspi_control_parse_block(const char *line, tspi_block *ret_block, tsp_error *err);

#endif
