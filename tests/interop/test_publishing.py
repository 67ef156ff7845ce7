"""What a publisher needs: one pass for all methods, names, split files, the model card in the file."""

import ctypes
import shutil
import signal
import subprocess
import time

import gguf
import llama_cpp
import numpy as np
import pajamas
import peers
import pytest

METHODS = "Q8_0,Q6_K,Q4_K_M,IQ4_NL"
CARD = """---
license: other
license_name: tiny-research
license_link: https://huggingface.co/x/tiny/blob/main/LICENSE
author: Ada
model_creator: Somebody else
base_model:
- Qwen/Qwen2.5-7B-Instruct
- https://huggingface.co/mistralai/Mistral-7B-v0.3
- https://example.com/elsewhere
- name: By Hand
  organization: Us
datasets:
- open-web-math/open-web-math
- plain
language:
- en
- no
pipeline_tag: text-generation
tags: [chat, "yaml: quoted", d\u00e9]
description: >-
  Folded
  text.
version: v1.10
model-index:
- name: tiny
  results: [{metric: 1.0}]
---
# Tiny
"""


@pytest.fixture
def published(tmp_path):
    """A checkpoint with a name and a card."""
    folder = tmp_path / "Tiny-4M-Chat"
    shutil.copytree(pajamas.TINY, folder)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    return folder


def keys(path):
    return {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()
            if not name.startswith("GGUF.")}


def tensors(path):
    return {t.name: (t.tensor_type, tuple(t.shape), t.data.tobytes()) for t in gguf.GGUFReader(path).tensors}


def test_the_card_says_what_the_converter_makes_of_it(published, tmp_path):
    pajamas.quantize(published, "gguf", "Q4_0", tmp_path / "out.gguf")
    writer = gguf.GGUFWriter(None, "qwen2")
    total = sum(int(np.prod(t.shape)) for t in gguf.GGUFReader(tmp_path / "out.gguf").tensors)
    gguf.Metadata.load(model_path=published, total_params=total).set_gguf_meta_model(writer)
    expected = {key: value.value for key, value in writer.kv_data[0].items()
                if key.startswith("general.") and not key.startswith("general.sampling")}
    assert expected["general.base_model.count"] == 4 and len(expected) > 25
    written = keys(tmp_path / "out.gguf")
    assert {key: written.get(key) for key in expected} == expected
    extra = [key for key in written if key.startswith(("general.base_model", "general.dataset", "general.source",
                                                       "general.license", "general.tags", "general.lang"))]
    assert set(extra) <= set(expected)


def test_the_card_survives_another_quantization(published, tmp_path):
    pajamas.quantize(published, "gguf", "Q8_0", tmp_path / "first.gguf")
    pajamas.quantize(tmp_path / "first.gguf", "gguf", "Q4_0", tmp_path / "second.gguf", "--allow-requantize")
    first, second = keys(tmp_path / "first.gguf"), keys(tmp_path / "second.gguf")
    wanted = [key for key in first if key.startswith("general.") and key != "general.file_type"]
    assert [second.get(key) for key in wanted] == [first[key] for key in wanted]


@pytest.mark.parametrize("card", [
    "---\nlicense: [mit\n---\n", "---\nlicense: mit\n", "---\na: &x [1]\nb: [*x, *x]\n---\n",
    "---\n" + "[" * 100000 + "\n---\n", "---\nlicense: mit\ntext: " + "x" * (3 << 20) + "\n---\n",
    "---\nbase_model: " + "9" * 100000 + "b-" * 100000 + "\n---\n",
], ids=["broken", "open", "alias", "deep", "huge", "long-id"])
def test_a_bad_card_is_a_note_at_most(published, tmp_path, card):
    (published / "README.md").write_text(card)
    done = pajamas.quantize(published, "gguf", "Q4_0", tmp_path / "out.gguf")
    assert "README.md" in done.stderr or card.startswith("---\nbase_model")
    assert "general.license" not in keys(tmp_path / "out.gguf")
    with peers.llama_model(tmp_path / "out.gguf", vocab_only=True):
        pass


def bytes_read(*command):
    """By every read of a program and its threads: a shell that waited for it has them in its own account."""
    done = subprocess.run(["bash", "-c", '"$@" >/dev/null 2>&1 || exit 1; cat /proc/$$/io', "_", *map(str, command)],
                          check=True, capture_output=True, text=True)
    return int(done.stdout.split("rchar:")[1].split()[0])


def test_many_methods_read_the_checkpoint_once(published, tmp_path):
    def command(methods, output):
        return (pajamas.BINARY, "quantize", published, "--method", methods, "--output", tmp_path / output,
                "--output-name", "{name}-{method}.gguf")
    weights = sum(p.stat().st_size for p in published.glob("*.safetensors"))
    one, all_of_them = bytes_read(*command("Q6_K", "one")), bytes_read(*command(METHODS, "all"))
    assert one > weights and all_of_them < one + weights / 10
    assert sorted(p.name for p in (tmp_path / "all").iterdir()) == sorted(
        f"Tiny-4M-Chat-{m}.gguf" for m in METHODS.split(","))
    name = "Tiny-4M-Chat-Q6_K.gguf"
    assert (tmp_path / "all" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_names_of_both_formats(published, tmp_path):
    pajamas.quantize(published, "gguf,mlx", "Q4_0:4bit", tmp_path / "out", "--output-name", "{name:lower}-{method}.gguf")
    assert (tmp_path / "out/gguf/tiny-4m-chat-Q4_0.gguf").is_file()
    assert (tmp_path / "out/mlx/tiny-4m-chat-4bit/config.json").is_file()


@pytest.mark.parametrize("pattern,said", [
    ("{nmae}-{method}", "did you mean name?"), ("{name}", "put {method} into it"), ("a/{name}-{method}", '"/"'),
    ("{name-{method}", "no partner"), (".{method}", "no name")])
def test_bad_names_are_told_before_any_work(published, tmp_path, pattern, said):
    done = pajamas.quantize(published, "gguf", "Q8_0,Q4_0", tmp_path / "out", "--output-name", pattern, check=False)
    assert done.returncode == 2 and "--output-name" in done.stderr and said in done.stderr, done.stderr
    assert not (tmp_path / "out").exists()


def split_path(prefix, number, count):
    room = ctypes.create_string_buffer(4096)
    llama_cpp.llama_split_path(room, len(room), str(prefix).encode(), number, count)
    return room.value.decode()


def test_split_files_are_one_model_for_every_reader(published, tmp_path):
    pajamas.quantize(published, "gguf", "Q8_0", tmp_path / "whole.gguf")
    pajamas.quantize(published, "gguf", "Q8_0", tmp_path / "parts.gguf", "--split-size", "1MB")
    files = sorted((tmp_path / "parts").iterdir())
    count = len(files)
    assert count > 3
    # Names and keys as llama.cpp's.
    assert [str(f) for f in files] == [split_path(tmp_path / "parts/parts", i, count) for i in range(count)]
    whole, merged = tensors(tmp_path / "whole.gguf"), {}
    for number, file in enumerate(files):
        own = tensors(file)
        sizes = [-(-len(t[2]) // 32) * 32 for t in own.values()]
        assert sum(sizes) <= 1_000_000 or len(own) == 1
        if number > 0:  # the next file begins where its first tensor did not fit
            assert before + sizes[0] > 1_000_000
        before = sum(sizes)
        merged.update(own)
        found = keys(file)
        assert (found["split.no"], found["split.count"], found["split.tensors.count"]) == (number, count, len(whole))
        assert (len(found) == 3) == (number > 0)
    assert list(merged) == list(whole) and merged == whole
    first = {k: v for k, v in keys(files[0]).items() if not k.startswith("split.")}
    assert first == keys(tmp_path / "whole.gguf")
    chunk = [list(range(5, 69))]
    assert np.array_equal(peers.llama_logits(files[0], chunk), peers.llama_logits(tmp_path / "whole.gguf", chunk))
    # Ours, by folder and by any part; quantized again they are one file.
    text = [pajamas.run("run", m, "--raw", "--prompt", "Once", "--temperature", 0, "--max-tokens", 8).stdout
            for m in (tmp_path / "whole.gguf", tmp_path / "parts", files[1])]
    assert text[0] == text[1] == text[2]
    pajamas.quantize(files[0], "gguf", "Q8_0", tmp_path / "again.gguf")
    assert tensors(tmp_path / "again.gguf") == whole and keys(tmp_path / "again.gguf") == keys(tmp_path / "whole.gguf")


def test_what_fits_one_file_is_one(published, tmp_path):
    pajamas.quantize(published, "gguf", "Q8_0", tmp_path / "a.gguf", "--split-size", "1 GiB")
    pajamas.quantize(published, "gguf", "Q8_0", tmp_path / "b.gguf")
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


def test_mlx_shards_have_the_size_too(published, tmp_path):
    pajamas.quantize(published, "mlx", "8bit", tmp_path / "out", "--split-size", "1MB")
    shards = list((tmp_path / "out").glob("model-*-of-*.safetensors"))
    assert len(shards) > 3 and all(s.stat().st_size < 2_000_000 for s in shards)


def test_split_outputs_are_kept_replaced_and_refused(published, tmp_path):
    args = (published, "gguf", "Q8_0", tmp_path / "m.gguf", "--split-size", "1MB")
    pajamas.quantize(*args)
    assert "exists" in pajamas.quantize(*args, check=False).stderr
    pajamas.quantize(*args, "--force")
    for size, said in (("4 KB", "give a larger size"), ("much", "is no size"), ("0", "is no size")):
        done = pajamas.quantize(published, "gguf", "Q8_0", tmp_path / "n.gguf", "--split-size", size, check=False)
        assert (done.returncode == 0 and size == "4 KB") or (done.returncode == 2 and said in done.stderr)
    # A folder that holds something else stays.
    (tmp_path / "home").mkdir()
    (tmp_path / "home/letter.txt").write_text("precious")
    done = pajamas.quantize(published, "gguf", "Q8_0", tmp_path / "home.gguf", "--split-size", "1MB", "--force",
                            check=False)
    assert done.returncode == 6 and (tmp_path / "home/letter.txt").read_text() == "precious"


def test_a_kill_leaves_no_part_of_a_split(published, tmp_path):
    args = [pajamas.BINARY, "quantize", published, "--method", "Q8_0,Q6_K,Q2_K", "--split-size", "1MB", "--threads",
            "1", "--output"]
    began = time.monotonic()
    subprocess.run([*args, tmp_path / "whole"], check=True, capture_output=True)
    seconds = time.monotonic() - began
    whole = {p.relative_to(tmp_path / "whole"): p.read_bytes() for p in (tmp_path / "whole").rglob("*.gguf")}
    killed = 0
    for attempt in range(8):
        out = tmp_path / f"out-{attempt}"
        process = subprocess.Popen([*args, out], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds * (attempt + 1) / 9)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        folders = [p for p in out.glob("gguf/*") if not p.name.startswith(".")] if out.exists() else []
        for folder in folders:  # whole, or not there
            files = {p.relative_to(out): p.read_bytes() for p in folder.iterdir()}
            assert files == {k: v for k, v in whole.items() if k.parent == folder.relative_to(out)}
    assert killed >= 3
