#include "engine/openai_json.h"

#include <limits.h>
#include <string.h>

#include "base/utf8.h"
#include "wire/json_scan.h"

void tspi_openai_put_request(tspi_buf *body, const char *model, const void *prompt, size_t len,
                             const tspi_sampling *sampling, bool no_cache)
{
    tspi_buf_puts(body, "{\"model\":");
    tspi_buf_json_string(body, model, strlen(model));
    tspi_buf_puts(body, ",\"messages\":[{\"role\":\"user\",\"content\":");
    tspi_buf_json_string(body, prompt, len);
    tspi_buf_printf(body, "}],\"stream\":true,\"max_tokens\":%u,\"temperature\":%.10g,\"seed\":%u",
                    sampling->max_tokens, sampling->temperature, (unsigned)(sampling->seed & 0x7fffffff));
    if (no_cache)
        tspi_buf_puts(body, ",\"cache_prompt\":false");
    tspi_buf_putc(body, '}');
}

/* A cursor at the object that the bytes spell. False: they spell something else, or more than that. */
static bool whole_object(const char *json, size_t len, tspi_json *ret_at)
{
    const uint8_t *bytes = (const uint8_t *)json;
    tspi_json all = {.at = bytes, .end = bytes + len};

    if (tspi_json_peek(&all) != '{')
        return false;
    *ret_at = all;
    return tspi_json_skip(&all) && tspi_json_peek(&all) == -1;
}

/* From a cursor at any value to one at its member; false when it has none of that name. */
static bool member(tspi_json at, const char *name, tspi_json *ret_at)
{
    tspi_json_text key;

    if (tspi_json_peek(&at) != '{' || !tspi_json_open(&at, '{'))
        return false;
    do {
        if (!tspi_json_key(&at, &key))
            return false;
        if (tspi_json_is(&key, name, strlen(name))) {
            *ret_at = at;
            return true;
        }
    } while (tspi_json_skip(&at) && tspi_json_more(&at, '{'));
    return false;
}

/* From a cursor at any value to one at the first element of its member, an array. */
static bool first_of(tspi_json at, const char *name, tspi_json *ret_at)
{
    if (!member(at, name, &at) || tspi_json_peek(&at) != '[' || !tspi_json_open(&at, '['))
        return false;
    *ret_at = at;
    return true;
}

/* Append the member, if it is a string; false when it is not. */
static bool string_member(tspi_json at, const char *name, tspi_buf *ret_text)
{
    tspi_json_text text;

    if (!member(at, name, &at) || tspi_json_peek(&at) != '"' || !tspi_json_string(&at, &text))
        return false;
    if (tspi_buf_reserve(ret_text, text.len + 1))
        ret_text->len += tspi_json_unescape(&text, (char *)ret_text->data + ret_text->len);
    return true;
}

/* Copy len bytes as one printable line: no control characters, no half character at the cut. */
static void copy_line(const char *text, size_t len, char *ret_words, size_t size)
{
    if (len > size - 1)
        len = size - 1;
    len = tspi_utf8_valid_prefix((const uint8_t *)text, len);
    for (size_t k = 0; k < len; k++)
        ret_words[k] = (unsigned char)text[k] < ' ' || text[k] == 0x7f ? ' ' : text[k];
    ret_words[len] = '\0';
}

/* The words of an error in any of the shapes that servers use: {"error": {"message": W}}, {"error": W},
 * {"message": W}, {"detail": W}. False when the object is none of these. */
static bool error_words(tspi_json object, tspi_buf *ret_text)
{
    tspi_json error;

    return (member(object, "error", &error) && string_member(error, "message", ret_text)) ||
           string_member(object, "error", ret_text) || string_member(object, "message", ret_text) ||
           string_member(object, "detail", ret_text);
}

void tspi_openai_read_error(const char *body, size_t len, char *ret_words, size_t size)
{
    tspi_buf text = {0};
    tspi_json object;

    if (whole_object(body, len, &object) && error_words(object, &text))
        copy_line((const char *)text.data, text.len, ret_words, size);
    else
        copy_line(body, len, ret_words, size);
    tspi_buf_release(&text);
}

static bool is_null(tspi_json at)
{
    return tspi_json_null(&at);
}

tsp_status tspi_openai_read_chunk(const char *json, size_t len, tspi_buf *ret_text, bool *ret_finished, tsp_error *err)
{
    tspi_json chunk, choice, at;
    char words[256];

    if (!whole_object(json, len, &chunk)) {
        copy_line(json, len, words, 64);
        return tsp_error_set(err, TSP_EPARSE, "a chunk of the stream is not a JSON object: %s", words);
    }
    if (member(chunk, "error", &at) && !is_null(at)) {
        tspi_openai_read_error(json, len, words, sizeof words);
        return tsp_error_set(err, TSP_EIO, "the server says: %s", words);
    }
    if (!first_of(chunk, "choices", &choice))
        return TSP_OK; /* the figures at the end, say */
    if (member(choice, "delta", &at))
        string_member(at, "content", ret_text);
    if (member(choice, "finish_reason", &at) && !is_null(at))
        *ret_finished = true;
    return tspi_buf_ok(ret_text) ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "no memory for the server's answer");
}

tsp_status tspi_openai_read_models(const char *json, size_t len, tspi_buf *ret_id, tsp_error *err)
{
    tspi_json at;

    if (!whole_object(json, len, &at) || !first_of(at, "data", &at) || !string_member(at, "id", ret_id) ||
        !ret_id->len || memchr(ret_id->data, '\0', ret_id->len))
        return tsp_error_set(err, TSP_EPARSE, "the list of models names none: say which with --model");
    tspi_buf_putc(ret_id, '\0');
    return tspi_buf_ok(ret_id) ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "no memory for a model's name");
}

int tspi_openai_read_slots(const char *json, size_t len)
{
    tspi_json_text text;
    tspi_json at;
    int64_t count;

    if (!whole_object(json, len, &at) || !member(at, "total_slots", &at) ||
        tspi_json_number(&at, 0, &count, &text) != TSPI_JSON_NUMBER)
        return 0;
    return count > 0 && count < INT_MAX ? (int)count : 0;
}
