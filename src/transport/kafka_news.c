/* What librdkafka's callbacks tell of a broker, kept until the transport asks. */
#include <stdio.h>

#include "transport/kafka_inside.h"

void tspi_kafka_note_error(tspi_kafka_news *news, rd_kafka_t *client, int code, const char *reason)
{
    char text[256];

    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        rd_kafka_fatal_error(client, text, sizeof text);
        snprintf(news->loss, sizeof news->loss, "%s", text);
    } else if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        news->down_ns = news->down_ns ? news->down_ns : tspi_kafka_monotonic_ns();
    else
        snprintf(news->trouble, sizeof news->trouble, "%s", reason);
}
