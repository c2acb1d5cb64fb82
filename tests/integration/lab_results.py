#!/usr/bin/env python3
"""Runs the real lab and counts again, from the files that a run leaves, what its summary says. Prints TAP.

usage: lab_results.py TRUESPAN"""

import json
import os
import signal
import sys
import time

sys.dont_write_bytecode = True
from lab_tap import Lab, Place, Spans, STAGES, Tap, read_truth, root_with_namespaces  # noqa: E402

MS = 1000000

RUN_KEYS = set("""transport skew_ns null_run seed requests tokens spans negative_spans negative_rate negative_rate_lo
negative_rate_hi predicted_rate edges causality_health token_order_anomalies requests_per_s tokens_per_s latency_p50_ns
latency_p99_ns ttft_p50_ns outputs_sha256 outputs_match""".split())
EDGE_KEYS = set("from to hops violations worst_ns slack_p50_ns margin_ns".split())


def check_keys(tap, summary):
    tap.check({"spec", "runs", "throughput"} <= set(summary), "keys of the summary:", sorted(summary))
    for run in summary["runs"]:
        tap.check(RUN_KEYS <= set(run), "keys missing in a run:", RUN_KEYS - set(run))
        for edge in run["edges"]:
            tap.check(EDGE_KEYS <= set(edge), "keys missing in an edge:", EDGE_KEYS - set(edge))
        tap.check(run["causality_health"], "no window of health")
        for window in run["causality_health"]:
            tap.check(isinstance(window["at"], str) and isinstance(window["healthy"], bool), window)
    for row in summary["throughput"]:
        tap.check({"transport", "skew_ns", "ratio", "ratio_lo", "ratio_hi"} <= set(row), row)


def recount(tap, run, spans):
    """Every count of a run, from its OTLP files."""
    edges = {}
    for parent, child in spans.hops():
        edges.setdefault((parent["host"], child["host"]), []).append(child["start"] - parent["start"])
    hops = sum(map(len, edges.values()))
    negative = sum(slack < 0 for slacks in edges.values() for slack in slacks)
    tap.equal(run["spans"], len(spans.rows), "spans")
    tap.equal(len(spans.by_id), len(spans.rows), "distinct spans")
    tap.equal(run["negative_spans"], negative, "negative spans")
    tap.check(hops > 0 and abs(run["negative_rate"] - negative / hops) < 1e-6, "rate", run["negative_rate"])
    tap.check(run["negative_rate_lo"] <= run["negative_rate"] <= run["negative_rate_hi"], "interval")
    tap.equal({(e["from"], e["to"]) for e in run["edges"]}, set(edges), "edges")
    for edge in run["edges"]:
        slacks = sorted(edges.get((edge["from"], edge["to"]), [0]))
        name = f"{edge['from']} -> {edge['to']}"
        tap.equal(edge["hops"], len(slacks), f"hops of {name}")
        tap.equal(edge["violations"], sum(s < 0 for s in slacks), f"violations of {name}")
        tap.equal(edge["worst_ns"], max(0, -slacks[0]), f"worst of {name}")
        tap.equal(edge["margin_ns"], slacks[0], f"margin of {name}")
        tap.equal(edge["slack_p50_ns"], slacks[(len(slacks) + 1) // 2 - 1], f"median of {name}")
    tap.equal(run["token_order_anomalies"], token_order_anomalies(spans), "token order")
    roots = [row for row in spans.rows if row["name"] == "generate"]
    tap.equal(run["requests"], len(roots), "requests")
    tap.equal(run["tokens"], sum(row["attributes"]["gen_ai.usage.output_tokens"] for row in roots), "tokens")


def token_order_anomalies(spans):
    """Tokens whose send, or a receive, is stamped before the send of the token before, or before it on the same side."""
    key = "truespan.stream.sequence"
    sent, received = {}, {}
    for row in spans.rows:
        if row["kind"] == 4 and key in row["attributes"]:
            sent.setdefault((row["trace"], row["host"], row["name"]), {})[row["attributes"][key]] = row["start"]
        elif row["kind"] == 5 and key in row["attributes"]:
            send = spans.by_id[row["trace"], row["parent"]]
            received.setdefault((row["trace"], send["host"], send["name"]), {})[row["attributes"][key]] = row["start"]
    count = 0
    for stream, sends in sent.items():
        receives = received.get(stream, {})
        for k in sends:
            stamps = [sends[k], receives.get(k, sends[k])]
            before = k - 1
            count += before in sends and (min(stamps) < sends[before] or
                                          receives.get(k, 0) < receives.get(before, 0))
    return count


def check_prediction(tap, run, baseline, base_spans):
    """The rate that the zero-skew hops foretell: those below the skew on the way out, below minus the skew on the way in."""
    slacks = {}
    for parent, child in base_spans.hops():
        slacks.setdefault((parent["host"], child["host"]), []).append(child["start"] - parent["start"])
    expected = 0
    for edge in run["edges"]:
        base = slacks[edge["from"], edge["to"]]
        skew = run["skew_ns"]
        shift = skew if "inference" in edge["from"] else -skew if "inference" in edge["to"] else 0
        share = sum(slack < shift for slack in base) / len(base)
        tap.check(abs(share - edge["predicted_rate"]) < 1e-6, "prediction of", edge["from"], share)
        expected += share * edge["hops"]
    expected /= sum(edge["hops"] for edge in run["edges"])
    tap.check(abs(expected - run["predicted_rate"]) < 1e-6, "prediction", run["predicted_rate"], "want", expected)
    tap.check(baseline["skew_ns"] == 0, "baseline")


def check_truth(tap, folder, spans, offset_of):
    """True delays are never negative; a stamp is the truth plus its clock's error, which offset_of knows."""
    truth = read_truth(folder)
    tap.equal(set(truth), {row["id"] for row in spans.rows}, "spans with a truth")
    bad = sum(truth[child["id"]][0] < truth[parent["id"]][0] for parent, child in spans.hops())
    tap.equal(bad, 0, "true delays that are negative")
    wrong = []
    for row in spans.rows:
        for stamp, true in zip((row["start"], row["end"]), truth[row["id"]]):
            if not offset_of(row["host"], stamp - true):
                wrong.append((row["host"], row["name"], stamp - true))
    tap.check(not wrong, f"{len(wrong)} stamps are off, such as {wrong[:3]}")


def constant(skew_ns):
    return lambda host, error: error == (skew_ns if host.startswith("inference") else 0)


def check_span_shapes(tap, spans):
    """The names of the conventions, and a parent for all but the roots."""
    for row in spans.rows:
        if row["kind"] in (4, 5):
            want = {"messaging.system", "messaging.destination.name", "messaging.operation.type"}
            tap.check(want <= set(row["attributes"]), row["name"], row["attributes"])
        if row["name"] == "chat":
            tap.check({"gen_ai.operation.name", "gen_ai.request.model"} <= set(row["attributes"]), row["attributes"])
        parent = spans.by_id.get((row["trace"], row["parent"]))
        tap.check(parent or row["name"] == "generate", "an orphan:", row["name"])
    for row in spans.rows[:1]:
        tap.check({"service.name", "host.id", "host.name"} <= set(row["resource"]), row["resource"])


def check_memory(tap, rows, nodes):
    """Every process once, and nothing said of growth in so short a run."""
    want = {stage + "-0" for stage in STAGES} | {"conductor"} | ({"link"} if nodes == "netns" else set())
    tap.equal(sorted(row["process"] for row in rows), sorted(want), "processes whose memory was seen")
    for row in rows:
        tap.check(500_000 < row["start_bytes"] <= row["peak_bytes"] < 200_000_000, "memory:", row)
        tap.check(row["end_bytes"] <= row["peak_bytes"] and row["growth_bytes"] is None, "memory:", row)


def sweep(tap, lab, nodes):
    if nodes == "netns" and root_with_namespaces():
        return root_with_namespaces()
    place = Place()
    options = ["--sweep", "0ms,3ms,8ms", "--duration", "1s", "--quick", "--seed", "11", "--nodes", nodes, "--json"]
    code, out, err = lab.run(place, *options)
    if not tap.check(code == 1, "exit code", code, err):
        return place.remove()
    tap.equal(err, "", "standard error")
    summary = json.loads(out)
    with open(os.path.join(place.out, "summary.json"), encoding="utf-8") as file:
        tap.equal(json.load(file), summary, "summary.json")
    check_keys(tap, summary)
    check_memory(tap, summary["memory"], nodes)
    tap.equal([run["skew_ns"] for run in summary["runs"]], [0, 3 * MS, 8 * MS], "points")
    tap.equal((summary["nodes"], summary["partial"]), (nodes, False), "nodes, partial")
    baseline = None
    for run in summary["runs"]:
        folder = os.path.join(place.out, run["folder"])
        spans = Spans(folder)
        recount(tap, run, spans)
        baseline = baseline or spans
        check_prediction(tap, run, summary["runs"][0], baseline)
        check_truth(tap, folder, spans, constant(run["skew_ns"]))
        check_span_shapes(tap, spans)
        tap.equal(run["outputs_match"], True, "outputs match")
        tap.check((run["negative_spans"] > 0) == (run["skew_ns"] == 8 * MS), "negative spans at", run["skew_ns"],
                  run["negative_spans"])
        healthy = all(window["healthy"] for window in run["causality_health"])
        tap.equal(healthy, run["skew_ns"] != 8 * MS, f"health at {run['skew_ns']}")
        tap.equal({row["host"] for row in spans.rows}, {f"{stage}-0" for stage in STAGES}, "hosts")
    tap.equal(sorted(os.listdir(place.out)),
              ["nodes.log", "report.html", "spec.yaml", "summary.json", "zmq-0ms", "zmq-3ms", "zmq-8ms"], "files")
    tap.equal(place.strays(), [], "files outside the output folder")
    tap.equal(place.processes(), {}, "processes left")
    place.remove()


WORKERS = """
load: {arrival: constant, rate: 40}
engine: {chunk_tokens: 4, max_tokens: 14}
link: {delay: 2ms, jitter: 100us}
clock: {stage: inference, drift_ppm: 2000, steps: [{at: 500ms, size: -9ms}]}
experiment: {sweep: [1ms], duration: 1s, rounds: 1, null_run: false, throughput_pairs: 0}
stages:
  - {name: gateway, role: gateway, to: [preprocess]}
  - {name: preprocess, role: preprocess, to: [inference]}
  - {name: inference, role: inference, workers: 2, to: [postprocess]}
  - {name: postprocess, role: postprocess, workers: 2, to: [sink]}
  - {name: sink, role: sink, to: [gateway]}
"""


def workers_chunks_and_a_bad_clock(tap, lab):
    place = Place()
    code, out, err = lab.run(place, place.write("spec.yaml", WORKERS), "--nodes", "process", "--json")
    if not tap.check(code in (0, 1), "exit code", code, err):
        return place.remove()
    run, true_clocks = json.loads(out)["runs"]
    tap.equal([run["true_clock"], true_clocks["true_clock"]], [False, True], "a run with true clocks stands beside it")
    check_truth(tap, os.path.join(place.out, true_clocks["folder"]), Spans(os.path.join(place.out, true_clocks["folder"])),
                lambda host, error: error == 0)
    folder = os.path.join(place.out, run["folder"])
    spans = Spans(folder)
    recount(tap, run, spans)
    tap.check(39 <= run["requests"] <= 40, "constant arrivals in one second at 40/s:", run["requests"])
    starts = sorted(row["start"] for row in spans.rows if row["name"] == "generate")
    tap.check(abs((starts[-1] - starts[0]) / (len(starts) - 1) - 25 * MS) < MS, "mean gap of the arrivals")
    tap.equal(run["outputs_match"], True, "outputs match")
    hosts = {row["host"] for row in spans.rows}
    tap.check({"inference-0", "inference-1", "postprocess-0", "postprocess-1"} <= hosts, "hosts", hosts)
    # All messages of a request meet the same worker, and come in chunks of at most four tokens.
    for stage in ("inference", "postprocess"):
        seen = {}
        for row in spans.rows:
            if row["name"] == f"process {stage}":
                seen.setdefault(row["trace"], set()).add(row["host"])
        tap.check(all(len(workers) == 1 for workers in seen.values()), f"a request met two workers of {stage}")
    chunks = {}
    for row in spans.rows:
        if row["name"] == "process postprocess":
            chunks.setdefault(row["trace"], []).append(row["attributes"]["truespan.stream.sequence"])
    tap.check(all(sorted(numbers) == list(range(len(numbers))) for numbers in chunks.values()), "numbers of chunks")
    tap.check(all(1 <= len(numbers) <= 5 for numbers in chunks.values()), "chunks of a request")

    # offset 1 ms, drift up to 2 us a millisecond, a step of -9 ms
    def error_is_possible(host, error):
        if not host.startswith("inference"):
            return error == 0
        return MS <= error <= MS + 2000 * 2000 or -8 * MS <= error <= -8 * MS + 2000 * 2000

    check_truth(tap, folder, spans, error_is_possible)
    tap.check(any(row["start"] - read < 0 for row, read in with_truth(folder, spans)), "no stamp behind the step")
    place.remove()


def with_truth(folder, spans):
    truth = read_truth(folder)
    return [(row, truth[row["id"]][0]) for row in spans.rows]


RELAYS = """
engine: {temperature: 0.8, max_tokens: 8, slots: 3}
load: {arrival: closed, concurrency: 5}
link: {delay: 1ms, jitter: 0ms}
clock: {stage: in-between}
experiment: {sweep: [0ms, 2ms], requests: 30, rounds: 2, null_run: false, throughput_pairs: 0}
stages:
  - {name: front, role: gateway, to: [tokens]}
  - {name: tokens, role: preprocess, to: [model]}
  - {name: model, role: inference, to: [in-between, mirror]}
  - {name: in-between, role: relay, to: [text]}
  - {name: mirror, role: relay}
  - {name: text, role: postprocess, to: [end]}
  - {name: end, role: sink, to: [front]}
"""


def a_graph_with_relays(tap, lab):
    place = Place()
    code, out, err = lab.run(place, place.write("spec.yaml", RELAYS), "--nodes", "process", "--json")
    if not tap.check(code == 1, "exit code", code, err):
        return place.remove()
    for run in json.loads(out)["runs"]:
        folder = os.path.join(place.out, run["folder"])
        spans = Spans(folder)
        recount(tap, run, spans)
        tap.equal(run["requests"], 30, "requests of a closed loop")
        tap.equal(run["outputs_match"], True, "outputs match, sampled at a temperature")
        check_truth(tap, folder, spans, lambda host, error: error == (run["skew_ns"] if "between" in host else 0))
        tap.equal({(e["from"], e["to"]) for e in run["edges"]},
                  {("front-0", "tokens-0"), ("tokens-0", "model-0"), ("model-0", "in-between-0"),
                   ("model-0", "mirror-0"), ("in-between-0", "text-0"), ("text-0", "end-0"), ("end-0", "front-0")},
                  "edges")
        received = {name: sum(row["name"] == f"process {name}" for row in spans.rows)
                    for name in ("mirror", "in-between", "text")}
        tap.check(len(set(received.values())) == 1, "messages at the relays", received)
        tap.check((run["negative_spans"] > 0) == (run["skew_ns"] > 0), "negative spans", run["negative_spans"])
    place.remove()


def a_branch_that_lags(tap, lab):
    """A block ends when all has arrived, not when all is answered: a mirror that stood still meanwhile misses nothing."""
    place = Place()
    process = lab.start(place, place.write("spec.yaml", RELAYS), "--sweep", "0ms", "--nodes", "process", "--json")
    began = os.path.join(place.out, "zmq-0ms", "otlp", "mirror-0.jsonl")
    end = time.monotonic() + 30
    while not os.path.exists(began) and time.monotonic() < end and process.poll() is None:
        time.sleep(0.001)
    mirror, = [pid for pid, words in place.processes().items() if "mirror" in words]
    os.kill(mirror, signal.SIGSTOP)
    time.sleep(1.5)  # long enough for all answers; were it not, less would be seen here, but nothing wrong
    os.kill(mirror, signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    if tap.equal((process.returncode, err), (0, ""), "exit code, standard error"):
        run, = json.loads(out)["runs"]
        spans = Spans(os.path.join(place.out, run["folder"]))
        recount(tap, run, spans)
        received = {name: sum(row["name"] == f"process {name}" for row in spans.rows) for name in ("mirror", "in-between")}
        tap.equal(received["mirror"], received["in-between"], "messages at the mirror")
    place.remove()


def one_seed_one_result(tap, lab):
    results = []
    for seed in ("5", "5", "6"):
        place = Place()
        options = ["--sweep", "0ms", "--requests", "20", "--rate", "100", "--quick", "--seed", seed, "--nodes", "process",
                   "--hop-delay", "100us", "--jitter", "10us", "--json"]
        code, out, err = lab.run(place, *options)
        if tap.check(code == 0, "exit code", code, err):
            run, = json.loads(out)["runs"]
            results.append((run["outputs_sha256"], run["requests"], run["tokens"], run["spans"]))
        place.remove()
    if tap.check(len(results) == 3, "runs"):
        tap.equal(results[0], results[1], "the same seed")
        tap.check(results[0][0] != results[2][0], "another seed, the same outputs")


def the_whole_experiment(tap, lab):
    """The null run, the comparison of throughput, the table."""
    place = Place()
    spec = place.write("spec.yaml", "experiment: {sweep: [0ms, 6ms], duration: 600ms, rounds: 1, throughput_pairs: 2, "
                                    "throughput_requests: 20}\nlink: {delay: 1ms, jitter: 100us}\n")
    code, out, err = lab.run(place, spec, "--nodes", "process")
    if not tap.check(code == 1, "exit code", code, err):
        return place.remove()
    for word in ("0ms", "6ms", "loopback", "negative", "identical", place.out):
        tap.check(word in out, f"'{word}' is not in the table:", out)
    with open(os.path.join(place.out, "summary.json"), encoding="utf-8") as file:
        summary = json.load(file)
    check_keys(tap, summary)
    tap.equal([(run["skew_ns"], run["null_run"]) for run in summary["runs"]],
              [(0, False), (6 * MS, False), (0, True)], "runs")
    for run in summary["runs"]:
        spans = Spans(os.path.join(place.out, run["folder"]))
        recount(tap, run, spans)
        check_truth(tap, os.path.join(place.out, run["folder"]), spans, constant(run["skew_ns"]))
    row, = summary["throughput"]
    tap.check(row["skew_ns"] == 6 * MS and row["ratio_lo"] <= row["ratio"] <= row["ratio_hi"], row)
    tap.check(0.3 < row["ratio"] < 3, "ratio", row["ratio"])
    tap.equal(place.processes(), {}, "processes left")
    place.remove()


def main():
    tap, lab = Tap(), Lab(sys.argv[1])
    tap.run("a sweep over network namespaces and the link", sweep, lab, "netns")
    tap.run("a sweep over processes on loopback", sweep, lab, "process")
    tap.run("two workers a stage, chunks, constant arrivals, a drifting and stepping clock",
            workers_chunks_and_a_bad_clock, lab)
    tap.run("a graph with relays, closed loop, sampling", a_graph_with_relays, lab)
    tap.run("a branch that lags", a_branch_that_lags, lab)
    tap.run("one seed, one result", one_seed_one_result, lab)
    tap.run("the null run and the comparison of throughput", the_whole_experiment, lab)
    tap.done()


main()
