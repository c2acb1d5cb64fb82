#!/usr/bin/env python3
"""truespan sim: the same bytes for a seed, a truth that the traces follow, figures over time counted again, and clocks that
check and clocks recover from the traces alone. sim.py TRUESPAN [SEEDS [FIRST]]"""

import filecmp
import hashlib
import json
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab_tap import Place, Spans, Tap, read_truth

MS = 1000000
TRUESPAN = sys.argv[1] if os.path.isabs(sys.argv[1]) else os.path.abspath(sys.argv[1])
SEEDS = int(sys.argv[2]) if len(sys.argv) > 2 else 4
FIGURES = {"covered": 0, "errors_us": []}
FIRST = int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().randrange(1, 10**9)

TREE = """
stages:
  - {name: gateway, workers: 2, to: [preprocess]}
  - {name: preprocess, workers: 3, to: [inference]}
  - {name: inference, workers: 4, to: [postprocess, hub]}
  - {name: hub, role: relay, to: [left, right]}
  - {name: left, role: relay, workers: 3}
  - {name: right, role: relay, workers: 2}
  - {name: postprocess, workers: 2, to: [sink]}
  - {name: sink, to: [gateway]}
"""
QUIET = "experiment: {sweep: [%s], duration: %s, rounds: 1, null_run: false, throughput_pairs: 0%s}\n"


def truespan(*words, timeout=120):
    done = subprocess.run([TRUESPAN, *words], capture_output=True, text=True, timeout=timeout)
    return done.returncode, done.stdout, done.stderr


def simulate(tap, place, spec, *words):
    place.out = os.path.join(place.base, f"out-{len(os.listdir(place.base))}")
    code, out, err = truespan("sim", place.write("spec.yaml", spec), "-o", place.out, "--json", *words)
    tap.check(code in (0, 1), "exit code", code, err)
    return json.loads(out)


def same_bytes(tap):
    """Every kind of delay, load and trouble; twice the same, and another seed not."""
    for number, delays in enumerate(("uniform", "constant", "exponential", "pareto", "lognormal", "empirical")):
        place = Place()
        table = place.write("delays.txt", "# measured\n4ms\n4.5ms\n5ms\npreprocess inference 9ms\n")
        spec = (QUIET % ("0ms, 5ms", "2s", "") + TREE + f"sim: {{delays: {delays}, late_stamps: 0.05, wander_ppm: 1, offset: 1ms"
                + (f", delays_file: {table}, delays_run: {1 + number % 3}" if delays == "empirical" else "")
                + ", congestion: [{at: 500ms, for: 500ms, delay: 2ms, spread: 1ms}]}\n"
                + "link: {loss: 0.01, rate_mbit: 50, jitter: 1ms}\nclock: {stage: inference, wander_ppm: 3}\n")
        folders = []
        for seed in (FIRST + number, FIRST + number, FIRST + number + 1):
            simulate(tap, place, spec, "--seed", str(seed))
            folders.append(place.out)
        names = [os.path.join(run, kind) for run in ("virtual-0ms", "virtual-5ms") for kind in
                 ["truth.jsonl", "requests.jsonl"] + ["otlp/" + f for f in os.listdir(os.path.join(folders[0], run, "otlp"))]]
        _, differ, missing = filecmp.cmpfiles(folders[0], folders[1], names, shallow=False)
        tap.equal((differ, missing), ([], []), f"{delays}: files that differ for one seed")
        same, _, _ = filecmp.cmpfiles(folders[0], folders[2], names, shallow=False)
        tap.check(len(same) < len(names) // 4, f"{delays}: files that are the same for two seeds", len(same), same)
        place.remove()


# SHA-256 of the true stamps of seed 7, in order of span id. It changes when the nodes, their work or the random numbers
# change, and must not change with the machine or the compiler.
STAMPS_OF_SEED_7 = "2b187e1d1a04443aaa7f6dc40690a82feeed62d74a59d48fc689a0c2b16e4067"


def same_everywhere(tap):
    place = Place()
    spec = (QUIET % ("4ms", "3s", "") + "sim: {delays: lognormal, offset: 1ms}\nclock: {wander_ppm: 2, drift_ppm: 5}\n"
            + "link: {jitter: 1ms}\n")
    simulate(tap, place, spec, "--seed", "7")
    text = []
    with open(os.path.join(place.out, "virtual-4ms", "truth.jsonl"), encoding="utf-8") as file:
        for row in map(json.loads, file):
            text.append(f"{row['span_id']} {row['start']} {row['end']} {row['start_offset_ns']}")
    digest = hashlib.sha256("\n".join(sorted(text)).encode()).hexdigest()
    tap.equal(digest, STAMPS_OF_SEED_7, "true stamps and offsets of seed 7")
    place.remove()


def delay_of(spans, truth, shown):
    return [truth[child["id"]][0] - truth[parent["id"]][0] for parent, child in spans.hops()
            if (parent["host"].rsplit("-", 1)[0], child["host"].rsplit("-", 1)[0]) == shown]


def truth_holds(tap):
    """Outputs whole, no delay below the network's, asymmetry where it was asked for, late stamps as many as asked for."""
    place = Place()
    spec = (QUIET % ("2ms", "20s", "") + TREE + "load: {rate: 60}\nlink: {delay: 3ms, jitter: 1ms}\n"
            + "sim: {delays: exponential, late_stamps: 0.1, late_by: 2ms, edges: [{from: sink, to: gateway, delay: 10ms}]}\n")
    run = simulate(tap, place, spec, "--seed", str(FIRST))["runs"][0]
    folder = os.path.join(place.out, run["folder"])
    spans, truth = Spans(folder), read_truth(folder)
    tap.equal(run["outputs_match"], True, "outputs match")
    tap.equal(set(truth), {row["id"] for row in spans.rows}, "spans with a truth")
    there, back = delay_of(spans, truth, ("gateway", "preprocess")), delay_of(spans, truth, ("sink", "gateway"))
    tap.check(min(there) >= 3 * MS, "the fastest hop", min(there))
    tap.check(min(back) >= 13 * MS, "the fastest hop that takes longer", min(back))
    mean = sum(there) / len(there)
    tap.check(4 * MS < mean < 5 * MS, "mean of 3 ms, an exponential ms, and work", mean)
    with open(os.path.join(folder, "truth.jsonl"), encoding="utf-8") as file:
        late = [json.loads(line).get("start_late_ns", 0) for line in file]
    sends = sum(row["name"].startswith("send") for row in spans.rows)
    tap.check(abs(sum(1 for l in late if l) / sends - 0.1) < 0.02, "share of late stamps", sum(1 for l in late if l) / sends)
    negative = [row["name"] for row in spans.rows if row["end"] < row["start"]]
    tap.check(not negative, "spans that end before they begin", negative[:3])
    place.remove()


def delays_drawn_again(tap):
    """What tools/delays_of_run.py takes from one run, another draws: edge by edge the same quantiles."""
    place = Place()
    load = QUIET % ("0ms", "40s", "") + "load: {rate: 15}\nengine: {chunk_tokens: 8}\n"
    run = simulate(tap, place, load + "link: {delay: 3ms, jitter: 500us}\nsim: {delays: lognormal, shape: 0.7, edges: "
                   + "[{from: sink, to: gateway, delay: 2ms}]}\n", "--seed", str(FIRST))["runs"][0]
    first = os.path.join(place.out, run["folder"])
    tool = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/delays_of_run.py")
    done = subprocess.run([sys.executable, tool, first], capture_output=True, text=True, timeout=60)
    tap.equal((done.returncode, len(done.stdout.splitlines())), (0, run["hops"]), "a line a hop")
    table = place.write("delays.txt", done.stdout)
    again = simulate(tap, place, load + f"sim: {{delays: empirical, delays_file: {table}, delays_run: 20, wake: 0us, "
                     + "wake_spread: 0us, send: 0us, receive: 0us}\n", "--seed", str(FIRST + 1))["runs"][0]
    second = os.path.join(place.out, again["folder"])
    for shown in (("gateway", "preprocess"), ("inference", "postprocess"), ("sink", "gateway")):
        one, other = (sorted(delay_of(Spans(f), read_truth(f), shown)) for f in (first, second))
        for part in (0.1, 0.5, 0.9):
            a, b = one[int(part * len(one))], other[int(part * len(other))]
            tap.check(abs(a - b) < 0.2 * a, shown, "quantile", part, a, b)
    place.remove()


def clocks_are_recovered(tap, seed):
    """Random clocks, known to nobody but the truth: bounds hold them, estimates come near."""
    place = Place()
    spec = (QUIET % (f"{random.Random(seed).randrange(-30, 30)}ms", "30s", "")
            + "load: {rate: 20}\nsim: {offset: 8ms, drift_ppm: 8, delays: exponential}\nlink: {jitter: 400us}\n")
    run = simulate(tap, place, spec, "--seed", str(seed))["runs"][0]
    folder = os.path.join(place.out, run["folder"])
    spans = Spans(folder)
    code, out, err = truespan("clocks", "--json", "--reference", "gateway-0", os.path.join(folder, "otlp"))
    tap.check(code in (0, 1), f"seed {seed}: clocks", err)
    truth, offsets = read_truth(folder), {}
    for row in spans.rows:
        offsets.setdefault(row["host"], []).append((truth[row["id"]][0], row["start"] - truth[row["id"]][0]))
    last = {host: max(rows)[1] for host, rows in offsets.items()}
    for clock in json.loads(out)["clocks"]:
        want = last[clock["clock"]] - last["gateway-0"]
        lo, hi = clock["lo_ns"], clock["hi_ns"]
        # the two last stamps are not of one moment: 10 ppm over the seconds between them
        held = tap.check((lo is None or lo <= want + 50000) and (hi is None or want - 50000 <= hi),
                         f"seed {seed}: {clock['clock']}: {want} is not in [{lo}, {hi}]")
        FIGURES["covered"] += bool(held)
        FIGURES["errors_us"].append(abs(clock["offset_ns"] - want) / 1e3)
        # a ring of five equal hops: the estimate is off by the spread of their least delays
        tap.check(abs(clock["offset_ns"] - want) < MS, f"seed {seed}: {clock['clock']}: estimate", clock["offset_ns"], want)
    code, out, err = truespan("check", "--json", os.path.join(folder, "otlp"))
    found = json.loads(out)["violations"]
    hard = sum(child["start"] < parent["start"] for parent, child in spans.hops())
    tap.equal(found["hard"], hard, f"seed {seed}: violations that check finds")
    place.remove()


def over_time(tap):
    """The stretches of a drifting clock, counted again; the prediction holds in nearly all of them."""
    place = Place()
    spec = (QUIET % ("5ms", "200s", ", bucket: 10s") + "load: {rate: 10}\nengine: {chunk_tokens: 4}\n"
            + "clock: {drift_ppm: -15}\n")
    summary = simulate(tap, place, spec, "--seed", str(FIRST))
    run, true_clocks = summary["runs"]
    folder = os.path.join(place.out, run["folder"])
    spans, truth = Spans(folder), read_truth(folder)
    tap.equal((run["true_clock"], true_clocks["true_clock"], true_clocks["negative_spans"]), (False, True, 0), "runs")
    arrivals = [(truth[child["id"]][0], child["start"] < parent["start"]) for parent, child in spans.hops()]
    began = min(arrivals)[0]
    counts = {}
    for at, negative in arrivals:
        row = counts.setdefault((at - began) // (10 * 1000 * MS), [0, 0])
        row[0] += 1
        row[1] += negative
    got = {p["since_ns"] // (10 * 1000 * MS) - 1: [p["hops"], p["negative_spans"]] for p in run["timeline"]}
    tap.equal(got, counts, "hops and negative spans of the stretches")
    misses = 0
    for point in run["timeline"]:
        want = 5 * MS - 15 * (point["since_ns"] - 5000 * MS) // 1000000
        tap.check(abs(point["true_offset_ns"] - want) < 60000, "true offset", point["true_offset_ns"], want)
        misses += not (point["predicted_rate_lo"] <= point["negative_rate_hi"]
                       and point["negative_rate_lo"] <= point["predicted_rate_hi"])
    tap.check(misses <= 2, misses, "of", len(run["timeline"]), "stretches are off their prediction")
    tap.check(any("came back" in words for words in run["what_happened"]), "what happened", run["what_happened"])
    place.remove()


def health_recovers(tap):
    """A constant clock, a network that is slow for a while: healthy, and said to be no recovery of the clock."""
    place = Place()
    spec = (QUIET % ("0ms, 4.2ms", "160s", ", bucket: 10s, health_window: 10s") + "load: {rate: 10}\n"
            + "sim: {congestion: [{at: 60s, for: 50s, delay: 2ms}]}\n")
    run = simulate(tap, place, spec, "--seed", str(FIRST))["runs"][1]
    healthy = [point["healthy"] for point in run["timeline"]]
    tap.check(not any(healthy[:6]) and all(healthy[7:10]) and not any(healthy[12:]), "health of the stretches", healthy)
    tap.check(all(abs(p["true_offset_ns"] - 4.2 * MS) < 2 for p in run["timeline"]), "the clock does not move")
    tap.check(any("although the clock did not" in w and "slower" in w for w in run["what_happened"]), run["what_happened"])
    place.remove()


def trouble(tap):
    """Limits, absurd rates, nothing to do, and specs that are wrong: one clear line, soon."""
    place = Place()
    begun = time.monotonic()
    code, out, err = truespan("sim", "--time-limit", "1s", "--rate", "1000000", "-d", "2h", "--sweep", "0ms", "--quick", "-o",
                              place.out)
    tap.check(code == 2 and len(err.splitlines()) == 1 and time.monotonic() - begun < 60, code, err[:300])
    for words, want in ((["--time-limit", "-1s"], "time-limit"), (["--rate", "0"], "--rate"), (["--ntp", "5ms"], "--ntp"),
                        (["--bucket", "1us"], "--bucket"), (["--engine", "http://localhost:1/v1"], "localhost")):
        code, out, err = truespan("sim", *words, "-o", os.path.join(place.base, "none"))
        tap.check(code == 2 and want in err and len(err.splitlines()) == 1, words, code, err[:300])
    bad = {"sim: {delays: empirical}": "delays_file", "sim: {delays: gaussian}": "gaussian",
           "sim: {delays: empirical, delays_file: none.txt}": "none.txt", "sim: {edges: [{from: gateway}]}": "delay",
           "sim: {congestion: [{at: 1s, delay: 1ms}]}": "for", "sim: {wake: -1ms}": "wake", "sim: {wake: 5}": "wake",
           "sim: {late_stamps: 2}": "late_stamps", "load: {phases: [{at: 1s}]}": "phases"}
    for text, want in bad.items():
        code, out, err = truespan("sim", place.write("bad.yaml", text + "\n"), "-o", os.path.join(place.base, "none"),
                                  "--quick")
        tap.check(code == 2 and want in err and len(err.splitlines()) == 1, text, code, err[:300])
    # so slow that no request ever comes
    summary = simulate(tap, place, QUIET % ("0ms", "100ms", "") + "load: {rate: 0.001}\n")
    tap.equal((summary["runs"][0]["requests"], summary["runs"][0]["hops"]), (0, 0), "no request")
    place.remove()


def main():
    print(f"# seeds {FIRST} and {SEEDS - 1} behind it")
    tap = Tap()
    if len(sys.argv) <= 2:
        tap.run("the same seed leaves the same bytes, whatever the delays", same_bytes)
        tap.run("a seed's stamps are the same on every machine", same_everywhere)
        tap.run("outputs, delays, asymmetry and late stamps are as the spec says", truth_holds)
        tap.run("delays of a run, drawn again", delays_drawn_again)
        tap.run("figures over time, counted again", over_time)
        tap.run("health that recovers without its clock", health_recovers)
        tap.run("limits and bad specs", trouble)
    for seed in range(FIRST, FIRST + SEEDS):
        tap.run(f"clocks are recovered, seed {seed}", clocks_are_recovered, seed)
    errors = sorted(FIGURES["errors_us"]) or [0.0]
    p50, p99 = (errors[int(part * (len(errors) - 1))] for part in (0.5, 0.99))
    print(f"# {FIGURES['covered']} of {len(FIGURES['errors_us'])} clocks inside their bounds, estimates off by {p50:.1f} us at the "
          f"median, {p99:.1f} at p99, {errors[-1]:.1f} at worst")
    tap.done()


main()
