/* In place of openai.c where the build found no libcurl. */
#include "engine/openai.h"

tsp_status tspi_openai_open(const tspi_engine_config *config, const tspi_openai_limits *limits,
                            tspi_engine **ret_engine, tsp_error *err)
{
    (void)limits;
    (void)ret_engine;
    return tsp_error_set(err, TSP_EUNSUPPORTED,
                         "this build cannot ask '%s': install libcurl4-openssl-dev and build again", config->name);
}

static tsp_status engine_open(const tspi_engine_config *config, tspi_engine **ret_engine, tsp_error *err)
{
    return tspi_openai_open(config, NULL, ret_engine, err);
}

const struct tspi_engine_ops tspi_engine_openai = {.name = "openai", .open = engine_open};
