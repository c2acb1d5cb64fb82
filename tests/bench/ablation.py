#!/usr/bin/env python3
"""What each number of src/solve/constants.h buys: the solver built again with it halved, doubled, or so far off that what
it belongs to is switched off, and run on simulated traces of known truth. Writes a table in Markdown.

usage: ablation.py SOURCE [-o TABLE] [--seeds N] [--first SEED] [--shapes a,b,..] [--minutes M] [NAME ..]
Without names: the switches first, then every constant. What --minutes leaves no time for is named at the end."""
import argparse, os, re, shlex, subprocess, sys, tempfile, time

# Mechanisms, and the values at which they do nothing.
SWITCHES = [
    ("fence", {"FENCE_REACH": "1e18", "FENCE_SPARSE_REACH": "1e18"}),
    ("isolated minima", {"ISOLATED_SPACINGS": "1e18"}),
    ("level rule", {"EXCESS_DIVISOR": "1e30"}),
    ("steps", {"STEP_RATIO": "1e30"}),
    ("merging back false steps", {"STEP_KEEP_SIGMA": "0", "STEP_KEEP_PART": "0"}),
    ("a clock's own rate noise", {"OWN_RATIO": "1e30"}),
    ("one prior of the rate", {"RATE_PRIORS_N": "1", "RATE_PRIORS": "{ 1e4 }"}),
    ("prior of the noise", {"NOISE_PRIOR": "0"}),
    ("weights by count", {"WEIGHT_LEAST": "1.0", "WEIGHT_MOST": "1.0"}),
    ("refinements", {"REFINEMENTS": "1"}),
    ("adaptive windows", {"WINDOW_SHRINK": "1.0", "WINDOW_GROW": "1.0"}),
    ("robust sparse start", {"SPARSE_HOPS": "0.0"}),
    ("soft hops joining", {"SOFT_LEAST": "1000000000"}),
]
# Not numbers of the estimate: what proofs need, and limits on work and memory.
LEAVE = {"ROUNDING_NS", "TELESCOPE_NS", "PRUNE_MARGIN_NS", "SWEEPS_MOST", "BALANCE_WORK", "CONFLICTS_MOST",
         "NOISE_GRID", "NOISE_GRID_LEAST", "NOISE_GRID_STEP", "RATE_NOISE_GRID", "RATE_NOISE_LEAST", "RATE_PRIORS_N"}
NUMBER = re.compile(r"^#define (\w+) \(?(-?[\d.]+(?:e-?\d+)?)\)?(?=\s|$)", re.M)


def varied(text, changes):
    for name, value in changes.items():
        text, n = re.subn(r"^(#define %s )(?:(?!/\*|\\\n).)*(?:\\\n(?:.*\\\n)*.*)?" % name,
                          lambda m: m.group(1) + value + " ", text, count=1, flags=re.M)
        assert n == 1, name
    return text


def scaled(value, factor):
    if re.fullmatch(r"-?\d+", value):
        return str(max(1, int(int(value) * factor)))
    return repr(float(value) * factor)


class Bench:
    def __init__(self, options):
        self.source, self.options = os.path.abspath(options.source), options
        self.folder = tempfile.TemporaryDirectory()
        with open(os.path.join(self.source, "src/solve/constants.h")) as f:
            self.constants = f.read()

    def files(self):
        rooms = [os.path.join(self.source, "src", room) for room in ("base", "clock", "solve")]
        found = [os.path.join(room, f) for room in rooms for f in os.listdir(room) if f.endswith(".c")]
        return sorted(found) + [os.path.join(self.source, "tests/sim", f)
                                for f in ("hop_sim.c", "score.c", "solve_table.c")]

    def measure(self, changes):
        """The rows of solve_table by shape, cells as text; None: it does not compile."""
        overlay = os.path.join(self.folder.name, "solve")
        os.makedirs(overlay, exist_ok=True)
        with open(os.path.join(overlay, "constants.h"), "w") as f:
            f.write(varied(self.constants, changes))
        program = os.path.join(self.folder.name, "table")
        build = shlex.split(os.environ.get("CC", "cc")) + ["-std=gnu17", "-O2", "-w", "-D_GNU_SOURCE", "-fno-math-errno",
                 "-ffp-contract=off", "-DTSP_VERSION=\"0\"", "-I" + self.folder.name, "-I" + self.source + "/include",
                 "-I" + self.source + "/src", "-I" + self.source + "/tests", "-I" + self.source + "/tests/sim",
                 *self.files(), "-o", program, "-lm", "-lpthread"]
        if subprocess.run(build, stderr=subprocess.DEVNULL).returncode:
            return None
        run = [program, "--seeds", str(self.options.seeds), "--first", str(self.options.first)]
        out = subprocess.run(run + self.options.shapes.split(","), capture_output=True, text=True).stdout
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in out.splitlines()[2:]]
        return {row[0]: row for row in rows}


def what_changed(row, base):
    """Figures that moved by more than a tenth; nothing: not worth a word."""
    words = []
    for column, name in ((3, "p50"), (4, "p99")):
        old, new = ([float(x) for x in cells[column].split("/")] for cells in (base, row))
        if any(abs(a - b) > 0.1 * max(a, b) + 0.02 for a, b in zip(old, new)):
            words.append("%s %s → %s" % (name, base[column], row[column]))
    for column, name in ((1, "coverage"), (2, "violations"), (5, "accused"), (6, "steps")):
        if row[column] != base[column]:
            words.append("%s %s → %s" % (name, base[column], row[column]))
    return "; ".join(words)


def variants(options, constants):
    if not options.names:
        for name, changes in SWITCHES:
            yield name, "off", changes
    for name, value in NUMBER.findall(constants):
        if name in LEAVE or (options.names and name not in options.names):
            continue
        for word, factor in (("halved", 0.5), ("doubled", 2)):
            if scaled(value, factor) != value:
                yield "`%s` %s" % (name, value), word, {name: scaled(value, factor)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("-o", "--output")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first", type=int, default=301)
    parser.add_argument("--shapes", default="rpc,drift,wander,step,pipeline,mesh,late,null")
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    bench, end, skipped = Bench(options), time.monotonic() + 60 * options.minutes, []
    out = open(options.output, "w") if options.output else sys.stdout
    base = bench.measure({})
    print("| what | | what it changes (nothing said: less than a tenth) |\n|---|---|---|", file=out, flush=True)
    for name, word, changes in variants(options, bench.constants):
        if time.monotonic() > end:
            skipped.append("%s %s" % (name, word))
            continue
        rows = bench.measure(changes)
        cells = ["%s: %s" % (shape, text) for shape in (base if rows else [])
                 for text in ["fails" if shape not in rows else what_changed(rows[shape], base[shape])] if text]
        print("| %s | %s | %s |" % (name, word, "does not compile" if rows is None else "<br>".join(cells)), file=out,
              flush=True)
    if skipped:
        print("\nNot run, for want of time: %s." % ", ".join(skipped), file=out)


main()
