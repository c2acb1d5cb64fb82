#!/usr/bin/env python3
"""Counts violations a second time, by docs/check.md alone, and compares with what `truespan check --json` says.

usage: count_violations.py TRUESPAN FOLDER [FOLDER ...]
       count_violations.py FILE          (only count, and print)
Reads OTLP (JSON, lines, protobuf), Jaeger and Zipkin with the standard library. Also makes random traces with clocks of
known offsets. A folder that is not there is a skip, said so. TAP on stdout."""
import base64, gzip, json, os, random, struct, subprocess, sys, tempfile
from collections import defaultdict

UNSPECIFIED, INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = range(6)
KINDS = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]
DEADLINE = ("timeout", "timed out", "timedout", "deadline", "cancel")


class Span:
    def __init__(self, trace, span, parent, kind, start, end, process, tags, name="", failed=False, links=()):
        self.trace, self.id, self.parent_id, self.kind = trace, span, parent, kind
        self.start, self.end, self.process, self.name = start, end, process, name
        tags = dict(tags)
        op = tags.get("messaging.operation.type") or tags.get("messaging.operation") or ""
        self.op = {"publish": "send", "deliver": "process"}.get(str(op).lower(), str(op).lower())
        self.links, self.failed = list(links), failed or self.tags_failed(tags)
        sequence = tags.get("truespan.stream.sequence")
        self.sequence = int(sequence) if sequence is not None else None
        self.parent = None

    @staticmethod
    def tags_failed(tags):
        for key, value in tags.items():
            text = str(value).lower()
            if key in ("error", "error.type") and text not in ("false", "", "none"):
                return True
            if key in ("grpc.status_code", "rpc.grpc.status_code", "rpc.response.status_code") and text not in ("0", "ok", ""):
                return True
            if key in ("http.status_code", "http.response.status_code") and text in ("408", "499", "504"):
                return True
            if key == "otel.status_code" and text == "error":
                return True
        return False


# ---- readers -----------------------------------------------------------------------------------------------------

def varint(b, at):
    value = shift = 0
    while True:
        byte = b[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(b):
    at, out = 0, defaultdict(list)
    while at < len(b):
        tag, at = varint(b, at)
        if tag & 7 == 0:
            value, at = varint(b, at)
        elif tag & 7 == 1:
            value, at = struct.unpack_from("<q", b, at)[0], at + 8
        elif tag & 7 == 5:
            value, at = struct.unpack_from("<I", b, at)[0], at + 4
        else:
            n, at = varint(b, at)
            value, at = b[at:at + n], at + n
        out[tag >> 3].append(value)
    return out


def one(f, number, default=b""):
    return f[number][-1] if number in f else default


def proto_value(b):
    f = fields(b)
    if 1 in f:
        return f[1][-1].decode()
    if 2 in f:
        return "true" if f[2][-1] else "false"
    if 3 in f:
        return str(f[3][-1])
    if 5 in f:
        inner = fields(f[5][-1])
        return proto_value(inner[1][0]) if 1 in inner else None
    return None


def proto_tags(messages):
    out = []
    for m in messages:
        f = fields(m)
        value = proto_value(one(f, 2))
        if value is not None:
            out.append((one(f, 1).decode(), value))
    return out


def read_proto(b):
    for rs in fields(b)[1]:
        rs = fields(rs)
        process = [kv for r in rs[1] for kv in proto_tags(fields(r)[1])]
        for scope in rs[2]:
            for s in fields(scope)[2]:
                f = fields(s)
                links = [(one(fields(k), 1).hex(), one(fields(k), 2).hex()) for k in f[13]]
                yield Span(one(f, 1).hex(), one(f, 2).hex(), one(f, 4).hex(), one(f, 6, 0), one(f, 7, 0) or None,
                           one(f, 8, 0) or None, tuple(sorted(process)), proto_tags(f[9]), one(f, 5).decode(),
                           one(fields(one(f, 15)), 3, 0) == 2, links)


def get(obj, *names):
    return next((obj[n] for n in names if obj.get(n) is not None), None)


def json_value(value):
    for name, v in (value or {}).items():
        if name.startswith("array"):
            return json_value(v["values"][0]) if v.get("values") else None
        if not name.startswith(("kvlist", "bytes")):
            return str(v).lower() if isinstance(v, bool) else str(v)
    return None


def json_tags(pairs):
    return [(p["key"], json_value(p.get("value"))) for p in pairs or [] if json_value(p.get("value")) is not None]


def hex_id(text, digits):
    text = text or ""
    return text.lower() if len(text) in (0, digits) else base64.b64decode(text).hex()


def read_otlp(doc):
    for rs in get(doc, "resourceSpans", "resource_spans", "batches") or []:
        process = tuple(sorted(json_tags((rs.get("resource") or {}).get("attributes"))))
        for scope in get(rs, "scopeSpans", "scope_spans", "instrumentationLibrarySpans") or []:
            for s in scope.get("spans") or []:
                kind = s.get("kind") or 0
                kind = KINDS.index(kind.replace("SPAN_KIND_", "")) if isinstance(kind, str) else kind
                links = [(hex_id(get(k, "traceId", "trace_id"), 32), hex_id(get(k, "spanId", "span_id"), 16))
                         for k in s.get("links") or []]
                status = str((s.get("status") or {}).get("code", 0))
                yield Span(hex_id(get(s, "traceId", "trace_id"), 32), hex_id(get(s, "spanId", "span_id"), 16),
                           hex_id(get(s, "parentSpanId", "parent_span_id"), 16), kind,
                           int(get(s, "startTimeUnixNano", "start_time_unix_nano") or 0) or None,
                           int(get(s, "endTimeUnixNano", "end_time_unix_nano") or 0) or None, process,
                           json_tags(s.get("attributes")), s.get("name", ""), status in ("2", "STATUS_CODE_ERROR"), links)


def read_jaeger(doc):
    for trace in doc["data"] if "data" in doc else [doc]:
        processes = {}
        for key, p in (trace.get("processes") or {}).items():
            tags = {t["key"]: str(t["value"]) for t in p.get("tags") or []}
            tags["service.name"] = p.get("serviceName")
            processes[key] = tuple(sorted(tags.items()))
        for s in trace["spans"]:
            tags = {t["key"]: str(t["value"]).lower() if isinstance(t["value"], bool) else t["value"]
                    for t in s.get("tags") or []}
            me, parent, links = s["traceID"].zfill(32), "", []
            for r in s.get("references") or []:
                if r["refType"] == "CHILD_OF" and not parent and r["traceID"].zfill(32) == me:
                    parent = r["spanID"].zfill(16)
                else:
                    links.append((r["traceID"].zfill(32), r["spanID"].zfill(16)))
            parent = parent or (s.get("parentSpanID") or "").zfill(16)
            kind = str(tags.get("span.kind", "")).upper()
            start = s["startTime"] * 1000
            yield Span(me, s["spanID"].zfill(16), parent, KINDS.index(kind) if kind in KINDS else 0, start,
                       start + s["duration"] * 1000, processes.get(s.get("processID"), ()), tags, s["operationName"],
                       False, links)


def read_zipkin(doc):
    for s in doc:
        e = s.get("localEndpoint") or {}
        pairs = {"service.name": e.get("serviceName"), "ip": e.get("ipv4") or e.get("ipv6"), "port": e.get("port")}
        start = s["timestamp"] * 1000 if s.get("timestamp") else None
        end = start + s["duration"] * 1000 if start and s.get("duration") else None
        yield Span(s["traceId"][-16:].zfill(32), s["id"].zfill(16), (s.get("parentId") or "").zfill(16),
                   KINDS.index(s["kind"]) if "kind" in s else 0, start, end,
                   tuple(sorted((k, str(v)) for k, v in pairs.items() if v is not None)), s.get("tags") or {},
                   s.get("name", ""))


def read(path):
    b = open(path, "rb").read()
    if b[:2] == b"\x1f\x8b":
        b = gzip.decompress(b)
    if ".pb" in os.path.basename(path):
        return list(read_proto(b))
    try:
        doc = json.loads(b)
    except ValueError:
        return [s for line in b.splitlines() if line.strip() for s in read_otlp(json.loads(line))]
    if isinstance(doc, list):
        return list(read_zipkin(doc))
    if "data" in doc or "spans" in doc:
        return list(read_jaeger(doc))
    return list(read_otlp(doc))


# ---- counting ----------------------------------------------------------------------------------------------------

def clock_of(process):
    tags = {k: v for k, v in process if v}
    host = tags.get("host.name") or tags.get("hostname")
    if host == tags.get("k8s.pod.name", 0) or (host and tags.get("container.id", "").startswith(host)):
        host = None
    order = [tags.get("host.id") if "cloud.provider" in tags or "cloud.platform" in tags else None,
             tags.get("k8s.node.uid"), tags.get("k8s.node.name"), tags.get("host.id"), host, tags.get("k8s.pod.uid"),
             tags.get("container.id"), tags.get("k8s.pod.name"), tags.get("service.instance.id")]
    for n, value in enumerate(order):
        if value:
            return (n, value) if n else (3, value)
    if "service.name" in tags and "process.pid" in tags:
        return 20, tags["service.name"], tags["process.pid"]
    ip = next((tags[k] for k in ("ip", "host.ip", "ipv4", "ipv6", "net.host.ip", "k8s.pod.ip") if k in tags), "")
    if ip and not ip.startswith(("127.", "169.254.")) and ip not in ("0.0.0.0", "::1", "::"):
        return 21, ip
    return 22, process


def valid(text):
    return bool(text.strip("0"))


def join(spans):
    """Sets span.parent; drops copies; says which spans are left, and finds spans by id."""
    by_id, kept = defaultdict(list), []
    for s in spans:
        twins = by_id[s.trace, s.id] if valid(s.trace) and valid(s.id) else []
        if any((t.parent_id, t.start, t.end, t.process, t.name, t.kind) ==
               (s.parent_id, s.start, s.end, s.process, s.name, s.kind) for t in twins):
            continue
        twins.append(s)
        kept.append(s)

    def pick(me, trace, span):
        found = [t for t in by_id.get((trace, span), []) if t is not me]
        rank = lambda t: (4 if t.process == me.process else 2 if t.clock == me.clock else 0) + (t.kind in (SERVER, CONSUMER))
        return max(found, key=rank) if len(found) > 1 else found[0] if found else None

    for s in kept:
        s.clock = clock_of(s.process)
    for s in kept:
        if not (valid(s.trace) and valid(s.id)):
            continue
        halves = [t for t in by_id[s.trace, s.id] if t is not s and t.kind in (CLIENT, PRODUCER)]
        if s.kind in (SERVER, CONSUMER) and halves:
            s.parent = halves[0]
        elif valid(s.parent_id):
            s.parent = pick(s, s.trace, s.parent_id)
    for s in kept: # rings of parents are cut; the samples hold none, so the first place will do
        seen, at = set(), s
        while at is not None and id(at) not in seen:
            seen.add(id(at))
            if at.parent is not None and id(at.parent) in seen:
                at.parent = None
            at = at.parent
    return kept, pick


def quanta(spans):
    """Unit and quantum of each process: powers of ten up to 1 ms that chance would not give."""
    power = lambda stamps: max(k for k in range(7) if all(t % 10 ** k == 0 for t in stamps)) if stamps else 0
    out = {}
    for process in {s.process for s in spans}:
        mine = [s for s in spans if s.process == process]
        stamps = [t for s in mine for t in (s.start, s.end) if t is not None]
        roots = [s.start for s in mine if s.start is not None and (s.parent is None or s.parent.process != process)]
        unit = power(stamps) if len(stamps) * power(stamps) >= 6 else 0
        root = power(roots) if power(roots) > unit and len(roots) * (power(roots) - unit) >= 6 else unit
        out[process] = 10 ** unit, 10 ** root
    return out


def count(spans):
    spans, pick = join(spans)
    coarse, got = quanta(spans), defaultdict(int)
    sends = lambda s: s.kind == PRODUCER or s.op in ("send", "create")

    def hop(src, dst, sent, received, kind, is_end=False):
        if sent is None or received is None:
            return
        unit, quantum = coarse[dst.process]
        violation = sent - received >= quantum + (unit if is_end and 1 < unit <= 1000 else 0)
        if src.clock == dst.clock:
            got["same_clock"] += violation
        else:
            got["hops"] += 1
            got[kind] += violation

    def cause(src, dst, linked):
        if dst.op == "receive" and (linked or sends(src)):
            hop(src, dst, src.start, dst.end, "hard", True)
        else:
            hop(src, dst, src.start, dst.start, "hard")

    for s in spans:
        p = s.parent
        if p is not None:
            cause(p, s, False)
            if p.kind == CLIENT and s.kind == SERVER and not p.failed and not s.failed and None not in (
                    p.start, p.end, s.start, s.end) and p.end > p.start and s.end > s.start:
                hop(s, p, s.end, p.end, "soft", True)
        seen = set()
        for trace, span in s.links:
            target = pick(s, trace, span) if valid(trace) and valid(span) and (trace, span) != (s.trace, s.id) else None
            if target is not None and target is not p and id(target) not in seen:
                seen.add(id(target))
                cause(target, s, True)
        if None not in (s.start, s.end):
            got["negative_duration"] += s.start - s.end >= coarse[s.process][0]
    got["token_order"] = tokens(spans, pick, coarse)
    got["clocks"] = len({s.clock for s in spans})
    got["total"] = sum(got[k] for k in ("hard", "soft", "same_clock", "negative_duration", "token_order"))
    return got


def tokens(spans, pick, coarse):
    receives = lambda s: s.kind == CONSUMER or s.op in ("receive", "process")
    streams = defaultdict(lambda: defaultdict(list)) # stream -> number -> [(side, stamp, process)]
    for s in spans:
        if s.sequence is None:
            continue
        owner = s
        if receives(s):
            causes = [s.parent] + [pick(s, t, i) for t, i in s.links]
            owner = next((c for c in causes if c is not None and c.sequence == s.sequence and not receives(c)), s)
        stamp = s.end if s.op == "receive" else s.start
        if stamp is not None:
            side = s.process if receives(s) else "send"
            streams[owner.trace, owner.process, owner.name][s.sequence].append((side, stamp, s.process))
    wrong = 0
    for numbers in streams.values():
        for number, stamps in numbers.items():
            first = lambda rows: {side: min(r[1] for r in rows if r[0] == side) for side in {r[0] for r in rows}}
            before, now = first(numbers.get(number - 1, [])), first(stamps)
            process = {r[0]: r[2] for r in stamps}
            wrong += any(q - p >= coarse[process[side]][1] for side, p in now.items() for other, q in before.items()
                         if other in ("send", side))
    return wrong


# ---- random traces with clocks that are off ----------------------------------------------------------------------

def random_doc(rng):
    nodes = ["n%d" % k for k in range(rng.randint(1, 5))]
    offset = {n: rng.randint(-4_000_000, 4_000_000) for n in nodes}
    spans, known = defaultdict(list), []
    for t in range(rng.randint(1, 40)):
        trace, at, parent = "%032x" % rng.getrandbits(128), 1_700_000_000_000_000_000 + t * 5_000_000 + rng.randint(0, 999), None
        for k in range(rng.randint(1, 12)):
            node, span = rng.choice(nodes), "%016x" % rng.getrandbits(64)
            start = at + k * 900_000 + rng.randint(0, 2_000_000) + offset[node]
            row = {"traceId": trace, "spanId": span, "name": rng.choice("abc"), "kind": rng.randint(0, 5),
                   "startTimeUnixNano": str(start), "endTimeUnixNano": str(start + rng.randint(-50_000, 9_000_000))}
            if parent and rng.random() < 0.9:
                row["parentSpanId"] = rng.choice(known[-k:])[1]
            if known and rng.random() < 0.2:
                row["links"] = [dict(zip(("traceId", "spanId"), rng.choice(known))) for _ in range(rng.randint(1, 3))]
            tags = {}
            if rng.random() < 0.3:
                tags["messaging.operation.type"] = rng.choice(["send", "receive", "process", "settle"])
            if rng.random() < 0.1:
                tags["error.type"] = "timeout"
            if rng.random() < 0.4:
                tags["truespan.stream.sequence"] = str(rng.randint(0, 3))
            row["attributes"] = [{"key": k, "value": {"stringValue": v}} for k, v in tags.items()]
            spans[node].append(row)
            known.append((trace, span))
            parent = span
    return {"resourceSpans": [{"resource": {"attributes": [{"key": "host.name", "value": {"stringValue": n}}]},
                               "scopeSpans": [{"spans": rows}]} for n, rows in spans.items()]}


# ---- comparing ---------------------------------------------------------------------------------------------------

def compare(truespan, path):
    want = count(read(path))
    done = subprocess.run([truespan, "check", "--json", path], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        return ["exit %d: %s" % (done.returncode, done.stderr.strip())]
    said = json.loads(done.stdout)
    got = dict(said["violations"], hops=said["input"]["hops"], clocks=said["input"]["clocks"])
    wrong = ["%s: counted %d, truespan says %d" % (k, want[k], v) for k, v in got.items() if want[k] != v]
    if (done.returncode == 1) != (want["total"] > 0):
        wrong.append("exit %d with %d violations" % (done.returncode, want["total"]))
    if sum(said["causes"].values()) != got["total"]:
        wrong.append("causes do not add up")
    if sum(e["violations"] for e in said["edges"]) != got["hard"] + got["soft"]:
        wrong.append("edges do not add up")
    return wrong


def main():
    if len(sys.argv) == 2:
        print(json.dumps(count(read(sys.argv[1])), indent=1))
        return
    truespan, number, failed = sys.argv[1], 0, 0

    def report(name, wrong, skip=""):
        nonlocal number, failed
        number, failed = number + 1, failed + bool(wrong)
        print("%sok %d - %s%s" % ("not " if wrong else "", number, name, skip))
        for line in wrong:
            print("#", line)

    for folder in sys.argv[2:]:
        if not os.path.isdir(folder):
            report(os.path.basename(folder), [], " # SKIP no such folder here")
            continue
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if os.path.isfile(path) and name.split(".")[-1] not in ("md",) and "chrome" not in name:
                report(name, compare(truespan, path))
    seed = int(os.environ.get("SEED") or random.randrange(1 << 30))
    print("# SEED=%d" % seed)
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as aside:
        for k in range(25):
            path = os.path.join(aside, "random.json")
            with open(path, "w") as out:
                json.dump(random_doc(rng), out)
            report("random %d" % k, compare(truespan, path))
    print("1..%d" % number)
    sys.exit(failed > 0)


main()
