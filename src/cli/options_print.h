/* A command's table of options in the words of people and of shells. */
#ifndef TSPI_CLI_OPTIONS_PRINT_H
#define TSPI_CLI_OPTIONS_PRINT_H

#include <stdio.h>

#include "cli/option_spec.h"

void options_print_help(const struct command_spec *command, FILE *out);
void options_print_man(const struct command_spec *command, FILE *out);
void options_print_bash(const struct command_spec *const *commands, FILE *out);
void options_print_zsh(const struct command_spec *const *commands, FILE *out);

#endif
