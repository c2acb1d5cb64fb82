/* truespan: one executable, one command a file. */
#include "cli/command.h"
#include "cli/options_print.h"

#include <errno.h>
#include <string.h>

#include "base/mapped.h"
#include "cli/terminal.h"
#include "truespan/base.h"

#define COMMAND(name) extern const struct command command_##name;
#include "commands.def"
#undef COMMAND

#define COMMAND(name) &command_##name,
static const struct command *const commands[] = {
#include "commands.def"
};
#undef COMMAND

enum { COMMANDS_N = sizeof commands / sizeof commands[0] };

static const struct command *find(const char *name)
{
    for (int k = 0; k < COMMANDS_N; k++)
        if (!strcmp(commands[k]->spec->name, name))
            return commands[k];
    return NULL;
}

static void overview(FILE *out)
{
    fputs("Usage: truespan COMMAND [OPTIONS] ...\n\n"
          "Shows, measures, bounds and repairs what clock skew does to distributed traces.\n\nCommands:\n",
          out);
    for (int k = 0; k < COMMANDS_N; k++)
        fprintf(out, "  %-12s%s\n", commands[k]->spec->name, commands[k]->spec->summary);
    fputs("  help        the help of a command: truespan help COMMAND\n"
          "  completion  completions for a shell: truespan completion bash|zsh\n\n"
          "truespan COMMAND --help says more. --version prints the version.\n",
          out);
}

static void man_overview(FILE *out)
{
    fprintf(out,
            ".TH TRUESPAN 1 \"\" \"truespan %s\" \"truespan\"\n.SH NAME\ntruespan \\- what clock skew does to "
            "distributed traces, shown, measured, bounded and repaired\n.SH SYNOPSIS\n.B truespan\nCOMMAND [OPTIONS] "
            "...\n.SH COMMANDS\n",
            TSP_VERSION);
    for (int k = 0; k < COMMANDS_N; k++)
        fprintf(out, ".TP\n.BR truespan\\-%s (1)\n%s.\n", commands[k]->spec->name, commands[k]->spec->summary);
    fputs(".SH EXIT STATUS\n0: done and clean. 1: done, violations found. 2: could not do it.\n", out);
}

static int unknown(const char *name)
{
    fprintf(stderr, "truespan: there is no command '%s'. See 'truespan help'.\n", name);
    return EXIT_FAILED;
}

static int help(int argc, char **argv)
{
    if (argc < 2) {
        overview(stdout);
        return EXIT_CLEAN;
    }
    const struct command *command = find(argv[1]);
    if (!command)
        return unknown(argv[1]);
    options_print_help(command->spec, stdout);
    return EXIT_CLEAN;
}

static int man(int argc, char **argv)
{
    if (argc < 2) {
        man_overview(stdout);
        return EXIT_CLEAN;
    }
    const struct command *command = find(argv[1]);
    if (!command)
        return unknown(argv[1]);
    options_print_man(command->spec, stdout);
    return EXIT_CLEAN;
}

static int completion(int argc, char **argv)
{
    const struct command_spec *specs[COMMANDS_N + 1] = {0};
    const char *shell = argc > 1 ? argv[1] : "";

    for (int k = 0; k < COMMANDS_N; k++)
        specs[k] = commands[k]->spec;
    if (!strcmp(shell, "bash"))
        options_print_bash(specs, stdout);
    else if (!strcmp(shell, "zsh"))
        options_print_zsh(specs, stdout);
    else {
        fputs("truespan completion: want bash or zsh\n", stderr);
        return EXIT_FAILED;
    }
    return EXIT_CLEAN;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        overview(stderr);
        return EXIT_FAILED;
    }
    const char *word = argv[1];
    if (!strcmp(word, "--version") || !strcmp(word, "-V")) {
        printf("truespan %s\n", tsp_version());
        return EXIT_CLEAN;
    }
    if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
        overview(stdout);
        return EXIT_CLEAN;
    }
    if (!strcmp(word, "help"))
        return help(argc - 1, argv + 1);
    if (!strcmp(word, "man"))
        return man(argc - 1, argv + 1);
    if (!strcmp(word, "completion"))
        return completion(argc - 1, argv + 1);
    const struct command *command = find(word);
    return command ? command->run(argc - 1, argv + 1) : unknown(word);
}

int command_complain(const struct command_spec *command, const char *what)
{
    char text[1024];

    fprintf(stderr, "truespan %s: %s\n", command->name, terminal_shown(what, text, sizeof text));
    return EXIT_FAILED;
}

int main(int argc, char **argv)
{
    tspi_mapped_guard();
    int rc = dispatch(argc, argv);

    /* An answer that did not reach its reader is no answer: a full disk must not look like success. A reader that went
     * away (a closed pipe) has had what it wanted. */
    if ((fflush(stdout) || ferror(stdout)) && errno != EPIPE) {
        fprintf(stderr, "truespan: cannot write the result: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    return rc;
}
