#!/usr/bin/env python3
"""What must not change the answer of truespan clocks: the order of spans, of processes and of files, how a trace is dealt
to files, the number of threads. The same bytes each time. And the names of clocks, which may change only the names.
usage: clocks_order.py TRUESPAN [SEED]. TAP on stdout."""
import json, os, random, subprocess, sys, tempfile
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fix_traces import Clock, MS, calls, otlp_json
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


def world(rng, equals):
    """equals: clocks that are all right, with nothing to choose between them but their names."""
    names = ["node-%d" % k for k in rng.sample(range(100), 5)]
    clocks = {n: Clock() if equals else Clock(rng.randrange(-30 * MS, 30 * MS), rng.uniform(-40, 40)) for n in names}
    return calls(rng, names, rng.choice([3, 40, 600]), rng.choice([1, 30]), mean=rng.choice([1, 400_000])), clocks


def same_bytes(tap, rng, equals):
    for _ in range(4):
        spans, clocks = world(rng, equals)
        with tempfile.TemporaryDirectory() as folder:
            first = answer(folder, [(spans, clocks)], "--jobs", "1")
            for threads in "1", "4":
                again = answer(folder, dealt(rng, spans, clocks), "--jobs", threads)
                tap.check(again == first, "other bytes:", *[line for line in again.splitlines()
                                                           if line not in first.splitlines()][:3])


def renamed(tap, rng):
    """Whoever is called what: with a reference, offsets follow their clocks. Ties in the arithmetic may fall elsewhere."""
    spans, clocks = world(rng, False)
    new = dict(zip(clocks, shuffled(rng, clocks)))
    reference = next(iter(clocks))
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
            tap.check((a is None) == (b is None) and (a is None or abs(a - b) <= 1000), key, a, b)


def main():
    tap = Tap()
    print("# seed", SEED)
    tap.run("skewed clocks", lambda t: same_bytes(t, random.Random(SEED), False))
    tap.run("clocks that are all equal", lambda t: same_bytes(t, random.Random(SEED + 1), True))
    tap.run("renamed clocks", lambda t: renamed(t, random.Random(SEED + 2)))
    tap.done()


main()
