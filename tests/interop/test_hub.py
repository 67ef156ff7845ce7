"""Models of the hub, by a server on this machine that misbehaves; huggingface_hub itself is the
reference for the layout of the cache."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pajamas
import pytest
from hub_server import Hub, Repo, sha256

TINY = "pajamas/tiny-qwen2"
BIG = "pajamas/big-GGUF"
MIB = 1 << 20


def read_all(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}


@pytest.fixture(scope="module")
def tiny():
    return {**read_all(pajamas.TINY), "README.md": b"# tiny\n", "original/model.safetensors": b"no",
            "pytorch_model.bin": b"pickled", "consolidated.safetensors": b"no"}


@pytest.fixture(scope="module")
def big():
    """No model, but large: several parts of 16 MiB."""
    return np.random.default_rng(5).bytes(70 * MIB + 12345)


@pytest.fixture
def hub(tiny, big):
    with Hub({TINY: Repo(tiny), BIG: Repo({"big-Q8_0.gguf": big, "README.md": b"big"})}) as hub:
        yield hub


def blobs(home, name):
    return home / "hub" / ("models--" + name.replace("/", "--")) / "blobs"


def incomplete(home, name):
    folder = blobs(home, name)
    return sorted(folder.glob("*.incomplete")) if folder.exists() else []


def download(hub, home, name=BIG, check=True, timeout=120, **env):
    """Makes the program download all of a repository; what it downloads may be no model."""
    done = pajamas.run("inspect", name, "--tensor", "x", check=False, timeout=timeout,
                       env=hub.env(home, **env))
    if check:
        assert "is not a GGUF file" in done.stderr, done.stderr
    return done


def refused(*args, status, says, env, lines=1, timeout=120):
    """One line of error with all of `says`; nothing else that matters."""
    done = pajamas.run(*args, check=False, env=env, timeout=timeout)
    assert done.returncode == status, done.stderr
    errors = [line for line in done.stderr.splitlines() if not line.startswith(("note:", "down"))]
    assert len(errors) == lines and errors[0].startswith("error:"), done.stderr
    for text in [says] if isinstance(says, str) else says:
        assert text in errors[0], done.stderr
    return done


def cached(home, name, path):
    """The file as a snapshot of the cache has it."""
    folder = home / "hub" / ("models--" + name.replace("/", "--"))
    commit = (folder / "refs/main").read_text()
    return folder / "snapshots" / commit / path


# --- the commands ---------------------------------------------------------------------------------


def test_every_command_takes_an_id(hub, tmp_path):
    env = hub.env(tmp_path / "home")
    local = pajamas.run("run", pajamas.TINY, "--raw", "--prompt", "My fellow", "--max-tokens", "8",
                        "--temperature", "0").stdout
    flags = ["--raw", "--prompt", "My fellow", "--max-tokens", "8", "--temperature", "0"]
    assert pajamas.run("run", TINY, *flags, env=env).stdout == local
    ids = pajamas.tokenize(pajamas.TINY, "citizens")
    assert pajamas.run_json("tokenize", TINY, "--text", "citizens", env=env) == ids
    described = pajamas.run_json("inspect", TINY, "--json", env=env)
    assert described["tensors"] == pajamas.run_json("inspect", pajamas.TINY, "--json")["tensors"]
    score = pajamas.run_json("validate", TINY, "--reference", TINY, "--metrics", "perplexity,kl",
                             "--ctx", "64", "--chunks", "1", "--json", env=env)
    assert score["kl_mean"] == 0
    out = tmp_path / "out.gguf"
    pajamas.quantize(TINY, "gguf", "Q8_0", out, env=env)
    pajamas.quantize(pajamas.TINY, "gguf", "Q8_0", tmp_path / "tiny-qwen2" / "local.gguf")
    assert out.read_bytes() == (tmp_path / "tiny-qwen2" / "local.gguf").read_bytes()
    # Only what is needed, and once.
    wanted = {"README.md", "config.json", "generation_config.json", "model.safetensors",
              "tokenizer.json", "tokenizer_config.json"}
    assert {p.name for p in cached(tmp_path / "home", TINY, "").iterdir()} == wanted
    gets = [entry[1] for entry in hub.asked(r"resolve/.*\.(json|safetensors|bin|md)")]
    assert len(gets) == len(set(gets)) == len(wanted), gets


def test_plan_reads_headers_only(hub, tmp_path):
    env = hub.env(tmp_path / "home", TMPDIR=str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    there = pajamas.run_json("plan", pajamas.TINY, "--format", "gguf,mlx", "--method", "Q4_K_M:4bit",
                             "--json")
    plan = pajamas.run_json("plan", TINY, "--format", "gguf,mlx", "--method", "Q4_K_M:4bit", "--json",
                            env=env)
    assert plan == there
    [request] = hub.asked("cdn:")
    assert request[2] == f"bytes=0-{256 * 1024 - 1}"
    assert not cached(tmp_path / "home", TINY, "model.safetensors").exists()
    assert list((tmp_path / "tmp").iterdir()) == []
    # The rest is downloaded when it is needed; from then on nothing is asked for but the commit.
    pajamas.run("quantize", TINY, "--method", "Q4_0", "--dry-run", "--output", tmp_path / "x.gguf",
                env=env)
    assert not cached(tmp_path / "home", TINY, "model.safetensors").exists()
    pajamas.quantize(TINY, "gguf", "Q4_0", tmp_path / "x.gguf", env=env)
    hub.log.clear()
    assert pajamas.run_json("plan", TINY, "--format", "gguf,mlx", "--method", "Q4_K_M:4bit", "--json",
                            env=env) == there
    assert [entry[1] for entry in hub.log] == [f"hub:/api/models/{TINY}/revision/main"]


def test_plan_of_long_headers_and_of_gguf(hub, tiny, tmp_path):
    """A header longer than the first request; GGUF, whose header's length nobody says."""
    data = tiny["model.safetensors"]
    length = int.from_bytes(data[:8], "little")
    header = data[8:8 + length] + b" " * (700_000 - length)
    long = len(header).to_bytes(8, "little") + header + data[8 + length:]
    pajamas.quantize(pajamas.TINY, "gguf", "F16", tmp_path / "tiny-F16.gguf")
    gguf = (tmp_path / "tiny-F16.gguf").read_bytes()
    hub.repos["x/long"] = Repo({**tiny, "model.safetensors": long})
    hub.repos["x/gguf"] = Repo({"tiny-F16.gguf": gguf, "tiny-Q8_0.gguf": b"no"})
    env = hub.env(tmp_path / "home")
    ours = pajamas.run_json("inspect", "x/long", "--json", env=env)
    assert ours["tensors"] == pajamas.run_json("inspect", pajamas.TINY, "--json")["tensors"]
    assert len(hub.asked("cdn:/x/long")) == 2
    ours = pajamas.run_json("inspect", "x/gguf:F16", "--json", env=env)
    assert ours["tensors"] == pajamas.run_json("inspect", tmp_path / "tiny-F16.gguf",
                                               "--json")["tensors"]
    assert [entry[2] for entry in hub.asked("cdn:/x/gguf")] == [f"bytes=0-{MIB - 1}"]
    assert pajamas.run_json("tokenize", "x/gguf:f16", "--text", "hello", env=env) == \
        pajamas.tokenize(pajamas.TINY, "hello")


def test_shards_are_those_of_the_index(hub, tiny, tmp_path):
    index = json.dumps({"weight_map": {"a": "model-00001-of-00001.safetensors"}}).encode()
    files = {k: v for k, v in tiny.items() if k != "model.safetensors"}
    hub.repos["x/shards"] = Repo({**files, "model.safetensors.index.json": index,
                                  "model-00001-of-00001.safetensors": tiny["model.safetensors"],
                                  "model.safetensors": b"not named"})
    env = hub.env(tmp_path)
    assert pajamas.run("inspect", "x/shards", env=env).returncode == 0
    pajamas.run("run", "x/shards", "--raw", "--prompt", "a", "--max-tokens", "1", env=env)
    names = {p.name for p in cached(tmp_path, "x/shards", "").iterdir()}
    assert "model-00001-of-00001.safetensors" in names and "model.safetensors" not in names
    hub.repos["x/bad"] = Repo({**files, "model.safetensors.index.json": index})
    refused("run", "x/bad", "--prompt", "a", status=4, says=["model-00001-of-00001", "no such file"],
            env=env)


def test_a_path_always_wins(hub, tmp_path):
    env = hub.env(tmp_path / "home")
    shutil.copytree(pajamas.TINY, tmp_path / TINY)
    done = pajamas.run("inspect", TINY, env=env, cwd=tmp_path)
    assert done.returncode == 0 and hub.log == []
    for path in ["./pajamas/nothing", "out/model.gguf", "/no/such", "nothing"]:
        refused("run", path, "--prompt", "x", status=3, says=["no such file", "owner/name"], env=env)
    assert hub.log == []


def test_options_are_checked_before_anything_is_downloaded(hub, tmp_path):
    env = hub.env(tmp_path / "home")
    (tmp_path / "there.gguf").write_bytes(b"")
    refused("quantize", TINY, "--method", "Q4_0", "--output", tmp_path / "there.gguf", status=6,
            says="exists", env=env)
    refused("quantize", TINY, "--method", "Q4_9", "--output", tmp_path / "x.gguf", status=2,
            says="Q4_9", env=env)
    assert hub.log == []


def test_choosing_one_of_several_gguf_files(hub, tmp_path):
    hub.repos["x/many"] = Repo({"m-Q4_K_M.gguf": b"a", "m-Q8_0.gguf": b"b", "mmproj-F16.gguf": b"c",
                                "p/m-F16-00001-of-00002.gguf": b"d",
                                "p/m-F16-00002-of-00002.gguf": b"e"})
    env = hub.env(tmp_path)
    done = refused("run", "x/many", "--prompt", "x", status=5, env=env, says="m-Q4_K_M.gguf")
    assert "of 3 GGUF models m-Q4_K_M.gguf is taken" in done.stderr
    hub.repos["x/unusual"] = Repo({"m-Q5_K_M.gguf": b"a", "m-Q8_0.gguf": b"b", "m-F16.gguf": b"c"})
    refused("run", "x/unusual", "--prompt", "x", status=2, env=env,
            says=["3 GGUF models", "x/unusual:FILE", "m-Q8_0.gguf"])
    refused("run", "x/many:Q2_K", "--prompt", "x", status=3, env=env, says=["Q2_K", "m-Q4_K_M.gguf"])
    for wanted, files in [("q4_k_m", [b"a"]), ("m-Q8_0.gguf", [b"b"]), ("F16", [b"d", b"e"])]:
        home = tmp_path / wanted
        download(hub, home, f"x/many:{wanted}")
        assert sorted(p.read_bytes() for p in blobs(home, "x/many").iterdir()) == files


def test_revisions(hub, tiny, tmp_path):
    env = hub.env(tmp_path)
    commit = hub.repos[TINY].commit
    for revision in ["v1.0", "refs/pr/1", commit]:
        pajamas.run("tokenize", f"{TINY}@{revision}", "--text", "a", env=env)
    refs = tmp_path / "hub/models--pajamas--tiny-qwen2/refs"
    assert {str(p.relative_to(refs)): p.read_text() for p in refs.rglob("*") if p.is_file()} == {
        "v1.0": commit, "refs/pr/1": commit}
    hub.log.clear()
    pajamas.run("tokenize", f"{TINY}@{commit}", "--text", "a", env=env)
    assert hub.log == []  # a commit does not change
    refused("run", f"{TINY}@v9", "--prompt", "x", status=3, says=["no revision", "v9"], env=env)


def test_a_branch_that_moved(hub, tiny, tmp_path):
    env = hub.env(tmp_path)
    pajamas.run("run", TINY, "--raw", "--prompt", "a", "--max-tokens", "1", env=env)
    old = hub.repos[TINY].commit
    hub.repos[TINY].set({**tiny, "generation_config.json": b'{"eos_token_id": 0}'})
    hub.log.clear()
    done = pajamas.run("run", TINY, "--raw", "--prompt", "a", "--max-tokens", "1", env=env)
    assert "has changed" in done.stderr
    assert [e[1] for e in hub.asked("resolve")] == [
        f"hub:/{TINY}/resolve/{hub.repos[TINY].commit}/generation_config.json"]
    assert hub.repos[TINY].commit != old and hub.asked("cdn:") == []


# --- huggingface_hub and we share the cache ------------------------------------------------------


def peer(code, env, check=True):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env={**os.environ, **env}, timeout=120)
    if check:
        assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_huggingface_hub_finds_what_we_wrote(hub, tiny, tmp_path):
    pytest.importorskip("huggingface_hub")
    env = hub.env(tmp_path)
    pajamas.run("run", TINY, "--raw", "--prompt", "a", "--max-tokens", "1", env=env)
    hub.log.clear()
    offline = {**env, "HF_HUB_OFFLINE": "1"}
    folder = peer("import huggingface_hub as h;"
                  f"print(h.snapshot_download('{TINY}', local_files_only=True))", offline)
    assert pathlib.Path(folder, "model.safetensors").read_bytes() == tiny["model.safetensors"]
    found = peer("import huggingface_hub as h;"
                 f"print(h.try_to_load_from_cache('{TINY}', 'config.json'),"
                 f"h.try_to_load_from_cache('{TINY}', 'chat_template.jinja') is h._CACHED_NO_EXIST)",
                 offline)
    assert found == f"{folder}/config.json True"
    assert hub.log == []
    # Online it takes our files as its own: nothing of them is asked for again.
    peer(f"import huggingface_hub as h; h.snapshot_download('{TINY}', allow_patterns=['*.json',"
         "'model.safetensors'])", env)
    assert not [e for e in hub.log if e[0] == "GET" and "resolve" in e[1] or "cdn" in e[1]]
    scan = peer("import huggingface_hub as h; c = h.scan_cache_dir(); print(len(c.warnings),"
                "[r.repo_id for r in c.repos])", env)
    assert scan == f"0 ['{TINY}']"


def test_we_find_what_huggingface_hub_wrote(hub, tmp_path):
    pytest.importorskip("huggingface_hub")
    env = hub.env(tmp_path)
    peer(f"import huggingface_hub as h; h.snapshot_download('{TINY}')", env)
    before = {p: p.lstat().st_mtime_ns for p in (tmp_path / "hub").rglob("*") if p.is_symlink()}
    hub.log.clear()
    flags = ["--raw", "--prompt", "a", "--max-tokens", "1"]
    pajamas.run("run", TINY, *flags, env={**env, "HF_HUB_OFFLINE": "yes"})
    pajamas.run("run", TINY, *flags, "--no-download", env=env)
    pajamas.run("run", f"{TINY}@{hub.repos[TINY].commit}", *flags, env=env)
    assert hub.log == []
    pajamas.run("run", TINY, *flags, env=env)
    assert [entry[1] for entry in hub.log] == [f"hub:/api/models/{TINY}/revision/main"]
    assert before == {p: p.lstat().st_mtime_ns for p in (tmp_path / "hub").rglob("*")
                      if p.is_symlink()}


def test_huggingface_hub_and_we_wait_for_each_other(hub, big, tmp_path):
    filelock = pytest.importorskip("filelock")
    lock = tmp_path / "hub/.locks/models--pajamas--big-GGUF" / (sha256(big) + ".lock")
    lock.parent.mkdir(parents=True)
    with filelock.FileLock(lock):
        child = start(hub, tmp_path)
        time.sleep(1.5)
        assert child.poll() is None and hub.asked("cdn:") == []
    out = child.communicate(timeout=60)[1].decode()
    assert "another process is downloading" in out and "is not a GGUF file" in out, out


@pytest.mark.parametrize("variable,folder", [
    ("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub"), ("HF_HUB_CACHE", ""),
    ("HUGGINGFACE_HUB_CACHE", ""), ("HOME", ".cache/huggingface/hub")])
def test_where_the_cache_is(hub, tmp_path, variable, folder):
    env = {k: "" for k in ("HF_HOME", "XDG_CACHE_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")}
    env = {**hub.env(""), **env, variable: str(tmp_path)}
    pajamas.run("tokenize", TINY, "--text", "a", env=env)
    assert (tmp_path / folder / "models--pajamas--tiny-qwen2/snapshots").is_dir()


def test_offline_without_a_copy(hub, tmp_path):
    env = hub.env(tmp_path)
    refused("run", TINY, "--prompt", "x", "--no-download", status=3, env=env,
            says=["no such model", "without --no-download"])
    refused("run", TINY, "--prompt", "x", status=3, env={**env, "HF_HUB_OFFLINE": "1"},
            says=["no such model", "HF_HUB_OFFLINE"])
    pajamas.run("tokenize", TINY, "--text", "x", env=env)
    refused("run", TINY, "--prompt", "x", "--no-download", status=3, env=env,
            says="only a part of this model")
    pajamas.run("tokenize", TINY, "--text", "x", "--no-download", env=env)


@pytest.mark.parametrize("how", ["refused", 500, 401, 429])
def test_a_hub_that_fails_leaves_the_copy_in_the_cache(hub, tmp_path, how):
    env = hub.env(tmp_path)
    flags = ["--raw", "--prompt", "a", "--max-tokens", "1"]
    pajamas.run("run", TINY, *flags, env=env)
    if how == "refused":
        env["HF_ENDPOINT"] = f"http://127.0.0.1:{closed_port()}"
    else:
        hub.fault("/api/", "status", 99, status=how)
    started = time.monotonic()
    done = pajamas.run("run", TINY, *flags, env=env)
    assert "the copy in the cache is used" in done.stderr
    assert time.monotonic() - started < 5


# --- refusals -------------------------------------------------------------------------------------


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_missing_private_and_gated(hub, tiny, tmp_path):
    hub.repos["x/private"] = Repo(tiny, private=True)
    hub.repos["x/gated"] = Repo(tiny, gated=True)
    env = hub.env(tmp_path)
    known = {**env, "HF_TOKEN": hub.token}
    ask = ["tokenize", "--text", "a"]
    refused(*ask, "x/missing", status=3, says=["no such model", "private", "HF_TOKEN"], env=env)
    refused(*ask, "x/missing", status=3, says=["no such model", "spelling"], env=known)
    refused(*ask, "x/private", status=3, says=["no such model", "private", "HF_TOKEN"], env=env)
    refused(*ask, "x/gated", status=11, says=["licence", "/x/gated", "HF_TOKEN"], env=env)
    refused(*ask, "x/gated", status=11, says="does not accept the token",
            env={**env, "HF_TOKEN": "hf_wrong"})
    for name in ["x/private", "x/gated"]:
        pajamas.run(*ask, name, env=known)
    refused(*ask, TINY, status=2, says=["HF_TOKEN", "no token"], env={**env, "HF_TOKEN": "a\nb"})


def test_the_token_stays_with_the_hub(hub, tiny, tmp_path):
    (tmp_path / "token").write_text(hub.token + "\n")  # as `hf auth login` leaves it
    pajamas.run("run", TINY, "--raw", "--prompt", "a", "--max-tokens", "1", env=hub.env(tmp_path))
    download(hub, tmp_path, BIG)  # its parts are asked for where the first was led to
    ours = hub.asked("hub:")
    assert ours and all(entry[3] == f"Bearer {hub.token}" for entry in ours)
    assert hub.asked("cdn:") and all(entry[3] is None for entry in hub.asked("cdn:"))


@pytest.mark.parametrize("status,says", [
    (403, "refuses access"), (500, "answers 500"), (503, "answers 503"), (429, "limits the number"),
    (418, "answers 418")])
@pytest.mark.parametrize("where", ["/api/", "resolve/.*config.json"])
def test_statuses(hub, tmp_path, status, says, where):
    hub.fault(where, "status", 99, status=status, headers={"Retry_After": "999"})
    refused("tokenize", TINY, "--text", "a", status=11, says=says, env=hub.env(tmp_path))


def test_no_network(tmp_path):
    ask = ["tokenize", TINY, "--text", "a"]
    env = {"HF_HOME": str(tmp_path), "http_proxy": "", "HF_HUB_DOWNLOAD_TIMEOUT": "2"}
    port = closed_port()
    refused(*ask, status=11, says=["cannot connect", str(port), "network"],
            env={**env, "HF_ENDPOINT": f"http://127.0.0.1:{port}"})
    refused(*ask, status=11, says=["cannot find no-such-host.invalid", "network"],
            env={**env, "HF_ENDPOINT": "http://no-such-host.invalid"})
    refused(*ask, status=11, says=["cannot connect", f"proxy 127.0.0.1:{port}"],
            env={**env, "HF_ENDPOINT": "http://hub.invalid",
                 "http_proxy": f"http://me:secret@127.0.0.1:{port}", "no_proxy": ""})
    refused(*ask, status=11, says=["proxy", "no-such-proxy.invalid"],
            env={**env, "HF_ENDPOINT": "http://hub.invalid", "no_proxy": "",
                 "http_proxy": "http://no-such-proxy.invalid:3128"})
    refused(*ask, status=2, says="HF_ENDPOINT", env={**env, "HF_ENDPOINT": "huggingface.co"})


def test_a_proxy_that_wants_a_password(hub, tmp_path):
    hub.fault(".", "status", 99, status=407)
    refused("tokenize", TINY, "--text", "a", status=11, says=["proxy", "https_proxy"],
            env={**hub.env(tmp_path), "HF_ENDPOINT": "http://hub.invalid", "http_proxy": hub.url,
                 "no_proxy": ""})


def test_a_connection_that_is_not_secure(hub, tmp_path):
    refused("tokenize", TINY, "--text", "a", status=11, says="secure connection",
            env={**hub.env(tmp_path), "HF_ENDPOINT": hub.url.replace("http:", "https:")})


def test_a_hub_that_hangs(hub, tmp_path):
    hub.fault("/api/", "hang", 99, seconds=20)
    refused("tokenize", TINY, "--text", "a", status=11, says="sends nothing",
            env={**hub.env(tmp_path), "HF_HUB_DOWNLOAD_TIMEOUT": "1"})


@pytest.mark.parametrize("body", [b"<html>Sign in to the hotel's network</html>", b"{}", b"[]",
                                  b'{"sha": "../../../etc/passwd"}', b"[" * 100000])
def test_what_is_no_hub(hub, tmp_path, body, monkeypatch):
    monkeypatch.setattr("hub_server._Handler.api", lambda self, *_: self.reply(200, body))
    refused("tokenize", TINY, "--text", "a", status=4, says="HF_ENDPOINT", env=hub.env(tmp_path))


def test_redirects_in_a_circle(hub, tmp_path):
    hub.fault("/api/", "status", 99, status=302, headers={"Location": "/api/models/a/b"})
    refused("tokenize", TINY, "--text", "a", status=11, says="circle", env=hub.env(tmp_path))


def test_a_renamed_repository(hub, tmp_path):
    hub.fault("/api/models/old/name", "status", 1, status=307,
              headers={"Location": f"/api/models/{TINY}/revision/main"})
    hub.repos["old/name"] = hub.repos[TINY]
    pajamas.run("tokenize", "old/name", "--text", "a", env=hub.env(tmp_path))


# --- downloads that go wrong ---------------------------------------------------------------------


def test_large_files_come_in_parts_at_the_same_time(hub, big, tmp_path):
    download(hub, tmp_path)
    assert cached(tmp_path, BIG, "big-Q8_0.gguf").read_bytes() == big
    ranges = sorted(entry[2] for entry in hub.asked("cdn:"))
    assert len(ranges) == 5 and hub.sent == len(big)
    assert len(hub.asked("resolve/.*gguf")) == 1  # the place it led to serves the others
    assert incomplete(tmp_path, BIG) == []


@pytest.mark.parametrize("fault", ["break", "stall", "hang", 408, 429, 500, 503])
def test_what_passes(hub, big, tmp_path, fault):
    """Faults that go away: the file is whole all the same, and nothing is sent twice."""
    if isinstance(fault, int):
        hub.fault("cdn:", "status", 3, status=fault, headers={"Retry_After": "1"})
    else:
        hub.fault("cdn:", fault, 2)
    download(hub, tmp_path)
    assert cached(tmp_path, BIG, "big-Q8_0.gguf").read_bytes() == big
    assert hub.sent == len(big)


def test_the_place_of_a_redirect_holds_for_a_while_only(hub, big, tmp_path):
    hub.rate = 20 * MIB
    hub.repos[BIG] = Repo({"big-Q8_0.gguf": big * 2})

    def expire():
        while not hub.asked("cdn:"):
            time.sleep(0.01)
        time.sleep(0.1)
        hub.ticket += 1

    threading.Thread(target=expire).start()
    download(hub, tmp_path)
    assert {e[1][-1] for e in hub.asked("cdn:")} == {"0", "1"}
    assert cached(tmp_path, BIG, "big-Q8_0.gguf").read_bytes() == big * 2


def test_a_server_without_ranges(hub, big, tmp_path):
    hub.fault("cdn:", "no-range", 99)
    download(hub, tmp_path)
    assert cached(tmp_path, BIG, "big-Q8_0.gguf").read_bytes() == big


def test_what_breaks_in_the_first_bytes_of_a_server_without_ranges(hub, big, tmp_path):
    """It sends all from the start; what is there already is passed over."""
    target = incomplete_path(tmp_path, big)
    target.write_bytes(big[:30 * MIB])
    hub.fault("cdn:", "no-range", 99)
    download(hub, tmp_path)
    assert cached(tmp_path, BIG, "big-Q8_0.gguf").read_bytes() == big


def test_429_is_waited_for_as_long_as_it_says(hub, tmp_path):
    hub.fault("/api/", "status", 1, status=429, headers={"Retry_After": "3"})
    started = time.monotonic()
    done = pajamas.run("tokenize", TINY, "--text", "a", env=hub.env(tmp_path))
    assert time.monotonic() - started >= 3 and "trying again in 3 s" in done.stderr


@pytest.mark.parametrize("where", ["cdn:", "resolve/"])
def test_what_does_not_pass(hub, tmp_path, where):
    hub.fault(where, "hang", 99, seconds=15)
    done = download(hub, tmp_path, check=False, HF_HUB_DOWNLOAD_TIMEOUT="1")
    assert done.returncode == 11 and "sends nothing" in done.stderr, done.stderr


def test_a_wrong_length(hub, big, tmp_path):
    hub.fault("cdn:", "longer", 99)
    done = download(hub, tmp_path, check=False)
    assert done.returncode == 11, done.stderr
    assert f"{len(big) + 5} bytes, the hub lists {len(big)}" in done.stderr, done.stderr
    assert list(blobs(tmp_path, BIG).iterdir()) == incomplete(tmp_path, BIG)


def test_a_wrong_checksum_once(hub, big, tmp_path):
    hub.fault("cdn:", "corrupt", 1)
    done = download(hub, tmp_path)
    assert "wrong checksum; downloading it again" in done.stderr
    assert cached(tmp_path, BIG, "big-Q8_0.gguf").read_bytes() == big


@pytest.mark.parametrize("name,where", [(BIG, "cdn:"), (TINY, "resolve/.*tokenizer.json")])
def test_a_wrong_checksum_always(hub, tmp_path, name, where):
    hub.fault(where, "corrupt", 99)
    done = download(hub, tmp_path, name, check=False)
    assert done.returncode == 4 and "wrong checksum" in done.stderr, done.stderr
    # Other files may have been on their way.
    digest = re.search(r"(\w+) expected", done.stderr).group(1)
    assert digest not in [path.stem for path in incomplete(tmp_path, name)]
    assert not (blobs(tmp_path, name) / digest).exists()


def incomplete_path(home, data):
    folder = blobs(home, BIG)
    folder.mkdir(parents=True)
    return folder / (sha256(data) + ".incomplete")


@pytest.mark.parametrize("kind", ["half", "whole", "longer", "wrong"])
def test_what_another_process_left(hub, big, tmp_path, kind):
    """huggingface_hub up to 1.x leaves the beginning of the file by this name."""
    half = len(big) // 2
    incomplete_path(tmp_path, big).write_bytes(
        {"half": big[:half], "whole": big, "longer": big + b"x", "wrong": bytes(half)}[kind])
    download(hub, tmp_path)
    assert cached(tmp_path, BIG, "big-Q8_0.gguf").read_bytes() == big
    wanted = {"half": len(big) - half, "whole": 0, "longer": len(big), "wrong": 2 * len(big) - half}
    assert hub.sent == wanted[kind]


def start(hub, home, **env):
    return subprocess.Popen([pajamas.BINARY, "inspect", BIG, "--tensor", "x"],
                            env={**os.environ, **hub.env(home, **env)}, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def wait_for_bytes(home, least):
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if any(p.stat().st_size >= least for p in incomplete(home, BIG)):
            return
        time.sleep(0.02)
    raise AssertionError("nothing arrives")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_killed_in_the_middle(hub, big, tmp_path, how):
    hub.rate = 8 * MIB
    child = start(hub, tmp_path)
    wait_for_bytes(tmp_path, 5 * MIB)
    child.send_signal(how)
    sent = time.monotonic()
    error = child.communicate(timeout=10)[1].decode()
    if how != signal.SIGKILL:
        assert child.returncode == 128 + how and time.monotonic() - sent < 1, error
    [left] = incomplete(tmp_path, BIG)
    there = left.stat().st_size
    assert there >= 5 * MIB and big.startswith(left.read_bytes())  # what any client can continue
    hub.rate, hub.sent = None, 0
    download(hub, tmp_path)
    assert cached(tmp_path, BIG, "big-Q8_0.gguf").read_bytes() == big
    assert hub.sent <= len(big) - there + MIB  # what was under way to the old one counts too


def test_two_at_the_same_time(hub, big, tmp_path):
    hub.rate = 16 * MIB
    children = [start(hub, tmp_path) for _ in range(2)]
    for child in children:
        assert b"is not a GGUF file" in child.communicate(timeout=60)[1]
    assert hub.sent == len(big)
    assert cached(tmp_path, BIG, "big-Q8_0.gguf").read_bytes() == big


# --- disks ----------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=90m", "tmpfs", folder],
                          capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"cannot mount a small disk: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_disk_that_is_too_small(hub, small_disk):
    (small_disk / "other").write_bytes(bytes(10 * MIB))
    done = download(hub, small_disk, check=False)
    assert done.returncode == 7, done.stderr
    for text in ["needs 90.2 MB", "MB are free", "HF_HUB_CACHE"]:
        assert text in done.stderr
    assert hub.asked("cdn:") == []


def test_a_disk_that_fills_up(hub, big, small_disk):
    """Somebody else writes: what has arrived stays, and the download goes on when there is room."""
    incomplete_path(small_disk, big).write_bytes(big[:30 * MIB])
    hub.rate = 4 * MIB
    child = start(hub, small_disk)
    time.sleep(0.5)
    (small_disk / "other").write_bytes(bytes(40 * MIB))
    error = child.communicate(timeout=60)[1].decode()
    assert child.returncode == 7 and "continues" in error, error
    [left] = incomplete(small_disk, BIG)
    assert left.stat().st_size >= 30 * MIB and big.startswith(left.read_bytes())


def test_a_cache_that_may_only_be_read(hub, small_disk):
    """Made by a tool that left no marks of what there is not."""
    env = hub.env(small_disk)
    pajamas.run("run", TINY, "--raw", "--prompt", "a", "--max-tokens", "1", env=env)
    shutil.rmtree(small_disk / "hub/models--pajamas--tiny-qwen2/.no_exist")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    pajamas.run("run", TINY, "--raw", "--prompt", "a", "--max-tokens", "1", env=env)
    hub.repos["x/other"] = Repo({"config.json": b"{}", "model.safetensors": b"no"})
    refused("run", "x/other", "--prompt", "a", status=8, says="Read-only", env=env)


def test_a_cache_that_may_not_be_written(hub, tmp_path):
    (tmp_path / "hub").write_bytes(b"a file")
    refused("tokenize", TINY, "--text", "a", status=8, says=str(tmp_path), env=hub.env(tmp_path))
