/* From the words of a spec's YAML to checked values; the first that is wrong is reported with its line and its key. */
#ifndef TSPI_LAB_SPEC_READER_H
#define TSPI_LAB_SPEC_READER_H

#include <stddef.h>
#include <stdint.h>

#include "truespan/base.h"

typedef struct {
    const char *text, *name;
    size_t len;
    tsp_error *err;
    tsp_status rc; /* of the first failure; later ones are not reported */
} tspi_spec_reader;

#define TSPI_HOUR_NS (3600 * TSP_NS_PER_S)
#define TSPI_DAY_NS (24 * TSPI_HOUR_NS)

/* Each leaves *to as it is when from is NULL, which means that the key was left out. path: the key, for messages. */
void tspi_spec_get_seed(tspi_spec_reader *in, const char *from, uint64_t *to);
void tspi_spec_get_text(const char *from, char **to); /* to: owned */
void tspi_spec_get_count(tspi_spec_reader *in, const char *path, const uint32_t *from, uint32_t lo, uint32_t hi,
                         uint32_t *to);
void tspi_spec_get_number(tspi_spec_reader *in, const char *path, const double *from, double lo, double hi, double *to);
void tspi_spec_get_duration(tspi_spec_reader *in, const char *path, const char *from, int64_t lo, int64_t hi,
                            int64_t *to);
void tspi_spec_get_word(tspi_spec_reader *in, const char *path, const char *from, const char *const *words, size_t n,
                        int *to);
TSP_PRINTF(3, 4) void tspi_spec_bad(tspi_spec_reader *in, const char *path, const char *format, ...);

#endif
