#!/usr/bin/env python3
"""`truespan check` on streams larger than its memory: the counts must be those the generator knows, with a window that
moves over the spans, under a limit of address space far below the input; where nothing comes late the whole answer
must be the one of a run that holds everything, causes and clocks included. Arguments: truespan, megabytes a stream [48]."""

import gzip
import heapq
import json
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
import tempfile

from lab_tap import Tap

TRUESPAN = sys.argv[1]
MEGABYTES = int(sys.argv[2]) if len(sys.argv) > 2 else 48
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
SANITIZED = "asan" in TRUESPAN or "tsan" in TRUESPAN or b"__asan_init" in open(TRUESPAN, "rb").read()
NODES = 5
MS = 1_000_000
FILLER = "0123456789abcdef" * 45


def traces(seed, wanted_bytes):
    """Traces as (node, trace, span, parent, kind, start, end), and what is true of them."""
    rand = random.Random(seed)
    skew = [0] * NODES  # two of five are off, so that nobody doubts which
    for node in rand.sample(range(NODES), 2):
        skew[node] = rand.choice((-1, 1)) * rand.randrange(MS, 6 * MS)
    truth = {"wrong": {f"node-{n}" for n in range(NODES) if skew[n]}, "spans": 0, "traces": 0, "hops": 0, "hard": 0, "soft": 0, "same_clock": 0, "worst": 0}
    at, made = 1_700_000_000_123_456_789, 0
    while made < wanted_bytes:
        trace, spans, node = rand.getrandbits(128) | 1, [], rand.randrange(NODES)
        start, end, parent = at, at + 90 * MS, 0
        client = None
        for depth in range(rand.randrange(1, 5)):
            ids = rand.getrandbits(62) | 1, rand.getrandbits(62) | 1
            other = rand.choice([n for n in range(NODES) if n != node])
            out, back = 1 + int(rand.expovariate(1 / (2 * MS))), 1 + int(rand.expovariate(1 / (2 * MS)))
            call = (node, trace, ids[0], parent, 3, start + skew[node], end + skew[node])
            serve = (other, trace, ids[1], ids[0], 2, start + out + skew[other], end - back + skew[other])
            spans += [call, serve]
            if client:
                truth["same_clock"] += call[5] < client[5]
            client = serve
            for what, slack in ("hard", serve[5] - call[5]), ("soft", call[6] - serve[6]):
                if what == "soft" and (call[6] <= call[5] or serve[6] <= serve[5]):
                    continue
                truth["hops"] += 1
                truth[what] += slack < 0
                truth["worst"] = max(truth["worst"], -slack)
            start, end, node, parent = start + out + 10_000, end - back - 10_000, other, ids[1]
        truth["spans"] += len(spans)
        truth["traces"] += 1
        made += 1050 * len(spans)
        at += rand.randrange(200_000, 900_000)
        yield spans
    yield truth


def text(span):
    node, trace, own, parent, kind, start, end = span
    return (f'{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"host.name","value":{{"stringValue":"node-{node}"}}}}]}},'
            f'"scopeSpans":[{{"spans":[{{"traceId":"{trace:032x}","spanId":"{own:016x}","parentSpanId":'
            f'"{f"{parent:016x}" if parent else ""}","name":"call {node}","kind":{kind},"startTimeUnixNano":"{start}",'
            f'"endTimeUnixNano":"{end}","attributes":[{{"key":"app.notes","value":{{"stringValue":"{FILLER}"}}}}]}}]}}]}}]}}\n'
            ).encode()


def field(number, data):
    size, head = len(data), bytearray([number << 3 | 2])
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return bytes(head) + bytes([size]) + data


def pair(key, value):
    return field(1, key) + field(2, field(1, value))


def frame(span):
    node, trace, own, parent, kind, start, end = span
    one = (field(1, trace.to_bytes(16, "big")) + field(2, own.to_bytes(8, "big")) +
           (field(4, parent.to_bytes(8, "big")) if parent else b"") + field(5, b"call") + bytes([6 << 3, kind]) +
           bytes([7 << 3 | 1]) + struct.pack("<Q", start) + bytes([8 << 3 | 1]) + struct.pack("<Q", end) +
           field(9, pair(b"app.notes", FILLER.encode())))
    message = field(1, field(1, field(1, pair(b"host.name", b"node-%d" % node))) + field(2, field(2, one)))
    return struct.pack(">I", len(message)) + message


def write(out, seed, megabytes, encode, spread, late=0):
    """Spans in a random order, none more than `spread` places behind its own; `late` of them at the end."""
    rand, held, behind, truth, number = random.Random(seed + 1), [], [], None, 0
    for spans in traces(seed, megabytes << 20):
        if isinstance(spans, dict):
            truth = spans
            break
        if len(behind) < late and len(spans) > 2:
            behind.append(spans.pop())
        for span in spans:
            number += 1
            heapq.heappush(held, (number + rand.randrange(spread), number, span))
        while held[0][0] <= number:
            out.write(encode(heapq.heappop(held)[2]))
    for span in [heapq.heappop(held)[2] for _ in range(len(held))] + behind:
        out.write(encode(span))
    return truth


def check(source, *options, limit_mb=0):
    """The answer, standard error, and the exit code. source: a path, or a function that writes to a pipe."""

    def limits():
        if limit_mb and not SANITIZED:
            resource.setrlimit(resource.RLIMIT_AS, (limit_mb << 20, limit_mb << 20))

    command = [TRUESPAN, "check", "--json", *options, "-" if callable(source) else source]
    run = subprocess.Popen(command, stdin=subprocess.PIPE if callable(source) else None, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, preexec_fn=limits)
    truth = None
    if callable(source):
        with run.stdin:
            try:
                truth = source(run.stdin)
            except BrokenPipeError:
                pass
        run.stdin = None
    out, err = run.communicate()
    return (json.loads(out) if run.returncode in (0, 1) else {"failed": err.decode()}), truth, run.returncode


def agrees(tap, answer, truth, what):
    if not tap.check("failed" not in answer, what, answer.get("failed")):
        return
    for key in "spans", "traces", "hops":
        tap.equal(answer["input"][key], truth[key], f"{what}: {key}")
    for key in "hard", "soft", "same_clock":
        tap.equal(answer["violations"][key], truth[key], f"{what}: {key}")
    tap.equal(sum(answer["causes"].values()), answer["violations"]["total"], f"{what}: causes")
    tap.equal(max([edge["worst_ns"] for edge in answer["edges"]], default=0), truth["worst"], f"{what}: worst")


def accuses(tap, answer, truth, what):
    """The clocks that are off and no other; every violation has them for its cause, whichever hops the solver saw."""
    tap.check(answer["solved"], f"{what}: not solved")
    got = {clock["clock"] for clock in answer["clocks"] if clock["verdict"] in ("proven", "suspected")}
    tap.equal(got, truth["wrong"], f"{what}: accused")
    violations = answer["violations"]
    tap.equal(answer["causes"]["clock"], violations["hard"] + violations["soft"], f"{what}: caused by clocks")


def test_pipe(tap, encode):
    """From a generator through a pipe, four times larger than what the process may map."""
    limit = max(96, MEGABYTES // 4)
    window = "8000" if MEGABYTES < 200 else "60000"
    answer, truth, _ = check(lambda out: write(out, SEED, MEGABYTES, encode, 400), "--window", window, "--jobs", "1",
                             limit_mb=limit)
    agrees(tap, answer, truth, "pipe")
    if "failed" not in answer:
        tap.check(answer["input"]["put_aside_spans"] > truth["spans"] // 3, "nothing was put aside", answer["input"])
        tap.equal(answer["input"]["late_spans"], 0, "late")
        accuses(tap, answer, truth, "pipe")


def test_same(tap, folder):
    """The whole answer, byte for byte, of a window and of none; from a file, packed, and on several threads; with the
    solver asked and without."""
    path = os.path.join(folder, "all.jsonl")
    with open(path, "wb") as out:
        truth = write(out, SEED + 5, 24, text, 300)
    with open(path, "rb") as plain, gzip.open(path + ".gz", "wb", compresslevel=1) as packed:
        shutil.copyfileobj(plain, packed)
    for solve in "auto", "never":
        want, _, _ = check(path, "--solve", solve)
        agrees(tap, want, truth, "in memory")
        if solve == "auto":
            accuses(tap, want, truth, "in memory")
        for options in ["--window", "2000", "--jobs", "1"], ["--window", "3000", "--jobs", "3"]:
            for source in path, path + ".gz":
                got, _, _ = check(source, *options, "--solve", solve)
                if not tap.check("failed" not in got, got.get("failed")):
                    continue
                tap.check(got["input"].pop("put_aside_spans") > truth["spans"] // 2, "nothing was put aside", options)
                tap.equal([got["input"].pop("late_spans"), got["input"].pop("late_links")], [0, 0], "late")
                got["input"]["bytes"] = want["input"]["bytes"]
                tap.equal(json.dumps(got), json.dumps(want), f"{options} {solve} {os.path.basename(source)}")


def test_late(tap):
    """Spans that come when their trace has gone are counted, said, and miss their pairs."""
    late = 40
    answer, truth, _ = check(lambda out: write(out, SEED + 9, 16, text, 100, late), "--window", "1500",
                             "--jobs", "1")
    if not tap.check("failed" not in answer, answer.get("failed")):
        return
    tap.equal(answer["input"]["spans"], truth["spans"], "spans")
    tap.equal(answer["input"]["traces"], truth["traces"], "traces")
    tap.check(late - 5 <= answer["input"]["late_spans"] <= late, "late", answer["input"])
    tap.check(truth["hops"] - 2 * late <= answer["input"]["hops"] < truth["hops"], "hops", answer["input"], truth)


def test_no_room(tap, folder):
    """Where nothing can be put aside, a message says what to do."""
    env = dict(os.environ, TMPDIR=os.path.join(folder, "none"))
    run = subprocess.Popen([TRUESPAN, "check", "--window", "1200", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, env=env)
    try:
        with run.stdin:
            write(run.stdin, SEED, 8, text, 100)
    except BrokenPipeError:
        pass
    run.stdin = None
    _, err = run.communicate()
    tap.equal(run.returncode, 2, "exit code")
    tap.check(b"TMPDIR" in err, err)


tap = Tap()
print(f"# SEED={SEED}")
folder = tempfile.mkdtemp(prefix="check-stream-")
try:
    tap.run("JSON lines through a pipe, in bounded memory", test_pipe, text)
    tap.run("framed protobuf through a pipe, in bounded memory", test_pipe, frame)
    tap.run("a window changes nothing while nothing is late", test_same, folder)
    tap.run("late spans are counted", test_late)
    tap.run("no room to put spans aside", test_no_room, folder)
finally:
    shutil.rmtree(folder)
tap.done()
