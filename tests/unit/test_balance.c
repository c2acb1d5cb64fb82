/* Max-balance by its definition: for every set of vertices the smallest slack out equals the smallest slack in. */
#include "test.h"

#include "base/random.h"
#include "solve/balance.h"

#define MOST 9

static void random_edges(tspi_random *random, uint32_t n, tspi_balance_edge *edges, size_t *ret_m, bool coarse)
{
    size_t m = 0;

    for (uint32_t v = 0; v < n; v++) { /* a ring, so that all are joined */
        double w = coarse ? (double)tspi_random_below(random, 4) : tspi_random_uniform(random, -100, 100);
        edges[m++] = (tspi_balance_edge){v, (v + 1) % n, w};
    }
    for (uint32_t a = 0; a < n; a++)
        for (uint32_t b = 0; b < n; b++)
            if (a != b && tspi_random_below(random, 3) == 0) {
                double w = coarse ? (double)tspi_random_below(random, 4) : tspi_random_uniform(random, -100, 100);
                edges[m++] = (tspi_balance_edge){a, b, w};
            }
    *ret_m = m;
}

static void check_definition(uint32_t n, const tspi_balance_edge *edges, size_t m, const double *x)
{
    for (uint32_t set = 1; set + 1 < 1u << n; set++) {
        double out = INFINITY, in = INFINITY;
        for (size_t e = 0; e < m; e++) {
            bool from = set >> edges[e].from & 1, to = set >> edges[e].to & 1;
            double slack = edges[e].w - x[edges[e].to] + x[edges[e].from];
            if (from && !to)
                out = fmin(out, slack);
            if (to && !from)
                in = fmin(in, slack);
        }
        CHECK_NEAR(out, in, 1e-8);
        if (fabs(out - in) > 1e-8)
            return;
    }
}

TEST(balance, is_balanced_for_every_set_of_vertices)
{
    tspi_random random;
    tspi_balancer balancer = {0};
    tspi_balance_edge edges[MOST * MOST + MOST];
    double x[MOST], level[MOST];
    uint32_t group[MOST];

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 2000; round++) {
        uint32_t n = 2 + (uint32_t)tspi_random_below(&random, MOST - 1);
        uint8_t root[MOST] = {1};
        size_t m;
        random_edges(&random, n, edges, &m, round % 4 == 0);
        REQUIRE(tspi_balance(&balancer, n, edges, m, root, x, group, level));
        for (uint32_t v = 1; v < n; v++) {
            CHECK_INT(group[v], group[0]);
            CHECK(isfinite(level[v]));
        }
        check_definition(n, edges, m, x);
    }
    tspi_balancer_release(&balancer);
}

/* The same by the plain recipe on a dense matrix: find the minimum-mean cycle (Karp 1978), fix its slacks equal,
 * contract it, repeat. */
#define BIG 40
typedef struct {
    int n, group[BIG]; /* of the caller's vertices */
    double w[BIG][BIG], x[BIG];
} dense;

static bool minimum_mean_cycle(const dense *g, int *cycle, int *ret_n, double *ret_mean)
{
    static double d[BIG + 1][BIG];
    static int from[BIG + 1][BIG];
    int n = g->n, best = -1, walk[BIG + 1], seen[BIG];
    double mean = INFINITY;

    for (int v = 0; v < n; v++)
        d[0][v] = 0;
    for (int k = 1; k <= n; k++)
        for (int v = 0; v < n; v++) {
            d[k][v] = INFINITY;
            for (int u = 0; u < n; u++)
                if (d[k - 1][u] + g->w[u][v] < d[k][v]) {
                    d[k][v] = d[k - 1][u] + g->w[u][v];
                    from[k][v] = u;
                }
        }
    for (int v = 0; v < n; v++) {
        double worst = -INFINITY;
        for (int k = 0; k < n && isfinite(d[n][v]); k++)
            worst = fmax(worst, (d[n][v] - d[k][v]) / (n - k));
        if (isfinite(d[n][v]) && worst < mean) {
            mean = worst;
            best = v;
        }
    }
    if (best < 0)
        return false;
    walk[n] = best;
    for (int k = n; k > 0; k--)
        walk[k - 1] = from[k][walk[k]];
    /* Of the cycles on the walk, the one whose mean is the minimum. */
    for (int a = 0; a < n; a++) {
        double sum = 0;
        memset(seen, 0, sizeof seen);
        for (int b = a + 1; b <= n; b++) {
            sum += g->w[walk[b - 1]][walk[b]];
            if (walk[b] == walk[a] && fabs(sum / (b - a) - mean) < 1e-7 * (1 + fabs(mean))) {
                memcpy(cycle, walk + a, (size_t)(b - a) * sizeof *cycle);
                *ret_n = b - a;
                *ret_mean = sum / (b - a);
                return true;
            }
            if (seen[walk[b]]++)
                break;
        }
    }
    return false;
}

static void contract_plainly(dense *g, const int *cycle, int n, double mean, int clocks)
{
    double shift[BIG] = {0}, sum = 0;
    bool on[BIG] = {0};
    int rename[BIG], next = 1;
    dense h = {.n = g->n - n + 1};

    for (int k = 0; k < n; k++) {
        on[cycle[k]] = true;
        shift[cycle[k]] = sum;
        sum += g->w[cycle[k]][cycle[(k + 1) % n]] - mean;
    }
    for (int v = 0; v < g->n; v++)
        rename[v] = on[v] ? 0 : next++;
    for (int a = 0; a < h.n; a++)
        for (int b = 0; b < h.n; b++)
            h.w[a][b] = INFINITY;
    for (int a = 0; a < g->n; a++)
        for (int b = 0; b < g->n; b++)
            if (rename[a] != rename[b])
                h.w[rename[a]][rename[b]] = fmin(h.w[rename[a]][rename[b]], g->w[a][b] + shift[a] - shift[b]);
    for (int c = 0; c < clocks; c++) {
        h.x[c] = g->x[c] + shift[g->group[c]];
        h.group[c] = rename[g->group[c]];
    }
    *g = h;
}

TEST(balance, agrees_with_the_plain_recipe)
{
    static dense g;
    tspi_random random;
    tspi_balancer balancer = {0};
    tspi_balance_edge edges[BIG * 6];
    double x[BIG], level[BIG], mean;
    uint32_t group[BIG];
    int cycle[BIG + 1], n;

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 60; round++) {
        size_t m = 0;
        g.n = BIG;
        for (int a = 0; a < BIG; a++)
            for (int b = 0; b < BIG; b++)
                g.w[a][b] = INFINITY;
        for (int v = 0; v < BIG; v++) {
            static const int reach[] = {1, 7, 39, 33};
            g.group[v] = v;
            g.x[v] = 0;
            for (int k = 0; k < 4; k++) {
                int to = (v + reach[k]) % BIG;
                g.w[v][to] = 4000 + tspi_random_exponential(&random, 400) + (round % 2 ? 100 * (v - to) : 0);
                edges[m++] = (tspi_balance_edge){(uint32_t)v, (uint32_t)to, g.w[v][to]};
            }
        }
        REQUIRE(tspi_balance(&balancer, BIG, edges, m, NULL, x, group, level));
        while (g.n > 1) {
            REQUIRE(minimum_mean_cycle(&g, cycle, &n, &mean));
            contract_plainly(&g, cycle, n, mean, BIG);
        }
        for (int v = 1; v < BIG; v++)
            CHECK_NEAR(x[v] - x[0], g.x[v] - g.x[0], 1e-5);
        if (test_failures)
            break;
    }
    tspi_balancer_release(&balancer);
}

/* Shifting one vertex's edges by c shifts its offset by c and nothing else. */
TEST(balance, follows_a_shift)
{
    tspi_random random;
    tspi_balancer balancer = {0};
    tspi_balance_edge edges[MOST * MOST + MOST];
    double x[MOST], y[MOST], level[MOST];
    uint32_t group[MOST];
    size_t m;

    tspi_random_seed(&random, seed);
    random_edges(&random, MOST, edges, &m, false);
    REQUIRE(tspi_balance(&balancer, MOST, edges, m, NULL, x, group, level));
    for (size_t e = 0; e < m; e++) {
        if (edges[e].to == 4)
            edges[e].w += 1e4;
        if (edges[e].from == 4)
            edges[e].w -= 1e4;
    }
    REQUIRE(tspi_balance(&balancer, MOST, edges, m, NULL, y, group, level));
    for (uint32_t v = 0; v < MOST; v++)
        CHECK_NEAR(y[v] - y[0], x[v] - x[0] + (v == 4 ? 1e4 : 0), 1e-6);
    tspi_balancer_release(&balancer);
}

/* Two clocks: the symmetric-delay rule. The level is the mean of the two. */
TEST(balance, of_two_is_ntp)
{
    tspi_balancer balancer = {0};
    tspi_balance_edge edges[] = {{0, 1, 7}, {1, 0, 3}, {0, 1, 9}};
    uint8_t root[] = {1, 0};
    double x[2], level[2];
    uint32_t group[2];

    REQUIRE(tspi_balance(&balancer, 2, edges, 3, root, x, group, level));
    CHECK_NEAR(x[1] - x[0], 2, 1e-12);
    CHECK_NEAR(level[1], 5, 1e-12);
    tspi_balancer_release(&balancer);
}

/* One-way edges join nothing. The level is that of joining the root's group, not the first of joining anything. */
TEST(balance, level_counts_from_the_root)
{
    tspi_balancer balancer = {0};
    tspi_balance_edge edges[] = {{1, 2, 1}, {2, 1, 1}, {0, 1, 10}, {2, 0, 20}, {2, 3, 1}};
    uint8_t root[] = {1, 0, 0, 0};
    double x[4], level[4];
    uint32_t group[4];

    REQUIRE(tspi_balance(&balancer, 4, edges, 5, root, x, group, level));
    CHECK_NEAR(level[1], 15, 1e-9);
    CHECK_NEAR(level[2], 15, 1e-9);
    CHECK(isinf(level[3]));
    CHECK(group[3] != group[0]);
    CHECK_INT(group[2], group[0]);
    tspi_balancer_release(&balancer);
}

/* Many vertices and edges chosen so that contractions nest as deep as they can: it stays quick. */
TEST(balance, of_nested_contractions_is_quick)
{
    enum { N = 1500 };
    static tspi_balance_edge edges[2 * N];
    static double x[N], level[N];
    static uint32_t group[N];
    tspi_balancer balancer = {0};
    size_t m = 0;

    for (uint32_t v = 1; v < N; v++) {
        edges[m++] = (tspi_balance_edge){v - 1, v, v * 10.0};
        edges[m++] = (tspi_balance_edge){v, 0, -v * 9.0};
    }
    REQUIRE(tspi_balance(&balancer, N, edges, m, NULL, x, group, level));
    for (uint32_t v = 1; v < N; v++)
        CHECK_INT(group[v], group[0]);
    tspi_balancer_release(&balancer);
}
