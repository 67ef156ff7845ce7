"""`validate MODEL` alone: the original is found where the file or its card names it and the cache has it."""

import json
import os

import pajamas
import pytest

TEXT = ["--ctx", "128", "--chunks", "4"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def cached(cache, repository, source):
    """The cache's layout, as links to a folder."""
    folder = cache / ("models--" + repository.replace("/", "--"))
    snapshot = folder / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text(COMMIT)
    for file in source.iterdir():
        os.symlink(file, snapshot / file.name)


def without_template(source, folder):
    folder.mkdir()
    for file in source.iterdir():
        os.symlink(file, folder / file.name)
    config = json.loads((source / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (folder / "tokenizer_config.json").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    (folder / "README.md").unlink(missing_ok=True)
    return folder


@pytest.fixture
def cache(tmp_path):
    cached(tmp_path / "hub", "makers/tiny-qwen2", pajamas.TINY)
    return {"HF_HUB_CACHE": str(tmp_path / "hub")}


def parts(figures):
    """What is lost, and which words would differ, of one text's figures."""
    loss, other = figures["loss_percent"], round(1 / (1 - figures["top1"]))
    ending = "th" if other % 100 // 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(other % 10, "th")
    return (f"{'gains' if loss < 0 else 'loses'} {abs(loss):.1f} %",
            "" if figures["loss_counts"] else ", which may be chance",
            "single" if other == 1 else f"{other}{ending}")


def sentence(figures):
    """The chat's figures, then the prose's; of a model without a chat template the latter alone."""
    lost, chance, nth = parts(figures)
    if "texts" not in figures:
        return f"{lost} against the original{chance}; every {nth} next word would differ"
    chat, chat_chance, chat_nth = parts(figures["texts"][0])
    return (f"in chats {chat} against the original{chat_chance}, every {chat_nth} next word would "
            f"differ; on raw prose {lost}{chance}, every {nth}")


def validate(model, *flags, env, **options):
    return pajamas.run("validate", model, *TEXT, *flags, env=env, **options)


def test_by_the_name_in_a_gguf(models, cache):
    """The same figures as with --reference, and a last sentence."""
    quantized = models.gguf("Q4_K_M")
    done = validate(quantized, env=cache)
    assert "makers/tiny-qwen2" in done.stderr and "KL" in done.stderr
    told = validate(quantized, "--metrics", "perplexity,kl", "--reference", pajamas.TINY, "--texts",
                    "chat", env=cache)
    lines = done.stdout.splitlines()
    assert lines[:-1] == told.stdout.splitlines()
    figures = json.loads(validate(quantized, "--json", env=cache).stdout)
    assert figures["reference"] == "makers/tiny-qwen2"
    assert lines[-1] == figures["verdict"]
    assert lines[-1] == sentence(figures)


def test_by_a_model_card(models, tmp_path, cache):
    folder = tmp_path / "renamed"
    folder.mkdir()
    for file in models.mlx("4bit").iterdir():
        if file.name != "README.md":
            os.symlink(file, folder / file.name)
    alone = validate(folder, env=cache)
    assert "makers" not in alone.stderr and "--reference" in alone.stdout.splitlines()[-1]
    assert "of what an assistant says" in alone.stdout.splitlines()[-1]
    (folder / "README.md").write_text("---\nbase_model: makers/tiny-qwen2\n---\n")
    done = validate(folder, env=cache)
    assert "makers/tiny-qwen2, which the model card names" in done.stderr
    assert "next word would differ" in done.stdout.splitlines()[-1]


def test_a_model_that_knows_no_chats(models, tmp_path, cache):
    """The sentence is about prose alone, and nothing is said of a chat."""
    folder = without_template(models.mlx("4bit"), tmp_path / "plain")
    alone = validate(folder, env=cache)
    assert alone.stdout.splitlines()[-1].startswith("at each token as uncertain as between")
    (folder / "README.md").write_text("---\nbase_model: makers/tiny-qwen2\n---\n")
    done = validate(folder, "--json", env=cache)
    figures = json.loads(done.stdout)
    assert "texts" not in figures and figures["verdict"] == sentence(figures)
    assert "chat" not in done.stderr


def test_what_is_asked_for_is_done(models, tmp_path, cache):
    """A metric, a reference to be kept, an original: nothing is looked for."""
    quantized = models.gguf("Q4_K_M")
    for model, *flags in ((quantized, "--metrics", "perplexity"),
                          (quantized, "--save-reference", tmp_path / "kept"), (pajamas.TINY,)):
        figures = json.loads(validate(model, *flags, "--json", env=cache).stdout)
        assert "reference" not in figures and "verdict" not in figures
        assert ("texts" in figures) == (not flags)


def test_another_model_of_that_name_is_none(models, tmp_path):
    cached(tmp_path / "hub", "makers/tiny-qwen2", pajamas.TINY_MOE)
    done = validate(models.gguf("Q4_K_M"), "--json", env={"HF_HUB_CACHE": str(tmp_path / "hub")})
    assert "reference" not in json.loads(done.stdout)
