#!/usr/bin/env python3
"""The inputs on which other tools go wrong (docs/peers.md), through the command lines: what check counts, what clocks
bounds, what fix leaves. usage: peers.py TRUESPAN [SEED]. With SHOW set, prints each answer. TAP on stdout."""
import json, os, random, subprocess, sys, tempfile
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fix_traces import EPOCH, MS, Clock, Span, otlp_json, read
from lab_tap import Tap

TRUESPAN = sys.argv[1]
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 31)


class Stepping(Clock):
    """Shows true time until `at`, and `offset` more from then on."""

    def __init__(self, offset, at):
        super().__init__(offset)
        self.at = at

    def read(self, t):
        return t + (self.offset if t >= self.at else 0)


def ms(t):
    return EPOCH + int(t * MS)


class Input:
    """Spans in true time by the ms, and the clocks that stamp them."""

    def __init__(self, **clocks):
        self.clocks, self.spans, self.traces = clocks, [], 0

    def span(self, host, kind, start, end, parent=None):
        """Without a parent it begins a trace."""
        self.traces += parent is None
        trace = parent.trace if parent else "%032x" % self.traces
        self.spans.append(Span(trace, "%016x" % (len(self.spans) + 1), parent and parent.id, kind, host, ms(start), ms(end)))
        return self.spans[-1]

    def call(self, client, start, end, server, begin, done, parent=None):
        asking = self.span(client, "CLIENT", start, end, parent)
        return self.span(server, "SERVER", begin, done, asking)

    def message(self, sender, sent, receiver, received, length=1.0):
        sending = self.span(sender, "PRODUCER", sent, sent + length)
        return self.span(receiver, "CONSUMER", received, received + length, sending)


class Answer:
    """check, clocks and fix on an input, and the stamps before and after."""

    def __init__(self, given, *args, key="host.name", fix_args=()):
        self.given = given
        with tempfile.TemporaryDirectory() as folder:
            path, fixed = os.path.join(folder, "in.json"), os.path.join(folder, "out.json")
            raw = otlp_json(given.spans, given.clocks).replace(b'"host.name"', b'"%s"' % key.encode())
            with open(path, "wb") as file:
                file.write(raw)
            self.check_rc, self.check = self.json("check", *args, path)
            self.clocks_rc, answer = self.json("clocks", *args, path)
            self.reference, self.clocks = answer["reference"], {c["clock"]: c for c in answer["clocks"]}
            self.fix_rc, self.fix = self.json("fix", *args, *fix_args, path, "-o", fixed)
            self.left = self.json("check", *args, fixed)[1]["violations"]["total"]
            self.was = read("otlp.json", raw)
            with open(fixed, "rb") as file:
                self.now = read("otlp.json", file.read())
        self.violations, self.causes = self.check["violations"]["total"], self.check["causes"]
        if "SHOW" in os.environ:
            self.show()

    @staticmethod
    def json(*args):
        p = subprocess.run([TRUESPAN, args[0], "--json", *args[1:]], capture_output=True, timeout=120)
        assert p.returncode in (0, 1), "%s: exit %d: %s" % (args[0], p.returncode, p.stderr.decode())
        return p.returncode, json.loads(p.stdout)

    def show(self):
        print("#  check", self.violations, {k: v for k, v in self.causes.items() if v}, "ref", self.reference)
        for name, c in self.clocks.items():
            print("#  clock", name, c["verdict"], *("%s %s" % (k, c[k] if c[k] is None else round(c[k] / 1e6, 3))
                  for k in ("offset_ns", "lo_ns", "hi_ns", "drift_ppb")), c["steps"])
        print("#  fix rc", self.fix_rc, "left", self.left, [(c["clock"], c["by_ns"] / 1e6) for c in self.fix["clocks_moved"]])

    def moved(self, host):
        """By how much each stamp of a host was moved, in ns: the set of amounts."""
        return {self.now[s.id][k] - self.was[s.id][k] for s in self.given.spans if s.host == host for k in (0, 1)}

    def accused(self):
        return {n for n, c in self.clocks.items() if c["verdict"] in ("proven", "suspected")}

    def error_ns(self):
        """The worst error of a corrected stamp."""
        return max(abs(self.now[s.id][k] - (s.start, s.end)[k]) for s in self.given.spans for k in (0, 1))


def holds(t, answer, host):
    """The bounds of a host hold its true offset from the reference, at every knot."""
    clock, reference = answer.given.clocks[host], answer.given.clocks[answer.reference]
    for knot in answer.clocks[host]["knots"]:
        true = int(knot["at"]) - clock.offset  # near enough: what the clock drifts in its own offset is below 1 us
        x = clock.read(true) - reference.read(true)
        t.check(knot["lo_ns"] is None or knot["lo_ns"] <= x + 1000, host, "at least", knot, "but true is", x)
        t.check(knot["hi_ns"] is None or knot["hi_ns"] >= x - 1000, host, "at most", knot, "but true is", x)


def untouched(t, answer):
    t.equal((answer.fix_rc, answer.fix["spans_moved"]), (0, 0), "fix's exit code, spans moved")
    t.check(answer.now == answer.was, "stamps moved")


def repaired(t, answer):
    t.equal((answer.fix_rc, answer.left), (0, 0), "fix's exit code, violations left")


# ---- Trace Compass, Controlled Logical Clock ---------------------------------------------------------------------

def requests(rng, n, per_second, delay, **clocks):
    given = Input(**clocks)
    for k in range(n):
        sent = 1000 * k / per_second
        reached = sent + delay(rng)
        given.message("A", sent, "B", reached, 0.01)
        given.message("B", reached + 1, "A", reached + 1 + delay(rng), 0.01)
    return given


def t1(t, rng, accurate=False):
    """Ten minutes, B +5 and 20 ppm fast, 6000 messages of 5 + Exp(20)."""
    answer = Answer(requests(rng, 3000, 5, lambda r: 5 + r.expovariate(1 / 20), A=Clock(), B=Clock(5 * MS, 20)),
                    "--reference", "A")
    b, last = answer.clocks["B"], 5 * MS + 600 * 20_000
    print("# T1: %d of 6000 violated; end error %.2f ms, bounds %.2f to %.2f ms about %.2f ms, drift %.1f ppm, worst stamp %.2f ms" % (
        answer.violations, (b["offset_ns"] - last) / 1e6, b["lo_ns"] / 1e6, b["hi_ns"] / 1e6, last / 1e6,
        b["drift_ppb"] / 1e3, answer.error_ns() / 1e6))
    t.check(answer.violations > 100, "violations", answer.violations)
    t.equal(b["verdict"], "proven", "verdict")
    holds(t, answer, "B")
    repaired(t, answer)
    t.check(abs(b["drift_ppb"] - 20_000) < 4_000, "drift", b["drift_ppb"])
    if accurate:
        t.check(abs(b["offset_ns"] - last) < MS, "end error", b["offset_ns"] - last)
        t.check(abs(b["drift_ppb"] - 20_000) < 2_000, "drift", b["drift_ppb"])
        t.check(answer.error_ns() < MS, "worst error of a corrected stamp", answer.error_ns())


def t1_sharp(t, rng):
    """A trace of known numbers, for the estimate (docs/peers.md)."""
    t1(t, random.Random(1), True)


def t2(t, rng):
    """One way only, B -50."""
    given = Input(A=Clock(), B=Clock(-50 * MS))
    for k in range(1200):
        given.message("A", 50 * k, "B", 50 * k + 5 + min(rng.expovariate(1 / 5), 40), 0.01)
    answer = Answer(given, "--reference", "A")
    b = answer.clocks["B"]
    t.equal((answer.violations, answer.causes["clock"]), (1200, 1200), "violations, by the clock")
    t.equal((b["verdict"], b["offset_ns"], b["lo_ns"]), ("proven", None, None), "verdict, offset and lower bound of B")
    t.check(-45.1 * MS < b["hi_ns"] < -44 * MS, "at most", b["hi_ns"])
    holds(t, answer, "B")
    repaired(t, answer)
    t.equal(answer.moved("A"), {0}, "A moved by")


def t3(t, rng):
    """B steps by +10 half way."""
    answer = Answer(requests(rng, 1200, 20, lambda r: 1 + r.expovariate(1), A=Clock(), B=Stepping(10 * MS, ms(30_000))),
                    "--reference", "A")
    repaired(t, answer)
    steps = answer.clocks["B"]["steps"]
    if t.equal(len(steps), 1, "steps"):
        t.check(abs(steps[0]["size_ns"] - 10 * MS) < 0.5 * MS, "size", steps)
        t.check(abs(int(steps[0]["at"]) - ms(30_000)) < 500 * MS, "place", int(steps[0]["at"]) - ms(30_000))
    t.check(answer.violations > 500 and answer.causes["step"] > 0.98 * answer.violations, "causes", answer.causes)
    t.equal(answer.moved("A"), {0}, "A moved by")
    t.check(answer.error_ns() < 1 * MS, "worst error of a corrected stamp", answer.error_ns())


def clc(t, rng):
    """A right, B +100; A receives what B sent later by its stamp. Not A is to be moved, but B."""
    given = Input(A=Clock(), B=Clock(100 * MS))
    given.span("A", "INTERNAL", 40, 41)
    given.message("B", 50, "A", 51, 0.5)
    answer = Answer(given, "--reference", "A")
    t.equal((answer.violations, answer.causes["unknown"], answer.accused()), (1, 1, set()), "one hop convicts nobody")
    b = answer.clocks["B"]
    t.check(b["hi_ns"] is None and 98.9 * MS < b["lo_ns"] <= 99 * MS, "B is at least", b["lo_ns"])
    repaired(t, answer)
    t.equal(answer.moved("A"), {0}, "A moved by")
    # Among others that agree with A, nobody needs to say who is right.
    given = Input(A=Clock(), B=Clock(100 * MS), C=Clock(), D=Clock())
    for k in range(600):
        one, other = rng.sample("ABCD", 2)
        given.message(one, 50 * k, other, 50 * k + 1 + rng.expovariate(1), 0.01)
    answer = Answer(given)
    holds(t, answer, "B")
    repaired(t, answer)
    t.equal(answer.accused(), {"B"}, "accused")
    t.equal(answer.moved("A") | answer.moved("C") | answer.moved("D"), {0}, "the right clocks moved by")
    t.check(abs(answer.clocks["B"]["offset_ns"] - 100 * MS) < 0.5 * MS, "offset of B", answer.clocks["B"]["offset_ns"])


# ---- Jaeger, Zipkin, Elastic -------------------------------------------------------------------------------------

def no_skew(t, rng):
    """J1, J2, J8: work that goes on, a queue, one process: nothing moves."""
    given = Input(A=Clock(), B=Clock())
    given.span("B", "INTERNAL", 20, 25, given.span("A", "INTERNAL", 0, 10))
    given.message("A", 100, "B", 140)
    answer = Answer(given)
    t.equal((answer.violations, answer.accused()), (0, set()), "J1, J2")
    untouched(t, answer)
    given = Input(shop=Clock())
    given.span("shop", "INTERNAL", 8, 14, given.span("shop", "INTERNAL", 0, 10))
    answer = Answer(given, key="service.name")
    t.equal((answer.violations, answer.check["input"]["hops"]), (0, 0), "J8")
    untouched(t, answer)


def j3(t, rng):
    """B -30 behind a queue: one trace cannot tell, calls between the same two can."""
    for calls in (0, 400):
        given = Input(A=Clock(), B=Clock(-30 * MS))
        given.message("A", 0, "B", 40, 2)
        for k in range(calls):
            there = 1 + rng.expovariate(1)
            given.call("A", 100 + 100 * k, 150 + 100 * k, "B", 100 + 100 * k + there, 149 + 100 * k - rng.expovariate(1))
        answer = Answer(given, "--reference", "A")
        holds(t, answer, "B")
        repaired(t, answer)
        if not calls:
            t.equal((answer.violations, answer.accused()), (0, set()), "alone")
            untouched(t, answer)
        else:
            t.equal((answer.accused(), answer.clocks["B"]["verdict"]), ({"B"}, "proven"), "with calls")
            t.check(answer.error_ns() < 2 * MS, "worst error of a corrected stamp", answer.error_ns())


def j4_j5(t, rng):
    """One offset a clock, also where one trace would like two."""
    given = Input(A=Clock(), B=Clock(-20 * MS))
    outer = given.span("A", "CLIENT", 0, 100)
    inner = given.span("B", "SERVER", 10, 30, outer)
    given.span("A", "INTERNAL", 35, 45, inner)
    answer = Answer(given, "--reference", "A")
    holds(t, answer, "B")
    repaired(t, answer)
    t.equal((len(answer.moved("B")), answer.moved("A")), (1, {0}), "J4: offsets of B; A moved by")
    given = Input(A=Clock(), B=Clock(-5 * MS))
    given.call("A", 0, 100, "B", 1, 99)
    given.call("A", 200, 300, "B", 208, 292)
    answer = Answer(given, "--reference", "A")
    holds(t, answer, "B")
    repaired(t, answer)
    t.equal(len(answer.moved("B")), 1, "J5: offsets of B")


def j6(t, rng):
    """B -5 inside the slack of every call: no violation, and yet many calls show it."""
    for calls in (1, 200):
        given = Input(A=Clock(), B=Clock(-5 * MS))
        for k in range(calls):
            there, back = (10 + rng.expovariate(1) for _ in range(2))
            given.call("A", 500 * k, 500 * k + 100, "B", 500 * k + there, 500 * k + 100 - back)
        answer = Answer(given, "--reference", "A")
        holds(t, answer, "B")
        t.equal(answer.violations, 0, "violations")
        untouched(t, answer)
        if calls > 1:
            t.check(answer.clocks["B"]["verdict"] != "proven", "proven, though delays could differ there and back")
            t.check(abs(answer.clocks["B"]["offset_ns"] + 5 * MS) < 0.5 * MS, "offset of B", answer.clocks["B"])


def j7_z4(t, rng):
    """B -5, 1 ms there and 19 back: the middle is 9 off, the bounds are not."""
    given = Input(A=Clock(), B=Clock(-5 * MS))
    for k in range(40):
        given.call("A", 300 * k, 300 * k + 100, "B", 300 * k + 1, 300 * k + 81)
    answer = Answer(given, "--reference", "A")
    b = answer.clocks["B"]
    holds(t, answer, "B")
    repaired(t, answer)
    t.equal((b["verdict"], answer.causes["clock"]), ("proven", 40), "verdict, hops by the clock")
    t.check(-26 * MS <= b["lo_ns"] <= -24 * MS and -4 * MS <= b["hi_ns"] <= -2.7 * MS, "bounds", b["lo_ns"], b["hi_ns"])


def j9(t, rng):
    """B +50; C, called by B, is right."""
    given = Input(A=Clock(), B=Clock(50 * MS), C=Clock())
    for k in range(40):
        at, jitter = 200 * k, rng.expovariate(5)
        b = given.call("A", at, at + 100, "B", at + 10 + jitter, at + 90 - jitter)
        given.call("B", at + 11 + jitter, at + 89 - jitter, "C", at + 20 + jitter, at + 80 - jitter, b)
    answer = Answer(given)
    for host in "ABC":
        holds(t, answer, host)
    t.equal(answer.accused(), {"B"}, "accused")
    t.equal(answer.causes["clock"], answer.violations, "violations by the clock")
    repaired(t, answer)
    t.equal(answer.moved("A") | answer.moved("C"), {0}, "the right clocks moved by")


def late_ends(t, rng):
    """Z1, Elastic: the server starts in time and ends after its answer came: +30. One call convicts nobody, forty do."""
    for calls in (1, 40):
        given = Input(A=Clock(), B=Clock(30 * MS))
        for k in range(calls):
            given.call("A", 200 * k, 200 * k + 100, "B", 200 * k + 10, 200 * k + 90 - 0.1 * (k % 5))
        answer = Answer(given, "--reference", "A")
        holds(t, answer, "B")
        t.equal((answer.violations, answer.accused()), (calls, {"B"} if calls > 1 else set()), "violations, accused")
        t.equal(answer.causes["clock" if calls > 1 else "unknown"], calls, "causes")
        t.equal((answer.fix_rc, answer.left), (1, 1) if calls == 1 else (0, 0), "fix's exit code, violations left")
    # Spans without kinds may outlive their parents: no violation.
    given = Input(A=Clock(), B=Clock(30 * MS))
    given.span("B", "INTERNAL", 10, 90, given.span("A", "INTERNAL", 0, 100))
    untouched(t, Answer(given, "--reference", "A"))


def z2(t, rng):
    """Messages one way, B -50: one alone is bounded but not accused."""
    given = Input(A=Clock(), B=Clock(-50 * MS))
    given.span("B", "CONSUMER", 1005, 1025, given.span("A", "PRODUCER", 1000, 1002))
    answer = Answer(given, "--reference", "A")
    b = answer.clocks["B"]
    t.equal((answer.violations, b["verdict"], b["lo_ns"], b["offset_ns"]), (1, "unknown", None, None), "B")
    t.check(-45 * MS <= b["hi_ns"] < -44.9 * MS, "at most", b["hi_ns"])
    repaired(t, answer)


def z3(t, rng):
    """No addresses and no hosts: names tell the two clocks apart, and the skew is undone."""
    given = Input(web=Clock(), db=Clock(-50 * MS))
    for k in range(20):
        given.call("web", 1000 + 200 * k, 1100 + 200 * k, "db", 1010 + 200 * k + rng.expovariate(1), 1090 + 200 * k)
    answer = Answer(given, "--reference", "web", key="service.name")
    t.equal((len(answer.clocks), answer.violations, answer.causes["clock"]), (2, 20, 20), "clocks, violations, by the clock")
    holds(t, answer, "db")
    repaired(t, answer)
    t.equal(answer.moved("web"), {0}, "web moved by")


# ---- not skew at all ---------------------------------------------------------------------------------------------

def late_stamps(t, rng):
    """Every hundredth send is stamped 5 to 15 late; nobody is accused, nothing is moved."""
    given, lies = Input(A=Clock(), B=Clock()), 0
    for k in range(2000):
        one, other = rng.sample("AB", 2)
        arrives, late = 4 + rng.expovariate(2.5), rng.uniform(5, 15) if rng.random() < 0.01 else 0
        lies += late > arrives
        given.message(one, 20 * k + late, other, 20 * k + arrives, 0.01)
    answer = Answer(given)
    t.equal((answer.violations, answer.causes["late_stamp"], answer.accused()), (lies, lies, set()), "late stamps")
    t.equal(answer.fix["spans_moved"], 0, "spans moved")
    if lies:
        clamped = Answer(given, fix_args=("--late-stamps", "clamp"))
        t.equal((clamped.left, clamped.fix["late_stamps_moved"]), (0, lies), "left after clamp, stamps moved")


def busy(t, rng):
    """A quarter of the sends is stamped after the receive, by any amount: a busy machine, no clock."""
    given = Input(A=Clock(), B=Clock())
    for k in range(2000):
        one, other = rng.sample("AB", 2)
        given.message(one, 20 * k + rng.expovariate(1 / 0.17), other, 20 * k + 0.2 + rng.expovariate(1 / 0.05), 0.01)
    stamped = otlp_json(given.spans, given.clocks)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "in.json")
        with open(path, "wb") as file:
            file.write(stamped)
        check = Answer.json("check", path)[1]
    t.check(check["violations"]["total"] > 200, "violations", check["violations"])
    t.equal((check["causes"]["clock"], check["causes"]["step"]), (0, 0), "blame")
    t.equal([c["clock"] for c in check["clocks"] if c["verdict"] in ("proven", "suspected")], [], "accused")
    # No clocks explain such stamps, and fix says so.
    p = subprocess.run([TRUESPAN, "fix", "-", "-o", "-"], input=stamped, capture_output=True, timeout=120)
    t.equal((p.returncode, p.stdout, b"contradict" in p.stderr), (2, b"", True), "fix")


def same_host(t, rng):
    """Inversions within one host: instrumentation."""
    given = Input(A=Clock())
    for k in range(200):
        asking = given.span("A", "CLIENT", 10 * k, 10 * k + 5)
        given.span("A", "SERVER", 10 * k + (-0.1 if k % 4 == 0 else 1), 10 * k + 4, asking)
    answer = Answer(given)
    t.equal((answer.violations, answer.causes["instrumentation"], answer.accused()), (50, 50, set()), "same host")
    t.equal(answer.fix["spans_moved"], 0, "spans moved")


def main():
    print("# seed %d" % SEED)
    tap, rng = Tap(), random.Random(SEED)
    for name, test in (("Trace Compass T1: ten minutes, 20 ppm", t1_sharp), ("Trace Compass T1, other delays", t1),
                       ("Trace Compass T2: one way", t2),
                       ("Trace Compass T3: a step", t3), ("Controlled Logical Clock: not the right node", clc),
                       ("Jaeger J1, J2, J8: no skew", no_skew), ("Jaeger J3", j3), ("Jaeger J4, J5", j4_j5), ("Jaeger J6", j6),
                       ("Jaeger J7, Zipkin Z4", j7_z4), ("Jaeger J9", j9), ("Zipkin Z1, Elastic", late_ends),
                       ("Zipkin Z2", z2), ("Zipkin Z3", z3), ("late stamps", late_stamps), ("a busy machine", busy),
                       ("one host", same_host)):
        tap.run(name, test, rng)
    tap.done()


main()
