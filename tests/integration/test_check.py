#!/usr/bin/env python3
"""`truespan check` as a stranger uses it: exit codes, keys, messages, the same answer from every way in. TAP.

usage: test_check.py TRUESPAN DATA_FOLDER"""
import fcntl, gzip, json, os, pty, struct, subprocess, sys, tempfile, termios

truespan, data = sys.argv[1:3]
traces = os.path.join(data, "traces")
number = failed = 0


def run(*args, stdin=None, env=None):
    done = subprocess.run([truespan] + list(args), input=stdin, capture_output=True, timeout=60,
                          env=dict(os.environ, **(env or {})))
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test(name, *conditions):
    global number, failed
    number += 1
    bad = [k for k, c in enumerate(conditions) if not c]
    failed += bool(bad)
    print("%sok %d - %s%s" % ("not " if bad else "", number, name, " # condition %s" % bad if bad else ""))


def sample(name):
    return os.path.join(traces, name)


skew, clean = sample("skew.zipkin2.json"), sample("kiali-bookinfo.otlp.json")

# Exit codes.
test("0 without violations", run("check", clean)[0] == 0)
test("1 with violations", run("check", skew)[0] == 1)
for name, args in {"no file": ["check"], "missing file": ["check", "/nonexistent"], "bad option": ["check", "--nope", skew],
                   "bad key": ["check", "--clock-key", "nope", skew], "bad reference": ["check", "--reference", "nope", skew],
                   "bad trace": ["check", "--trace", "abc", skew], "bad format": ["check", "--format", "xml", skew],
                   "wrong format": ["check", "--format", "otlp-proto", skew], "no command": ["chekc"],
                   "drift": ["check", "--max-drift", "-1", skew], "nothing": []}.items():
    rc, out, err = run(*args)
    test("2 and a message on stderr: " + name, rc == 2, out == "", len(err) > 10)
for name in sorted(os.listdir(sample("invalid"))):
    rc, out, err = run("check", sample("invalid/" + name))
    test("invalid/" + name, rc == 2, name in err, out == "")
    rc, out, err = run("check", "--keep-going", sample("invalid/" + name))
    test("--keep-going invalid/" + name, rc in (0, 2))

kinds = {"otlp-proto": "small.otlp.pb", "otlp-json": "small.otlp.json", "jaeger": "hotel-12.jaeger.json", "zipkin": "skew.zipkin2.json"}
for format in list(kinds) + ["otlp-proto-framed"]:
    for kind, name in kinds.items():
        rc, out, err = run("check", "--format", format, sample(name))
        test("--format %s of %s" % (format, kind), (rc in (0, 1)) == (format == kind), rc != 2 or (out == "" and name in err))

# What a program reads: exactly these keys.
said = json.loads(run("check", "--json", skew)[1])
test("keys", list(said) == ["input", "violations", "causes", "edges", "solved", "clocks", "examples"],
     list(said["input"]) == ["files", "bytes", "spans", "traces", "clocks", "hops"],
     list(said["violations"]) == ["total", "hard", "soft", "same_clock", "negative_duration", "token_order"],
     list(said["causes"]) == ["clock", "step", "late_stamp", "instrumentation", "unknown"],
     list(said["edges"][0]) == ["from", "to", "hops", "violations", "worst_ns", "slack_p50_ns", "margin_ns", "margin_1pct_ns"],
     list(said["clocks"][0]) == ["clock", "verdict", "offset_ns", "lo_ns", "hi_ns", "drift_ppb", "hops_in", "hops_out",
                                 "steps"],
     list(said["examples"][0]) == ["trace_id", "span_id", "parent_span_id", "from", "to", "by_ns", "cause"])
test("skew.zipkin: 65.44 ms, and too few hops to say why", said["violations"]["hard"] == 1,
     said["edges"][0]["worst_ns"] == 65441000, said["causes"]["unknown"] == 1,
     said["edges"][0]["from"] == "servicea", all(c["verdict"] in ("unknown", "ok") for c in said["clocks"]))

# The truth about the samples, where it is known.
said = json.loads(run("check", "--json", "--clock-key", "ip/24", sample("hotel-12.jaeger.json"))[1])
ahead = {c["clock"]: c for c in said["clocks"]}
rc, out, err = run("check", "--reference", "10.0.1.0/24", "--clock-key", "ip/24", sample("hotel-12.jaeger.json"))
test("hotel: 10.0.2 is ahead", said["input"]["clocks"] == 2, said["violations"]["hard"] > 0,
     "10.0.2.0/24 runs about" in out and "ahead of 10.0.1.0/24" in out)
said = json.loads(run("check", "--json", "--reference", "33.33.33.167", sample("nezha-boutique-0822-0520.otlp.pb.gz"))[1])
wrong = [c for c in said["clocks"] if c["verdict"] == "proven"]
test("nezha: .76 lags, and only .76", said["violations"]["hard"] == 2, [c["clock"] for c in wrong] == ["33.33.33.76"],
     wrong and -1050000 <= wrong[0]["offset_ns"] <= -128000)
rc, out, err = run("check", sample("trainticket-cancel2.zipkin2.json"))
test("trainticket: already corrected", rc == 0, "corrected already" in out, "10 of 10" in out)
rc, out, err = run("check", sample("nodejs-8.jaeger.json"))
test("nodejs: one clock, nothing wrong", rc == 0, "1 clock" in out, "No violation." in out)

# One answer, whichever way the bytes come in.
want = json.loads(run("check", "--json", skew)[1])
raw = open(skew, "rb").read()
with tempfile.TemporaryDirectory() as aside:
    packed = os.path.join(aside, "skew.json.gz")
    with gzip.open(packed, "wb") as out:
        out.write(raw)
    halves = json.loads(raw)
    for k in range(2):
        with open(os.path.join(aside, "half%d.json" % k), "w") as out:
            json.dump(halves[k::2], out)
    ways = {"pipe": run("check", "--json", "-", stdin=raw), "gzip": run("check", "--json", packed),
            "two files": run("check", "--json", *[os.path.join(aside, "half%d.json" % k) for k in range(2)]),
            "one thread": run("check", "--json", "--jobs", "1", skew)}
    os.unlink(packed)
    ways["folder"] = run("check", "--json", aside)
for name, (rc, out, err) in ways.items():
    got = json.loads(out)
    test("the same by " + name, rc == 1, got["violations"] == want["violations"], got["causes"] == want["causes"],
         sorted(map(str, got["edges"])) == sorted(map(str, want["edges"])))

# Odd inputs get an answer, and the answer says what was odd.
def otlp(*spans):
    rows = {}
    for host, span, parent, start, end in spans:
        rows.setdefault(host, []).append({"traceId": "ab" * 16, "spanId": "%016x" % span, "kind": 1, "name": "s%d" % span,
                                          "parentSpanId": "%016x" % parent if parent else "",
                                          "startTimeUnixNano": str(1700000000123456789 + start),
                                          "endTimeUnixNano": str(1700000000123456789 + end)})
    return json.dumps({"resourceSpans": [{"resource": {"attributes": [{"key": "host.name", "value": {"stringValue": h}}]},
                                          "scopeSpans": [{"spans": s}]} for h, s in rows.items()]}).encode()


rc, out, err = run("check", "-", stdin=otlp(("a", 1, 2, 0, 9), ("a", 2, 3, 1, 8), ("a", 3, 1, 2, 7), ("a", 4, 4, 0, 1)))
test("rings of parents are cut", "2 rings of parents were cut." in out)
rc, out, err = run("check", "--trace", "ab" * 16, "-", stdin=otlp(("a", 1, 2, 0, 9), ("a", 2, 1, 1, 8)))
test("a ring as a tree", rc in (0, 1), out.count("s1") == 1, out.count("s2") == 1)
rc, out, err = run("check", "-", stdin=otlp(("a", 1, 0, 0, 9), ("b", 2, 1, 1, 8), ("b", 2, 1, 1, 8), ("b", 3, 77, 1, 8)))
test("copies and orphans are counted", rc == 0, "1 hop between" in out, "more than once" in out,
     "1 span names a parent that is not in the input." in out)
never = -1700000000123456789  # a stamp of 0
rc, out, err = run("check", "-", stdin=otlp(("a", 1, 0, 0, 9), ("b", 2, 1, never, 8), ("b", 3, 1, never, never),
                                            ("b", 3, 1, never, never), ("b", 4, 1, 1, never)))
test("spans without stamps are counted", rc == 0, "3 spans have no start, no end or neither" in out)
rc, out, err = run("check", "--json", "-", stdin=otlp(("a", 1, 0, 9, 0), ("b", 2, 1, 20, 30)))
test("a negative duration", rc == 1, json.loads(out)["violations"]["negative_duration"] == 1,
     json.loads(out)["causes"]["instrumentation"] == 1, json.loads(out)["examples"][0]["parent_span_id"] is None)
rc, out, err = run("check", "-", stdin=otlp(*[("a", k, k - 1, k, 9 * k) for k in range(1, 30001)]))
test("a chain of 30,000 spans", rc == 0)
rc, out, err = run("check", sample("nodejs-8.jaeger.json"))
test("coarse stamps are reported", "in steps of 1.00 ms" in out)

# One of one is the only one.
rc, out, err = run("check", "-", stdin=otlp(("a", 1, 0, 9, 20), ("b", 2, 1, 1, 30)))
test("the only hop", "The only hop from a to b is received 8 ns before it is sent: too few" in out)
rc, out, err = run("check", "-", stdin=otlp(("a", 1, 0, 9, 20), ("b", 2, 1, 1, 30), ("b", 3, 1, 10, 30)))
test("one of two hops", "1 of 2 hops from a to b is received 8 ns before it is sent: too few" in out)

# A writer that comes, writes and goes, as a shell's redirection does: nobody but the reader lets it in.
with tempfile.TemporaryDirectory() as aside:
    pipe, fixed = (os.path.join(aside, name) for name in ("pipe", "fixed.json"))
    os.mkfifo(pipe)
    for args in (["check", "--json", pipe], ["clocks", "--json", pipe], ["fix", "--json", pipe, "-o", fixed],
                 ["report", pipe, "-o", fixed]):
        for _ in range(10):
            reader = subprocess.Popen([truespan] + args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            with open(pipe, "wb") as out:
                out.write(raw)
            try:
                said = reader.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                reader.kill()
                said = reader.communicate()
            if reader.returncode not in (0, 1):
                break
        test(args[0] + " of a named pipe", reader.returncode in (0, 1), said[1] == b"")

# A folder of several runs that is read as one says so; one run does not.
with tempfile.TemporaryDirectory() as aside:
    for skew_ms in (0, 8):
        os.makedirs(os.path.join(aside, "run/zmq-%dms/otlp" % skew_ms))
        with open(os.path.join(aside, "run/zmq-%dms/truth.jsonl" % skew_ms), "w") as out:
            out.write("")
        for k, host in enumerate("ab"):
            with open(os.path.join(aside, "run/zmq-%dms/otlp/%s.jsonl" % (skew_ms, host)), "wb") as out:
                out.write(otlp((host, 2 * k + 1, k, 10**7 * k, 10**8 + skew_ms)))
    for args, stream in ((["check"], 1), (["clocks"], 2), (["fix", "-o", os.path.join(aside, "fixed")], 2)):
        many = run(*args, os.path.join(aside, "run"))[stream]
        one = run(*args, os.path.join(aside, "run/zmq-8ms/otlp"))[stream]
        test("several runs as one: " + args[0], "hese are 2 runs read as one" in many, "runs" not in one)

# For people.
rc, out, err = run("check", "--trace", "1e223ff1f80f1c69", skew)
test("a trace as a tree", rc == 1, "<-- starts 65.4 ms before its cause" in out, "\033" not in out,
     [line.split()[3].strip(",") for line in out.splitlines()[3:]] == ["get", "post", "post", "async"])
rc, out, err = run("check", "--examples", "3", sample("hotel-12.jaeger.json"))
test("examples, the worst first", out.count("\n  trace ") == 3)
said = json.loads(run("check", "--json", "--examples", "0", skew)[1])
test("no examples wanted", said["examples"] == [])
said = json.loads(run("check", "--json", "--examples", "1000", sample("hotel-12.jaeger.json"))[1])
by = [e["by_ns"] for e in said["examples"]]
test("all examples, the worst first", by == sorted(by, reverse=True), len(by) == said["violations"]["total"])


def on_terminal(*args, command="check", locale="C.UTF-8", columns=140, env=None):
    """What a terminal of so many columns is sent; lines without their ends."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    child = subprocess.Popen([truespan, command] + list(args), stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                             env=dict(os.environ, TERM="xterm", LC_ALL=locale, **(env or {})))
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # how a terminal says that its other side is closed
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    child.wait()
    return said.decode().replace("\r\n", "\n")


hotel = ["--clock-key", "ip/24", sample("hotel-12.jaeger.json")]
rc, out, err = run("check", *hotel, env={"LC_ALL": "C.UTF-8"})
clocks = out[out.index("\nClocks\n"):].splitlines()[3:5]
test("clocks with their offset over time", clocks[0].split()[:2] == ["10.0.2.0/24", "proven"],
     clocks[1].split()[:2] == ["10.0.1.0/24", "reference"], all("\u2584" * 24 in c for c in clocks))
test("no waterfall without a terminal", "worst trace" not in out, "\033" not in out)
rc, out, err = run("check", "--ascii", *hotel, env={"LC_ALL": "C.UTF-8"})
test("--ascii", out.isascii(), "-" * 24 in out)
rc, out, err = run("check", *hotel, env={"LC_ALL": "C"})
test("ASCII where the locale is", out.isascii())
rc, out, err = run("check", "--solve", "never", *hotel)
test("no table of clocks that were not solved", "Clocks\n" not in out,
     json.loads(run("check", "--json", "--solve", "never", *hotel)[1])["solved"] is False,
     json.loads(run("check", "--json", *hotel)[1])["solved"] is True)
worst = json.loads(run("check", "--json", *hotel)[1])["examples"][0]
out = on_terminal(*hotel)
drawn = out[out.index("The worst trace"):].split("\n\n")[0].splitlines()
late = [k for k, line in enumerate(drawn) if "\u2591" in line]
test("the worst trace on a terminal", worst["trace_id"] in drawn[0], len(drawn) <= 26, len(late) >= 1,
     all(drawn[k + 1].strip().startswith("\033[31m<-- starts") for k in late),
     drawn[late[0] - 1].index("\u2501") > drawn[late[0]].index("\u2591"))
for columns in (60, 80, 120, 200):
    for ascii_only in ([], ["--ascii"]):
        lines = on_terminal(*ascii_only, *hotel, env={"NO_COLOR": "1"}, columns=columns).splitlines()
        first = next(k for k, line in enumerate(lines) if line.startswith("The worst trace"))
        tree = [line for line in lines[first + 1:] if line.startswith("  ")]
        test(f"a tree that fits {columns} columns {' '.join(ascii_only)}", len(tree) > 5, all(len(line) <= columns for line in tree),
             sum("\u2501" in line or "=" in line for line in tree) >= 5)
out = on_terminal("--ascii", *hotel, env={"NO_COLOR": "1"})
test("in ASCII, without colour", out.isascii(), "\033" not in out, "The worst trace" in out, "<=====" in out)
out = on_terminal("--trace", "1e223ff1f80f1c69", skew, columns=100)
rows = [line for line in out.splitlines() if "\u2501" in line]
test("bars beside a tree on a terminal", len(rows) == 4, sum("\u2591" in r for r in rows) == 1,
     all(r.count("\u2501") + r.count("\u2591") <= 33 for r in rows))
test("none beside JSON", on_terminal("--json", *hotel).startswith("{"))

# Sentences break between words at the terminal's width, and nowhere in a pipe.
for args in (["check", *hotel], ["clocks", *hotel], ["clocks", "--why", "10.0.2.0/24", *hotel], ["check", skew], ["clocks", skew],
             ["check", sample("nodejs-8.jaeger.json")]):
    piped = [line for line in run(*args)[1].splitlines() if line and line[0] != " "]
    for columns in (48, 60, 80, 120):
        shown = on_terminal(*args[1:], command=args[0], columns=columns, env={"NO_COLOR": "1"})
        joined = shown.replace("\n  ", " ")
        long = [line for line in shown.splitlines() if line and line[0] != " " and len(line) > columns]
        test(f"{' '.join(args[:2])} in {columns} columns", all(line in joined for line in piped), not [line for line in long if " " in line],
             any(len(line) > columns for line in piped) or columns > 100)

# Names are anybody's: none commands a terminal.
hostile = otlp(("a\x1b[2J\u009b\u202ee", 1, 0, 9, 20), ("b\x07", 2, 1, 1, 30))
for args in (["check", "--examples", "5", "-"], ["check", "--trace", "ab" * 16, "-"]):
    rc, out, err = run(*args, stdin=hostile)
    test("no escapes: " + args[1], rc in (0, 1), not any(c in out + err for c in "\x1b\x07\u009b\u202e"))
rc, out, err = run("fix", "-", "-o", "-", stdin=hostile)
test("no escapes: fix", rc == 0, "a?[2J??e moved by" in err or "b? moved by" in err, not any(c in err for c in "\x1b\x07\u009b\u202e"))
test("but JSON has names as they are", json.loads(run("check", "--json", "-", stdin=hostile)[1])["clocks"][0]["clock"] ==
     "a\x1b[2J\u009b\u202ee")

# A ring with slow hops but one: that one's two clocks are apart, and nothing tells which is wrong; nor do its answers,
# which come late enough.
def ring(inverted, ring_of="abcde", n=200, answers=False, slow=True):
    hosts = {h: [] for h in ring_of}
    for k in range(n):
        for at, (here, there) in enumerate(zip(ring_of, ring_of[1:] + ring_of[0])):
            sent = 1700000000000000000 + k * 50000000 + at * 1000003 + k * 7919 % 100003
            slack = 30000000 + k * 104729 % 500009 if at and slow else (-1500000 if k < inverted else 3000000) + k * 104729 % 500009
            ids = "%032x" % (k * 8 + at + 1), "%016x" % (k * 16 + at * 2 + 1), "%016x" % (k * 16 + at * 2 + 2)
            call = answers and not at
            hosts[here].append({"traceId": ids[0], "spanId": ids[1], "name": "send", "kind": 3 if call else 4,
                                "startTimeUnixNano": str(sent), "endTimeUnixNano": str(sent + (40000000 if call else 1000))})
            hosts[there].append({"traceId": ids[0], "spanId": ids[2], "parentSpanId": ids[1], "name": "take", "kind": 2 if call else 5,
                                 "startTimeUnixNano": str(sent + slack), "endTimeUnixNano": str(sent + slack + 1000)})
    return json.dumps({"resourceSpans": [
        {"resource": {"attributes": [{"key": "host.name", "value": {"stringValue": h}}]}, "scopeSpans": [{"spans": spans}]}
        for h, spans in hosts.items()]}).encode()


for inverted, apart, answers in (200, True, False), (200, True, True), (60, False, False):
    rc, out, err = run("check", "-", stdin=ring(inverted, answers=answers))
    test("%d of 200 hops inverted%s" % (inverted, ", and answered" * answers), rc == 1, "unknown" in out, "no clocks do that" not in out,
         ("200 of 200 hops from a to b are inverted" in out and "the two are apart" in out) == apart,
         ("a busy CPU" in out) != apart, "runs about" not in out)

# Both ways of two clocks inverted: no offset does that.
rc, out, err = run("check", "-", stdin=ring(200, "ab", slow=False))
pairs = lambda command, data: json.loads(run(command, "--json", "-", stdin=data)[1]).get("pairs")
for data, contradictory in (ring(200), False), (ring(200, "ab", slow=False), True), (ring(3, "ab", n=3, slow=False), True):
    out = run("check", "-", stdin=data)[1]
    said = [line for line in out.splitlines() if "the two are apart" in line or "no clocks do that" in line]
    test("clocks names the pairs that check does", len(said) == 1, said[0] in run("clocks", "-", stdin=data)[1].splitlines(),
         pairs("clocks", data) == pairs("check", data), [p["contradictory"] for p in pairs("check", data)] == [contradictory],
         [(p["from"], p["to"]) for p in pairs("check", data)] == [("a", "b")])
test("no pairs, no key", pairs("check", ring(60)) is None, pairs("clocks", ring(60)) is None)
rc, out, err = run("check", "-", stdin=ring(200, "ab", slow=False))
test("both ways inverted", rc == 1, "no clocks within" in out.lower(), out.count("no clocks do that") == 1, "the two are apart" not in out)


# Ten gigabytes that are not there, in one line: refused at once, in little memory.
with tempfile.TemporaryDirectory() as aside:
    hole = os.path.join(aside, "hole.json")
    for name, head in {"array": b'{"resourceSpans":[', "string": b'[{"traceId":"', "lines": hostile + b"\n" + hostile[:40],
                       "nothing": b""}.items():
        with open(hole, "wb") as out:
            out.write(head)
            out.truncate(10 << 30)
        rc, out, err = run("check", hole)
        test("10 GB of hole behind " + name, rc == 2, out == "", hole in err, err.count("\n") == 1,
             not head or "byte %d: zeros from here on" % len(head) in err)
    with open(hole, "wb") as out:
        out.write(hostile + b"\n" + hostile + b"\n")
        out.truncate(10 << 30)
    rc, out, err = run("check", "--keep-going", "--json", hole)
    test("--keep-going reads what is before it", rc == 1, json.loads(out)["input"]["spans"] == 4)
    with open(hole, "wb") as out:
        out.write(b'{"resourceSpans": [{"scopeSpans": 7')
    rc, out, err = run("check", "--keep-going", hole)
    test("nothing left is no clean bill", rc == 2, "no span of the input could be read" in err)

    cut = os.path.join(aside, "cut.jsonl")
    whole = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","name":"a name"}]}]}]}'
    for at in range(30, len(whole)):
        with open(cut, "wb") as out:
            out.write(whole[:at])
        rc, out, err = run("check", cut)
        test("cut off at byte %d" % at, rc == 2, out == "", cut + ": byte " in err, "was the input cut off?" in err)

    # A bomb: zeros packed a thousandfold, as text and in a string that never ends.
    bomb = os.path.join(aside, "bomb.json.gz")
    for name, head, fill in (("zeros", b'{"resourceSpans":["', b"\0"), ("letters", b'{"resourceSpans":["', b"x")):
        with gzip.open(bomb, "wb", 6) as out:
            out.write(head)
            for k in range(300):
                out.write(fill * (1 << 20))
        rc, out, err = run("check", bomb)
        test("a bomb of " + name, rc == 2, out == "", "bomb.json.gz" in err, err.count("\n") == 1)
for args in (["help"], ["help", "check"], ["check", "--help"], ["--version"], ["man"], ["man", "check"],
             ["completion", "bash"], ["completion", "zsh"]):
    rc, out, err = run(*args)
    test(" ".join(args), rc == 0, len(out) > 8, err == "")
if os.path.exists("/dev/full"):
    done = subprocess.run([truespan, "check", "--json", skew], stdout=open("/dev/full", "w"), stderr=subprocess.PIPE)
    test("a full disk is no success", done.returncode == 2, b"cannot write" in done.stderr)
print("1..%d" % number)
sys.exit(failed > 0)
