"""A second writer of GGUF files: what llama.cpp's converter would write, on top of the gguf package
alone. The tests compare our files with it, and prove the peers on it."""

import json
import math
import pathlib
import sys

import gguf
import mlx.core as mx
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
from checkpoint import files, forms  # noqa: E402

_LAYER = {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight", "self_attn.q_proj.bias": "attn_q.bias",
    "self_attn.k_proj.weight": "attn_k.weight", "self_attn.k_proj.bias": "attn_k.bias",
    "self_attn.v_proj.weight": "attn_v.weight", "self_attn.v_proj.bias": "attn_v.bias",
    "self_attn.o_proj.weight": "attn_output.weight", "self_attn.o_proj.bias": "attn_output.bias",
    "self_attn.q_norm.weight": "attn_q_norm.weight",
    "self_attn.k_norm.weight": "attn_k_norm.weight", "self_attn.sinks": "attn_sinks.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight", "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight", "mlp.gate.weight": "ffn_gate_inp.weight",
    "mlp.router.weight": "ffn_gate_inp.weight", "mlp.router.bias": "ffn_gate_inp.bias",
}
_GLOBAL = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight":
           "output_norm.weight", "lm_head.weight": "output.weight"}
ARCHITECTURES = {"qwen2": "qwen2", "qwen3": "qwen3", "llama": "llama", "qwen3_moe": "qwen3moe",
                 "gpt_oss": "gpt-oss"}


def gguf_name(name):
    if name in _GLOBAL:
        return _GLOBAL[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{_LAYER[rest]}"


def hf_tensors(folder):
    """Every tensor of a checkpoint as float32."""
    out = {}
    for file in sorted(pathlib.Path(folder).glob("*.safetensors")):
        for name, array in mx.load(str(file)).items():
            out[name] = np.array(array.astype(mx.float32))
    return out


def gguf_tensors(folder):
    """Every tensor of a checkpoint of any form under GGUF's name, as float32: experts stacked,
    gate and up apart, the query and key rows of Llama permuted."""
    folder = pathlib.Path(folder)
    config, out, experts = read_json(folder / "config.json"), {}, {}
    for name, (_, values) in forms.read_plain(folder).items():
        if ".experts." in name:
            _, _, layer, _, _, rest = name.split(".", 5)
            for part, place, some in _expert_parts(rest, values):
                experts.setdefault(f"blk.{layer}.ffn_{part}_exps.{place}", []).append((rest, some))
            continue
        to = gguf_name(name)
        if config["model_type"] == "gpt_oss":
            to = to.replace("ffn_norm", "post_attention_norm")
        if config["model_type"] == "llama" and to.split(".")[2:3] in (["attn_q"], ["attn_k"]):
            head_dim = config.get("head_dim") or (config["hidden_size"] //
                                                  config["num_attention_heads"])
            values = side_by_side(values, len(values) // head_dim)
        out[to] = values
    for name, some in experts.items():
        whole = some[0][1].ndim > 2 or not name.endswith(".weight")
        out[name] = some[0][1] if whole else np.stack(
            [v for _, v in sorted(some, key=lambda s: int(s[0].split(".")[0]))])
    if (config.get("rope_scaling") or {}).get("rope_type") == "llama3":
        out["rope_freqs.weight"] = llama3_factors(config)
    return out


def _expert_parts(rest, values):
    """(gate, up or down; weight or bias; values)."""
    kind = "bias" if rest.endswith("_bias") else "weight"
    if rest.startswith("gate_up_proj"):  # gpt-oss
        at = (slice(None), slice(None, None, 2)), (slice(None), slice(1, None, 2))
        return [("gate", kind, values[at[0]]), ("up", kind, values[at[1]])]
    part = next(p for p in ("gate", "up", "down") if f"{p}_proj" in rest)
    return [(part, kind, values)]


def side_by_side(rows, heads):
    """Rows of a head's two halves in turns: what GGUF does for Llama's kind of rotation."""
    return rows.reshape(heads, 2, -1, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def llama3_factors(config):
    """What the frequencies of Llama 3.x are divided by, in float64."""
    scaling = config["rope_scaling"]
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    length, factor = scaling["original_max_position_embeddings"], scaling["factor"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    out = []
    for i in range(head_dim // 2):
        turns = length / (2 * math.pi) * config["rope_theta"] ** (-2 * i / head_dim)
        smooth = min(max((turns - low) / (high - low), 0), 1)
        out.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(out, np.float32)


def mxfp4_tensors(folder):
    """The experts of gpt-oss as GGUF packs MXFP4: {name: bytes [E, rows, blocks * 17]}."""
    stored, out = files.read_tensors(pathlib.Path(folder)), {}
    for name, (_, blocks) in stored.items():
        if not name.endswith("_blocks"):
            continue
        _, _, layer, _, _, rest = name.split(".", 5)
        scales = stored[name.removesuffix("_blocks") + "_scales"][1]
        codes = np.stack([blocks & 15, blocks >> 4], axis=-1).reshape(*blocks.shape[:-1], 32)
        packed = np.concatenate([scales[..., None], codes[..., :16] | codes[..., 16:] << 4], axis=-1)
        packed = packed.reshape(*packed.shape[:-2], -1)
        for part, _, some in _expert_parts(rest, packed):
            out[f"blk.{layer}.ffn_{part}_exps.weight"] = some
    return out


def read_json(path):
    return json.loads(pathlib.Path(path).read_text())


def add_hyperparameters(writer, config):
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    add_rope(writer, config)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    experts = config.get("num_local_experts", config.get("num_experts"))
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(config["num_experts_per_tok"])
        writer.add_expert_feed_forward_length(config.get("moe_intermediate_size",
                                                         config["intermediate_size"]))
    if config.get("head_dim"):
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
    if config["model_type"] == "gpt_oss":
        writer.add_sliding_window(config["sliding_window"])
    if config["model_type"] == "llama":
        writer.add_vocab_size(config["vocab_size"])
        writer.add_rope_dimension_count(config.get("head_dim") or config["hidden_size"] //
                                        config["num_attention_heads"])


def add_rope(writer, config):
    scaling = config.get("rope_scaling") or {}
    if scaling.get("rope_type") == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(scaling["factor"])
        writer.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])
        writer.add_rope_scaling_yarn_beta_fast(scaling["beta_fast"])
        writer.add_rope_scaling_yarn_beta_slow(scaling["beta_slow"])
    writer.add_rope_freq_base(config["rope_theta"])


def add_sampling(writer, folder):
    path = pathlib.Path(folder) / "generation_config.json"
    generation = read_json(path) if path.exists() else {}
    for key, add in (("top_k", writer.add_sampling_top_k), ("top_p", writer.add_sampling_top_p),
                     ("min_p", writer.add_sampling_min_p), ("temperature", writer.add_sampling_temp)):
        if key in generation:
            add(generation[key])


def looks_special(text):
    return text in ("<pad>", "<mask>") or (text.startswith("<|") and text.endswith("|>"))


def add_vocabulary(writer, folder, vocab_size, pre):
    tokenizer = read_json(pathlib.Path(folder) / "tokenizer.json")
    tokens = [f"[PAD{i}]" for i in range(vocab_size)]
    types = [gguf.TokenType.UNUSED] * vocab_size
    for text, i in tokenizer["model"]["vocab"].items():
        tokens[i], types[i] = text, gguf.TokenType.NORMAL
    for added in tokenizer["added_tokens"]:
        i, text = added["id"], added["content"]
        special = added["special"] or looks_special(text)
        tokens[i] = text
        types[i] = gguf.TokenType.CONTROL if special else gguf.TokenType.USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    gguf.SpecialVocab(pathlib.Path(folder), load_merges=True,
                      n_vocab=vocab_size).add_to_gguf(writer)


def write(folder, path, tensors=None, mxfp4=False, pre="qwen2"):
    """`folder` in float32; `tensors` (GGUF names) replaces the weights. With `mxfp4` the experts
    that the checkpoint has in MXFP4 stay so."""
    folder = pathlib.Path(folder)
    config = read_json(folder / "config.json")
    writer = gguf.GGUFWriter(str(path), ARCHITECTURES[config["model_type"]])
    writer.add_type(gguf.GGUFType.MODEL)
    add_sampling(writer, folder)
    writer.add_name(folder.name)
    add_hyperparameters(writer, config)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_MXFP4_MOE if mxfp4 else
                         gguf.LlamaFileType.ALL_F32)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_vocabulary(writer, folder, config["vocab_size"], pre)
    if tensors is None:
        tensors = gguf_tensors(folder)
    packed = mxfp4_tensors(folder) if mxfp4 else {}
    for name, array in tensors.items():
        if name in packed:
            writer.add_tensor(name, packed[name], raw_dtype=gguf.GGMLQuantizationType.MXFP4)
        else:
            writer.add_tensor(name, np.ascontiguousarray(array, np.float32))
    finish(writer)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def rewrite_as_float(source, target):
    """The same metadata with every tensor decoded to float32: weights as they are, engine aside."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(str(target),
                             reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture",
                                                            "general.file_type"):
            continue
        kind = field.types[0]
        sub = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, decode(tensor))
    finish(writer)


def decode(tensor):
    """A tensor of a GGUFReader as float32 in PyTorch order."""
    shape = [int(n) for n in reversed(tensor.shape)]
    return gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(shape)


def metadata(path):
    """{key: (types, value)} without the fields that describe the file itself."""
    return {f.name: (tuple(int(t) for t in f.types), f.contents())
            for f in gguf.GGUFReader(path).fields.values() if not f.name.startswith("GGUF.")}
