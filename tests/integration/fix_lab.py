#!/usr/bin/env python3
"""The lab's own runs through truespan clocks and truespan fix, against the lab's truth. usage: fix_lab.py TRUESPAN.
TAP on stdout."""
import glob, json, os, subprocess, sys, tempfile
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fix_traces import MS, read
from lab_tap import Spans, read_truth

TRUESPAN = sys.argv[1]
SWEEP = (0, 5, 10)
# What can be proven, and how exactly, rests on the fastest hop of each edge. A machine that keeps every single hop of an
# edge waiting is another experiment than the one that is meant here: by the truth, not by the answer, such a run is told
# and made again.
DELAY_MS, FLOOR_MS, TRIES = 1, 0.25, 8


def run(*args):
    p = subprocess.run([TRUESPAN, *args], capture_output=True, timeout=240)
    return p.returncode, p.stdout, p.stderr.decode()


def get(path):
    with open(path, "rb") as f:
        return f.read()


def point(folder, skew, lines):
    """What one point of the sweep shows; every line is (ok, text)."""
    otlp, fixed = os.path.join(folder, "zmq-%dms" % skew, "otlp"), os.path.join(folder, "fixed-%d" % skew)
    files = sorted(glob.glob(os.path.join(otlp, "*.jsonl")))
    rc, out, err = run("clocks", "--json", otlp)
    found = json.loads(out)["clocks"]
    wrong = [c for c in found if c["verdict"] in ("proven", "suspected")]
    lines.append((rc == (1 if skew else 0), "%d ms: clocks' exit code %d %s" % (skew, rc, err)))
    if skew:
        lines.append(([c["verdict"] for c in wrong] == ["proven"], "%d ms: one clock proven wrong" % skew))
        offset = wrong[0]["offset_ns"] if wrong else 0
        lines.append((abs(offset - skew * MS) < 0.5 * MS, "%d ms: its estimate is %.3f ms" % (skew, offset / MS)))
    else:
        lines.append((not wrong, "0 ms: nobody accused"))
    rc, out, err = run("fix", *files, "-o", fixed, "--json")
    said = json.loads(out)
    lines.append((rc == 0 and said["left"]["total"] == 0, "%d ms: %d violations, fixed: %d left %s" % (
        skew, said["before"]["total"], said["left"]["total"], err)))
    check = json.loads(run("check", "--json", fixed)[1])["violations"]["total"]
    lines.append((check == 0, "%d ms: check finds %d" % (skew, check)))
    truth = {}
    with open(os.path.join(folder, "zmq-%dms" % skew, "truth.jsonl")) as f:
        for line in f:
            row = json.loads(line)
            truth[row["span_id"]] = (int(row["start"]), int(row["end"]))
    errors, still = [], True
    for path in files:
        before, after = get(path), get(os.path.join(fixed, os.path.basename(path)))
        was, now = read("otlp.json", before), read("otlp.json", after)
        moved = "inference" in path and skew
        still = still and (moved or before == after)
        for i in now:
            errors += [abs(now[i][0] - truth[i][0]), abs(now[i][1] - truth[i][1])] if moved else []
            still = still and now[i][1] - now[i][0] - (was[i][1] - was[i][0]) in (-2, -1, 0, 1, 2) or moved
    lines.append((still, "%d ms: files of right clocks are the same bytes" % skew))
    if errors:
        errors.sort()
        p50, p99 = errors[len(errors) // 2], errors[int(0.99 * len(errors))]
        lines.append((p99 < 0.5 * MS, "%d ms: corrected stamps' error p50 %.0f us, p99 %.0f us" % (skew, p50 / 1e3, p99 / 1e3)))


def slowest_floor(folder):
    """The largest of the fastest true delays of each edge in each second, beyond the link's, ms."""
    spans, truth, delays = Spans(folder), read_truth(folder), {}
    for parent, child in spans.hops():
        sent, received = truth[parent["id"]][0], truth[child["id"]][0]
        delays.setdefault((parent["host"], child["host"], received // (1000 * MS)), []).append(received - sent)
    return max(min(some) for some in delays.values() if len(some) >= 10) / MS - DELAY_MS


def lab(folder, skew):
    """A run at one skew, on a machine that was quick enough at times: (None, its folder), or why there is none."""
    for k in range(TRIES):
        made = "%s-%d-%d" % (folder, skew, k)
        rc, out, err = run("lab", "--sweep", "%dms" % skew, "--duration", "4s", "--quick", "--rate", "40", "--transport",
                           "zmq", "--nodes", "process", "--hop-delay", "%dms" % DELAY_MS, "--jitter", "0ms", "-o", made)
        if rc == 2:
            return "the lab cannot run here: %s" % err.strip().replace("\n", " "), None
        late = slowest_floor(os.path.join(made, "zmq-%dms" % skew))
        if late < FLOOR_MS:
            return None, made
        print("# %d ms, run %d: the fastest hop of some edge was %.2f ms late" % (skew, k + 1, late))
    return "this machine is too slow: in each of %d runs some edge had no hop that was not kept waiting" % TRIES, None


def main():
    lines = []
    with tempfile.TemporaryDirectory() as top:
        folder = os.path.join(top, "run")
        for skew in SWEEP:
            why, made = lab(folder, skew)
            if why:
                lines.append((True, "%d ms # SKIP %s" % (skew, why)))
            else:
                point(made, skew, lines)
    for k, (ok, text) in enumerate(lines):
        print("%sok %d - %s" % ("" if ok else "not ", k + 1, text.strip().replace("\n", " ")))
    print("1..%d" % len(lines))
    return any(not ok for ok, _ in lines)


sys.exit(main())
