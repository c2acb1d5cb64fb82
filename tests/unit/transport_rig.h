/* All transports for the conformance suite: how each is opened, in what time it lives, and what it cannot promise. A
 * new driver adds a row to `drivers`. */
#ifndef TRUESPAN_TRANSPORT_RIG_H
#define TRUESPAN_TRANSPORT_RIG_H

#include "base/random.h"
#include "transport/fault.h"
#include "transport/inproc.h"
#include "transport_talk.h"

struct driver {
    const char *name;
    /* port: 0 = a new inbox, else the one whose address ends in it. */
    tspi_transport *(*open)(const char *inbox, uint16_t port);
    bool window;         /* what does not fit into the receiver's window when the sender closes is lost */
    bool stores;         /* a broker keeps what nobody reads: a slow receiver stops nobody, and connections are dear */
    bool named;          /* any text may be the name of an inbox */
    bool virtual;        /* nothing takes time but what somebody waits for */
    bool (*there)(void); /* NULL = always */
    uint32_t senders;    /* that come and go */
};

/* The driver that is being tested, and what is put around each of its transports; NULL = nothing. */
static const struct driver *current;
static const tspi_fault_config *faults;

/* ------------------------------------------------------------------ drivers */

static tspi_transport *open_within(tspi_inproc *net, uint16_t port)
{
    static uint16_t inboxes;
    tspi_transport *t = NULL;
    tsp_error err = {0};
    char name[32];

    snprintf(name, sizeof name, "inbox:%u", port ? port : ++inboxes);
    CHECK_STATUS(tspi_inproc_open(net, &(tspi_transport_config){.inbox = name}, &t, &err), TSP_OK, &err);
    return t;
}

static tspi_inproc *real_net, *virtual_net;

static void free_nets(void)
{
    tspi_inproc_free(real_net);
    tspi_inproc_free(virtual_net);
}

static void make_nets(tspi_virtual_config config)
{
    if (real_net)
        return;
    real_net = tspi_inproc_new(&(tspi_virtual_config){0}, NULL);
    virtual_net = tspi_inproc_new(&config, read_virtual);
    atexit(free_nets);
}

/* A millisecond and up to another for the size. */
static int64_t virtual_delay_ns(void *ctx, uint32_t from, uint32_t to, size_t bytes, int64_t sent_ns)
{
    (void)ctx, (void)from, (void)to, (void)sent_ns;
    return TSP_NS_PER_MS + (int64_t)(bytes % 1000) * TSP_NS_PER_US;
}

static tspi_transport *open_inproc(const char *inbox, uint16_t port)
{
    (void)inbox;
    make_nets((tspi_virtual_config){.delay_ns = virtual_delay_ns});
    return open_within(real_net, port);
}

static tspi_transport *open_virtual(const char *inbox, uint16_t port)
{
    (void)inbox;
    make_nets((tspi_virtual_config){.delay_ns = virtual_delay_ns});
    return open_within(virtual_net, port);
}

#ifdef HAVE_AERON
#include "aeron_rig.h"

static tspi_transport *open_aeron_udp(const char *inbox, uint16_t port)
{
    return aeron_rig_open("127.0.0.1", inbox, port);
}

static tspi_transport *open_aeron_ipc(const char *inbox, uint16_t port)
{
    return aeron_rig_open("ipc", inbox, port);
}
#endif

#ifdef HAVE_KAFKA
#include "kafka_rig.h"

/* A run of its own for every inbox; its number stands for the port, by which an inbox is found again. */
static tspi_transport *open_kafka(const char *inbox, uint16_t port)
{
    static uint16_t runs;
    char run[32];

    snprintf(run, sizeof run, "%u-run", port ? port : ++runs);
    return kafka_rig_open(&(tspi_transport_config){.inbox = inbox, .run = run});
}

static bool has_kafka(void)
{
    return kafka_rig_broker() != NULL;
}
#endif

static const struct driver drivers[] = {
    {"inproc", open_inproc, .named = true, .senders = 5000},
    {"virtual time", open_virtual, .named = true, .virtual = true, .senders = 5000},
    {"zmq", open_zmq, .senders = 2000},
#ifdef HAVE_AERON
    {"aeron over UDP", open_aeron_udp, .window = true, .senders = 500},
    {"aeron through shared memory", open_aeron_ipc, .window = true, .senders = 500},
#endif
#ifdef HAVE_KAFKA
    {"kafka", open_kafka, .stores = true, .there = has_kafka, .senders = 200},
#endif
};

enum { DRIVERS_N = sizeof drivers / sizeof *drivers };

static tspi_transport *open_transport(const char *inbox, uint16_t port)
{
    tspi_transport *inner = current->open(inbox, port), *t = NULL;
    tspi_random random;
    tsp_error err = {0};

    if (!faults)
        return inner;
    tspi_fault_config config = *faults;
    config.now_ns = current->virtual ? read_virtual : NULL;
    tspi_random_seed(&random, seed);
    CHECK_STATUS(tspi_fault_wrap(inner, &config, &random, &t, &err), TSP_OK, &err);
    return t;
}

/* The next driver that is there. Says where the time goes, and which of them failed. */
static const struct driver *announce(const struct driver *driver)
{
    static int64_t begun_ns;
    static int failures;

    if (current)
        printf("# %s%s: %.2f s%s\n", current->name, faults ? " behind the fault wrapper" : "",
               1e-9 * (double)(real_ns() - begun_ns), test_failures > failures ? ", FAILED" : "");
    while (driver < drivers + DRIVERS_N && driver->there && !driver->there())
        driver++;
    begun_ns = real_ns();
    failures = test_failures;
    current = driver < drivers + DRIVERS_N ? driver : NULL;
    in_virtual_time = current && current->virtual;
    return current;
}

/* Bare, and once more behind the wrapper that delays a little. */
static void check_each(void (*check)(void))
{
    static const tspi_fault_config a_little = {.delay_ns = 200000, .jitter_ns = 100000};

    for (int wrapped = 0; wrapped < 2; wrapped++) {
        faults = wrapped ? &a_little : NULL;
        for (const struct driver *driver = drivers; announce(driver); driver++)
            check();
    }
    faults = NULL;
}

#endif
