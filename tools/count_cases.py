#!/usr/bin/env python3
"""Counts the test cases of a JUnit file: prints those that ran, failed and were skipped.

    tools/count_cases.py results.xml             a file of pytest
    tools/count_cases.py results.xml FOLDER      one of ctest, whose test NAME/SHARD has its cases in
                                                 FOLDER/NAME-SHARD.xml, as GoogleTest writes them

A program that ended without such a file counts as one failed case, and so does one that failed
although none of its cases did (a leak that was found at its end). A test that is no GoogleTest
program is one case.
"""

import pathlib
import sys
import xml.etree.ElementTree as tree


def suites(path):
    root = tree.parse(path).getroot()
    return [root] if root.tag == "testsuite" else root.findall("testsuite")


def figures(path):
    """(cases, failed, skipped) of a file that lists all of its cases."""
    def total(*keys):
        return sum(int(suite.get(key) or 0) for suite in suites(path) for key in keys)
    return total("tests"), total("failures", "errors"), total("skipped", "disabled")


def figures_of_ctest(path, folder):
    cases = failed = skipped = 0
    for suite in suites(path):
        for test in suite.findall("testcase"):
            status = test.get("status")  # run, fail, notrun, skipped, disabled
            broken = status in ("fail", "notrun")
            inside = folder / (test.get("name").replace("/", "-") + ".xml")
            try:
                counted = figures(inside)
            except (OSError, tree.ParseError):
                counted = (1, int(broken), int(not broken and status != "run"))
            cases += counted[0] + (1 if broken and counted[1] == 0 else 0)
            failed += max(counted[1], int(broken))
            skipped += counted[2]
    return cases, failed, skipped


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    print(*(figures(sys.argv[1]) if len(sys.argv) == 2
            else figures_of_ctest(sys.argv[1], pathlib.Path(sys.argv[2]))))


if __name__ == "__main__":
    main()
