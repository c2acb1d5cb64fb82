/* The option --quorum of the commands that solve. */
#ifndef TSPI_CLI_QUORUM_H
#define TSPI_CLI_QUORUM_H

#include <stdbool.h>
#include <stdint.h>

/* NULL or "auto": *ret_quorum 0, the solver finds it; else a whole number from 1 to 1,000,000. false: neither. */
bool quorum_parse(const char *text, uint32_t *ret_quorum);

#endif
