/* Every hop tested under the tracks as they will correct stamps. */
#include "solve/parallel.h"
#include "solve/solver.h"

typedef struct {
    const tsp_solver *solver;
    tspi_edge_test *tests;
    int64_t slack_most;
    uint8_t *near;
    uint16_t lies;
} inspection;

/* Offsets of clocks whose stamps lie centuries apart make differences that 64 bits do not hold. */
static int64_t slack_of(const tspi_stored_hop *hop, int64_t x_sent, int64_t x_received)
{
    __int128 slack = (__int128)hop->received - x_received - hop->sent + x_sent + hop->quantum;

    return slack < INT64_MIN ? INT64_MIN : slack > INT64_MAX ? INT64_MAX : (int64_t)slack;
}

static bool inspect_edge(void *inspection_, size_t e, unsigned worker)
{
    inspection *in = inspection_;
    const tsp_solver *solver = in->solver;
    const tspi_sides *sides = &solver->fit.sides;
    const tspi_stored_edge *edge = &solver->hops.edges[e];
    const tsp_track *from = solver->rows[edge->from].track, *to = solver->rows[edge->to].track;
    uint32_t first_from = tspi_sides_first(sides, edge->from), first_to = tspi_sides_first(sides, edge->to);
    size_t hint_from = 0, hint_to = 0;
    tspi_edge_test test = {INT64_MAX, 0, 0};

    (void)worker;
    for (size_t row = edge->first; row < edge->first + edge->n; row++) {
        const tspi_stored_hop *hop = &solver->hops.hops[row];
        uint32_t piece_from = from->pieces > 1 ? tspi_sides_sent_node(sides, &solver->hops, row) - first_from : 0;
        uint32_t piece_to = to->pieces > 1 ? tspi_sides_received_node(sides, &solver->hops, row) - first_to : 0;
        int64_t slack = slack_of(hop, tspi_track_near(from, piece_from, hop->sent, &hint_from),
                                 tspi_track_near(to, piece_to, hop->received, &hint_to));
        bool lie = hop->flags & in->lies;
        test.lies += lie && slack < 0;
        if (lie)
            continue;
        test.broken += slack < 0;
        test.least = slack < test.least ? slack : test.least;
        if (in->near && slack <= in->slack_most)
            in->near[row] = 1;
    }
    in->tests[e] = test;
    return true;
}

uint16_t tspi_solver_may_break(const tsp_solver *solver)
{
    return TSPI_STORED_LIES | (solver->summary.soft_excluded && !solver->taken_back ? TSPI_STORED_SOFT : 0);
}

bool tspi_solver_inspect(const tsp_solver *solver, tspi_edge_test *ret_tests, int64_t slack_most, uint8_t *ret_near)
{
    inspection in = {solver, ret_tests, slack_most, ret_near, tspi_solver_may_break(solver)};

    return tspi_parallel(solver->fit.threads, solver->hops.edges_n, inspect_edge, &in);
}
