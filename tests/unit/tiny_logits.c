/* What the tiny model computes, for tests in other languages and for measuring weights.
 *   tiny_logits WEIGHTS ids KERNEL ID...   logits after each of the tokens, one line each, with 9 digits
 *   tiny_logits WEIGHTS texts -            what the built-in weights (not WEIGHTS) say: tests/data/tiny_texts.txt
 *   tiny_logits WEIGHTS encode TEXT        the tokens of a text
 *   tiny_logits WEIGHTS bits FILE          bits a character of FILE, a NUL in it standing for the end-of-text token */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tiny_bpe.h"
#include "tiny_bits.h"
#include "tiny_texts.h"

static int print_logits(const tspi_tiny_model *model, int n, char **ids)
{
    tspi_tiny_state *state;

    if (tspi_tiny_state_new(model, &state, NULL) != TSP_OK)
        return 1;
    for (int k = 0; k < n; k++) {
        uint32_t id = (uint32_t)strtoul(ids[k], NULL, 10);
        const float *logits = tspi_tiny_forward(state, id < model->vocab ? id : 0, true);
        for (uint32_t v = 0; v < model->vocab; v++)
            printf("%.9g%c", (double)logits[v], v + 1 < model->vocab ? ' ' : '\n');
    }
    tspi_tiny_state_free(state);
    return 0;
}

static int print_encoded(const tspi_tiny_bpe *bpe, const char *text)
{
    tspi_buf ids = {0};

    tspi_tiny_bpe_encode(bpe, (const uint8_t *)text, strlen(text), &ids, NULL);
    for (size_t k = 0; k < ids.len / 4; k++)
        printf("%u ", tspi_tiny_piece_id(ids.data, k));
    putchar('\n');
    tspi_buf_release(&ids);
    return 0;
}

static int print_bits(const tspi_tiny_model *model, const tspi_tiny_bpe *bpe, const char *path)
{
    tspi_buf text = {0};
    tsp_error err = {0};
    double bits = 0;
    size_t characters = 0;

    if (tspi_buf_read_file(&text, path, 0, &err) != TSP_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    bits = text_bits(model, bpe, text.data, text.len, &characters);
    printf("%.4f bits a character over %zu characters\n", bits / (double)characters, characters);
    tspi_buf_release(&text);
    return 0;
}

static int print_texts(void)
{
    tspi_buf text = {0};
    tsp_error err = {0};
    tsp_status rc = tiny_texts(&text, &err);

    fwrite(text.data, 1, text.len, stdout);
    tspi_buf_release(&text);
    return rc == TSP_OK ? 0 : 1;
}

static const tspi_tiny_kernel *kernel_called(const char *name)
{
    size_t n;
    const tspi_tiny_kernel *const *kernels = tspi_tiny_kernels(&n);

    for (size_t k = 0; k < n; k++)
        if (!strcmp(kernels[k]->name, name) && kernels[k]->usable())
            return kernels[k];
    return tspi_tiny_kernel_best();
}

int main(int argc, char **argv)
{
    tspi_buf file = {0};
    tspi_tiny_model model;
    tspi_tiny_bpe *bpe = NULL;
    tsp_error err = {0};
    int status = 2;

    if (argc < 4) {
        fprintf(stderr, "usage: tiny_logits WEIGHTS ids KERNEL ID... | texts - | encode TEXT | bits FILE\n");
        return 2;
    }
    const tspi_tiny_kernel *kernel = kernel_called(strcmp(argv[2], "ids") ? "" : argv[3]);
    if (tspi_buf_read_file(&file, argv[1], 0, &err) != TSP_OK ||
        tspi_tiny_model_read(file.data, file.len, kernel, &model, &err) != TSP_OK ||
        tspi_tiny_bpe_new(&model, &bpe, &err) != TSP_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 2;
    }
    if (!strcmp(argv[2], "ids"))
        status = print_logits(&model, argc - 4, argv + 4);
    else if (!strcmp(argv[2], "texts"))
        status = print_texts();
    else if (!strcmp(argv[2], "encode"))
        status = print_encoded(bpe, argv[3]);
    else if (!strcmp(argv[2], "bits"))
        status = print_bits(&model, bpe, argv[3]);
    tspi_tiny_bpe_free(bpe);
    tspi_tiny_model_release(&model);
    tspi_buf_release(&file);
    return status;
}
