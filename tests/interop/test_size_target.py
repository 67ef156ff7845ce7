"""--target-size and --target-bpw: files of stock types that are never larger than asked, and worth their size."""

import numpy as np
import pajamas
import peers
import pytest

CHUNK = [list(range(5, 69))]


def size_of(path):
    return path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.iterdir())


def divergence(model):
    report = pajamas.run_json("validate", model, "--metrics", "kl", "--reference", pajamas.TINY, "--ctx", 256,
                              "--chunks", 8, "--json")
    return report["kl_mean"]


@pytest.mark.parametrize("format,name", [("gguf", "t.gguf"), ("mlx", "t")])
def test_files_are_as_large_as_asked_and_stock_peers_load_them(tmp_path, format, name):
    sizes, logits = [], []
    for size in ("1900 KB", "2.6MB", "2.6MiB", "3.4MB"):
        path = tmp_path / size.replace(" ", "") / name
        done = pajamas.run("quantize", pajamas.TINY, "--format", format, "--target-size", size, "--output", path)
        number = float("".join(c for c in size if c in "0123456789."))
        limit = number * {"KB": 1e3, "MB": 1e6, "iB": 1 << 20}[size[-2:]]
        assert limit * .97 < size_of(path) <= limit, size
        assert "bits per weight" in done.stderr  # what was chosen
        sizes.append(size_of(path))
        read = peers.llama_logits if format == "gguf" else peers.mlx_logits
        logits.append(np.asarray(read(path, CHUNK)))
        assert np.isfinite(logits[-1]).all()
    assert sizes == sorted(sizes)
    divergences = [divergence(tmp_path / size / name) for size in ("1900KB", "2.6MB", "3.4MB")]
    assert divergences == sorted(divergences, reverse=True)


def test_a_target_is_no_worse_than_the_method_of_its_size(tmp_path):
    """Of mean KL; docs/size-target.md has how much better it is."""
    for method in ("Q4_K_M", "Q3_K_M"):
        pajamas.quantize(pajamas.TINY, "gguf", method, tmp_path / f"{method}.gguf")
        size = (tmp_path / f"{method}.gguf").stat().st_size
        path = tmp_path / f"{method}-target.gguf"
        pajamas.run("quantize", pajamas.TINY, "--target-size", size, "--output", path)
        assert size_of(path) <= size
        assert divergence(path) < divergence(tmp_path / f"{method}.gguf") * .85


def test_bits_per_weight(tmp_path):
    report = pajamas.run_json("quantize", pajamas.TINY, "--format", "gguf,mlx", "--target-bpw", "5.25", "--output",
                              tmp_path, "--json")
    assert [o["method"] for o in report["outputs"]] == ["5.25bpw", "5.25bpw"]
    for output in report["outputs"]:
        assert 5.1 < output["bits_per_weight"] <= 5.25
    assert (tmp_path / "gguf/model-5.25bpw.gguf").is_file()


def test_the_same_on_any_number_of_threads(tmp_path):
    files = []
    for threads in (1, 3):
        path = tmp_path / f"{threads}.gguf"
        pajamas.run("quantize", pajamas.TINY, "--target-size", "2.5MB", "--threads", threads, "--output", path)
        files.append(path.read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize("flags,said", [
    (("--target-size", "800kB"), "the smallest gguf of this model has"),
    (("--target-bpw", "1"), "bits per weight"),
    (("--target-bpw", "33"), "no number of bits"),
    (("--target-size", "1MB", "--target-bpw", "4"), "--target-bpw"),
    (("--target-size", "big"), "is no size"),
    (("--target-size", "3MB", "--method", "Q4_K_M"), "--method"),
    (("--target-size", "3MB", "--architecture-aware"), "--architecture-aware"),
    ((), "--method")])
def test_what_cannot_be_is_one_line(tmp_path, flags, said):
    done = pajamas.run("quantize", pajamas.TINY, *flags, "--output", tmp_path / "x.gguf", check=False)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and not list(tmp_path.iterdir())


def test_a_plan_tells_without_weights():
    report = pajamas.run_json("plan", "--config", pajamas.ROOT / "models/configs/Qwen3-30B-A3B.json", "--target-size",
                              "16GB", "--json")
    output, = report["outputs"]
    assert 15.9e9 < output["file_bytes"] <= 16e9
