#!/usr/bin/env python3
"""The lab over a real Apache Kafka broker, its own and one that runs already; and what happens when the broker, Java or
the address is not what it should be. Prints TAP; skipped, and said so, where there is no broker to start.

usage: lab_kafka.py TRUESPAN"""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from lab_tap import Lab, Place, Spans, Tap, own_mounts, root_with_namespaces  # noqa: E402
from lab_trouble import finish as finish_trouble, wait_for  # noqa: E402

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
    left_over_topics(tap, lab, address, topics)
    # The broker dies under a run that did not start it.
    place, process = running(tap, lab, ["--kafka", address, "--sweep", "0ms", "--duration", "60s"])
    for pid in brokers(host):
        os.kill(pid, signal.SIGKILL)
    finish(tap, place, process, "Kafka", seconds=30)
    finish(tap, host, serving, "broker", "killed")


class Client:
    """librdkafka by itself: makes topics on a broker, or is a member of a group."""

    def __init__(self, address, group=None):
        self.library = ctypes.CDLL("librdkafka.so.1")
        for name in ("conf_new", "new", "queue_new", "queue_poll", "NewTopic_new", "topic_partition_list_new",
                     "topic_partition_list_add", "consumer_poll", "memberid"):
            getattr(self.library, "rd_kafka_" + name).restype = ctypes.c_void_p
        conf = ctypes.c_void_p(self.library.rd_kafka_conf_new())
        settings = {"bootstrap.servers": address, "log_level": "0"}
        if group:
            settings.update({"group.id": group, "heartbeat.interval.ms": "200"})
        for name, value in settings.items():
            self.library.rd_kafka_conf_set(conf, name.encode(), value.encode(), None, 0)
        self.client = ctypes.c_void_p(self.library.rd_kafka_new(1 if group else 0, conf, None, 0))

    def make(self, topics):
        rows = [self.library.rd_kafka_NewTopic_new(name.encode(), 1, 1, None, 0) for name in topics]
        queue = ctypes.c_void_p(self.library.rd_kafka_queue_new(self.client))
        self.library.rd_kafka_CreateTopics(self.client, (ctypes.c_void_p * len(rows))(*rows), len(rows), None, queue)
        self.library.rd_kafka_queue_poll(queue, 10000)

    def join(self, topic):
        """A member of its group from now on, as long as this object polls at times."""
        wanted = ctypes.c_void_p(self.library.rd_kafka_topic_partition_list_new(1))
        self.library.rd_kafka_topic_partition_list_add(wanted, topic.encode(), -1)
        self.library.rd_kafka_subscribe(self.client, wanted)
        end = time.monotonic() + 20
        assigned = ctypes.c_void_p()
        while time.monotonic() < end:
            self.library.rd_kafka_consumer_poll(self.client, 50)
            self.library.rd_kafka_assignment(self.client, ctypes.byref(assigned))
            if ctypes.cast(assigned, ctypes.POINTER(ctypes.c_int))[0]:
                return True
        return False


def left_over_topics(tap, lab, address, topics):
    """Kill the lab itself: its topics stay on somebody's broker, and a run much later removes them; those of runs that
    are young or live, and of other people, never."""
    before = topics()
    place, process = running(tap, lab, ["--kafka", address, "--sweep", "0ms", "--duration", "60s"])
    process.kill()
    process.communicate()
    tap.check(all_gone(place), "processes left:", place.processes())
    place.remove()
    young = topics() - before
    tap.check(len(young) >= 5, "the killed run left no topics:", young)
    old = f"truespan-{int(time.time()) - 3600:08x}"
    dead = {f"{old}0000000{k}.{edge}" for k in (1, 2) for edge in ("gateway.preprocess", "inference.postprocess")}
    stay = {"truespan-notes", f"{old}00000003", f"{old}0000000g.a.b", f"prefix-{old}00000004.a.b",
              f"{old}00000005.gateway.preprocess"}
    Client(address).make(sorted(dead | stay))
    alive = Client(address, f"{old}00000005.preprocess")
    tap.check(alive.join(f"{old}00000005.gateway.preprocess"), "the live run's member has no place")
    made, end = {name + "-0" for name in dead}, time.monotonic() + 10
    while not made <= topics() and time.monotonic() < end:  # the answer may come before the last one's folder
        time.sleep(0.05)
    tap.check(made <= topics(), "topics that were made:", topics())
    place = Place()
    code, _, err = lab.run(place, *QUICK, "--kafka", address, "--sweep", "0ms", "--requests", "10",
                           place.write("spec.yaml", SPEC), timeout=60)
    tap.equal(code, 0, f"exit code ({err})")
    with open(os.path.join(place.out, "nodes.log"), encoding="utf-8") as log:
        text = log.read()
    tap.check("4 topics of 2 runs that had been killed" in text, "nodes.log:", text)
    place.remove()
    want = before | young | {name + "-0" for name in stay if name.startswith("truespan-")}
    end = time.monotonic() + 10
    while topics() != want and time.monotonic() < end:
        time.sleep(0.05)
    tap.equal(topics(), want, "topics after a run much later")
    alive.library.rd_kafka_consumer_close(alive.client)


def a_broker_is_killed_and_it_goes_on(tap, lab):
    """on_failure: gap. A new broker, new topics, the block again, and the gap is told."""
    place = Place()
    spec = place.write("spec.yaml", SPEC.replace("rounds: 1", "rounds: 3, on_failure: gap"))
    process = lab.start(place, *QUICK, "--nodes", "process", "--sweep", "0ms", "--duration", "6s", "--json", spec)
    log = os.path.join(place.out, "kafka-0ms", "run.log")
    tap.check(wait_for(lambda: os.path.exists(log) or process.poll() is not None, 60), "no block was done")
    first = brokers(place)
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    out, err = finish_trouble(tap, process, 90)
    if tap.equal(process.returncode, 0, f"exit code ({err})"):
        summary = json.loads(out)
        tap.equal(len(summary["gaps"]), 1, "gaps")
        tap.check("broker" in summary["gaps"][0]["why"] and "killed" in summary["gaps"][0]["why"], "why:",
                  summary["gaps"])
        run, = summary["runs"]
        tap.check(run["outputs_match"], "outputs differ")
        spans = Spans(os.path.join(place.out, "kafka-0ms"))
        orphans = [row for row in spans.rows if row["parent"] and (row["trace"], row["parent"]) not in spans.by_id]
        tap.equal(orphans, [], "spans of half a block")
    tap.equal(len(first), 1, "brokers")
    check_nothing_left(tap, place)
    place.remove()


def no_space(tap, lab):
    """The broker keeps its log in the run's folder: a disk that is too small for it, at once or amid the run."""
    if own_mounts():
        return own_mounts()
    for size in ("100k", "3m"):
        place = Place()
        mount = os.path.join(place.base, "tiny")
        os.mkdir(mount)
        place.out = os.path.join(mount, "run")
        refused(tap, lab, place, [*QUICK, "--nodes", "process", "--sweep", "0ms", "--duration", "60s", "--rate", "100",
                                  place.write("spec.yaml", SPEC)], "No space left", seconds=60, prefix=[
                    "unshare", "-m", "sh", "-c", f'mount -t tmpfs -o size={size} none {mount} && exec "$@"', "sh"])
        place.remove()
    return None


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
    tap.run("the broker is killed, and the run goes on", a_broker_is_killed_and_it_goes_on, lab)
    tap.run("no space for the broker", no_space, lab)
    tap.run("the conductor is killed", the_conductor_is_killed, lab)
    tap.run("somebody's broker", somebodys_broker, lab)
    tap.run("wrong addresses, ports, settings, Java", wrong_words, lab)
    tap.done()


main()
