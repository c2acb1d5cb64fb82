"""Random skewed traces with known truth, and their writers in each format. Used by fix.py and fix_lab.py."""
import json, random, struct

EPOCH = 1_700_000_000_123_456_789
KINDS = {"INTERNAL": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
MS = 1_000_000


class Span:
    """Times are true ns; the clock's offset is added when the span is written."""

    def __init__(self, trace, id, parent, kind, host, start, end, events=(), links=()):
        self.trace, self.id, self.parent, self.kind, self.host = trace, id, parent, kind, host
        self.start, self.end, self.events, self.links = start, end, list(events), list(links)


class Clock:
    def __init__(self, offset=0, ppm=0.0):
        self.offset, self.ppm = offset, ppm

    def read(self, t):
        return t + self.offset + int((t - EPOCH) * self.ppm * 1e-6)


def calls(rng, hosts, n, seconds, fastest=1 * MS, mean=400_000, events=True):
    """n traces: a call from a random host to another, with one nested call."""
    spans = []
    for k in range(n):
        trace = "%032x" % rng.getrandbits(128)
        t = EPOCH + int(seconds * 1e9 * k / n) + rng.randrange(1000)
        hop = lambda: fastest + int(rng.expovariate(1 / mean))
        path = rng.sample(hosts, min(3, len(hosts)))
        ids = iter(["%016x" % rng.getrandbits(63) for _ in range(8)])

        def call(depth, start, parent):
            client, server = next(ids), next(ids)
            begin = start + hop()
            inside = begin + 200_000 + rng.randrange(50_000)
            if depth + 2 < len(path):
                inside = call(depth + 1, inside, server) + 100_000
            end = inside + hop()
            notes = [begin + 1000, inside - 1000] if events else []
            spans.append(Span(trace, client, parent, "CLIENT", path[depth], start, end + 50_000))
            spans.append(Span(trace, server, client, "SERVER", path[depth + 1], begin, inside, notes))
            return end + 50_000

        call(0, t, None)
    rng.shuffle(spans)
    return spans


def stamps(span, clocks):
    clock = clocks[span.host]
    return clock.read(span.start), clock.read(span.end), [clock.read(e) for e in span.events]


def otlp_json(spans, clocks):
    lines = []
    for host in clocks:
        rows = []
        for s in (s for s in spans if s.host == host):
            start, end, events = stamps(s, clocks)
            row = {"traceId": s.trace, "spanId": s.id, "name": "op 123", "kind": KINDS[s.kind],
                   "startTimeUnixNano": str(start), "endTimeUnixNano": str(end),
                   "attributes": [{"key": "n", "value": {"intValue": str(start)}}]}
            if s.parent:
                row["parentSpanId"] = s.parent
            if events:
                row["events"] = [{"timeUnixNano": str(e), "name": "e"} for e in events]
            if s.links:
                row["links"] = [{"traceId": t, "spanId": i} for t, i in s.links]
            rows.append(row)
        resource = {"attributes": [{"key": "host.name", "value": {"stringValue": host}}]}
        lines.append(json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": rows}]}]}))
    return ("\n".join(lines) + "\n").encode()


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def part(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def fixed(number, value):
    return varint(number << 3 | 1) + struct.pack("<Q", value)


def otlp_proto(spans, clocks):
    out = b""
    for host in clocks:
        body = b""
        for s in (s for s in spans if s.host == host):
            start, end, events = stamps(s, clocks)
            span = part(1, bytes.fromhex(s.trace)) + part(2, bytes.fromhex(s.id))
            if s.parent:
                span += part(4, bytes.fromhex(s.parent))
            span += part(5, b"op 123") + varint(6 << 3) + varint(KINDS[s.kind]) + fixed(7, start) + fixed(8, end)
            for e in events:
                span += part(11, fixed(1, e) + part(2, b"e"))
            for t, i in s.links:
                span += part(13, part(1, bytes.fromhex(t)) + part(2, bytes.fromhex(i)))
            span += part(200, b"unknown \x01\x02 field")
            body += part(2, span)
        resource = part(1, part(1, b"host.name") + part(2, part(1, host.encode())))
        out += part(1, part(1, resource) + part(2, body))
    return out


def jaeger(spans, clocks):
    traces = {}
    for s in spans:
        traces.setdefault(s.trace, []).append(s)
    data = []
    for trace, rows in traces.items():
        out = []
        for s in rows:
            start, end, events = (lambda a, b, c: (a // 1000, b // 1000, [e // 1000 for e in c]))(*stamps(s, clocks))
            refs = [{"refType": "CHILD_OF", "traceID": trace, "spanID": s.parent}] if s.parent else []
            refs += [{"refType": "FOLLOWS_FROM", "traceID": t, "spanID": i} for t, i in s.links]
            out.append({"traceID": trace, "spanID": s.id, "operationName": "op 123", "references": refs,
                        "startTime": start, "duration": end - start, "processID": s.host,
                        "tags": [{"key": "span.kind", "type": "string", "value": s.kind.lower()},
                                 {"key": "n", "type": "int64", "value": start}],
                        "logs": [{"timestamp": e, "fields": []} for e in events]})
        data.append({"traceID": trace, "spans": out, "processes": {
            h: {"serviceName": "s", "tags": [{"key": "hostname", "type": "string", "value": h}]} for h in clocks}})
    return json.dumps({"data": data}).encode()


def zipkin(spans, clocks):
    out = []
    for s in spans:
        start, end, events = (lambda a, b, c: (a // 1000, b // 1000, [e // 1000 for e in c]))(*stamps(s, clocks))
        row = {"traceId": s.trace, "id": s.id, "name": "op 123", "timestamp": start, "duration": max(1, end - start),
               "localEndpoint": {"serviceName": s.host, "ipv4": "10.0.0.%d" % (list(clocks).index(s.host) + 1)},
               "annotations": [{"timestamp": e, "value": "e"} for e in events], "tags": {"n": str(start)}}
        if s.kind != "INTERNAL":
            row["kind"] = s.kind
        if s.parent:
            row["parentId"] = s.parent
        out.append(row)
    return json.dumps(out).encode()


WRITERS = {"otlp.json": otlp_json, "otlp.pb": otlp_proto, "jaeger.json": jaeger, "zipkin.json": zipkin}


def read_proto(data):
    """(span id, start, end, events) of each span, by our own reading of the wire."""

    def fields(b):
        at = 0
        while at < len(b):
            tag = shift = 0
            while True:
                tag |= (b[at] & 127) << shift
                at, shift = at + 1, shift + 7
                if b[at - 1] < 128:
                    break
            number, wire = tag >> 3, tag & 7
            if wire == 1:
                yield number, b[at:at + 8]
                at += 8
                continue
            value = shift = 0
            while True:
                value |= (b[at] & 127) << shift
                at, shift = at + 1, shift + 7
                if b[at - 1] < 128:
                    break
            if wire == 2:
                yield number, b[at:at + value]
                at += value
            else:
                yield number, value

    for _, resource_spans in fields(data):
        for n, scope in fields(resource_spans):
            for m, span in (fields(scope) if n == 2 else ()):
                if m != 2:
                    continue
                row = {"events": []}
                for k, v in fields(span):
                    if k == 2:
                        row["id"] = v.hex()
                    elif k in (7, 8):
                        row["start" if k == 7 else "end"] = struct.unpack("<Q", v)[0]
                    elif k == 11:
                        row["events"] += [struct.unpack("<Q", w)[0] for j, w in fields(v) if j == 1]
                yield row["id"], row["start"], row["end"], row["events"]


def read(name, data):
    """id -> (start, end, events) in ns."""
    out = {}
    if name == "otlp.pb":
        return {i: (s, e, v) for i, s, e, v in read_proto(data)}
    if name == "otlp.json":
        for line in data.decode().splitlines():
            for rs in json.loads(line)["resourceSpans"]:
                for ss in rs["scopeSpans"]:
                    for s in ss["spans"]:
                        out[s["spanId"]] = (int(s["startTimeUnixNano"]), int(s["endTimeUnixNano"]),
                                            [int(e["timeUnixNano"]) for e in s.get("events", [])])
    elif name == "jaeger.json":
        for trace in json.loads(data)["data"]:
            for s in trace["spans"]:
                out[s["spanID"]] = (s["startTime"] * 1000, (s["startTime"] + s["duration"]) * 1000,
                                    [l["timestamp"] * 1000 for l in s["logs"]])
    else:
        for s in json.loads(data):
            out[s["id"]] = (s["timestamp"] * 1000, (s["timestamp"] + s["duration"]) * 1000,
                            [a["timestamp"] * 1000 for a in s["annotations"]])
    return out
