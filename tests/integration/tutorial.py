#!/usr/bin/env python3
"""The tutorial's commands, run as they stand there: the same words come out, and numbers close to those shown.
usage: tutorial.py TRUESPAN TUTORIAL TRACE. TAP on stdout."""
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab_tap import Tap

TRUESPAN, TUTORIAL, TRACE = (os.path.abspath(path) for path in sys.argv[1:4])
NUMBER = re.compile(r"(?<![\w./])[+-]?\d[\d,]*(?:\.\d+)?(?![\w./])")
NEAR = 0.2  # a better solver moves an estimate; a picture of another trace would not pass
HOME = tempfile.TemporaryDirectory(prefix="tutorial-test-")


def examples(text):
    """(command, lines shown) of each block that begins with a prompt."""
    for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.M):
        lines = [line[4:] for line in block.splitlines()]
        starts = [k for k, line in enumerate(lines) if line.startswith("$ ")]
        for start, end in zip(starts, starts[1:] + [len(lines)]):
            yield lines[start][2:], [line for line in lines[start + 1:end] if line.strip()]


def same(shown, said):
    """The words, and numbers within NEAR."""
    words = [" ".join(NUMBER.sub("#", line).split()) for line in (shown, said)]
    numbers = [[float(n.replace(",", "")) for n in NUMBER.findall(line)] for line in (shown, said)]
    return words[0] == words[1] and all(abs(a - b) <= NEAR * max(abs(a), abs(b)) for a, b in zip(*numbers))


def commands(tap):
    """Every command of the tutorial says what the tutorial says that it says."""
    shutil.copy(TRACE, os.path.join(HOME.name, "hotel.json"))
    with open(TUTORIAL, encoding="utf-8") as file:
        found = list(examples(file.read()))
    tap.check(len(found) >= 3, "commands with their answers", found)
    for command, shown in found:
        words = shlex.split(command)
        tap.equal(words[0], "truespan", command)
        done = subprocess.run([TRUESPAN, *words[1:]], cwd=HOME.name, capture_output=True, timeout=60, check=False,
                              env=dict(os.environ, LC_ALL="C.UTF-8"))
        tap.check(done.returncode in (0, 1), command, done.stderr.decode())
        said = [line for line in (done.stdout + done.stderr).decode().splitlines() if line.strip()]
        if "..." in shown:  # the rest is left out
            shown = shown[:shown.index("...")]
            said = said[:len(shown)]
        tap.equal(len(said), len(shown), f"{command}: lines; said: {said}")
        for line, want in zip(said, shown):
            tap.check(same(want, line), f"{command}: said {line!r}, shown {want!r}")


tap = Tap()
tap.run(commands.__doc__.splitlines()[0], commands)
HOME.cleanup()
tap.done()
