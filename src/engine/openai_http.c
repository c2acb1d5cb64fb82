#include "engine/openai_http.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/openai_json.h"

static void start_library(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* Setting up */

static bool is_loopback(const char *host)
{
    return !strcmp(host, "localhost") || !strncmp(host, "127.", 4) || !strcmp(host, "[::1]");
}

/* The path that the API lives below: "/v1" unless the URL has one of its own. Shortened in place. */
static const char *api_path(char *path)
{
    static const char tail[] = "/chat/completions";
    size_t len = strlen(path), tail_len = sizeof tail - 1;

    while (len && path[len - 1] == '/')
        path[--len] = '\0';
    if (len >= tail_len && !strcmp(path + len - tail_len, tail))
        path[len - tail_len] = '\0';
    return path[0] ? path : "/v1";
}

/* Whether the parts that no API's URL has are there: their place is elsewhere, or nowhere. */
static bool has_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK;

    curl_free(text);
    return has;
}

static tsp_status read_url(tspi_http *http, const char *text, tsp_error *err)
{
    char *scheme = NULL, *host = NULL, *path = NULL, *whole = NULL;
    tsp_status rc = TSP_ENOMEM;
    CURLU *url = curl_url();

    if (!url)
        goto out;
    rc = TSP_EINVAL;
    if (curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) ||
        curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK || has_part(url, CURLUPART_QUERY) ||
        has_part(url, CURLUPART_FRAGMENT) || has_part(url, CURLUPART_USER))
        goto out;
    rc = TSP_ENOMEM;
    if (curl_url_get(url, CURLUPART_PATH, &path, 0) != CURLUE_OK ||
        curl_url_set(url, CURLUPART_PATH, api_path(path), 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_URL, &whole, 0) != CURLUE_OK)
        goto out;
    http->loopback = is_loopback(host);
    http->base = strdup(whole);
    if (http->base)
        rc = TSP_OK;
out:
    curl_free(scheme);
    curl_free(host);
    curl_free(path);
    curl_free(whole);
    curl_url_cleanup(url);
    if (rc == TSP_EINVAL)
        return tsp_error_set(
            err, rc, "'%s' is not the URL of a server: http://HOST:PORT or https://HOST, then /v1 or nothing", text);
    return rc == TSP_OK ? TSP_OK : tsp_error_set(err, rc, "no memory for a URL");
}

static bool add_header(tspi_http *http, const char *line)
{
    struct curl_slist *longer = curl_slist_append(http->headers, line);

    if (longer)
        http->headers = longer;
    return longer != NULL;
}

static tsp_status make_headers(tspi_http *http, tsp_error *err)
{
    const char *key = getenv("OPENAI_API_KEY");
    tspi_buf line = {0};
    bool ok = add_header(http, "Content-Type: application/json") && add_header(http, "Expect:");

    for (const char *c = key; c && *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return tsp_error_set(err, TSP_EINVAL, "OPENAI_API_KEY holds blanks or control characters");
    if (key && *key) {
        tspi_buf_printf(&line, "Authorization: Bearer %s", key);
        tspi_buf_putc(&line, '\0');
        ok = ok && tspi_buf_ok(&line) && add_header(http, (const char *)line.data);
        tspi_buf_release(&line);
    }
    return ok ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "no memory for HTTP headers");
}

tsp_status tspi_http_init(tspi_http *http, const char *url, const tspi_openai_limits *limits, tsp_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, start_library);
    http->limits = *limits;
    tsp_status rc = read_url(http, url, err);
    return rc == TSP_OK ? make_headers(http, err) : rc;
}

void tspi_http_release(tspi_http *http)
{
    free(http->base);
    curl_slist_free_all(http->headers);
    memset(http, 0, sizeof *http);
}

CURL *tspi_http_handle(const tspi_http *http, const char *path, char *error_buffer)
{
    CURL *handle = curl_easy_init();
    tspi_buf url = {0};

    tspi_buf_printf(&url, "%s%s", http->base, path);
    tspi_buf_putc(&url, '\0');
    if (!handle || !tspi_buf_ok(&url) || curl_easy_setopt(handle, CURLOPT_URL, url.data) != CURLE_OK) {
        curl_easy_cleanup(handle);
        tspi_buf_release(&url);
        return NULL;
    }
    tspi_buf_release(&url);
    error_buffer[0] = '\0';
    curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, error_buffer);
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, http->headers);
    curl_easy_setopt(handle, CURLOPT_USERAGENT, "truespan/" TSP_VERSION);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, http->limits.connect_ms);
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, http->limits.idle_s);
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    if (http->loopback)
        curl_easy_setopt(handle, CURLOPT_NOPROXY, "*");
    return handle;
}

/* Failures in words */

static const char *url_of(CURL *handle)
{
    char *url = NULL;

    curl_easy_getinfo(handle, CURLINFO_EFFECTIVE_URL, &url);
    return url ? url : "the server";
}

tsp_status tspi_http_failed(const tspi_http *http, CURL *handle, CURLcode code, const char *error_buffer,
                            tsp_error *err)
{
    const char *url = url_of(handle);
    curl_off_t connected_us = 0;

    if (code == CURLE_OUT_OF_MEMORY)
        return tsp_error_set(err, TSP_ENOMEM, "no memory for a request to %s", url);
    curl_easy_getinfo(handle, CURLINFO_CONNECT_TIME_T, &connected_us);
    if (code == CURLE_OPERATION_TIMEDOUT && connected_us)
        return tsp_error_set(err, TSP_EIO, "%s: not a byte for %ld s", url, http->limits.idle_s);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return tsp_error_set(err, TSP_EIO, "%s: no connection within %ld ms", url, http->limits.connect_ms);
    return tsp_error_set(err, connected_us ? TSP_ECLOSED : TSP_EIO, "%s: %s", url,
                         error_buffer[0] ? error_buffer : curl_easy_strerror(code));
}

tsp_status tspi_http_refused(CURL *handle, long status, const tspi_buf *body, tsp_error *err)
{
    char words[256] = "";

    tspi_openai_read_error((const char *)body->data, body->len, words, sizeof words);
    return tsp_error_set(err, TSP_EIO, "%s: HTTP %ld%s%s", url_of(handle), status, words[0] ? ": " : "", words);
}

/* One blocking GET */

typedef struct {
    tspi_buf *body;
    size_t limit;
    bool too_long, llama_cpp;
} get_state;

static size_t take_body(char *bytes, size_t one, size_t len, void *user)
{
    get_state *get = user;

    (void)one;
    get->too_long = get->body->len + len > get->limit;
    if (get->too_long)
        return 0;
    tspi_buf_append(get->body, bytes, len);
    return tspi_buf_ok(get->body) ? len : 0;
}

static size_t take_header(char *line, size_t one, size_t len, void *user)
{
    static const char wanted[] = "server: llama.cpp";
    get_state *get = user;

    (void)one;
    if (len >= sizeof wanted - 1 && !strncasecmp(line, wanted, sizeof wanted - 1))
        get->llama_cpp = true;
    return len;
}

tsp_status tspi_http_get(const tspi_http *http, const char *path, size_t limit, tspi_buf *ret_body, long *ret_status,
                         bool *ret_llama_cpp, tsp_error *err)
{
    char error_buffer[CURL_ERROR_SIZE];
    CURL *handle = tspi_http_handle(http, path, error_buffer);
    get_state get = {.body = ret_body, .limit = limit};
    tsp_status rc = TSP_OK;

    if (!handle)
        return tsp_error_set(err, TSP_ENOMEM, "no memory for a request");
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &get);
    curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(handle, CURLOPT_HEADERDATA, &get);
    curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, http->limits.connect_ms + 1000 * http->limits.idle_s);
    CURLcode code = curl_easy_perform(handle);
    if (get.too_long)
        rc = tsp_error_set(err, TSP_ERANGE, "%s: an answer of more than %zu bytes", url_of(handle), limit);
    else if (code != CURLE_OK)
        rc = tspi_http_failed(http, handle, code, error_buffer, err);
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, ret_status);
    *ret_llama_cpp = get.llama_cpp;
    curl_easy_cleanup(handle);
    return rc;
}
