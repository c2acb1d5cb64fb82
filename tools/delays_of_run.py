#!/usr/bin/env python3
"""The true delays of a run's hops, as truespan sim reads them (sim.delays: empirical): a line "FROM TO DELAY" a hop, in the order
of arrival. From the stamp before the message leaves to the first stamp of the one who has it: all that sending, network,
waking and queueing took.

delays_of_run.py RUN/zmq-true > delays.txt"""

import json
import os
import sys


def stage_of(host):
    return host.rsplit("-", 1)[0]


def main():
    if len(sys.argv) != 2 or not os.path.isdir(os.path.join(sys.argv[1], "otlp")):
        sys.exit("delays_of_run.py: give the folder of one run, which holds otlp/ and truth.jsonl")
    starts, spans, hops = {}, {}, []
    with open(os.path.join(sys.argv[1], "truth.jsonl"), encoding="utf-8") as file:
        for row in map(json.loads, file):
            starts[row["span_id"]] = int(row["start"])
    otlp = os.path.join(sys.argv[1], "otlp")
    for name in sorted(os.listdir(otlp)):
        with open(os.path.join(otlp, name), encoding="utf-8") as file:
            for resource in (r for line in file for r in json.loads(line)["resourceSpans"]):
                attributes = {a["key"]: a["value"].get("stringValue") for a in resource["resource"]["attributes"]}
                for span in (s for scope in resource["scopeSpans"] for s in scope["spans"]):
                    spans[span["spanId"]] = (stage_of(attributes["host.name"]), span.get("parentSpanId"),
                                             [link["spanId"] for link in span.get("links", [])])
    for span, (stage, parent, links) in spans.items():
        for cause in filter(spans.get, [parent] + links):
            if spans[cause][0] != stage:
                hops.append((starts[span], spans[cause][0], stage, starts[span] - starts[cause]))
    for _, sender, receiver, delay in sorted(hops):
        print(f"{sender} {receiver} {delay}ns")


main()
