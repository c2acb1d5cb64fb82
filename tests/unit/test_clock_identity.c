#include "test.h"

#include "causal/clock_identity.h"
#include "span_fixture.h"

static const char *name_of(const tspi_span_set *set, const tspi_clock_table *table, uint32_t process)
{
    return table->clocks[set->processes[process].clock].name;
}

static const char *key_of(const tspi_span_set *set, const tspi_clock_table *table, uint32_t process)
{
    return table->clocks[set->processes[process].clock].key;
}

TEST(clock_identity, takes_the_first_attribute_of_the_order)
{
    tspi_span_set set = {0};
    tspi_clock_table table = {0};
    tsp_error err = {0};
    static const char *const order[][2] = {
        {"k8s.node.uid", "k8s.node.uid"},
        {"k8s.node.name", "k8s.node.name"},
        {"host.id", "host.id"},
        {"host.name", "host.name"},
        {"k8s.pod.uid", "k8s.pod.uid"},
        {"container.id", "container.id"},
        {"k8s.pod.name", "k8s.pod.name"},
        {"service.instance.id", "service.instance.id"},
        {"process.pid", "service.name+process.pid"},
        {"ip", "ip"},
    };
    static const char *const values[] = {"10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4",
                                         "10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8", "10.0.0.9"};
    enum { N = sizeof order / sizeof order[0] };
    uint32_t process[N + 2];

    for (int first = 0; first <= N; first++) {
        tspi_attribute_text texts[N + 1];
        size_t n = 0;
        for (int k = first; k < N; k++)
            texts[n++] = (tspi_attribute_text){{order[k][0], strlen(order[k][0])}, {values[k], 8}};
        texts[n++] = (tspi_attribute_text){{"service.name", 12}, {"shop", 4}};
        REQUIRE(tspi_span_set_process(&set, texts, n, &process[first], NULL) == TSP_OK);
    }
    process[N + 1] = PROCESS(&set, "cloud.provider", "aws", "host.id", "i-123", "k8s.node.uid", "u");
    CHECK_STATUS(tspi_clocks_identify(&set, NULL, &table, &err), TSP_OK, &err);
    for (int k = 0; k < N; k++)
        CHECK_STR(key_of(&set, &table, process[k]), order[k][1]);
    CHECK_STR(key_of(&set, &table, process[N]), "process");
    CHECK_STR(name_of(&set, &table, process[N]), "shop");
    CHECK_STR(key_of(&set, &table, process[N + 1]), "host.id");
    for (uint32_t a = 0; a < table.clocks_n; a++)
        for (uint32_t b = 0; b < a; b++)
            CHECK(strcmp(table.clocks[a].name, table.clocks[b].name) != 0);
    CHECK_INT(tspi_clock_find(&table, "i-123"), set.processes[process[N + 1]].clock);
    CHECK_INT(tspi_clock_find(&table, "nobody"), TSPI_NONE);
    tspi_clock_table_release(&table);
    tspi_span_set_release(&set);
}

TEST(clock_identity, a_host_name_that_is_the_pods_or_the_containers_is_no_host)
{
    tspi_span_set set = {0};
    tspi_clock_table table = {0};
    uint32_t pod = PROCESS(&set, "host.name", "shop-1", "k8s.pod.name", "shop-1", "k8s.pod.uid", "uid-1");
    uint32_t container = PROCESS(&set, "host.name", "0123456789ab", "container.id", "0123456789abcdef0123");
    uint32_t jaeger = PROCESS(&set, "hostname", "ocean0", "service.name", "a");
    uint32_t jaeger2 = PROCESS(&set, "hostname", "ocean0", "service.name", "b");

    REQUIRE(tspi_clocks_identify(&set, NULL, &table, NULL) == TSP_OK);
    CHECK_STR(name_of(&set, &table, pod), "shop-1");
    CHECK_STR(name_of(&set, &table, container), "0123456789abcdef0123");
    CHECK_STR(name_of(&set, &table, jaeger), "ocean0");
    CHECK_INT(set.processes[jaeger].clock, set.processes[jaeger2].clock);
    CHECK_INT(table.clocks[set.processes[jaeger].clock].processes, 2);
    tspi_clock_table_release(&table);
    tspi_span_set_release(&set);
}

TEST(clock_identity, never_merges_on_service_name_or_loopback)
{
    tspi_span_set set = {0};
    tspi_clock_table table = {0};
    uint32_t a = PROCESS(&set, "service.name", "shop", "ip", "127.0.0.1", "color", "red");
    uint32_t b = PROCESS(&set, "service.name", "shop", "ip", "127.0.0.1", "color", "blue");
    uint32_t none = PROCESS(&set, "telemetry.sdk.language", "c");

    REQUIRE(tspi_clocks_identify(&set, NULL, &table, NULL) == TSP_OK);
    CHECK(set.processes[a].clock != set.processes[b].clock);
    CHECK_STR(name_of(&set, &table, a), "shop");
    CHECK_STR(name_of(&set, &table, b), "shop#2");
    CHECK_STR(name_of(&set, &table, none), "unknown");
    tspi_clock_table_release(&table);
    tspi_span_set_release(&set);
}

TEST(clock_identity, networks_and_joined_keys)
{
    tspi_span_set set = {0};
    tspi_clock_table table = {0};
    tsp_error err = {0};
    uint32_t a = PROCESS(&set, "hostname", "a", "ip", "10.0.1.61", "zone", "x");
    uint32_t b = PROCESS(&set, "hostname", "b", "host.ip", "10.0.1.212", "zone", "y");
    uint32_t c = PROCESS(&set, "hostname", "c", "ip", "10.0.2.7", "zone", "x");
    uint32_t d = PROCESS(&set, "hostname", "d", "ip", "2001:db8::1234:5", "zone", "x");
    uint32_t without = PROCESS(&set, "hostname", "e");

    CHECK_STATUS(tspi_clocks_identify(&set, "ip/24", &table, &err), TSP_OK, &err);
    CHECK_STR(name_of(&set, &table, a), "10.0.1.0/24");
    CHECK_INT(set.processes[a].clock, set.processes[b].clock);
    CHECK_STR(name_of(&set, &table, c), "10.0.2.0/24");
    CHECK_STR(name_of(&set, &table, d), "2001:d00::/24");
    CHECK_STR(name_of(&set, &table, without), "e");
    tspi_clock_table_release(&table);

    CHECK_STATUS(tspi_clocks_identify(&set, "zone+ip/16", &table, &err), TSP_OK, &err);
    CHECK_STR(name_of(&set, &table, a), "x/10.0.0.0/16");
    CHECK(set.processes[a].clock != set.processes[b].clock);
    CHECK_INT(set.processes[a].clock, set.processes[c].clock);
    tspi_clock_table_release(&table);

    CHECK_INT(tspi_clocks_identify(&set, "rack", &table, &err), TSP_EINVAL);
    CHECK_CONTAINS(err.message, "'rack'");
    CHECK_CONTAINS(err.message, "hostname");
    tspi_clock_table_release(&table);
    CHECK_INT(tspi_clocks_identify(&set, "ip/999", &table, &err), TSP_EINVAL);
    CHECK_INT(tspi_clocks_identify(&set, "a++b", &table, &err), TSP_EINVAL);
    tspi_clock_table_release(&table);
    tspi_span_set_release(&set);
}

TEST(clock_identity, a_numbered_machine_is_called_by_its_name_where_that_is_unique)
{
    tspi_span_set set = {0};
    tspi_clock_table table = {0};
    tsp_error err = {0};
    uint32_t a = PROCESS(&set, "host.id", "1111", "host.name", "node-a", "service.name", "x");
    uint32_t again = PROCESS(&set, "host.id", "1111", "host.name", "node-a", "service.name", "y");
    uint32_t b = PROCESS(&set, "host.id", "2222", "host.name", "localhost");
    uint32_t c = PROCESS(&set, "host.id", "3333", "host.name", "localhost");
    uint32_t d = PROCESS(&set, "host.id", "4444", "host.name", "old-name", "service.name", "x");
    uint32_t renamed = PROCESS(&set, "host.id", "4444", "host.name", "new-name", "service.name", "y");
    uint32_t nameless = PROCESS(&set, "host.id", "5555");

    CHECK_STATUS(tspi_clocks_identify(&set, NULL, &table, &err), TSP_OK, &err);
    CHECK_STR(name_of(&set, &table, a), "node-a");
    CHECK_INT(set.processes[a].clock, set.processes[again].clock);
    CHECK_STR(name_of(&set, &table, b), "2222");
    CHECK_STR(name_of(&set, &table, c), "3333");
    CHECK_STR(name_of(&set, &table, d), "4444");
    CHECK_INT(set.processes[d].clock, set.processes[renamed].clock);
    CHECK_STR(name_of(&set, &table, nameless), "5555");
    CHECK_INT(tspi_clock_find(&table, "node-a"), set.processes[a].clock);
    CHECK_INT(tspi_clock_find(&table, "1111"), set.processes[a].clock);
    tspi_clock_table_release(&table);
    tspi_span_set_release(&set);
}
