#!/usr/bin/env python3
"""truespan fix on every sample there is, and in whatever order its input comes: what was fixed stays as it is when it is
fixed again, what is left is what check counts, and no order of files or spans changes an answer.
usage: fix_samples.py TRUESPAN FOLDER [MORE FOLDERS] [--seed N]. TAP on stdout."""
import json
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fix_traces import MS, WRITERS, Clock, calls, read
from lab_tap import Tap

TRUESPAN = sys.argv[1]
ARGUMENTS = sys.argv[2:]
SEED = random.SystemRandom().randrange(1 << 31)
if "--seed" in ARGUMENTS:
    SEED = int(ARGUMENTS[ARGUMENTS.index("--seed") + 1])
    ARGUMENTS = ARGUMENTS[:ARGUMENTS.index("--seed")]
LARGEST = 8 << 20  # bytes; larger samples take too long here


def run(*args):
    done = subprocess.run([TRUESPAN, *args], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def get(path):
    with open(path, "rb") as file:
        return file.read()


def put(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    return path


def violations(path):
    found = json.loads(run("check", "--json", path)[1])["violations"]
    return {kind: n for kind, n in found.items() if n}


def sample(tap, folder, path, late):
    """late: what becomes of stamps that no clock explains."""
    fixed, again = (os.path.join(folder, n + os.path.basename(path)) for n in ("fixed-", "again-"))
    rc, out, err = run("fix", "--json", "--late-stamps", late, path, "-o", fixed)
    if rc == 2:
        tap.check(err and not os.path.exists(fixed), "nothing was to be written, and why:", err)
        return f"cannot be fixed: {err.splitlines()[0][:90]}"
    said = json.loads(out)
    tap.equal(violations(fixed), {kind: n for kind, n in said["left"].items() if n}, "what is left")
    tap.equal(rc, 1 if said["left"]["total"] else 0, "exit code")
    tap.check(said["left"]["total"] <= said["before"]["total"], "more is left than there was:", said)
    if not said["spans_moved"]:
        tap.check(get(fixed) == get(path) or path.endswith((".gz", ".zst")), "nothing was moved, but bytes changed")
    rc, out, _ = run("fix", "--json", "--late-stamps", late, fixed, "-o", again)
    tap.equal(json.loads(out)["spans_moved"], 0, "fixing the fixed moved spans")
    tap.check(get(again) == get(fixed), "fixing the fixed changed bytes")
    return None


def trace(rng):
    hosts = ["host-%c" % c for c in "abcdef"]
    truth = {h: Clock() for h in hosts}
    for h in rng.sample(hosts, 3):
        truth[h] = Clock(rng.choice((-1, 1)) * rng.randrange(3 * MS, 40 * MS), rng.uniform(-30, 30))
    return truth, calls(rng, hosts, 200, 10)


def order_of_files(tap, folder, rng):
    """A file a host, given in three orders: the same answer, and the same bytes in each file."""
    truth, spans = trace(rng)
    paths = [put(os.path.join(folder, "in", h + ".jsonl"),
                 WRITERS["otlp.json"]([s for s in spans if s.host == h], {h: truth[h]})) for h in truth]
    answers, outputs = [], []
    for k in range(3):
        rng.shuffle(paths)
        answers.append(run("clocks", "--json", *paths)[1])
        out = os.path.join(folder, "out%d" % k)
        tap.equal(run("fix", *paths, "-o", out)[0], 0, "fix")
        outputs.append({name: get(os.path.join(out, name)) for name in sorted(os.listdir(out))})
    tap.check(answers[0] == answers[1] == answers[2], "clocks answers otherwise")
    tap.check(outputs[0] == outputs[1] == outputs[2], "fix writes otherwise")
    out = os.path.join(folder, "whole")
    tap.equal(run("fix", os.path.join(folder, "in"), "-o", out)[0], 0, "fix a folder")
    tap.check({name: get(os.path.join(out, name)) for name in os.listdir(out)} == outputs[0], "the folder is another")


def order_of_spans(tap, folder, rng, name):
    truth, spans = trace(rng)
    stamps, answers = [], []
    for k in range(3):
        rng.shuffle(spans)
        hosts = list(truth)
        rng.shuffle(hosts)
        # Zipkin's hosts are numbered in their order, so that stays.
        clocks = truth if name == "zipkin.json" else {h: truth[h] for h in hosts}
        path = put(os.path.join(folder, "%d.%s" % (k, name)), WRITERS[name](spans, clocks))
        answers.append(run("clocks", "--json", path)[1])
        tap.equal(run("fix", path, "-o", path + ".fixed")[0], 0, "fix")
        stamps.append(read(name, get(path + ".fixed")))
    tap.check(answers[0] == answers[1] == answers[2], "clocks answers otherwise")
    tap.check(stamps[0] == stamps[1] == stamps[2], "spans are corrected otherwise")


def main():
    print("# seed", SEED)
    rng = random.Random(SEED)
    tap = Tap()
    paths = [os.path.join(folder, name) for folder in ARGUMENTS if os.path.isdir(folder)
             for name in sorted(os.listdir(folder))]
    for path in paths:
        if not os.path.isfile(path) or path.endswith((".md", ".chrome.json.gz")) or os.path.getsize(path) > LARGEST:
            continue
        for late in ("keep", "clamp"):
            with tempfile.TemporaryDirectory() as folder:
                tap.run(f"{os.path.basename(path)}, {late}", sample, folder, path, late)
    for k in range(3):
        with tempfile.TemporaryDirectory() as folder:
            tap.run(f"order of files, round {k}", order_of_files, folder, rng)
    for name in WRITERS:
        with tempfile.TemporaryDirectory() as folder:
            tap.run(f"order of spans, {name}", order_of_spans, folder, rng, name)
    tap.done()


main()
