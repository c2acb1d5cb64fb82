/* In place of llama.c where the build found no llama.cpp. */
#include "engine/llama.h"

static tsp_status engine_open(const tspi_engine_config *config, tspi_engine **ret_engine, tsp_error *err)
{
    (void)config;
    (void)ret_engine;
    return tsp_error_set(err, TSP_EUNSUPPORTED,
                         "this build has no llama engine: run `make demo-llm`, which fetches and builds it");
}

const struct tspi_engine_ops tspi_engine_llama = {.name = "llama", .open = engine_open};
