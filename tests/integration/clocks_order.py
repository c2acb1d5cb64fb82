#!/usr/bin/env python3
"""What must not change the answer of truespan clocks: the order of spans, of processes and of files, how a trace is dealt
to files, the number of threads. The same bytes each time. And what must change it in one way only: the names of clocks,
one clock shifted, time reversed, everything slower.
usage: clocks_order.py TRUESPAN [SEED]. TAP on stdout."""
import json, os, random, subprocess, sys, tempfile
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fix_traces import EPOCH, Clock, MS, Span, calls, otlp_json
from lab_tap import Tap

TRUESPAN = sys.argv[1]
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 31)


def answer(folder, files, *args):
    paths = []
    for k, (spans, clocks) in enumerate(files):
        paths.append(os.path.join(folder, "%d.json" % k))
        with open(paths[-1], "wb") as out:
            out.write(otlp_json(spans, clocks))
    done = subprocess.run([TRUESPAN, "clocks", "--json", *args, *paths], capture_output=True, timeout=120)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def shuffled(rng, items):
    items = list(items)
    rng.shuffle(items)
    return items


def dealt(rng, spans, clocks):
    """The same spans in one to four files, each with its processes in an order of its own."""
    files = [[] for _ in range(rng.randrange(1, 5))]
    for span in shuffled(rng, spans):
        rng.choice(files).append(span)
    return [(rows, {name: clocks[name] for name in shuffled(rng, clocks)}) for rows in files if rows]


def world(rng, equals, means=(1, 400_000)):
    """equals: clocks that are all right, with nothing to choose between them but their names."""
    names = ["node-%d" % k for k in rng.sample(range(100), 5)]
    clocks = {n: Clock() if equals else Clock(rng.randrange(-30 * MS, 30 * MS), rng.uniform(-40, 40)) for n in names}
    return calls(rng, names, rng.choice([3, 40, 600]), rng.choice([1, 30]), mean=rng.choice(means)), clocks


def same_bytes(tap, rng, equals):
    for _ in range(4):
        spans, clocks = world(rng, equals)
        with tempfile.TemporaryDirectory() as folder:
            first = answer(folder, [(spans, clocks)], "--jobs", "1")
            for threads in "1", "4":
                again = answer(folder, dealt(rng, spans, clocks), "--jobs", threads)
                tap.check(again == first, "other bytes:", *[line for line in again.splitlines()
                                                           if line not in first.splitlines()][:3])


def seen(spans, clocks):
    """Few traces do not meet all clocks. Who is in none cannot be what the others are held against."""
    hosts = {s.host for s in spans}
    return [name for name in clocks if name in hosts]


def renamed(tap, rng):
    """Whoever is called what: with a reference, offsets follow their clocks. Sums in another order may
    settle elsewhere where hops are few, within some standard errors; where all hops take the same there are ties, too."""
    spans, clocks = world(rng, False, (400_000,))
    new = dict(zip(clocks, shuffled(rng, clocks)))
    reference = seen(spans, clocks)[0]
    with tempfile.TemporaryDirectory() as folder:
        before = json.loads(answer(folder, [(spans, clocks)], "--reference", reference))
        for span in spans:
            span.host = new[span.host]
        after = json.loads(answer(folder, [(spans, {new[n]: clocks[n] for n in clocks})], "--reference", new[reference]))
    after = {c["clock"]: c for c in after["clocks"]}
    for clock in before["clocks"]:
        other = after[new[clock["clock"]]]
        tap.equal(other["verdict"], clock["verdict"], clock["clock"])
        for key in "offset_ns", "lo_ns", "hi_ns":
            a, b = clock[key], other[key]
            most = 1000 + 4 * max(clock["sigma_ns"] or 0, other["sigma_ns"] or 0)
            tap.check((a is None) == (b is None) and (a is None or abs(a - b) <= most), key, a, b, clock["sigma_ns"])


class Shifted:
    """A clock by c ahead of what it was."""

    def __init__(self, clock, by):
        self.clock, self.by = clock, by

    def read(self, t):
        return self.clock.read(t) + self.by


def rows(folder, spans, clocks, *args):
    return {c["clock"]: c for c in json.loads(answer(folder, [(spans, clocks)], *args))["clocks"]}


def moved(tap, before, after, by, most, what):
    """Offset and bounds have moved by so much, give or take most ns."""
    for key in "offset_ns", "lo_ns", "hi_ns":
        a, b = before[key], after[key]
        if tap.check((a is None) == (b is None), what, key, a, b) and a is not None:
            tap.check(abs(b - a - by) <= most, what, key, a, b, by)


def shifted(tap, rng):
    """One clock shifted by c: its offset and bounds move by c, all others' stay. Of the reference, all others move by -c."""
    spans, clocks = world(rng, False)
    names, by = seen(spans, clocks), rng.choice((-1, 1)) * rng.randrange(10**6, 10**10)
    with tempfile.TemporaryDirectory() as folder:
        before = rows(folder, spans, clocks, "--reference", names[0])
        for chosen in names[:2]:
            after = rows(folder, spans, {n: Shifted(clocks[n], by) if n == chosen else clocks[n] for n in clocks},
                         "--reference", names[0])
            for n in names[1:]:
                want = -by if chosen == names[0] else by if n == chosen else 0
                # Drift over the shift itself: bounds are stated where clocks show a time, by 100 ppm a second.
                moved(tap, before[n], after[n], want, 2000 + abs(by) // 5000, "%s shifted, %s:" % (chosen, n))
            tap.equal(after[names[0]]["offset_ns"], 0, "the reference")


class Reversed:
    def __init__(self, clock):
        self.clock = clock

    def read(self, t):
        return 2 * EPOCH - self.clock.read(2 * EPOCH - t)


def reversed_time(tap, rng):
    """Every hop backwards: a parent becomes the one that is called, starts become ends, and offsets change their sign."""
    spans, clocks = one_hop_each(rng), None
    hosts = sorted({s.host for s in spans})
    clocks = {h: Clock(rng.randrange(-30 * MS, 30 * MS)) for h in hosts}
    turned = []
    for s, t in zip(spans[::2], spans[1::2]):
        turned.append(Span(s.trace, s.id, None, "PRODUCER", t.host, 2 * EPOCH - t.start, 2 * EPOCH - t.start + 1))
        turned.append(Span(t.trace, t.id, s.id, "CONSUMER", s.host, 2 * EPOCH - s.start, 2 * EPOCH - s.start + 1))
    with tempfile.TemporaryDirectory() as folder:
        before = rows(folder, spans, clocks, "--reference", hosts[0])
        after = rows(folder, turned, {h: Reversed(clocks[h]) for h in hosts}, "--reference", hosts[0])
    for h in hosts[1:]:
        a, b = before[h], after[h]
        # The last stamp of one is the first of the other; the clocks have no drift.
        tap.check(abs(a["offset_ns"] + b["knots"][0]["offset_ns"]) < 20_000, h, a["offset_ns"], b["knots"][0])
        tap.check(abs(b["offset_ns"] + a["knots"][0]["offset_ns"]) < 20_000, h, b["offset_ns"], a["knots"][0])
        tap.check(abs(a["hi_ns"] + b["knots"][0]["lo_ns"]) < 100_000, h, a["hi_ns"], b["knots"][0])
        tap.equal(a["verdict"], b["verdict"], h)


def one_hop_each(rng):
    """Messages between all pairs of four hosts: producer and consumer, one after the other in the list."""
    hosts, spans = ["a", "b", "c", "d"], []
    for k in range(1200):
        here, there = rng.sample(hosts, 2)
        trace, ids = "%032x" % rng.getrandbits(128), ["%016x" % rng.getrandbits(63) for _ in range(2)]
        sent = EPOCH + k * 20 * MS + rng.randrange(MS)
        received = sent + MS + int(rng.expovariate(1 / (0.3 * MS)))
        spans.append(Span(trace, ids[0], None, "PRODUCER", here, sent, sent + 1))
        spans.append(Span(trace, ids[1], ids[0], "CONSUMER", there, received, received + 1))
    return spans


def slower(tap, rng):
    """A constant added to every delay of every ring moves no estimate, and widens the bounds by as much to either side."""
    spans, by = one_hop_each(rng), rng.randrange(MS, 20 * MS)
    clocks = {h: Clock(rng.randrange(-30 * MS, 30 * MS)) for h in "abcd"}
    with tempfile.TemporaryDirectory() as folder:
        before = rows(folder, spans, clocks, "--reference", "a")
        for s in spans[1::2]:
            s.start, s.end = s.start + by, s.end + by
        after = rows(folder, spans, clocks, "--reference", "a")
    for h in "bcd":
        tap.check(abs(after[h]["offset_ns"] - before[h]["offset_ns"]) < 20_000, h, before[h]["offset_ns"], after[h]["offset_ns"])
        tap.check(abs(after[h]["hi_ns"] - before[h]["hi_ns"] - by) < 50_000, h, before[h]["hi_ns"], after[h]["hi_ns"], by)
        tap.check(abs(before[h]["lo_ns"] - after[h]["lo_ns"] - by) < 50_000, h, before[h]["lo_ns"], after[h]["lo_ns"], by)


def main():
    tap = Tap()
    print("# seed", SEED)
    tap.run("skewed clocks", lambda t: same_bytes(t, random.Random(SEED), False))
    tap.run("clocks that are all equal", lambda t: same_bytes(t, random.Random(SEED + 1), True))
    tap.run("renamed clocks", lambda t: renamed(t, random.Random(SEED + 2)))
    tap.run("a clock shifted", lambda t: shifted(t, random.Random(SEED + 3)))
    tap.run("time reversed", lambda t: reversed_time(t, random.Random(SEED + 4)))
    tap.run("slower everywhere", lambda t: slower(t, random.Random(SEED + 5)))
    tap.done()


main()
