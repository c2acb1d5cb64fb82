/* Arguments into the variables that a command's table of options names. */
#ifndef TSPI_CLI_OPTIONS_H
#define TSPI_CLI_OPTIONS_H

#include "cli/option_spec.h"

/* Parse argv[1..]; argv[0] is the command's name. Operands are moved to the front of ret_operands (borrowed from argv).
 * Returns -1 to go on, or an exit code: 0 after --help, 2 after a message on stderr about what is wrong. */
int options_parse(const struct command_spec *command, int argc, char **argv, char **ret_operands, int *ret_operands_n);

#endif
