"""benchmark: what it counts, how it ends, what it refuses. No speed is asserted."""

import csv
import io
import json
import math
import struct

import pajamas
import pytest

FLAGS = ("--prompt-tokens", 8, "--generation-tokens", 3, "--repeats", 3)
MODELS = [pajamas.TINY, pajamas.TINY_MOE, pajamas.TINY_OSS]
WIDTHS = {"F32": 4, "BF16": 2, "F16": 2, "U8": 1}


def fails(status, *args, names=(), **options):
    done = pajamas.run("benchmark", *args, check=False, **options)
    assert done.returncode == status, done
    line, = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    for name in names:
        assert name in line, line
    assert not done.stdout
    return line


def stored_tensors(folder):
    """{name: bytes} of a folder's safetensors files."""
    found = {}
    for file in folder.glob("*.safetensors"):
        with open(file, "rb") as opened:
            size, = struct.unpack("<Q", opened.read(8))
            header = json.loads(opened.read(size))
        header.pop("__metadata__", None)
        for name, tensor in header.items():
            found[name] = math.prod(tensor["shape"]) * WIDTHS[tensor["dtype"]], tensor["shape"]
    return found


def weights_read(folder):
    """By the names of the tensors: what one token reads."""
    config = json.loads((folder / "config.json").read_text())
    experts = config.get("num_experts") or config.get("num_local_experts")
    total = 0
    for name, (size, shape) in stored_tensors(folder).items():
        if ".experts." in name:
            assert size * config["num_experts_per_tok"] % experts == 0
            size = size * config["num_experts_per_tok"] // experts
        elif name == "model.embed_tokens.weight" and not config.get("tie_word_embeddings"):
            size //= shape[0]
        total += size
    return total


def cache_read(folder, depth, bytes_per_number):
    config = json.loads((folder / "config.json").read_text())
    head = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    row = 2 * config["num_key_value_heads"] * head * bytes_per_number
    layers = config.get("layer_types") or ["full_attention"] * config["num_hidden_layers"]
    return sum(row * (min(depth, config["sliding_window"] - 1) if kind == "sliding_attention" else depth)
               for kind in layers)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_report(model):
    contexts = [0, 16, 150]
    report = pajamas.run_json("benchmark", model, "--context-lengths", "150,16,0,16", *FLAGS, "--json",
                              "--threads", 2, "--kv-cache", "f16")
    assert list(report) == ["model", "backend", "machine", "results", "load_seconds",
                            "peak_memory_bytes", "memory_over_time"]
    assert report["model"] == str(model) and report["backend"] == "cpu"
    assert report["machine"]["threads"] == 2 and report["machine"]["processor"]
    assert report["load_seconds"] > 0
    assert [row["context"] for row in report["results"]] == contexts
    for row in report["results"]:
        for key in ("prompt_tokens_per_second", "generation_tokens_per_second", "first_token_seconds"):
            if key == "first_token_seconds" and row["context"] == 0:
                assert row[key] is row[key + "_min"] is row[key + "_max"] is None
                continue
            assert 0 < row[key + "_min"] <= row[key] <= row[key + "_max"]
        assert (row["prompt_tokens"], row["generation_tokens"], row["repeats"]) == (8, 3, 3)
        assert row["weight_bytes_per_token"] == weights_read(model)
        assert row["kv_cache_bytes_per_token"] == cache_read(model, row["context"], 2)
        assert row["bytes_per_token"] == row["weight_bytes_per_token"] + row["kv_cache_bytes_per_token"]
        rate = report["machine"]["memory_read_bytes_per_second"]
        if rate:
            assert row["memory_bandwidth_share"] == pytest.approx(
                row["generation_tokens_per_second"] * row["bytes_per_token"] / rate)
        assert 0 < row["resident_memory_bytes"] <= report["peak_memory_bytes"]
        assert row["kv_cache"] == "f16" and row["threads"] == 2 and row["activations"] == "int8"
    # A longer prompt takes longer than its beginning, whatever the machine does.
    firsts = [row["first_token_seconds_min"] for row in report["results"][1:]]
    assert firsts == sorted(firsts)
    described = pajamas.run_json("inspect", model, "--json")
    assert described["bytes_per_token"] == weights_read(model)


def test_tables(tmp_path):
    flags = ("benchmark", pajamas.TINY, "--context-lengths", "16,32", *FLAGS)
    text = pajamas.run(*flags).stdout
    assert "prompt tokens/s" in text and "KV cache f16" in text and "median" in text
    file = tmp_path / "new/speed.csv"
    assert not pajamas.run(*flags, "--csv", "--output", file).stdout
    rows = list(csv.DictReader(io.StringIO(file.read_text(), newline="")))
    assert [row["context"] for row in rows] == ["16", "32"]
    for row in rows:
        assert row["model"] == str(pajamas.TINY) and row["partial"] == "false"
        assert float(row["generation_tokens_per_second"]) > 0
    report = pajamas.run_json(*flags, "--json")
    assert list(report["results"][0]) == [key for key in rows[0] if key not in (
        "model", "backend", "load_seconds", "peak_memory_bytes", "partial")]


def test_defaults_fit_the_model():
    longest = json.loads((pajamas.TINY / "config.json").read_text())["max_position_embeddings"]
    report = pajamas.run_json("benchmark", pajamas.TINY, "--prompt-tokens", 8, "--generation-tokens", 1,
                              "--repeats", 1, "--json")
    contexts = [row["context"] for row in report["results"]]
    assert contexts == [c for c in (512, 2048, 8192) if c <= longest] or contexts == [longest // 2]


@pytest.mark.parametrize("method, format_name", [("Q4_K_M", "gguf"), ("4bit", "mlx")])
@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_shape(model, method, format_name, tmp_path):
    """Of a configuration alone: the sizes are those that plan says."""
    config = tmp_path / "config.json"
    config.write_text((model / "config.json").read_text())
    for shape in (config, tmp_path):
        report = pajamas.run_json("benchmark", "--shape", shape, "--method", method.lower(),
                                  "--context-lengths", 16, *FLAGS, "--json", cwd=tmp_path)
    assert method in report["model"] and "random weights" in report["model"]
    row, = report["results"]
    assert row["generation_tokens_per_second"] > 0
    planned, = pajamas.run_json("plan", "--config", config, "--format", format_name, "--method", method,
                                "--json")["outputs"]
    parsed = json.loads(config.read_text())
    experts = parsed.get("num_experts") or parsed.get("num_local_experts") or 1
    used = parsed.get("num_experts_per_tok", 1)
    names = [tensor["name"] for tensor in planned["tensors"]]
    tied = not any(name.startswith(("output.weight", "lm_head.")) for name in names)
    total = 0
    for tensor in planned["tensors"]:
        name, size = tensor["name"], tensor["bytes"]
        if name == "rope_freqs.weight":
            continue
        if "_exps." in name or ".switch_mlp." in name or ".mlp.experts." in name:
            size = size // experts * used
        elif name.startswith(("token_embd.", "model.embed_tokens.")) and not tied:
            size //= tensor["shape"][0]
        total += size
    assert row["weight_bytes_per_token"] == total
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]


def test_ctrl_c_keeps_what_was_measured():
    report = json.loads(pajamas.interrupted(  # until a second of it is done
        "benchmark", pajamas.TINY, "--context-lengths", "16,32", "--prompt-tokens", "8", "--generation-tokens", "4",
        "--repeats", "1000000", "--json", step="benchmarking", beyond=1000))
    assert report["partial"] is True
    assert [row["context"] for row in report["results"]] == [16, 32]
    for row in report["results"]:
        assert row["repeats"] >= 1 and row["generation_tokens_per_second"] > 0


def test_refusals(tmp_path):
    longest = json.loads((pajamas.TINY / "config.json").read_text())["max_position_embeddings"]
    fails(2, pajamas.TINY, "--context-lengths", f"16,{longest + 1}",
          names=["--context-lengths", f"at most {longest}"])
    fails(2, pajamas.TINY, "--backend", "cdua", names=["cdua", "built in: cpu"])
    fails(2, pajamas.TINY, "--context-lengths", "16,2k", names=["--context-lengths", "2k"])
    fails(2, pajamas.TINY, "--repeats", 0, names=["--repeats"])
    fails(2, pajamas.TINY, "--kv-cache", "f61", names=["--kv-cache", "f16"])
    fails(2, names=["MODEL", "--shape"])
    fails(2, pajamas.TINY, "--shape", pajamas.TINY, names=["not both"])
    fails(2, "--shape", pajamas.TINY, "--method", "Q4_K_X", names=["--method", "Q4_K"])
    fails(5, "--shape", pajamas.TINY, "--method", "fp8", names=["F8_E4M3"])
    fails(3, "--shape", tmp_path / "none", names=["gpt-oss-20b"])
    (tmp_path / "file").write_text("precious")
    fails(6, pajamas.TINY, "--output", tmp_path / "file", names=["--force"])
    # Before the model is opened.
    fails(6, tmp_path / "no model", "--output", tmp_path / "file", names=["--force"])
    fails(8, pajamas.TINY, "--output", tmp_path / "file/speed.json", names=[str(tmp_path / "file")])
    assert (tmp_path / "file").read_text() == "precious"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
