#!/usr/bin/env python3
"""Count the tests of meson's JUnit files: count_tests.py FILE... tells what failed, and why, once more, and prints
"N passed, N failed, N skipped" last."""
import sys
import xml.etree.ElementTree as tree

LINES_MOST = 30  # of one program: the end of a log is all that many a CI keeps


def verdict(case):
    tags = {child.tag for child in case}
    return "failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"


def tell(suite):
    """What a program that failed said of it: TAP's failed lines and remarks, and what it said to standard error."""
    said = [line for line in (suite.findtext("system-out") or "").splitlines() if line.startswith(("#", "not ok"))]
    said += (suite.findtext("system-err") or "").splitlines()
    for line in [f"failed: {suite.get('name')}", *said[-LINES_MOST:]]:
        print(line[:500])


def main(paths):
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for path in paths:
        for suite in tree.parse(path).getroot().iter("testsuite"):
            cases = list(suite.iter("testcase"))
            for case in cases:
                count[verdict(case)] += 1
            any_failed = any(verdict(case) == "failed" for case in cases)
            # A program that died before its first test has no cases, but it failed.
            broken = int(suite.get("errors", 0)) + int(suite.get("failures", 0))
            count["failed"] += bool(broken and not any_failed)
            if broken or any_failed:
                tell(suite)
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**count))
    return 1 if count["failed"] or not count["passed"] else 0


sys.exit(main(sys.argv[1:]))
