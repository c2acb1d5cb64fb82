#!/usr/bin/env python3
"""Whether two runs of one spec, say one of the lab and one of the simulator, show the same rates over time.

compare_runs.py RUN RUN [TIMES]: prints a line a stretch of time; exit code 1 when more stretches differ than one in ten.
TIMES: the second run and its stretches took so many times as long as the first, with as much less drift."""

import json
import os
import sys


def timeline(folder, times=1):
    with open(os.path.join(folder, "summary.json"), encoding="utf-8") as file:
        runs = json.load(file)["runs"]
    run = next(run for run in runs if run["timeline"])
    return {point["since_ns"] // times: point for point in run["timeline"] if point["hops"] >= 100}


def show(point):
    return f"{100 * point['negative_rate']:5.1f} % ({100 * point['negative_rate_lo']:.1f} .. {100 * point['negative_rate_hi']:.1f})"


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    one, other = timeline(sys.argv[1]), timeline(sys.argv[2], int(sys.argv[3]) if len(sys.argv) == 4 else 1)
    common = sorted(set(one) & set(other))
    differ = 0
    for since in common:
        a, b = one[since], other[since]
        same = a["negative_rate_lo"] <= b["negative_rate_hi"] and b["negative_rate_lo"] <= a["negative_rate_hi"]
        differ += not same
        print(f"{since / 1e9:7.0f} s  {show(a):28} {show(b):28} {'' if same else 'differ'}")
    print(f"{len(common) - differ} of {len(common)} stretches agree within their 95 % intervals")
    return 0 if common and differ <= len(common) // 10 else 1


sys.exit(main())
