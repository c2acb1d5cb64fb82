#!/usr/bin/env python3
"""Clocks of a simulated lab whose truth is drawn at random: five clocks in one ring, of which one is off, drifts and steps
amid the run. Nobody is accused who is right. In a ring the cycles are wrong for all five in the window of the step, and a
drift is hard to tell where windows are few, so of eight runs seven must be told as they were and leave the others alone.
usage: sim_clocks.py TRUESPAN [SEED [RUNS]]. TAP on stdout."""
import json, os, random, subprocess, sys, tempfile
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab_tap import Tap

TRUESPAN = sys.argv[1]
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 31)
RUNS = int(sys.argv[3]) if len(sys.argv) > 3 else 8
STAGE = "inference-0"


def truth_of(rng):
    def signed(least, most):
        return rng.choice((-1, 1)) * round(rng.uniform(least, most), 1)

    return {"skew_ms": signed(5, 9), "drift_ppm": signed(5, 30), "step_ms": signed(5, 12), "at_s": rng.randint(100, 220)}


def simulate(truth, seed, folder):
    subprocess.run([TRUESPAN, "sim", "--sweep", "%sms" % truth["skew_ms"], "--drift", str(truth["drift_ppm"]), "--step",
                    "%sms@%ds" % (truth["step_ms"], truth["at_s"]), "--duration", "5m", "--rate", "4", "--quick", "--seed",
                    str(seed), "-o", folder], capture_output=True, timeout=300)
    return os.path.join(folder, "virtual-%gms" % truth["skew_ms"], "otlp")


def clocks(traces):
    done = subprocess.run([TRUESPAN, "clocks", "--json", traces], capture_output=True, timeout=300)
    assert done.returncode in (0, 1), done.stderr.decode()
    return {row["clock"]: row for row in json.loads(done.stdout)["clocks"]}


def one_run(tap, seed, folder, told, left_alone):
    truth = truth_of(random.Random(seed))
    rows = clocks(simulate(truth, seed, folder))
    wrong, said = rows.pop(STAGE), "seed %d, %s:" % (seed, truth)
    for name, row in rows.items():
        tap.check(row["verdict"] not in ("proven", "suspected"), said, name, "is", row["verdict"])
    steps = [step["size_ns"] / 1e6 for step in wrong["steps"]]
    told.append(len(steps) == 1 and abs(steps[0] - truth["step_ms"]) < 0.3 and
                abs(wrong["drift_ppb"] / 1e3 - truth["drift_ppm"]) < 1.5)
    left_alone.append(all(abs(row["offset_ns"] or 0) < 3e6 for row in rows.values()))
    if not told[-1] or not left_alone[-1]:
        print("#", said, "steps", steps, "drift", wrong["drift_ppb"], {n: row["offset_ns"] for n, row in rows.items()})


def enough(tap, told, left_alone):
    tap.check(sum(told) >= 7 / 8 * len(told), "of", len(told), "runs only", sum(told), "are told")
    tap.check(sum(left_alone) >= 7 / 8 * len(told), "in", len(told) - sum(left_alone), "runs right clocks are moved")


def main():
    tap = Tap()
    print("# seed %d" % SEED)
    told, left_alone = [], []
    with tempfile.TemporaryDirectory() as base:
        for k in range(RUNS):
            tap.run("one clock of five is off, drifts and steps: no other is accused (%d)" % (k + 1), one_run, SEED + k,
                    os.path.join(base, str(k)), told, left_alone)
    tap.run("drift and step are told, the others left alone", enough, told, left_alone)
    tap.done()


main()
