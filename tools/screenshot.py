#!/usr/bin/env python3
"""A picture of a report as Chromium shows it: tools/screenshot.py PAGE PICTURE [--width 1200] [--height 800]
[--theme light|dark] [--at "Heading"]."""

import argparse
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/interop"))
from browser import CHROMIUM, Browser  # noqa: E402

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("page", type=pathlib.Path)
parser.add_argument("picture", type=pathlib.Path)
parser.add_argument("--width", type=int, default=1200)
parser.add_argument("--height", type=int, default=800)
parser.add_argument("--theme", choices=("light", "dark"), default="light")
parser.add_argument("--at", default="", help="the heading that is to stand at the top")
args = parser.parse_args()
if CHROMIUM is None:
    sys.exit("chromium is not installed (apt install chromium)")
with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
    browser = Browser(profile)
    try:
        browser.show(args.width, args.height, args.theme)
        browser.open(args.page)
        browser.evaluate("([...document.querySelectorAll('h1,h2,h3')].find(one => one.textContent.startsWith("
                         f"{args.at!r})) || document.body).scrollIntoView()")
        browser.settle()
        browser.screenshot(args.picture)
    finally:
        browser.close()
