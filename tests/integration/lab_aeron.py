#!/usr/bin/env python3
"""The lab over Aeron with its real media drivers: what it measures, and what happens when a driver dies. Prints TAP.

usage: lab_aeron.py TRUESPAN yes|no      whether the build has Aeron"""

import json
import os
import signal
import sys

sys.dont_write_bytecode = True
from lab_tap import Lab, Place, STAGES, Spans, Tap, read_truth, root_with_namespaces  # noqa: E402
from lab_trouble import LONG, blocks_done, check_end, finish, running, wait_for  # noqa: E402

AERON = ["--transport", "aeron"]


def drivers(place):
    """The run's media drivers: {pid: words of its parent's command line}."""
    found = {}
    for pid, words in place.processes().items():
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                if file.read().strip() == "media-driver":
                    found[pid] = words
        except OSError:
            continue
    return found


def folders(found):
    """The folders in which these media drivers live, a new one each."""
    paths = set()
    for pid in found:
        with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
            paths |= {os.path.dirname(line.split()[-1]) for line in file if line.rstrip().endswith("/cnc.dat")}
    return paths


def are_gone(tap, paths):
    tap.check(wait_for(lambda: not any(map(os.path.exists, paths)), 5), "folders left:", *filter(os.path.exists, paths))


def amid(tap, lab, nodes):
    """A run amid its first block: its place, its process, its drivers and their folders."""
    place, process = running(tap, lab, [*LONG, *AERON, "--nodes", nodes], 7)
    found = drivers(place)
    paths = folders(found)
    tap.equal((len(found), len(paths)), (len(STAGES),) * 2 if nodes == "netns" else (1, 1), "media drivers, folders")
    return place, process, found, paths


def measured(tap, lab, nodes, spec, options):
    """A sweep: skew shows where it must, outputs are whole, and every hop truly took the link's delay."""
    place = Place()
    process = lab.start(place, place.write("spec.yaml", spec), *AERON, "--sweep", "0ms,8ms", "--duration", "2s",
                             "--quick", "--nodes", nodes, "--json", *options)
    tap.check(wait_for(lambda: blocks_done(place) > 0), "no block was done")
    paths = folders(drivers(place))
    out, err = finish(tap, process, 60)
    if not tap.equal(process.returncode, 1, f"exit code ({err})"):
        return
    summary = json.loads(out)
    plain, skewed = summary["runs"]
    tap.equal((plain["transport"], plain["outputs_match"], skewed["outputs_match"]), ("aeron", True, True), "runs")
    tap.equal(plain["negative_spans"], 0, "negative spans without skew")
    tap.check(0.3 < skewed["negative_rate"] < 0.6, "rate at 8 ms:", skewed["negative_rate"])
    folder = os.path.join(place.out, "aeron-8ms")
    spans, truth = Spans(folder), read_truth(folder)
    tap.equal({row["attributes"].get("messaging.system") for row in spans.rows} - {None}, {"aeron"},
              "messaging.system")
    delays = sorted(truth[child["id"]][0] - truth[parent["id"]][0] for parent, child in spans.hops())
    tap.check(len(delays) > 300, "hops:", len(delays))
    tap.check(delays[0] >= 2_900_000, "a hop was faster than the link:", delays[0])
    tap.check(delays[len(delays) // 2] < 8_000_000, "the median hop:", delays[len(delays) // 2])
    tap.check(place.wait_for_nobody(), "processes left:", place.processes())
    are_gone(tap, paths)
    place.remove()


def sweep(tap, lab, nodes):
    if nodes == "netns" and root_with_namespaces():
        return root_with_namespaces()
    measured(tap, lab, nodes, "link: {delay: 3ms, jitter: 100us}\n", [])


def packets_are_lost(tap, lab):
    """The link loses one packet of fifty, and Aeron asks for each again: nothing is missing at the end."""
    if root_with_namespaces():
        return root_with_namespaces()
    measured(tap, lab, "netns", "link: {delay: 3ms, jitter: 100us, loss: 0.02}\naeron: {term_bytes: 65536}\n", [])


def a_driver_is_killed(tap, lab, nodes):
    if nodes == "netns" and root_with_namespaces():
        return root_with_namespaces()
    place, process, found, paths = amid(tap, lab, nodes)
    driver = next((pid for pid, words in found.items() if nodes != "netns" or "inference" in words), None)
    if not tap.check(driver, "no driver:", found):
        return
    os.kill(driver, signal.SIGKILL)
    check_end(tap, place, process, "media driver", "killed", *(["inference-0"] if nodes == "netns" else []))
    are_gone(tap, paths)


def a_driver_hangs(tap, lab):
    """One that is stopped, not dead: the nodes give it up by its silence."""
    place, process, found, paths = amid(tap, lab, "process")
    driver, = found
    os.kill(driver, signal.SIGSTOP)
    check_end(tap, place, process, "media driver", "is gone")
    are_gone(tap, paths)


def a_driver_is_killed_and_it_goes_on(tap, lab):
    """on_failure: gap. With everything started anew, the run ends as if nothing had been."""
    place = Place()
    spec = place.write("spec.yaml", "experiment: {on_failure: gap, rounds: 3}\n")
    process = lab.start(place, spec, *AERON, "--sweep", "0ms", "--duration", "3s", "--quick", "--hop-delay", "1ms",
                        "--nodes", "process", "--json")
    tap.check(wait_for(lambda: blocks_done(place) == 1 and drivers(place)), "no block was done")
    found = drivers(place)
    paths = folders(found)
    os.kill(next(iter(found)), signal.SIGKILL)
    out, err = finish(tap, process, 60)
    if tap.equal(process.returncode, 0, f"exit code ({err})"):
        summary = json.loads(out)
        tap.equal(len(summary["gaps"]), 1, "gaps")
        tap.check("media driver" in summary["gaps"][0]["why"], "why:", summary["gaps"])
        tap.check(summary["runs"][0]["outputs_match"], "outputs differ")
    are_gone(tap, paths)
    place.remove()


def somebody_else_is_killed(tap, lab, nodes, whom):
    """The conductor, or a node: the media drivers go with them, and with the drivers their folders."""
    if nodes == "netns" and root_with_namespaces():
        return root_with_namespaces()
    place, process, found, paths = amid(tap, lab, nodes)
    if whom == "conductor":
        process.kill()
        process.communicate()
        tap.check(place.wait_for_nobody(), "processes left:", place.processes())
        place.remove()
    else:
        node = next(pid for pid, words in place.processes().items() if whom in words and pid not in found)
        os.kill(node, signal.SIGKILL)
        check_end(tap, place, process, f"{whom}-0", "killed")
    are_gone(tap, paths)


def main():
    tap, lab = Tap(), Lab(sys.argv[1])
    if sys.argv[2] != "yes":
        print("1..0 # SKIP the build has no Aeron (tools/parts/aeron.sh)")
        return
    for nodes in ("process", "netns"):
        tap.run(f"a sweep, {nodes}", sweep, lab, nodes)
        tap.run(f"a media driver is killed, {nodes}", a_driver_is_killed, lab, nodes)
        tap.run(f"the conductor is killed, {nodes}", somebody_else_is_killed, lab, nodes, "conductor")
        tap.run(f"a node is killed, {nodes}", somebody_else_is_killed, lab, nodes, "inference")
    tap.run("packets are lost", packets_are_lost, lab)
    tap.run("a media driver hangs", a_driver_hangs, lab)
    tap.run("a media driver is killed, and the run goes on", a_driver_is_killed_and_it_goes_on, lab)
    tap.done()


if __name__ == "__main__":
    main()
