"""Importance matrices against those that stock llama.cpp measured (data/imatrix: 439 chunks of 256
tokens of calibration.txt, from F32 files), and what is made with them."""

import lzma
import os
import pathlib
import shutil
import struct

import gguf
import numpy as np
import pajamas
import peers
import pytest
import reference_shapes
from effort import by_day, every

DATA = pathlib.Path(__file__).parent / "data/imatrix"
MODELS = ("tiny-qwen2", "tiny-qwen3-moe", "tiny-gpt-oss")
FLAGS = ("--ctx", 256)


@pytest.fixture(scope="session")
def calibration(scratch):
    path = scratch / "calibration.txt"
    path.write_bytes(lzma.decompress((DATA / "calibration.txt.xz").read_bytes()))
    return path


@pytest.fixture(scope="session")
def few(calibration, scratch):
    """A text of a few chunks."""
    path = scratch / "few.txt"
    path.write_text(calibration.read_text()[:12000])
    return path


@pytest.fixture(scope="session")
def source_of(subjects):
    """As stock llama.cpp computes it: for gpt-oss with its YaRN range rounded."""
    return lambda name: pajamas.TINY if name == "tiny-qwen2" else subjects(name).source


@pytest.fixture(scope="session")
def matrix_of(calibration, source_of, scratch):
    """matrix_of(name, form): what the program measures of a model, and its report."""
    made = {}

    def get(name, form="gguf"):
        if (name, form) not in made:
            path = scratch / f"{name}.imatrix.{form}"
            report = pajamas.run_json("imatrix", source_of(name), "--text", calibration, "--output",
                                      path, *FLAGS, "--json", timeout=900)
            made[name, form] = path, report
        return made[name, form]

    return get


def distance(ours, theirs):
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


def compare(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, (sums, counts) in theirs.items():
        own_sums, own_counts = ours[name]
        assert own_sums.shape == sums.shape, name
        # A token whose experts are as good as equal may go elsewhere: llama.cpp's keys are F16.
        assert np.all(np.abs(own_counts - counts) <= np.maximum(4, 0.01 * counts)), name
        assert own_counts.sum() == counts.sum(), name
        for own, their in zip(own_sums.astype(np.float64), sums.astype(np.float64)):
            assert distance(own, their) < 0.01, name
            assert abs(own.sum() - their.sum()) < 0.01 * their.sum(), name


@pytest.mark.parametrize("name", by_day(MODELS, "tiny-qwen3-moe", "tiny-gpt-oss"))
def test_the_matrix_is_llama_cpps(matrix_of, name):
    path, report = matrix_of(name)
    theirs = gguf.GGUFReader(DATA / f"{name}.gguf")
    ours = gguf.GGUFReader(path)
    for key in ("general.type", "imatrix.chunk_count", "imatrix.chunk_size"):
        assert ours.fields[key].contents() == theirs.fields[key].contents(), key
        assert ours.fields[key].types == theirs.fields[key].types, key
    assert ours.fields["imatrix.datasets"].types == theirs.fields["imatrix.datasets"].types
    assert [(t.name, list(t.shape)) for t in ours.tensors] == \
        [(t.name, list(t.shape)) for t in theirs.tensors]
    compare(peers.read_imatrix(path), peers.read_imatrix(DATA / f"{name}.gguf"))
    assert report["chunks"] == ours.fields["imatrix.chunk_count"].contents()


def read_dat(path):
    """{weight: (calls, values)}, the chunk it ends with, the dataset."""
    data = path.read_bytes()
    at = 0

    def number():
        nonlocal at
        at += 4
        return struct.unpack_from("<i", data, at - 4)[0]

    def text():
        nonlocal at
        size = number()
        at += size
        return data[at - size:at].decode()

    found = {}
    for _ in range(number()):
        name, calls, count = text(), number(), number()
        found[name] = calls, np.frombuffer(data, "<f4", count, at)
        at += 4 * count
    last, dataset = number(), text()
    assert at == len(data)
    return found, last, dataset


def test_the_old_form_is_llama_cpps(matrix_of, calibration):
    ours, last, dataset = read_dat(matrix_of("tiny-qwen2", "dat")[0])
    theirs, their_last, _ = read_dat(DATA / "tiny-qwen2.dat")
    assert list(ours) == list(theirs)
    assert last == their_last and dataset == str(calibration)
    for name, (calls, values) in theirs.items():
        assert ours[name][0] == calls, name
        assert distance(ours[name][1], values) < 0.01, name


def test_quantized_models_are_measured_too(models, few, tmp_path):
    """What 8 bits change is small."""
    def measure(model, name):
        pajamas.run("imatrix", model, "--text", few, "--output", tmp_path / name, *FLAGS)
        return peers.read_imatrix(tmp_path / name)

    reference = measure(pajamas.TINY, "original.gguf")
    for model in (models.gguf("Q8_0"), models.mlx("8bit")):
        for name, (sums, counts) in measure(model, f"{model.name}.imatrix.gguf").items():
            assert np.array_equal(counts, reference[name][1])
            assert 0 < distance(sums, reference[name][0]) < 0.05, name


def test_memory_and_threads_change_nothing(few, tmp_path):
    def measure(name, *flags):
        pajamas.run("imatrix", pajamas.TINY_MOE, "--text", few, "--output", tmp_path / name, *FLAGS,
                    *flags)
        return (tmp_path / name).read_bytes()

    base = measure("a.gguf")
    done = pajamas.run("imatrix", pajamas.TINY_MOE, "--text", few, "--output", tmp_path / "x.gguf",
                       "--memory-budget", "1MB", check=False)
    assert done.returncode == 9 and "--memory-budget" in done.stderr
    least = done.stderr.split("give at least ")[1].split("\n")[0].strip().replace(" ", "")
    assert measure("b.gguf", "--memory-budget", least) == base
    assert measure("c.gguf", "--threads", "1") == base
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.gguf", "b.gguf", "c.gguf"]


def test_experts_are_fed_until_each_has_its_floor(few, tmp_path):
    def measure(name, *flags):
        return pajamas.run_json("imatrix", pajamas.TINY_MOE, "--output", tmp_path / name, "--json",
                                *FLAGS, *flags)

    one = ("--text", few, "--chunks", 1, "--expert-floor", 200)
    lacking = measure("a.gguf", *one)
    assert lacking["experts_below_floor"] > 0 and lacking["own_chunks"] == 0
    for layer in lacking["coverage"]:
        assert layer["least"] <= layer["median"] <= layer["most"]
        assert bool(layer["below_floor"]) == (layer["least"] < 200)
    fed = measure("b.gguf", *one, "--expert-balanced")
    assert fed["experts_below_floor"] == 0 and fed["chunks"] > 1
    counts = {name: c for name, (_, c) in peers.read_imatrix(tmp_path / "b.gguf").items()}
    assert min(c.min() for name, c in counts.items() if "_exps" in name) >= 200
    alone = measure("c.gguf", "--expert-balanced", "--expert-floor", 50)
    assert alone["own_chunks"] == alone["chunks"] > 0
    assert alone["datasets"] == ["the model's own text"]


# --- with a matrix -------------------------------------------------------------------------------


def matrix(name, form="gguf"):
    return DATA / f"{name}.{form}"


def with_matrix(name, method, output, *flags, source=None):
    return pajamas.run_json("quantize", source or pajamas.ROOT / "models" / name, "--method", method,
                            "--imatrix", matrix(name), "--output", output, "--json", *flags)


def kl(model, reference):
    score = pajamas.run_json("validate", model, "--reference", reference, "--metrics",
                             "perplexity,kl", "--ctx", 256, "--chunks", 40, "--json", timeout=900)
    return score["kl_mean"], score["kl_stderr"]


@pytest.mark.parametrize("name,method", by_day(
    [(n, m) for n in ("tiny-qwen2", "tiny-qwen3-moe") for m in ("Q4_K_M", "Q3_K_M", "Q2_K")],
    ("tiny-qwen2", "Q4_K_M"), ("tiny-qwen3-moe", "Q2_K")))
def test_a_matrix_makes_the_model_better(name, method, subjects, models, scratch):
    """On text that it was not measured on; and at least as well as stock llama.cpp uses it."""
    source = pajamas.ROOT / "models" / name
    made = models if name == "tiny-qwen2" else subjects(name).models
    ours, stock = scratch / f"{name}-{method}.gguf", scratch / f"{name}-{method}-stock.gguf"
    with_matrix(name, method, ours)
    peers.llama_quantize(made.gguf("F32"), stock, method, imatrix=matrix(name))
    with_it, error = kl(ours, source)
    without, _ = kl(made.gguf(method), source)
    theirs, their_error = kl(stock, source)
    print(f"{name} {method}: {with_it:.6f} with, {without:.6f} without, {theirs:.6f} stock with")
    assert with_it < without
    assert with_it <= theirs + 2 * np.hypot(error, their_error)


@pytest.mark.parametrize("method", every(2, [m for m in pajamas.GGUF_METHODS
                                             if m not in ("F32", "F16", "BF16")]))
def test_types_are_those_of_llama_quantize_with_a_matrix(make_checkpoint, method, tmp_path):
    """Of eight layers, so that the first eighth has one."""
    source = make_checkpoint("eight-layers", num_hidden_layers=8, max_window_layers=8)
    pajamas.quantize(source, "gguf", "F32", tmp_path / "f32.gguf")
    columns = {t.name: t.shape for t in gguf.GGUFReader(tmp_path / "f32.gguf").tensors
               if len(t.shape) == 2 and t.name.startswith("blk.")}
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "imatrix")
    writer.add_type("imatrix")
    for name, shape in columns.items():
        writer.add_tensor(f"{name}.in_sum2", np.ones(int(shape[0]), np.float32))
        writer.add_tensor(f"{name}.counts", np.ones(1, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    theirs = reference_shapes.types_of_llama_quantize(tmp_path / "f32.gguf", tmp_path, method,
                                                      imatrix=tmp_path / "m.gguf")
    pajamas.quantize(source, "gguf", method, tmp_path / "ours.gguf", "--imatrix",
                     tmp_path / "m.gguf")
    assert {t.name: t.tensor_type.name
            for t in gguf.GGUFReader(tmp_path / "ours.gguf").tensors} == theirs


def test_the_file_says_where_the_matrix_is_from(tmp_path):
    report = with_matrix("tiny-qwen3-moe", "Q4_K_M", tmp_path / "x.gguf")
    fields = gguf.GGUFReader(tmp_path / "x.gguf").fields
    assert {k: (f.contents(), f.types) for k, f in fields.items() if "imatrix" in k} == {
        "quantize.imatrix.file": (str(matrix("tiny-qwen3-moe")), [gguf.GGUFValueType.STRING]),
        "quantize.imatrix.dataset": ("eval/calibration.txt", [gguf.GGUFValueType.STRING]),
        "quantize.imatrix.entries_count": (24, [gguf.GGUFValueType.UINT32]),
        "quantize.imatrix.chunks_count": (439, [gguf.GGUFValueType.UINT32])}
    assert report["imatrix"]["entries"] == 24 and report["imatrix"]["unmatched"] == []
    assert report["imatrix"]["without"] == [] and report["imatrix"]["leaning"] == []
    # A second time, over the keys of the first.
    pajamas.run("quantize", tmp_path / "x.gguf", "--method", "Q2_K", "--allow-requantize",
                "--imatrix", matrix("tiny-qwen3-moe"), "--output", tmp_path / "y.gguf")


def test_both_forms_give_the_same_model(tmp_path):
    """Up to the last bits of a mean, which the old form rounds."""
    for form in ("gguf", "dat"):
        pajamas.run("quantize", pajamas.TINY, "--method", "Q3_K_S", "--imatrix",
                    matrix("tiny-qwen2", form), "--output", tmp_path / f"{form}.gguf")
    a, b = (gguf.GGUFReader(tmp_path / f"{f}.gguf").tensors for f in ("gguf", "dat"))
    same = sum(np.count_nonzero(x.data == y.data) for x, y in zip(a, b))
    assert same > 0.999 * sum(x.data.size for x in a)


def test_mlx_takes_it_too(models, tmp_path):
    without, _ = kl(models.mlx("3bit"), pajamas.TINY)
    pajamas.run("quantize", pajamas.TINY, "--format", "mlx", "--method", "3bit", "--imatrix",
                matrix("tiny-qwen2"), "--output", tmp_path / "m")
    assert kl(tmp_path / "m", pajamas.TINY)[0] < without


def test_experts_that_saw_little_are_listed(few, tmp_path):
    pajamas.run("imatrix", pajamas.TINY_MOE, "--text", few, "--chunks", 1, *FLAGS, "--output",
                tmp_path / "m.gguf")
    plan = pajamas.run_json("plan", pajamas.TINY_MOE, "--method", "Q4_K_M", "--imatrix",
                            tmp_path / "m.gguf", "--json")
    counts = peers.read_imatrix(tmp_path / "m.gguf")
    for layer in plan["imatrix"]["leaning"]:
        seen = counts[f"blk.{layer['layer']}.ffn_gate_exps.weight"][1]
        assert {e["expert"]: e["tokens"] for e in layer["experts"]} == \
            {e: n for e, n in enumerate(seen) if n < 256}
    assert [layer["layer"] for layer in plan["imatrix"]["leaning"]] == [0, 1, 2]


def test_expert_balanced_measures_one_first(tmp_path):
    done = pajamas.run("quantize", pajamas.TINY_MOE, "--method", "Q3_K_M", "--expert-balanced",
                       "--output", tmp_path / "x.gguf", timeout=600)
    assert "the model's own text" in done.stderr
    fields = gguf.GGUFReader(tmp_path / "x.gguf").fields
    assert fields["quantize.imatrix.dataset"].contents() == "the model's own text"
    assert fields["quantize.imatrix.chunks_count"].contents() > 0
    plan = pajamas.run_json("plan", pajamas.TINY_MOE, "--method", "Q3_K_M", "--expert-balanced",
                            "--json")
    assert plan["outputs"][0]["file_bytes"] >= (tmp_path / "x.gguf").stat().st_size - 64


# --- bad input -----------------------------------------------------------------------------------


@pytest.fixture
def fails(tmp_path, few):
    def check(status, *names, args):
        done = pajamas.run(*args, check=False)
        lines = done.stderr.strip().splitlines()
        assert done.returncode == status, done.stderr
        assert lines[-1].startswith("error: ")
        for name in names:
            assert str(name) in lines[-1], lines[-1]
        assert not [p for p in tmp_path.iterdir() if "partial" in p.name]
    return check


def test_bad_input_of_imatrix(fails, few, tmp_path):
    out = tmp_path / "m.gguf"
    imatrix = ["imatrix", pajamas.TINY, "--output", out]
    fails(2, "--text", args=imatrix)
    fails(2, "0 tokens", args=[*imatrix, "--expert-balanced"])
    short = tmp_path / "short.txt"
    short.write_text("Too short.")
    fails(2, "short.txt", "a chunk has 512", args=[*imatrix, "--text", short])
    fails(3, "absent.txt", args=[*imatrix, "--text", tmp_path / "absent.txt"])
    fails(3, "absent", args=["imatrix", tmp_path / "absent", "--text", few, "--output", out])
    fails(2, "--ctx", args=[*imatrix, "--text", few, "--ctx", 3])
    fails(2, "--memory-budget", args=[*imatrix, "--text", few, "--memory-budget", "much"])
    assert not out.exists()
    out.write_text("mine")
    fails(6, "m.gguf", args=[*imatrix, "--text", few])
    assert out.read_text() == "mine"
    pajamas.run(*imatrix, "--text", few, "--force", *FLAGS)
    assert gguf.GGUFReader(out).fields["general.type"].contents() == "imatrix"


def test_bad_input_of_quantize(fails, models, tmp_path):
    quantize = ["quantize", pajamas.TINY, "--method", "Q4_K_M", "--output", tmp_path / "x.gguf",
                "--imatrix"]
    fails(3, "absent.gguf", args=[*quantize, tmp_path / "absent.gguf"])
    fails(5, "no importance matrix", args=[*quantize, models.gguf("Q4_K_M")])
    whole = matrix("tiny-qwen2").read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole[:-100])
    fails(4, "cut.gguf", args=[*quantize, cut])
    cut.write_bytes(matrix("tiny-qwen2", "dat").read_bytes()[:3000])
    fails(4, "cut.gguf", args=[*quantize, cut])
    fails(2, "blk.0.attn_output.weight", "512 columns", args=[*quantize, matrix("tiny-qwen3-moe")])
    os.mkdir(tmp_path / "folder")
    fails(2, "folder", args=[*quantize, tmp_path / "folder"])
    assert not (tmp_path / "x.gguf").exists()


def test_names_that_match_nothing_are_told(tmp_path):
    shutil.copy(matrix("tiny-qwen2"), tmp_path / "m.gguf")
    data = (tmp_path / "m.gguf").read_bytes()
    (tmp_path / "m.gguf").write_bytes(data.replace(b"blk.3.ffn_up.weight", b"blk.9.ffn_up.weight"))
    plan = pajamas.run_json("plan", pajamas.TINY, "--method", "Q4_K_M", "--imatrix",
                            tmp_path / "m.gguf", "--json")
    assert plan["imatrix"]["unmatched"] == ["blk.9.ffn_up.weight"]
    assert plan["imatrix"]["without"] == ["blk.3.ffn_up.weight"]
