"""What `plan` says of the published models from their config.json alone: the type of every tensor
against llama-quantize's dry run on a file of the full shapes, and the published figures."""

import json
import math
import pathlib

import gguf
import pajamas
import peers
import pytest
import reference_shapes

CONFIGS = pathlib.Path(__file__).parent / "data/configs"
QUANTIZED = [m for m in pajamas.MOE_METHODS if m not in ("F32", "F16", "BF16")]
# Tensor bytes in GB that llama-quantize counts without a matrix: Qwen3-30B-A3B; gpt-oss-20b from
# BF16; gpt-oss-20b with its experts kept in MXFP4.
PUBLISHED_GB = {
    "F16": (61.090, 41.848, None), "BF16": (61.090, 41.848, None),
    "Q8_0": (32.478, 22.249, 12.097), "Q6_K": (25.087, 22.180, 12.028),
    "Q5_K_M": (21.720, 16.880, 11.704), "Q5_K_S": (21.075, 15.879, 11.699),
    "Q5_1": (22.963, 15.897, 11.717), "Q5_0": (21.075, 14.626, 11.641),
    "Q4_K_M": (18.551, 15.792, 11.612), "Q4_K_S": (17.450, 14.641, 11.605),
    "Q4_1": (19.187, 13.356, 11.564), "Q4_0": (17.299, 12.086, 11.488),
    "Q3_K_L": (15.895, 13.322, 11.531), "Q3_K_M": (14.706, 12.903, 11.493),
    "Q3_K_S": (13.286, 12.048, 11.451), "Q2_K": (11.253, 12.053, 11.455),
    "Q2_K_S": (10.513, 12.123, 11.427), "IQ4_NL": (17.456, 12.242, 11.495),
    "IQ4_XS": (16.551, 12.233, 11.486), "IQ3_M": (13.507, 12.190, 11.493),
    "IQ3_S": (13.293, 12.053, 11.455), "IQ3_XS": (12.592, 12.053, 11.455),
    "IQ3_XXS": (12.457, 12.152, 11.455), "IQ2_M": (10.164, 12.053, 11.455),
    "IQ2_S": (9.281, 12.053, 11.455), "IQ2_XS": (9.070, 12.013, 11.415),
    "IQ2_XXS": (8.175, 12.004, 11.407), "IQ1_M": (7.072, 12.004, 11.407),
    "IQ1_S": (6.411, 12.004, 11.407), "TQ2_0": (8.189, 12.072, 11.475),
    "TQ1_0": (6.788, 12.059, 11.461), "MXFP4_MOE": (17.076, 12.097, 12.097),
}
# name: model, column, flags of ours, whether the experts of the source are MXFP4
CASES = {
    "Qwen3-30B-A3B": ("Qwen3-30B-A3B", 0, (), False),
    "gpt-oss-20b-opened": ("gpt-oss-20b", 1, ("--allow-requantize",), False),
    "gpt-oss-20b-kept": ("gpt-oss-20b", 2, (), True),
    "Qwen2.5-7B": ("Qwen2.5-7B-Instruct", None, (), False),  # its figures: test_gguf.py
}
# F32, F16 and BF16 open MXFP4 experts unasked.
CASES_AND_METHODS = [(case, method) for case in CASES for method in pajamas.MOE_METHODS
                     if method in QUANTIZED or not CASES[case][3]]


def plan(config, formats, method, *flags):
    done = pajamas.run_json("plan", "--config", config, "--format", formats, "--method", method,
                            "--json", *flags)
    return done, done["outputs"][0]


def read(name):
    return json.loads((CONFIGS / f"{name}.json").read_text())


@pytest.fixture(scope="session")
def holes(scratch):
    """Files of the full shapes that hold nothing."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = scratch / f"{name}.hole.gguf"
            model, _, _, mxfp4 = CASES[name]
            reference_shapes.write(read(model), made[name], mxfp4)
        return made[name]

    return get


@pytest.mark.parametrize("case,method", CASES_AND_METHODS)
def test_types_and_bytes_of_the_full_size(holes, case, method):
    model, column, flags, mxfp4 = CASES[case]
    done, output = plan(CONFIGS / f"{model}.json", "gguf", method, *flags)
    ours = {t["name"]: t["type"].upper() for t in output["tensors"]}
    overrides = [("_exps", "MXFP4")] if mxfp4 else []
    log = peers.llama_quantize(holes(case), "/dev/null", method, overrides, dry_run=True)
    theirs = reference_shapes.types_in_log(log)
    assert ours == theirs
    total = 0
    for tensor in output["tensors"]:
        dtype = gguf.GGMLQuantizationType[theirs[tensor["name"]]]
        assert tensor["bytes"] == reference_shapes.nbytes(tensor["shape"], dtype), tensor["name"]
        total += tensor["bytes"]
    assert output["tensor_bytes"] == total
    if method in PUBLISHED_GB and column is not None:
        assert round(total / 1e9, 3) == PUBLISHED_GB[method][column]
    assert done["peak_memory_bytes"] < 1 << 30


@pytest.mark.parametrize("method", QUANTIZED)
def test_experts_are_kept_without_being_asked(method):
    """MXFP4 is not opened by a method, only by --allow-requantize."""
    _, output = plan(CONFIGS / "gpt-oss-20b.json", "gguf", method)
    types = {t["type"].upper() for t in output["tensors"] if "_exps.weight" in t["name"]}
    assert types == {"MXFP4"}


def fitting_group(asked, row):
    """The group that a row gets: the one asked for if it divides, else the largest that does."""
    return next((g for g in (asked, 128, 64, 32) if row % g == 0), None)


def mlx_bytes(config, bits, group, opened):
    """(bytes of all tensors, parameters)."""
    total = parameters = 0
    for name, shape in reference_shapes.gguf_shapes(config).items():
        count = math.prod(shape)
        parameters += count
        if "_exps.weight" in name and config["model_type"] == "gpt_oss" and not opened:
            total += count // 32 * 17
        elif len(shape) > 1 and name.endswith(".weight"):
            b = max(bits, 8) if "ffn_gate_inp" in name else bits
            total += count * b // 8 + count // fitting_group(group, shape[-1]) * 4
        else:
            total += count * 2
    return total, parameters


@pytest.mark.parametrize("bits", pajamas.MLX_BITS)
@pytest.mark.parametrize("group", pajamas.MLX_GROUPS)
@pytest.mark.parametrize("model,opened", [("Qwen3-30B-A3B", False), ("gpt-oss-20b", False),
                                          ("gpt-oss-20b", True)])
def test_mlx_bytes_of_the_full_size(model, opened, group, bits):
    config = CONFIGS / f"{model}.json"
    flags = ["--allow-requantize"] if opened else []
    _, output = plan(config, "mlx", f"{bits}bit", "--group-size", str(group), *flags)
    total, _ = mlx_bytes(read(model), bits, group, opened)
    assert output["tensor_bytes"] == total == sum(t["bytes"] for t in output["tensors"])


# --- rows that do not fit ------------------------------------------------------------------------

SUBSTITUTES = {"Q2_K": "Q4_0", "Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}


def test_substitutes_are_said_before_any_work():
    """gpt-oss at Q4_K_M: all rows of 2880 get another type, and the reason names why."""
    _, output = plan(CONFIGS / "gpt-oss-20b.json", "gguf", "Q4_K_M")
    seen = set()
    for tensor in output["tensors"]:
        if tensor["type"].upper() in SUBSTITUTES.values() and tensor["shape"][-1] == 2880:
            if "_exps" in tensor["name"]:
                continue
            assert "2880" in tensor["reason"] or "256" in tensor["reason"], tensor
            seen.add(tensor["type"].upper())
    assert {"Q5_0", "Q8_0"} <= seen
    text = pajamas.run("plan", "--config", CONFIGS / "gpt-oss-20b.json", "--method", "Q4_K_M",
                       "--all")
    assert "Q5_0" in text.stdout and "2880" in text.stdout + text.stderr


@pytest.mark.parametrize("formats,method,flags", [
    ("gguf", "Q4_K_M", ()), ("gguf", "Q3_K_S", ("--allow-requantize",)),
    ("mlx", "4bit", ("--group-size", "128"))])
def test_no_fallback_refuses(formats, method, flags):
    done = pajamas.run("plan", "--config", CONFIGS / "gpt-oss-20b.json", "--format", formats,
                       "--method", method, "--no-fallback", *flags, check=False)
    assert done.returncode == 5, (done.returncode, done.stderr)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "2880" in errors[0], done.stderr


@pytest.mark.parametrize("model,formats,method,flags", [
    ("Qwen3-30B-A3B", "gguf", "Q4_K_M", ()), ("Qwen3-30B-A3B", "mlx", "4bit", ()),
    ("gpt-oss-20b", "gguf", "Q8_0", ()), ("gpt-oss-20b", "mlx", "4bit", ("--group-size", "64"))])
def test_no_fallback_accepts_what_fits(model, formats, method, flags):
    plan(CONFIGS / f"{model}.json", formats, method, "--no-fallback", *flags)


def test_router_has_eight_bits_whatever_the_recipe():
    for flags in ([], ["--mixed-precision"], ["--embedding-bits", "2"]):
        for model, router in (("Qwen3-30B-A3B", "mlp.gate.weight"),
                              ("gpt-oss-20b", "mlp.router.weight")):
            _, output = plan(CONFIGS / f"{model}.json", "mlx", "3bit", *flags)
            types = {t["type"] for t in output["tensors"] if t["name"].endswith(router)}
            assert types and all(t.startswith("8bit") for t in types), (model, flags, types)
