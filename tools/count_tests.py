#!/usr/bin/env python3
"""Count the tests of meson's JUnit files: count_tests.py FILE... prints "N passed, N failed, N skipped"."""
import sys
import xml.etree.ElementTree as tree


def verdict(case):
    tags = {child.tag for child in case}
    return "failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"


def main(paths):
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for path in paths:
        for suite in tree.parse(path).getroot().iter("testsuite"):
            cases = list(suite.iter("testcase"))
            for case in cases:
                count[verdict(case)] += 1
            # A program that died before its first test has no cases, but it failed.
            broken = int(suite.get("errors", 0)) + int(suite.get("failures", 0))
            if broken and not any(verdict(case) == "failed" for case in cases):
                count["failed"] += 1
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**count))
    return 1 if count["failed"] or not count["passed"] else 0


sys.exit(main(sys.argv[1:]))
