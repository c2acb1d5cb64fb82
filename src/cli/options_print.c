/* Help, manual page and shell completion, all from the table of options. */
#include "cli/options_print.h"

#include <stdint.h>
#include <string.h>

#include "base/duration.h"

#define WIDTH 80

/* Columns that text takes in a terminal: bytes less UTF-8 continuation bytes. */
static int columns(const char *text, size_t len)
{
    int n = 0;

    for (size_t k = 0; k < len; k++)
        n += ((unsigned char)text[k] & 0xc0) != 0x80;
    return n;
}

/* Words of text, wrapped, from column `at` on with following lines at `indent`. Blank lines part paragraphs. */
static void wrap(FILE *out, const char *text, int at, int indent)
{
    const char *p = text;

    while (*p) {
        size_t gap = strspn(p, " \n"), newlines = 0;
        for (size_t k = 0; k < gap; k++)
            newlines += p[k] == '\n';
        p += gap;
        size_t len = strcspn(p, " \n");
        if (!len)
            break;
        if (newlines > 1 && p > text + gap) {
            fprintf(out, "\n\n%*s", indent, "");
            at = indent;
        } else if (gap && at > indent) {
            if (at + 1 + columns(p, len) > WIDTH) {
                fprintf(out, "\n%*s", indent, "");
                at = indent;
            } else {
                fputc(' ', out);
                at++;
            }
        }
        fwrite(p, 1, len, out);
        at += columns(p, len);
        p += len;
    }
    fputc('\n', out);
}

static const char *metavar(const struct option_spec *option)
{
    return option->metavar ? option->metavar : option->type == OPTION_CHOICE ? option->choices : "X";
}

static void option_head(const struct option_spec *option, char *ret, size_t size)
{
    char letter[8] = "    ";

    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    if (option->type == OPTION_FLAG)
        snprintf(ret, size, "%s--%s", letter, option->name);
    else
        snprintf(ret, size, "%s--%s %s", letter, option->name, metavar(option));
}

/* What an option holds before parsing is its default; say it when it says something. */
static void option_default(const struct option_spec *option, char *ret, size_t size)
{
    char text[64];

    ret[0] = 0;
    switch (option->type) {
    case OPTION_FLAG:
        break;
    case OPTION_COUNT:
        if (*(uint64_t *)option->value)
            snprintf(ret, size, " [%llu]", (unsigned long long)*(uint64_t *)option->value);
        break;
    case OPTION_NUMBER:
        if (*(double *)option->value != 0)
            snprintf(ret, size, " [%g]", *(double *)option->value);
        break;
    case OPTION_DURATION:
        if (*(int64_t *)option->value) {
            tspi_duration_format(*(int64_t *)option->value, text, sizeof text);
            snprintf(ret, size, " [%s]", text);
        }
        break;
    default:
        if (*(const char **)option->value)
            snprintf(ret, size, " [%s]", *(const char **)option->value);
        break;
    }
}

void options_print_help(const struct command_spec *command, FILE *out)
{
    enum { INDENT = 26 };
    char head[128], given[128];

    fprintf(out, "Usage: truespan %s [OPTIONS] %s\n\n", command->name, command->synopsis);
    wrap(out, command->summary, 0, 0);
    if (command->text) {
        fputc('\n', out);
        wrap(out, command->text, 0, 0);
    }
    fputs("\nOptions:\n", out);
    for (const struct option_spec *o = command->options; o->name; o++) {
        char help[1024];
        option_head(o, head, sizeof head);
        option_default(o, given, sizeof given);
        snprintf(help, sizeof help, "%s%s", o->help, given);
        int at = 2 + (int)strlen(head);
        fprintf(out, "  %s", head);
        if (at + 1 >= INDENT) {
            fputc('\n', out);
            at = 0;
        }
        fprintf(out, "%*s", INDENT - at, "");
        wrap(out, help, INDENT, INDENT);
    }
    fprintf(out, "  -h, --help%*sshow this help\n", INDENT - 12, "");
    if (command->examples)
        fprintf(out, "\nExamples:\n");
    for (const char *p = command->examples; p && *p;) {
        size_t len = strcspn(p, "\n");
        fprintf(out, "  %.*s\n", (int)len, p);
        p += len + (p[len] == '\n');
    }
    fputs("\nExit status: 0 done and clean, 1 done and violations found, 2 could not do it.\n", out);
}

/* Text for roff: backslashes and hyphens as themselves, no line that begins like a request. */
static void roff(FILE *out, const char *text)
{
    bool line_start = true;

    for (const char *p = text; *p; p++) {
        if (line_start && (*p == '.' || *p == '\''))
            fputs("\\&", out);
        line_start = *p == '\n';
        if (*p == '\\')
            fputs("\\e", out);
        else if (*p == '-')
            fputs("\\-", out);
        else
            fputc(*p, out);
    }
}

static void roff_paragraphs(FILE *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (p[0] == '\n' && p[1] == '\n') {
            fputs("\n.PP\n", out);
            while (p[1] == '\n')
                p++;
        } else {
            char one[2] = {*p, 0};
            if ((p == text || p[-1] == '\n') && (*p == '.' || *p == '\''))
                fputs("\\&", out);
            if (*p == '.' || *p == '\'')
                fputc(*p, out);
            else
                roff(out, one);
        }
    }
    fputc('\n', out);
}

static void man_examples(const char *text, FILE *out)
{
    fputs(".SH EXAMPLES\n", out);
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, "\n");
        char line[512];
        snprintf(line, sizeof line, "%.*s", (int)len, p + strspn(p, " "));
        if (*p == ' ')
            line[len > strspn(p, " ") ? len - strspn(p, " ") : 0] = 0;
        fputs(*p == ' ' ? "" : ".TP\n.B ", out);
        roff(out, line);
        fputc('\n', out);
        p += len + (p[len] == '\n');
    }
}

void options_print_man(const struct command_spec *command, FILE *out)
{
    fprintf(out, ".TH TRUESPAN\\-");
    for (const char *p = command->name; *p; p++)
        fputc(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p, out);
    fprintf(out, " 1 \"\" \"truespan %s\" \"truespan\"\n.SH NAME\ntruespan\\-%s \\- ", TSP_VERSION, command->name);
    roff(out, command->summary);
    fprintf(out, "\n.SH SYNOPSIS\n.B truespan %s\n[OPTIONS] ", command->name);
    roff(out, command->synopsis);
    fputs("\n.SH DESCRIPTION\n", out);
    roff_paragraphs(out, command->text ? command->text : command->summary);
    fputs(".SH OPTIONS\n", out);
    for (const struct option_spec *o = command->options; o->name; o++) {
        char given[128];
        fputs(".TP\n", out);
        if (o->letter)
            fprintf(out, "\\fB\\-%c\\fR, ", o->letter);
        fputs("\\fB\\-\\-", out);
        roff(out, o->name);
        fputs("\\fR", out);
        if (o->type != OPTION_FLAG) {
            fputs(" \\fI", out);
            roff(out, metavar(o));
            fputs("\\fR", out);
        }
        fputc('\n', out);
        roff(out, o->help);
        option_default(o, given, sizeof given);
        roff(out, given);
        fputs(".\n", out);
    }
    fputs(".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nShow a short help.\n", out);
    fputs(".SH EXIT STATUS\n0: done and clean. 1: done, violations found. 2: could not do it.\n", out);
    if (command->examples)
        man_examples(command->examples, out);
    fputs(".SH SEE ALSO\n.BR truespan (1)\n", out);
}

static void choices_spaced(FILE *out, const char *choices)
{
    for (const char *p = choices; *p; p++)
        fputc(*p == '|' ? ' ' : *p, out);
}

static void bash_values(const struct option_spec *o, FILE *out)
{
    if (o->type == OPTION_FLAG)
        return;
    fprintf(out, "      --%s", o->name);
    if (o->letter)
        fprintf(out, "|-%c", o->letter);
    fputs(") ", out);
    if (o->type == OPTION_CHOICE) {
        fputs("COMPREPLY=($(compgen -W '", out);
        choices_spaced(out, o->choices);
        fputs("' -- \"$cur\"));", out);
    } else if (o->type == OPTION_FILE)
        fputs("COMPREPLY=($(compgen -f -- \"$cur\"));", out);
    else if (o->type == OPTION_FOLDER)
        fputs("COMPREPLY=($(compgen -d -- \"$cur\"));", out);
    else
        fputs("COMPREPLY=();", out);
    fputs(" return;;\n", out);
}

static const char *bash_operands(const struct command_spec *command)
{
    if (!command->operands)
        return "";
    if (!strcmp(command->operands, "folder"))
        return "-d";
    if (!strcmp(command->operands, "command"))
        return "-c";
    return "-f";
}

void options_print_bash(const struct command_spec *const *commands, FILE *out)
{
    fputs("# bash completion for truespan\n_truespan()\n{\n"
          "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words= operands=-f\n"
          "  COMPREPLY=()\n  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    COMPREPLY=($(compgen -W 'help completion",
          out);
    for (const struct command_spec *const *c = commands; *c; c++)
        fprintf(out, " %s", (*c)->name);
    fputs(" --version --help' -- \"$cur\"))\n    return\n  fi\n  case ${COMP_WORDS[1]} in\n", out);
    for (const struct command_spec *const *c = commands; *c; c++) {
        fprintf(out, "  %s)\n    case $prev in\n", (*c)->name);
        for (const struct option_spec *o = (*c)->options; o->name; o++)
            bash_values(o, out);
        fputs("    esac\n    words='", out);
        for (const struct option_spec *o = (*c)->options; o->name; o++)
            fprintf(out, "--%s ", o->name);
        fprintf(out, "--help' operands=%s;;\n", bash_operands(*c));
    }
    fputs("  completion) words='bash zsh' operands=;;\n  help) words='", out);
    for (const struct command_spec *const *c = commands; *c; c++)
        fprintf(out, "%s ", (*c)->name);
    fputs("' operands=;;\n  esac\n"
          "  case $cur in\n  -*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"));;\n"
          "  *) if [ -n \"$operands\" ]; then COMPREPLY=($(compgen $operands -- \"$cur\"))\n"
          "     else COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")); fi;;\n  esac\n}\n"
          "complete -o filenames -F _truespan truespan\n",
          out);
}

/* Text inside a single-quoted _arguments specification. */
static void zsh_text(FILE *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\'')
            fputs("'\\''", out);
        else if (strchr("[]:\\", *p))
            fprintf(out, "\\%c", *p);
        else
            fputc(*p, out);
    }
}

static void zsh_option(const struct option_spec *o, FILE *out)
{
    fprintf(out, "      '--%s%s[", o->name, o->type == OPTION_FLAG ? "" : "=");
    zsh_text(out, o->help);
    fputs("]", out);
    if (o->type != OPTION_FLAG) {
        fputc(':', out);
        zsh_text(out, metavar(o));
        fputc(':', out);
        if (o->type == OPTION_CHOICE) {
            fputc('(', out);
            choices_spaced(out, o->choices);
            fputc(')', out);
        } else if (o->type == OPTION_FILE)
            fputs("_files", out);
        else if (o->type == OPTION_FOLDER)
            fputs("_files -/", out);
    }
    fputs("' \\\n", out);
}

void options_print_zsh(const struct command_spec *const *commands, FILE *out)
{
    fputs("#compdef truespan\n_truespan()\n{\n  local -a commands\n  commands=(\n", out);
    for (const struct command_spec *const *c = commands; *c; c++) {
        fprintf(out, "    '%s:", (*c)->name);
        zsh_text(out, (*c)->summary);
        fputs("'\n", out);
    }
    fputs("    'help:show the help of a command'\n    'completion:print completions for a shell'\n  )\n"
          "  if (( CURRENT == 2 )); then\n    _describe 'command' commands\n    return\n  fi\n"
          "  local command=$words[2]\n  shift words\n  (( CURRENT-- ))\n  case $command in\n",
          out);
    for (const struct command_spec *const *c = commands; *c; c++) {
        fprintf(out, "    %s) _arguments \\\n", (*c)->name);
        for (const struct option_spec *o = (*c)->options; o->name; o++)
            zsh_option(o, out);
        const char *operands = (*c)->operands;
        fprintf(out, "      '--help[show help]' '*:operand:%s';;\n",
                !operands                      ? ""
                : !strcmp(operands, "folder")  ? "_files -/"
                : !strcmp(operands, "command") ? "_command_names -e"
                                               : "_files");
    }
    fputs("    help) _describe 'command' commands;;\n    completion) _values shell bash zsh;;\n  esac\n}\n_truespan "
          "\"$@\"\n",
          out);
}
