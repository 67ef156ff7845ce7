"""A second writer of GGUF files for qwen2: what llama.cpp's converter would write, on top of the
gguf package alone. The tests compare our files with it, and prove the peers on it."""

import json
import pathlib

import gguf
import mlx.core as mx
import numpy as np

_LAYER = {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight", "self_attn.q_proj.bias": "attn_q.bias",
    "self_attn.k_proj.weight": "attn_k.weight", "self_attn.k_proj.bias": "attn_k.bias",
    "self_attn.v_proj.weight": "attn_v.weight", "self_attn.v_proj.bias": "attn_v.bias",
    "self_attn.o_proj.weight": "attn_output.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight", "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
}
_GLOBAL = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight":
           "output_norm.weight", "lm_head.weight": "output.weight"}


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


def read_json(path):
    return json.loads(pathlib.Path(path).read_text())


def add_hyperparameters(writer, config):
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])


def add_sampling(writer, folder):
    path = pathlib.Path(folder) / "generation_config.json"
    generation = read_json(path) if path.exists() else {}
    for key, add in (("top_k", writer.add_sampling_top_k), ("top_p", writer.add_sampling_top_p),
                     ("min_p", writer.add_sampling_min_p), ("temperature", writer.add_sampling_temp)):
        if key in generation:
            add(generation[key])


def looks_special(text):
    return text in ("<pad>", "<mask>") or (text.startswith("<|") and text.endswith("|>"))


def add_vocabulary(writer, folder, vocab_size):
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
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    gguf.SpecialVocab(pathlib.Path(folder), load_merges=True,
                      n_vocab=vocab_size).add_to_gguf(writer)


def write(folder, path, tensors=None):
    """`folder` in float32; `tensors` (GGUF names) replaces the weights."""
    folder = pathlib.Path(folder)
    config = read_json(folder / "config.json")
    writer = gguf.GGUFWriter(str(path), "qwen2")
    writer.add_type(gguf.GGUFType.MODEL)
    add_sampling(writer, folder)
    writer.add_name(folder.name)
    add_hyperparameters(writer, config)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_vocabulary(writer, folder, config["vocab_size"])
    if tensors is None:
        tensors = {gguf_name(n): a for n, a in hf_tensors(folder).items()}
    for name, array in tensors.items():
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
    writer = gguf.GGUFWriter(str(target), "qwen2")
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
