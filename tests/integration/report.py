#!/usr/bin/env python3
"""truespan report through its command line: the page's data are the answers of the other commands, its traces are those
of the input and of `truespan fix`, its policy holds, and tracks for Perfetto keep Chrome's rules.
usage: report.py TRUESPAN TRACES. TAP on stdout."""
import json
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab_tap import Spans, Tap, read_truth
from report_data import check_tracks, ns, read_page, unpack

TRUESPAN, TRACES = os.path.abspath(sys.argv[1]), sys.argv[2]
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().randrange(1 << 31)
HOME = tempfile.TemporaryDirectory(prefix="report-test-")
VIOLATED, LEFT = 64, 128


def run(*args, stdin=None, want=(0, 1)):
    done = subprocess.run([TRUESPAN, *args], input=stdin, capture_output=True, timeout=120, check=False)
    if want and done.returncode not in want:
        raise AssertionError(f"{args}: exit {done.returncode}: {done.stderr.decode()}")
    return done


def answer(*args):
    return json.loads(run(*args).stdout)


def path(name, data=None):
    full = os.path.join(HOME.name, name)
    if data is not None:
        with open(full, "wb") as file:
            file.write(data)
    return full


def check_page(tap, page, what):
    tap.equal(page.loads, [], f"{what}: what the page would load")
    tap.equal(page.policy.count("'unsafe"), 0, f"{what}: policy")
    tap.check("default-src 'none'" in page.policy, f"{what}: policy", page.policy)
    for text in page.scripts + page.styles:
        tap.check(page.allowed(text), f"{what}: an inline script that the policy forbids", text[:80])
    tap.equal(len(page.scripts), 2, f"{what}: scripts")


def same_answers(tap, audit, source, what):
    check = answer("check", "--json", "--examples", "100", *source)
    tap.equal(audit["check"], check, f"{what}: check --json")
    tap.equal(audit["clocks"], answer("clocks", "--json", *source), f"{what}: clocks --json")
    out = path("fixed")
    subprocess.run(["rm", "-rf", out], check=True)
    tap.equal(audit["fix"], answer("fix", "--json", "--keep-going", *source, "-o", out), f"{what}: fix --json")
    return out


def samples(tap):
    """Every sample of a trace: exit codes, answers, and what a page of it promises."""
    for name in sorted(os.listdir(TRACES)):
        file = os.path.join(TRACES, name)
        if not os.path.isfile(file):
            continue
        out = path("sample.html")
        code = run("report", file, "-o", out).returncode
        page = read_page(out)
        check_page(tap, page, name)
        audit, = page.data["audits"]
        same_answers(tap, audit, [file], name)
        tap.equal(code, int(audit["check"]["violations"]["total"] > 0), f"{name}: exit code")
        traces = unpack(audit["traces"])
        tap.equal(len(traces), audit["traces"]["total"], f"{name}: traces")
        tap.equal(sum(len(t["spans"]) for t in traces.values()), audit["check"]["input"]["spans"], f"{name}: spans")
        tap.equal(page.title, name, f"{name}: title")
        worst = [row[5] for row in audit["traces"]["index"]]
        tap.equal(worst, sorted(worst, reverse=True), f"{name}: the worst first")


def make_run(skews="0ms,3ms,5ms"):
    folder = path("run")
    if not os.path.exists(folder):
        run("sim", "--sweep", skews, "--duration", "2s", "--seed", str(SEED % 1000), "-o", folder)
    return folder


def of_a_run(tap):
    """What sim leaves: its own page, and one made again, with every answer and the summary as they are."""
    folder = make_run()
    again = path("again.html")
    run("report", folder, "-o", again)
    left = read_page(os.path.join(folder, "report.html"))
    page = read_page(again)
    tap.equal(left.data, page.data, "the page that sim left")
    with open(os.path.join(folder, "summary.json"), encoding="utf-8") as file:
        summary = json.load(file)
    lab, = page.data["labs"]
    tap.equal(lab["summary"], summary, "summary.json")
    tap.equal([(a["lab"], a["run"]) for a in page.data["audits"]], [(0, k) for k in range(len(summary["runs"]))], "runs")
    for audit, row in zip(page.data["audits"], summary["runs"]):
        source = os.path.join(folder, row["folder"], "otlp")
        tap.equal(audit["check"], answer("check", "--json", "--examples", "100", source), f"{row['folder']}: check")
        tap.equal(audit["clocks"], answer("clocks", "--json", source), f"{row['folder']}: clocks")
        check_truth(tap, audit, os.path.join(folder, row["folder"]), row)
    for curve in lab["prediction"]:
        at = {p["skew_ns"]: p for p in curve["points"]}
        tap.check(len(at) > 100, "points of the prediction", len(at))
        for row in summary["runs"]:
            if row["transport"] == curve["transport"] and row["predicted_rate"] is not None:
                for key, want in (("rate", "predicted_rate"), ("lo", "predicted_rate_lo"), ("hi", "predicted_rate_hi")):
                    tap.check(abs(at[row["skew_ns"]][key] - row[want]) < 1e-3 + (0 if row["skew_ns"] == 0 else 0.02),
                              "prediction at", row["skew_ns"], key, at[row["skew_ns"]][key], row[want])
        rates = [p["rate"] for p in curve["points"] if p["skew_ns"] >= 0]
        tap.equal(rates, sorted(rates), "the prediction rises")
    tap.check(lab["prediction"], "a prediction")


def check_truth(tap, audit, folder, row):
    """The truth that the page draws, counted again from truth.jsonl."""
    truth, spans = read_truth(folder), Spans(folder)
    reference = audit["clocks"]["reference"]
    offsets = {}
    for span in spans.rows:
        offsets.setdefault(span["host"], []).append(span["start"] - truth[span["id"]][0])
    for series in audit["truth"]:
        own, base = offsets[series["clock"]], offsets[reference]
        for at, offset in series["points"]:
            tap.check(min(own) - max(base) <= offset <= max(own) - min(base), row["folder"], series["clock"], at, offset)
        tap.check(series["points"] and len(series["points"]) <= 400, row["folder"], "points of the truth")


def traces_of_a_run(tap):
    """Packed spans are the input's, corrected ones those that fix writes, pairs those that contradict."""
    folder = make_run()
    page = read_page(os.path.join(folder, "report.html"))
    audit = max(page.data["audits"], key=lambda a: a["check"]["violations"]["total"])
    row = page.data["labs"][0]["summary"]["runs"][audit["run"]]
    source = os.path.join(folder, row["folder"], "otlp")
    fixed = path("fixed-run/otlp")
    os.makedirs(fixed, exist_ok=True)
    run("fix", *(os.path.join(source, f) for f in sorted(os.listdir(source))), "-o", fixed)
    before, after = Spans(os.path.join(folder, row["folder"])), Spans(path("fixed-run"))
    clocks = [c["clock"] for c in audit["clocks"]["clocks"]]
    traces = unpack(audit["traces"])
    violated = 0
    for trace_id, trace in traces.items():
        for span in trace["spans"]:
            one, two = before.by_id[trace_id, span["id"]], after.by_id[trace_id, span["id"]]
            tap.equal((span["start"], span["end"], span["name"], clocks[span["clock"]]),
                      (one["start"], one["end"], one["name"], one["host"]), "a span")
            tap.equal((span["start2"], span["end2"]), (two["start"], two["end"]), "a corrected span")
            parent = trace["spans"][span["parent"]]["id"] if span["parent"] >= 0 else None
            tap.equal(parent, one["parent"] or None, "parent")
        for pair in trace["pairs"]:
            violated += bool(pair["flags"] & VIOLATED)
            tap.equal(bool(pair["flags"] & VIOLATED), pair["by"] > 0, "a violated pair")
            tap.equal(bool(pair["flags"] & LEFT), pair["by2"] > 0, "a pair still violated")
        tap.equal(trace["violations"], sum(bool(p["flags"] & VIOLATED) for p in trace["pairs"]), "violations of a trace")
    hops = {(p["id"], c["id"]) for p, c in before.hops() if c["start"] < p["start"]}
    packed = {(t["spans"][p["from"]]["id"], t["spans"][p["to"]]["id"]) for t in traces.values() for p in t["pairs"]
              if p["flags"] & VIOLATED and p["flags"] & 7 != 6}
    whole = len(traces) == audit["traces"]["total"]
    tap.check(packed == hops if whole else packed <= hops, "violated pairs", len(packed), len(hops))
    tap.check(violated, "violations at all")


def budget(tap):
    """--spans keeps the worst traces, and of every edge with violations one; a trace too large is cut, not lost."""
    folder = make_run()
    page = read_page(os.path.join(folder, "report.html"))
    row = max(page.data["labs"][0]["summary"]["runs"], key=lambda r: r["negative_spans"])
    source, out = os.path.join(folder, row["folder"], "otlp"), path("budget.html")
    for most in (1, 40, 200, 1000, 0):
        run("report", source, "-o", out, "--spans", str(most))
        audit, = read_page(out).data["audits"]
        traces = unpack(audit["traces"])
        spans = sum(len(t["spans"]) for t in traces.values())
        tap.check(spans <= most or not most, f"--spans {most}", spans)
        tap.check(traces, f"--spans {most}: no trace")
        if not most:
            tap.equal(spans, audit["check"]["input"]["spans"], "--spans 0")
        elif most >= 40:
            edges = {(audit["clocks"]["clocks"][t["spans"][p["from"]]["clock"]]["clock"],
                      audit["clocks"]["clocks"][t["spans"][p["to"]]["clock"]]["clock"])
                     for t in traces.values() for p in t["pairs"] if p["flags"] & VIOLATED and p["flags"] & 7 != 6}
            tap.check({(e["from"], e["to"]) for e in audit["check"]["edges"] if e["violations"]} <= edges, "edges", edges)


def tracks(tap):
    """Tracks of a run and of every sample: whole events, nested slices, arrows in pairs that hang on slices."""
    folder = make_run()
    inputs = [os.path.join(folder, sorted(f for f in os.listdir(folder) if f.endswith("-5ms"))[0])]
    inputs += [os.path.join(TRACES, name) for name in sorted(os.listdir(TRACES)) if os.path.isfile(os.path.join(TRACES, name))]
    for source in inputs:
        out = path("tracks.json")
        run("report", source, "--perfetto", out)
        otlp = os.path.join(source, "otlp") if os.path.isdir(source) else source
        clocks = [c["clock"] for c in answer("clocks", "--json", otlp)["clocks"]]
        with open(out, encoding="utf-8") as file:
            trace, slices, arrows = check_tracks(tap, file.read(), clocks)
        origin = int(trace["otherData"]["origin_unix_nano"])
        for rows in slices.values():
            for row in rows:
                tap.equal(origin + ns(row["ts"]), int(row["args"]["start"]), f"{source}: time of a slice")
        groups = {thread[0]: 0 for thread in slices}
        for thread, rows in slices.items():
            groups[thread[0]] += len(rows)
        tap.check(len(set(groups.values())) <= 1, f"{source}: spans of both groups", groups)
        if os.path.isdir(source):
            hard = answer("check", "--json", otlp)["violations"]["hard"]
            bad = [ends[0]["pid"] for key, ends in arrows.items() if key[0] == "violation"]
            tap.equal((bad.count(1), bad.count(2)), (hard, 0), "arrows of violations, as stamped and corrected")


def hostile(tap):
    """Names that would break a page out of its data do not."""
    names = ["<script>alert(1)</script>", "</script><img src=x onerror=alert(1)>", "<!--", "]]>", "\u202egnp.exe", "a\u0000b",
             "\u2028\u2029", "\"'`&lt;", "\ud7ff\U0010ffff", "x" * 1_000_000, ""]
    spans = [{"traceId": "%032x" % (k + 1), "spanId": "%016x" % (k + 1), "name": name, "kind": 1,
              "startTimeUnixNano": str(10**18 + k), "endTimeUnixNano": str(10**18 + k + 5),
              "attributes": [{"key": "huge", "value": {"stringValue": "y" * 1_000_000}}]} for k, name in enumerate(names)]
    resources = [{"resource": {"attributes": [{"key": "host.name", "value": {"stringValue": name[:1000] or "none"}}]},
                  "scopeSpans": [{"spans": [span]}]} for name, span in zip(names, spans)]
    file = path("</title><script>hostile.json".replace("/", "\u2215"), json.dumps({"resourceSpans": resources}).encode())
    out = path("hostile.html")
    run("report", file, "-o", out, "--title", "</title><script>alert(2)</script>")
    page = read_page(out)
    check_page(tap, page, "hostile")
    tap.equal(page.title, "</title><script>alert(2)</script>", "title")
    tap.check("img" not in page.elements, "an element from the data")
    shown = page.data["audits"][0]["traces"]["names"]
    for name in names[:-2]:
        tap.check(name.split("\0")[0] in [text.split("\0")[0] for text in shown], "name", repr(name), shown)
    tap.check(max(len(text.encode()) for text in shown) <= 203, "a name cut short")
    tap.check(os.path.getsize(out) < 2_000_000, "size", os.path.getsize(out))
    run("report", file, "--perfetto", path("hostile.json"))
    with open(path("hostile.json"), encoding="utf-8") as text:
        json.load(text)


def random_cuts(tap):
    """Traces with spans that lack stamps, end before they start, cross, repeat or ring: a page and tracks all the same."""
    rngs = random.Random(SEED), random.Random(398389233)  # the second: pairs that contradict each other
    for rng in [rng for rng in rngs for _ in range(12)]:
        spans = []
        for k in range(rng.randrange(1, 60)):
            start = 10**18 + rng.randrange(10**6)
            span = {"traceId": "%032x" % rng.randrange(1, 4), "spanId": "%016x" % rng.randrange(1, 40), "name": f"op{k % 7}",
                    "kind": rng.randrange(6), "parentSpanId": rng.choice(["", "%016x" % rng.randrange(1, 40)])}
            if rng.random() < 0.9:
                span["startTimeUnixNano"] = str(start)
            if rng.random() < 0.9:
                span["endTimeUnixNano"] = str(start + rng.randrange(-1000, 10**6))
            spans.append((rng.randrange(4), span))
        document = {"resourceSpans": [{"resource": {"attributes": [{"key": "host.name", "value": {"stringValue": f"m{clock}"}}]},
                                       "scopeSpans": [{"spans": [span]}]} for clock, span in spans]}
        text = json.dumps(document).encode()
        file, out, json_out = path("cut.json", text), path("cut.html"), path("cut.tracks")
        most = rng.choice([0, 1, 5, 20])
        run("report", file, "-o", out, "--perfetto", json_out, "--spans", str(most))
        page = read_page(out)
        same_answers(tap, page.data["audits"][0], [file], "random")
        unpack(page.data["audits"][0]["traces"])
        with open(json_out, encoding="utf-8") as tracks_file:
            check_tracks(tap, tracks_file.read(), [f"m{k}" for k in range(4)])
        both = run("report", "-", "-o", "-", "--perfetto", path("piped.tracks"), "--spans", str(most), "--title", page.title, stdin=text)
        with open(out, encoding="utf-8", newline="") as written:
            tap.equal(both.stdout.decode() == written.read(), True, "the page of standard input")
        with open(json_out, "rb") as one, open(path("piped.tracks"), "rb") as other:
            tap.equal(one.read() == other.read(), True, "the tracks of standard input")


def refusals(tap):
    """What cannot be done is said, with exit code 2, and leaves no file."""
    file, out = path("none.json", b"not a trace"), path("refused.html")
    broken = path("broken")
    os.makedirs(broken, exist_ok=True)
    path("broken/summary.json", b'{"runs": [{"folder": "../../etc"}]}')
    deep = path("deep")
    os.makedirs(deep, exist_ok=True)
    path("deep/summary.json", b'{"runs": ' + b"[" * 100000)
    folder = make_run()
    for args, word in (((file, "-o", out), "none.json"), ((file,), "-o"), (("-o", out), "want"), ((path("absent"), "-o", out), "absent"),
                       ((broken, "-o", out), "summary"), ((deep, "-o", out), "summary"), ((folder, "--perfetto", out), "one input"),
                       ((file, "-o", path("no/such/folder.html")), ""), (("-", "-o", out), "standard input"),
                       ((file, "-o", "-", "--perfetto", "-"), "standard output"), (("-", "-", "-o", out), "")):
        done = run("report", *args, stdin=b"", want=None)
        tap.equal(done.returncode, 2, f"{args}: exit code")
        tap.check(word in done.stderr.decode(), args, done.stderr.decode())
        tap.check(not os.path.exists(out), args, "a file was left")


def without_spans(tap):
    """Points to which no request came are left out; the sweep is shown all the same."""
    folder = path("hollow")
    subprocess.run(["cp", "-r", make_run(), folder], check=True)
    points = sorted(name for name in os.listdir(folder) if os.path.isdir(os.path.join(folder, name)))
    for left, emptied in ((len(points) - 1, points[:1]), (0, points)):
        for name in emptied:
            for otlp in os.listdir(os.path.join(folder, name, "otlp")):
                path(os.path.join("hollow", name, "otlp", otlp), b"")
        run("report", folder, "-o", path("hollow.html"))
        page = read_page(path("hollow.html"))
        tap.equal((len(page.data["labs"]), len(page.data["audits"])), (1, left), "sweeps and points")


def by_check(tap):
    """check --html leaves the page that report makes, prints what it prints without, and reads its input once."""
    file = os.path.join(TRACES, "hotel-12.jaeger.json")
    one, two = path("check.html"), path("report.html")
    with open(file, "rb") as input_file:
        text = input_file.read()
    for options in ([], ["--json"], ["--json", "--examples", "3", "--solve", "never"], ["--clock-key", "ip/24", "--jobs", "1"],
                    ["--clock-key", "ip/24", "--reference", "10.0.1.0/24", "--max-drift", "20", "--json"]):
        plain = run("check", file, *options)
        key = [word for k, word in enumerate(options) if {"--clock-key", "--reference", "--max-drift"} & {word, *options[k - 1:k]}]
        run("report", file, *key, "-o", two)
        for source, stdin in ((file, None), ("-", text)):
            with_page = run("check", source, *options, "--html", one, stdin=stdin)
            tap.equal((with_page.returncode, with_page.stdout), (plain.returncode, plain.stdout), f"what check {options} prints of {source}")
            page, other = read_page(one).data, read_page(two).data
            for data in (page, other):
                data["title"] = data["audits"][0]["name"] = ""
                if "--solve" in options:
                    data["audits"][0]["check"] = data["audits"][0]["advice"] = None
            tap.equal(page, other, f"data of {options}")
    for args, word in ((("-", "--html", one), "no trace"), ((file, "--html", "-"), "standard output"), ((file, "--html", one, "--window", "100"), "--window"),
                       ((path("absent"), "--html", one), "absent")):
        if os.path.exists(one):
            os.remove(one)
        done = run("check", *args, stdin=b"", want=None)
        tap.equal(done.returncode, 2, f"{args}: exit code")
        tap.check(word in done.stderr.decode(), args, done.stderr.decode())
        tap.check(not os.path.exists(one), args, "a page was left")


def main():
    print(f"# seed {SEED}")
    tap = Tap()
    for test in (samples, of_a_run, traces_of_a_run, budget, tracks, hostile, random_cuts, refusals, without_spans, by_check):
        tap.run(test.__doc__.splitlines()[0], test)
    HOME.cleanup()
    tap.done()


main()
