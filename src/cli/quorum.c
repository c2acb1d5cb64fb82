#include "cli/quorum.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool quorum_parse(const char *text, uint32_t *ret_quorum)
{
    char *end;

    *ret_quorum = 0;
    if (!text || !strcmp(text, "auto"))
        return true;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    *ret_quorum = (uint32_t)n;
    return !errno && !*end && text[0] >= '0' && text[0] <= '9' && n >= 1 && n <= 1000000;
}
