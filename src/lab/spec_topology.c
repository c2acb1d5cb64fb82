#include "lab/spec_topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/random.h"
#include "lab/spec.h"
#include "lab/spec_schema.h"
#include "lab/spec_text.h"

static const char *const shape_names[TSPI_SHAPES_N] = {"pipeline", "tree", "mesh", "batch", "hub"};

/* What each shape is when the spec says no more than its name; 0 = the shape has no such figure. */
static const tspi_topology_spec figures_of[TSPI_SHAPES_N] = {
    [TSPI_SHAPE_PIPELINE] = {TSPI_SHAPE_PIPELINE, 0, 0, 0, 0},
    [TSPI_SHAPE_TREE] = {TSPI_SHAPE_TREE, 2, 3, 0, 0},
    [TSPI_SHAPE_MESH] = {TSPI_SHAPE_MESH, 2, 8, 2, 0},
    [TSPI_SHAPE_BATCH] = {TSPI_SHAPE_BATCH, 0, 8, 0, 20 * TSP_NS_PER_MS},
    [TSPI_SHAPE_HUB] = {TSPI_SHAPE_HUB, 0, 6, 3, 0},
};

/* Calls of one request, all together. */
enum { CALLS_OF_A_REQUEST_MAX = 10000 };

const char *tspi_shape_name(enum tspi_shape shape)
{
    return shape_names[shape];
}

/* ------------------------------------------------------------------ the stages that a shape adds */

static void remove_made(tspi_spec *spec)
{
    uint32_t kept = 0;

    for (uint32_t k = 0; k < spec->stages_n; k++) {
        spec->stages[k].calls = -1;
        if (spec->stages[k].is_made) /* they stand behind all others */
            free(spec->stages[k].name);
        else
            kept++;
    }
    spec->stages_n = kept;
}

/* A stage of services; caller calls it. Returns its row. */
static tsp_status make_stage(tspi_spec *spec, const char *name, uint64_t workers, uint32_t caller, uint32_t *ret_row,
                             tsp_error *err)
{
    if (tspi_spec_stage(spec, name) >= 0)
        return tsp_error_set(err, TSP_EINVAL, "its stage '%s' has the name of one of the spec's stages", name);
    if (workers > TSPI_WORKERS_MAX)
        return tsp_error_set(err, TSP_EINVAL, "%llu services are more than the %d that fit",
                             (unsigned long long)workers, TSPI_WORKERS_MAX);
    if (spec->stages_n == TSPI_STAGES_MAX)
        return tsp_error_set(err, TSP_EINVAL, "with its stages there are more than the %d that fit", TSPI_STAGES_MAX);
    tspi_stage_spec *stages = realloc(spec->stages, (spec->stages_n + 1) * sizeof *stages);
    char *copy = strdup(name);
    if (stages)
        spec->stages = stages;
    if (!stages || !copy) {
        free(copy);
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for its stages");
    }
    stages[spec->stages_n] = (tspi_stage_spec){
        .name = copy, .role = TSPI_ROLE_SERVICE, .workers = (uint32_t)workers, .calls = -1, .is_made = true};
    stages[caller].calls = (int32_t)spec->stages_n;
    *ret_row = spec->stages_n++;
    return TSP_OK;
}

static tsp_status make_tree(tspi_spec *spec, uint32_t caller, tsp_error *err)
{
    uint64_t workers = 1;
    tsp_status rc = TSP_OK;

    for (uint32_t level = 1; level <= spec->topology.depth && rc == TSP_OK; level++) {
        char name[16];
        snprintf(name, sizeof name, "level%u", level);
        workers *= spec->topology.width;
        rc = make_stage(spec, name, workers, caller, &caller, err);
    }
    return rc;
}

static tsp_status make_mesh(tspi_spec *spec, uint32_t caller, tsp_error *err)
{
    const tspi_topology_spec *t = &spec->topology;
    uint32_t mesh = 0;
    uint64_t calls = 1;

    if (t->fan >= t->width)
        return tsp_error_set(err, TSP_EINVAL, "of %u services none can call %u others", t->width, t->fan);
    for (uint32_t k = 0; k < t->depth && calls <= CALLS_OF_A_REQUEST_MAX; k++)
        calls *= t->fan;
    if (calls > CALLS_OF_A_REQUEST_MAX)
        return tsp_error_set(err, TSP_EINVAL, "a request would make more than %d calls: lower fan or depth",
                             CALLS_OF_A_REQUEST_MAX);
    tsp_status rc = make_stage(spec, "mesh", t->width, caller, &mesh, err);
    if (rc == TSP_OK)
        spec->stages[mesh].calls = (int32_t)mesh;
    return rc;
}

static tsp_status make_hub(tspi_spec *spec, uint32_t caller, tsp_error *err)
{
    uint32_t hub = 0, spoke = 0;

    if (spec->topology.fan > spec->topology.width)
        return tsp_error_set(err, TSP_EINVAL, "of %u spokes a request cannot visit %u", spec->topology.width,
                             spec->topology.fan);
    tsp_status rc = make_stage(spec, "hub", 1, caller, &hub, err);
    return rc == TSP_OK ? make_stage(spec, "spoke", spec->topology.width, hub, &spoke, err) : rc;
}

/* Calls are made by the stage that prepares the prompt, before it does so: as what looks up documents for it would. */
static tsp_status make_stages(tspi_spec *spec, tsp_error *err)
{
    uint32_t caller = 0;

    remove_made(spec);
    while (caller < spec->stages_n && spec->stages[caller].role != TSPI_ROLE_PREPROCESS)
        caller++;
    if (caller == spec->stages_n) /* what is wrong with such stages is for the spec's check to say */
        return TSP_OK;
    switch (spec->topology.shape) {
    case TSPI_SHAPE_TREE:
        return make_tree(spec, caller, err);
    case TSPI_SHAPE_MESH:
        return make_mesh(spec, caller, err);
    case TSPI_SHAPE_HUB:
        return make_hub(spec, caller, err);
    default:
        return TSP_OK;
    }
}

/* ------------------------------------------------------------------ reading and writing */

static void get_figure(tspi_spec_reader *in, const char *key, const uint32_t *from, uint32_t hi, enum tspi_shape shape,
                       uint32_t *to)
{
    if (from && !*to)
        tspi_spec_bad(in, key, "a %s has no such figure", shape_names[shape]);
    tspi_spec_get_count(in, key, from, 1, hi, to);
}

void tspi_topology_get(tspi_spec_reader *in, const struct raw_topology *raw, tspi_spec *spec)
{
    tspi_topology_spec *t = &spec->topology;
    int shape = (int)t->shape;
    bool is_tree, is_mesh_or_hub;

    tspi_spec_get_word(in, "topology.shape", raw->shape, shape_names, TSPI_SHAPES_N, &shape);
    if (raw->shape)
        *t = figures_of[shape];
    is_tree = t->shape == TSPI_SHAPE_TREE;
    is_mesh_or_hub = t->shape == TSPI_SHAPE_MESH || t->shape == TSPI_SHAPE_HUB;
    get_figure(in, "topology.depth", raw->depth, TSPI_TREE_DEPTH_MAX, t->shape, &t->depth);
    get_figure(in, "topology.width", raw->width,
               is_tree          ? TSPI_CALLS_MAX
               : is_mesh_or_hub ? TSPI_WORKERS_MAX
                                : TSPI_BATCH_MAX,
               t->shape, &t->width);
    get_figure(in, "topology.fan", raw->fan, TSPI_CALLS_MAX, t->shape, &t->fan);
    if (raw->wait && t->shape != TSPI_SHAPE_BATCH)
        tspi_spec_bad(in, "topology.wait", "a %s has no such figure", shape_names[t->shape]);
    tspi_spec_get_duration(in, "topology.wait", raw->wait, 0, 60 * TSP_NS_PER_S, &t->wait_ns);
    if (in->rc != TSP_OK)
        return;
    tsp_error why = {0};
    if (make_stages(spec, &why) != TSP_OK)
        tspi_spec_bad(in, "topology", "%s", why.message);
}

tsp_status tspi_topology_set(tspi_spec *spec, const char *shape, tsp_error *err)
{
    for (int k = 0; k < TSPI_SHAPES_N; k++)
        if (!strcmp(shape, shape_names[k]) && k != (int)spec->topology.shape) {
            spec->topology = figures_of[k];
            tsp_status rc = make_stages(spec, err);
            if (rc != TSP_OK)
                tsp_error_note(err, "--topology %s", shape);
            return rc;
        }
    return TSP_OK;
}

void tspi_topology_write(const tspi_topology_spec *t, tspi_buf *out)
{
    if (t->shape == TSPI_SHAPE_PIPELINE)
        return;
    tspi_buf_printf(out, "topology:\n  shape: %s\n", shape_names[t->shape]);
    if (t->depth)
        tspi_buf_printf(out, "  depth: %u\n", t->depth);
    tspi_buf_printf(out, "  width: %u\n", t->width);
    if (t->fan)
        tspi_buf_printf(out, "  fan: %u\n", t->fan);
    if (t->shape == TSPI_SHAPE_BATCH) {
        tspi_spec_put_duration_value(out, "  wait", t->wait_ns);
        tspi_buf_putc(out, '\n');
    }
}

/* ------------------------------------------------------------------ who calls whom */

static bool is_among(const uint32_t *workers, uint32_t n, uint32_t worker)
{
    for (uint32_t k = 0; k < n; k++)
        if (workers[k] == worker)
            return true;
    return false;
}

/* n different ones below of, but for without. */
static uint32_t draw(tspi_random *random, uint32_t n, uint32_t of, uint32_t without, uint32_t *ret_workers)
{
    for (uint32_t k = 0; k < n;) {
        uint32_t worker = (uint32_t)tspi_random_below(random, of);
        if (worker != without && !is_among(ret_workers, k, worker))
            ret_workers[k++] = worker;
    }
    return n;
}

uint32_t tspi_topology_callees(const tspi_spec *spec, uint32_t stage, uint32_t worker, uint64_t key,
                               uint32_t ret_workers[TSPI_CALLS_MAX])
{
    const tspi_stage_spec *caller = &spec->stages[stage], *called = &spec->stages[caller->calls];
    const tspi_topology_spec *t = &spec->topology;
    tspi_random root, random;

    if (t->shape == TSPI_SHAPE_TREE) {
        for (uint32_t k = 0; k < t->width; k++)
            ret_workers[k] = caller->role == TSPI_ROLE_SERVICE ? worker * t->width + k : k;
        return t->width;
    }
    if (called->workers == 1) { /* the hub */
        ret_workers[0] = 0;
        return 1;
    }
    tspi_random_seed(&root, spec->seed);
    if (caller == called) { /* its neighbours in the mesh are the same for every request */
        random = tspi_random_split(&root, "mesh", worker);
        return draw(&random, t->fan, called->workers, worker, ret_workers);
    }
    random = tspi_random_split(&root, called->name, key);
    return draw(&random, t->fan, called->workers, UINT32_MAX, ret_workers);
}

bool tspi_spec_sends(const tspi_spec *spec, uint32_t from, uint32_t to)
{
    const tspi_stage_spec *stage = &spec->stages[from];

    if (stage->calls == (int32_t)to || spec->stages[to].calls == (int32_t)from)
        return true;
    for (uint32_t e = 0; e < stage->to_n; e++)
        if (stage->to[e] == to)
            return true;
    return false;
}

uint32_t tspi_spec_nodes(const tspi_spec *spec)
{
    uint32_t n = 0;

    for (uint32_t s = 0; s < spec->stages_n; s++)
        n += spec->stages[s].workers;
    return n;
}
