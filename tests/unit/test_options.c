#include "test.h"

#include "cli/options.h"
#include "cli/options_print.h"

static struct {
    bool flag, seen;
    const char *text, *choice;
    uint64_t count;
    double number;
    int64_t duration;
} got;

static const struct option_spec table[] = {
    {"json", 'j', OPTION_FLAG, &got.flag, NULL, "print JSON", NULL, NULL},
    {"output", 'o', OPTION_FILE, &got.text, "OUT", "where to write", NULL, &got.seen},
    {"kind", 0, OPTION_CHOICE, &got.choice, NULL, "what it is", "red|green|blue", NULL},
    {"examples", 'n', OPTION_COUNT, &got.count, "N", "how many", NULL, NULL},
    {"max-drift", 0, OPTION_NUMBER, &got.number, "PPM", "limit [the 'one']", NULL, NULL},
    {"window", 'w', OPTION_DURATION, &got.duration, "D", "how long", NULL, NULL},
    {0},
};
static const struct command_spec command = {.name = "try",
                                            .summary = "Try options",
                                            .synopsis = "FILE ...",
                                            .text = "One paragraph.\n\n.Another one, with a \\ in it.",
                                            .examples = "truespan try a\n    tries a\n",
                                            .options = table,
                                            .operands = "file"};

static char *operands[16];
static int operands_n;

#define PARSE(...) parse((const char *[]){"try", __VA_ARGS__, NULL})
static int parse(const char **words)
{
    char **argv = (char **)(uintptr_t)words;
    int argc = 0;
    while (argv[argc])
        argc++;
    memset(&got, 0, sizeof got);
    operands_n = 0;
    return options_parse(&command, argc, argv, operands, &operands_n);
}

TEST(options, all_ways_to_write_them)
{
    CHECK_INT(PARSE("a", "--json", "--output", "x", "-n5", "b", "--kind=blue", "--max-drift=-2.5", "-w", "-1.5ms", "-"),
              -1);
    CHECK(got.flag && got.seen);
    CHECK_STR(got.text, "x");
    CHECK_STR(got.choice, "blue");
    CHECK_INT(got.count, 5);
    CHECK_NEAR(got.number, -2.5, 0);
    CHECK_INT(got.duration, -1500000);
    REQUIRE(operands_n == 3);
    CHECK_STR(operands[0], "a");
    CHECK_STR(operands[2], "-");
    CHECK_INT(PARSE("-jn", "7", "--", "--json"), -1);
    CHECK_INT(got.count, 7);
    REQUIRE(operands_n == 1);
    CHECK_STR(operands[0], "--json");
    CHECK_INT(PARSE("-jox"), -1);
    CHECK_STR(got.text, "x");
}

TEST(options, refuses_with_exit_code_2)
{
    CHECK_INT(PARSE("--nope"), 2);
    CHECK_INT(PARSE("--jsom"), 2);
    CHECK_INT(PARSE("-x"), 2);
    CHECK_INT(PARSE("--json=1"), 2);
    CHECK_INT(PARSE("--output"), 2);
    CHECK_INT(PARSE("-o"), 2);
    CHECK_INT(PARSE("--kind", "gree"), 2);
    CHECK_INT(PARSE("--kind", "red|green"), 2);
    CHECK_INT(PARSE("--examples", "-1"), 2);
    CHECK_INT(PARSE("--examples", "99999999999999999999999"), 2);
    CHECK_INT(PARSE("--max-drift", "nan"), 2);
    CHECK_INT(PARSE("--max-drift", ""), 2);
    CHECK_INT(PARSE("--window", "5"), 2);
}

static char *printed(void (*print)(FILE *out))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    print(out);
    fclose(out);
    return text;
}

static void print_help(FILE *out)
{
    options_print_help(&command, out);
}
static void print_man(FILE *out)
{
    options_print_man(&command, out);
}
static void print_bash(FILE *out)
{
    options_print_bash((const struct command_spec *const[]){&command, NULL}, out);
}
static void print_zsh(FILE *out)
{
    options_print_zsh((const struct command_spec *const[]){&command, NULL}, out);
}

TEST(options, help_man_and_completion_name_every_option)
{
    char *help = printed(print_help), *man = printed(print_man), *bash = printed(print_bash), *zsh = printed(print_zsh);

    for (const struct option_spec *o = table; o->name; o++) {
        char dashed[64];
        snprintf(dashed, sizeof dashed, "--%s", o->name);
        CHECK_CONTAINS(help, dashed);
        CHECK_CONTAINS(bash, dashed);
        CHECK_CONTAINS(zsh, dashed);
    }
    CHECK_CONTAINS(man, "\\-\\-max\\-drift");
    CHECK_CONTAINS(man, "\\&.Another one, with a \\e in it.");
    CHECK_CONTAINS(man, ".SH EXAMPLES");
    CHECK_CONTAINS(zsh, "limit \\[the '\\''one'\\''\\]");
    CHECK_CONTAINS(bash, "red green blue");
    for (const char *line = help; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        CHECK(strcspn(line, "\n") <= 80);
    free(help);
    free(man);
    free(bash);
    free(zsh);
}

static int run_shell(const char *shell, const char *flag, char *script)
{
    char path[] = "/tmp/truespan-test-XXXXXX", line[128];
    int fd = mkstemp(path);

    if (fd < 0 || write(fd, script, strlen(script)) != (ssize_t)strlen(script))
        return -1;
    close(fd);
    snprintf(line, sizeof line, "%s %s %s", shell, flag, path);
    int rc = system(line);
    unlink(path);
    return rc;
}

TEST(options, bash_accepts_the_completion)
{
    char *bash = printed(print_bash);

    if (system("bash -c true >/dev/null 2>&1") != 0)
        SKIP("no bash here");
    CHECK_INT(run_shell("bash", "-n", bash), 0);
    free(bash);
}
