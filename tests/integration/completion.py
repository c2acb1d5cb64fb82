#!/usr/bin/env python3
"""The completions that truespan prints, in the shells they are for. Argument: truespan."""

import shutil
import subprocess
import sys
import tempfile

from lab_tap import Tap

TRUESPAN = sys.argv[1]


def completion(shell):
    return subprocess.run([TRUESPAN, "completion", shell], capture_output=True, check=True, text=True).stdout


def shell(command, text, script):
    with tempfile.NamedTemporaryFile("w", suffix="_truespan") as file:
        file.write(text)
        file.flush()
        return subprocess.run([*command, script, "completion", file.name], capture_output=True, text=True, timeout=60)


def bash_offers(text, *words):
    """What bash would offer for the last word."""
    quoted = " ".join(f"'{word}'" for word in words)
    script = (f'. "$1"; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; COMP_LINE="{" ".join(words)}"; '
              'COMP_POINT=${#COMP_LINE}; f=$(complete -p truespan | sed "s/.*-F \\([^ ]*\\).*/\\1/"); '
              '"$f" truespan "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"; printf "%s\\n" "${COMPREPLY[@]}"')
    run = shell(["bash", "--norc", "-c"], text, script)
    return run.stdout.split(), run.stderr


def test_bash(tap):
    text = completion("bash")
    tap.equal(shell(["bash", "-c"], text, 'bash -n "$1"').returncode, 0, "bash -n")
    words, err = bash_offers(text, "truespan", "ch")
    tap.check("check" in words and "lab" not in words, words, err)
    words, err = bash_offers(text, "truespan", "check", "--clo")
    tap.equal(words, ["--clock-key"], "options")
    words, err = bash_offers(text, "truespan", "check", "--format", "jae")
    tap.equal(words, ["jaeger"], "choices")


def test_zsh(tap):
    if not shutil.which("zsh"):
        return "zsh is not installed"
    text = completion("zsh")
    run = shell(["zsh", "-f", "-c"], text, 'zsh -n "$1"')
    tap.check(run.returncode == 0 and not run.stderr, "zsh -n", run.stdout, run.stderr)
    # The completion itself, on a terminal of zsh's own making: type, press tab twice, and look.
    script = r'''
        dir=$(mktemp -d); cp $1 $dir/_truespan
        zmodload zsh/zpty
        zpty z zsh -f -i
        zpty -w z "PS1='>'; unsetopt zle_bracketed_paste; fpath=($dir \$fpath); autoload -U compinit; compinit -u -D; zstyle ':completion:*' list-prompt ''; LISTMAX=1000; echo re''ady"
        zpty -r z line '*ready*'
        zpty -w -n z $'truespan check --clo\t'
        zpty -r z line '*--clock-key*' && print found-option
        zpty -w -n z $'\C-utruespan che\t'
        zpty -r z line '*truespan check*' && print found-command
        zpty -d z; rm -rf $dir'''
    run = shell(["zsh", "-f", "-c"], text, script)
    tap.check("found-option" in run.stdout, "options", run.stdout, run.stderr)
    tap.check("found-command" in run.stdout, "commands", run.stdout, run.stderr)


tap = Tap()
tap.run("bash", test_bash)
tap.run("zsh", test_zsh)
tap.done()
