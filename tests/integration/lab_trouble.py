#!/usr/bin/env python3
"""What the lab does when things go wrong: one clear line, exit 2, nothing left running, no half table. Prints TAP.

usage: lab_trouble.py TRUESPAN STEPPED_CLOCK (stepped_clock.c, to be preloaded)"""

import contextlib
import ctypes
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from lab_tap import Lab, Place, Spans, Tap, own_mounts, read_truth, root_with_namespaces  # noqa: E402

QUICK = ["--quick", "--nodes", "process", "--hop-delay", "1ms", "--jitter", "0ms"]
LONG = ["--sweep", "0ms,5ms", "--duration", "40s", "--quick", "--hop-delay", "1ms"]


def refused(tap, lab, place, options, *words, prefix=(), made_folder=False):
    """The run says why in one line that holds the words, prints nothing else and leaves nothing."""
    code, out, err = lab.run(place, *options, prefix=prefix, timeout=30)
    what = " ".join(options)
    tap.equal(code, 2, f"exit code of {what}")
    tap.equal(out, "", f"standard output of {what}")
    lines = err.splitlines()
    if not tap.equal(len(lines), 1, f"lines of {what}: {err}"):
        return
    tap.check(lines[0].startswith("truespan"), "begins with the program's name:", lines[0])
    for word in words:
        tap.check(word in lines[0], f"'{word}' is not in:", lines[0])
    tap.check(place.wait_for_nobody(), "processes left by", what, place.processes())
    tap.check(made_folder or not os.path.exists(place.out), "a folder is left by", what)
    for name in ("summary.json", "report.html"):
        tap.check(not os.path.exists(os.path.join(place.out, name)), f"{name} is left by", what)
    tap.equal(place.strays(), [], f"files left by {what}")


# ------------------------------------------------------------------ bad input

SPECS = [
    ("an unknown key", "name: x\nlink: {speed: 3}\n", "line 2", "speed"),
    ("an impossible value", "link:\n  delay: 90s\n", "line 2", "link.delay"),
    ("no unit", "link:\n  delay: 4\n", "line 2", "link.delay"),
    ("a cycle", "stages:\n  - {name: gateway, to: [preprocess]}\n  - {name: preprocess, to: [inference]}\n"
                "  - {name: inference, to: [r, postprocess]}\n  - {name: r, role: relay, to: [q]}\n"
                "  - {name: q, role: relay, to: [r]}\n  - {name: postprocess, to: [sink]}\n"
                "  - {name: sink, to: [gateway]}\n", "line 5", "cycle"),
    ("no YAML", "a: b: c: [", "line 1", "spec.yaml"),
    ("nothing", "", "empty", "spec.yaml"),
    ("bytes", b"\x00\xff\xfe\x01\x02", "spec.yaml", "line"),
]


def bad_specs(tap, lab):
    place = Place()
    for name, text, *words in SPECS:
        refused(tap, lab, place, [place.write("spec.yaml", text)], *words)
    refused(tap, lab, place, [os.path.join(place.base, "absent.yaml")], "absent.yaml")
    refused(tap, lab, place, [place.base], place.base)
    place.remove()


def bad_options(tap, lab):
    place = Place()
    for options, *words in [
            (["--sweep", "5"], "--sweep", "5"),
            (["--sweep", "1ms,1ms"], "--sweep", "twice"),
            (["--sweep", ""], "--sweep"),
            (["--duration", "3"], "duration"),
            (["--rate", "0"], "--rate"),
            (["--rate", "nan"], "rate"),
            (["--stage", "nobody"], "nobody"),
            (["--transport", "pigeon"], "pigeon"),
            (["--nodes", "docker"], "docker"),
            (["--hop-delay", "1ms", "--jitter", "2ms"], "jitter"),
            (["--hop-delay", "-1ms"], "hop-delay"),
            (["--step", "3ms"], "step"),
            (["--engine", "abacus"], "abacus"),
            (["--frobnicate"], "frobnicate"),
            (["a.yaml", "b.yaml"], "SPEC.yaml")]:
        code, out, err = lab.run(place, *options, timeout=30)
        tap.equal((code, out), (2, ""), f"{options}: exit code, output")
        for word in words:
            tap.check(word in err, f"{options}: '{word}' is not in", err)
        tap.check(not os.path.exists(place.out), f"{options}: a folder is left")
        tap.equal(place.processes(), {}, f"{options}: processes")
    place.remove()


def bad_prompts_and_models(tap, lab):
    place = Place()
    for prompts, *words in [(os.path.join(place.base, "absent.txt"), "absent.txt"),
                            (place.write("empty.txt", ""), "empty.txt", "no prompts"),
                            (place.write("remarks.txt", "# only this\n\n"), "remarks.txt", "no prompts"),
                            (place.write("latin.txt", b"good\ncaf\xe9\n"), "latin.txt", "line 2", "UTF-8")]:
        refused(tap, lab, place, [*QUICK, "--prompts", prompts], *words)
    damaged = place.write("model.gguf", b"GGUF" + b"\x03\0\0\0" + os.urandom(4000))
    cut = place.write("cut.bin", os.urandom(100))
    for engine in ("tiny", "llama"):
        for model in (damaged, cut, os.path.join(place.base, "absent.gguf")):
            code, out, err = lab.run(place, *QUICK, "--engine", engine, "--model", model, timeout=30)
            tap.equal((code, out), (2, ""), f"{engine} {model}: exit code, output ({err})")
            # A library of the engine may talk before; the last line is ours.
            tap.check(err.splitlines() and err.splitlines()[-1].startswith("truespan lab: "), "last line:", err)
            tap.check(not os.path.exists(place.out), f"{engine} {model}: a folder is left")
    refused(tap, lab, place, [*QUICK, "--engine", "http://127.0.0.1:1/v1"], "127.0.0.1:1")
    place.remove()


def a_folder_that_cannot_be(tap, lab):
    place = Place()
    os.mkdir(place.out)
    with open(os.path.join(place.out, "mine"), "w", encoding="utf-8") as file:
        file.write("precious")
    refused(tap, lab, place, QUICK, "not empty", made_folder=True)
    tap.equal(os.listdir(place.out), ["mine"], "the folder's content")
    os.remove(os.path.join(place.out, "mine"))
    os.rmdir(place.out)
    place.write("out", "a file")
    refused(tap, lab, place, QUICK, "is a file", made_folder=True)
    os.remove(place.out)
    place.out = os.path.join(place.base, "no", "such", "place")
    refused(tap, lab, place, QUICK, "cannot make the folder")
    place.remove()


def a_taken_port(tap, lab):
    place = Place()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        if port + 4 > 65535:
            port -= 4
        spec = place.write("spec.yaml", f"port: {port}\n")
        refused(tap, lab, place, [spec, *QUICK], "port", str(taken.getsockname()[1]), "taken", made_folder=True)
    place.remove()


def no_space(tap, lab):
    if own_mounts():
        return own_mounts()
    place = Place()
    mount = os.path.join(place.base, "tiny")
    os.mkdir(mount)
    place.out = os.path.join(mount, "run")
    # In a mount namespace of its own: it vanishes with the run. Small, then smaller: it fills amid a block, or at once.
    for size in ("200k", "8k"):
        prefix = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o size={size} none {mount} && exec "$@"', "sh"]
        refused(tap, lab, place, [*QUICK, "--sweep", "0ms", "--duration", "4s", "--rate", "100"], "No space left",
                prefix=prefix)
    place.remove()


# ------------------------------------------------------------------ signals

def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def blocks_done(place):
    n = 0
    for name in os.listdir(place.out) if os.path.isdir(place.out) else []:
        log = os.path.join(place.out, name, "run.log")
        if os.path.exists(log):
            with open(log, encoding="utf-8") as file:
                n += len(file.readlines())
    return n


def finish(tap, process, seconds=20):
    try:
        return process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        tap.check(False, f"did not end within {seconds} s")
        return process.communicate()


def interrupted(tap, lab, number):
    """Ctrl-C reaches every process of the terminal's group; SIGTERM the conductor alone."""
    place = Place()
    process = lab.start(place, "--sweep", "0ms,5ms", "--duration", "20s", "--json", place.write(
        "spec.yaml", "experiment: {rounds: 100, null_run: false, throughput_pairs: 0}\nlink: {delay: 1ms, jitter: 0ms}\n"))
    tap.check(wait_for(lambda: blocks_done(place) >= 2), "no block was done")
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    out, err = finish(tap, process)
    tap.equal(process.returncode, 2, f"exit code ({err})")
    if tap.check(out.startswith("{"), "no result:", out, err):
        summary = json.loads(out)
        tap.equal(summary["partial"], True, "partial")
        tap.check(summary["runs"] and all(run["requests"] and run["spans"] for run in summary["runs"]), "runs")
        with open(os.path.join(place.out, "summary.json"), encoding="utf-8") as file:
            tap.equal(json.load(file), summary, "summary.json")
    tap.check(place.wait_for_nobody(), "processes left:", place.processes())
    tap.equal(place.strays(), [], "files left")
    place.remove()


def interrupted_at_once(tap, lab):
    place = Place()
    process = lab.start(place, *LONG)
    tap.check(wait_for(lambda: len(place.processes()) > 3), "no nodes")
    os.killpg(process.pid, signal.SIGINT)
    out, err = finish(tap, process)
    tap.equal((process.returncode, out), (2, ""), "exit code, output")
    tap.equal(len(err.splitlines()), 1, f"lines: {err}")
    tap.check("interrupted" in err, err)
    tap.check(place.wait_for_nobody(), "processes left:", place.processes())
    place.remove()


def running(tap, lab, options, parts):
    """A run that is amid its first block, with at least so many processes."""
    place = Place()
    process = lab.start(place, *options)
    tap.check(wait_for(lambda: len(place.processes()) >= parts and os.path.isdir(place.out) and
                       any(os.path.exists(os.path.join(place.out, name, "requests.jsonl"))
                           for name in os.listdir(place.out))), "the run did not get going")
    return place, process


def check_end(tap, place, process, *words):
    out, err = finish(tap, process)
    tap.equal((process.returncode, out), (2, ""), "exit code, output")
    tap.equal(len(err.splitlines()), 1, f"lines: {err}")
    for word in words:
        tap.check(word in err, f"'{word}' is not in:", err)
    tap.check(place.wait_for_nobody(), "processes left:", place.processes())
    tap.check(not os.path.exists(os.path.join(place.out, "summary.json")), "a summary is left")
    place.remove()


def a_node_is_killed(tap, lab, stage):
    place, process = running(tap, lab, [*LONG, "--nodes", "process"], 6)
    node, = (pid for pid, words in place.processes().items() if stage in words)
    os.kill(node, signal.SIGKILL)
    check_end(tap, place, process, f"{stage}-0", "killed")


def a_node_is_killed_and_it_goes_on(tap, lab):
    """on_failure: gap. The block is repeated, the gap marked, and no half block is in any file."""
    place = Place()
    spec = place.write("spec.yaml", "experiment: {on_failure: gap, rounds: 3}\n")
    process = lab.start(place, spec, "--sweep", "0ms", "--duration", "6s", "--quick", "--hop-delay", "1ms", "--nodes",
                        "process", "--json")
    tap.check(wait_for(lambda: blocks_done(place) == 1 and len(place.processes()) >= 6), "no block was done")
    node, = (pid for pid, words in place.processes().items() if "inference" in words)
    os.kill(node, signal.SIGKILL)
    out, err = finish(tap, process, 60)
    tap.equal(process.returncode, 0, f"exit code ({err})")
    summary = json.loads(out)
    tap.equal(len(summary["gaps"]), 1, "gaps")
    tap.check("inference-0" in summary["gaps"][0]["why"], "why:", summary["gaps"])
    tap.equal(summary["gaps"][0]["block"], "the traces of 0ms", "where")
    run, = summary["runs"]
    tap.check(run["outputs_match"], "outputs differ")
    tap.equal(blocks_done(place), 3, "blocks")
    folder = os.path.join(place.out, "zmq-0ms")
    spans = Spans(folder)
    orphans = [row for row in spans.rows if row["parent"] and (row["trace"], row["parent"]) not in spans.by_id]
    tap.equal(orphans, [], "spans of half a block")
    tap.equal(set(read_truth(folder)), {row["id"] for row in spans.rows}, "truth beside the spans")
    place.remove()


def the_link_is_killed(tap, lab):
    if root_with_namespaces():
        return root_with_namespaces()
    place, process = running(tap, lab, [*LONG, "--nodes", "netns"], 7)
    link, = (pid for pid, words in place.processes().items() if "node" not in words and pid != process.pid)
    os.kill(link, signal.SIGKILL)
    check_end(tap, place, process, "link", "killed")


def the_conductor_is_killed(tap, lab, nodes):
    if nodes == "netns" and root_with_namespaces():
        return root_with_namespaces()
    place, process = running(tap, lab, [*LONG, "--nodes", nodes], 6)
    process.kill()
    process.communicate()
    tap.check(place.wait_for_nobody(), "processes left:", place.processes())
    place.remove()
    # The next run is none the worse for it.
    place = Place()
    code, _, err = lab.run(place, "--sweep", "0ms", "--duration", "200ms", "--quick", "--nodes", nodes)
    tap.equal(code, 0, f"exit code of the next run ({err})")
    place.remove()


# ------------------------------------------------------------------ strangers

def free_ports(n):
    """The first of n ports in a row that nobody has, below those that connections are given meanwhile."""
    while True:
        first = random.randrange(20000, 30000)
        with contextlib.ExitStack() as held:
            try:
                for k in range(n):
                    held.enter_context(socket.create_server(("127.0.0.1", first + k)))
                return first
            except OSError:
                continue


def send_by_zmq(library, address, bodies):
    """As a program does that has nothing to do with the lab."""
    push = 8
    library.zmq_ctx_new.restype = library.zmq_socket.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.zmq_ctx_new())
    peer = ctypes.c_void_p(library.zmq_socket(context, push))
    patience = ctypes.c_int(5000)  # ms, for who is not there
    for option in (17, 28):  # ZMQ_LINGER, ZMQ_SNDTIMEO
        library.zmq_setsockopt(peer, option, ctypes.byref(patience), ctypes.sizeof(patience))
    library.zmq_connect(peer, address.encode())
    for body in bodies:
        library.zmq_send(peer, body, len(body), 0)
    library.zmq_close(peer)  # what is queued still leaves
    library.zmq_ctx_term(context)


def strangers(tap, lab):
    """Messages that are none of the lab's: counted, dropped, and the run goes on."""
    try:
        library = ctypes.CDLL("libzmq.so.5")
    except OSError as problem:
        return str(problem)
    head = bytes([0x7c, 1, 1, 0]) + bytes(4) + (1).to_bytes(4, "little") + bytes(16)
    bodies = [b"", b"hello", b"\xff" * 200, bytes(4) + b"hello", bytes(4), bytes(4) + head]
    port = free_ports(5)
    place = Place()
    spec = place.write("spec.yaml", f"port: {port}\nexperiment: {{rounds: 4}}\n")
    process = lab.start(place, spec, *QUICK, "--sweep", "0ms", "--duration", "4s", "--json")
    tap.check(wait_for(lambda: blocks_done(place) > 0), "no block was done")
    sent = 0
    for node in range(5):
        send_by_zmq(library, f"tcp://127.0.0.1:{port + node}", bodies)
        sent += len(bodies)
    out, err = finish(tap, process)
    tap.equal(process.returncode, 0, f"exit code ({err})")
    summary = json.loads(out)
    # The last is one of an earlier block, but for its traceparent. Taken for a straggler it would pass for one that was
    # sent, and a block would end before all that was have come.
    tap.equal(summary["foreign_messages"], sent, "foreign messages")
    tap.check(summary["runs"][0]["outputs_match"], "outputs differ")
    with open(os.path.join(place.out, "nodes.log"), encoding="utf-8") as log:
        tap.check("a message was dropped" in log.read(), "the log does not say so")
    tap.equal(summary["gaps"], [], "gaps")
    place.remove()


# ------------------------------------------------------------------ the machine's clock

def the_clock_is_stepped(tap, lab, stepped_clock):
    """Stamps and truth go by one clock that nobody sets, or runs without skew would show violations."""
    place = Place()
    begun = time.time()
    code, _, err = lab.run(place, *QUICK, "--sweep", "0ms,5ms", "--duration", "2s", env={"LD_PRELOAD": stepped_clock})
    tap.equal(code, 1, f"exit code ({err})")
    spans = Spans(os.path.join(place.out, "zmq-0ms"))
    late = [(parent["start"] - child["start"]) / 1e6 for parent, child in spans.hops() if child["start"] < parent["start"]]
    tap.equal(late, [], "hops without skew that arrive before they left, by ms")
    tap.check(all(abs(1e-9 * row["start"] - begun) < 3600 and row["start"] <= row["end"] for row in spans.rows),
              "stamps are not of this hour, or spans end before they start")
    skewed = Spans(os.path.join(place.out, "zmq-5ms"))
    tap.check(any(child["start"] < parent["start"] for parent, child in skewed.hops()), "the skew is gone")
    place.remove()


# ------------------------------------------------------------------ not root

def without_root(tap, lab):
    prefix = []
    place = Place()
    if os.geteuid() == 0:
        prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        if subprocess.run([*prefix, lab.truespan, "--version"], capture_output=True, check=False).returncode:
            place.remove()
            return "another user cannot run the program"
        os.chown(place.base, 65534, 65534)
    code, out, err = lab.run(place, "--sweep", "0ms,6ms", "--duration", "800ms", "--quick", prefix=prefix)
    tap.equal(code, 1, f"exit code ({err})")
    tap.check("processes on loopback" in out and "because" in out, "does not say how nodes were separated:", out)
    place.remove()
    place = Place()
    if prefix:
        os.chown(place.base, 65534, 65534)
    refused(tap, lab, place, ["--nodes", "netns", "--quick"], "netns", prefix=prefix)
    place.remove()


def main():
    tap, lab = Tap(), Lab(sys.argv[1])
    tap.run("bad specs", bad_specs, lab)
    tap.run("bad options", bad_options, lab)
    tap.run("bad prompts and models", bad_prompts_and_models, lab)
    tap.run("an output folder that cannot be", a_folder_that_cannot_be, lab)
    tap.run("a port that is taken", a_taken_port, lab)
    tap.run("no space in the output folder", no_space, lab)
    tap.run("Ctrl-C amid a run", interrupted, lab, signal.SIGINT)
    tap.run("SIGTERM amid a run", interrupted, lab, signal.SIGTERM)
    tap.run("Ctrl-C at the start", interrupted_at_once, lab)
    tap.run("the inference node is killed", a_node_is_killed, lab, "inference")
    tap.run("the gateway is killed", a_node_is_killed, lab, "gateway")
    tap.run("a node is killed, and the run goes on with a gap", a_node_is_killed_and_it_goes_on, lab)
    tap.run("the link is killed", the_link_is_killed, lab)
    tap.run("the conductor is killed, on loopback", the_conductor_is_killed, lab, "process")
    tap.run("the conductor is killed, in network namespaces", the_conductor_is_killed, lab, "netns")
    tap.run("messages of strangers", strangers, lab)
    tap.run("the machine's clock is stepped", the_clock_is_stepped, lab, os.path.abspath(sys.argv[2]))
    tap.run("not root", without_root, lab)
    tap.done()


if __name__ == "__main__":
    main()
