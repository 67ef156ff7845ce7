"""compare: figures are those of validate and plain arithmetic; refusals. No speed is asserted."""

import json
import math
import shutil

import pajamas
import pytest

SPEED = ("--context-lengths", "16,48", "--prompt-tokens", 8, "--generation-tokens", 3)
QUALITY = ("--ctx", 64, "--chunks", 6)


def fails(status, *args, names=()):
    done = pajamas.run("compare", *args, check=False)
    assert done.returncode == status, done
    line, = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    for name in names:
        assert name in line, line
    assert not done.stdout


def validated(model, *flags):
    return pajamas.run_json("validate", model, *QUALITY, "--json", *flags)


def test_gguf_against_mlx_against_the_original(models):
    paths = [models.gguf("Q4_K_M"), models.mlx("4bit"), pajamas.TINY]
    flags = [flag for number, path in enumerate(paths, 1) for flag in (f"--model{number}", path)]
    report = pajamas.run_json("compare", *flags, *SPEED, *QUALITY, "--repeats", 3, "--json")
    assert list(report) == ["models", "verdicts"]
    assert [model["path"] for model in report["models"]] == [str(path) for path in paths]
    assert [model["format"] for model in report["models"]] == ["GGUF", "MLX", "Hugging Face"]
    for number, (path, model) in enumerate(zip(paths, report["models"])):
        files = [path] if path.is_file() else list(path.glob("*.safetensors"))
        assert model["size_bytes"] == sum(file.stat().st_size for file in files)
        assert model["bits_per_weight"] == \
            pytest.approx(pajamas.run_json("inspect", path, "--json")["bits_per_weight"])
        assert model["memory_bytes"] > model["size_bytes"] * 0.9
        assert [row["context"] for row in model["results"]] == [16, 48]
        assert all(row["repeats"] == 3 for row in model["results"])
        scored = validated(path, *(("--reference", paths[0], "--metrics", "perplexity,kl")
                                   if number else ()))
        assert model["perplexity"] == pytest.approx(scored["perplexity"], rel=1e-12)
        if number:
            assert model["kl_mean"] == pytest.approx(scored["kl_mean"], rel=1e-12)
            assert model["kl_from"] == str(paths[0])
        else:
            assert model["kl_mean"] is None
    verdicts = {verdict["metric"]: verdict for verdict in report["verdicts"]}
    assert list(verdicts) == ["speed", "prompt_speed", "memory", "quality", "size"]
    for verdict in report["verdicts"]:
        assert list(verdict) == ["metric", "winner", "ratio", "low", "high"]
        assert verdict["low"] <= verdict["ratio"] <= verdict["high"] and verdict["ratio"] >= 1
        assert (verdict["winner"] is not None) == (verdict["low"] > 1)
        assert verdict["winner"] is None or verdict["winner"] in map(str, paths)
    sizes = sorted(model["size_bytes"] for model in report["models"])
    assert verdicts["size"]["ratio"] == pytest.approx(sizes[1] / sizes[0])
    best, second = sorted(model["perplexity"] for model in report["models"])[:2]
    assert verdicts["quality"]["ratio"] == pytest.approx(second / best)


def test_quality_has_the_noise_of_pairs(models):
    small = models.gguf("Q2_K")
    report = pajamas.run_json("compare", "--model1", pajamas.TINY, "--model2", small, "--metrics", "quality",
                              *QUALITY, "--json")
    verdict, = report["verdicts"]
    scored = validated(small, "--reference", pajamas.TINY, "--metrics", "perplexity,kl")
    error = scored["loss_percent_stderr"] / (100 + scored["loss_percent"])
    assert verdict["winner"] == str(pajamas.TINY)
    assert math.log(verdict["high"] / verdict["ratio"]) == pytest.approx(1.96 * error, rel=1e-9)
    assert all(model["results"] == [] for model in report["models"])


def test_a_reference_of_its_own(models):
    pair = [models.gguf("Q4_0"), models.gguf("Q8_0")]
    report = pajamas.run_json("compare", "--model1", pair[0], "--model2", pair[1], "--metrics", "quality,size",
                              "--reference", pajamas.TINY, *QUALITY, "--json")
    for path, model in zip(pair, report["models"]):
        scored = validated(path, "--reference", pajamas.TINY, "--metrics", "perplexity,kl")
        assert model["kl_mean"] == pytest.approx(scored["kl_mean"], rel=1e-12)
        assert model["kl_from"] == str(pajamas.TINY)
    # The difference of the two is that of the pair, whatever both are compared with.
    quality = next(v for v in report["verdicts"] if v["metric"] == "quality")
    paired = validated(pair[1], "--reference", pair[0], "--metrics", "perplexity,kl")
    error = paired["loss_percent_stderr"] / (100 + paired["loss_percent"])
    assert math.log(quality["high"] / quality["ratio"]) == pytest.approx(1.96 * error, rel=1e-9)


def test_table(models):
    text = pajamas.run("compare", "--model1", pajamas.TINY, "--model2", models.gguf("Q4_K_M"), *SPEED,
                       *QUALITY, "--repeats", 2).stdout
    for said in ("generation tokens/s", "perplexity", "KL", "speed:", "quality:", "size:", "smaller"):
        assert said in text, said


def test_different_tokenizers_leave_quality_out(tmp_path):
    other = tmp_path / "other"
    shutil.copytree(pajamas.TINY, other)
    file = other / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:20]
    file.write_text(json.dumps(tokenizer))
    done = pajamas.run("compare", "--model1", pajamas.TINY, "--model2", other, *SPEED, "--repeats", 2, "--json")
    notes = [line for line in done.stderr.splitlines() if "different tokenizers" in line]
    assert len(notes) == 1 and str(other) in notes[0]
    report = json.loads(done.stdout)
    assert [verdict["metric"] for verdict in report["verdicts"]] == ["speed", "prompt_speed", "memory", "size"]
    assert all(model["perplexity"] is None for model in report["models"])
    assert report["verdicts"][-1]["winner"] is None or report["verdicts"][-1]["ratio"] > 1


def test_ctrl_c_keeps_what_was_measured():
    report = json.loads(pajamas.interrupted("compare", "--model1", pajamas.TINY, "--model2", pajamas.TINY, *SPEED, "--repeats", "100000",
                                            "--json", step="comparing speed", beyond=1500))
    assert report["partial"] is True
    assert all(row["generation_tokens_per_second"] > 0 for model in report["models"] for row in model["results"])
    assert report["verdicts"][0]["metric"] == "speed"
    # One model twice: no difference, or one by accident, which names which of the two.
    assert report["verdicts"][0]["winner"] in (None, f"{pajamas.TINY} (model1)", f"{pajamas.TINY} (model2)")


def test_refusals(tmp_path):
    pair = ("--model1", pajamas.TINY, "--model2", pajamas.TINY)
    fails(2, "--model1", pajamas.TINY, names=["--model2"])
    fails(2, *pair, "--metrics", "speed,qualty", names=["--metrics", "quality"])
    fails(2, *pair, "--backend2", "cdua", names=["--backend2", "built in: cpu"])
    fails(2, *pair, "--backend3", "cpu", names=["--backend3", "--model3"])
    fails(2, *pair, "--repeats", 1, names=["--repeats"])
    fails(2, *pair, "--context-lengths", 10 ** 6, names=["--context-lengths", "at most"])
    (tmp_path / "file").write_text("precious")
    fails(6, "--model1", tmp_path / "none", "--model2", pajamas.TINY, "--output", tmp_path / "file",
          names=["--force"])
