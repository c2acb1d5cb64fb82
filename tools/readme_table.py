#!/usr/bin/env python3
"""The README's table from a run's summary.json: readme_table.py RUN/summary.json [README.md]. With a README it is put
between the marks <!-- table --> and <!-- end of table -->, otherwise it is printed."""
import json
import sys


def duration(ns):
    return f"{ns / 1e6:g} ms"


def table(summary):
    ratio = {row["skew_ns"]: row for row in summary["throughput"]}
    rows = ["| skew | hops | negative spans | rate (95 %) | predicted (95 %) | health | requests/s | throughput on/off (95 %) | outputs |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for run in summary["runs"]:
        pair = ratio.get(run["skew_ns"]) if not run["null_run"] else None
        healthy = all(point["healthy"] for point in run["causality_health"])
        predicted = run["predicted_rate"]
        rows.append("| " + " | ".join([
            duration(run["skew_ns"]) + (", saturated" if run["null_run"] else ""),
            f"{run['hops']:,}",
            f"{run['negative_spans']:,}",
            f"{100 * run['negative_rate']:.1f} % ({100 * run['negative_rate_lo']:.1f} – {100 * run['negative_rate_hi']:.1f})",
            "–" if predicted is None else f"{100 * predicted:.1f} % ({100 * run['predicted_rate_lo']:.1f} – {100 * run['predicted_rate_hi']:.1f})",
            "healthy" if healthy else "**unhealthy**",
            f"{run['requests_per_s']:.1f}",
            "–" if pair is None else f"{pair['ratio']:.3f} ({pair['ratio_lo']:.3f} – {pair['ratio_hi']:.3f})",
            {True: "identical", False: "**different**", None: "not compared"}[run["outputs_match"]],
        ]) + " |")
    return "\n".join(rows)


def main(arguments):
    with open(arguments[0], encoding="utf-8") as file:
        text = table(json.load(file))
    if len(arguments) == 1:
        print(text)
        return
    with open(arguments[1], encoding="utf-8") as file:
        readme = file.read()
    begin, end = "<!-- table -->", "<!-- end of table -->"
    head, rest = readme.split(begin)
    tail = rest.split(end)[1]
    with open(arguments[1], "w", encoding="utf-8") as file:
        file.write(f"{head}{begin}\n{text}\n{end}{tail}")


main(sys.argv[1:])
