#!/usr/bin/env python3
"""Reads every sample with Python's own json and a protobuf walk written here, and compares with what wire_dump says.

usage: wire_oracle.py WIRE_DUMP FOLDER
The two share no code: this one builds trees. TAP on stdout."""
import base64, gzip, json, os, struct, subprocess, sys, tempfile

KINDS = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]


def varint(b, at):
    value = shift = 0
    while True:
        value |= (b[at] & 127) << shift
        shift += 7
        at += 1
        if b[at - 1] < 128:
            return value, at


def message(b):
    """A list of (field number, value) of a protobuf message."""
    at, fields = 0, []
    while at < len(b):
        tag, at = varint(b, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(b, at)
        elif kind == 1:
            value, at = struct.unpack("<Q", b[at:at + 8])[0], at + 8
        elif kind == 5:
            value, at = struct.unpack("<I", b[at:at + 4])[0], at + 4
        else:
            n, at = varint(b, at)
            value, at = b[at:at + n], at + n
        fields.append((tag >> 3, value))
    return fields


def every(fields, number):
    return [value for n, value in fields if n == number]


def last(fields, number, default):
    return (every(fields, number) or [default])[-1]


def proto_any(b):
    out = None
    for number, value in message(b):
        if number == 1:
            out = value.decode()
        elif number == 2:
            out = "true" if value else "false"
        elif number == 3:
            out = str(value - (1 << 64) if value >> 63 else value)
        elif number == 4:
            out = "%.17g" % struct.unpack("<d", struct.pack("<Q", value))[0]
        elif number == 5:
            values = every(message(value), 1)
            out = proto_any(values[0]) if values else None
    return out


def attributes(pairs):
    return "\x1f".join("%s=%s" % (k, v) for k, v in sorted(dict(p for p in pairs if p[1] is not None).items()))


def from_proto(b):
    spans, links = [], []
    for rs in every(message(b), 1):
        rs = message(rs)
        pairs = []
        for resource in every(rs, 1):
            for kv in every(message(resource), 1):
                kv = message(kv)
                pairs.append((last(kv, 1, b"").decode(), proto_any(last(kv, 2, b""))))
        for scope in every(rs, 2):
            for span in every(message(scope), 2):
                f = message(span)
                for link in map(message, every(f, 13)):
                    links.append((len(spans), last(link, 1, b"").hex(), last(link, 2, b"").hex(), 0))
                spans.append((last(f, 1, b"").hex(), last(f, 2, b"").hex(), last(f, 4, b"").hex(), last(f, 7, 0),
                              last(f, 8, 0), last(f, 6, 0), last(f, 5, b"").decode(), attributes(pairs)))
    return spans, links


def pick(obj, *names):
    for name in names:
        if obj.get(name) is not None:
            return obj[name]
    return None


def any_json(value):
    if value is None:
        return None
    for name, v in value.items():
        if name in ("stringValue", "string_value"):
            return v
        if name in ("intValue", "int_value"):
            return str(v)
        if name in ("boolValue", "bool_value"):
            return "true" if v else "false"
        if name in ("doubleValue", "double_value"):
            return str(v)
        if name in ("arrayValue", "array_value"):
            return any_json(v["values"][0]) if v.get("values") else None
    return None


def hex_id(text, digits):
    if not text:
        return ""
    return text.lower() if len(text) == digits else base64.b64decode(text).hex()


def kind_number(kind):
    if isinstance(kind, str):
        return KINDS.index(kind.replace("SPAN_KIND_", ""))
    return kind or 0


def from_otlp_json(docs):
    spans, links = [], []
    for doc in docs:
        for rs in pick(doc, "resourceSpans", "resource_spans", "batches") or []:
            pairs = [(a["key"], any_json(a.get("value"))) for a in (rs.get("resource") or {}).get("attributes") or []]
            for scope in pick(rs, "scopeSpans", "scope_spans", "instrumentationLibrarySpans") or []:
                for s in scope.get("spans") or []:
                    for link in s.get("links") or []:
                        trace = hex_id(pick(link, "traceId", "trace_id"), 32)
                        span = hex_id(pick(link, "spanId", "span_id"), 16)
                        if int(trace or "0", 16) and int(span or "0", 16):
                            links.append((len(spans), trace, span, 0))
                    spans.append((hex_id(pick(s, "traceId", "trace_id"), 32), hex_id(pick(s, "spanId", "span_id"), 16),
                                  hex_id(pick(s, "parentSpanId", "parent_span_id"), 16),
                                  int(pick(s, "startTimeUnixNano", "start_time_unix_nano") or 0),
                                  int(pick(s, "endTimeUnixNano", "end_time_unix_nano") or 0),
                                  kind_number(s.get("kind")), s.get("name") or "", attributes(pairs)))
    return spans, links


def text_of(value):
    if value is True or value is False:
        return "true" if value else "false"
    return None if value is None or isinstance(value, (list, dict)) else str(value)


def from_jaeger(doc):
    spans, links = [], []
    traces = doc["data"] if "data" in doc else [doc]
    for trace in traces:
        processes = {}
        for key, p in (trace.get("processes") or {}).items():
            pairs = [(t["key"], text_of(t["value"])) for t in p.get("tags") or []]
            processes[key] = attributes(pairs + [("service.name", p.get("serviceName"))])
        for s in trace["spans"]:
            kind = [t["value"] for t in s.get("tags") or [] if t["key"] == "span.kind"]
            parent = None
            refs = []
            for r in s.get("references") or []:
                if r["refType"] == "CHILD_OF" and parent is None:
                    parent = r
                else:
                    refs.append((len(spans), r["traceID"].zfill(32), r["spanID"].zfill(16),
                                 1 if r["refType"] == "CHILD_OF" else 2))
            parent_id = s.get("parentSpanID") or "0" if parent is None else parent["spanID"]
            if parent and parent["traceID"].zfill(32) != s["traceID"].zfill(32):
                refs.append((len(spans), parent["traceID"].zfill(32), parent["spanID"].zfill(16), 1))
                parent_id = "0"
            links += refs
            start = s["startTime"] * 1000
            spans.append((s["traceID"], s["spanID"], parent_id, start, start + s["duration"] * 1000,
                          KINDS.index(kind[0].upper()) if kind else 0, s["operationName"],
                          processes.get(s.get("processID"), "")))
    return spans, links


def from_zipkin(doc):
    spans = []
    for s in doc:
        e = s.get("localEndpoint") or {}
        pairs = [("service.name", e.get("serviceName")), ("ip", e.get("ipv4") or e.get("ipv6")),
                 ("port", str(e["port"]) if "port" in e else None)]
        start = s.get("timestamp", 0) * 1000
        end = start + s["duration"] * 1000 if start and "duration" in s else 0
        spans.append((s["traceId"], s["id"], s.get("parentId", ""), start, end,
                      KINDS.index(s["kind"]) if "kind" in s else 0, s.get("name", ""), attributes(pairs)))
    return spans, []


def read(path):
    b = open(path, "rb").read()
    if b[:2] == b"\x1f\x8b":
        b = gzip.decompress(b)
    if ".pb" in path:
        return from_proto(b)
    if path.endswith(".jsonl"):
        return from_otlp_json([json.loads(line) for line in b.splitlines() if line.strip()])
    doc = json.loads(b)
    if "zipkin" in path:
        return from_zipkin(doc)
    if "jaeger.json" in path:
        return from_jaeger(doc)
    return from_otlp_json([doc])


def lines(spans, links, by=0):
    stamp = lambda ns: str(ns + by) if ns else "-"
    out = ["span %s %s %s %s %s %d %s\t%s" % (t.zfill(32).lower(), i.zfill(16).lower(), p.zfill(16).lower(), stamp(a),
                                              stamp(b), k, n, attrs) for t, i, p, a, b, k, n, attrs in spans]
    return out + ["link %d %s %s %d" % link for link in links]


def main():
    dump, folder = sys.argv[1:3]
    number = 0
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            continue
        want = read(path)
        for by in (0, -7_000_000):
            with tempfile.TemporaryDirectory() as aside:
                args = ["--shift", str(by), path, os.path.join(aside, name)] if by else [path]
                done = subprocess.run([dump] + args, capture_output=True, text=True)
            got = done.stdout.split("\n")[:-1]
            fine = done.returncode == 0 and sorted(got) == sorted(lines(*want, by))
            number += 1
            print("%sok %d - %s%s: %d spans, %d links" % ("" if fine else "not ", number, name,
                                                         " shifted" if by else "", len(want[0]), len(want[1])))
            if not fine:
                print("#", done.stderr.strip())
                for a, b in zip(sorted(lines(*want, by)), sorted(got)):
                    if a != b:
                        print("# want", repr(a), "\n# got ", repr(b))
                        break
    print("1..%d" % number)


main()
