/* YAML text to raw values by libcyaml, and its complaints as one line. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/spec_schema.h"

struct complaint {
    char text[256];
    char path[128]; /* "clock.steps[0].at" */
    unsigned line;
};

/* A line of libcyaml's backtrace, innermost first: "in mapping field 'at' (line: 3, column: 9)". */
static void on_backtrace(struct complaint *complaint, const char *line)
{
    char field[64], rest[sizeof complaint->path];
    unsigned entry;

    if (!complaint->line && strstr(line, "(line: "))
        complaint->line = (unsigned)strtoul(strstr(line, "(line: ") + 7, NULL, 10);
    memcpy(rest, complaint->path, sizeof rest);
    const char *dot = rest[0] && rest[0] != '[' ? "." : "";
    line += strncmp(line, "Load:", 5) ? 0 : 5;
    if (sscanf(line, " in mapping field '%63[^']'", field) == 1)
        snprintf(complaint->path, sizeof complaint->path, "%s%s%.60s", field, dot, rest);
    else if (sscanf(line, " in sequence entry '%u'", &entry) == 1)
        snprintf(complaint->path, sizeof complaint->path, "[%u]%s%.60s", entry - 1, dot, rest);
}

static void on_log(cyaml_log_t level, void *ctx, const char *format, va_list args)
{
    struct complaint *complaint = ctx;
    char text[256];

    if (level < CYAML_LOG_ERROR)
        return;
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    if (strstr(text, "(line: "))
        on_backtrace(complaint, text);
    else if (!complaint->text[0] && !strstr(text, "Backtrace"))
        snprintf(complaint->text, sizeof complaint->text, "%s", !strncmp(text, "Load: ", 6) ? text + 6 : text);
}

/* libcyaml gives an unexpected key the place of the value before it: look for the key itself from there on. */
static unsigned line_of_key(const char *text, size_t len, const char *key, unsigned from)
{
    unsigned line = 1;
    size_t key_len = strlen(key);

    for (size_t at = 0; at < len; line++) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t stop = end ? (size_t)(end - text) : len, k = at;
        while (k < stop && (text[k] == ' ' || text[k] == '-' || text[k] == '{'))
            k++;
        if (line >= from && stop - k > key_len && !memcmp(text + k, key, key_len) && text[k + key_len] == ':')
            return line;
        at = stop + 1;
    }
    return from;
}

tsp_status tspi_spec_load(const char *text, size_t len, const char *name, struct raw_spec **ret_raw, tsp_error *err)
{
    struct complaint complaint = {.line = 0};
    const cyaml_config_t config = {
        .log_fn = on_log, .log_ctx = &complaint, .mem_fn = cyaml_mem, .log_level = CYAML_LOG_NOTICE};
    cyaml_err_t rc = cyaml_load_data((const uint8_t *)text, len, &config, &tspi_spec_schema, (void **)ret_raw, NULL);

    if (rc == CYAML_OK && *ret_raw)
        return TSP_OK;
    if (rc == CYAML_OK)
        return tsp_error_set(err, TSP_EPARSE, "%s: the spec is empty", name);
    if (!strncmp(complaint.text, "Unexpected key: ", 16)) {
        const char *key = complaint.text + 16;
        return tsp_error_set(err, TSP_EPARSE, "%s: line %u: unknown key '%s' (docs/spec.md lists the keys)", name,
                             line_of_key(text, len, key, complaint.line), key);
    }
    if (!strncmp(complaint.text, "Mapping field already seen: ", 28)) {
        const char *key = complaint.text + 28;
        return tsp_error_set(err, TSP_EPARSE, "%s: line %u: the key '%s' stands twice", name,
                             line_of_key(text, len, key, complaint.line + 1), key);
    }
    if (complaint.text[0])
        complaint.text[0] = (char)tolower((unsigned char)complaint.text[0]);
    return tsp_error_set(err, TSP_EPARSE, "%s: line %u: %s%s%s", name, complaint.line, complaint.path,
                         complaint.path[0] ? ": " : "", complaint.text[0] ? complaint.text : cyaml_strerror(rc));
}

void tspi_spec_unload(struct raw_spec *raw)
{
    const cyaml_config_t config = {.mem_fn = cyaml_mem};
    cyaml_free(&config, &tspi_spec_schema, raw, 0);
}
