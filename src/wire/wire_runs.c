/* Traces of several runs that were read as one: a folder that `truespan lab` or `truespan sim` left holds a folder a
 * point, each with otlp/ and truth.jsonl. The same clocks are in all of them, skewed each time by another amount, and
 * runs in virtual time all begin at the same instant. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "wire/wire_runs.h"

/* The length of POINT in POINT/otlp/FILE, if a truth lies beside otlp; 0: this is no run's file. */
static size_t point_of(const char *path)
{
    static const char folder[] = "/otlp/", truth[] = "/truth.jsonl";
    const char *at = NULL;
    struct stat st;

    for (const char *next = strstr(path, folder); next; next = strstr(next + 1, folder))
        at = next;
    if (!at || at == path)
        return 0;
    size_t n = (size_t)(at - path);
    char *beside = malloc(n + sizeof truth);
    if (!beside)
        return 0;
    memcpy(beside, path, n);
    memcpy(beside + n, truth, sizeof truth);
    bool is_run = stat(beside, &st) == 0 && S_ISREG(st.st_mode);
    free(beside);
    return is_run ? n : 0;
}

/* Files of a folder come in the order of their names: those of a point follow each other. */
size_t tspi_runs_among(const tspi_read_report *report, const char **ret_last, size_t *ret_len)
{
    const char *last = NULL;
    size_t len = 0, runs = 0;

    for (size_t k = 0; k < report->documents_n; k++) {
        const char *path = report->documents[k].path;
        if (last && !strncmp(path, last, len) && !strncmp(path + len, "/otlp/", 6))
            continue;
        size_t n = point_of(path);
        if (n) {
            last = path;
            len = n;
            runs++;
        }
    }
    *ret_last = last;
    *ret_len = len;
    return runs;
}
