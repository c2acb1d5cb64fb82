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

const char *tspi_transport_names(void)
{
    static char names[128];
    size_t n = 0;

    for (size_t k = 0; k < sizeof drivers / sizeof *drivers && n < sizeof names; k++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", k ? ", " : "", drivers[k]->scheme);
    return names;
}
