#!/usr/bin/env python3
"""The lab over Aeron with its real media drivers: what it measures, and what happens when a driver dies. Prints TAP.

usage: lab_aeron.py TRUESPAN yes|no      whether the build has Aeron"""

import json
import os
import signal
import sys

sys.dont_write_bytecode = True
from lab_tap import Lab, Place, STAGES, Spans, Tap, own_mounts, read_truth, root_with_namespaces  # noqa: E402
from lab_trouble import LONG, blocks_done, check_end, finish, refused, running, wait_for  # noqa: E402

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


def little_shared_memory(tap, lab):
    """Where /dev/shm is as small as in a container, nodes in namespaces get one of their own; processes, which share one
    media driver, are refused, in words that say what to do."""
    if root_with_namespaces() or own_mounts():
        return root_with_namespaces() or own_mounts()
    prefix = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=20m none /dev/shm && exec "$@"', "sh"]
    place = Place()
    code, out, err = lab.run(place, *AERON, "--nodes", "netns", "--sweep", "0ms", "--duration", "1s", "--quick", "--json",
                             prefix=prefix)
    if tap.equal(code, 0, f"exit code ({err})"):
        run, = json.loads(out)["runs"]
        tap.check(run["outputs_match"] and run["requests"] > 5, "requests:", run["requests"])
    place.remove()
    place = Place()
    refused(tap, lab, place, [*AERON, "--nodes", "process", "--quick"], "/dev/shm has", "--shm-size", prefix=prefix)
    # Left out of all transports, and told so, with the others' figures.
    code, out, err = lab.run(place, "--transport", "all", "--nodes", "process", "--sweep", "0ms", "--duration", "200ms",
                             "--quick", "--json", prefix=["env", "TRUESPAN_PARTS=/nonexistent", *prefix])
    if tap.equal(code, 0, f"exit code ({err})"):
        left = {row["transport"]: row["why"] for row in json.loads(out)["left_out"]}
        tap.check("/dev/shm" in left.get("aeron", ""), "left out:", left)
        tap.check("no Apache Kafka" in left.get("kafka", "") or "no transport" in left.get("kafka", ""), "left out:", left)
    place.remove()
    return None


def shared_memory_fills_up(tap, lab):
    """Somebody else fills /dev/shm amid the run: Aeron's streams took theirs when they were opened, and go on."""
    if root_with_namespaces() or own_mounts():
        return root_with_namespaces() or own_mounts()
    place = Place()
    spec = place.write("spec.yaml", "aeron: {term_bytes: 4194304}\n")
    script = ('mount -t tmpfs -o size=300m none /dev/shm; "$@" & run=$!; '
              'until ls "$LAB_OUT"/*/requests.jsonl >/dev/null 2>&1; do sleep 0.1; done; '
              'head -c 400m /dev/zero > /dev/shm/hog 2>/dev/null && exit 3; wait $run')
    code, out, err = lab.run(place, spec, *AERON, "--nodes", "process", "--sweep", "0ms", "--duration", "6s", "--quick",
                             "--rate", "200", prefix=["env", f"LAB_OUT={place.out}", "unshare", "-m", "sh", "-c", script,
                                                      "sh"], timeout=120)
    tap.equal((code, err), (0, ""), f"exit code and errors ({out})")
    tap.check("identical" in out, "outputs:", out)
    tap.check(place.wait_for_nobody(), "processes left:", place.processes())
    place.remove()
    return None


def what_was_left_is_removed(tap, lab):
    """All of a run's processes killed at once, the media driver too: the next run removes its folder, and no other's."""
    place, process, found, paths = amid(tap, lab, "process")
    living, other, _, theirs = amid(tap, lab, "process")
    for pid in {process.pid, *place.processes(), *found}:
        os.kill(pid, signal.SIGSTOP)  # so that none can see another go
    for pid in {process.pid, *place.processes(), *found}:
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    tap.check(place.wait_for_nobody(), "processes left:", place.processes())
    tap.check(all(map(os.path.exists, paths)), "nothing was left, which this is about")
    for path in paths:  # a young folder may be about to be locked
        os.utime(os.path.join(os.path.dirname(path), "owner"), (0, 0))
    for path in theirs:
        os.utime(os.path.join(os.path.dirname(path), "owner"), (0, 0))
    place.remove()
    place = Place()
    code, _, err = lab.run(place, *AERON, "--nodes", "process", "--sweep", "0ms", "--duration", "200ms", "--quick")
    tap.equal(code, 0, f"exit code ({err})")
    tap.check(not any(os.path.exists(os.path.dirname(path)) for path in paths), "folders left:", paths)
    tap.check(all(map(os.path.exists, theirs)), "a living run's folder is gone:", theirs)
    other.send_signal(signal.SIGINT)
    finish(tap, other)
    are_gone(tap, theirs)
    living.remove()
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
    tap.run("little shared memory", little_shared_memory, lab)
    tap.run("shared memory fills up", shared_memory_fills_up, lab)
    tap.run("what was left is removed", what_was_left_is_removed, lab)
    tap.run("packets are lost", packets_are_lost, lab)
    tap.run("a media driver hangs", a_driver_hangs, lab)
    tap.run("a media driver is killed, and the run goes on", a_driver_is_killed_and_it_goes_on, lab)
    tap.done()


if __name__ == "__main__":
    main()
