#include "cli/command.h"
static const struct option_spec options[] = {{0}};
static const struct command_spec spec = {
    .name = "check", .summary = "Audit a trace", .synopsis = "FILE", .options = options, .operands = "file"};
static int run(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return EXIT_FAILED;
}
const struct command command_check = {&spec, run};
