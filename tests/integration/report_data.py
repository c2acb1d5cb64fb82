"""A second reading of what `truespan report` writes, for its tests: the page's data, its packed traces, its policy."""

import base64
import hashlib
import html.parser
import json
import re


class Page(html.parser.HTMLParser):
    """A page as a browser takes it apart: policy, inline scripts and styles, data, whatever would be loaded."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.scripts, self.styles, self.loads, self.texts = [], [], [], []
        self.policy, self.parts, self.open, self.title, self.elements = "", {}, None, "", []
        self.feed(text)
        self.close()
        self.scripts.append(self.parts["library"])
        self.data = json.loads(self.parts["data-0"])
        self.stubs = self.data["audits"]
        self.data["audits"] = [self.audit(number) for number in range(len(self.stubs))]

    def audit(self, number):
        """An audit with its traces, which stand in two elements."""
        whole = json.loads(self.parts[f"audit-{number}"])
        whole["traces"]["data"] = self.parts[f"traces-{number}"]
        stub = self.stubs[number]
        assert stub == {**{key: whole[key] for key in ("name", "lab", "run")}, "violations": whole["fix"]["before"]["total"]}, stub
        return whole

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.open = (tag, attributes)
        self.elements.append(tag)
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]
        for key in ("src", "href", "action", "data", "poster", "srcset"):
            value = attributes.get(key)
            if value and not value.startswith(("#", "data:")):
                self.loads.append((tag, key, value))

    def handle_endtag(self, tag):
        self.open = None

    def handle_data(self, data):
        tag, attributes = self.open or (None, {})
        if tag == "script" and attributes.get("id"):
            self.parts[attributes["id"]] = self.parts.get(attributes["id"], "") + data
        elif tag == "script":
            self.scripts.append(data)
        elif tag == "style":
            self.styles.append(data)
        elif tag == "title":
            self.title += data

    def allowed(self, text):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        return f"'sha256-{digest}'" in self.policy


def read_page(path):
    with open(path, encoding="utf-8", newline="") as file:
        return Page(file.read())


def unpack(traces):
    """Every packed trace: {trace id: {"spans": [...], "pairs": [...]}}, times as absolute ns."""
    data = base64.b64decode(traces["data"], validate=True)
    out, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def signed():
        value = number()
        return value >> 1 ^ -(value & 1)

    for trace_id, spans_n, shown, violations, left, worst, origin, place in traces["index"]:
        assert at == place, f"trace {trace_id} begins at {place}, the one before ends at {at}"
        spans, origin = [], int(origin)
        for _ in range(shown):
            parent, clock, name, flags = number(), number(), number(), number()
            start = origin + signed()
            end = start + signed()
            spans.append({"parent": parent - 1, "clock": clock, "name": traces["names"][name], "flags": flags, "start": start,
                          "end": end, "start2": start + signed(), "end2": end + signed(), "id": data[at:at + 8].hex()})
            at += 8
        pairs = [{"from": number(), "to": number(), "flags": number(), "by": signed(), "by2": signed()}
                 for _ in range(number())]
        out[trace_id] = {"spans": spans, "pairs": pairs, "n": spans_n, "violations": violations, "left": left,
                         "worst": worst}
    assert at == len(data), f"{len(data) - at} bytes stand behind the last trace"
    return out


def check_tracks(tap, text, clocks):
    """Chrome's trace events by their own rules: every event whole, slices of a thread nested, arrows in pairs."""
    trace = json.loads(text)
    events = trace["traceEvents"]
    slices, arrows, names = {}, {}, {}
    for event in events:
        tap.check(event["ph"] in "MXsf" and event["pid"] in (1, 2) and event["tid"] >= 0, "event", event)
        if event["ph"] == "M":
            names[event["name"], event["pid"], event["tid"]] = event["args"]
            continue
        thread = event["pid"], event["tid"]
        if event["ph"] == "X":
            tap.check(event["dur"] > 0 and event["ts"] >= 0, "slice", event)
            slices.setdefault(thread, []).append(event)
        else:
            arrows.setdefault((event["cat"], event["name"], event["id"]), []).append(event)
    for thread, rows in slices.items():
        tap.check(("thread_name", *thread) in names, "a track without a name", thread)
        check_nested(tap, thread, rows)
    for (category, name, _), ends in arrows.items():
        tap.equal(sorted(end["ph"] for end in ends), ["f", "s"], f"ends of an arrow {name}")
        start, finish = sorted(ends, key=lambda end: end["ph"] == "f")
        tap.check(start["ts"] <= finish["ts"], "an arrow backward in time", start, finish)
        tap.equal(start["pid"], finish["pid"], "an arrow from group to group")
        tap.equal(finish.get("bp"), "e", "where an arrow ends")
        tap.equal(category == "violation", bool(re.match(r"received .* before sent$", name)), f"arrow {name}")
        for end in ends:
            inside = [s for s in slices[end["pid"], end["tid"]] if ns(s["ts"]) <= ns(end["ts"]) < ns(s["ts"]) + ns(s["dur"])]
            tap.check(inside, "an arrow that hangs on nothing", end)
    tap.equal({args["name"] for key, args in names.items() if key[0] == "process_name"}, {"as stamped", "corrected"}, "groups")
    tracks = {re.sub(r" \(\d+\)$", "", args["name"]) for key, args in names.items() if key[0] == "thread_name"}
    tap.check(tracks <= set(clocks), "tracks that are no clock", tracks - set(clocks))
    ids = [arrow[2] for arrow in arrows]
    tap.equal(len(ids), len(set(ids)), "ids of arrows")
    return trace, slices, arrows


def ns(us):
    return round(us * 1000)


def check_nested(tap, thread, rows):
    open_ends = []
    for row in sorted(rows, key=lambda r: (ns(r["ts"]), -ns(r["dur"]))):
        start, end = ns(row["ts"]), ns(row["ts"]) + ns(row["dur"])
        while open_ends and open_ends[-1] <= start:
            open_ends.pop()
        tap.check(not open_ends or end <= open_ends[-1], "slices that cross on", thread, row)
        open_ends.append(end)
