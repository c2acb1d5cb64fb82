#!/usr/bin/env python3
"""What is known of each real sample (its source's own counts, what was worked out by hand) against what check, clocks and
fix say. usage: known_traces.py TRUESPAN SAMPLES [LARGER_SAMPLES]. TAP on stdout."""
import gzip, json, os, subprocess, sys, tempfile
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fix_traces import read
from lab_tap import Tap

TRUESPAN, FOLDERS = sys.argv[1], sys.argv[2:]
MICROS = 1000
DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/clocks.md")

# file: (spans, traces, clocks, violations by kind, violations by cause, what is seen in the answer)
NONE = ({}, {})
COUNTS = {
    # Calls between two nodes whose clocks differ by 0.76 to 2.29 ms; 186 children start before their parent.
    "hotel-2node-load100.jaeger.json": (2200, 200, 6, {"hard": 186}, {"clock": 186}, "Jaeger noted skew on"),
    "hotel-12.jaeger.json": (132, 12, 6, {"hard": 19}, {"clock": 19}, "Jaeger noted skew on"),
    # The same service on another day: 10.0.2 is behind, which requests hide and answers show.
    "hotel-behind-100.jaeger.json.gz": (1100, 100, 6, {"soft": 117}, {"unknown": 117}, "or skew"),
    # Ten nodes, most of whose stamps are whole milliseconds: a few late answers, no clock to be seen.
    "nezha-trainticket-0129-0912.otlp.json.gz": (2953, 50, 10, {"soft": 6}, {"late_stamp": 1, "unknown": 5},
                                                 "too few to tell"),
    # Eight nodes; node .76 lags .167, in two hops to be seen.
    "nezha-boutique-0822-0520.otlp.jsonl": (1112, 25, 8, {"hard": 2}, {"clock": 2}, "33.33.33.76 runs about"),
    "nezha-boutique-0822-0520.otlp.pb": (1112, 25, 8, {"hard": 2}, {"clock": 2}, "33.33.33.76 runs about"),
    "nezha-boutique-0822-0520.otlp.pb.gz": (1112, 25, 8, {"hard": 2}, {"clock": 2}, "33.33.33.76 runs about"),
    # 65.4 ms, in one call: whether a clock did it cannot be known.
    "skew.zipkin2.json": (4, 1, 2, {"hard": 1}, {"unknown": 1}, "The only hop from servicea to 192.0.0.0 is received 65.4 ms before it is sent"),
    "trainticket-cancel2.zipkin2.json": (23, 1, 5, *NONE, "10 of 10 servers lie exactly in the middle"),
    "nodejs-load75.jaeger.json": (360, 60, 1, *NONE, "All spans were stamped by one clock"),
    "nodejs-8.jaeger.json": (48, 8, 1, *NONE, "All spans were stamped by one clock"),
    # Calls that their servers outlive, two of them: nobody is accused.
    "jaegerui-span-longer-than-parent.jaeger.json": (8, 1, 2, {"soft": 2}, {"unknown": 2}, ""),
    "messaging.zipkin2.json": (4, 1, 1, *NONE, ""),
    "messaging2.zipkin2.json": (11, 1, 4, *NONE, ""),
    "simple-db-p6.zipkin2.json": (5, 1, 1, *NONE, ""),
    "envoy.zipkin2.json": (1, 1, 1, *NONE, ""),
    "jaeger-ui_01.jaeger.json": (5, 1, 2, *NONE, ""),
    "jaeger-example_trace.otlp.json": (5, 1, 3, *NONE, ""),
    "jaeger-link_attributes_trace.otlp.json": (1, 1, 1, *NONE, ""),
    "jaeger-otel_traces_01.otlp.json": (4, 2, 1, *NONE, ""),
    "jaegerui-multi.otlp.json": (4, 1, 1, *NONE, ""),
    "jaegerui-multi.jaeger.json": (4, 1, 1, *NONE, ""),
    "kiali-bookinfo.otlp.json": (8, 1, 5, *NONE, ""),
    "oteldemo-base64ids.otlp.jsonl": (19, 19, 1, *NONE, ""),
    "oteldemo.otlp.pb": (19, 19, 1, *NONE, ""),
    "small.otlp.json": (2, 1, 1, *NONE, ""),
    "small.otlp.pb": (2, 1, 1, *NONE, ""),
    "proto-example.otlp.json": (1, 1, 1, *NONE, ""),
    "genai-microsoft-agent-2025-10-14.otlp.json": (4, 1, 1, *NONE, ""),
    "genai-langgraph-2025-08-22.otlp.json": (9, 1, 1, *NONE, ""),
    "genai-koog-2025-08-26.otlp.json": (11, 1, 1, *NONE, ""),
}

# Answers that clocks explain are mended like requests, though nobody is accused of them.
ALL_MENDED = {"hotel-behind-100.jaeger.json.gz"}

# Bounds widen with the drift that is allowed, so the known intervals, of clocks without drift, are asked for at 1 ppm.
# (file, clock key, reference, clock, verdict, known interval, how far outside of it the bounds may lie, both in us)
INTERVALS = [
    ("hotel-2node-load100.jaeger.json", "ip/24", "10.0.1.0/24", "10.0.2.0/24", "proven", (763, 2288), (2, 130)),
    ("hotel-behind-100.jaeger.json.gz", "ip/24", "10.0.1.0/24", "10.0.2.0/24", "suspected", (-2318, -832), (2, 160)),
    # Only answers bound it from below; of eleven, too few to be believed as proof.
    ("nezha-boutique-0822-0520.otlp.jsonl", None, "33.33.33.167", "33.33.33.76", "proven", (-1050, -128), (None, 2)),
    ("nezha-boutique-0822-0520.otlp.pb.gz", None, "33.33.33.167", "33.33.33.76", "proven", (-1050, -128), (None, 2)),
]

REFUSED = {
    "invalid/malformed.otlp.json": "this is OTLP logs",
    "invalid/trace_invalid_base64.otlp.json": "byte 402: traceId is neither 32 hex digits nor base64 of 16 bytes",
    "invalid/trace_invalid_kind.otlp.json": "byte 538: kind is neither 0 to 5 nor SPAN_KIND_",
    "invalid/trace_mixed_encoding.otlp.json": "traceId is neither 32 hex digits nor base64 of 16 bytes",
    "kineto-basetime.chrome.json.gz": "this is a Chrome or Perfetto trace",
}


def run(*args):
    p = subprocess.run([TRUESPAN, *args], capture_output=True, timeout=120)
    return p.returncode, p.stdout, p.stderr.decode()


def find(name):
    return next((path for path in (os.path.join(f, name) for f in FOLDERS) if os.path.isfile(path)), None)


def get(path):
    with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
        return file.read()


def spans_by_hand(path):
    """Counted from the JSON by nothing but its shape; None where there is no JSON."""
    try:
        lines = get(path).decode().strip()
        docs = [json.loads(lines)] if "jsonl" not in path else [json.loads(line) for line in lines.splitlines()]
    except ValueError:
        return None

    def count(node):
        if isinstance(node, dict):
            return sum(len(v) if k == "spans" else count(v) for k, v in node.items())
        return sum(map(count, node)) if isinstance(node, list) else 0

    return sum(len(d) if "zipkin" in path else count(d) for d in docs)


def counts(t, name):
    path = find(name)
    if not path:
        return "not among the samples here"
    spans, traces, clocks, kinds, causes, words = COUNTS[name]
    total = sum(kinds.values())
    rc, out, err = run("check", "--json", path)
    if not t.equal(rc, 1 if total else 0, "exit code; " + err):
        return None
    said = json.loads(out)
    by_hand = spans_by_hand(path)
    t.check(by_hand in (None, spans), "spans counted by hand", by_hand, "in the table", spans)
    t.equal([said["input"][k] for k in ("spans", "traces", "clocks")], [spans, traces, clocks], "spans, traces, clocks")
    t.equal(said["violations"].pop("total"), total, "violations")
    t.equal({k: n for k, n in said["violations"].items() if n}, kinds, "kinds")
    t.equal({k: n for k, n in said["causes"].items() if n}, causes, "causes")
    accused = [c["clock"] for c in said["clocks"] if c["verdict"] in ("proven", "suspected")]
    t.equal(bool(accused), "clock" in causes, "whether anybody is accused: %s" % accused)
    t.check(words in run("check", path)[1].decode(), "check does not say", words)
    # fix: no violation, no other byte; else none is left.
    with tempfile.TemporaryDirectory() as folder:
        fixed = os.path.join(folder, name)
        rc, out, err = run("fix", "--json", path, "-o", fixed)
        if t.check(rc in (0, 1), "fix: exit", rc, err):
            left = json.loads(out)["left"]["total"]
            t.check(left == 0 or "soft" in kinds and name not in ALL_MENDED, "left after fix", left)
            if not total:
                t.check(get(path) == get(fixed), "fix changed what nothing contradicts")
    return None


def interval(t, name, key, reference, clock, verdict, known, slack):
    path = find(name)
    if not path:
        return "not among the samples here"
    rc, out, err = run("clocks", "--json", "--max-drift", "1", "--reference", reference,
                       *(("--clock-key", key) if key else ()), path)
    if not t.equal(rc, 1, "exit code; " + err):
        return None
    said = next(c for c in json.loads(out)["clocks"] if c["clock"] == clock)
    t.equal(said["verdict"], verdict, "verdict")
    t.check(known[0] * MICROS <= said["offset_ns"] <= known[1] * MICROS, "offset", said["offset_ns"], "known", known)
    for side, bound, outside, tightest in (("lo_ns", known[0], -1, max), ("hi_ns", known[1], 1, min)):
        room = slack[0 if outside < 0 else 1]
        values = [k[side] for k in said["knots"]]
        if room is None:
            t.equal(set(values), {None}, side)
            continue
        # Tightest at the moment of the hop that makes it: no tighter than the truth allows, and not much wider.
        beyond = (tightest(values) - bound * MICROS) * outside
        t.check(-1 * MICROS <= beyond <= room * MICROS, side, tightest(values), "known", bound * MICROS)
    return None


def pair(t):
    """One trace in two formats; and one in two encodings: the same answers but for names and sizes."""
    for one, other in (("jaegerui-multi.otlp.json", "jaegerui-multi.jaeger.json"), ("small.otlp.json", "small.otlp.pb"),
                       ("oteldemo-base64ids.otlp.jsonl", "oteldemo.otlp.pb")):
        a, b = (json.loads(run("check", "--json", find(n))[1]) for n in (one, other))
        for said in (a, b):
            del said["input"]["bytes"]
        t.equal((a["input"], a["violations"], a["causes"]), (b["input"], b["violations"], b["causes"]), one)


def refused(t, name, words):
    path = find(name)
    if not path:
        return "not among the samples here"
    rc, out, err = run("check", path)
    t.equal((rc, out), (2, b""), "exit code, output")
    t.check(path in err and words in err, "the message:", err)
    return None


def all_known(t):
    """A sample that stands in no table is a sample of which nobody said what is true."""
    for folder in filter(os.path.isdir, FOLDERS):
        for name in sorted(os.listdir(folder)):
            known = name in COUNTS or name in REFUSED or name.endswith(".md") or name in ("invalid", "nezha-2.otlp.jsonl")
            t.check(known, name, "stands in no table here")


def proof_by_hand(t, name, clock, args, find_stamps):
    """The chain that --why prints, held against the stamps of the file as another reader finds them; and what
    docs/clocks.md shows of it."""
    path = find(name)
    rc, out, err = run("clocks", "--json", "--why", clock, *args, path)
    answer, stamps = json.loads(out), find_stamps(path)
    why, row = answer["why"], next(c for c in answer["clocks"] if c["clock"] == clock)
    knot = next(k for k in row["knots"] if k["at"] == why["at"])
    text = run("clocks", "--why", clock, *args, path)[1].decode()
    with open(DOCS) as page:
        shown = page.read()
    for side, bound in (("hi", knot["hi_ns"]), ("lo", knot["lo_ns"])):
        if not t.check((why[side] is None) == (bound is None), side, why[side], bound) or bound is None:
            continue
        links = why[side]
        t.equal(sum(k["limit_ns"] for k in links), bound if side == "hi" else -bound, "the sum of " + side)
        t.check(f"{bound:,} ns" in text and f"{bound:,} ns" in shown, side, bound, "is not in docs/clocks.md")
        for a, b in zip(links, links[1:]):
            t.equal((a["to"], a["received"]), (b["from"], b["sent"]), "the chain of " + side)
        for k in links:
            took = int(k["received"]) - int(k["sent"])
            if k["trace_id"] is None:
                t.check(0 <= k["limit_ns"] - abs(took) * 1e-4 <= 2 and k["from"] == k["to"], "drift:", k)
                continue
            t.check(int(k["sent"]) in stamps[k["sent_span_id"]] and int(k["received"]) in stamps[k["received_span_id"]],
                    "no such stamps in the file:", k)
            t.check(2 <= k["limit_ns"] - took <= 2002, "allowance:", k)
            t.check(k["sent"] in shown and f"{k['limit_ns']:,}" in shown, "not in docs/clocks.md:", k)


def jaeger_stamps(path):
    with open(path) as file:
        return {s["spanID"]: (s["startTime"] * MICROS, (s["startTime"] + s["duration"]) * MICROS)
                for trace in json.load(file)["data"] for s in trace["spans"]}


def proto_stamps(path):
    with gzip.open(path) as file:
        return {span: (start, end) for span, (start, end, _) in read("otlp.pb", file.read()).items()}


def main():
    tap = Tap()
    for folder in FOLDERS:
        if not os.path.isdir(folder):
            tap.run(folder, lambda t: "no such folder here")
    for name in COUNTS:
        tap.run(name, counts, name)
    for row in INTERVALS:
        tap.run("%s: %s" % (row[0], row[3]), interval, *row)
    for name, words in REFUSED.items():
        tap.run(name, refused, name, words)
    tap.run("pairs of one trace", pair)
    tap.run("the proof of hotel by hand", proof_by_hand, "hotel-12.jaeger.json", "10.0.2.0/24", ["--clock-key", "ip/24"],
            jaeger_stamps)
    tap.run("the proof of Nezha by hand", proof_by_hand, "nezha-boutique-0822-0520.otlp.pb.gz", "33.33.33.76", [],
            proto_stamps)
    tap.run("every sample is known", all_known)
    tap.done()


main()
