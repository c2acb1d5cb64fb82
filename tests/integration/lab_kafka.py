#!/usr/bin/env python3
"""The lab over a real Apache Kafka broker, its own and one that runs already; and what happens when the broker, Java or
the address is not what it should be. Prints TAP; skipped, and said so, where there is no broker to start.

usage: lab_kafka.py TRUESPAN"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from lab_tap import Lab, Place, Spans, Tap, root_with_namespaces  # noqa: E402

SPEC = "kafka: {warm_up: 1s}\nlink: {delay: 2ms, jitter: 100us}\nexperiment: {rounds: 1}\n"
QUICK = ["--transport", "kafka", "--quick", "--rate", "15"]


def brokers(place):
    """Java processes on a folder below this place."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "kafka.Kafka" in words and any(place.base in word for word in words):
            found.append(int(pid))
    return found


def all_gone(place, seconds=10):
    end = time.monotonic() + seconds
    while brokers(place) or place.processes():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def check_nothing_left(tap, place):
    tap.check(all_gone(place), "processes left:", place.processes(), brokers(place))
    tap.check(not os.path.exists(os.path.join(place.out, "broker")), "the broker's folder is left")
    tap.equal(place.strays(), [], "files left")


def refused(tap, lab, place, options, *words, seconds=20, prefix=()):
    begun = time.monotonic()
    code, out, err = lab.run(place, *options, prefix=prefix, timeout=60)
    tap.equal((code, out), (2, ""), f"exit code and output of {options} ({err})")
    tap.check(time.monotonic() - begun < seconds, options, "took", time.monotonic() - begun, "s")
    tap.equal(len(err.splitlines()), 1, f"lines: {err}")
    for word in words:
        tap.check(word in err, f"'{word}' is not in:", err)
    tap.check(not os.path.exists(os.path.join(place.out, "summary.json")), "a summary is left")
    check_nothing_left(tap, place)
    shutil.rmtree(place.out, ignore_errors=True)


def no_broker_here(lab):
    """Why the lab cannot start one; None when it can."""
    place = Place()
    code, _, err = lab.run(place, *QUICK, "--nodes", "process", "--sweep", "0ms", "--requests", "1",
                           place.write("spec.yaml", SPEC))
    place.remove()
    if code == 2 and ("no Apache Kafka" in err or "no Java" in err or "no transport 'kafka'" in err):
        return err.strip().splitlines()[-1]
    return None


def a_run(tap, lab, nodes):
    if nodes == "netns" and root_with_namespaces():
        return root_with_namespaces()
    place = Place()
    # Two workers at a stage: a group of two.
    spec = SPEC + ("stages:\n  - {name: gateway, to: [preprocess]}\n  - {name: preprocess, to: [inference]}\n"
                   "  - {name: inference, workers: 2, to: [postprocess]}\n"
                   "  - {name: postprocess, to: [sink]}\n  - {name: sink, to: [gateway]}\n")
    code, out, err = lab.run(place, *QUICK, "--nodes", nodes, "--sweep", "0ms,60ms", "--duration", "2s", "--json",
                             place.write("spec.yaml", spec), timeout=100)
    tap.equal(code, 1, f"exit code ({err})")
    if not tap.check(out.startswith("{"), "no summary:", out, err):
        return None
    runs = json.loads(out)["runs"]
    tap.equal([run["transport"] for run in runs], ["kafka", "kafka"], "transports")
    # 60 ms are more than any hop takes when all is well; what is worse the machine's load may do.
    tap.equal(runs[0]["negative_spans"], 0, "negative spans without skew")
    tap.check(runs[1]["negative_spans"] > 0, "no negative span at 60 ms")
    for run in runs:
        tap.equal(run["outputs_match"], True, "outputs match")
    spans = Spans(os.path.join(place.out, "kafka-0ms"))
    hops = list(spans.hops())
    tap.check({row["host"] for row in spans.rows} >= {"inference-0", "inference-1"}, "a worker did nothing")
    tap.check(all(row["attributes"]["messaging.system"] == "kafka" for _, row in hops), "messaging.system")
    # The same hop delay in both modes: nothing is faster than the link's shortest way.
    fastest = min(row["start"] - parent["start"] for parent, row in hops)
    tap.check(fastest >= 1_900_000, f"a hop of {fastest} ns over a link of 2 ms")
    check_nothing_left(tap, place)
    place.remove()
    return None


def running(tap, lab, options):
    """A run amid its first measured block."""
    place = Place()
    process = lab.start(place, *QUICK, *options, place.write("spec.yaml", SPEC))
    end = time.monotonic() + 60
    while not (os.path.isdir(place.out) and any(os.path.exists(os.path.join(place.out, name, "requests.jsonl"))
                                                 for name in os.listdir(place.out))):
        if time.monotonic() > end or process.poll() is not None:
            tap.check(False, "the run did not get going", options, os.listdir(place.out) if
                      os.path.isdir(place.out) else "", place.processes())
            break
        time.sleep(0.02)
    return place, process


def finish(tap, place, process, *words, seconds=20):
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        tap.check(False, f"did not end within {seconds} s")
        process.kill()
        out, err = process.communicate()
    tap.equal((process.returncode, out), (2, ""), "exit code, output")
    tap.equal(len(err.splitlines()), 1, f"lines: {err}")
    for word in words:
        tap.check(word in err, f"'{word}' is not in:", err)
    tap.check(not os.path.exists(os.path.join(place.out, "summary.json")), "a summary is left")
    check_nothing_left(tap, place)
    place.remove()


def the_broker_is_killed(tap, lab):
    if root_with_namespaces():
        return root_with_namespaces()
    place, process = running(tap, lab, ["--nodes", "netns", "--sweep", "0ms", "--duration", "60s"])
    for pid in brokers(place):
        os.kill(pid, signal.SIGKILL)
    finish(tap, place, process, "broker", "killed")
    return None


def the_conductor_is_killed(tap, lab):
    place, process = running(tap, lab, ["--nodes", "process", "--sweep", "0ms", "--duration", "60s"])
    process.kill()
    process.communicate()
    tap.check(all_gone(place), "processes left:", place.processes(), brokers(place))
    place.remove()


def somebodys_broker(tap, lab):
    """One run's broker serves as somebody's for others: they leave no topic, and end soon when it dies."""
    host, serving = running(tap, lab, ["--nodes", "process", "--sweep", "0ms", "--duration", "200s"])
    with open(os.path.join(host.out, "broker", "server.properties"), encoding="utf-8") as file:
        address, = (line.split("//")[1].strip() for line in file if line.startswith("advertised.listeners"))
    data = os.path.join(host.out, "broker", "data")

    def topics():
        return {name for name in os.listdir(data) if name.startswith("truespan-") and not name.endswith("-delete")}

    before = topics()
    tap.check(before, "the first run has no topics")
    place = Place()
    code, out, err = lab.run(place, *QUICK, "--kafka", address, "--sweep", "0ms", "--requests", "20",
                             place.write("spec.yaml", SPEC), timeout=60)
    tap.equal(code, 0, f"exit code ({err})")
    tap.check("broker" in out or "processes on loopback" in out, "does not say how nodes were separated:", out)
    end = time.monotonic() + 10
    while topics() != before and time.monotonic() < end:
        time.sleep(0.05)
    tap.equal(topics(), before, "topics after the second run")
    check_nothing_left(tap, place)
    place.remove()
    # A node that is killed ends the run, and the topics go all the same.
    place, process = running(tap, lab, ["--kafka", address, "--sweep", "0ms", "--duration", "60s"])
    tap.check(len(topics()) > len(before), "the second run has no topics")
    node, = (pid for pid, words in place.processes().items() if "inference" in words)
    os.kill(node, signal.SIGKILL)
    finish(tap, place, process, "inference-0", "killed")
    end = time.monotonic() + 10
    while topics() != before and time.monotonic() < end:
        time.sleep(0.05)
    tap.equal(topics(), before, "topics after a failed run")
    # The broker dies under a run that did not start it.
    place, process = running(tap, lab, ["--kafka", address, "--sweep", "0ms", "--duration", "60s"])
    for pid in brokers(host):
        os.kill(pid, signal.SIGKILL)
    finish(tap, place, process, "Kafka", seconds=30)
    finish(tap, host, serving, "broker", "killed")


def wrong_words(tap, lab):
    place = Place()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        refused(tap, lab, place, [*QUICK, "--kafka", f"127.0.0.1:{port}"], f"127.0.0.1:{port}", "refused")
        taken.listen()
        refused(tap, lab, place, [*QUICK, "--nodes", "process", place.write("port.yaml", f"port: {port}\n")],
                f"port {port}", "taken")
    refused(tap, lab, place, [*QUICK, "--kafka", "nowhere"], "--kafka", "HOST:PORT")
    refused(tap, lab, place, [*QUICK, "--kafka", "127.0.0.1:9", "--nodes", "netns"], "netns", "127.0.0.1:9")
    refused(tap, lab, place, [*QUICK, "--nodes", "process",
                              place.write("bad.yaml", "kafka: {settings: [no.such.thing=1]}\n")], "no.such.thing")
    # A Java that cannot: what it said is in the message.
    fake = os.path.join(place.base, "bin")
    os.mkdir(fake)
    with open(os.path.join(fake, "java"), "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\necho 'Error: no heap today' >&2\nexit 3\n")
    os.chmod(os.path.join(fake, "java"), 0o755)
    refused(tap, lab, place, [*QUICK, "--nodes", "process"], "exit code 3", "no heap today",
            prefix=["env", "-u", "JAVA_HOME", f"PATH={fake}:/usr/bin:/bin"])
    os.remove(os.path.join(fake, "java"))
    refused(tap, lab, place, [*QUICK, "--nodes", "process"], "Java", "--kafka",
            prefix=["env", "-u", "JAVA_HOME", f"PATH={fake}"])
    refused(tap, lab, place, [*QUICK, "--nodes", "process"], "no Apache Kafka", "tools/parts/kafka.sh",
            prefix=["env", f"TRUESPAN_PARTS={place.base}"])
    place.remove()


def main():
    tap, lab = Tap(), Lab(sys.argv[1])
    missing = no_broker_here(lab)
    if missing:
        print(f"1..0 # SKIP {missing}")
        return
    tap.run("a run on loopback", a_run, lab, "process")
    tap.run("a run in network namespaces", a_run, lab, "netns")
    tap.run("the broker is killed", the_broker_is_killed, lab)
    tap.run("the conductor is killed", the_conductor_is_killed, lab)
    tap.run("somebody's broker", somebodys_broker, lab)
    tap.run("wrong addresses, ports, settings, Java", wrong_words, lab)
    tap.done()


main()
