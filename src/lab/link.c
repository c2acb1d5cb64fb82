#include "lab/link.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/due_queue.h"

/* More than this in flight means that a node floods: the rest is dropped, as a router's full queue does. */
enum { PACKETS_MAX = 200000, MTU_MAX = 65535, BURST = 64, EVENTS = 32 };
enum { STOP = TSPI_LINK_NODES_MAX, TIMER };

static const uint32_t network = UINT32_C(10) << 24 | UINT32_C(77) << 16;

struct packet {
    size_t len;
    uint8_t bytes[];
};

struct link {
    const int *tun_fds;
    size_t n;
    const tspi_link_config *config;
    tspi_random random;
    tspi_due_queue packets; /* under way; `to` is the receiving node */
    int64_t *last_due_ns;   /* [from * n + to] */
    int64_t *line_free_ns;  /* when a node's line has sent what it was given */
    int epoll_fd, timer_fd;
    int64_t timer_ns; /* what the timer is set to; 0 = not set */
};

uint32_t tspi_link_address(size_t k)
{
    return network + (uint32_t)k + 1;
}

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

static bool passes_hub(const tspi_link_config *config, size_t from, size_t to)
{
    return config->has_hub && (from == config->hub || to == config->hub);
}

/* When a packet read now is to be handed over. */
static int64_t due_of(struct link *link, size_t from, size_t to, size_t len, int64_t now_ns)
{
    int64_t sent_ns = now_ns, *last = &link->last_due_ns[from * link->n + to];

    if (link->config->rate_mbit > 0) {
        int64_t takes_ns = (int64_t)((double)len * 8e3 / link->config->rate_mbit);
        int64_t starts_ns = link->line_free_ns[from] > now_ns ? link->line_free_ns[from] : now_ns;
        sent_ns = link->line_free_ns[from] = starts_ns + takes_ns;
    }
    int64_t parts = passes_hub(link->config, from, to) ? 2 : 1;
    double jitter = (double)link->config->jitter_ns / (double)parts * tspi_random_uniform(&link->random, -1.0, 1.0);
    int64_t due_ns = sent_ns + link->config->delay_ns / parts + (int64_t)jitter;
    if (due_ns < *last)
        due_ns = *last;
    *last = due_ns;
    return due_ns;
}

static double loss_between(const tspi_link_config *config, size_t from, size_t to)
{
    return passes_hub(config, from, to) ? 1 - sqrt(1 - config->loss) : config->loss;
}

static void take_in(struct link *link, size_t from)
{
    static uint8_t bytes[MTU_MAX];

    for (int k = 0; k < BURST; k++) {
        ssize_t len = read(link->tun_fds[from], bytes, sizeof bytes);
        if (len < 20 || bytes[0] >> 4 != 4) { /* nothing more, or not IPv4 */
            /* The node is gone: epoll would report it for ever. */
            if (!len || (len < 0 && errno != EAGAIN && errno != EINTR))
                epoll_ctl(link->epoll_fd, EPOLL_CTL_DEL, link->tun_fds[from], NULL);
            if (len <= 0)
                return;
            continue;
        }
        uint32_t address = (uint32_t)bytes[16] << 24 | (uint32_t)bytes[17] << 16 | (uint32_t)bytes[18] << 8 | bytes[19];
        uint32_t to = address - network - 1;
        if (to >= link->n || to == from)
            continue;
        if (link->config->loss > 0 && tspi_random_unit(&link->random) < loss_between(link->config, from, to))
            continue;
        if (link->packets.n >= PACKETS_MAX)
            continue;
        struct packet *packet = malloc(sizeof *packet + (size_t)len);
        if (!packet)
            continue;
        packet->len = (size_t)len;
        memcpy(packet->bytes, bytes, packet->len);
        if (!tspi_due_push(&link->packets, due_of(link, from, to, packet->len, monotonic_ns()), packet, to))
            free(packet);
    }
}

static void hand_over(struct link *link)
{
    int64_t now_ns = monotonic_ns();

    for (const tspi_due *first; (first = tspi_due_first(&link->packets)) && first->due_ns <= now_ns;) {
        tspi_due due = tspi_due_pop(&link->packets);
        struct packet *packet = due.thing;
        /* A full receive queue drops the packet, as a network card does; TCP sends it again. */
        if (write(link->tun_fds[due.to], packet->bytes, packet->len) < 0) {
        }
        free(packet);
    }
}

static void set_timer(struct link *link)
{
    const tspi_due *first = tspi_due_first(&link->packets);
    int64_t due_ns = first ? first->due_ns : 0;

    if (due_ns == link->timer_ns)
        return;
    struct itimerspec at = {.it_value = {due_ns / TSP_NS_PER_S, due_ns % TSP_NS_PER_S}};
    timerfd_settime(link->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
    link->timer_ns = due_ns;
}

static tsp_status watch(struct link *link, int fd, uint64_t what, tsp_error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = what};

    if (epoll_ctl(link->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return tsp_error_sys(err, errno, "the link cannot watch a descriptor");
    return TSP_OK;
}

static tsp_status open_link(struct link *link, int stop_fd, tsp_error *err)
{
    link->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    link->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    link->last_due_ns = calloc(link->n * link->n + 1, sizeof *link->last_due_ns);
    link->line_free_ns = calloc(link->n + 1, sizeof *link->line_free_ns);
    if (link->epoll_fd < 0 || link->timer_fd < 0)
        return tsp_error_sys(err, errno, "the link cannot start");
    if (!link->last_due_ns || !link->line_free_ns)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a link of %zu nodes", link->n);
    tsp_status rc = watch(link, stop_fd, STOP, err);
    if (rc == TSP_OK)
        rc = watch(link, link->timer_fd, TIMER, err);
    for (size_t k = 0; k < link->n && rc == TSP_OK; k++)
        rc = watch(link, link->tun_fds[k], k, err);
    return rc;
}

static tsp_status serve(struct link *link, tsp_error *err)
{
    struct epoll_event events[EVENTS];

    for (;;) {
        int n = epoll_wait(link->epoll_fd, events, EVENTS, -1);
        if (n < 0 && errno != EINTR)
            return tsp_error_sys(err, errno, "the link cannot wait");
        for (int k = 0; k < n; k++) {
            uint64_t what = events[k].data.u64, ticks;
            if (what == STOP)
                return TSP_OK;
            if (what == TIMER) {
                if (read(link->timer_fd, &ticks, sizeof ticks) > 0)
                    link->timer_ns = 0;
            } else
                take_in(link, what);
        }
        hand_over(link);
        set_timer(link);
    }
}

tsp_status tspi_link_run(const int *tun_fds, size_t n, const tspi_link_config *config, const tspi_random *random,
                         int stop_fd, tsp_error *err)
{
    struct link link = {
        .tun_fds = tun_fds, .n = n, .config = config, .random = *random, .epoll_fd = -1, .timer_fd = -1};

    prctl(PR_SET_TIMERSLACK, 1UL);
    tsp_status rc = open_link(&link, stop_fd, err);
    if (rc == TSP_OK)
        rc = serve(&link, err);
    tspi_due_release(&link.packets, free);
    free(link.last_due_ns);
    free(link.line_free_ns);
    if (link.epoll_fd >= 0)
        close(link.epoll_fd);
    if (link.timer_fd >= 0)
        close(link.timer_fd);
    return rc;
}
