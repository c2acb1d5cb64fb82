#!/usr/bin/env python3
"""truespan fix --annotate: what is added says the truth, and nothing else changes. The annotated files are read by
Python's JSON parser and by protoc, which know nothing of truespan. usage: fix_annotate.py TRUESPAN [SEED]. TAP on stdout."""
import gzip
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fix_traces import EPOCH, MS, WRITERS, Clock, calls, read
from lab_tap import Tap

TRUESPAN = sys.argv[1]
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 31)
OURS = ["truespan.offset_ns", "truespan.offset_lo_ns", "truespan.offset_hi_ns", "truespan.reference",
        "truespan.raw_start_time_unix_nano", "truespan.raw_end_time_unix_nano"]
PROTO = """syntax = "proto3"; package otlp;
message TracesData { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message ScopeSpans { repeated Span spans = 2; }
message Span { bytes trace_id = 1; bytes span_id = 2; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
  fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue attributes = 9;
  repeated Event events = 11; }
message Event { fixed64 time_unix_nano = 1; string name = 2; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; } }
"""


def run(*args):
    done = subprocess.run([TRUESPAN, *args], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def get(path):
    with open(path, "rb") as file:
        return file.read()


def put(folder, name, data):
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(data)
    return path


def decode(folder, data):
    """protoc's text of OTLP protobuf."""
    proto = put(folder, "otlp.proto", PROTO.encode())
    done = subprocess.run(["protoc", "--decode=otlp.TracesData", "-I", folder, proto], input=data, capture_output=True,
                          check=False)
    if done.returncode:
        raise AssertionError(done.stderr)
    return done.stdout.decode()


def unescape(text):
    return re.sub(rb"\\([0-7]{3}|.)", lambda m: bytes([int(m[1], 8)]) if len(m[1]) == 3 else
                  {b"n": b"\n", b"r": b"\r", b"t": b"\t"}.get(m[1], m[1]), text.encode()).hex()


ATTRIBUTE = re.compile(r'\n      attributes \{\n        key: "(truespan\.[^"]*)"\n        value \{\n'
                       r'          (?:int_value: (-?\d+)|string_value: "([^"]*)")\n        \}\n      \}')


def split_proto(folder, data):
    """(the text without our attributes, {span id: [(key, value)]})"""
    text = decode(folder, data)
    found = {}
    for span in re.split(r"\n    spans \{", text)[1:]:
        own = unescape(re.search(r'\n      span_id: "((?:\\.|[^"])*)"', span)[1])
        found[own] = [(k, int(n) if n else s) for k, n, s in ATTRIBUTE.findall(span)]
    return ATTRIBUTE.sub("", text), found


def value_of(attribute):
    (kind, value), = attribute["value"].items()
    return int(value) if kind == "intValue" else value


def split_list(holder, name, key_of, value):
    ours = [(key_of(a), value(a)) for a in holder.get(name) or [] if key_of(a) in OURS]
    rest = [a for a in holder.get(name) or [] if key_of(a) not in OURS]
    holder[name] = rest or None
    return ours


def split_json(name, data):
    found = {}
    if name == "otlp.json":
        document = [json.loads(line) for line in data.decode().splitlines()]
        for line in document:
            for rs in line["resourceSpans"]:
                for ss in rs["scopeSpans"]:
                    for s in ss["spans"]:
                        found[s["spanId"]] = split_list(s, "attributes", lambda a: a["key"], value_of)
    elif name == "jaeger.json":
        document = json.loads(data)
        for trace in document["data"]:
            for s in trace["spans"]:
                for a in s.get("tags") or []:
                    if a["key"] in OURS:
                        assert (a["type"] == "int64") == isinstance(a["value"], int), a
                        assert not isinstance(a["value"], int) or abs(a["value"]) < 2**53, a
                found[s["spanID"]] = split_list(s, "tags", lambda a: a["key"], lambda a: a["value"])
    else:
        document = json.loads(data)
        for s in document:
            tags = s.get("tags") or {}
            found[s["id"]] = [(k, v) for k, v in tags.items() if k in OURS]
            s["tags"] = {k: v for k, v in tags.items() if k not in OURS} or None
    return document, {i: [(k, v if k == "truespan.reference" else int(v)) for k, v in rows] for i, rows in found.items()}


def split(folder, name, data):
    return split_proto(folder, data) if name == "otlp.pb" else split_json(name, data)


def vary(rng, name, data):
    """Some spans without attributes, with none in the list, with null, and with the list at another place."""
    def change(span, member, empty):
        way = rng.randrange(6)
        if way == 0:
            span.pop(member, None)
        elif way == 1:
            span[member] = empty
        elif way == 2:
            span[member] = None
        elif way == 3:
            kept = span.pop(member)
            items = list(span.items())
            span.clear()
            span[member] = kept
            span.update(items)
    pretty = rng.choice((None, 2))
    if name == "otlp.json":
        document = [json.loads(line) for line in data.decode().splitlines()]
        for line in document:
            for s in line["resourceSpans"][0]["scopeSpans"][0]["spans"]:
                change(s, "attributes", [])
        return "".join(json.dumps(line) + "\n" for line in document).encode()
    if name == "zipkin.json":
        document = json.loads(data)
        for s in document:
            change(s, "tags", {})
        return json.dumps(document, indent=pretty).encode()
    return data


def random_case(rng, name):
    hosts = ["host-%c" % c for c in "abcd"]
    truth = {h: Clock() for h in hosts}
    # Two wrong clocks that are off by the same (to within what hops of 1 ms tell) are as good a frame as two right ones.
    one, two = 0, 0
    while abs(one - two) < 3 * MS:
        one, two = (rng.choice((-1, 1)) * rng.randrange(6 * MS, 40 * MS) for _ in range(2))
    for h, offset in zip(rng.sample(hosts[1:], 2), (one, two)):
        truth[h] = Clock(offset, rng.uniform(-30, 30))
    spans = calls(rng, hosts, 200, 10)
    return truth, spans, vary(rng, name, WRITERS[name](spans, truth))


def check_values(tap, spans, truth, was, now, found, unit):
    for s in spans:
        got = dict(found[s.id])
        tap.equal(len(got), len(found[s.id]), "a key stands twice")
        if was[s.id][:2] == now[s.id][:2]:
            tap.equal(got, {}, "a span that was not moved")
            continue
        tap.equal(got["truespan.raw_start_time_unix_nano"], was[s.id][0], "raw start")
        tap.equal(got["truespan.raw_end_time_unix_nano"], was[s.id][1], "raw end")
        tap.equal(got["truespan.offset_ns"], was[s.id][0] - now[s.id][0], "offset")
        tap.check(not truth[got["truespan.reference"]].offset if got["truespan.reference"] in truth
                  else got["truespan.reference"].startswith("10.0.0."), "reference", got)
        x = truth[s.host].read(s.start) - s.start
        tap.check(got["truespan.offset_lo_ns"] - unit <= x <= got["truespan.offset_hi_ns"] + unit, "bounds", x, got)
        tap.check(got["truespan.offset_hi_ns"] - got["truespan.offset_lo_ns"] < 10 * MS, "bounds are wide", got)


def every_format(tap, folder, name, rng):
    if name == "otlp.pb" and not shutil.which("protoc"):
        return "no protoc"
    truth, spans, raw = random_case(rng, name)
    path = put(folder, "in." + name, raw)
    plain, annotated, again = (os.path.join(folder, n + "." + name) for n in ("plain", "annotated", "again"))
    tap.equal(run("fix", path, "-o", plain)[0], 0, "fix")
    rc, out, err = run("fix", "--annotate", path, "-o", annotated)
    if not tap.equal((rc, err), (0, ""), "fix --annotate: " + out):
        return None
    was, now = read(name, raw), read(name, get(annotated))
    tap.equal(now, read(name, get(plain)), "stamps with and without --annotate")
    rest, found = split(folder, name, get(annotated))
    tap.check(rest == split(folder, name, get(plain))[0], "something besides our attributes differs")
    tap.check(any(found.values()), "nothing was annotated")
    check_values(tap, spans, truth, was, now, found, 2 if name.startswith("otlp") else 2000)
    tap.equal(run("fix", "--annotate", annotated, "-o", again)[0], 0, "again")
    tap.check(get(again) == get(annotated), "annotating the annotated changed something")
    tap.equal(json.loads(run("check", "--json", annotated)[1])["violations"]["total"], 0, "violations")
    # Corrected once more, against a time 3 ms away: what was raw stays, the offset is the whole way.
    host = next(h for h in truth if not truth[h].offset)
    clock = host if not name.startswith("zipkin") else "10.0.0.%d" % (list(truth).index(host) + 1)
    bounds = put(folder, "bounds.csv", f"clock,at,offset_ns,error_ns\n{clock},{EPOCH},3000000,1000\n".encode())
    rc, out, err = run("fix", "--annotate", "--bounds", bounds, annotated, "-o", again)
    tap.equal((rc, err), (0, ""), "the second correction: " + out)
    last, (_, found) = read(name, get(again)), split(folder, name, get(again))
    for s in spans:
        got = dict(found[s.id])
        tap.equal(len(got), len(found[s.id]), "a key stands twice")
        tap.equal((got["truespan.raw_start_time_unix_nano"], got["truespan.offset_ns"], got["truespan.reference"]),
                  (was[s.id][0], was[s.id][0] - last[s.id][0], "UTC"), "the second correction")
        x = truth[s.host].read(s.start) - s.start + 3 * MS
        tap.check(got["truespan.offset_lo_ns"] - 2000 <= x <= got["truespan.offset_hi_ns"] + 2000, "bounds", x, got)
    return None


def frame(message):
    return len(message).to_bytes(4, "big") + message


def frames_and_packing(tap, folder, rng):
    """Each message behind its length, and files compressed whole."""
    if not shutil.which("protoc"):
        return "no protoc"
    truth, spans, _ = random_case(rng, "otlp.pb")
    parts = [WRITERS["otlp.pb"]([s for s in spans if s.host == h], {h: truth[h]}) for h in truth]
    path, fixed = put(folder, "framed.pb", b"".join(map(frame, parts))), os.path.join(folder, "framed-fixed.pb")
    tap.equal(run("fix", "--annotate", path, "-o", fixed)[0], 0, "frames")
    data, was, found, now = get(fixed), {}, {}, {}
    for part in parts:
        n = int.from_bytes(data[:4], "big")
        tap.check(n <= len(data) - 4, "a frame's length")
        found.update(split_proto(folder, data[4:4 + n])[1])
        was.update(read("otlp.pb", part))
        now.update(read("otlp.pb", data[4:4 + n]))
        data = data[4 + n:]
    tap.equal(data, b"", "behind the last frame")
    check_values(tap, spans, truth, was, now, found, 2)
    raw = WRITERS["otlp.json"](spans, truth)
    path, fixed = put(folder, "packed.json.gz", gzip.compress(raw)), os.path.join(folder, "packed-fixed.json.gz")
    tap.equal(run("fix", "--annotate", path, "-o", fixed)[0], 0, "gzip")
    data = gzip.decompress(get(fixed))
    check_values(tap, spans, truth, read("otlp.json", raw), read("otlp.json", data), split_json("otlp.json", data)[1], 2)
    return None


def real_samples(tap, folder, samples):
    """Whatever real files hold: after --annotate they hold it still."""
    moved = 0
    for name in sorted(os.listdir(samples)):
        path = os.path.join(samples, name)
        if not os.path.isfile(path) or not re.search(r"\.jsonl?$", name):
            continue
        fixed = os.path.join(folder, name)
        rc, out, err = run("fix", "--annotate", "--json", path, "-o", fixed)
        if rc == 2:
            tap.check("contradict" in err, name, err)
            continue
        moved += json.loads(out)["spans_moved"]
        lines = get(path).decode().splitlines() if name.endswith("l") else [get(path).decode()]
        after = get(fixed).decode().splitlines() if name.endswith("l") else [get(fixed).decode()]
        for one, two in zip(lines, after, strict=True):
            one, two = json.loads(one), json.loads(two)
            tap.equal(blank(two), blank(one), name)
    tap.check(moved > 10, "too little was moved to show anything:", moved)


def blank(value):
    """Without stamps and without what we add; empty lists and null are alike."""
    if isinstance(value, dict):
        return {k: blank(v) for k, v in value.items()
                if k not in OURS and k not in ("startTimeUnixNano", "endTimeUnixNano", "timeUnixNano", "startTime", "duration",
                                               "timestamp", "start_time_unix_nano", "end_time_unix_nano", "time_unix_nano")
                and v not in (None, [], {}) and blank(v) not in ([], {})}
    if isinstance(value, list):
        return [blank(v) for v in value if not (isinstance(v, dict) and v.get("key") in OURS)]
    return value


def main():
    print("# seed", SEED)
    rng = random.Random(SEED)
    tap = Tap()
    tests = [(f"{name}, round {k}", every_format, name, rng) for name in WRITERS for k in range(2)]
    tests += [("frames and packing", frames_and_packing, rng)]
    tests += [("real samples", real_samples, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../data/traces"))]
    for name, test, *args in tests:
        with tempfile.TemporaryDirectory() as folder:
            tap.run(name, test, folder, *args)
    tap.done()


main()
