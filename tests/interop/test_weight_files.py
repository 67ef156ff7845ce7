"""Weights as people leave them: output matrices beside a tied flag, stale indexes, names that training
wrapped, adapters, and numbers that an output has no room for. The checkpoint that all of these are
made of is the reference: what differs from it in nothing that counts gives the same."""

import json
import shutil
import struct

import mlx.core as mx
import mlx_lm
import numpy as np
import pajamas
import peers
import pytest
from hub_server import Hub, Repo
from moe import read_config, variant
from safetensors.numpy import load_file, save_file
from test_input_forms import assert_same_gguf, assert_same_mlx

ALL = (pajamas.TINY, pajamas.TINY_MOE, pajamas.TINY_OSS)


def greedy(model, *flags, **options):
    done = pajamas.run("run", model, "--raw", "--prompt", "In the beginning", "--temperature", "0",
                       "--max-tokens", "12", *flags, **options)
    return done.stdout, done.stderr


def raw_tensors(folder):
    """name: (dtype, shape, bytes) of every safetensors file."""
    all_tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        data = path.read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        for name, entry in json.loads(data[8:8 + size]).items():
            if name != "__metadata__":
                first, last = entry["data_offsets"]
                all_tensors[name] = (entry["dtype"], entry["shape"],
                                     data[8 + size + first:8 + size + last])
    return all_tensors


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def with_tensors(source, target, tensors, **changes):
    """The checkpoint with other weights, in one file."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.safetensors", "*.index.json"))
    target.chmod(0o755)
    (target / "config.json").chmod(0o644)
    (target / "config.json").write_text(json.dumps(read_config(source) | changes))
    write_safetensors(target / "model.safetensors", tensors)
    return target


# --- an output matrix of its own beside tie_word_embeddings: true -----------------------------------


@pytest.mark.parametrize("source", ALL, ids=lambda p: p.name)
def test_a_stored_output_that_differs_is_used(source, tmp_path):
    """transformers 5: the stored one is used, with a warning."""
    differ = variant(source, tmp_path / "differ", tie_word_embeddings=True)
    text, notes = greedy(differ)
    assert text == greedy(source)[0]
    assert "lm_head.weight is stored and differs" in notes
    for kind, folder in (("differ", differ), ("original", source)):
        pajamas.quantize(folder, "gguf,mlx", "Q8_0:8bit", tmp_path / kind, "--group-size", "32",
                         "--allow-requantize")
    files = [next((tmp_path / kind / "gguf").iterdir()) for kind in ("differ", "original")]
    assert_same_gguf(*files)
    folders = [next((tmp_path / kind / "mlx").iterdir()) for kind in ("differ", "original")]
    assert_same_mlx(*folders)
    assert read_config(folders[0])["tie_word_embeddings"] is False
    plans = [pajamas.plan(folder, "gguf,mlx", "Q4_0:4bit") for folder in (differ, source)]
    assert [o["tensors"] for o in plans[0]["outputs"]] == [o["tensors"] for o in plans[1]["outputs"]]
    assert any("lm_head" in note for note in plans[0]["notes"])
    # An MLX directory with the flag is read alike.
    tied = variant(folders[0], tmp_path / "tied-mlx", tie_word_embeddings=True)
    assert greedy(tied)[0] == greedy(folders[1])[0]
    pajamas.quantize(tied, "mlx", "bf16", tmp_path / "again")
    assert read_config(tmp_path / "again")["tie_word_embeddings"] is False


def test_mlx_lm_computes_with_the_stored_output(tmp_path):
    differ = variant(pajamas.TINY, tmp_path / "differ", tie_word_embeddings=True)
    pajamas.quantize(differ, "mlx", "bf16", tmp_path / "mlx")
    ids = mx.array([[5, 17, 300, 42]])
    ours, theirs = (np.array(mlx_lm.load(str(p))[0](ids).astype(mx.float32))
                    for p in (tmp_path / "mlx", pajamas.TINY))
    assert np.array_equal(ours, theirs)


def test_equal_values_are_tied(tmp_path):
    tensors = raw_tensors(pajamas.TINY)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    equal = with_tensors(pajamas.TINY, tmp_path / "equal", tensors, tie_word_embeddings=True)
    assert pajamas.run_json("inspect", equal, "--json")["hyperparameters"]["tied_output"] is True
    del tensors["lm_head.weight"]
    tied = with_tensors(pajamas.TINY, tmp_path / "tied", tensors, tie_word_embeddings=True)
    for folder in (equal, tied):
        pajamas.quantize(folder, "gguf", "Q4_K_M", tmp_path / f"{folder.name}.gguf")
    assert_same_gguf(tmp_path / "equal.gguf", tmp_path / "tied.gguf")
    (one, notes), (other, _) = greedy(equal), greedy(tied)
    assert one == other and "note:" not in notes


# --- numbers without room -------------------------------------------------------------------------


@pytest.mark.parametrize("method,flags", [("F16", []), ("Q4_0", ["--tensor-type", "X=F16"])])
@pytest.mark.parametrize("name", ["model.layers.0.mlp.down_proj.weight", "model.embed_tokens.weight"])
def test_no_output_holds_an_infinity(tmp_path, name, method, flags):
    tensors = raw_tensors(pajamas.TINY)
    dtype, shape, raw = tensors[name]
    raw = bytearray(raw)
    raw[154:156] = struct.pack("<f", 1e5)[2:]
    tensors[name] = dtype, shape, bytes(raw)
    huge = with_tensors(pajamas.TINY, tmp_path / "huge", tensors)
    gguf = "blk.0.ffn_down.weight" if "down" in name else "token_embd.weight"
    flags = [flag.replace("X", gguf) for flag in flags]
    out = tmp_path / "out"
    out.mkdir()
    done = pajamas.run("quantize", huge, "--method", method, "--output", out / "x.gguf", *flags,
                       check=False)
    assert done.returncode == 5 and list(out.iterdir()) == [], done.stderr
    error = next(line for line in done.stderr.splitlines() if line.startswith("error:"))
    assert name in error and "F16 ends at 65504" in error and f"'{gguf}=BF16'" in error
    pajamas.quantize(huge, "gguf", method, out / "x.gguf", "--tensor-type", f"{gguf}=BF16")
    values = pajamas.tensor_values(out / "x.gguf", gguf, tmp_path)
    assert np.isfinite(values).all() and values[77] == np.float32(99840)
    with peers.llama_model(out / "x.gguf", vocab_only=False):
        pass


# --- one file or many ------------------------------------------------------------------------------


def stale_index(folder, names=("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")):
    tensors = list(raw_tensors(folder))
    (folder / "model.safetensors.index.json").write_text(json.dumps(
        {"weight_map": {name: names[i % 2] for i, name in enumerate(tensors)}}))


def test_a_whole_file_beside_a_stale_index(tmp_path):
    folder = shutil.copytree(pajamas.TINY, tmp_path / "stale")
    stale_index(folder)
    text, notes = greedy(folder)
    assert text == greedy(pajamas.TINY)[0] and "2 are not here" in notes
    assert mlx_lm.load(str(folder))  # which stock takes, too
    plan = pajamas.plan(folder, "gguf", "Q4_0")
    assert any("model.safetensors is used" in note for note in plan["notes"])


def test_a_whole_file_beside_an_index_on_the_hub(tmp_path):
    folder = shutil.copytree(pajamas.TINY, tmp_path / "stale")
    stale_index(folder)
    files = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    whole = files["model.safetensors"]
    shards = {f"model-0000{i}-of-00002.safetensors": whole[:len(whole) // 2] for i in (1, 2)}
    with Hub({"x/stale": Repo(files), "x/both": Repo(files | shards | {"adapter_config.json": b"{}"}),
              "x/lora": Repo({"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"})}) as hub:
        env = hub.env(tmp_path / "home")
        expected = greedy(pajamas.TINY)[0]
        for name in ("x/stale", "x/both"):
            plan = pajamas.run_json("plan", name, "--method", "Q4_0", "--json", env=env)
            assert any("model.safetensors is used" in note for note in plan["notes"])
            text, notes = greedy(name, env=env)
            assert text == expected
            assert ("adapter beside the weights" in notes) == (name == "x/both")
            # What was downloaded is enough without a network.
            assert greedy(name, "--no-download", env=env)[0] == expected
        assert not any("-of-00002" in entry[1] for entry in hub.log)
        done = pajamas.run("run", "x/lora", "--prompt", "a", check=False, env=env)
        assert done.returncode == 5 and "LoRA adapter" in done.stderr and "merge it" in done.stderr


# --- names and adapters ----------------------------------------------------------------------------


@pytest.mark.parametrize("wrapper", ["base_model.model.", "module.", "_orig_mod."])
def test_names_that_training_wrapped(tmp_path, wrapper):
    tensors = {wrapper + name: tensor for name, tensor in raw_tensors(pajamas.TINY).items()}
    folder = with_tensors(pajamas.TINY, tmp_path / "wrapped", tensors)
    text, notes = greedy(folder)
    assert text == greedy(pajamas.TINY)[0]
    assert f'tensors are named under "{wrapper}"' in notes
    pajamas.quantize(folder, "gguf,mlx", "Q4_0:4bit", tmp_path / "ours")
    pajamas.quantize(pajamas.TINY, "gguf,mlx", "Q4_0:4bit", tmp_path / "theirs")
    assert_same_gguf(*(next((tmp_path / k / "gguf").iterdir()) for k in ("ours", "theirs")))
    assert_same_mlx(*(next((tmp_path / k / "mlx").iterdir()) for k in ("ours", "theirs")))


def test_an_adapter_is_named_as_what_it_is(tmp_path):
    lora = tmp_path / "lora"
    lora.mkdir()
    save_file({"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": np.zeros((4, 256), "f4")},
              lora / "adapter_model.safetensors")
    (lora / "adapter_config.json").write_text(json.dumps(
        {"peft_type": "LORA", "base_model_name_or_path": "Qwen/Qwen2.5-7B-Instruct"}))
    shutil.copy(pajamas.TINY / "tokenizer.json", lora)
    for command in (["run", "--prompt", "a"], ["inspect"], ["plan", "--method", "Q4_0"],
                    ["quantize", "--method", "Q4_0", "--output", tmp_path / "x.gguf"], ["validate"]):
        done = pajamas.run(command[0], lora, *command[1:], check=False)
        assert done.returncode == 5, done.stderr
        assert "holds a LoRA adapter and no model" in done.stderr
        assert "merge it into its base model (Qwen/Qwen2.5-7B-Instruct) first" in done.stderr
    beside = shutil.copytree(pajamas.TINY, tmp_path / "beside")
    for file in lora.glob("adapter*"):
        shutil.copy(file, beside)
    text, notes = greedy(beside)
    assert text == greedy(pajamas.TINY)[0] and "is not applied" in notes
    # Adapters inside the weights' own file are no less an adapter.
    inside = {"base_model.model." + k: v for k, v in raw_tensors(pajamas.TINY).items()}
    inside |= {k: ("F32", list(v.shape), v.tobytes())
               for k, v in load_file(lora / "adapter_model.safetensors").items()}
    done = pajamas.run("inspect", with_tensors(pajamas.TINY, tmp_path / "inside", inside), check=False)
    assert done.returncode == 5 and "merge it first" in done.stderr
