#include "base/random.h"
#include "span/span_set.h"
#include "test.h"

static tspi_random rng;

TEST(span_set, interns_in_order_of_first_sight)
{
    tspi_span_set set = {0};
    uint32_t row = 0;
    char text[32];

    for (int pass = 0; pass < 2; pass++)
        for (uint32_t k = 0; k < 5000; k++) {
            int len = snprintf(text, sizeof text, "name %u", k);
            CHECK(tspi_span_set_name(&set, text, (size_t)len, &row, NULL) == TSP_OK && row == k);
            CHECK(tspi_span_set_trace(&set, (tspi_trace_id){k + 1, k * 7}, &row, NULL) == TSP_OK && row == k);
        }
    CHECK_INT(set.names_n, 5000);
    CHECK_INT(set.traces_n, 5000);
    CHECK_STR(set.names[4711], "name 4711");
    tspi_span_set_release(&set);
}

TEST(span_set, joins_short_and_long_ids_of_one_trace)
{
    tspi_span_set set = {0};
    uint32_t a, b, c, d, e;

    tspi_span_set_trace(&set, (tspi_trace_id){0, 42}, &a, NULL);
    tspi_span_set_trace(&set, (tspi_trace_id){7, 42}, &b, NULL); /* the same trace, now known by its long id */
    tspi_span_set_trace(&set, (tspi_trace_id){8, 42}, &c, NULL); /* another one */
    tspi_span_set_trace(&set, (tspi_trace_id){0, 42}, &d, NULL);
    tspi_span_set_trace(&set, (tspi_trace_id){8, 42}, &e, NULL);
    CHECK(a == b && a == d && c == e && a != c);
    CHECK(set.traces[a].hi == 7 && set.traces[c].hi == 8);
    tspi_span_set_release(&set);
}

static tspi_text text(const char *s)
{
    return (tspi_text){s, strlen(s)};
}

TEST(span_set, a_process_is_its_attributes_in_any_order)
{
    tspi_span_set set = {0};
    tspi_attribute_text one[] = {{text("b"), text("2")}, {text("a"), text("1")}, {text("b"), text("3")}};
    tspi_attribute_text two[] = {{text("a"), text("1")}, {text("b"), text("3")}};
    tspi_attribute_text three[] = {{text("a"), text("1")}};
    uint32_t row;

    CHECK(tspi_span_set_process(&set, one, 3, &row, NULL) == TSP_OK && row == 0);
    CHECK(tspi_span_set_process(&set, two, 2, &row, NULL) == TSP_OK && row == 0);
    CHECK(tspi_span_set_process(&set, three, 1, &row, NULL) == TSP_OK && row == 1);
    CHECK(tspi_span_set_process(&set, NULL, 0, &row, NULL) == TSP_OK && row == 2);
    CHECK_STR(tspi_process_get(&set.processes[0], "b"), "3");
    CHECK(!tspi_process_get(&set.processes[1], "b"));
    CHECK(set.processes[0].clock == TSPI_NONE);
    tspi_span_set_release(&set);
}

/* Random rows into one set, or into parts that are then joined: the same tables. */
static void add_random(tspi_span_set *set, tspi_random *random)
{
    tspi_span span = {.span_id = tspi_random_u64(random), .kind = (uint8_t)tspi_random_below(random, 6)};
    char name[16], host[16];
    int len = snprintf(name, sizeof name, "n%u", (unsigned)tspi_random_below(random, 20));
    int host_len = snprintf(host, sizeof host, "h%u", (unsigned)tspi_random_below(random, 5));
    tspi_attribute_text attribute = {{"host.name", 9}, {host, (size_t)host_len}};
    tspi_trace_id id = {tspi_random_below(random, 3), tspi_random_below(random, 9)};

    tspi_span_set_trace(set, id, &span.trace, NULL);
    tspi_span_set_name(set, name, (size_t)len, &span.name, NULL);
    tspi_span_set_process(set, &attribute, 1, &span.process, NULL);
    tspi_span_set_add(set, &span, NULL);
    uint32_t row = (uint32_t)set->spans_n - 1;
    if (!tspi_random_below(random, 3))
        tspi_span_set_add_link(set, &(tspi_link_row){row, span.trace, span.span_id, TSPI_LINK_LINK}, NULL);
    if (!tspi_random_below(random, 5))
        tspi_span_set_add_event(set, &(tspi_event){row, 7, 9}, NULL);
    if (!tspi_random_below(random, 5))
        tspi_span_set_add_sequence(set, &(tspi_sequence){row, 3}, NULL);
}

TEST(span_set, parts_joined_are_what_one_set_would_be)
{
    for (uint64_t round = 0; round < 50; round++) {
        tspi_span_set whole = {0}, joined = {0};
        tspi_random a, b;
        tspi_random_seed(&rng, seed);
        a = b = tspi_random_split(&rng, "rows", round);
        for (int part = 0; part < 4; part++) {
            tspi_span_set piece = {0};
            tspi_span_set_keep_apart(&piece, NULL);
            for (int k = 0; k < 40; k++) {
                add_random(&whole, &a);
                add_random(&piece, &b);
            }
            CHECK(tspi_span_set_append(&joined, &piece, NULL) == TSP_OK);
            tspi_span_set_release(&piece);
        }
        REQUIRE(whole.spans_n == joined.spans_n && whole.traces_n == joined.traces_n);
        REQUIRE(whole.links_n == joined.links_n && whole.names_n == joined.names_n);
        REQUIRE(whole.events_n == joined.events_n && whole.sequences_n == joined.sequences_n);
        CHECK(!memcmp(whole.spans, joined.spans, whole.spans_n * sizeof *whole.spans));
        CHECK(!memcmp(whole.traces, joined.traces, whole.traces_n * sizeof *whole.traces));
        for (size_t k = 0; k < whole.links_n; k++)
            CHECK(whole.links[k].from == joined.links[k].from && whole.links[k].trace == joined.links[k].trace &&
                  whole.links[k].span_id == joined.links[k].span_id);
        for (size_t k = 0; k < whole.events_n; k++)
            CHECK_INT(joined.events[k].span, whole.events[k].span);
        for (size_t k = 0; k < whole.processes_n; k++)
            CHECK_STR(tspi_process_get(&joined.processes[k], "host.name"),
                      tspi_process_get(&whole.processes[k], "host.name"));
        tspi_span_set_release(&whole);
        tspi_span_set_release(&joined);
    }
}

TEST(span_set, the_server_half_of_a_shared_span_is_marked)
{
    tspi_span_set set = {0};
    static const struct {
        uint64_t id;
        uint32_t trace;
        uint8_t kind;
        bool shared;
    } rows[] = {{1, 0, TSPI_KIND_CLIENT, false}, {1, 0, TSPI_KIND_SERVER, true},  {1, 1, TSPI_KIND_SERVER, false},
                {2, 0, TSPI_KIND_SERVER, false}, {0, 0, TSPI_KIND_SERVER, false}, {0, 0, TSPI_KIND_CLIENT, false}};

    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++)
        tspi_span_set_add(&set, &(tspi_span){.span_id = rows[k].id, .trace = rows[k].trace, .kind = rows[k].kind},
                          NULL);
    CHECK(tspi_span_set_mark_shared(&set, 0, NULL) == TSP_OK);
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++)
        CHECK_INT(!!(set.spans[k].flags & TSPI_SPAN_SHARED), rows[k].shared);
    tspi_span_set_release(&set);
}
