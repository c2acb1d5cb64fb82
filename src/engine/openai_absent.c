/* In place of openai.c where the build found no libcurl. */
#include "engine/openai.h"

static tsp_status engine_open(const tspi_engine_config *config, tspi_engine **ret_engine, tsp_error *err)
{
    (void)ret_engine;
    return tsp_error_set(err, TSP_EUNSUPPORTED,
                         "this build cannot ask '%s': install libcurl4-openssl-dev and build again", config->name);
}

const struct tspi_engine_ops tspi_engine_openai = {.name = "openai", .open = engine_open};
