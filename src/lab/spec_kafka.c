#include "lab/spec_kafka.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/spec_schema.h"
#include "lab/spec_text.h"

static const char *const acks_words[] = {"all", "1", "0"};

bool tspi_kafka_spec_is_broker(const char *text)
{
    for (const char *at = text;; at++) {
        size_t len = strcspn(at, ",");
        const char *colon = memrchr(at, ':', len);
        char *end;
        if (!colon || colon == at || !isdigit((unsigned char)colon[1]))
            return false;
        long port = strtol(colon + 1, &end, 10);
        if (end != at + len || port < 1 || port > UINT16_MAX || memchr(at, ' ', len))
            return false;
        at += len;
        if (!*at)
            return true;
    }
}

static void clear_settings(tspi_kafka_spec *kafka)
{
    for (uint32_t k = 0; k < kafka->settings_n; k++)
        free(kafka->settings[k]);
    free(kafka->settings);
    kafka->settings = NULL;
    kafka->settings_n = 0;
}

void tspi_kafka_spec_release(tspi_kafka_spec *kafka)
{
    clear_settings(kafka);
    free(kafka->broker);
    free(kafka->acks);
}

static void get_settings(tspi_spec_reader *in, const struct raw_kafka *raw, tspi_kafka_spec *kafka)
{
    char path[64];

    if (!raw->settings)
        return;
    clear_settings(kafka);
    kafka->settings = calloc(raw->settings_count + 1, sizeof *kafka->settings);
    if (!kafka->settings || raw->settings_count > TSPI_KAFKA_SETTINGS_MAX) {
        tspi_spec_bad(in, "kafka.settings", "%u settings are more than the %d that fit", raw->settings_count,
                      TSPI_KAFKA_SETTINGS_MAX);
        return;
    }
    for (unsigned k = 0; k < raw->settings_count; k++) {
        snprintf(path, sizeof path, "kafka.settings[%u]", k);
        if (!strchr(raw->settings[k], '='))
            tspi_spec_bad(in, path, "'%s' is no setting: write NAME=VALUE", raw->settings[k]);
        tspi_spec_get_text(raw->settings[k], &kafka->settings[k]);
        kafka->settings_n = k + 1;
    }
}

void tspi_kafka_spec_get(tspi_spec_reader *in, const struct raw_kafka *raw, tspi_kafka_spec *kafka)
{
    int word = -1;

    if (raw->broker && !tspi_kafka_spec_is_broker(raw->broker))
        tspi_spec_bad(in, "kafka.broker", "'%s' is no HOST:PORT", raw->broker);
    tspi_spec_get_text(raw->broker, &kafka->broker);
    tspi_spec_get_word(in, "kafka.acks", raw->acks, acks_words, sizeof acks_words / sizeof *acks_words, &word);
    tspi_spec_get_text(raw->acks, &kafka->acks);
    tspi_spec_get_duration(in, "kafka.linger", raw->linger, 0, 60 * TSP_NS_PER_S, &kafka->linger_ns);
    tspi_spec_get_duration(in, "kafka.fetch_wait_max", raw->fetch_wait_max, TSP_NS_PER_MS, 60 * TSP_NS_PER_S,
                           &kafka->fetch_wait_max_ns);
    tspi_spec_get_duration(in, "kafka.warm_up", raw->warm_up, 0, TSPI_HOUR_NS, &kafka->warm_up_ns);
    get_settings(in, raw, kafka);
}

static void put_duration(tspi_buf *out, const char *key, int64_t ns)
{
    tspi_spec_put_duration_value(out, key, ns);
    tspi_buf_putc(out, '\n');
}

void tspi_kafka_spec_write(const tspi_kafka_spec *kafka, tspi_buf *out)
{
    tspi_buf_puts(out, "kafka:\n");
    tspi_spec_put_text(out, "  broker", kafka->broker);
    tspi_spec_put_text(out, "  acks", kafka->acks);
    put_duration(out, "  linger", kafka->linger_ns);
    put_duration(out, "  fetch_wait_max", kafka->fetch_wait_max_ns);
    put_duration(out, "  warm_up", kafka->warm_up_ns);
    if (kafka->settings_n)
        tspi_buf_puts(out, "  settings:\n");
    for (uint32_t k = 0; k < kafka->settings_n; k++)
        tspi_spec_put_item(out, "    ", kafka->settings[k]);
}
