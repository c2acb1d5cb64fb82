#include "transport/transport.h"

#include <stdio.h>
#include <string.h>

/* A driver that this build lacks has no row; the spec's reader says how to have it. */
static const struct tspi_transport_ops *const drivers[] = {
    &tspi_transport_zmq,
#ifdef HAVE_AERON
    &tspi_transport_aeron,
#endif
#ifdef HAVE_KAFKA
    &tspi_transport_kafka,
#endif
};

const struct tspi_transport_ops *tspi_transport_find(const char *scheme)
{
    for (size_t k = 0; k < sizeof drivers / sizeof *drivers; k++)
        if (!strcmp(drivers[k]->scheme, scheme))
            return drivers[k];
    return NULL;
}

tsp_status tspi_transport_post_message(tspi_transport *t, uint32_t peer, const tspi_content *content, tsp_error *err)
{
    tspi_msg *msg = tspi_msg_of(content);
    if (!msg)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a message of %zu bytes", content->payload_len);
    tsp_status rc = t->ops->send(t, peer, msg, err);
    if (rc != TSP_OK && rc != TSP_ECLOSED)
        tspi_msg_free(msg);
    return rc;
}

tsp_status tspi_transport_deliver(tspi_transport *t, uint32_t max, tspi_on_msg on_msg, void *ctx, uint32_t *ret_n,
                                  tsp_error *err)
{
    tspi_msg *msg;
    bool more = true;

    *ret_n = 0;
    if (t->ops->deliver)
        return t->ops->deliver(t, max, on_msg, ctx, ret_n, err);
    while (more && *ret_n < max) {
        tsp_status rc = t->ops->recv(t, &msg, err);
        if (rc == TSP_EAGAIN && *ret_n)
            break;
        if (rc != TSP_OK)
            return rc;
        more = on_msg(ctx, msg);
        tspi_msg_free(msg);
        ++*ret_n;
    }
    return TSP_OK;
}

const char *tspi_transport_names(void)
{
    static char names[128];
    size_t n = 0;

    for (size_t k = 0; k < sizeof drivers / sizeof *drivers && n < sizeof names; k++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", k ? ", " : "", drivers[k]->scheme);
    return names;
}
