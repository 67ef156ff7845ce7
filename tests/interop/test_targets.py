"""`targets`: sizes, bytes read and predictions computed again from stock readers; the goals of the project; figures only
where they were measured."""

import json

import gguf
import pajamas
import pytest

BANDWIDTH = {"RTX 3060": 360e9, "RTX 4070": 504e9, "RTX 4090": 1008e9, "M2 Pro": 200e9, "M3 Max": 400e9, "M3 Ultra": 819e9,
             "H100 SXM": 3350e9}
GOALS = {"Qwen2.5-7B-Instruct": {"ultra": .8e9, "balanced": 1.7e9, "hq": 3.1e9},
         "Qwen3-30B-A3B": {"ultra": 2.1e9, "balanced": 2.7e9, "native": 7.8e9},
         "gpt-oss-20b": {"ultra": 1.6e9, "balanced": 2.1e9, "native": 12.2e9}}


def targets(*args, **options):
    return pajamas.run_json("targets", *args, "--json", **options)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    pajamas.run("quantize", pajamas.TINY_MOE, "--preset", "balanced", "--output", folder)
    return folder / "gguf/model-balanced.gguf", folder / "mlx/model-balanced"


def key_of(path):
    field = gguf.GGUFReader(path).fields.get("llama_pajamas.target")
    return field and bytes(field.parts[field.data[0]]).decode()


def read_for_a_token(path, experts, used):
    """Of weights alone, by another program's reader."""
    total = 0
    for tensor in gguf.GGUFReader(path).tensors:
        share = tensor.n_bytes
        if "_exps" in tensor.name:
            share = share // experts * used
        elif tensor.name == "token_embd.weight":
            share //= int(tensor.shape[1])
        total += share
    return total


def test_the_nine_beside_the_goals(tmp_path):
    told = targets()
    assert {h["name"]: h["bytes_per_second"] for h in told["hardware"]} == BANDWIDTH
    assert {m["model"]: {p["preset"]: p["goal_bytes"] for p in m["presets"]} for m in told["models"]} == GOALS
    listed = {m["model"]: m for m in pajamas.run_json("presets", "--json")["models"]}
    memory = {h["name"]: h["memory_bytes"] for h in told["hardware"]}
    for model in told["models"]:
        for preset, same in zip(model["presets"], listed[model["model"]]["presets"]):
            for output, other in zip(preset["outputs"], same["outputs"]):
                assert output["file_bytes"] == other["file_bytes"] and output["memory_bytes"] == other["memory_bytes"]
                as_what = output["goal_met_as"]
                goal = preset["goal_bytes"]
                assert (as_what == "file") == (output["file_bytes"] <= goal)
                if as_what == "resident memory":
                    assert output["streamed_memory_bytes"] <= goal < output["file_bytes"]
                if as_what == "impossible":
                    assert model["smallest_file_bytes"] > goal
                for entry in output["predicted"]:
                    fits = output["memory_bytes"] <= memory[entry["hardware"]]
                    assert entry["fits"] == fits
                    rate = entry["predicted_tokens_per_second"]
                    assert (rate is None) == (not fits)
                    if fits:
                        assert rate == pytest.approx(BANDWIDTH[entry["hardware"]] / output["bytes_per_token"])
    dense = next(m for m in told["models"] if m["model"].startswith("Qwen2.5"))
    assert dense["presets"][0]["outputs"][0]["goal_met_as"] == "impossible"
    # By hand: 28 layers of 4 key and value heads of 128, q4_0's 18 bytes for 32, 4,096 tokens.
    ultra = dense["presets"][0]["outputs"][0]
    cache = 28 * 2 * 4 * 128 // 32 * 18 * 4096
    (tmp_path / "config.json").write_bytes((pajamas.ROOT / "models/configs/Qwen2.5-7B-Instruct.json").read_bytes())
    plan = pajamas.plan(tmp_path, "gguf", "Q3_K_M")["outputs"][0]
    weights = sum(t["bytes"] for t in plan["tensors"] if t["name"] != "token_embd.weight")
    row = next(t["bytes"] for t in plan["tensors"] if t["name"] == "token_embd.weight") // 152064
    assert ultra["bytes_per_token"] == cache + weights + row
    text = pajamas.run("targets").stdout
    assert "as a file 0.84 bits a weight, impossible" in text and "Predicted, not measured" in text


def test_a_model_that_was_made(made, tmp_path):
    for path in made:
        told = targets(path)["models"][0]
        assert told["target"] == "balanced" and told["goal_bytes"] is None  # no goal for this size
        assert told["quality"] is None
        assert told["speed"]["generation_tokens_per_second"] > 0 and told["speed"]["resident_memory_bytes"] > 0
        rates = {p["hardware"]: p["predicted_tokens_per_second"] for p in told["predicted"]}
        for name, rate in rates.items():
            assert rate == pytest.approx(BANDWIDTH[name] / told["weight_bytes_per_token"])
    config = json.loads((pajamas.TINY_MOE / "config.json").read_text())
    told = targets(made[0], "--no-measure")["models"][0]
    assert told["speed"] is None and told["kv_cache_tokens"] == told["context"]
    assert told["weight_bytes_per_token"] == read_for_a_token(made[0], config["num_experts"], config["num_experts_per_tok"])
    assert told["file_bytes"] == made[0].stat().st_size
    # What was aimed at is not what is made of the model later.
    again = tmp_path / "again.gguf"
    pajamas.quantize(made[0], "gguf", "Q3_K_S", again, "--allow-requantize")
    assert key_of(made[0]) == "balanced" and key_of(again) is None
    pajamas.run("quantize", pajamas.TINY, "--target-size", "3MB", "--output", tmp_path / "sized.gguf")
    assert key_of(tmp_path / "sized.gguf") == "3MB" and targets(tmp_path / "sized.gguf")["models"][0]["target"] == "3MB"


def test_figures_are_those_that_were_measured(made, tmp_path):
    quality, speed = tmp_path / "q.json", tmp_path / "s.json"
    quality.write_text(pajamas.run("validate", made[0], "--reference", pajamas.TINY_MOE, "--metrics", "perplexity,kl",
                                   "--ctx", 128, "--chunks", 4, "--json").stdout)
    speed.write_text(pajamas.run("benchmark", made[0], "--context-lengths", "64", "--prompt-tokens", 16,
                                 "--generation-tokens", 4, "--repeats", 1, "--json").stdout)
    told = targets(made[0], "--measured", f"{quality},{speed}")["models"][0]
    asked = json.loads(quality.read_text())
    assert told["quality"]["perplexity"] == asked["perplexity"] and told["quality"]["kl_mean"] == asked["kl_mean"]
    timed = json.loads(speed.read_text())["results"][0]
    assert told["speed"]["generation_tokens_per_second"] == timed["generation_tokens_per_second"]
    assert told["kv_cache_tokens"] == 64
    text = pajamas.run("targets", made[0], "--measured", quality, "--no-measure").stdout
    assert f"mean KL {asked['kl_mean']:.5f}" in text and "not measured (--no-measure)" in text
    # Of another model, or of nothing: left out, told, refused.
    done = pajamas.run("targets", made[1], "--measured", quality, "--no-measure", "--json")
    assert json.loads(done.stdout)["models"][0]["quality"] is None and "not of this model" in done.stderr
    for content, status in (("{}", 4), ("[", 4), ('{"model": "x", "perplexity": "3"}', 4)):
        (tmp_path / "bad.json").write_text(content)
        done = pajamas.run("targets", made[0], "--measured", tmp_path / "bad.json", check=False)
        assert done.returncode == status and "bad.json" in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    done = pajamas.run("targets", pajamas.TINY, "--measured", quality, check=False)
    assert done.returncode == 2 and "--measured" in done.stderr
