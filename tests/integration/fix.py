#!/usr/bin/env python3
"""truespan clocks and truespan fix through their command lines, on random traces of known truth in every format, and on
the inputs that other tools get wrong. usage: fix.py TRUESPAN [SEED]. TAP on stdout."""
import json, os, random, re, subprocess, sys, tempfile
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fix_traces import EPOCH, MS, WRITERS, Clock, Span, calls, read

TRUESPAN = sys.argv[1]
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 31)
failures = count = 0


def test(name, fn):
    global failures, count
    count += 1
    try:
        fn()
        print("ok %d - %s" % (count, name))
    except AssertionError as e:
        failures += 1
        print("not ok %d - %s\n# %s" % (count, name, str(e).replace("\n", "\n# ")[:2000]))
    sys.stdout.flush()


def equal(a, b, what):
    assert a == b, "%s: %r, want %r" % (what, a, b)


def run(*args, stdin=None):
    p = subprocess.run([TRUESPAN, *args], input=stdin, capture_output=True, timeout=120)
    return p.returncode, p.stdout, p.stderr


def put(path, data):
    with open(path, "wb") as f:
        f.write(data)
    return path


def get(path):
    with open(path, "rb") as f:
        return f.read()


def violations(path):
    return json.loads(run("check", "--json", path)[1])["violations"]


def clocks(path, *args):
    rc, out, err = run("clocks", "--json", *args, path)
    assert rc in (0, 1), "clocks: %d %s" % (rc, err)
    return rc, {c["clock"]: c for c in json.loads(out)["clocks"]}


STAMP = re.compile(rb'("(?:startTimeUnixNano|endTimeUnixNano|timeUnixNano|startTime|duration|timestamp)": "?)\d+')


def only_stamps_changed(name, before, after):
    if name == "otlp.pb":
        equal(len(after), len(before), "length")
        stamped = set()
        for row in read(name, before).values():
            for ns in (row[0], row[1], *row[2]):
                raw, at = ns.to_bytes(8, "little"), -1
                while (at := before.find(raw, at + 1)) >= 0:
                    stamped.update(range(at, at + 8))
        other = [k for k in range(len(before)) if before[k] != after[k] and k not in stamped]
        assert not other, "bytes changed that are no stamps: %s" % other[:10]
    else:
        equal(STAMP.sub(rb"\1#", after), STAMP.sub(rb"\1#", before), "bytes besides stamps")


def quantile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(p * len(values)))]


def random_trace(rng):
    hosts = ["host-%c" % c for c in "abcdef"[:rng.randrange(4, 7)]]
    truth = {h: Clock() for h in hosts}
    for h in rng.sample(hosts[1:], 1 + (len(hosts) > 4)):
        truth[h] = Clock(rng.choice((-1, 1)) * rng.randrange(6 * MS, 40 * MS), rng.uniform(-30, 30))
    return truth, calls(rng, hosts, 400, 20)


def check_format(folder, name, rng):
    truth, spans = random_trace(rng)
    raw = WRITERS[name](spans, truth)
    path, fixed, again = (put(os.path.join(folder, n + "." + name), raw) for n in ("in", "out", "again"))
    unit = 1 if name.startswith("otlp") else 1000
    assert violations(path)["total"] > 0, "the input has no violation"
    rc, found = clocks(path)
    equal(rc, 1, "clocks' exit code")
    for host, clock in truth.items():
        c = found[host if host in found else "10.0.0.%d" % (list(truth).index(host) + 1)]
        equal(c["verdict"], "proven" if clock.offset else "ok", "verdict of " + host)
        for knot in c["knots"]:
            at = int(knot["at"])
            x = clock.read(at - clock.offset) - (at - clock.offset)  # near enough: drift of an offset is below 1 ns
            assert knot["lo_ns"] is None or knot["lo_ns"] <= x + 2 * unit, "lo of %s at %d: %r > %d" % (host, at, knot, x)
            assert knot["hi_ns"] is None or knot["hi_ns"] >= x - 2 * unit, "hi of %s at %d: %r < %d" % (host, at, knot, x)
    rc, out, err = run("fix", path, "-o", fixed)
    equal((rc, violations(fixed)["total"]), (0, 0), "exit code, violations left: %s %s" % (out, err))
    after = get(fixed)
    only_stamps_changed(name, raw, after)
    was, now = read(name, raw), read(name, after)
    errors = []
    for s in spans:
        a, b = was[s.id], now[s.id]
        if not truth[s.host].offset:
            equal(b, a, "stamps of a right clock")
        errors.append(abs(b[0] - s.start))
        assert abs((b[1] - b[0]) - (a[1] - a[0])) <= (a[1] - a[0]) * 100e-6 + 2 * unit, "duration of " + s.id
        for x, y in zip(a[2], b[2]):
            assert abs((y - x) - (b[0] - a[0])) <= (x - a[0]) * 100e-6 + 2 * unit, "event of %s left behind" % s.id
    p50, p99 = quantile(errors, 0.5), quantile(errors, 0.99)
    print("# %s: stamps' error against truth p50 %.2f us, p99 %.2f us" % (name, p50 / 1e3, p99 / 1e3))
    assert p99 < 500_000, "error of corrected stamps: p99 %d ns" % p99
    order = lambda rows, h: [i for _, i in sorted((rows[s.id][0], s.id) for s in spans if s.host == h)]
    if unit == 1:
        for h in truth:
            equal(order(now, h), order(was, h), "order on " + h)
    equal(run("fix", fixed, "-o", again)[0], 0, "fixing the fixed")
    assert get(again) == after, "fixing the fixed changed something"
    rc, out, _ = run("fix", "-", "-o", "-", stdin=raw)
    assert rc == 0 and out == after, "through pipes: %d" % rc


def check_split(folder, rng):
    """Several files, one solution: each clock's spans in a file of its own, in a folder too."""
    truth, spans = random_trace(rng)
    paths = []
    whole = put(os.path.join(folder, "whole.json"), WRITERS["otlp.json"](spans, truth))
    os.makedirs(os.path.join(folder, "parts/deep"))
    for k, host in enumerate(truth):
        data = WRITERS["otlp.json"]([s for s in spans if s.host == host], {host: truth[host]})
        paths.append(put(os.path.join(folder, "parts", "deep" if k % 2 else "", host + ".otlp.jsonl"), data))
    one, many, tree = (os.path.join(folder, n) for n in ("one.json", "many", "tree"))
    equal(run("fix", whole, "-o", one)[0], 0, "one file")
    equal(run("fix", *paths, "-o", many)[0], 0, "several files")
    equal(run("fix", os.path.join(folder, "parts"), "-o", tree)[0], 0, "a folder")
    want = read("otlp.json", get(one))
    for out in (many, tree):
        got = {}
        for root, _, files in os.walk(out):
            for f in files:
                got.update(read("otlp.json", get(os.path.join(root, f))))
        equal(got.keys(), want.keys(), "spans in " + out)
        # Files come in another order below the folder: a frame that is as good may be chosen.
        far = max(abs(got[i][0] - want[i][0]) for i in want)
        assert far <= (0 if out == many else 200_000), "stamps in %s differ by %d ns" % (out, far)
    assert os.path.exists(os.path.join(tree, "deep", "host-b.otlp.jsonl")), "the folder's shape is kept"
    equal(violations(tree)["total"], 0, "violations left")


def host_spans(rows):
    """(host, kind, parent's index or None, start ms, end ms), as stamped."""
    out = []
    for k, (host, kind, parent, start, end) in enumerate(rows):
        out.append(Span("%032x" % 7, "%016x" % (k + 1), None if parent is None else "%016x" % (parent + 1), kind, host,
                        EPOCH + int(start * MS), EPOCH + int(end * MS)))
    return out


RIGHT = {"A": Clock(), "B": Clock()}


def shifts(folder, rows, want_rc, *args, name="otlp.json"):
    """What fix moves each host by; every host by one amount only, durations kept."""
    spans = host_spans(rows)
    path = put(os.path.join(folder, "peer." + name), WRITERS[name](spans, RIGHT))
    rc, out, err = run("fix", path, "-o", path + ".fixed", *args)
    equal(rc, want_rc, "fix's exit code %s %s" % (out, err))
    was, now, moved = read(name, get(path)), read(name, get(path + ".fixed")), {}
    for s in spans:
        by = now[s.id][0] - was[s.id][0]
        equal(now[s.id][1] - was[s.id][1], by, "the duration of " + s.id)
        equal(moved.setdefault(s.host, by), by, "one offset a clock: " + s.host)
    equal(violations(path + ".fixed")["total"] > 0, want_rc == 1, "violations left")
    return moved["B"] - moved["A"], path


def peers(folder):
    # Jaeger gives A the offsets 0 and +10.
    by, _ = shifts(folder, [("A", "CLIENT", None, 0, 100), ("B", "SERVER", 0, -10, 10), ("A", "INTERNAL", 1, 35, 45)], 0)
    assert 10 * MS <= by <= 45 * MS, "J4: B by %d" % by
    # Jaeger gives B the offsets +5 and 0.
    by, _ = shifts(folder, [("A", "CLIENT", None, 0, 100), ("B", "SERVER", 0, -4, 94), ("A", "CLIENT", None, 200, 300),
                            ("B", "SERVER", 2, 203, 287)], 0)
    assert 4 * MS <= by <= 6 * MS, "J5: B by %d" % by
    # Zipkin moves only clients that start late: a server that ends late it leaves, and so does one call alone here.
    rows = [("A", "CLIENT", None, 1000, 1100), ("B", "SERVER", 0, 1040, 1120)]
    by, path = shifts(folder, rows, 1)
    equal(by, 0, "Z1, one call")
    _, found = clocks(path)
    assert all(c["verdict"] in ("ok", "unknown") for c in found.values()), "Z1: one late answer convicts nobody"
    # Zipkin knows no messages. One way only: the other bound is null.
    by, path = shifts(folder, [("A", "PRODUCER", None, 1000, 1002), ("B", "CONSUMER", 0, 955, 975)], 0)
    assert by >= 45 * MS, "Z2: B by %d" % by
    _, found = clocks(path, "--reference", "A")
    b = found["B"]
    equal((b["verdict"], b["lo_ns"], b["offset_ns"]), ("unknown", None, None), "Z2: B, of one hop")
    assert -45.1 * MS < b["hi_ns"] < -44 * MS, "Z2: hi %r" % b["hi_ns"]
    # J1, J2: no skew, nothing moves.
    by, _ = shifts(folder, [("A", "INTERNAL", None, 0, 10), ("B", "INTERNAL", 0, 20, 25)], 0)
    equal(by, 0, "J1")
    by, _ = shifts(folder, [("A", "PRODUCER", None, 0, 2), ("B", "CONSUMER", 0, 40, 41)], 0)
    equal(by, 0, "J2")


def pooled(folder, rng):
    """J6, Z1 over many calls: what one hides, all show."""
    for offset in (-5 * MS, 30 * MS):
        truth = {"A": Clock(), "B": Clock(offset), "C": Clock(), "D": Clock()}
        spans = calls(rng, list(truth), 400, 20, fastest=2 * MS, mean=4 * MS)
        path = put(os.path.join(folder, "pooled.json"), WRITERS["zipkin.json"](spans, truth))
        rc, found = clocks(path)
        b = found["10.0.0.2"]
        equal((rc, b["verdict"]), (1, "proven"), "B at %d" % offset)
        assert abs(b["offset_ns"] - offset) < 0.3 * MS, "B's offset %r, want %d" % (b["offset_ns"], offset)
        equal(run("fix", path, "-o", path + ".fixed")[0], 0, "fix")
        equal(violations(path + ".fixed")["total"], 0, "violations left")


class Stepping(Clock):
    def __init__(self, size, at):
        self.offset, self.size, self.at = 0, size, at

    def read(self, t):
        return t + (self.size if t >= self.at else 0)


def steps(folder, rng):
    """One clock jumps: the step is found and undone, each stamp on its side; spans within spans stay there."""
    for name in ("otlp.json", "jaeger.json"):
        truth = {h: Clock() for h in "ABCDE"}
        size = rng.choice((-1, 1)) * rng.randrange(5 * MS, 30 * MS)
        spans = calls(rng, list(truth), 2000, 30)
        servers = [s for s in spans if s.kind == "SERVER"]
        spans += [Span(s.trace, "%016x" % rng.getrandbits(63), s.id, "INTERNAL", s.host, s.start + 20_000, s.end - 20_000)
                  for s in servers]
        at = rng.choice([s for s in servers if s.host == "C" and 12e9 < s.start - EPOCH < 18e9]).start - 50_000
        truth["C"] = Stepping(size, at)
        path = put(os.path.join(folder, "step." + name), WRITERS[name](spans, truth))
        _, found = clocks(path)
        equal([len(found[h]["steps"]) for h in truth], [0, 0, 1, 0, 0], "steps found")
        got = found["C"]["steps"][0]
        assert abs(got["size_ns"] - size) < 100_000 and abs(int(got["at"]) - at) < 200 * MS, "step %r, want %d" % (got, size)
        rc, out, err = run("fix", path, "-o", path + ".fixed")
        equal((rc, violations(path + ".fixed")["total"]), (0, 0), "violations left: %s" % out)
        now = read(name, get(path + ".fixed"))
        errors = sorted(max(abs(now[s.id][0] - s.start), abs(now[s.id][1] - s.end)) for s in spans)
        print("# a step of %.1f ms: error p50 %.2f us, p99 %.2f us, worst %.2f us" % (
            size / 1e6, errors[len(errors) // 2] / 1e3, errors[int(0.99 * len(errors))] / 1e3, errors[-1] / 1e3))
        assert errors[int(0.99 * len(errors))] < 100_000, "error of corrected stamps"


class Slewing:
    """Moves by size within length ns from `at` on."""

    def __init__(self, size, at, length):
        self.size, self.at, self.length = size, at, length

    def read(self, t):
        return t + round(self.size * min(max((t - self.at) / self.length, 0), 1))


def slew(folder, rng):
    """The reference is slewed by 3 ms in five minutes of an hour: its bends are told as its own, and add up to the slew. Always the
    same trace; random ones are tests/sim's."""
    rng, truth = random.Random(3), {h: Clock() for h in "ABCDE"}
    size, length, at = -3 * MS, 300_000 * MS, EPOCH + 1_300_000 * MS
    spans = calls(rng, list(truth), 8000, 3600)
    truth["A"] = Slewing(size, at, length)
    _, found = clocks(put(os.path.join(folder, "slew.json"), WRITERS["otlp.json"](spans, truth)), "--reference", "A")
    for host in truth:
        got = [(int(b["at"]), b["rate_ppb"]) for b in found[host]["bends"]]
        for when, part in ((at + length // 2, 0.5), (at + length + 40_000 * MS, 1)):
            moved, want = sum(rate * (when - t) / 1e9 for t, rate in got if t < when), part * size * (host == "A")
            assert abs(moved - want) < 0.2 * abs(size), "%s, %r: moved by %d ns, not %d" % (host, got, moved, want)


def late(folder, rng):
    """1 % of spans written late: no clock moves; clamp moves those stamps and no others."""
    truth = {h: Clock() for h in ("A", "B", "C", "D")}
    spans = calls(rng, list(truth), 1500, 30, fastest=4 * MS, events=False)
    lies = rng.sample([s for s in spans if s.kind == "CLIENT"], 30)
    for s in lies:
        s.start += rng.randrange(6 * MS, 12 * MS)
        s.end = max(s.end, s.start)
    path = put(os.path.join(folder, "late.otlp.json"), WRITERS["otlp.json"](spans, truth))
    before = violations(path)
    rc, found = clocks(path)
    equal({c["verdict"] for c in found.values()}, {"ok"}, "verdicts")
    rc, out, _ = run("fix", path, "-o", path + ".kept", "--json")
    equal((rc, json.loads(out)["spans_moved"]), (1, 0), "kept")
    assert get(path + ".kept") == get(path), "kept: not the same bytes"
    rc, out, _ = run("fix", path, "-o", path + ".clamped", "--late-stamps", "clamp", "--json")
    said, after = json.loads(out), violations(path + ".clamped")
    was, now = read("otlp.json", get(path)), read("otlp.json", get(path + ".clamped"))
    moved = {i for i in was if was[i] != now[i]}
    equal(len(moved), said["spans_moved"], "spans moved")
    assert moved and moved <= {s.id for s in lies}, "clamp moved stamps that do not lie: %s" % (moved - {s.id for s in lies})
    equal(after["hard"], 0, "hard violations left of %r" % before)


def add_up(folder, rng):
    """--why: the links lead from the reference to the clock, and their limits sum to the bounds."""
    truth, spans = random_trace(rng)
    path = put(os.path.join(folder, "why.otlp.json"), WRITERS["otlp.json"](spans, truth))
    wrong = next(h for h in truth if truth[h].offset)
    rc, out, err = run("clocks", "--json", "--why", wrong, path)
    answer = json.loads(out)
    why, clock = answer["why"], next(c for c in answer["clocks"] if c["clock"] == wrong)
    raw = read("otlp.json", get(path))
    host = {s.id: s.host for s in spans}
    knot = next(k for k in clock["knots"][::-1] if k["at"] == why["at"])
    for side, first, last, bound in (("hi", answer["reference"], wrong, knot["hi_ns"]),
                                     ("lo", wrong, answer["reference"], -knot["lo_ns"])):
        at, total = first, 0
        for link in why[side]:
            equal(link["from"], at, "a chain")
            at, sent, received = link["to"], int(link["sent"]), int(link["received"])
            if link["trace_id"]:
                a, b = link["sent_span_id"], link["received_span_id"]
                equal((host[a], host[b]), (link["from"], link["to"]), "clocks of the spans")
                assert sent in raw[a][:2] and received in raw[b][:2], "stamps of the spans"
                assert 0 <= link["limit_ns"] - (received - sent) <= 10, "limit of a hop %r" % link
            else:
                assert 0 <= link["limit_ns"] <= abs(received - sent) * 1e-4 + 10, "limit of a tie %r" % link
            total += link["limit_ns"]
        equal((at, total), (last, bound), "the end and the sum of " + side)
    rc, out, _ = run("clocks", "--why", wrong, path)
    assert "{:,}".format(knot["hi_ns"]).encode() in out, "the sum as a person reads it"


def refusals(folder, rng):
    good = put(os.path.join(folder, "good.json"), WRITERS["otlp.json"](host_spans([("A", "CLIENT", None, 0, 9)]), RIGHT))
    for args, words in (
            (["clocks"], "want files"), (["fix", good], "-o OUT"), (["clocks", "/nowhere"], "/nowhere"),
            (["clocks", "--reference", "X", good], "there is no clock 'X'"),
            (["clocks", "--why", "X", good], "there is no clock 'X'"),
            (["clocks", "--quorum", "0", good], "--quorum"), (["fix", good, "-o", "x", "--quorum", "few"], "--quorum"),
            (["clocks", "--max-drift", "0", good], "--max-drift"), (["fix", good, good, "-o", "-"], "several inputs"),
            (["fix", good, "-o", os.path.join(folder, "no/where")], "no/where"),
            (["fix", good, good, "-o", os.path.join(folder, "twice")], "called 'good.json'")):
        rc, out, err = run(*args)
        assert rc == 2 and not out and words in err.decode(), "%r: %d %r %r" % (args, rc, out, err)
    # A ring of calls that all arrive before they were sent: no clocks explain it.
    rows = []
    for k in range(60):
        rows += [("A", "INTERNAL", None, 100 * k, 100 * k + 5), ("B", "INTERNAL", 4 * k, 100 * k - 10, 100 * k)]
        rows += [("B", "INTERNAL", None, 100 * k + 50, 100 * k + 55), ("A", "INTERNAL", 4 * k + 2, 100 * k + 40, 100 * k + 51)]
    bad = put(os.path.join(folder, "ring.json"), WRITERS["otlp.json"](host_spans(rows), RIGHT))
    rc, out, err = run("fix", bad, "-o", bad + ".fixed")
    assert rc == 2 and not os.path.exists(bad + ".fixed"), "contradictory stamps: %d" % rc
    assert b"contradict" in err and b"sum" in err and b"-19,99" in err, "the ring is not named: %r" % err
    rc, found = clocks(bad)
    assert all(c["verdict"] != "proven" for c in found.values()), "proven from a contradiction"
    rc, out, err = run("clocks", bad)
    assert b"contradict" in out, "clocks says nothing of it"
    leftovers = [f for f in os.listdir(folder) if f.startswith(".")]
    equal(leftovers, [], "files left behind")


def to_stdout(folder, rng):
    """Standard output by any name takes the traces alone; what was done is said beside it."""
    truth, spans = random_trace(rng)
    raw = WRITERS["otlp.json"](spans, truth)
    path = put(os.path.join(folder, "in.json"), raw)
    rc, want, said = run("fix", path, "-o", "-")
    assert rc == 0 and b"spans moved" in said, "to -: %d %r" % (rc, said)
    for out in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        rc, got, err = run("fix", path, "-o", out)
        assert (rc, got, err) == (0, want, said), "to %s: %d, %d bytes for %d, %r" % (out, rc, len(got), len(want), err)
    rc, got, err = run("fix", path, "-o", "/dev/null")
    assert (rc, got, err) == (0, said, b""), "to nowhere: %d %r %r" % (rc, got, err)


def many_clocks(folder, rng):
    """People are told which clocks were moved furthest, a program of all."""
    hosts = ["host-%02d" % k for k in range(70)]
    truth = {h: Clock() for h in hosts}
    for h in rng.sample(hosts[1:], 30):
        truth[h] = Clock(rng.choice((-1, 1)) * rng.randrange(6 * MS, 40 * MS))
    pairs = [(hosts[k], hosts[(k + step) % 70]) for k in range(70) for step in (1, 7, 23)] * 20
    rng.shuffle(pairs)
    spans = []
    for k, pair in enumerate(pairs):
        for s in calls(rng, list(pair), 1, 1, events=False):
            s.start, s.end = s.start + 5 * MS * k, s.end + 5 * MS * k
            spans.append(s)
    path = put(os.path.join(folder, "in.json"), WRITERS["otlp.json"](spans, truth))
    rc, out, err = run("fix", "--json", path, "-o", path + ".fixed")
    moves = {c["clock"]: c["by_ns"] for c in json.loads(out)["clocks_moved"]}
    assert len(moves) > 25, "clocks moved: %d" % len(moves)
    rc, out, err = run("fix", path, "-o", path + ".fixed")
    shown = [line.split()[0] for line in out.decode().splitlines() if " moved by " in line]
    equal(shown, sorted(moves, key=lambda c: (-abs(moves[c]), c))[:20], "clocks that are shown")
    assert "and %d more by less; --json lists all" % (len(moves) - 20) in out.decode(), "the rest: %s" % out.decode()


def main():
    rng = random.Random(SEED)
    print("# seed %d" % SEED)
    for name in WRITERS:
        for k in range(3):
            with tempfile.TemporaryDirectory() as folder:
                test("%s, round %d" % (name, k), lambda: check_format(folder, name, rng))
    for name, fn in (("several files, one solution", check_split), ("pooled calls", pooled), ("a step", steps), ("a slew", slew), ("late stamps", late),
                     ("--why adds up", add_up), ("refusals", refusals), ("standard output by any name", to_stdout), ("many clocks", many_clocks)):
        with tempfile.TemporaryDirectory() as folder:
            test(name, lambda: fn(folder, rng))
    with tempfile.TemporaryDirectory() as folder:
        test("what others get wrong", lambda: peers(folder))
    print("1..%d" % count)
    sys.exit(failures > 0)


main()
