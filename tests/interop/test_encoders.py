"""Our encoders against the stock ones on real weights: a root mean square error that is no larger
on any tensor, and the same bytes whatever the threads and instruction sets."""

import shutil

import gguf
import numpy as np
import pajamas
import peers
import pytest
import reference_gguf
from effort import every

SLACK = 1 + 1e-6
QUANTIZED = [m for m in pajamas.GGUF_METHODS if m not in ("F32", "F16", "BF16")]


@pytest.fixture(scope="session")
def originals():
    return {reference_gguf.gguf_name(n): a
            for n, a in reference_gguf.hf_tensors(pajamas.TINY).items()}


def squared_error(values, original, weights=1.0):
    return float((weights * (values.astype(np.float64) - original) ** 2).sum())


@pytest.mark.parametrize("method,importance", every(3, [(m, i) for m in QUANTIZED if m not in pajamas.NEED_MATRIX
                                                        for i in ("none", "flat")]))
def test_gguf_error_is_no_larger_than_llama_cpps(models, originals, method, importance):
    """It searches in other ways when it is given a matrix; one of ones asks for what we do."""
    compared = 0
    for tensor in gguf.GGUFReader(models.gguf(method)).tensors:
        dtype, original = tensor.tensor_type, originals[tensor.name]
        if dtype == gguf.GGMLQuantizationType.F32:
            continue
        ones = np.ones(original.shape[1], np.float32) if importance == "flat" else None
        packed = peers.ggml_quantize(original, dtype, ones)
        theirs = squared_error(gguf.dequantize(packed, dtype).reshape(original.shape), original)
        ours = squared_error(reference_gguf.decode(tensor), original)
        assert np.sqrt(ours) <= np.sqrt(theirs) * SLACK, (tensor.name, dtype.name)
        compared += 1
    assert compared == 30


I_QUANTS = [m for m in QUANTIZED if m.startswith(("IQ", "TQ"))]


def by_size(columns, original):
    """What both weigh an error by in super-blocks: its column, and the size of the weight."""
    blocks = original.reshape(-1, 256).astype(np.float64)
    return columns * np.sqrt((blocks ** 2).mean(1, keepdims=True) + blocks ** 2).reshape(original.shape)


def error_beside_the_length(values, original, weights):
    """Of the best multiple of each row: a stored row may be longer than least squares has it."""
    values = values.astype(np.float64)
    scale = (weights * values * original).sum(1) / np.maximum((weights * values ** 2).sum(1), 1e-30)
    return squared_error(scale[:, None] * values, original, weights)


@pytest.mark.parametrize("method", I_QUANTS)
def test_weighted_error_is_below_llama_cpps_with_the_same_matrix(models, originals, method):
    """Ours makes rows longer on purpose (docs/encoders.md): what is left counts."""
    path = models.gguf(method, "--imatrix", models.matrix)
    matrix, ratios = peers.read_imatrix(models.matrix), []
    for tensor in gguf.GGUFReader(path).tensors:
        dtype, original = tensor.tensor_type, originals[tensor.name]
        if tensor.name not in matrix or dtype == gguf.GGMLQuantizationType.F32:
            continue
        sums, counts = matrix[tensor.name]
        means = np.ascontiguousarray((sums / counts[:, None])[0], np.float32)
        theirs = gguf.dequantize(peers.ggml_quantize(original, dtype, means), dtype)
        theirs, ours = theirs.reshape(original.shape), reference_gguf.decode(tensor)
        if gguf.GGML_QUANT_SIZES[dtype][0] == 256:
            weights, error = by_size(means, original), error_beside_the_length
        else:
            weights, error = means, squared_error
        ratios.append(error(ours, original, weights) / error(theirs, original, weights))
        assert ratios[-1] < 1, (tensor.name, dtype.name)
    assert len(ratios) >= 28 and np.mean(ratios) < .99


@pytest.mark.parametrize("group", pajamas.MLX_GROUPS)
@pytest.mark.parametrize("bits", pajamas.MLX_BITS)
def test_mlx_error_is_no_larger_than_mlxs(models, bits, group):
    import mlx.core as mx
    folder = models.mlx(f"{bits}bit", "--group-size", str(group))
    stored = mx.load(str(folder / "model.safetensors"))
    compared = 0
    for name, original in reference_gguf.hf_tensors(pajamas.TINY).items():
        module = name.removesuffix(".weight")
        if f"{module}.scales" not in stored:
            continue
        ours = peers.mlx_dequantize(stored[name], stored[f"{module}.scales"],
                                    stored[f"{module}.biases"], bits, group)
        theirs = peers.mlx_quantize_error(original, bits, group)
        assert np.sqrt(squared_error(ours, original)) <= np.sqrt(theirs) * SLACK, name
        compared += 1
    assert compared == 30


def files_of(path):
    if path.is_file():
        return {path.name: path.read_bytes()}
    return {p.name: p.read_bytes() for p in path.iterdir()}


CASES = [("gguf", m) for m in ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K", "Q4_0", "Q4_1",
                               "Q5_0", "Q5_1", "IQ4_NL", "IQ4_XS", "IQ3_S", "TQ1_0")] + [("mlx", f"{b}bit") for b in pajamas.MLX_BITS]


@pytest.mark.parametrize("formats,method", CASES)
def test_bytes_depend_on_neither_threads_nor_kernels(models, tmp_path, formats, method):
    base = models.gguf(method) if formats == "gguf" else models.mlx(method)
    want = files_of(base)
    variants = [(["--threads", str(n)], {}) for n in (1, 3)]
    variants += [pajamas.with_kernels(k) for k in pajamas.supported_kernels()]
    for flags, env in variants:
        path = tmp_path / "again"
        pajamas.quantize(pajamas.TINY, formats, method, path, *flags, env=env)
        again = files_of(path)
        assert again == want if path.is_dir() else list(again.values()) == list(want.values()), flags
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_a_kernel_table_that_does_not_exist_is_refused(scratch):
    """That the choice above is read at all."""
    flags, env = pajamas.with_kernels("no-such-table")
    done = pajamas.quantize(pajamas.TINY, "gguf", "Q4_0", scratch / "none.gguf", *flags, env=env,
                            check=False)
    assert 0 < done.returncode < 128 and done.stderr.count("error:") == 1
