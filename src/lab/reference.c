#include "lab/reference.h"

#include <openssl/evp.h>
#include <stdlib.h>

static tsp_status complete_all(tspi_engine *engine, const tspi_spec *spec, const tspi_prompts *prompts,
                               uint8_t (*sha256)[32], tsp_error *err)
{
    tspi_buf text = {0};
    tsp_status rc = TSP_OK;

    for (uint32_t k = 0; k < prompts->n && rc == TSP_OK; k++) {
        const tspi_sampling sampling = {
            .max_tokens = spec->engine.max_tokens,
            .temperature = spec->engine.temperature,
            .seed = spec->seed + k,
        };
        size_t len;
        const char *prompt = tspi_prompt(prompts, k, &len);
        uint32_t tokens;
        tspi_buf_clear(&text);
        rc = tspi_engine_complete(engine, prompt, len, &sampling, &text, &tokens, err);
        if (rc == TSP_OK &&
            !EVP_Digest(text.len ? (void *)text.data : "", text.len, sha256[k], NULL, EVP_sha256(), NULL))
            rc = tsp_error_set(err, TSP_EIO, "cannot compute SHA-256");
    }
    tspi_buf_release(&text);
    return rc;
}

tsp_status tspi_reference_outputs(const tspi_spec *spec, const tspi_prompts *prompts, tspi_engine *engine,
                                  uint8_t (**ret_sha256)[32], const char **ret_why, tsp_error *err)
{
    const tspi_engine_config config = {
        .name = spec->engine.name,
        .model = spec->engine.model,
        .jobs = TSPI_ENGINE_TOKENIZE | TSPI_ENGINE_DECODE | TSPI_ENGINE_DETOKENIZE,
        .max_sessions = 1,
    };
    tspi_engine *opened = NULL;
    tsp_status rc = engine ? TSP_OK : tspi_engine_open(&config, &opened, err);

    *ret_sha256 = NULL;
    *ret_why = "";
    if (rc != TSP_OK)
        return rc;
    engine = engine ? engine : opened;
    if (!engine->ops->deterministic)
        *ret_why = "this engine's answers depend on what runs beside them, so outputs are not compared";
    else if (!(*ret_sha256 = calloc(prompts->n, 32)))
        rc = tsp_error_set(err, TSP_ENOMEM, "out of memory for %u outputs", prompts->n);
    else
        rc = complete_all(engine, spec, prompts, *ret_sha256, err);
    tspi_engine_close(opened);
    if (rc != TSP_OK) {
        free(*ret_sha256);
        *ret_sha256 = NULL;
        tsp_error_note(err, "the single-process reference");
    }
    return rc;
}
