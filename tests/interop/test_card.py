"""`card`: a README.md that the hub's own reader understands, with figures that were measured and no others."""

import json
import shutil

import pajamas
import pytest

ORIGINAL_CARD = """---
license: other
license_name: tiny-licence
license_link: https://example.org/licence
language:
- en
- 'no'
pipeline_tag: text-generation
---
# tiny
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    original = folder / "original"
    shutil.copytree(pajamas.TINY, original)
    (original / "README.md").write_text(ORIGINAL_CARD)
    pajamas.run("quantize", original, "--format", "gguf,mlx", "--method", "Q4_K_M:4bit", "--output", folder / "out")
    return folder


def front_of(path):
    yaml = pytest.importorskip("yaml")
    _, front, body = path.read_text().split("---\n", 2)
    return yaml.safe_load(front), body


def rows(body):
    """The table of files: {path: {column: cell}}."""
    lines = [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in body.splitlines() if line.startswith("| ")]
    return {line[0]: dict(zip(lines[0], line)) for line in lines[1:]}


def test_with_figures_that_it_measures(made):
    card = made / "out/README.md"
    done = pajamas.run("card", made / "out", "--reference", made / "original", "--chunks", 2, "--ctx", 128,
                       "--base-model", "x/tiny", "--repository", "me/tiny-GGUF", "--quantized-by", "me")
    front, body = front_of(card)
    assert front == {"base_model": "x/tiny", "base_model_relation": "quantized", "license": "other",
                     "license_name": "tiny-licence", "license_link": "https://example.org/licence", "language": ["en", "no"],
                     "pipeline_tag": "text-generation", "library_name": "gguf",
                     "tags": ["gguf", "mlx", "quantized", "llama-pajamas"], "quantized_by": "me"}
    table = rows(body)
    paths = [p.relative_to(made / "out").as_posix() for p in sorted((made / "out").glob("*/*"))]
    assert sorted(table) == sorted(paths)
    for path, row in table.items():
        told = pajamas.run_json("validate", made / "out" / path, "--reference", made / "original", "--metrics", "perplexity,kl",
                                "--chunks", 2, "--ctx", 128, "--json")
        assert row["perplexity"] == f"{told['perplexity']:.4f} ± {told['perplexity_stderr']:.4f}"
        assert row["mean KL, nats"] == f"{told['kl_mean']:.5f} ± {told['kl_stderr']:.5f}"
        assert row["same top token"] == f"{told['top1'] * 100:.1f} %"
    assert "MMLU" not in body and "MMLU was not measured" in done.stderr
    assert str(made) not in body  # where files lie here is nobody's business
    assert "me/tiny-GGUF:gguf/" in body and "llama-cli -hf me/tiny-GGUF" in body and "mlx_lm.generate" in body
    hub = pytest.importorskip("huggingface_hub")
    assert hub.ModelCard.load(card).data.base_model == "x/tiny"
    before = card.read_bytes()
    done = pajamas.run("card", made / "out", check=False)
    assert done.returncode == 6 and "--force" in done.stderr and card.read_bytes() == before


def test_with_figures_of_reports_alone(made, tmp_path):
    (gguf,) = (made / "out/gguf").iterdir()
    asked = pajamas.run("validate", gguf, "--metrics", "perplexity,mmlu", "--ctx", 128, "--chunks", 2, "--limit", 1, "--shots",
                        0, "--json").stdout
    (tmp_path / "q.json").write_text(asked)
    told = json.loads(asked)
    pajamas.run("card", made / "out", "--measured", tmp_path / "q.json", "--output", tmp_path / "card.md")
    front, body = front_of(tmp_path / "card.md")
    assert "base_model" not in front and "quantized_by" not in front
    assert front["license"] == "other"  # as the GGUF has it
    table = rows(body)
    ours = table.pop(f"gguf/{gguf.name}")
    assert ours["perplexity"].startswith(f"{told['perplexity']:.4f}") and "mean KL, nats" not in ours
    assert ours["MMLU"].startswith(f"{told['mmlu']['accuracy'] * 100:.1f} %")
    (other,) = table.values()
    assert other["perplexity"] == other["MMLU"] == "not measured"
    assert "from q.json" in body and "## Speed" not in body
    # Speed, and of each figure the report that has it; a later report of quality leaves speed as it was.
    timed = pajamas.run("benchmark", gguf, "--context-lengths", "16,32", "--prompt-tokens", 8, "--generation-tokens", 4,
                        "--repeats", 1, "--json").stdout
    (tmp_path / "speed.json").write_text(timed)
    pajamas.run("card", made / "out", "--measured", f"{tmp_path / 'speed.json'},{tmp_path / 'q.json'}", "--output",
                tmp_path / "speed.md")
    _, body = front_of(tmp_path / "speed.md")
    files, speed = body.split("## Speed")
    assert rows(files)[f"gguf/{gguf.name}"] == ours
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in speed.splitlines() if line.startswith("| gguf/")]
    report = json.loads(timed)
    assert [(path, int(context)) for path, context, _, _ in shown] == [(f"gguf/{gguf.name}", 16), (f"gguf/{gguf.name}", 32)]
    for row, told_row in zip(shown, report["results"]):
        for cell, key in zip(row[2:], ("prompt_tokens_per_second", "generation_tokens_per_second")):
            assert float(cell.replace(",", "")) == pytest.approx(told_row[key], rel=0.006)
    assert "from speed.json" in speed and f"backend {report['backend']}" in speed and "from q.json" in files
    assert str(tmp_path) not in body
    # No figure of a report for another file, and none at all.
    pajamas.run("card", gguf, "--output", tmp_path / "bare.md")
    _, body = front_of(tmp_path / "bare.md")
    assert list(rows(body)) == [gguf.name] and "Quality was not measured." in body


def test_refusals_before_any_work(made, tmp_path):
    (gguf,) = (made / "out/gguf").iterdir()
    for args, status, says in (
        ((tmp_path / "none",), 3, "no such file"),
        ((tmp_path,), 3, "holds no model"),
        ((gguf, "--base-model", "nothing"), 2, "--base-model"),
        ((gguf, "--measured", tmp_path / "none.json"), 3, "none.json"),
        ((gguf, "--output", tmp_path / "x.md", "--reference", tmp_path / "none"), 3, "none"),
    ):
        done = pajamas.run("card", *args, check=False)
        assert done.returncode == status and says in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert not (tmp_path / "x.md").exists()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.gguf").write_bytes(gguf.read_bytes()[:5000])
    done = pajamas.run("card", broken, check=False)
    assert done.returncode == 4 and "a.gguf" in done.stderr and not (broken / "README.md").exists()
