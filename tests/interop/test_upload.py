"""`upload`: a folder on a hub of this machine that misbehaves; the stock client reads the result back."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pajamas
import pytest
from hub_server import Hub, Repo, sha256

NAME = "me/model-GGUF"
MIB = 1 << 20


@pytest.fixture(scope="module")
def content():
    bytes_of = np.random.default_rng(7).bytes
    return {"README.md": b"---\nlicense: mit\n---\n# x\n", "config.json": b"{}", "empty.txt": b"",
            "small.gguf": bytes_of(MIB + 7), "deep/large-Q8_0.gguf": bytes_of(12 * MIB + 345)}


@pytest.fixture
def folder(content, tmp_path):
    for path, data in content.items():
        (tmp_path / "out" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / path).write_bytes(data)
    (tmp_path / "out/.secret").write_text("mine")
    (tmp_path / "out/.large.gguf.partial-7").write_text("half")
    return tmp_path / "out"


@pytest.fixture
def hub():
    with Hub({}) as hub:
        yield hub


def env_of(hub, folder, **more):
    return {**hub.env(folder.parent / "home"), "HF_TOKEN": hub.token, **more}


def upload(hub, folder, *flags, name=NAME, check=True, **env):
    return pajamas.run("upload", folder, name, *flags, check=check, env=env_of(hub, folder, **env))


def refused(hub, folder, *flags, status, says, name=NAME, **env):
    done = upload(hub, folder, *flags, name=name, check=False, **env)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert done.returncode == status and len(errors) == 1, done.stderr
    for text in [says] if isinstance(says, str) else says:
        assert text in errors[0], done.stderr
    assert hub.token not in done.stderr + done.stdout
    return done


def there(hub, content, name=NAME):
    files = {p: d for p, d in hub.repos[name].files.items() if p != ".gitattributes"}
    assert files.keys() == content.keys()
    assert all(files[p] == d for p, d in content.items())


def puts(hub):
    return [entry for entry in hub.log if entry[0] == "PUT"]


def test_a_new_repository_that_the_stock_client_reads(hub, folder, content):
    pytest.importorskip("huggingface_hub")
    done = upload(hub, folder, "--message", "first", "--json")
    there(hub, content)
    told = json.loads(done.stdout)
    assert told["creates"] and told["commit"] == hub.repos[NAME].commit
    assert {f["path"]: f["state"] for f in told["files"]} == dict.fromkeys(content, "sent")
    assert hub.commits == [(NAME, "first", sorted(content))]
    assert "hidden files stay here" in done.stderr and not hub.repos[NAME].private
    assert len(puts(hub)) == 1 + 3  # the small one, and three parts
    # The token goes to the hub alone, and nobody reads it.
    assert all(entry[3] == f"Bearer {hub.token}" for entry in hub.asked("hub:"))
    assert hub.asked("cdn:") and all(entry[3] is None for entry in hub.asked("cdn:"))
    assert hub.token not in done.stderr + done.stdout
    code = f"import huggingface_hub as h; print(h.snapshot_download('{NAME}'))"
    read = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60,
                          env={**os.environ, **env_of(hub, folder)})
    assert read.returncode == 0, read.stderr[-2000:]
    for path, data in content.items():
        assert pathlib.Path(read.stdout.strip(), path).read_bytes() == data


def test_what_is_there_is_not_sent_again(hub, folder, content):
    upload(hub, folder)
    kept = json.loads((folder / ".cache/llama-pajamas/sha256.json").read_text())
    assert {p: k["sha256"] for p, k in kept.items()} == {p: sha256(d) for p, d in content.items() if p.endswith("gguf")}
    hub.log.clear()
    assert "has all of it" in upload(hub, folder).stdout
    assert puts(hub) == [] and len(hub.commits) == 1 and not hub.asked("commit/")
    # One that changed, and one whose content is there by another name.
    content = {**content, "config.json": b'{"a": 1}', "copy.gguf": content["small.gguf"]}
    (folder / "config.json").write_bytes(content["config.json"])
    shutil.copy(folder / "small.gguf", folder / "copy.gguf")
    told = json.loads(upload(hub, folder, "--json").stdout)
    there(hub, content)
    assert puts(hub) == [] and hub.commits[-1][2] == ["config.json", "copy.gguf"]
    assert {f["path"]: f["state"] for f in told["files"] if f["state"] != "unchanged"} == {
        "config.json": "sent", "copy.gguf": "in the store already"}
    # A checksum is kept for a size and a time: other bytes are seen.
    (folder / "small.gguf").write_bytes(b"x" * len(content["small.gguf"]))
    upload(hub, folder)
    assert hub.repos[NAME].files["small.gguf"] == b"x" * len(content["small.gguf"])
    # What is not in the folder stays in the repository.
    (folder / "empty.txt").unlink()
    upload(hub, folder)
    assert "empty.txt" in hub.repos[NAME].files


@pytest.mark.parametrize("where,action,how", [
    ("hub:/api/models/me/model-GGUF$", "status", {"status": 503}),
    ("preupload", "status", {"status": 429, "headers": {"Retry_After": "1"}}),
    ("batch", "status", {"status": 500}),
    ("batch", "cut", {}),
    ("cdn:/store", "cut", {}),
    ("cdn:/store/.*/2", "cut", {}),
    ("cdn:/store", "status", {"status": 503}),
    ("cdn:/store", "status", {"status": 403}),  # the address expired
    ("cdn:/store/.*/1", "etag", {}),
    ("cdn:/store/.*/3", "no-etag", {}),
    ("api/complete", "status", {"status": 502}),
    ("api/verify", "status", {"status": 503}),
    ("commit/", "cut", {}),
])
def test_what_passes(hub, folder, content, where, action, how):
    hub.repos[NAME] = Repo({".gitattributes": b""})
    hub.fault(where, action, 1, **how)
    upload(hub, folder)
    there(hub, content)
    assert hub.faults[0].times == 0
    assert all(entry[3] is None for entry in hub.asked("cdn:"))


@pytest.mark.parametrize("where,how,status,says", [
    ("cdn:/store", {"status": 403}, 11, "answers 403"),
    ("cdn:/store", {"status": 503}, 11, "answers 503"),
    ("commit/", {"status": 401}, 11, "does not accept the token"),
    ("preupload", {"status": 401}, 11, "does not accept the token"),
    ("commit/", {"status": 403}, 11, "may not write"),
    ("batch", {"status": 429, "headers": {"Retry_After": "999"}}, 11, "limits the number"),
    ("commit/", {"status": 422}, 11, "does not take it"),
])
def test_what_does_not_pass_is_gone_on_with(hub, folder, content, where, how, status, says):
    hub.fault(where, "status", 99, **how)
    refused(hub, folder, status=status, says=says)
    assert hub.commits == []  # nobody sees a part of it
    stored = set(hub.store)
    hub.faults.clear()
    hub.log.clear()
    upload(hub, folder)
    there(hub, content)
    if where == "commit/":
        assert puts(hub) == [] and len(stored) == 2


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"objects": [{}]}', b'{"objects": []}', b'{"objects": []}x', b"[" * 100000,
                                  b'{"objects": [{"oid": "a", "size": 1, "actions": {"upload": {"href": "ftp://x"}}}]}'])
def test_what_is_no_hub(hub, folder, body):
    hub.fault("batch", "answer", 9, body=body)
    refused(hub, folder, status=4, says="HF_ENDPOINT")
    assert hub.commits == [] and puts(hub) == []


def test_what_a_store_refuses(hub, folder):
    body = {"objects": [{"oid": "a", "size": 1, "error": {"code": 403, "message": "quota is full"}}]}
    hub.fault("batch", "answer", 9, body=json.dumps(body).encode())
    refused(hub, folder, status=11, says="quota is full")


def test_stopped_and_gone_on_with(hub, folder, content):
    hub.rate = 3 * MIB
    child = subprocess.Popen([str(pajamas.BINARY), "upload", str(folder), NAME], stdin=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, env={**os.environ, **env_of(hub, folder)})
    small = sha256(content["small.gguf"])
    deadline = time.monotonic() + 60
    while small not in hub.store and time.monotonic() < deadline:
        time.sleep(.02)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=30)
    assert child.returncode == 130 and hub.commits == []
    hub.rate = None
    hub.log.clear()
    upload(hub, folder)
    there(hub, content)
    assert not [entry for entry in puts(hub) if small in entry[1]]


def test_refusals_before_anything_is_sent(hub, folder, tmp_path):
    refused(hub, folder, status=2, says=["token", "HF_TOKEN"], HF_TOKEN="")
    refused(hub, folder, status=11, says="does not accept the token", HF_TOKEN="hf_wrong")
    refused(hub, folder, status=2, says="HF_HUB_OFFLINE", HF_HUB_OFFLINE="1")
    refused(hub, folder, status=2, says="owner/name", name="model")
    refused(hub, folder, status=2, says="owner/name", name="me/model:Q4_K_M")
    refused(hub, tmp_path / "none", status=3, says="no such folder")
    (tmp_path / "hollow").mkdir()
    refused(hub, tmp_path / "hollow", status=3, says="no file")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/a\nb").write_bytes(b"x")
    refused(hub, tmp_path / "odd", status=5, says="no name of a file")
    hub.may_write = False
    refused(hub, folder, status=11, says=["may not write to me/model-GGUF", "rights"])
    hub.repos["x/there"] = Repo({})
    refused(hub, folder, status=11, says="may not write", name="x/there")
    hub.may_write = True
    refused(hub, folder, "--private", status=2, says=["public", "--private"], name="x/there")
    refused(hub, folder, status=3, says="no revision", name="x/there@nothing")
    assert hub.commits == [] and puts(hub) == []


def test_private(hub, folder, content):
    upload(hub, folder, "--private")
    there(hub, content)
    assert hub.repos[NAME].private
    assert "has all of it" in upload(hub, folder, "--private").stdout


def test_a_dry_run_sends_nothing(hub, folder, content):
    done = upload(hub, folder, "--dry-run")
    assert hub.repos == {} and "would be made" in done.stdout and "large-Q8_0.gguf" in done.stdout
    hub.repos[NAME] = Repo({"small.gguf": content["small.gguf"], "config.json": b"old"})
    told = json.loads(upload(hub, folder, "--dry-run", "--json").stdout)
    states = {f["path"]: f["state"] for f in told["files"]}
    assert states == {**dict.fromkeys(content, "to be sent"), "small.gguf": "unchanged"}
    assert told["commit"] is None and hub.commits == [] and puts(hub) == [] and not hub.asked("batch|commit/|create")


def test_files_that_the_repository_ignores(hub, folder, content):
    (folder / "notes.tmp").write_bytes(b"x")
    assert "ignored by .gitignore" in upload(hub, folder).stdout
    there(hub, content)


def test_a_link_is_what_it_points_to(hub, folder, content, tmp_path):
    shutil.move(folder / "small.gguf", tmp_path / "blob")
    (folder / "small.gguf").symlink_to(tmp_path / "blob")
    (folder / "loop").symlink_to(folder)
    upload(hub, folder)
    there(hub, content)


def test_no_redirect_takes_the_token_along(hub, folder):
    hub.repos[NAME] = Repo({})
    hub.fault("preupload", "status", 1, status=307, headers={"Location": f"{hub.cdn}/store/elsewhere"})
    refused(hub, folder, status=11, says="does not take it")
    assert [entry[0] for entry in hub.asked("cdn:")] == ["POST"] and hub.asked("cdn:")[0][3] is None
