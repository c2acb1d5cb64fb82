#!/usr/bin/env python3
"""What truespan clocks says of inputs that nobody sends on purpose, and of some that somebody does: contradictory stamps,
stamps of no time, one span, a million clocks, groups that never meet, pairs that meet for a moment, constant slack, equal
stamps, stamps in whole ms, edges that force the most contractions, holes, names that command terminals. The right answer
or a clear line, within a bound of time and of memory. Truth is random. usage: clocks_odd.py TRUESPAN [SEED]. TAP on stdout."""
import json, os, random, resource, subprocess, sys, tempfile
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fix_traces import EPOCH, MS, Clock, Span, calls, otlp_json
from lab_tap import Tap

TRUESPAN = sys.argv[1]
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 31)
SANITIZED = b"__asan_init" in open(TRUESPAN, "rb").read() or b"__tsan_init" in open(TRUESPAN, "rb").read()
DAY = 86_400 * 10**9


def run(*args, data=None, seconds=60, megabytes=2000):
    """(exit code, standard output, standard error), within limits of CPU time and of address space."""

    def limits():
        if not SANITIZED:
            resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))

    done = subprocess.run([TRUESPAN, *args], input=data, capture_output=True, timeout=900, preexec_fn=limits,
                          env=dict(os.environ, LC_ALL="C.UTF-8"))
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def clocks(data, *args, **limits):
    rc, out, err = run("clocks", "--json", *args, "-", data=data, **limits)
    assert rc in (0, 1), "exit code %d: %s" % (rc, err)
    return rc, json.loads(out), {c["clock"]: c for c in json.loads(out)["clocks"]}


def table(data, *args):
    rc, out, err = run("clocks", *args, "-", data=data)
    assert rc in (0, 1), "exit code %d: %s" % (rc, err)
    return out


class Ids:
    def __init__(self, rng):
        self.rng = rng

    def __next__(self):
        return "%016x" % self.rng.getrandbits(63)


def hop(rng, spans, here, there, sent, received):
    """A message, as a producer's span and a consumer's; stamps as they are to be written by right clocks."""
    ids, trace = Ids(rng), "%032x" % rng.getrandbits(128)
    producer, consumer = next(ids), next(ids)
    spans.append(Span(trace, producer, None, "PRODUCER", here, sent, sent + 1000))
    spans.append(Span(trace, consumer, producer, "CONSUMER", there, received, received + 1000))


def written(spans, hosts=None):
    return otlp_json(spans, hosts or {h: Clock() for h in sorted({s.host for s in spans})})


def contradictory(tap, rng):
    """Both ways received before sent: the ring is named with its spans, and nobody is proven wrong."""
    spans = []
    for k in range(50):
        t = EPOCH + k * 100 * MS
        hop(rng, spans, "a", "b", t, t - 2 * MS)
        hop(rng, spans, "b", "a", t + 50 * MS, t + 48 * MS)
    rc, answer, by = clocks(written(spans))
    tap.check({c["verdict"] for c in by.values()} == {"unknown"}, answer)
    out = table(written(spans))
    ring = out[out.index("The contradiction"):]
    named = [s for s in spans if s.id in ring]
    tap.check(len(named) >= 4 and all(s.trace in ring for s in named), "no spans in", ring)
    tap.equal({s.host for s in named}, {"a", "b"}, "clocks of the ring")
    total = int(ring.split("sum")[1].split()[0].replace(",", ""))
    tap.check(-4_100_000 < total < -3_900_000, "the ring's sum:", total)


def contradictory_beside_sound(tap, rng):
    """The same beside three that are right: they stay so, the odd one is unknown, and its stamps are not called late."""
    spans = calls(rng, ["b", "c", "d"], 4000, 20)
    for k in range(60):
        t = EPOCH + k * 300 * MS
        hop(rng, spans, "a", "b", t, t - rng.randrange(MS, 5 * MS))
        hop(rng, spans, "b", "a", t + 150 * MS, t + 150 * MS - rng.randrange(MS, 5 * MS))
    data = written(spans)
    rc, answer, by = clocks(data)
    tap.equal((rc, {n: c["verdict"] for n, c in by.items()}), (0, {"a": "unknown", "b": "ok", "c": "ok", "d": "ok"}), "verdicts")
    tap.equal([by["a"][k] for k in ("offset_ns", "lo_ns", "hi_ns")], [None] * 3, "what is known of the odd one")
    tap.check(all(abs(by[n]["offset_ns"]) < MS // 10 for n in "bcd"), by)
    tap.equal([(p["from"], p["to"], p["contradictory"], p["violations"], p["back_violations"]) for p in answer["pairs"]],
              [("a", "b", True, 60, 60)], "pairs")
    said = json.loads(run("check", "--json", "-", data=data)[1])
    tap.equal((said["causes"]["unknown"], sum(said["causes"].values()), said["pairs"]), (120, 120, answer["pairs"]), "causes")


def no_time(tap, rng):
    """Stamps of 0, of 1970, of the year 2200 and beyond, among good ones: the good ones decide."""
    hosts = {h: Clock() for h in "abc"}
    hosts["c"] = Clock(rng.choice((-1, 1)) * rng.randrange(8 * MS, 30 * MS))
    spans = calls(rng, list(hosts), 500, 20)
    for odd in (0, 1, 10**9, 7_258_118_400 * 10**9, 2**63 - 1, 2**64 - 1):
        some = json.loads(otlp_json(spans, hosts).splitlines()[0])
        for row in rng.sample(some["resourceSpans"][0]["scopeSpans"][0]["spans"], 6):
            row[rng.choice(("startTimeUnixNano", "endTimeUnixNano"))] = str(odd)
        data = json.dumps(some).encode() + b"\n" + b"\n".join(otlp_json(spans, hosts).splitlines()[1:])
        rc, out, err = run("clocks", "--json", "-", data=data)
        if rc == 2:
            tap.check("byte" in err and str(odd) in err, odd, err)
            continue
        by = {c["clock"]: c for c in json.loads(out)["clocks"]}
        tap.equal([by[h]["verdict"] for h in "abc"], ["ok", "ok", "proven"], odd)
        # Where some stamps lie far away, bounds at the last stamp are wide; knots among the good ones are not.
        knots = [k for k in by["c"]["knots"] if abs(int(k["at"]) - EPOCH) < DAY and k["offset_ns"] is not None]
        tap.check(knots and all(abs(k["offset_ns"] - hosts["c"].offset) < MS for k in knots), odd, knots[:3])


def far_away(tap, rng):
    """All of one clock's stamps are of 1970, or of the year 2087: it is proven, by just that."""
    for away in (-EPOCH + 10**9, 2_000_000_000 * 10**9):
        hosts = {"a": Clock(), "b": Clock(away), "c": Clock()}
        rc, _, by = clocks(otlp_json(calls(rng, list(hosts), 300, 10), hosts))
        tap.equal(by["b"]["verdict"], "proven", away)
        tap.check(abs(by["b"]["offset_ns"] - away) < MS, away, by["b"]["offset_ns"])


def little(tap, rng):
    """No span, one span, one hop."""
    rc, out, err = run("clocks", "-", data=b'{"resourceSpans":[]}')
    tap.check(rc == 0 and out.startswith("0 spans"), rc, out, err)
    one = [Span("1" * 32, "2" * 16, None, "SERVER", "a", EPOCH, EPOCH + MS)]
    rc, answer, by = clocks(written(one))
    tap.equal((rc, list(by), by["a"]["knots"]), (0, ["a"], []), "one span")
    rc, out, err = run("clocks", "--why", "a", "-", data=written(one))
    tap.check(rc == 0 and ("no hops" in out or "reference" in out), out, err)
    spans = []
    hop(rng, spans, "a", "b", EPOCH, EPOCH - MS)
    rc, answer, by = clocks(written(spans))
    tap.check(rc == 0 and not {c["verdict"] for c in by.values()} & {"proven", "suspected"}, "one hop:", answer)
    tap.check({by[h][k] for h in by for k in ("lo_ns", "hi_ns")} >= {None}, "one way is unbounded on one side:", answer)


def many_clocks(tap, n):
    """n clocks of one span each, in chains of two."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "many.jsonl")
        with open(path, "w") as out:
            for k in range(n):
                parent = ',"parentSpanId":"%016x"' % k if k % 2 else ""
                out.write('{"resourceSpans":[{"resource":{"attributes":[{"key":"host.name","value":{"stringValue":"h%d"}}]},'
                          '"scopeSpans":[{"spans":[{"traceId":"%032x","spanId":"%016x"%s,"name":"x","kind":1,'
                          '"startTimeUnixNano":"%d","endTimeUnixNano":"%d"}]}]}]}\n'
                          % (k, k // 2 + 1, k + 1, parent, EPOCH + k, EPOCH + k + MS))
        rc, out, err = run("clocks", path, seconds=40, megabytes=3000)
        tap.check(rc == 0 and f"{n:,} clocks" in out and "No clock is known to be wrong" in out, rc, out[:300], err[:300])
        rc, out, err = run("check", path, seconds=40, megabytes=3000)
        tap.check(rc == 0 and f"{n:,} clocks" in out and "No violation" in out, rc, out[:300], err[:300])


def groups(tap, rng):
    """Groups that exchange nothing: a frame each, and it is said."""
    hosts, spans = {}, []
    for g in range(4):
        names = ["g%d-%d" % (g, k) for k in range(3)]
        off = rng.choice((-1, 1)) * rng.randrange(8 * MS, 30 * MS)
        hosts.update({names[0]: Clock(), names[1]: Clock(), names[2]: Clock(off)})
        spans += calls(rng, names, 200, 10)
    rc, answer, by = clocks(otlp_json(spans, hosts))
    for name, truth in hosts.items():
        tap.equal(by[name]["verdict"], "proven" if truth.offset else "ok", name)
        tap.check(abs(by[name]["offset_ns"] - truth.offset) < MS, name, by[name]["offset_ns"], truth.offset)
    tap.check("4 groups of clocks" in table(otlp_json(spans, hosts)), "groups are not said")


def divided(tap, rng):
    """Two right clocks and two that are wrong alike: how far the pairs are apart is proven, which is wrong is not."""
    hosts, off = {h: Clock() for h in "abcd"}, rng.choice((-1, 1)) * rng.randrange(8 * MS, 30 * MS)
    hosts["c"], hosts["d"] = Clock(off), Clock(off + rng.randrange(-MS // 5, MS // 5))
    data = otlp_json(calls(rng, list(hosts), 400, 10), hosts)
    rc, answer, by = clocks(data)
    tap.equal((rc, {c["verdict"] for c in by.values()} & {"proven", "suspected"}), (0, set()), "nobody is accused")
    root, known = answer["reference"], 0
    for name, c in by.items():
        apart = hosts[name].offset - hosts[root].offset
        least = c["at_least_ns"] or 0
        tap.check((not least or (least > 0) == (apart > 0)) and abs(least) <= abs(apart), name, "at least", least, apart)
        known += c["verdict"] == "unknown" and abs(least) > abs(apart) - 7 * MS > 0
    tap.check(known >= 2, "what is proven is not said:", known)
    rc, _, by = clocks(data, "--reference", "a")
    tap.equal({h: c["verdict"] for h, c in by.items()}, {"a": "ok", "b": "ok", "c": "proven", "d": "proven"}, "told which is right")
    tap.check(all(abs(by[h]["at_least_ns"]) <= abs(hosts[h].offset) for h in "cd"), "at least")


def bursts(tap, rng):
    """A tree in which each pair of clocks exchanges a handful of calls in a fraction of a second, one pair after another:
    too short to tell a drift, and yet an offset."""
    n, spans, t = 200, [], EPOCH
    hosts = {"n%d" % k: Clock(rng.randrange(-5 * MS, 5 * MS), rng.uniform(-15, 15)) for k in range(n)}
    for k in range(1, n):
        here, there, ids = "n%d" % ((k - 1) // 2), "n%d" % k, Ids(rng)
        for _ in range(6):
            t += 4 * MS + rng.randrange(MS)
            trace, client, server = "%032x" % rng.getrandbits(128), next(ids), next(ids)
            begin = t + MS // 3 + int(rng.expovariate(1 / (0.7 * MS)))
            end = begin + MS
            spans.append(Span(trace, client, None, "CLIENT", here, t, end + MS // 3 + int(rng.expovariate(1 / (0.7 * MS)))))
            spans.append(Span(trace, server, client, "SERVER", there, begin, end))
    rc, answer, by = clocks(otlp_json(spans, hosts))
    worst = 0
    for name, c in by.items():
        at = int(c["knots"][-1]["at"])
        right = (hosts[name].read(at) - at) - (hosts[answer["reference"]].read(at) - at)
        worst = max(worst, abs(c["offset_ns"] - right))
        tap.check((c["lo_ns"] is None or c["lo_ns"] - 1000 <= right) and (c["hi_ns"] is None or right <= c["hi_ns"] + 1000),
                  name, c["lo_ns"], right, c["hi_ns"])
    tap.check(worst < 5 * MS, "an estimate is off by", worst)


def no_spread(tap, rng):
    """Hops that all take the same, and stamps that are all equal."""
    off = rng.randrange(-30 * MS, 30 * MS)
    spans = []
    for k in range(200):
        t = EPOCH + k * 50 * MS
        hop(rng, spans, "a", "b", t, t + 3 * MS)
        hop(rng, spans, "b", "a", t + 20 * MS, t + 23 * MS)
    rc, _, by = clocks(otlp_json(spans, {"a": Clock(), "b": Clock(off)}), "--reference", "a")
    tap.check(abs(by["b"]["offset_ns"] - off) < 1000, "constant slack:", by["b"]["offset_ns"], off)
    tap.check(by["b"]["lo_ns"] <= off <= by["b"]["hi_ns"], by["b"]["lo_ns"], off, by["b"]["hi_ns"])
    tap.equal(by["b"]["verdict"] == "proven", abs(off) > 3 * MS + 10_000, "verdict at %d" % off)
    spans = []
    for k in range(100):
        for here, there in (("a", "b"), ("b", "a"), ("b", "c"), ("c", "a")):
            hop(rng, spans, here, there, EPOCH, EPOCH)
    for s in spans:
        s.end = EPOCH
    rc, _, by = clocks(written(spans))
    tap.equal((rc, {c["verdict"] for c in by.values()}), (0, {"ok"}), "all stamps equal")
    tap.check(all(abs(c["offset_ns"]) < 10 for c in by.values()), by)


def whole_ms(tap, rng):
    """Stamps floored to 1 ms, and messages that take a tenth of that: right clocks are not accused, a wrong one is."""
    for off in (0, rng.choice((-1, 1)) * 20 * MS):
        hosts = {h: Clock() for h in "abcd"}
        hosts["d"] = Clock(off)
        spans = calls(rng, list(hosts), 800, 20, fastest=50_000, mean=100_000, events=False)
        text = otlp_json(spans, hosts).decode().splitlines()
        rows = [json.loads(line) for line in text]
        for row in rows:
            for s in row["resourceSpans"][0]["scopeSpans"][0]["spans"]:
                for key in ("startTimeUnixNano", "endTimeUnixNano"):
                    s[key] = str(int(s[key]) // MS * MS)
        rc, _, by = clocks("\n".join(json.dumps(row) for row in rows).encode())
        tap.equal({h for h, c in by.items() if c["verdict"] in ("proven", "suspected")}, {"d"} if off else set(), off)
        tap.check(all(abs(by[h]["offset_ns"] - hosts[h].offset) < 1.5 * MS for h in hosts),
                  {h: by[h]["offset_ns"] for h in by})


def contractions(tap, rng):
    """A ring in which every further chord has a mean of its own, so that each contraction joins two clocks only; then all
    pairs of many clocks at random."""
    n, spans = 400, []
    for k in range(n):
        for here, there, slack in ((k, (k + 1) % n, (k + 1) * 100_000), ((k + 1) % n, k, (k + 1) * 150_000)):
            for t in range(3):
                at = EPOCH + (k * 7 + t * 5000) * MS
                hop(rng, spans, "c%d" % here, "c%d" % there, at, at + slack)
    for _ in range(30_000):
        here, there = rng.sample(range(300), 2)
        at = EPOCH + rng.randrange(20_000) * MS
        hop(rng, spans, "r%d" % here, "r%d" % there, at, at + MS + rng.randrange(50 * MS))
    rc, _, by = clocks(written(spans))
    tap.equal({c["verdict"] for c in by.values()} & {"proven"}, set(), "all clocks are right")
    tap.check(all((c["lo_ns"] is None or c["lo_ns"] <= 0) and (c["hi_ns"] is None or c["hi_ns"] >= 0)
                  for name, c in by.items() if name[0] == "r"), "bounds exclude the truth")


def hostile_names(tap, rng):
    """Names are anybody's: none commands a terminal, in table, sentences, proofs, CSV to a terminal's eyes, complaints."""
    evil = "a\x1b[2J\u009b\u202e\x07"
    hosts = {evil + "0": Clock(), evil + "1": Clock(25 * MS), evil + "2": Clock()}
    data = otlp_json(calls(rng, list(hosts), 300, 10), hosts)
    for args in ([], ["--why", evil + "1"], ["--why", evil + "0"], ["--why", "nobody" + evil], ["--reference", "x" + evil],
                 ["--bounds", "/nowhere" + evil]):
        rc, out, err = run("clocks", *args, "-", data=data)
        tap.check(out or err, args, "says nothing")
        tap.check(not any(c in out + err for c in "\x1b\x07\u009b\u202e"), args, repr(out + err)[:300])
    rc, _, by = clocks(data)
    tap.equal(set(by), set(hosts), "JSON has names as they are")
    tap.equal(by[evil + "1"]["verdict"], "proven", "verdict")


def holes(tap, rng):
    """Ten gigabytes that are not there: refused at once; with --keep-going what stands before them is read."""
    good = written(calls(rng, ["a", "b"], 50, 5))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "hole.json")
        for head in (b'{"resourceSpans":[', good):
            with open(path, "wb") as out:
                out.write(head)
                out.truncate(10 << 30)
            rc, out, err = run("clocks", path, seconds=10, megabytes=16_000)
            tap.check(rc == 2 and out == "" and "zeros from here on" in err and err.count("\n") == 1, rc, out, err)
        rc, out, err = run("clocks", "--keep-going", "--json", path, megabytes=16_000)
        tap.check(rc == 0 and len(json.loads(out)["clocks"]) == 2 and "read past" in err, rc, err)
        trace = os.path.join(folder, "good.json")
        with open(trace, "wb") as out:
            out.write(good)
        rc, out, err = run("clocks", "--bounds", path, trace, megabytes=16_000)
        tap.check(rc == 2 and "larger than the limit" in err, rc, err)


def wrong_words(tap, rng):
    """Options that cannot be: one line each, exit code 2, nothing on standard output."""
    with tempfile.TemporaryDirectory() as folder:
        trace = os.path.join(folder, "good.json")
        with open(trace, "wb") as out:
            out.write(written(calls(rng, ["a", "b"], 50, 5)))
        for args in ([], ["--why"], ["--why", "zz"], ["--reference", "zz"], ["--quorum", "0"], ["--quorum", "-1"],
                     ["--quorum", "many"], ["--max-drift", "0"], ["--max-drift", "-5"], ["--max-drift", "nan"],
                     ["--max-drift", "1e9"], ["--format", "xml"], ["--format", "zipkin"], ["--json", "--csv"],
                     ["--jobs", "-1"], ["--jobs", "x"], ["--clock-key", "no.such.key"], ["--nonsense"], ["--bounds", folder],
                     ["--bounds", trace]):
            rc, out, err = run("clocks", *args, *([trace] if args else []))
            tap.check(rc == 2 and out == "" and 1 <= err.count("\n") <= 2, args, rc, out, err)
        for args in ([], ["--json"], ["--csv"], ["--ascii"], ["--why", "b"], ["--json", "--why", "b"], ["--reference", "b"],
                     ["--quorum", "1"], ["--quorum", "7"], ["--quorum", "auto"], ["--max-drift", "0.1"], ["--jobs", "3"],
                     ["--max-drift", "100000"], ["--format", "otlp-json"], ["--clock-key", "host.name"], ["--keep-going"]):
            rc, out, err = run("clocks", *args, trace)
            tap.check(rc == 0 and out and err == "", args, rc, out, err)


def main():
    print("# seed", SEED)
    tap = Tap()
    rng = random.Random(SEED)
    tap.run("contradictory stamps: the ring is named", contradictory, rng)
    tap.run("contradictory stamps beside sound ones", contradictory_beside_sound, rng)
    tap.run("stamps of no time among good ones", no_time, rng)
    tap.run("a clock of another age", far_away, rng)
    tap.run("one span, one hop, none", little, rng)
    tap.run("a million clocks of one span each" if not SANITIZED else "many clocks of one span each", many_clocks,
            20_000 if SANITIZED else 1_000_000)
    tap.run("groups that never meet", groups, rng)
    tap.run("clocks divided on who is right", divided, rng)
    tap.run("pairs that meet for a moment each", bursts, rng)
    tap.run("constant slack, equal stamps", no_spread, rng)
    tap.run("stamps in whole ms", whole_ms, rng)
    tap.run("edges that force contractions", contractions, rng)
    tap.run("names that command terminals", hostile_names, rng)
    tap.run("files with holes", holes, rng)
    tap.run("options that cannot be, and that can", wrong_words, rng)
    tap.done()


main()
