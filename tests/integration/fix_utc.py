#!/usr/bin/env python3
"""truespan clocks and fix with --bounds: what is known of some clocks from outside, in every way of writing it, makes the
times of all of them absolute. Truth is random. usage: fix_utc.py TRUESPAN [SEED]. TAP on stdout."""
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fix_traces import EPOCH, MS, WRITERS, Clock, calls, read
from lab_tap import Tap

TRUESPAN = sys.argv[1]
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 31)
SECONDS = 20


def run(*args):
    done = subprocess.run([TRUESPAN, *args], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def write(folder, name, data):
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())
    return path


class Sighting:
    """At true time t, what someone outside says of a clock: an interval that holds its offset."""

    def __init__(self, rng, host, clock, t, error):
        self.host, self.at = host, clock.read(t)
        self.truth = self.at - t
        self.error = error
        self.offset = self.truth + rng.randrange(-error, error + 1)


def as_offsets(rows):
    return "clock,at,offset_ns,error_ns\n" + "".join(f"{r.host},{r.at},{r.offset},{r.error}\n" for r in rows)


def as_clockbound(rows):
    return "clock,at,earliest,latest\n" + "".join(
        f"{r.host},{r.at},{r.at - r.offset - r.error},{r.at - r.offset + r.error}\n" for r in rows)


def seconds(ns):
    return f"{ns / 1e9:.9f}"


def as_chrony(rows):
    return "".join(f"clock {r.host} at {r.at}\nReference ID    : CB00710F (ntp.example.net)\nStratum         : 3\n"
                   f"System time     : {seconds(abs(r.offset))} seconds {'fast' if r.offset > 0 else 'slow'} of NTP time\n"
                   f"Root delay      : {seconds(r.error)} seconds\nRoot dispersion : {seconds((r.error + 1) // 2)} seconds\n"
                   "Leap status     : Normal\n" for r in rows)


def as_chrony_fields(rows):
    return "".join(f"{r.host},{r.at},CB00710F,203.0.113.15,3,1700000000.1,{seconds(-r.offset)},0.0,0.0,1.0,0.0,0.1,"
                   f"{seconds(r.error)},{seconds((r.error + 1) // 2)},64.2,Normal\n" for r in rows)


WAYS = [as_offsets, as_clockbound, as_chrony, as_chrony_fields]


def random_case(rng, drifts=(-30, 30)):
    hosts = ["host-%c" % c for c in "abcde"]
    truth = {h: Clock(rng.choice((-1, 1)) * rng.randrange(6 * MS, 40 * MS), rng.uniform(*drifts)) for h in hosts}
    truth[rng.choice(hosts)] = Clock()
    spans = calls(rng, hosts, 500, SECONDS)
    known = rng.sample(hosts, 2)
    rows = [Sighting(rng, h, truth[h], EPOCH + int(k * 1e9), rng.randrange(20_000, 200_000))
            for h in known for k in range(0, SECONDS, 4)]
    return truth, spans, rows


def offset(clock, at):
    """The clock's offset when it showed at; drift of an offset is far below 1 ns."""
    t = at - clock.offset
    return clock.read(t) - t


def absolute(tap, folder, way, rng, drifts=(-30, 30)):
    truth, spans, rows = random_case(rng, drifts)
    raw = WRITERS["otlp.json"](spans, truth)
    path, bounds = write(folder, "trace.json", raw), write(folder, "bounds", way(rows))
    rc, out, err = run("clocks", "--json", "--bounds", bounds, path)
    if not tap.equal((rc, err), (1, ""), "clocks"):
        return
    answer = json.loads(out)
    tap.equal(answer["reference"], "UTC", "reference")
    for c in answer["clocks"]:
        clock = truth[c["clock"]]
        tap.equal(c["verdict"], "proven" if clock.offset else "ok", "verdict of " + c["clock"])
        for knot in c["knots"]:
            x = offset(clock, int(knot["at"]))
            tap.check(knot["lo_ns"] - 2 <= x <= knot["hi_ns"] + 2, f"{c['clock']}: {x} is not in {knot}")
            tap.check(abs(knot["offset_ns"] - x) < 500_000, f"{c['clock']}: estimate {knot}, truth {x}")
    fixed = os.path.join(folder, "fixed.json")
    rc, out, err = run("fix", path, "--bounds", bounds, "-o", fixed)
    tap.equal((rc, err), (0, ""), "fix: " + out)
    was, now = read("otlp.json", raw), read("otlp.json", open(fixed, "rb").read())
    for s in spans:
        tap.check(abs(now[s.id][0] - s.start) < 500_000, f"a stamp of {s.host} is {now[s.id][0] - s.start} ns off")
        if not truth[s.host].offset:
            tap.equal(now[s.id], was[s.id], "a clock that was right")


LOG_BANNER = ("=" * 120 + "\n   Date (UTC) Time     IP Address   St   Freq ppm   Skew ppm     Offset L Co  Offset sd "
              "Rem. corr. Root delay Root disp. Max. error\n" + "=" * 120 + "\n")


def tracking_log(tap, folder, rng):
    """chrony's logs of two clocks that it keeps within 50 us: the others' offsets are proven from there."""
    hosts = ["host-%c" % c for c in "abcde"]
    truth = {h: Clock(rng.choice((-1, 1)) * rng.randrange(6 * MS, 40 * MS), rng.uniform(-30, 30)) for h in hosts}
    kept = rng.sample(hosts, 2)
    text = ""
    for h in kept:
        truth[h] = Clock(rng.randrange(-50_000, 50_000))
        text += f"clock {h}\n{LOG_BANNER}"
        for k in range(0, SECONDS, 4):
            at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(EPOCH // 10**9 + k))
            text += (f"{at} 203.0.113.15     2     -3.541      0.075 -8.621e-06 N  2  2.940e-03 -2.084e-04  1.534e-02  "
                     f"3.472e-04  {abs(truth[h].offset) / 1e9 + rng.uniform(1e-5, 1e-3):.3e}\n")
    path = write(folder, "trace.json", WRITERS["otlp.json"](calls(rng, hosts, 500, SECONDS), truth))
    rc, out, err = run("clocks", "--json", "--bounds", write(folder, "chrony.txt", text), path)
    if not tap.equal((rc, err), (1, ""), "clocks"):
        return
    for c in json.loads(out)["clocks"]:
        clock = truth[c["clock"]]
        tap.equal(c["verdict"], "ok" if c["clock"] in kept else "proven", c["clock"])
        for knot in c["knots"]:
            x = offset(clock, int(knot["at"]))
            tap.check(knot["lo_ns"] - 2 <= x <= knot["hi_ns"] + 2, f"{c['clock']}: {x} is not in {knot}")


def all_alike(tap, folder, rng):
    """Every clock 7 ms ahead: without help nothing can be seen, with help all is."""
    truth = {"host-%c" % c: Clock(7 * MS) for c in "abc"}
    spans = calls(rng, list(truth), 300, SECONDS)
    path = write(folder, "trace.json", WRITERS["otlp.json"](spans, truth))
    rc, out, _ = run("clocks", "--json", path)
    tap.equal((rc, {c["verdict"] for c in json.loads(out)["clocks"]}), (0, {"ok"}), "without help")
    row = Sighting(rng, "host-b", truth["host-b"], EPOCH + int(5e9), 1000)
    bounds = write(folder, "bounds.csv", as_offsets([row]))
    rc, out, _ = run("clocks", "--json", "--bounds", bounds, path)
    tap.equal((rc, {c["verdict"] for c in json.loads(out)["clocks"]}), (1, {"proven"}), "with help")
    fixed = os.path.join(folder, "fixed.json")
    rc, out, _ = run("fix", path, "--bounds", bounds, "-o", fixed)
    now = read("otlp.json", open(fixed, "rb").read())
    errors = sorted(abs(now[s.id][0] - s.start) for s in spans)
    tap.check(rc == 0 and errors[-1] < 500_000, f"after fix: {rc}, errors to {errors[-1]} ns: {out}")
    # A bound on a clock that is right moves nothing.
    right = {h: Clock() for h in truth}
    path = write(folder, "right.json", WRITERS["otlp.json"](spans, right))
    row = Sighting(rng, "host-b", right["host-b"], EPOCH + int(5e9), 1000)
    rc, out, _ = run("fix", path, "--bounds", write(folder, "right.csv", as_offsets([row])), "-o", fixed)
    tap.check(rc == 0 and open(fixed, "rb").read() == open(path, "rb").read(), "right clocks were moved:", out)


def contradictions(tap, folder, rng):
    """Two bounds on one clock that no drift joins; and bounds on two clocks that their hops contradict."""
    truth = {"host-%c" % c: Clock() for c in "abc"}
    spans = calls(rng, list(truth), 300, SECONDS)
    path = write(folder, "trace.json", WRITERS["otlp.json"](spans, truth))
    for name, second in (("one", f"host-a,{EPOCH + int(6e9)},30000000,1000"), ("two", f"host-b,{EPOCH + int(6e9)},30000000,1000")):
        bounds = write(folder, name + ".csv", f"clock,at,offset_ns,error_ns\nhost-a,{EPOCH + int(5e9)},0,1000\n{second}\n")
        fixed = os.path.join(folder, name + ".json")
        rc, out, err = run("fix", path, "--bounds", bounds, "-o", fixed)
        tap.check(rc == 2 and not os.path.exists(fixed), "fix:", rc, out)
        rc, out, _ = run("clocks", path, "--bounds", bounds)
        for said in (err, out):
            tap.check("contradict" in said and "line 2" in said and "line 3" in said and "UTC" in said, "the proof:", said)
            sums = [int(line.split()[-1].replace(",", "")) for line in said.splitlines() if line.split()[:1] == ["sum"]]
            tap.check(len(sums) == 1 and -31e6 < sums[0] < -20e6, "sum:", sums)
        rc, out, _ = run("clocks", "--json", path, "--bounds", bounds)
        tap.check("proven" not in {c["verdict"] for c in json.loads(out)["clocks"]}, "proven from a contradiction")


def why(tap, folder, rng):
    """The chain from UTC names the line of the bound, and adds up."""
    truth, spans, rows = random_case(rng)
    path = write(folder, "trace.json", WRITERS["otlp.json"](spans, truth))
    bounds = write(folder, "bounds.csv", as_offsets(rows))
    host = rng.choice([h for h in truth if h not in {r.host for r in rows}])
    rc, out, err = run("clocks", "--json", "--why", host, path, "--bounds", bounds)
    answer = json.loads(out)
    clock = next(c for c in answer["clocks"] if c["clock"] == host)
    knot = next(k for k in clock["knots"][::-1] if k["at"] == answer["why"]["at"])
    for side, bound in (("hi", knot["hi_ns"]), ("lo", -knot["lo_ns"])):
        links = answer["why"][side]
        tap.equal((links[0 if side == "hi" else -1]["from" if side == "hi" else "to"], sum(k["limit_ns"] for k in links)),
                  ("UTC", bound), side)
        line = links[0 if side == "hi" else -1]["bound_line"]
        row = rows[line - 2]
        limit = links[0 if side == "hi" else -1]["limit_ns"]
        tap.check(0 <= limit - (row.offset + row.error if side == "hi" else row.error - row.offset) <= 10, "the limit of line", line)


def refusals(tap, folder):
    truth = {"host-a": Clock(), "host-b": Clock()}
    path = write(folder, "trace.json", WRITERS["otlp.json"](calls(random.Random(1), list(truth), 20, 2), truth))
    good = write(folder, "good.csv", "clock,at,offset_ns,error_ns\nhost-a,1700000001000000000,0,5\nhost-z,1,0,5\n")
    bad = write(folder, "bad.csv", "clock,at,offset_ns,error_ns\nhost-a,1700000001000000000,0,many\n")
    other = write(folder, "other.csv", "clock,at,offset_ns,error_ns\nhost-x,1700000001000000000,0,5\n")
    for args, words in ((["--bounds", bad], "bad.csv: line 2, column 30: error_ns"), (["--bounds", other], "host-x"),
                        (["--bounds", good, "--reference", "host-a"], "--reference"), (["--bounds", "/nowhere"], "/nowhere")):
        for command in (["clocks", path], ["fix", path, "-o", path + ".fixed"]):
            rc, out, err = run(*command, *args)
            tap.check(rc == 2 and not out and words in err, args, rc, out, err)
    rc, _, err = run("clocks", path, "--bounds", good)
    tap.check(rc == 0 and re.search("1 of 2 bounds", err), "a clock that is not there:", rc, err)


def main():
    print("# seed", SEED)
    rng = random.Random(SEED)
    tap = Tap()
    for name, test, *args in [*((f"absolute time {way.__name__}", absolute, way, rng) for way in WAYS),
                              ("absolute time, four of five drift alike", absolute, as_clockbound, rng, (-27, -21)),
                              ("chrony's tracking.log", tracking_log, rng),
                              ("all clocks off alike", all_alike, rng), ("contradictory bounds", contradictions, rng),
                              ("--why adds up from UTC", why, rng), ("refusals", refusals)]:
        with tempfile.TemporaryDirectory() as folder:
            tap.run(name, test, folder, *args)
    tap.done()


main()
