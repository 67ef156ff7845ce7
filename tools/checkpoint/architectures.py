"""What the checkpoint of each architecture holds, in each form in which it is published."""

import math
from dataclasses import dataclass
from typing import Callable

FP8_BLOCK = 128  # rows and columns that share one scale
MX_BLOCK = 32  # weights that share one exponent

# Forms by model_type; the first is what is made when none is asked for.
FORMS = {
    "qwen2": ("plain",),
    "qwen3": ("plain", "fp8"),
    "llama": ("plain",),
    "qwen3_moe": ("per-expert", "fused", "fp8"),
    "gpt_oss": ("mxfp4", "bf16"),
}


@dataclass(frozen=True)
class Spec:
    """One tensor, or a pair of codes and scales.

    kind: matrix       [..., outputs, inputs] in the checkpoint's dtype
          transposed   [..., inputs, outputs] likewise
          embedding, norm, head_norm, bias, sink
          fp8          [outputs, inputs] E4M3, with NAME_scale_inv a 128x128 block
          mxfp4        [..., outputs, inputs]: NAME_blocks and NAME_scales
    after: the norm that feeds it
    """
    name: str
    shape: tuple
    kind: str
    after: str = ""

    def inputs(self):
        return self.shape[-2] if self.kind == "transposed" else self.shape[-1]

    def deviation(self):
        return 1 / math.sqrt(self.inputs())


def dimensions(config):
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    experts = config.get("num_experts") or config.get("num_local_experts") or 0
    return dict(d=config["hidden_size"], f=config["intermediate_size"], v=config["vocab_size"],
                h=heads, q=heads * head_dim, k=config["num_key_value_heads"] * head_dim,
                hd=head_dim, e=experts, x=config.get("moe_intermediate_size") or
                config["intermediate_size"])


def _attention(layer, n, matrix, biases=(), head_norms=False, sinks=False):
    """`biases`: the projections that have one; `matrix`: the kind of a projection."""
    at, norm = layer + "self_attn.", layer + "input_layernorm.weight"
    shapes = {"q": ((n["q"], n["d"]), norm), "k": ((n["k"], n["d"]), norm),
              "v": ((n["k"], n["d"]), norm), "o": ((n["d"], n["q"]), "")}
    for name, (shape, after) in shapes.items():
        yield Spec(f"{at}{name}_proj.weight", shape, matrix, after)
        if name in biases:
            yield Spec(f"{at}{name}_proj.bias", shape[:1], "bias")
    if head_norms:
        yield Spec(at + "q_norm.weight", (n["hd"],), "head_norm")
        yield Spec(at + "k_norm.weight", (n["hd"],), "head_norm")
    if sinks:
        yield Spec(at + "sinks", (n["h"],), "sink")


def _mlp(at, after, d, ffn, matrix):
    yield Spec(at + "gate_proj.weight", (ffn, d), matrix, after)
    yield Spec(at + "up_proj.weight", (ffn, d), matrix, after)
    yield Spec(at + "down_proj.weight", (d, ffn), matrix)


def _norms(layer, n):
    yield Spec(layer + "input_layernorm.weight", (n["d"],), "norm")
    yield Spec(layer + "post_attention_layernorm.weight", (n["d"],), "norm")


def _dense_layer(layer, n, matrix, **attention):
    yield from _attention(layer, n, matrix, **attention)
    yield from _mlp(layer + "mlp.", layer + "post_attention_layernorm.weight", n["d"], n["f"],
                    matrix)
    yield from _norms(layer, n)


def _qwen2(config, form, layer, i, n):
    yield from _dense_layer(layer, n, "matrix", biases="qkv")


def _qwen3(config, form, layer, i, n):
    yield from _dense_layer(layer, n, "fp8" if form == "fp8" else "matrix", head_norms=True)


def _llama(config, form, layer, i, n):
    yield from _dense_layer(layer, n, "matrix",
                            biases="qkvo" if config.get("attention_bias") else "")


def is_sparse(config, i):
    """Whether layer i of a Qwen3-MoE has experts."""
    step = config.get("decoder_sparse_step") or 1
    return i not in (config.get("mlp_only_layers") or []) and (i + 1) % step == 0


def _qwen3_moe(config, form, layer, i, n):
    matrix = "fp8" if form == "fp8" else "matrix"
    if not is_sparse(config, i):
        yield from _dense_layer(layer, n, matrix, head_norms=True)
        return
    post, mlp = layer + "post_attention_layernorm.weight", layer + "mlp."
    yield from _attention(layer, n, matrix, head_norms=True)
    yield Spec(mlp + "gate.weight", (n["e"], n["d"]), "matrix", post)
    if form == "fused":
        yield Spec(mlp + "experts.gate_up_proj", (n["e"], 2 * n["x"], n["d"]), "matrix", post)
        yield Spec(mlp + "experts.down_proj", (n["e"], n["d"], n["x"]), "matrix")
    else:
        for expert in range(n["e"]):
            yield from _mlp(f"{mlp}experts.{expert}.", post, n["d"], n["x"], matrix)
    yield from _norms(layer, n)


def _gpt_oss(config, form, layer, i, n):
    post, mlp = layer + "post_attention_layernorm.weight", layer + "mlp."
    at = mlp + "experts."
    yield from _attention(layer, n, "matrix", biases="qkvo", sinks=True)
    yield Spec(mlp + "router.weight", (n["e"], n["d"]), "matrix", post)
    yield Spec(mlp + "router.bias", (n["e"],), "bias")
    yield Spec(at + "gate_up_proj_bias", (n["e"], 2 * n["f"]), "bias")
    yield Spec(at + "down_proj_bias", (n["e"], n["d"]), "bias")
    if form == "mxfp4":
        yield Spec(at + "gate_up_proj", (n["e"], 2 * n["f"], n["d"]), "mxfp4", post)
        yield Spec(at + "down_proj", (n["e"], n["d"], n["f"]), "mxfp4")
    else:
        yield Spec(at + "gate_up_proj", (n["e"], n["d"], 2 * n["f"]), "transposed", post)
        yield Spec(at + "down_proj", (n["e"], n["f"], n["d"]), "transposed")
    yield from _norms(layer, n)


_LAYERS: dict[str, Callable] = {"qwen2": _qwen2, "qwen3": _qwen3, "llama": _llama,
                                "qwen3_moe": _qwen3_moe, "gpt_oss": _gpt_oss}


def specs_of(config, form):
    """Every tensor of a model, in its order."""
    n = dimensions(config)
    specs = [Spec("model.embed_tokens.weight", (n["v"], n["d"]), "embedding")]
    for i in range(config["num_hidden_layers"]):
        specs += _LAYERS[config["model_type"]](config, form, f"model.layers.{i}.", i, n)
    specs.append(Spec("model.norm.weight", (n["d"],), "norm"))
    if not config.get("tie_word_embeddings", False):
        specs.append(Spec("lm_head.weight", (n["v"], n["d"]), "matrix", "model.norm.weight"))
    return specs


def checked_form(config, form):
    """The form to write; raises ValueError where there is no such one."""
    kind = config.get("model_type")
    if kind not in FORMS:
        raise ValueError(f"model_type {kind!r} is not one of {', '.join(FORMS)}")
    if form is None:
        return FORMS[kind][0]
    if form not in FORMS[kind]:
        raise ValueError(f"{kind} has no form {form!r}, only {', '.join(FORMS[kind])}")
    return form


def config_of_form(config, form):
    """config.json as a checkpoint of this form has it."""
    config = {k: v for k, v in config.items() if k != "quantization_config"}
    layers = range(config["num_hidden_layers"])
    if form == "fp8":
        kept = ["lm_head"]
        for i in layers:
            kept += [f"model.layers.{i}.{name}" for name in
                     ("input_layernorm", "mlp.gate", "post_attention_layernorm")]
        config["quantization_config"] = {
            "activation_scheme": "dynamic", "fmt": "e4m3", "modules_to_not_convert": kept,
            "quant_method": "fp8", "weight_block_size": [FP8_BLOCK, FP8_BLOCK]}
    elif form == "mxfp4":
        config["quantization_config"] = {
            "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router",
                                       "model.embed_tokens", "lm_head"],
            "quant_method": "mxfp4"}
    if len(config.get("layer_types") or layers) != len(layers):
        config["layer_types"] = (config["layer_types"] * len(layers))[:len(layers)]
    return config
