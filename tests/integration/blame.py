#!/usr/bin/env python3
"""Who is blamed: random traces in which every clock is right and stamps look wrong all the same accuse nobody; the same
sort of traffic with one clock off accuses that one; and check never disagrees with clocks.
usage: blame.py TRUESPAN FOLDER [SEED]. FOLDER: sample traces. TAP on stdout."""
import json, os, random, subprocess, sys, tempfile
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from blame_traces import HOSTS, INNOCENT
from fix_traces import EPOCH, MS, WRITERS, Clock, calls

TRUESPAN, FOLDER = sys.argv[1:3]
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().randrange(1 << 31)
SHARED = ("verdict", "offset_ns", "lo_ns", "hi_ns", "drift_ppb", "steps", "hops_in", "hops_out")
number = failures = 0


def report(name, wrong):
    global number, failures
    number, failures = number + 1, failures + bool(wrong)
    print("%sok %d - %s" % ("not " if wrong else "", number, name))
    for line in wrong:
        print("#", line)
    sys.stdout.flush()


def ask(command, path, *args):
    done = subprocess.run([TRUESPAN, command, "--json", *args, path], capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 1), "%s: %d %s" % (command, done.returncode, done.stderr)
    return json.loads(done.stdout)


def compare(path, *args):
    """Both commands on one file. Returns what check says, and where they differ."""
    check, clocks = ask("check", path, *args), ask("clocks", path, *args)
    mine = {c["clock"]: [c[k] for k in SHARED] for c in check["clocks"]}
    theirs = {c["clock"]: [c[k] for k in SHARED] for c in clocks["clocks"]}
    return check, ["%s: check %s, clocks %s" % (k, mine[k], theirs.get(k)) for k in mine if mine[k] != theirs.get(k)]


def accused(check):
    return {c["clock"] for c in check["clocks"] if c["verdict"] in ("proven", "suspected")}


def mended(path):
    """`fix --keep-going` where clocks are right: whatever it moves, no more violations are left than there were."""
    out = path + ".fixed"
    done = subprocess.run([TRUESPAN, "fix", "--json", "--keep-going", path, "-o", out], capture_output=True, text=True,
                          timeout=120)
    if done.returncode not in (0, 1):
        return ["fix: %d %s" % (done.returncode, done.stderr)]
    answer = json.loads(done.stdout)
    before, left = answer["before"]["total"], answer["left"]["total"]
    again = ask("check", out)["violations"]["total"]
    wrong = [] if left <= before else ["fix leaves %d violations of %d" % (left, before)]
    if left == before and open(path, "rb").read() != open(out, "rb").read():
        wrong.append("fix moved stamps and mended nothing")
    return wrong + ([] if again == left else ["fix says that %d are left, check finds %d" % (left, again)])


class Stepping(Clock):
    def __init__(self, size, at):
        self.offset, self.size, self.at = 0, size, at

    def read(self, t):
        return t + (self.size if t >= self.at else 0)


def guilty(rng, folder):
    """One clock off by a constant, with a drift, or by a step: it and no other, and the right cause."""
    for kind in ("clock", "step"):
        truth = {h: Clock() for h in HOSTS}
        size = rng.choice((-1, 1)) * rng.randrange(8 * MS, 30 * MS)
        truth["C"] = Clock(size, rng.uniform(-20, 20)) if kind == "clock" else Stepping(size, EPOCH + int(rng.uniform(11, 19) * 1e9))
        path = os.path.join(folder, kind + ".json")
        with open(path, "wb") as out:
            out.write(WRITERS["otlp.json"](calls(rng, HOSTS, 1500, 30), truth))
        check, wrong = compare(path)
        causes, n = check["causes"], check["violations"]["hard"] + check["violations"]["soft"]
        if accused(check) != {"C"}:
            wrong.append("accused: %s" % accused(check))
        if causes[kind] < 0.98 * n or not n:
            wrong.append("%d violations, causes %s" % (n, causes))
        if kind == "step" and [len(c["steps"]) for c in check["clocks"]] != [h == "C" for h in HOSTS]:
            wrong.append("steps: %s" % [c["steps"] for c in check["clocks"]])
        report("guilty: " + kind, wrong)


def turned(rng, folder):
    """A clock that is proven off one way and ends off the other way: neither way is told of the wrong time."""
    first = rng.choice((-1, 1)) * rng.randrange(20 * MS, 30 * MS)
    truth = {h: Clock() for h in HOSTS}
    truth["C"] = Stepping(-2 * first, EPOCH + int(rng.uniform(12, 18) * 1e9))
    truth["C"].offset, read = first, truth["C"].read
    truth["C"].read = lambda t: read(t) + first
    path = os.path.join(folder, "turned.json")
    with open(path, "wb") as out:
        out.write(WRITERS["otlp.json"](calls(rng, HOSTS, 1500, 30), truth))
    said = subprocess.run([TRUESPAN, "check", "--reference", "A", path], capture_output=True, text=True, timeout=120).stdout
    about = [line.strip() for line in said.splitlines() if line.strip().startswith("C r")]
    ways = ("ahead", "behind") if first > 0 else ("behind", "ahead")
    good = len(about) == 1 and ("C ran " + ways[0] in about[0] and "it is about" in about[0] and
                                about[0].split(":")[0].endswith(ways[1]) or "C runs about" in about[0] and
                                ways[1] in about[0] and ways[0] not in about[0] and "proven: between" in about[0])
    report("guilty: one way, then the other", [] if good else ["first off by %d ns: %s" % (first, about or said)])


def main():
    print("# SEED=%d" % SEED)
    rng = random.Random(SEED)
    with tempfile.TemporaryDirectory() as folder:
        for name, make in INNOCENT.items():
            for k in range(2):
                path = os.path.join(folder, "t.json")
                with open(path, "wb") as out:
                    out.write(WRITERS["otlp.json"](make(rng), {h: Clock() for h in HOSTS}))
                check, wrong = compare(path)
                if accused(check) or check["causes"]["clock"] or check["causes"]["step"]:
                    wrong.append("accused: %s; causes %s" % (accused(check), check["causes"]))
                report("%s accuse nobody, %d" % (name, k), wrong)
                report("%s are not made worse, %d" % (name, k), mended(path))
        guilty(rng, folder)
        turned(rng, folder)
    for name in sorted(os.listdir(FOLDER)):
        path = os.path.join(FOLDER, name)
        if os.path.isfile(path) and not name.endswith(".md"):
            report("check and clocks agree on " + name, compare(path)[1])
    print("1..%d" % number)
    sys.exit(failures > 0)


main()
