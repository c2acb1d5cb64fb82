/* Names of files that a test makes and removes. */
#ifndef TEST_TEMPORARY_H
#define TEST_TEMPORARY_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* In TMPDIR, or where the system keeps such: this process's own; free it. */
static inline char *temporary(const char *name)
{
    char *path = NULL;
    const char *folder = getenv("TMPDIR");

    if (asprintf(&path, "%s/truespan-test-%d-%s", folder && *folder ? folder : P_tmpdir, (int)getpid(), name) < 0)
        abort();
    return path;
}

#endif
