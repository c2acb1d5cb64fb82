#!/usr/bin/env python3
"""Topologies on real parts: the same requests through real processes and through the simulator make the same calls.
Prints TAP.

usage: lab_topology.py TRUESPAN yes|no     whether this build has Aeron"""

import collections
import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True
from lab_tap import Lab, Place, Spans, Tap  # noqa: E402

CLIENT, SERVER = 3, 2
TOPOLOGIES = {
    "tree": {"shape": "tree", "depth": 2, "width": 2},
    "mesh": {"shape": "mesh", "depth": 2, "width": 5, "fan": 2},
    "hub": {"shape": "hub", "width": 3, "fan": 2},
    "batch": {"shape": "batch", "width": 4, "wait": "30ms"},
}
REQUESTS = 12


def calls_of(folder):
    """How many calls of each kind the run made, and how many of its calls led to another number of answers than one."""
    spans = Spans(folder)
    answers = collections.Counter((row["trace"], row["parent"]) for row in spans.rows if row["kind"] == SERVER)
    made = collections.Counter()
    odd = 0
    for row in spans.rows:
        made[row["resource"]["service.name"], row["name"], row["kind"]] += 1
        odd += row["kind"] == CLIENT and answers[row["trace"], row["id"]] != 1
    return made, odd


def run_of(tap, place, text, name):
    run = json.loads(text)["runs"][0]
    tap.equal(run["outputs_match"], True, f"{name}: outputs are the reference's")
    tap.equal(run["requests"], REQUESTS, f"{name}: requests")
    return calls_of(os.path.join(place.out, run["folder"]))


def as_simulated(tap, lab, shape, transport):
    place = Place()
    try:
        spec = place.write("spec.json", json.dumps({
            "topology": TOPOLOGIES[shape], "engine": {"max_tokens": 6}, "link": {"delay": "1ms", "jitter": "0ms"},
            "load": {"rate": 30}}))
        options = [spec, "--quick", "--sweep", "0ms", "--requests", str(REQUESTS), "--seed", "11", "--json"]
        code, text, err = lab.run(place, *options, "--transport", transport, "--nodes", "process", timeout=90)
        if code == 2 and any(lack in err for lack in ("no Apache Kafka", "no Java", "no transport")):
            return err.strip().splitlines()[-1]
        if not tap.check(code in (0, 1), f"lab: exit code {code}: {err}"):
            return None
        real, odd = run_of(tap, place, text, "lab")
        tap.equal(odd, 0, "calls that did not lead to one answer")
        subprocess.run(["rm", "-rf", place.out], check=True)
        done = subprocess.run([lab.truespan, "sim", *options, "-o", place.out], capture_output=True, text=True,
                              timeout=90, cwd=place.work, env=place.environment(), check=False)
        if tap.check(done.returncode in (0, 1), f"sim: exit code {done.returncode}: {done.stderr}"):
            simulated, _ = run_of(tap, place, done.stdout, "sim")
            tap.equal(sorted(real.items()), sorted(simulated.items()), "spans by service, name and kind")
        tap.check(place.wait_for_nobody(), "processes are left")
    finally:
        place.remove()
    return None


def main():
    lab = Lab(sys.argv[1])
    tap = Tap()
    tap.run("a tree of calls over ZeroMQ", as_simulated, lab, "tree", "zmq")
    tap.run("batches over ZeroMQ", as_simulated, lab, "batch", "zmq")
    if sys.argv[2] == "yes":
        tap.run("a mesh of calls over Aeron", as_simulated, lab, "mesh", "aeron")
    tap.run("a hub over Apache Kafka", as_simulated, lab, "hub", "kafka")
    tap.done()


main()
