#!/usr/bin/env python3
"""The topologies of truespan sim: that the traces have the shape that the spec asks for, and that check, clocks and fix hold
against the truth in each of them, with clocks that are all wrong and with one that is. sim_topology.py TRUESPAN [SEEDS [FIRST]]"""

import glob
import json
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab_tap import Place, Spans, Tap, read_truth

MS = 1000000
TRUESPAN = sys.argv[1] if os.path.isabs(sys.argv[1]) else os.path.abspath(sys.argv[1])
SEEDS = int(sys.argv[2]) if len(sys.argv) > 2 else 1
FIRST = int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().randrange(1, 10**9)
CLIENT, SERVER, PRODUCER, CONSUMER = 3, 2, 4, 5
FIGURES = {"knots": 0, "outside": 0, "errors_us": [], "before": 0, "left": 0, "judged": 0, "accused": 0}


def truespan(*words, timeout=300):
    done = subprocess.run([TRUESPAN, *words], capture_output=True, text=True, timeout=timeout)
    return done.returncode, done.stdout, done.stderr


def draw_topology(shape, dice):
    if shape == "tree":
        depth = dice.randint(1, 3)
        return {"shape": shape, "depth": depth, "width": dice.randint(1, 4 if depth < 3 else 2)}
    if shape == "mesh":
        width = dice.randint(3, 12)
        return {"shape": shape, "depth": dice.randint(1, 3), "width": width, "fan": dice.randint(1, min(3, width - 1))}
    if shape == "batch":
        return {"shape": shape, "width": dice.randint(2, 8), "wait": f"{dice.randint(0, 120)}ms"}
    width = dice.randint(1, 9)
    return {"shape": shape, "width": width, "fan": dice.randint(1, width)}


def simulate(tap, place, name, spec, seed):
    out = os.path.join(place.base, name)
    code, text, err = truespan("sim", place.write(name + ".yaml", json.dumps(spec)), "-o", out, "--json", "--seed", str(seed))
    if not tap.check(code in (0, 1), name, "exit code", code, err):
        return []
    runs = json.loads(text)["runs"]
    for run in runs:
        tap.equal(run["outputs_match"], True, f"{name}: outputs")
        run["path"] = os.path.join(out, run["folder"])
    return runs


def spec_of(topology, dice, **more):
    return {"topology": topology, "load": {"rate": 20}, "engine": {"chunk_tokens": dice.choice([1, 4, 16])},
            "link": {"delay": f"{dice.randint(1, 8)}ms", "jitter": "400us"},
            "experiment": {"sweep": ["0ms"], "duration": "15s", "rounds": 1, "null_run": False, "throughput_pairs": 0}, **more}


# ---------------------------------------------------------------- the shape

def children_of(spans):
    children = {}
    for row in spans.rows:
        children.setdefault((row["trace"], row["parent"]), []).append(row)
    return children


def callees(kids, row):
    """The SERVER spans that a span's calls led to, in the order of the calls; every call must have led to one."""
    calls = sorted((k for k in kids.get((row["trace"], row["id"]), []) if k["kind"] == CLIENT), key=lambda k: k["seen"])
    return [(call, kids.get((call["trace"], call["id"]), [])) for call in calls]


def see_calls(tap, kids, row, levels, topology, fan_at):
    """Walk the calls below a span; returns how many services answered."""
    below = callees(kids, row)
    want = fan_at(row) if levels else 0
    tap.equal(len(below), want, f"calls of '{row['name']}' on {row['host']}")
    count = 0
    for call, servers in below:
        if not tap.equal([s["kind"] for s in servers], [SERVER], "what a call led to"):
            continue
        tap.check(servers[0]["host"] != row["host"], "a service that calls itself", row["host"])
        count += 1 + see_calls(tap, kids, servers[0], levels - 1, topology, fan_at)
    hosts = [servers[0]["host"] for _, servers in below if servers]
    tap.equal(len(set(hosts)), len(hosts), "services called twice by one")
    if topology["shape"] == "hub" and row["kind"] == SERVER:
        ends = [call["true_end"] for call, _ in below]
        starts = [call["true_start"] for call, _ in below]
        tap.check(all(e <= s for e, s in zip(ends, starts[1:])), "a hub's calls one after another", starts, ends)
    return count


def see_shape(tap, spans, truth, topology):
    """The traces show the topology, in the order of true time."""
    kids = children_of(spans)
    for row in spans.rows:
        row["true_start"], row["true_end"] = truth[row["id"]]
        row["seen"] = row["true_start"]
    shape = topology["shape"]
    if shape == "batch":
        return see_batches(tap, spans, topology)
    fans = {"tree": lambda row: topology["width"], "mesh": lambda row: topology["fan"],
            "hub": lambda row: topology["fan"] if row["kind"] == SERVER else 1}
    levels = topology.get("depth", 2)
    heads = [row for row in spans.rows if row["name"] == "process preprocess"]
    for row in heads:
        see_calls(tap, kids, row, levels, topology, fans[shape])
    servers = [row for row in spans.rows if row["kind"] == SERVER]
    if shape == "tree":
        tap.equal(len(servers), len(heads) * sum(topology["width"] ** k for k in range(1, levels + 1)), "answers")
        tap.equal({row["host"] for row in servers},
                  {f"level{k}-{w}" for k in range(1, levels + 1) for w in range(topology["width"] ** k)}, "the tree's nodes")
    if shape == "mesh":
        calls = {}
        for parent, child in spans.hops():
            if child["kind"] == SERVER and parent["host"].startswith("mesh"):
                calls.setdefault(parent["host"], set()).add(child["host"])
        tap.check(all(len(to) == topology["fan"] for to in calls.values()), "neighbours of each are the same always", calls)
    for call in (row for row in spans.rows if row["kind"] == CLIENT):
        server = kids[call["trace"], call["id"]][0]
        tap.check(call["true_start"] < server["true_start"] <= server["true_end"] < call["true_end"], "a call in true time")


def see_batches(tap, spans, topology):
    sends = {(row["trace"], row["id"]): row for row in spans.rows if row["name"] == "send inference"}
    batches = [row for row in spans.rows if row["name"] == "process inference"]
    linked = [link for row in batches for link in row["links"]]
    tap.equal(sorted(linked), sorted(sends), "requests' senders that a batch links to, once each")
    tap.check(all(1 <= len(row["links"]) <= topology["width"] and not row["parent"] for row in batches), "sizes of batches")
    tap.equal([row["attributes"]["messaging.batch.message_count"] for row in batches], [len(row["links"]) for row in batches],
              "count of each batch")
    for row in batches:
        tap.check(all(sends[link]["true_start"] < row["true_start"] for link in row["links"]), "a batch before its requests")
    chats = [row for row in spans.rows if row["name"] == "chat"]
    tap.equal(sorted(row["attributes"]["gen_ai.conversation.id"] for row in chats), sorted(trace for trace, _ in sends),
              "requests that were answered")


# ---------------------------------------------------------------- the clocks

def all_hops(spans):
    yield from spans.hops()
    for row in spans.rows:
        for link in row["links"]:
            if link in spans.by_id and spans.by_id[link]["host"] != row["host"]:
                yield spans.by_id[link], row


def true_lines(spans, truth):
    """Each host's offset as a line over true time; drift is all that moves it."""
    ends = {}
    for row in spans.rows:
        at = truth[row["id"]][0]
        point = (at, row["start"] - at)
        first, last = ends.get(row["host"], (point, point))
        ends[row["host"]] = (min(first, point), max(last, point))
    lines = {}
    for host, (first, last) in ends.items():
        slope = (last[1] - first[1]) / (last[0] - first[0]) if last[0] > first[0] else 0.0
        lines[host] = lambda t, first=first, slope=slope: first[1] + slope * (t - first[0])
    return lines


def clocks_hold(tap, run, spans, truth, slower):
    """slower: by how much the least delay of some way may differ from that of its way back."""
    code, out, err = truespan("clocks", "--json", "--reference", "gateway-0", os.path.join(run["path"], "otlp"))
    if not tap.check(code in (0, 1), "clocks", code, err):
        return
    lines = true_lines(spans, truth)
    knots = outside = 0
    for clock in json.loads(out)["clocks"]:
        for knot in clock["knots"]:
            at = int(knot["at"])
            true_at = at - lines[clock["clock"]](at)
            want = lines[clock["clock"]](true_at) - lines["gateway-0"](true_at)
            knots += 1
            FIGURES["errors_us"].append(abs(knot["offset_ns"] - want) / 1e3)
            held = ((knot["lo_ns"] is None or knot["lo_ns"] <= want + 3) and (knot["hi_ns"] is None or want - 3 <= knot["hi_ns"]))
            outside += not tap.check(held, clock["clock"], "at", at, "truth", want, "bounds", knot["lo_ns"], knot["hi_ns"])
            tap.check(abs(knot["offset_ns"] - want) < 1.5 * MS + slower, clock["clock"], "estimate", knot["offset_ns"], "truth", want)
    tap.check(knots > 0 and not outside, outside, "of", knots, "knots are outside of their bounds")
    FIGURES["knots"] += knots
    FIGURES["outside"] += outside


def fix_mends(tap, place, run):
    """No violation is left, of answers neither, nor of requests that hardly waited for their batch: the true clocks explain
    them all."""
    fixed = os.path.join(place.base, "fixed")
    code, out, err = truespan("fix", *sorted(glob.glob(os.path.join(run["path"], "otlp", "*"))), "-o", fixed)
    tap.equal(code, 0, f"fix {out[-300:]} {err[-300:]}")
    _, out, err = truespan("check", "--json", fixed)
    if not tap.check(out, "check of what fix wrote", err):
        return
    found = json.loads(out)
    tap.equal(found["violations"]["total"], 0, f"violations left, {found['violations']}")
    FIGURES["left"] += found["violations"]["total"]
    for edge in found["edges"]:
        if edge["violations"]:
            print(f"# left: {edge['violations']} of {edge['hops']} {edge['from']} -> {edge['to']}, worst {edge['worst_ns']} ns")


def all_clocks_wrong(tap, shape, seed):
    """Every clock has an offset and a drift of its own."""
    dice = random.Random(f"{shape} {seed}")
    place, topology = Place(), draw_topology(shape, dice)
    runs = simulate(tap, place, "run", spec_of(topology, dice, sim={
        "offset": "8ms", "drift_ppm": 8, "delays": dice.choice(["uniform", "exponential", "lognormal"])}), seed)
    for run in runs:
        spans, truth = Spans(run["path"]), read_truth(run["path"])
        tap.equal(set(truth), {row["id"] for row in spans.rows}, "spans with a truth")
        see_shape(tap, spans, truth, topology)
        clocks_hold(tap, run, spans, truth, int(topology.get("wait", "0ms")[:-2]) * MS)
        code, out, _ = truespan("check", "--json", os.path.join(run["path"], "otlp"))
        hard = sum(child["start"] < parent["start"] for parent, child in all_hops(spans))
        tap.equal(json.loads(out)["violations"]["hard"], hard, "violations that check finds")
        FIGURES["before"] += json.loads(out)["violations"]["total"]
        fix_mends(tap, place, run)
    if not tap.problems:
        place.remove()
    else:
        print("#", topology, place.base)


def nobody_else_is_accused(tap, shape, seed):
    """Only the skewed clock may be accused, and nobody where there is no skew; congestion accuses nobody either."""
    dice = random.Random(f"{shape} {seed} one")
    place, topology = Place(), draw_topology(shape, dice)
    stage = dice.choice(["inference", "preprocess", {"tree": "level1", "mesh": "mesh", "hub": "spoke", "batch": "sink"}[shape]])
    spec = spec_of(topology, dice, clock={"stage": stage},
                   sim={"congestion": [{"at": "5s", "for": "4s", "delay": "2ms", "spread": "1ms"}]})
    spec["experiment"]["sweep"] = ["0ms", f"{dice.choice([-1, 1]) * dice.randint(9, 40)}ms"]
    for run in simulate(tap, place, "run", spec, seed):
        code, out, err = truespan("clocks", "--json", os.path.join(run["path"], "otlp"))
        verdicts = {c["clock"]: c["verdict"] for c in json.loads(out)["clocks"]}
        skewed = {clock for clock in verdicts if clock.startswith(stage + "-")}
        wrong = [(clock, verdict) for clock, verdict in verdicts.items() if verdict in ("proven", "suspected")
                 and (run["skew_ns"] == 0 or clock not in skewed)]
        if run["skew_ns"] and 2 * len(skewed) >= len(verdicts):
            wrong = []  # the others are off from most
        tap.equal(wrong, [], f"{topology} {stage} {run['skew_ns']}: accused")
        FIGURES["judged"] += len(verdicts)
        FIGURES["accused"] += len(wrong)
        fix_mends(tap, place, run)
    if not tap.problems:
        place.remove()
    else:
        print("#", topology, stage, place.base)


def refused(tap):
    """Figures that make no topology: one clear line with the place."""
    place = Place()
    for text, want in {"topology:\n  shape: ring\n": "line 2", "topology:\n  shape: tree\n  fan: 2\n": "line 3",
                       "topology: {shape: mesh, width: 3, fan: 3}\n": "none can call",
                       "topology: {shape: tree, depth: 8, width: 64}\n": "more than",
                       "sim:\n  edges:\n    - {from: inferense, delay: 1ms}\n": "line 3",
                       "sim:\n  congestion:\n    - {at: 1s, for: 1s, delay: 1ms, to: nobody}\n": "nobody"}.items():
        code, _, err = truespan("sim", place.write("bad.yaml", text), "-o", os.path.join(place.base, "none"), "--quick")
        tap.check(code == 2 and want in err and len(err.splitlines()) == 1, text, code, err[:300])
    place.remove()


def say_figures():
    errors = sorted(FIGURES["errors_us"]) or [0.0]
    p50, p99 = (errors[int(part * (len(errors) - 1))] for part in (0.5, 0.99))
    print(f"# {FIGURES['knots'] - FIGURES['outside']} of {FIGURES['knots']} knots covered, estimates off by {p50:.1f} us at the "
          f"median, {p99:.1f} at p99, {errors[-1]:.1f} at worst; violations of clocks all wrong {FIGURES['before']}, left in any "
          f"run {FIGURES['left']}; wrongly accused {FIGURES['accused']} of {FIGURES['judged']} clocks")


def main():
    print(f"# seeds {FIRST} and {SEEDS - 1} behind it")
    tap = Tap()
    tap.run("topologies that cannot be", refused)
    for seed in range(FIRST, FIRST + SEEDS):
        for shape in ("tree", "mesh", "batch", "hub"):
            tap.run(f"{shape}: every clock wrong, seed {seed}", all_clocks_wrong, shape, seed)
            tap.run(f"{shape}: one clock wrong or none, seed {seed}", nobody_else_is_accused, shape, seed)
    say_figures()
    tap.done()


main()
