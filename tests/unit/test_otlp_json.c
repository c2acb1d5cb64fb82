#include "test.h"
#include "wire/wire.h"

static tsp_status read_text(const char *text, const tspi_wire_options *options, tspi_span_set *set,
                            tspi_read_report *report, tsp_error *err)
{
    return tspi_wire_read("input", (const uint8_t *)text, strlen(text), options, set, report, err);
}

static const char one[] =
    "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":"
    "\"a\\u0062\"}},"
    "{\"key\":\"process.pid\",\"value\":{\"intValue\":\"42\"}}]},\"scopeSpans\":[{\"scope\":{},\"spans\":[{"
    "\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"spanId\":\"eee19b7ec3c1b174\",\"parentSpanId\":"
    "\"eee19b7ec3c1b173\","
    "\"name\":\"I'm a server\",\"startTimeUnixNano\":\"1544712660000000001\",\"endTimeUnixNano\":1544712661000000003,"
    "\"kind\":2,\"flags\":768,\"status\":{\"code\":\"STATUS_CODE_ERROR\"},"
    "\"attributes\":[{\"key\":\"messaging.operation\",\"value\":{\"stringValue\":\"publish\"}}],"
    "\"links\":[{\"traceId\":\"5b8efff798038103d269b633813fc60d\",\"spanId\":\"eee19b7ec3c1b175\"}],"
    "\"events\":[{\"timeUnixNano\":\"1544712660500000000\",\"attributes\":[{\"key\":\"index\",\"value\":{\"intValue\":"
    "7}}]}]"
    "}]}]}]}\n";

TEST(otlp_json, reads_every_field_of_a_span)
{
    tspi_span_set set = {0};
    tspi_read_report report = {0};
    tsp_error err = {0};

    CHECK_STATUS(read_text(one, NULL, &set, &report, &err), TSP_OK, &err);
    REQUIRE(set.spans_n == 1);
    const tspi_span *s = &set.spans[0];
    CHECK(s->span_id == UINT64_C(0xeee19b7ec3c1b174));
    CHECK(s->parent_id == UINT64_C(0xeee19b7ec3c1b173));
    CHECK_INT(s->start_ns, INT64_C(1544712660000000001));
    CHECK_INT(s->end_ns, INT64_C(1544712661000000003));
    CHECK_INT(s->kind, TSPI_KIND_SERVER);
    CHECK_INT(s->operation, TSPI_OPERATION_SEND);
    CHECK_INT(s->flags, TSPI_SPAN_ERROR | TSPI_SPAN_REMOTE_KNOWN | TSPI_SPAN_REMOTE_PARENT);
    CHECK_STR(set.names[s->name], "I'm a server");
    CHECK_STR(tspi_process_get(&set.processes[s->process], "service.name"), "ab");
    CHECK_STR(tspi_process_get(&set.processes[s->process], "process.pid"), "42");
    CHECK(set.traces[s->trace].hi == UINT64_C(0x5b8efff798038103) &&
          set.traces[s->trace].lo == UINT64_C(0xd269b633813fc60c));
    REQUIRE(set.links_n == 1 && set.events_n == 1);
    CHECK(set.links[0].span_id == UINT64_C(0xeee19b7ec3c1b175) && set.links[0].trace == 1);
    CHECK_INT(set.events[0].number, 7);
    CHECK_INT(set.events[0].at_ns, INT64_C(1544712660500000000));
    tspi_span_set_release(&set);
    tspi_read_report_release(&report);
}

static int64_t shift(void *ctx, const tspi_stamp_place *place)
{
    return place->ns + *(int64_t *)ctx;
}

TEST(otlp_json, patches_nothing_but_digits)
{
    int64_t by = 0;
    tspi_buf out = {0};
    tsp_error err = {0};

    CHECK_STATUS(
        tspi_wire_patch("x", (const uint8_t *)one, strlen(one), TSPI_FORMAT_AUTO, NULL, 0, shift, &by, &out, &err),
        TSP_OK, &err);
    CHECK(out.len == strlen(one) && !memcmp(out.data, one, out.len));
    tspi_buf_clear(&out);
    by = -5;
    CHECK_STATUS(
        tspi_wire_patch("x", (const uint8_t *)one, strlen(one), TSPI_FORMAT_AUTO, NULL, 0, shift, &by, &out, &err),
        TSP_OK, &err);
    tspi_buf_putc(&out, 0);
    CHECK_CONTAINS((char *)out.data,
                   "\"startTimeUnixNano\":\"1544712659999999996\",\"endTimeUnixNano\":1544712660999999998,");
    tspi_buf_release(&out);
}
