#include "lab/spec_line.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

enum { DEPTH_MAX = 16, PATH_MAX_BYTES = 512 };

struct level {
    bool is_list, want_key;
    unsigned items;
    size_t path_len; /* of the path that leads here */
};

/* Extend the path by what the next value is called: ".key" was added already, a list's item becomes "[k]". */
static void enter_value(struct level *level, char *path)
{
    if (level->is_list) {
        path[level->path_len] = '\0';
        snprintf(path + level->path_len, PATH_MAX_BYTES - level->path_len, "[%u]", level->items++);
    }
    level->want_key = true;
}

static void enter_key(const struct level *level, char *path, const char *key)
{
    path[level->path_len] = '\0';
    snprintf(path + level->path_len, PATH_MAX_BYTES - level->path_len, "%s%s", level->path_len ? "." : "", key);
}

size_t tspi_spec_line(const char *text, size_t len, const char *want)
{
    struct level levels[DEPTH_MAX] = {{0}};
    char path[PATH_MAX_BYTES] = "";
    yaml_parser_t parser;
    yaml_event_t event;
    int depth = -1;
    size_t line = 0;
    bool done = false;

    if (!yaml_parser_initialize(&parser))
        return 0;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    while (!done && !line && yaml_parser_parse(&parser, &event)) {
        struct level *level = depth >= 0 ? &levels[depth] : NULL;
        bool starts = event.type == YAML_MAPPING_START_EVENT || event.type == YAML_SEQUENCE_START_EVENT;
        bool ends = event.type == YAML_MAPPING_END_EVENT || event.type == YAML_SEQUENCE_END_EVENT;
        bool is_scalar = event.type == YAML_SCALAR_EVENT;

        if (is_scalar && level && !level->is_list && level->want_key) {
            enter_key(level, path, (const char *)event.data.scalar.value);
            level->want_key = false;
        } else if (starts || is_scalar) {
            if (level)
                enter_value(level, path);
            if (!strcmp(path, want) && *want)
                line = event.start_mark.line + 1;
        }
        if (starts && depth + 1 < DEPTH_MAX)
            levels[++depth] = (struct level){.is_list = event.type == YAML_SEQUENCE_START_EVENT,
                                             .want_key = event.type == YAML_MAPPING_START_EVENT,
                                             .path_len = strlen(path)};
        else if (starts || (ends && depth < 0) || event.type == YAML_STREAM_END_EVENT)
            done = true;
        else if (ends)
            depth--;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return line;
}
