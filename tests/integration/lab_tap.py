"""What the lab's integration tests share: TAP, running truespan, finding its processes, reading what a run left."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

STAGES = ["gateway", "preprocess", "inference", "postprocess", "sink"]


class Tap:
    """Checks within a named test; every test becomes one line."""

    def __init__(self):
        self.number = 0
        self.failed = 0
        self.problems = []

    def check(self, good, *words):
        if not good:
            self.problems.append(" ".join(str(word) for word in words)[:2000])
        return good

    def equal(self, got, want, what):
        return self.check(got == want, f"{what}: got {got!r}, want {want!r}")

    def run(self, name, test, *args):
        """One test. TAP_ONLY: a part of the name of those that are wanted; the others do not even count."""
        if os.environ.get("TAP_ONLY", "") not in name:
            return
        self.number += 1
        self.problems = []
        skip = None
        try:
            skip = test(self, *args)
        except Exception as problem:  # a test that breaks is a failed test
            import traceback
            self.problems.append(traceback.format_exc())
            self.problems.append(repr(problem))
        for problem in self.problems:
            for line in problem.splitlines():
                print("#", line)
        self.failed += bool(self.problems)
        print(f"{'not ok' if self.problems else 'ok'} {self.number} - {name}" + (f" # SKIP {skip}" if skip else ""),
              flush=True)

    def done(self):
        print(f"1..{self.number}")
        sys.exit(1 if self.failed else 0)


class Place:
    """A scratch folder with an empty working directory and home, to see that nothing is written but the output."""

    def __init__(self):
        self.base = tempfile.mkdtemp(prefix="lab-test-")
        os.chmod(self.base, 0o755)
        self.work = os.path.join(self.base, "work")
        self.home = os.path.join(self.base, "home")
        self.out = os.path.join(self.base, "out")
        for folder in (self.work, self.home):
            os.mkdir(folder)

    def write(self, name, text):
        path = os.path.join(self.base, name)
        with open(path, "wb" if isinstance(text, bytes) else "w") as file:
            file.write(text)
        return path

    def environment(self):
        return dict(os.environ, HOME=self.home, TMPDIR=self.home, XDG_CACHE_HOME=self.home)

    def strays(self):
        """Files that a run left beside its output folder."""
        return [os.path.join(root, name) for folder in (self.work, self.home)
                for root, folders, files in os.walk(folder) for name in folders + files]

    def processes(self):
        """Processes whose command line names this place: {pid: words}. The conductor, nodes, link and burners do."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().decode(errors="replace").split("\0")
            except OSError:
                continue
            if any(self.base in word for word in words) and int(pid) != os.getpid() and "truespan" in words[0]:
                found[int(pid)] = words
        return found

    def wait_for_nobody(self, seconds=10):
        """Whether all of them end in time."""
        end = time.monotonic() + seconds
        while self.processes():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def remove(self):
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        subprocess.run(["rm", "-rf", self.base], check=False)


class Lab:
    def __init__(self, truespan):
        self.truespan = os.path.abspath(truespan)

    def start(self, place, *options, prefix=(), env=()):
        return subprocess.Popen([*prefix, self.truespan, "lab", *options, "-o", place.out], cwd=place.work,
                                env=dict(place.environment(), **dict(env)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                start_new_session=True)

    def run(self, place, *options, prefix=(), env=(), timeout=60):
        """(exit code, standard output, standard error)"""
        process = self.start(place, *options, prefix=prefix, env=env)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            return None, out, err + "\n(timed out)"
        return process.returncode, out, err


def root_with_namespaces():
    """Why there can be no network namespaces here; None when there can."""
    if os.geteuid() != 0:
        return "not root"
    if not os.path.exists("/dev/net/tun"):
        return "no /dev/net/tun"
    probe = subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False)
    return None if probe.returncode == 0 else "no right to make network namespaces"


def own_mounts():
    """Why there can be no mounts that nobody else sees; None when there can. In a chroot unshare refuses them."""
    if os.geteuid() != 0:
        return "not root"
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    return None if probe.returncode == 0 else "no mounts of one's own here"


def value_of(attribute):
    (kind, value), = attribute["value"].items()
    return int(value) if kind == "intValue" else value


class Spans:
    """A run's spans, read from its OTLP JSON lines by nothing but the standard library."""

    def __init__(self, folder):
        self.rows = []
        self.by_id = {}
        otlp = os.path.join(folder, "otlp")
        for name in sorted(os.listdir(otlp)):
            with open(os.path.join(otlp, name), encoding="utf-8") as file:
                for line in file:
                    self.add(json.loads(line))
        for row in self.rows:
            self.by_id[row["trace"], row["id"]] = row

    def add(self, request):
        for resource_spans in request["resourceSpans"]:
            resource = {a["key"]: value_of(a) for a in resource_spans["resource"]["attributes"]}
            for scope_spans in resource_spans["scopeSpans"]:
                for span in scope_spans["spans"]:
                    self.rows.append({
                        "host": resource["host.name"], "resource": resource, "trace": span["traceId"],
                        "id": span["spanId"], "parent": span.get("parentSpanId"), "name": span["name"],
                        "kind": span["kind"], "start": int(span["startTimeUnixNano"]),
                        "end": int(span["endTimeUnixNano"]),
                        "attributes": {a["key"]: value_of(a) for a in span["attributes"]},
                        "links": [(link["traceId"], link["spanId"]) for link in span.get("links", [])]})

    def hops(self):
        """Pairs (parent, child) on two machines."""
        for row in self.rows:
            parent = self.by_id.get((row["trace"], row["parent"]))
            if parent and parent["host"] != row["host"]:
                yield parent, row


def read_truth(folder):
    truth = {}
    with open(os.path.join(folder, "truth.jsonl"), encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            truth[row["span_id"]] = (int(row["start"]), int(row["end"]))
    return truth
