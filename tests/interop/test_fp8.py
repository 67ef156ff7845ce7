"""FP8 checkpoints against the published layout, written down in numpy: E4M3 codes, a scale for each
128x128 tile (`weight_scale_inv`), and what transformers makes of the configuration."""

import json
import re

import numpy as np
import pajamas
import peers
import pytest
import reference_gguf
import safetensors
from transformers.quantizers.quantizers_utils import should_convert_module
from transformers.utils.quantization_config import FineGrainedFP8Config

TILE = 128
# Every number that E4M3 has, by code: bias 7, three bits behind the point, 0x7f is NaN.
E4M3 = np.array([np.nan if code & 127 == 127 else
                 (-1 if code & 128 else 1) * ((code & 7) / 8 * 2.0 ** -6 if (code & 127) < 8 else
                                              (1 + (code & 7) / 8) * 2.0 ** ((code >> 3 & 15) - 7))
                 for code in range(256)])
SIDES = {"tiny-qwen2": pajamas.TINY, "tiny-qwen3-moe": pajamas.TINY_MOE}
QUANTIZED = re.compile(r"(self_attn\.[qkvo]_proj|mlp\.(experts\.\d+\.)?(gate|up|down)_proj)\.weight$")
# No side of any matrix is a multiple of 128, and a tile ends within a matrix of its own expert.
CUT = {"hidden_size": 160, "moe_intermediate_size": 200, "num_attention_heads": 6, "head_dim": 32,
       "num_key_value_heads": 2}


def stored(folder):
    """name: (dtype, shape, bytes) of every tensor, as the safetensors package reads them."""
    out = {}
    for file in sorted(folder.glob("*.safetensors")):
        for name, tensor in safetensors.deserialize(file.read_bytes()):
            assert name not in out
            out[name] = tensor["dtype"], tuple(tensor["shape"]), tensor["data"]
    return out


def expand(scales, shape):
    """A scale a tile -> a scale a weight; the last tiles are cut."""
    return np.repeat(np.repeat(scales, TILE, 0), TILE, 1)[:shape[0], :shape[1]]


def nearest(values):
    """The nearest of E4M3's numbers, ties to even codes."""
    grid = E4M3[:127]
    size = np.abs(values)
    high = np.clip(np.searchsorted(grid, size), 1, 126)
    low = high - 1
    up = np.where(size - grid[low] == grid[high] - size, high % 2 == 0,
                  size - grid[low] > grid[high] - size)
    return np.copysign(grid[np.where(up, high, low)], values)


@pytest.fixture(scope="module")
def made(tmp_path_factory, make_checkpoint):
    """made(name): (source, FP8 checkpoint)."""
    folder, done = tmp_path_factory.mktemp("fp8"), {}

    def get(name):
        if name not in done:
            source = SIDES.get(name) or make_checkpoint("cut-moe", of=pajamas.TINY_MOE, **CUT)
            pajamas.run("quantize", source, "--format", "fp8", "--output", folder / name)
            done[name] = source, folder / name
        return done[name]

    return get


ALL = (*SIDES, "cut")


@pytest.mark.parametrize("name", ALL)
def test_is_the_published_layout(made, name):
    source, folder = made(name)
    originals, ours = reference_gguf.hf_tensors(source), stored(folder)
    scales = {n for n in ours if n.endswith("_scale_inv")}
    assert ours.keys() - scales == originals.keys()
    assert scales == {f"{n}_scale_inv" for n in originals if QUANTIZED.search(n)}
    better = []
    for tensor, weights in originals.items():
        dtype, shape, data = ours[tensor]
        assert shape == weights.shape, tensor
        if not QUANTIZED.search(tensor):
            assert dtype == "BF16", tensor
            bits = np.frombuffer(data, "<u2").astype(np.uint32) << 16
            assert np.array_equal(bits.view(np.float32), weights.reshape(-1)), tensor
            continue
        assert dtype == "F8_E4M3", tensor
        scale_type, scale_shape, scale_data = ours[f"{tensor}_scale_inv"]
        assert scale_type == "F32"
        assert scale_shape == tuple(-(-n // TILE) for n in shape), tensor
        scale = np.frombuffer(scale_data, "<f4").reshape(scale_shape)
        per_weight = expand(scale, shape)
        codes = E4M3[np.frombuffer(data, np.uint8).reshape(shape)]
        quotients = (weights.astype(np.float32) / per_weight).astype(np.float64)
        assert np.array_equal(codes, nearest(quotients)), tensor
        # The scale cuts nothing off, and its error is no larger than that of the usual one.
        for r, c in np.ndindex(scale_shape):
            at = np.s_[r * TILE:(r + 1) * TILE, c * TILE:(c + 1) * TILE]
            tile = weights[at].astype(np.float64)
            usual = np.abs(tile).max() / 448
            assert usual * (1 - 1e-6) <= scale[r, c] < usual * 2, (tensor, r, c)
            own = np.square(codes[at] * scale[r, c] - tile).sum()
            theirs = np.square(nearest(tile / usual) * usual - tile).sum()
            assert own <= theirs * (1 + 1e-4), (tensor, r, c)
            better.append(own / theirs)
    assert np.mean(better) < 0.99


@pytest.mark.parametrize("name", ALL)
def test_the_configuration_is_what_transformers_reads(made, name):
    source, folder = made(name)
    config = json.loads((folder / "config.json").read_text())
    own = config.pop("quantization_config")
    assert config == json.loads((source / "config.json").read_text())
    assert own["quant_method"] == "fp8" and own["fmt"] == "e4m3"
    read = FineGrainedFP8Config(**own)
    assert tuple(read.weight_block_size) == (TILE, TILE)
    assert read.activation_scheme == "dynamic" and not read.dequantize
    # Of the modules with a weight transformers converts those that are in FP8, and no others.
    tensors = stored(folder)
    for tensor, (dtype, _, _) in tensors.items():
        if tensor.endswith(".weight"):
            module = tensor.removesuffix(".weight")
            converted = should_convert_module(module, read.modules_to_not_convert)
            assert converted == (dtype == "F8_E4M3"), module
    assert not should_convert_module("lm_head", read.modules_to_not_convert)
    with safetensors.safe_open(str(folder / "model.safetensors"), "np") as file:
        assert file.metadata() == {"format": "pt"}


@pytest.mark.parametrize("name", ALL)
def test_our_reader_decodes_what_the_layout_means(made, scratch, name):
    _, folder = made(name)
    tensors = stored(folder)
    for tensor, (dtype, shape, data) in tensors.items():
        if dtype != "F8_E4M3" or ".experts." in tensor:
            continue
        scale = tensors[f"{tensor}_scale_inv"]
        per_weight = expand(np.frombuffer(scale[2], "<f4").reshape(scale[1]), shape)
        wanted = E4M3[np.frombuffer(data, np.uint8).reshape(shape)].astype(np.float32) * per_weight
        ours = pajamas.tensor_values(folder, tensor, scratch)
        assert np.array_equal(ours, wanted.reshape(-1)), tensor


@pytest.mark.parametrize("name", SIDES)
def test_runs_and_loses_little(made, short_text, name):
    source, folder = made(name)
    report = pajamas.run_json("validate", folder, "--metrics", "kl", "--reference", source,
                              "--text", short_text, "--ctx", 256, "--json", timeout=300)
    assert 0 < report["kl_mean"] < 0.004
    text = pajamas.run("run", folder, "--prompt", "The people of", "--max-tokens", 8, "--temp", 0)
    assert text.stdout.strip()


def test_everything_else_goes_along(made):
    for name in SIDES:
        source, folder = made(name)
        for file in source.iterdir():
            if file.suffix != ".safetensors" and file.name not in ("config.json", "README.md",
                                                                  "model.safetensors.index.json"):
                assert (folder / file.name).read_bytes() == file.read_bytes(), file.name


# BF16 scales, as Qwen publishes them, and stacks of both shapes.
@pytest.mark.parametrize("form", ["fp8"])
def test_fp8_passes_through_bit_for_bit(make_checkpoint, tmp_path, form):
    source = make_checkpoint("fp8-source", "--form", form, of=pajamas.TINY_MOE)
    pajamas.run("quantize", source, "--format", "fp8", "--output", tmp_path / "out")
    assert stored(source) == stored(tmp_path / "out")


def test_three_formats_in_one_pass(tmp_path, made):
    _, alone = made("tiny-qwen3-moe")
    pajamas.quantize(pajamas.TINY_MOE, "gguf,mlx,fp8", "Q4_K_M:4bit", tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"gguf", "mlx", "fp8"}
    for file in alone.iterdir():
        assert (tmp_path / "fp8/model-fp8" / file.name).read_bytes() == file.read_bytes()
    for made_alone, method in ((tmp_path / "gguf/model-q4_k_m.gguf", "Q4_K_M"),):
        pajamas.quantize(pajamas.TINY_MOE, "gguf", method, tmp_path / "alone.gguf")
        assert made_alone.read_bytes() == (tmp_path / "alone.gguf").read_bytes()


def test_gpt_oss_is_refused_in_one_line(tmp_path):
    done = pajamas.run("quantize", pajamas.TINY_OSS, "--format", "fp8", "--output", tmp_path / "x",
                       check=False)
    assert done.returncode == 5 and "MXFP4" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_cut_tiles_are_told(make_checkpoint, tmp_path):
    source = make_checkpoint("cut-moe", of=pajamas.TINY_MOE, **CUT)
    done = pajamas.run("plan", source, "--format", "fp8")
    assert "no multiples of 128" in done.stderr


# From a GGUF whose rows of q and k are interleaved, and from MLX: the same checkpoint.
@pytest.mark.parametrize("between", ["gguf", "mlx"])
def test_from_unquantized_gguf_and_mlx(make_checkpoint, tmp_path, between):
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    source = make_checkpoint("fp8-llama", **config)
    path = tmp_path / ("x.gguf" if between == "gguf" else "x")
    pajamas.quantize(source, between, "BF16", path)
    outputs = []
    for number, model in enumerate((source, path)):
        outputs.append(tmp_path / f"out{number}")
        pajamas.run("quantize", model, "--format", "fp8", "--output", outputs[-1])
    first, second = map(stored, outputs)
    assert first == second
