/* What the OpenAI engine asks of libcurl: handles set up alike, one blocking GET, failures in words that name the URL.
 */
#ifndef TSPI_ENGINE_OPENAI_HTTP_H
#define TSPI_ENGINE_OPENAI_HTTP_H

#include <curl/curl.h>

#include "base/buf.h"
#include "engine/openai.h"

enum { TSPI_HTTP_MAX_ERROR_BYTES = 64 * 1024 }; /* kept of the body of an answer that is not what was asked for */

typedef struct {
    char *base;                 /* "http://host:port/v1", without a slash at the end; owned */
    struct curl_slist *headers; /* for every request; owned */
    bool loopback;              /* never through a proxy */
    tspi_openai_limits limits;
} tspi_http;

/* Zero http before. Errors: TSP_EINVAL: not a URL of this kind, or a key with control characters. */
tsp_status tspi_http_init(tspi_http *http, const char *url, const tspi_openai_limits *limits, tsp_error *err);
void tspi_http_release(tspi_http *http);

/* A handle for http->base + path, with limits and headers; NULL without memory. Free it with curl_easy_cleanup.
 * error_buffer: CURL_ERROR_SIZE bytes that live as long as the handle. */
CURL *tspi_http_handle(const tspi_http *http, const char *path, char *error_buffer);

/* Why the transfer did not come to its end. */
tsp_status tspi_http_failed(const tspi_http *http, CURL *handle, CURLcode code, const char *error_buffer,
                            tsp_error *err);

/* What an answer with this HTTP status and body means; never TSP_OK. */
tsp_status tspi_http_refused(CURL *handle, long status, const tspi_buf *body, tsp_error *err);

/* GET http->base + path, waiting for it. ret_body: at most limit bytes appended, more is an error.
 * *ret_status: the HTTP status; an answer of any status is TSP_OK. *ret_llama_cpp: its Server header says so. */
tsp_status tspi_http_get(const tspi_http *http, const char *path, size_t limit, tspi_buf *ret_body, long *ret_status,
                         bool *ret_llama_cpp, tsp_error *err);

#endif
