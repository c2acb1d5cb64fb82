#!/usr/bin/env python3
"""What each number of src/solve/constants.h buys: the solver built again with it halved, doubled, or so far off that what
it belongs to is switched off, and run on simulated traces of known truth. Writes tables in Markdown.

usage: ablation.py SOURCE [-o TABLES] [--keep FOLDER] [--jobs N] [--minutes M] [--seeds N] [--first SEED]
                   [--shapes a,b,..] [NAME ..]
Names are those of switches and of constants; without any: all. Each row that is measured is kept in the folder, below a name that stands
for the source and the question, so that a run that was stopped goes on where it was. What --minutes leaves no time for is
named at the end; with 0, the tables hold what is kept."""
import argparse, concurrent.futures, hashlib, json, math, os, re, shlex, subprocess, sys, tempfile, time

SHAPES = ("rpc,drift,wander,step,early-step,steps,slew-any,slew-any-free,ref-step,ref-step-free,pipeline,mesh,hub,late,lies,"
          "null,congestion,quantum,stray,soft,busy,busy-skew,few,few-skew,namesake,frame,one-way,asymmetric")

# Mechanisms, and the values at which they do nothing.
SWITCHES = [
    ("fence", {"FENCE_REACH": "1e18", "FENCE_SPARSE_REACH": "1e18"}),
    ("isolated minima", {"ISOLATED_SPACINGS": "1e18"}),
    ("level rule", {"EXCESS_DIVISOR": "1e30"}),
    ("windows in which many lie", {"BULK_LEAST": "1000000000", "DIP_SIGMA": "1e30"}),
    ("steps", {"STEP_RATIO": "1e30"}),
    ("bends of one clock, or of the reference", {"BEND_RATIO": "1e30"}),
    ("merging back false steps", {"STEP_KEEP_SIGMA": "0", "STEP_KEEP_PART": "0"}),
    ("a clock's own rate noise", {"OWN_RATIO": "1e30"}),
    ("one prior of the rate", {"RATE_PRIORS_N": "1", "RATE_PRIORS": "{ 1.41e4 }"}),
    ("prior of the noise", {"NOISE_PRIOR": "0"}),
    ("grid of the noise twice as fine", {"NOISE_GRID": "25", "NOISE_GRID_STEP": "0.25"}),
    ("weights by count", {"WEIGHT_LEAST": "1.0", "WEIGHT_MOST": "1.0"}),
    ("refinements", {"REFINEMENTS": "1"}),
    ("adaptive windows", {"WINDOW_SHRINK": "1.0", "WINDOW_GROW": "1.0"}),
    ("robust sparse start", {"SPARSE_HOPS": "0.0"}),
    ("soft hops joining", {"SOFT_LEAST": "1000000000"}),
    ("a quorum of soft hops", {"SOFT_CHANCE": "1.0"}),
    ("hops taken back", {"SOFT_ASKED_LEAST": "1000000000"}),
    ("limit on lies of an operation", {"SOFT_LIES_MOST": "1.0"}),
    ("too few hops to convict", {"CREDIBLE_LEAST": "1", "SUSPECT_HOPS": "1", "ESTIMATE_HOPS": "1"}),
    ("violations that lies explain", {"CREDIBLE_CHANCE": "1.0"}),
    ("stamps that wait", {"CREDIBLE_REACH": "1e18"}),
    ("suspicion by standard errors", {"SUSPECT_SIGMA": "0.0"}),
    ("suspicion by the bounds", {"SUSPECT_PART": "0.0"}),
    ("stray stamps", {"STRAY_GAP_NS": "1e30"}),
    ("setting aside whole", {"CONTRADICTED_ROUNDS": "0"}),
]
# Not numbers of the estimate: what proofs need, limits on work, and grids, which a switch makes finer.
LEAVE = {"ROUNDING_NS", "TELESCOPE_NS", "PRUNE_MARGIN_NS", "SWEEPS_MOST", "BALANCE_WORK", "NOISE_GRID",
         "NOISE_GRID_LEAST", "NOISE_GRID_STEP", "RATE_NOISE_GRID", "RATE_NOISE_LEAST", "RATE_PRIORS_N"}
NUMBER = re.compile(r"^#define (\w+) \(?(-?[\d.]+(?:e-?\d+)?)\)?(?=\s|$)", re.M)


def varied(text, changes):
    """The header with other values; None: it has no such constant."""
    for name, value in changes.items():
        text, n = re.subn(r"^(#define %s )(?:(?!/\*|\\\n).)*(?:\\\n(?:.*\\\n)*.*)?" % name,
                          lambda m: m.group(1) + value + " ", text, count=1, flags=re.M)
        if not n:
            return None
    return text


def scaled(value, factor):
    if re.fullmatch(r"-?\d+", value):
        return str(max(1, int(int(value) * factor)))
    return repr(float(value) * factor)


def read(path):
    with open(path) as f:
        return f.read()


class Bench:
    def __init__(self, options):
        self.source, self.options = os.path.abspath(options.source), options
        rooms = [os.path.join(self.source, "src", room) for room in ("base", "clock", "solve")]
        sims = os.path.join(self.source, "tests/sim")
        self.texts = {os.path.join(room, f): read(os.path.join(room, f)) for room in [*rooms, sims]
                      for f in sorted(os.listdir(room)) if f.endswith((".c", ".h")) and not f.startswith(("test_", "soak_"))}
        self.constants = self.texts[os.path.join(rooms[-1], "constants.h")]
        state = hashlib.sha256(repr((sorted(self.texts.items()), options.shapes, options.seeds, options.first)).encode())
        self.keep = os.path.join(options.keep, state.hexdigest()[:16])
        os.makedirs(self.keep, exist_ok=True)
        self.scratch = tempfile.TemporaryDirectory()
        self.end = time.monotonic() + 60 * options.minutes
        self.objects = {}

    def compile(self, path, overlay, to):
        build = shlex.split(os.environ.get("CC", "cc")) + [
            "-std=gnu17", "-O2", "-w", "-D_GNU_SOURCE", "-fno-math-errno", "-ffp-contract=off", '-DTSP_VERSION="0"',
            "-I" + overlay, "-I" + self.source + "/include", "-I" + self.source + "/src", "-I" + self.source + "/tests",
            "-I" + self.source + "/tests/sim", "-c", path, "-o", to]
        subprocess.run(build, check=True, stderr=subprocess.DEVNULL)
        return to

    def compile_all(self):
        """As it is, once; a row then compiles again what mentions its constants."""
        paths = [p for p in self.texts if p.endswith(".c")]
        with concurrent.futures.ThreadPoolExecutor(self.options.jobs) as pool:
            to = [os.path.join(self.scratch.name, "%d.o" % k) for k in range(len(paths))]
            self.objects = dict(zip(paths, pool.map(self.compile, paths, [self.scratch.name] * len(paths), to)))

    def touched(self, changes):
        def mentions(path):
            return any(re.search(r"\b%s\b" % name, self.texts[path]) for name in changes)

        headers = any(mentions(p) for p in self.texts if p.endswith(".h") and not p.endswith("constants.h"))
        return [p for p in self.objects if "/src/solve/" in p and (headers or mentions(p))]

    def run(self, changes):
        """The rows of solve_table by shape, cells as text; a word where there are none."""
        text = varied(self.constants, changes)
        if text is None:
            return "there is no such constant"
        with tempfile.TemporaryDirectory(dir=self.scratch.name) as folder:
            os.makedirs(os.path.join(folder, "solve"))
            with open(os.path.join(folder, "solve/constants.h"), "w") as f:
                f.write(text)
            objects, program = dict(self.objects), os.path.join(folder, "table")
            try:
                for k, path in enumerate(self.touched(changes)):
                    objects[path] = self.compile(path, folder, os.path.join(folder, "%d.o" % k))
                subprocess.run(["cc", *objects.values(), "-o", program, "-lm", "-lpthread"], check=True)
            except subprocess.CalledProcessError:
                return "does not compile"
            ask = [program, "--seeds", str(self.options.seeds), "--first", str(self.options.first)]
            rows = {}
            for shape in self.options.shapes.split(","):
                try:
                    out = subprocess.run(ask + [shape], capture_output=True, text=True, timeout=600).stdout.splitlines()
                except subprocess.TimeoutExpired:
                    out = []
                if len(out) == 3:
                    cells = [cell.strip() for cell in out[2].strip("|").split("|")]
                    rows[shape] = cells[:8] + ["", cells[9]]  # not the time
            return rows

    def measure(self, changes):
        """Rows, or a word; None: there was no time."""
        name = hashlib.sha256(repr(sorted(changes.items())).encode()).hexdigest()[:16]
        path = os.path.join(self.keep, name + ".json")
        if not os.path.exists(path):
            if time.monotonic() > self.end:
                return None
            row = self.run(changes)
            with open(path + ".part", "w") as f:
                json.dump({"changes": changes, "rows": row}, f, indent=1)
            os.replace(path + ".part", path)
        with open(path) as f:
            return json.load(f)["rows"]


def numbers(text):
    return [float(x) for x in re.findall(r"nan|[\d.]+", text)]


def ratio(old, new, floor):
    """How many times as much, where it is more than a tenth (and than a floor, below which nothing matters); else 1."""
    if math.isnan(old) or math.isnan(new):
        return 1 if math.isnan(old) == math.isnan(new) else math.nan
    return new / old if old and abs(new - old) > 0.1 * max(old, new) + floor else 1


def error_words(base, row):
    """Of p50, p99 and its worst seed the one that changes most."""
    ratios = {}
    for name, column in (("p50", 3), ("p99", 4)):
        for old, new in zip(numbers(base[column]), numbers(row[column])):
            r = ratio(old, new, 0.02)
            if math.isnan(r):
                return ["no estimate" if math.isnan(new) else "an estimate"]
            if abs(math.log(r)) > abs(math.log(ratios.get(name, 1))):
                ratios[name] = r
    most = max(ratios, key=lambda name: abs(math.log(ratios[name])), default=None)
    return ["%s ×%.2g" % (most, ratios[most])] if most else []


def count_words(base, row):
    """What is left of violations, what is called a lie, steps, and who is accused or found."""
    (_, left, lies), (_, left_now, lies_now) = numbers(base[2]), numbers(row[2])
    (found, true, extra), (found_now, _, extra_now) = numbers(base[6]), numbers(row[6])
    words = ["%d violations left, not %d" % (left_now, left)] if abs(left - left_now) > 2 + 0.02 * left else []
    words += ["%d lies, not %d" % (lies_now, lies)] if abs(lies - lies_now) > 2 + 0.02 * lies else []
    words += ["%d of %d steps, not %d" % (found_now, true, found)] if found != found_now else []
    words += ["%d false steps, not %d" % (extra_now, extra)] if extra != extra_now else []
    words += ["%s accused, not %s" % (row[5], base[5])] if row[5] != base[5] else []
    words += ["found %s, not %s" % (row[9], base[9].split()[0])] if row[9] != base[9] else []
    return words


def what_changed(row, base):
    """Figures that moved by more than a tenth, counts by more than a fiftieth; nothing: not worth a word."""
    words, width = error_words(base, row), ratio(float(base[7]), float(row[7]), 0)
    if width != 1:
        words.append("no bounds" if math.isnan(width) and row[7] == "nan" else "bounds ×%.2g" % width)
    if abs(float(base[1]) - float(row[1])) > 0.005:
        words.append("coverage %.2f, not %.2f" % (float(row[1]), float(base[1])))
    return ", ".join(words + count_words(base, row))


def cell(rows, base):
    if isinstance(rows, str):
        return rows
    said = ["*%s* %s" % (shape, text) for shape in base
            for text in ["fails" if shape not in rows else what_changed(rows[shape], base[shape])] if text]
    return "; ".join(said)


def questions(options, constants):
    """(name, word, changes), a row or a cell each."""
    for name, changes in SWITCHES:
        if not options.names or name in options.names:
            yield name, "off", changes
    for name, value in NUMBER.findall(constants):
        if name in LEAVE or (options.names and name not in options.names):
            continue
        for word, factor in (("halved", 0.5), ("doubled", 2)):
            if scaled(value, factor) != value:
                yield "`%s` %s" % (name, value), word, {name: scaled(value, factor)}


def print_tables(asked, rows, out):
    base, by_name, skipped = rows[0], {}, []
    for (name, word, _), row in zip(asked, rows[1:]):
        if row is None:
            skipped.append("%s %s" % (name, word))
        else:
            by_name.setdefault(name, {})[word] = cell(row, base)
    print("| mechanism | what changes when it is switched off |\n|---|---|", file=out)
    for name, words in by_name.items():
        if "off" in words:
            print("| %s | %s |" % (name, words["off"]), file=out)
    print("\n| constant | halved | doubled |\n|---|---|---|", file=out)
    numbers = {name: words for name, words in by_name.items() if "off" not in words}
    for name, words in numbers.items():
        if any(words.values()):
            print("| %s | %s | %s |" % (name, words.get("halved", "–"), words.get("doubled", "–")), file=out)
    quiet = [name for name, words in numbers.items() if len(words) == 2 and not any(words.values())]
    print("\nNeither halved nor doubled do these change anything by a tenth on any shape: %s." % (", ".join(quiet) or "none"),
          file=out)
    if skipped:
        print("\nNot measured, for want of time: %s." % ", ".join(skipped), file=out)
    print("\nThe shapes as they are, errors and half-widths in µs:\n\n| shape | coverage | violations | p50 | p99 | accused | steps | half-width | found |"
          "\n|---|---|---|---|---|---|---|---|---|", file=out)
    for row in base.values():
        print("| %s |" % " | ".join(row[k] for k in (0, 1, 2, 3, 4, 5, 6, 7, 9)).replace("->", "→"), file=out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("-o", "--output")
    parser.add_argument("--keep", default=os.path.join(tempfile.gettempdir(), "truespan-ablation"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first", type=int, default=301)
    parser.add_argument("--shapes", default=SHAPES)
    parser.add_argument("names", nargs="*")
    options = parser.parse_intermixed_args()
    bench = Bench(options)
    asked = list(questions(options, bench.constants))
    if options.minutes > 0:
        bench.compile_all()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        rows = []
        for k, row in enumerate(pool.map(bench.measure, [{}] + [changes for _, _, changes in asked])):
            rows.append(row)
            print("\r%d of %d" % (k + 1, len(asked) + 1), end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    with open(options.output, "w") if options.output else sys.stdout as out:
        print_tables(asked, rows, out)


main()
