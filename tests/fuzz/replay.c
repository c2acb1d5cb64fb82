/* Runs a fuzz target over files: how the corpora are replayed where there is no libFuzzer. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t n);

static int replay(const char *path)
{
    struct stat st;
    int failed = 0;

    if (stat(path, &st) != 0)
        return 1;
    if (!S_ISDIR(st.st_mode)) {
        tspi_buf bytes = {0};
        failed = tspi_buf_read_file(&bytes, path, 0, NULL) != TSP_OK;
        if (!failed) {
            /* A copy of the exact size: what reads beyond it is seen. */
            uint8_t *copy = malloc(bytes.len ? bytes.len : 1);
            if (copy && bytes.len)
                memcpy(copy, bytes.data, bytes.len);
            if (copy)
                LLVMFuzzerTestOneInput(copy, bytes.len);
            free(copy);
        }
        tspi_buf_release(&bytes);
        return failed;
    }
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char inner[4096];
        if (entry->d_name[0] != '.' &&
            (size_t)snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) < sizeof inner)
            failed |= replay(inner);
    }
    if (folder)
        closedir(folder);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = argc < 2;

    for (int k = 1; k < argc; k++)
        failed |= replay(argv[k]);
    return failed;
}
