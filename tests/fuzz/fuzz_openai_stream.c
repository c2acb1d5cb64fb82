/* An answer of a server at a URL: events, then the JSON in them. The text must not depend on how the bytes are cut. */
#include <stdlib.h>
#include <string.h>

#include "engine/openai_json.h"
#include "engine/openai_sse.h"
#include "engine/utf8_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t n);

static tsp_status take_event(void *user, const char *data, size_t len, tsp_error *err)
{
    bool finished = false;

    return tspi_openai_read_chunk(data, len, user, &finished, err);
}

static tsp_status read_in_steps(const uint8_t *in, size_t n, size_t step, tspi_buf *ret_text)
{
    tspi_sse sse = {.event = take_event, .user = ret_text};
    tsp_status rc = TSP_OK;

    for (size_t at = 0; rc == TSP_OK && at < n; at += step)
        rc = tspi_sse_feed(&sse, in + at, n - at < step ? n - at : step, NULL);
    if (rc == TSP_OK)
        rc = tspi_sse_end(&sse, NULL);
    tspi_sse_release(&sse);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
    tspi_buf whole = {0}, cut = {0}, characters = {0}, id = {0};
    tspi_utf8_stream stream = {.held_len = 0};
    char words[64];

    tsp_status rc = read_in_steps(in, n, n ? n : 1, &whole);
    if (read_in_steps(in, n, n ? 1 + in[0] % 7 : 1, &cut) != rc || cut.len != whole.len ||
        (cut.len && memcmp(cut.data, whole.data, cut.len) != 0))
        abort();
    tspi_utf8_stream_feed(&stream, whole.data, whole.len, &characters);
    tspi_openai_read_models((const char *)in, n, &id, NULL);
    tspi_openai_read_slots((const char *)in, n);
    tspi_openai_read_error((const char *)in, n, words, sizeof words);
    tspi_buf_release(&whole);
    tspi_buf_release(&cut);
    tspi_buf_release(&characters);
    tspi_buf_release(&id);
    return 0;
}
