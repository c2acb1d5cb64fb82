#!/usr/bin/env python3
"""A lab over several machines: two network namespaces, each with a real sshd, joined by veth pairs. Prints TAP.

usage: lab_hosts.py TRUESPAN"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from lab_tap import STAGES, Lab, Place, Spans, Tap, read_truth, root_with_namespaces  # noqa: E402



def free_addresses():
    """Three neighbours that no route here names. It begins at another place in each process: two may run at a time."""
    taken = subprocess.run(["ip", "-4", "route", "show", "table", "all"], capture_output=True, text=True,
                           check=False).stdout
    for k in range(256 * 64):
        net = f"10.{192 + (os.getpid() + k) % 64}.{(os.getpid() // 64 + k // 64) % 256}."
        if net not in taken:
            return {"here": net + "1", "a": net + "2", "b": net + "3"}
    raise RuntimeError("no three addresses are free")


ADDRESSES = free_addresses()


def run(*words, **options):
    subprocess.run(words, check=True, capture_output=True, **options)


class Machines:
    """Hosts a and b: a namespace each, with sshd, reached from here and from each other."""

    def __init__(self, place):
        self.place = place
        self.names = {host: f"tsp{os.getpid()}{host}" for host in "ab"}
        self.servers = []
        self.devices, self.routes = {"here": [], "a": [], "b": []}, []
        self.keys = os.path.join(place.base, "ssh")
        os.mkdir(self.keys, 0o700)
        for name in ("user", "host"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(self.keys, name))

    def inside(self, host):
        # Not `ip netns exec`: it mounts /sys anew, which a chroot does not allow.
        return () if host == "here" else ("nsenter", f"--net=/run/netns/{self.names[host]}")

    def veth(self, one, other):
        """A cable between two of them: addresses on lo, a route by the device."""
        ends = [f"tsp{os.getpid() % 100000}{one[0]}{other[0]}", f"tsp{os.getpid() % 100000}{other[0]}{one[0]}"]
        run("ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for host, end in zip((one, other), ends):
            if host != "here":
                run("ip", "link", "set", end, "netns", self.names[host])
        for host, end, peer in ((one, ends[0], other), (other, ends[1], one)):
            self.devices[host].append(end)
            self.routes.append((host, peer, end))
            run(*self.inside(host), "ip", "link", "set", end, "up")
            run(*self.inside(host), "ip", "route", "add", ADDRESSES[peer] + "/32", "dev", end, "src", ADDRESSES[host])

    def start(self):
        for host in "ab":
            run("ip", "netns", "add", self.names[host])
            run(*self.inside(host), "ip", "link", "set", "lo", "up")
            run(*self.inside(host), "ip", "address", "add", ADDRESSES[host] + "/32", "dev", "lo")
        run("ip", "address", "add", ADDRESSES["here"] + "/32", "dev", "lo")
        for one, other in (("here", "a"), ("here", "b"), ("a", "b")):
            self.veth(one, other)
        os.makedirs("/run/sshd", exist_ok=True)
        for host in "ab":
            self.servers.append(self.sshd(host))

    def sshd(self, host):
        pub = open(os.path.join(self.keys, "user.pub"), encoding="utf-8").read()
        keys = self.place.write(f"ssh/authorized_{host}", pub)
        os.chmod(keys, 0o600)
        config = self.place.write(f"ssh/sshd_{host}", "\n".join([
            "Port 22", f"ListenAddress {ADDRESSES[host]}", f"HostKey {self.keys}/host",
            f"AuthorizedKeysFile {keys}", "PasswordAuthentication no", "UsePAM no", "PermitRootLogin yes",
            "StrictModes no", f"PidFile {self.keys}/pid_{host}", ""]))
        with open(os.path.join(self.place.base, f"sshd_{host}.log"), "wb") as log:
            server = subprocess.Popen([*self.inside(host), shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f",
                                       config], stderr=log)
        self.wait_for(host)
        return server

    def wait_for(self, host):
        deadline = time.monotonic() + 20
        while subprocess.run(self.ssh(host).split() + ["true"], capture_output=True, check=False).returncode != 0:
            if time.monotonic() > deadline:
                raise RuntimeError(f"sshd of {host} does not answer")
            time.sleep(0.05)

    def ssh(self, host, program="ssh "):
        return (f"{program}-F none -i {self.keys}/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
                f"-o LogLevel=ERROR root@{ADDRESSES[host]}")

    def stop(self):
        for server in self.servers:
            server.terminate()
            server.wait()
        for host in "ab":
            subprocess.run(["ip", "netns", "del", self.names[host]], capture_output=True, check=False)
        subprocess.run(["ip", "address", "del", ADDRESSES["here"] + "/32", "dev", "lo"], capture_output=True,
                       check=False)

    def cable(self, host, up):
        """Plug the cables of a host in, or pull them: nobody is told, and nothing is answered."""
        for device in self.devices[host]:
            run(*self.inside(host), "ip", "link", "set", device, "up" if up else "down")
        if up:
            for one, other, device in self.routes:
                run(*self.inside(one), "ip", "route", "replace", ADDRESSES[other] + "/32", "dev", device, "src",
                    ADDRESSES[one])

    def spec(self, lab, stages_of, truespan=None, ssh_to_b=None, more=None):
        program = os.path.join(self.place.base, "truespan")
        if not os.path.exists(program):
            os.symlink(lab.truespan, program)
        hosts = [{"name": "here", "address": ADDRESSES["here"], "stages": stages_of["here"]}]
        for host in "ab":
            hosts.append({"name": f"machine-{host}", "address": ADDRESSES[host], "stages": stages_of[host],
                          "ssh": self.ssh(host, ""), "truespan": truespan or program})
        if ssh_to_b:
            hosts[2]["ssh"] = ssh_to_b
        return self.place.write("hosts.yaml", json.dumps({
            "engine": {"max_tokens": 8}, "link": {"delay": "2ms", "jitter": "0ms"}, "load": {"prompts": self.prompts()},
            "hosts": hosts, **(more or {})}))

    def prompts(self):
        return self.place.write("prompts.txt", "In the beginning\nAnd the king said\nBlessed are they\n")


SPREAD = {"here": ["gateway", "sink"], "a": ["preprocess", "postprocess"], "b": ["inference"]}
SKEW = "60ms"  # more than any hop takes, whatever the transport
QUICK = ["--quick", "--sweep", f"0ms,{SKEW}", "--duration", "3s"]
MORE = {"kafka": {"warm_up": "1s"}}


def remote_folders():
    """What nodes far from their conductor, and media drivers, have made and not removed."""
    return sorted(name for base in ("/tmp", "/dev/shm") for name in os.listdir(base) if
                  re.fullmatch(r"truespan-(node-)?[A-Za-z0-9]{6}", name))


def spread_run(tap, lab, machines, transport):
    """Stages on three machines: every span comes home, the truth with it, and answers are the reference's."""
    place = machines.place
    before = remote_folders()
    subprocess.run(["rm", "-rf", place.out], check=True)
    code, out, err = lab.run(place, machines.spec(lab, SPREAD, more=MORE), *QUICK, "--transport", transport, "--json",
                             timeout=120)
    for lack in ("no Apache Kafka", "no Java", "no transport"):
        if code == 2 and lack in err:
            return err.strip().splitlines()[-1]
    if not tap.equal(code, 1, f"exit code ({err})"):
        return None
    runs = json.loads(out)["runs"]
    for row in runs:
        tap.check(row["outputs_match"], "answers differ from the reference's at", row["skew_ns"])
        tap.check(row["requests"] > 20, "requests:", row["requests"])
    tap.equal(runs[0]["negative_spans"], 0, "negative spans without skew")
    tap.check(runs[1]["negative_spans"] > 0, f"{SKEW} of skew over 2 ms of delay shows nothing")
    for name in (f"{transport}-0ms", f"{transport}-{SKEW}"):
        folder = os.path.join(place.out, name)
        tap.equal(sorted(os.listdir(os.path.join(folder, "otlp"))), sorted(s + "-0.jsonl" for s in STAGES), "files")
        spans = Spans(folder)
        truth = read_truth(folder)
        tap.equal(len(truth), len(spans.rows), f"truth beside every span of {name}")
        tap.equal({row["host"] for row in spans.rows}, {s + "-0" for s in STAGES}, "nodes that wrote")
        late = [child["start"] - parent["start"] for parent, child in spans.hops()]
        tap.check(SKEW in name or min(late) >= 2_000_000, "a hop faster than the link's delay:", min(late))
    tap.check(place.wait_for_nobody(), "left running:", place.processes())
    tap.equal(remote_folders(), before, "folders left on the machines")
    return None


def node_killed(tap, lab, machines):
    """A node on another machine dies: one line that names it and its host's ssh, exit 2, nobody left anywhere."""
    place = machines.place
    before = remote_folders()
    subprocess.run(["rm", "-rf", place.out], check=True)
    process = lab.start(place, machines.spec(lab, SPREAD), "--quick", "--sweep", "0ms", "--duration", "60s")
    deadline = time.monotonic() + 30
    victim = None
    while victim is None and time.monotonic() < deadline:
        time.sleep(0.02)
        folder = os.path.join(place.out, "zmq-0ms", "run.log")
        if not os.path.exists(folder):
            continue
        victim = next((pid for pid, words in place.processes().items() if "--remote" in words and
                       "inference" in words and words[0].endswith("truespan")), None)
    if not tap.check(victim, "no remote node was ever seen"):
        process.kill()
        return
    os.kill(victim, signal.SIGKILL)
    began = time.monotonic()
    _, err = process.communicate(timeout=60)
    tap.equal(process.returncode, 2, "exit code")
    tap.check(time.monotonic() - began < 20, "it took", time.monotonic() - began, "s to end")
    tap.equal(len(err.splitlines()), 1, f"lines: {err}")
    tap.check("inference" in err and "machine-b" in err, "the line does not name node and host:", err)
    tap.check(place.wait_for_nobody(), "left running:", place.processes())
    for name in set(remote_folders()) - set(before):  # of the node that could not tidy up
        shutil.rmtree(os.path.join("/tmp", name))


def conductor_killed(tap, lab, machines):
    """The conductor is killed outright: nodes on other machines see their stream end, and go."""
    place = machines.place
    subprocess.run(["rm", "-rf", place.out], check=True)
    before = remote_folders()
    process = lab.start(place, machines.spec(lab, SPREAD), "--quick", "--sweep", "0ms", "--duration", "60s")
    deadline = time.monotonic() + 30
    while len([w for w in place.processes().values() if "--remote" in w and w[0].endswith("truespan")]) < 3:
        time.sleep(0.02)
        if not tap.check(time.monotonic() < deadline and process.poll() is None, "the nodes never came up"):
            break
    process.kill()
    said = process.communicate()
    tap.check(process.returncode < 0, "the run had ended before:", process.returncode, said)
    tap.check(place.wait_for_nobody(), "left running:", place.processes())
    tap.equal(remote_folders(), before, "folders left on the machines")


def out_of_reach(tap, lab, machines):
    """No such key, no such program, nobody there: exit 2 and one line with ssh's own words."""
    place = machines.place
    key = machines.ssh("b", "").replace(f"{machines.keys}/user", "/nonexistent")
    for change, *words in (
            ({"ssh_to_b": key}, "machine-b", "denied"),
            ({"truespan": "/nonexistent/truespan"}, "machine-", "/nonexistent/truespan")):
        subprocess.run(["rm", "-rf", place.out], check=True)
        code, out, err = lab.run(place, machines.spec(lab, SPREAD, **change), *QUICK, timeout=60)
        tap.equal(code, 2, "exit code")
        tap.equal(out, "", "standard output")
        tap.equal(len(err.splitlines()), 1, f"lines: {err}")
        for word in words:
            tap.check(word in err, f"'{word}' is not in: {err}")
        tap.check(place.wait_for_nobody(), "left running:", place.processes())


def started(tap, lab, machines, transport, **change):
    """A run over the machines amid its first block: its process, and the remote nodes."""
    place = machines.place
    subprocess.run(["rm", "-rf", place.out], check=True)
    process = lab.start(place, machines.spec(lab, SPREAD, more=MORE, **change), "--quick", "--sweep", "0ms",
                        "--duration", "100s", "--transport", transport)
    log = os.path.join(place.out, f"{transport}-0ms", "requests.jsonl")
    deadline = time.monotonic() + 60
    while not os.path.exists(log) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    tap.check(os.path.exists(log), "the run did not get going")
    return process, {pid: words for pid, words in place.processes().items() if "--remote" in words and
                     words[0].endswith("truespan")}


def ended(tap, machines, process, *words, seconds=30):
    began = time.monotonic()
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    tap.check(time.monotonic() - began < seconds, "it took", time.monotonic() - began, "s to end")
    tap.equal((process.returncode, out), (2, ""), "exit code, output")
    tap.equal(len(err.splitlines()), 1, f"lines: {err}")
    for word in words:
        tap.check(word in err, f"'{word}' is not in:", err)
    tap.check(not os.path.exists(os.path.join(machines.place.out, "summary.json")), "a summary is left")


def host_goes_away(tap, lab, machines, transport):
    """The cables of a machine are pulled: here one line within seconds; there the nodes give up by themselves."""
    before = remote_folders()
    process, nodes = started(tap, lab, machines, transport)
    machines.cable("b", False)
    try:
        if transport == "zmq":
            ended(tap, machines, process, "inference-0", "machine-b")
        else:  # Aeron, too, notices that a peer is gone, or Kafka that it cannot deliver
            ended(tap, machines, process)
        tap.check(machines.place.wait_for_nobody(30), "left running:", machines.place.processes(), "of", nodes)
    finally:
        machines.cable("b", True)
        machines.wait_for("b")
    tap.equal(remote_folders(), before, "folders left on the machines")


def driver_killed(tap, lab, machines):
    """Aeron's media driver of a node far away: the line names the node and its machine."""
    before = remote_folders()
    process, nodes = started(tap, lab, machines, "aeron")
    node = next((pid for pid, words in nodes.items() if "inference" in words), None)
    driver = None
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                text = file.read()
        except OSError:
            continue
        if "(media-driver)" in text and int(text.rpartition(")")[2].split()[1]) == node:
            driver = int(pid)
    if not tap.check(driver, "no media driver of", node):
        process.kill()
        process.communicate()
        return
    os.kill(driver, signal.SIGKILL)
    ended(tap, machines, process, "media driver", "killed", "inference-0", "machine-b")
    tap.check(machines.place.wait_for_nobody(), "left running:", machines.place.processes())
    tap.equal(remote_folders(), before, "folders left on the machines")


def other_version(tap, lab, machines):
    """What answers there is a truespan of another day, or speaks another language."""
    place = machines.place
    for text, *words in (("echo version 0.0.1; exec cat >/dev/null", "machine-", "0.0.1"),
                         ("echo Welcome; sleep 1; exit 3", "machine-", "Welcome")):
        path = place.write("other", "#!/bin/sh\n" + text + "\n")
        os.chmod(path, 0o755)
        subprocess.run(["rm", "-rf", place.out], check=True)
        process = lab.start(place, machines.spec(lab, SPREAD, truespan=path), *QUICK)
        ended(tap, machines, process, *words)
        tap.check(place.wait_for_nobody(), "left running:", place.processes())


def kafka_without_an_address(tap, lab, machines):
    """All stages far away: at which address would they reach a broker here?"""
    place = machines.place
    subprocess.run(["rm", "-rf", place.out], check=True)
    spec = machines.spec(lab, SPREAD, more=MORE)
    with open(spec, encoding="utf-8") as file:
        text = json.load(file)
    text["hosts"][1]["stages"] += text["hosts"].pop(0)["stages"]
    place.write("hosts.yaml", json.dumps(text))
    code, out, err = lab.run(place, spec, *QUICK, "--transport", "kafka")
    tap.equal((code, out, len(err.splitlines())), (2, "", 1), f"exit code, output, lines ({err})")
    tap.check("broker" in err and "without 'ssh'" in err, err)


def bad_hosts(tap, lab):
    place = Place()
    for text, *words in (
            ('hosts: [{name: x, address: 1.2.3.4, stages: [gateway]}]', "no host has the stage", "preprocess"),
            ('hosts:\n  - {name: x, stages: [gateway]}', "line 2", "address"),
            ('hosts:\n  - {name: x, address: "a b", stages: [gateway]}', "line 2", "address"),
            ('hosts:\n  - {name: x, address: h, truespan: "x; rm -rf /", stages: [gateway]}', "plain path"),
            ('hosts:\n  - {name: x, address: h, stages: [gateway, gateway]}', "stands at two hosts"),
            ('hosts:\n  - {name: x, address: h, stages: [nobody]}', "no stage 'nobody'")):
        code, _, err = lab.run(place, place.write("spec.yaml", text))
        tap.equal(code, 2, f"exit code of {text}")
        for word in words:
            tap.check(word in err, f"'{word}' is not in: {err}")
    place.remove()


def main():
    lab = Lab(sys.argv[1])
    tap = Tap()
    tap.run("hosts that make no sense are refused", bad_hosts, lab)
    missing = root_with_namespaces()
    for program in ("ssh", "sshd", "ssh-keygen", "ip", "nsenter"):
        missing = missing or (None if shutil.which(program) or os.path.exists("/usr/sbin/" + program) else
                              f"{program} is not installed")
    tests = [("stages on three machines, ZeroMQ", spread_run, "zmq"),
             ("stages on three machines, Apache Kafka", spread_run, "kafka"),
             ("stages on three machines, Aeron", spread_run, "aeron"),
             ("a node on another machine is killed", node_killed),
             ("a media driver on another machine is killed", driver_killed),
             ("a machine's cables are pulled", host_goes_away, "zmq"),
             ("the conductor is killed", conductor_killed), ("machines out of reach", out_of_reach),
             ("another version there", other_version),
             ("Kafka with no host here", kafka_without_an_address)]
    if missing:
        for name, *_ in tests:
            tap.run(name, lambda _: missing)
        tap.done()
    place = Place()
    machines = Machines(place)
    try:
        machines.start()
        for name, test, *options in tests:
            tap.run(name, test, lab, machines, *options)
    finally:
        machines.stop()
        place.remove()
    tap.done()


main()
