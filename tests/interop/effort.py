"""What a push runs of a family of cases; the night adds the rest (PAJAMAS_THOROUGH=1, as
tools/nightly.sh sets it), which proves the same once more, of other methods or on more text."""

import os

THOROUGH = os.environ.get("PAJAMAS_THOROUGH") == "1"


def by_day(cases, *kept):
    """All of `cases` by night, otherwise those that are named."""
    cases = list(cases)
    assert all(case in cases for case in kept), [case for case in kept if case not in cases]
    return cases if THOROUGH else [case for case in cases if case in kept]


def every(step, cases):
    """All of `cases` by night, otherwise each `step`-th, from the first on."""
    cases = list(cases)
    return cases if THOROUGH else cases[::step]
