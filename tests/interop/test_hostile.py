"""Broken checkpoints and files: one line that names the file and the place, a status that is no
signal, no output, no hang and no huge allocation. Every case is tiny-qwen2 with one thing wrong."""

import copy
import json
import os
import resource
import shutil
import struct

import hostile_gguf
import numpy as np
import pajamas
import pytest
from hostile_gguf import ARRAY, STRING, Raw

MEMORY = 4 << 30
SECONDS = 10
Q0 = "model.layers.0.self_attn.q_proj.weight"
BIG = 1 << 62


def limited():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def fails(*args, names=()):
    """The program ends with one error line that holds every one of `names`."""
    done = pajamas.run(*args, check=False, timeout=SECONDS, preexec_fn=limited)
    assert 0 < done.returncode < 128, (done.returncode, done.stdout[-300:], done.stderr[-1000:])
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, done.stderr[-2000:]
    for name in names:
        assert name in lines[0], f"{name!r} is not named: {lines[0]}"
    assert len(lines[0]) < 2000 and lines[0].isprintable(), lines[0]
    return lines[0]


# --- Hugging Face directories --------------------------------------------------------------------


class Shard:
    """model.safetensors as header and data."""

    def __init__(self, path):
        raw = path.read_bytes()
        size = struct.unpack("<Q", raw[:8])[0]
        self.header = json.loads(raw[8:8 + size])
        self.data = bytearray(raw[8 + size:])

    def write(self, path, text=None, length=None):
        text = json.dumps(self.header).encode() if text is None else text
        length = len(text) if length is None else length
        path.write_bytes(struct.pack("<Q", length) + text + self.data)


def shard_case(change):
    """A case that changes the only shard; `change` may return what `write` takes."""
    def build(folder):
        path = folder / "model.safetensors"
        shard = Shard(path)
        path.unlink()
        shard.write(path, **(change(shard) or {}))
    return build


def json_case(name, change):
    """A case that changes a JSON file; a value that `change` returns replaces the whole."""
    def build(folder):
        path = folder / name
        value = json.loads(path.read_text())
        other = change(value)
        path.unlink()
        path.write_text(json.dumps(value if other is None else other))
    return build


def text_case(name, content):
    def build(folder):
        (folder / name).unlink(missing_ok=True)
        if content is not None:
            (folder / name).write_bytes(content)
    return build


def config(**changes):
    return json_case("config.json", lambda c: c.update(changes))


def without(key):
    return json_case("config.json", lambda c: c.pop(key) and None)


def offsets(begin, end):
    def change(shard):
        entry = shard.header[Q0]
        first, last = entry["data_offsets"]
        entry["data_offsets"] = [first + begin, last + end]
    return change


def entry(**changes):
    def change(shard):
        shard.header[Q0].update(changes)
    return change


def poison(bits):
    def change(shard):
        first = shard.header[Q0]["data_offsets"][0]
        shard.data[first + 1000:first + 1002] = struct.pack("<H", bits)
    return change


def remove(shard):
    """The tensor and its bytes: what is left is a sound file."""
    first, last = shard.header.pop(Q0)["data_offsets"]
    del shard.data[first:last]
    for entry in shard.header.values():
        if "data_offsets" in entry and entry["data_offsets"][0] >= last:
            entry["data_offsets"] = [o - (last - first) for o in entry["data_offsets"]]


def duplicate_in_header(shard):
    text = json.dumps(shard.header)
    again = f', "{Q0}": {json.dumps(shard.header[Q0])}}}'
    return {"text": (text[:-1] + again).encode()}


def two_shards(folder, change=lambda index, parts: None):
    """The shard cut in two with an index."""
    whole = Shard(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = [n for n in whole.header if n != "__metadata__"]
    parts = {}
    for number, some in enumerate((names[:20], names[20:])):
        part = copy.copy(whole)
        part.header, part.data = {}, bytearray()
        for name in some:
            first, last = whole.header[name]["data_offsets"]
            start = len(part.data)
            part.data += whole.data[first:last]
            part.header[name] = {**whole.header[name], "data_offsets": [start, len(part.data)]}
        parts[f"model-{number + 1:05d}-of-00002.safetensors"] = part
    index = {"metadata": {"total_size": 0},
             "weight_map": {n: file for file, part in parts.items() for n in part.header}}
    index = change(index, parts) or index
    for file, part in parts.items():
        part.write(folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def sharded(change):
    return lambda folder: two_shards(folder, change)


def missing_shard(folder):
    two_shards(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()


def duplicate_across(index, parts):
    first, second = parts.values()
    name = next(iter(first.header))
    start = len(second.data)
    second.data += bytes(first.header[name]["data_offsets"][1] -
                         first.header[name]["data_offsets"][0])
    second.header[name] = {**first.header[name], "data_offsets": [start, len(second.data)]}


def escaping(index, parts):
    for name in index["weight_map"]:
        index["weight_map"][name] = "../../../../etc/passwd"


def truncate(folder):
    path = folder / "model.safetensors"
    raw = path.read_bytes()
    path.unlink()
    path.write_bytes(raw[:len(raw) // 2])


def bin_checkpoint(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"PK\x03\x04" + bytes(100))


NEST = 200_000
SAFE = "model.safetensors"
DIRECTORIES = {
    "shard-truncated": (truncate, [SAFE]),
    "shard-empty": (text_case(SAFE, b""), [SAFE]),
    "shard-7-bytes": (text_case(SAFE, b"\1\0\0\0\0\0\0"), [SAFE]),
    "header-length-2^64-8": (shard_case(lambda s: {"length": (1 << 64) - 8}), [SAFE]),
    "header-length-2^63": (shard_case(lambda s: {"length": 1 << 63}), [SAFE]),
    "header-longer-than-file": (shard_case(lambda s: {"length": 1 << 33}), [SAFE]),
    "header-zero": (shard_case(lambda s: {"text": b""}), [SAFE]),
    "header-not-json": (shard_case(lambda s: {"text": b"{" * 64}), [SAFE]),
    "header-deep": (shard_case(lambda s: {"text": b"[" * NEST + b"]" * NEST}), [SAFE]),
    "header-array": (shard_case(lambda s: {"text": b"[1,2,3]"}), [SAFE]),
    "header-not-utf8": (shard_case(lambda s: {"text": b'{"\xff\xfe": 1}'}), [SAFE]),
    "offsets-overlap": (shard_case(offsets(-64, -64)), [SAFE, Q0]),
    "offsets-out-of-range": (shard_case(offsets(BIG, BIG)), [SAFE, Q0]),
    "offsets-reversed": (shard_case(lambda s: s.header[Q0]["data_offsets"].reverse()),
                         [SAFE, Q0]),
    "offsets-too-long": (shard_case(offsets(0, 64)), [SAFE, Q0]),
    "offsets-negative": (shard_case(entry(data_offsets=[-8, 16])), [SAFE, Q0]),
    "offsets-fraction": (shard_case(entry(data_offsets=[0.5, 16])), [SAFE, Q0]),
    "offsets-one": (shard_case(entry(data_offsets=[0])), [SAFE, Q0]),
    "offsets-2^64": (shard_case(entry(data_offsets=[0, 1 << 64])), [SAFE, Q0]),
    "dtype-integer": (shard_case(entry(dtype="I16")), [SAFE, Q0]),
    "dtype-unknown": (shard_case(entry(dtype="F17")), [SAFE, Q0]),
    "dtype-missing": (shard_case(lambda s: s.header[Q0].pop("dtype") and None), [SAFE, Q0]),
    "dtype-other-size": (shard_case(entry(dtype="F32")), [SAFE, Q0]),
    "shape-against-config": (shard_case(entry(shape=[128, 512])), [SAFE, Q0]),
    "shape-one-dimension": (shard_case(entry(shape=[65536])), [SAFE, Q0]),
    "shape-overflow": (shard_case(entry(shape=[1 << 33, 1 << 33])), [SAFE, Q0]),
    "shape-negative": (shard_case(entry(shape=[-256, -256])), [SAFE, Q0]),
    "shape-many": (shard_case(entry(shape=[1] * 5000)), [SAFE, Q0]),
    "tensor-missing": (shard_case(remove), [Q0]),
    "tensor-twice": (shard_case(duplicate_in_header), [SAFE, Q0]),
    "weight-nan": (shard_case(poison(0x7FC0)), [SAFE, Q0]),
    "weight-infinite": (shard_case(poison(0xFF80)), [SAFE, Q0]),
    "shard-missing": (missing_shard, ["model-00002-of-00002.safetensors"]),
    "shards-share-a-tensor": (sharded(duplicate_across), ["model-0000"]),
    "index-leaves-the-folder": (sharded(escaping), ["model.safetensors.index.json"]),
    "index-not-an-object": (sharded(lambda i, p: [1]), ["model.safetensors.index.json"]),
    "index-without-map": (sharded(lambda i, p: {"metadata": {}}),
                          ["model.safetensors.index.json"]),
    "index-map-of-numbers": (sharded(lambda i, p: {"weight_map": {Q0: 5}}),
                             ["model.safetensors.index.json"]),
    "bin-checkpoint": (bin_checkpoint, ["pytorch_model.bin", "safetensors"]),
    "no-weights": (text_case(SAFE, None), ["safetensors"]),
    "config-absent": (text_case("config.json", None), ["config.json"]),
    "config-empty": (text_case("config.json", b""), ["config.json"]),
    "config-not-json": (text_case("config.json", b"{'a': 1}"), ["config.json"]),
    "config-deep": (text_case("config.json", b"[" * NEST), ["config.json"]),
    "config-not-utf8": (text_case("config.json", b'{"model_type": "\xff\xfe"}'), ["config.json"]),
    "config-array": (text_case("config.json", b"[]"), ["config.json"]),
    "architecture-unknown": (config(model_type="mamba", architectures=["MambaForCausalLM"]),
                             ["config.json", "mamba"]),
    "architecture-absent": (without("model_type"), ["config.json", "model_type"]),
    "architecture-number": (config(model_type=5), ["config.json", "model_type"]),
    "tokenizer-absent": (text_case("tokenizer.json", None), ["tokenizer.json"]),
    "tokenizer-not-json": (text_case("tokenizer.json", b"]"), ["tokenizer.json"]),
    "tokenizer-not-utf8": (text_case("tokenizer.json", b'{"model": "\xc3\x28"}'),
                           ["tokenizer.json"]),
    "tokenizer-deep": (text_case("tokenizer.json", b'{"a":' * NEST), ["tokenizer.json"]),
}
NUMBERS = ("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers",
           "num_key_value_heads", "vocab_size")
for key in NUMBERS:
    for label, value in (("zero", 0), ("negative", -4), ("text", "many"), ("huge", 1 << 40),
                         ("2^64", 1 << 64), ("fraction", 2.5), ("null", None), ("array", [4])):
        if key == "num_key_value_heads" and value is None:
            continue  # as many as there are heads
        DIRECTORIES[f"{key}-{label}"] = (config(**{key: value}), ["config.json", key])
for label, changes, key in (
        ("heads-do-not-divide", dict(num_attention_heads=3), "num_attention_heads"),
        ("kv-heads-do-not-divide", dict(num_key_value_heads=3), "num_key_value_heads"),
        ("kv-heads-exceed", dict(num_key_value_heads=8), "num_key_value_heads"),
        ("theta-zero", dict(rope_theta=0), "rope_theta"),
        ("theta-text", dict(rope_theta="1e6"), "rope_theta"),
        ("eps-negative", dict(rms_norm_eps=-1), "rms_norm_eps"),
        ("tied-text", dict(tie_word_embeddings="no"), "tie_word_embeddings"),
        ("sliding-window", dict(use_sliding_window=True, max_window_layers=0), "sliding_window"),
        ("activation", dict(hidden_act="gelu"), "hidden_act"),
        ("rope-scaling", dict(rope_scaling={"type": "dynamic", "factor": 4.0}), "rope_scaling"),
        ("quantized-already", dict(quantization_config={"quant_method": "gptq", "bits": 4}),
         "quantization_config")):
    DIRECTORIES[f"config-{label}"] = (config(**changes), ["config.json", key])


def tokenizer(change):
    return json_case("tokenizer.json", change)


def model(**changes):
    return tokenizer(lambda t: t["model"].update(changes))


def first_merge(value):
    def change(t):
        t["model"]["merges"][0] = value
    return tokenizer(change)


def vocab(token, i):
    return tokenizer(lambda t: t["model"]["vocab"].update({token: i}))


def added(**changes):
    return tokenizer(lambda t: t["added_tokens"][0].update(changes))


def pattern(regex):
    def change(t):
        def walk(node):
            if isinstance(node, dict):
                if "Regex" in node:
                    node["Regex"] = regex
                for value in node.values():
                    walk(value)
            elif isinstance(node, list):
                for value in node:
                    walk(value)
        walk(t["pre_tokenizer"])
    return tokenizer(change)


TOKENIZERS = {
    "merge-of-unknown": first_merge("zzzz qqqq"),
    "merge-of-one": first_merge("a"),
    "merge-of-three": first_merge("a b c"),
    "merge-number": first_merge(5),
    "merge-pair-of-numbers": first_merge([1, 2]),
    "merge-result-unknown": first_merge("! \""),
    "merge-empty-part": first_merge(" a"),
    "vocab-absent": tokenizer(lambda t: t["model"].pop("vocab") and None),
    "vocab-array": model(vocab=[1, 2]),
    "vocab-empty": model(vocab={}),
    "id-beyond": vocab("beyond", 1 << 31),
    "id-2^64": vocab("beyond", 1 << 64),
    "id-negative": vocab("below", -1),
    "id-text": vocab("text", "5"),
    "id-twice": vocab("twice", 0),
    "added-id-beyond": added(id=1 << 30),
    "added-id-negative": added(id=-1),
    "added-content-number": added(content=5),
    "added-content-empty": added(content=""),
    "added-array": tokenizer(lambda t: t.update(added_tokens={"a": 1})),
    "model-unigram": model(type="Unigram"),
    "model-absent": tokenizer(lambda t: t.pop("model") and None),
    "pattern-broken": pattern("(unclosed"),
    "pattern-endless-classes": pattern("[" * 5000),
    "pattern-huge": pattern("(a{1,65000}){1,65000}"),
    "pre-tokenizer-unknown": tokenizer(lambda t: t.update(pre_tokenizer={"type": "Nonsense"})),
    "normalizer-unknown": tokenizer(lambda t: t.update(normalizer={"type": "Nonsense"})),
}


@pytest.fixture
def folder(tmp_path):
    """tiny-qwen2 by links: a case replaces what it changes."""
    path = tmp_path / "model"
    path.mkdir()
    for file in pajamas.TINY.iterdir():
        os.symlink(file, path / file.name)
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("case", DIRECTORIES)
def test_directory(folder, tmp_path, case):
    build, names = DIRECTORIES[case]
    build(folder)
    fails("quantize", folder, "--format", "gguf,mlx", "--method", "Q4_0:4bit", "--output",
          tmp_path / "out", names=names)
    assert [p for p in tmp_path.rglob("*") if p.is_file() and folder not in p.parents] == []


# Weights are not looked at, so that values stay unseen; tokenizers are not needed.
SHALLOW = [c for c in DIRECTORIES if not c.startswith(("weight-", "tokenizer-"))]


@pytest.mark.parametrize("case", SHALLOW)
def test_directory_plan_and_run(folder, case):
    build, names = DIRECTORIES[case]
    build(folder)
    if case != "no-weights":  # the configuration is enough for a plan
        fails("plan", folder, "--format", "gguf", "--method", "Q4_0", names=names)
    fails("run", folder, "--raw", "--prompt", "x", "--max-tokens", "1", names=names)
    fails("inspect", folder, names=names)


@pytest.mark.parametrize("case", TOKENIZERS)
def test_tokenizer(folder, tmp_path, case):
    TOKENIZERS[case](folder)
    fails("tokenize", folder, "--text", "some text", names=["tokenizer.json"])
    fails("tokenize", folder / "tokenizer.json", "--text", "some text", names=["tokenizer.json"])
    fails("quantize", folder, "--format", "gguf", "--method", "Q4_0", "--output",
          tmp_path / "out.gguf", names=["tokenizer.json"])
    assert not (tmp_path / "out.gguf").exists()


def test_a_pattern_that_backtracks_without_end(folder):
    pattern("(?:x+x+)+y|[^x]")(folder)
    fails("tokenize", folder, "--text", "x" * 80 + "zy")


def test_input_that_is_not_utf8(tmp_path):
    path = tmp_path / "text.bin"
    path.write_bytes(b"fine \xff\xfe\xc3( not fine")
    fails("tokenize", pajamas.TINY, "--file", path, names=["text.bin"])
    fails("validate", pajamas.TINY, "--metrics", "perplexity", "--text", path, names=["text.bin"])


@pytest.mark.parametrize("line", ["5", "[", '{"a": 1}', '"\\ud800"', "[1, -5]", "[99999999999]"])
def test_lines_that_are_no_strings(tmp_path, line):
    path = tmp_path / "lines.jsonl"
    path.write_text(f'"fine"\n{line}\n')
    fails("tokenize", pajamas.TINY, "--jsonl", path, names=["lines.jsonl"])


QUANTIZE = ["quantize", pajamas.TINY, "--format", "gguf", "--method", "Q4_0"]
ARGUMENTS = {
    "threads-negative": [*QUANTIZE, "--output", "{out}", "--threads", "-1"],
    "threads-zero": [*QUANTIZE, "--output", "{out}", "--threads", "0"],
    "threads-text": [*QUANTIZE, "--output", "{out}", "--threads", "two"],
    "threads-huge": [*QUANTIZE, "--output", "{out}", "--threads", "100000000000"],
    "method-unknown": ["quantize", pajamas.TINY, "--format", "gguf", "--method", "Q9_Z",
                       "--output", "{out}"],
    "method-of-the-other-format": ["quantize", pajamas.TINY, "--format", "gguf", "--method",
                                   "4bit:Q4_0", "--output", "{out}"],
    "format-unknown": ["quantize", pajamas.TINY, "--format", "onnx", "--method", "Q4_0",
                       "--output", "{out}"],
    "format-twice": ["quantize", pajamas.TINY, "--format", "gguf,gguf", "--method", "Q4_0",
                     "--output", "{out}"],
    "group-size": ["quantize", pajamas.TINY, "--format", "mlx", "--method", "4bit",
                   "--group-size", "48", "--output", "{out}"],
    "embedding-bits": ["quantize", pajamas.TINY, "--format", "mlx", "--method", "4bit",
                       "--embedding-bits", "7", "--output", "{out}"],
    "tensor-type-regex": [*QUANTIZE, "--output", "{out}", "--tensor-type", "(=q8_0"],
    "tensor-type-unknown": [*QUANTIZE, "--output", "{out}", "--tensor-type", "attn=q99"],
    "tensor-type-shape": [*QUANTIZE, "--output", "{out}", "--tensor-type", "attn"],
    "model-absent": ["quantize", "/no/such/model", "--format", "gguf", "--method", "Q4_0",
                     "--output", "{out}"],
    "model-empty-folder": ["quantize", "{empty}", "--format", "gguf", "--method", "Q4_0",
                           "--output", "{out}"],
    "model-not-a-model": ["run", pajamas.HELDOUT, "--prompt", "x"],
    "backend-unknown": ["run", pajamas.TINY, "--prompt", "x", "--backend", "cuda"],
    "temperature-negative": ["run", pajamas.TINY, "--prompt", "x", "--temperature", "-1"],
    "max-tokens-negative": ["run", pajamas.TINY, "--prompt", "x", "--max-tokens", "-5"],
    "ctx-negative": ["run", pajamas.TINY, "--prompt", "x", "--ctx", "-1"],
    "ctx-huge": ["run", pajamas.TINY, "--prompt", "x", "--ctx", "4000000000000"],
    "top-p": ["run", pajamas.TINY, "--prompt", "x", "--top-p", "1.5"],
    "metric-unknown": ["validate", pajamas.TINY, "--metrics", "beauty"],
    "kl-without-reference": ["validate", pajamas.TINY, "--metrics", "kl", "--text",
                             pajamas.HELDOUT],
    "text-absent": ["validate", pajamas.TINY, "--metrics", "perplexity", "--text", "/no/such"],
    "inspect-tensor": ["inspect", pajamas.TINY, "--tensor", "no.such.tensor"],
    "chat-absent": ["tokenize", pajamas.TINY, "--chat", "/no/such.json"],
    "command-unknown": ["quantise", pajamas.TINY],
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments(tmp_path, case):
    (tmp_path / "empty").mkdir()
    places = {"{out}": tmp_path / "out", "{empty}": tmp_path / "empty"}
    fails(*(places.get(a, a) for a in ARGUMENTS[case]))
    assert not (tmp_path / "out").exists()


def test_the_backend_error_names_those_built_in():
    assert "cpu" in fails("run", pajamas.TINY, "--prompt", "x", "--backend", "cuda")


# --- GGUF ----------------------------------------------------------------------------------------

Q0G = "blk.0.attn_q.weight"


def retype(key, kind, value, element=None):
    return lambda d: d.set(key, value, kind, element)


def put(key, value):
    return lambda d: d.set(key, value)


def field(tensor, **changes):
    def change(d):
        for key, value in changes.items():
            setattr(d.tensor(tensor), key, value)
    return change


def header(**changes):
    def change(d):
        for key, value in changes.items():
            setattr(d, key, value)
    return change


def item(key, i, value):
    def change(d):
        values = list(d.get(key))
        values[i] = value
        d.set(key, values)
    return change


def drop_tensor(d):
    d.tensors = [t for t in d.tensors if t.name != Q0G.encode()]


def double_tensor(d):
    d.tensors.append(copy.copy(d.tensor(Q0G)))


def double_pair(d):
    d.pairs.append(next(p for p in d.pairs if p[0] == "qwen2.block_count"))


def nan(d):
    t = d.tensor(Q0G)
    values = np.frombuffer(t.data, "<f4").copy()
    values[1000] = np.nan
    t.data = values.tobytes()


def nested(depth):
    """An array of arrays of arrays."""
    return Raw(struct.pack("<iQ", ARRAY, 1) * depth + struct.pack("<iQ", 4, 0))


TOKENS, TYPES, MERGES = (f"tokenizer.ggml.{n}" for n in ("tokens", "token_type", "merges"))
GGUFS = {
    "magic": (header(magic=b"GGUG"), []),
    "version-1": (header(version=1), ["version"]),
    "version-4": (header(version=4), ["version"]),
    "version-big-endian": (header(version=3 << 24), ["version"]),
    "tensor-count-2^63": (header(n_tensors=1 << 63), []),
    "pair-count-2^63": (header(n_pairs=1 << 63), []),
    "tensor-count-2^40": (header(n_tensors=1 << 40), []),
    "pair-count-2^40": (header(n_pairs=1 << 40), []),
    "no-tensors": (header(tensors=[]), []),
    "key-length-2^64-8": (lambda d: d.pairs.insert(0, ("x", STRING, None, Raw(
        struct.pack("<Q", (1 << 64) - 8)))), ["x"]),
    "array-length-2^60": (retype(TYPES, ARRAY, Raw(struct.pack("<iQ", 5, 1 << 60)), 5), [TYPES]),
    "strings-length-2^32": (retype(TOKENS, ARRAY, Raw(struct.pack("<iQ", 8, 1 << 32)), 8),
                            [TOKENS]),
    "array-nested": (retype("extra", ARRAY, nested(2), 9), ["extra"]),
    "array-nested-deep": (retype("extra", ARRAY, nested(NEST), 9), ["extra"]),
    "value-type-unknown": (retype("extra", 99, Raw(b"\0\0\0\0")), ["extra"]),
    "key-twice": (double_pair, ["qwen2.block_count"]),
    "key-empty": (retype("", 4, 1), []),
    "alignment-3": (retype("general.alignment", 4, 3), ["general.alignment"]),
    "alignment-0": (retype("general.alignment", 4, 0), ["general.alignment"]),
    "alignment-2^31": (retype("general.alignment", 4, 1 << 31), []),
    "alignment-text": (retype("general.alignment", STRING, "32"), ["general.alignment"]),
    "offset-overlaps": (field(Q0G, offset=0), [Q0G]),
    "offset-out-of-range": (field(Q0G, offset=BIG), [Q0G]),
    "offset-unaligned": (field(Q0G, offset=33), [Q0G]),
    "dtype-unknown": (field(Q0G, dtype=4), [Q0G]),
    "dtype-99": (field(Q0G, dtype=99), [Q0G]),
    "dtype-negative": (field(Q0G, dtype=-1), [Q0G]),
    "dtype-integer": (field(Q0G, dtype=26), [Q0G]),
    "dims-5": (field(Q0G, dims=[256, 256, 1, 1, 1]), [Q0G]),
    "dims-0": (field(Q0G, dims=[]), []),
    "dims-zero": (field(Q0G, dims=[256, 0]), [Q0G]),
    "dims-overflow": (field(Q0G, dims=[1 << 33, 1 << 33]), [Q0G]),
    "dims-2^63": (field(Q0G, dims=[1 << 63, 1]), [Q0G]),
    "shape-against-metadata": (field(Q0G, dims=[128, 512]), [Q0G]),
    "row-not-a-block": (field(Q0G, dtype=12, dims=[255, 257]), [Q0G]),
    "name-long": (field(Q0G, name=b"x" * 64), []),
    "name-not-utf8": (field(Q0G, name=b"\xff\xfe"), []),
    "tensor-missing": (drop_tensor, [Q0G]),
    "tensor-twice": (double_tensor, [Q0G]),
    "architecture-unknown": (put("general.architecture", "mamba"), ["mamba"]),
    "architecture-absent": (lambda d: d.drop("general.architecture"), ["general.architecture"]),
    "architecture-number": (retype("general.architecture", 4, 5), ["general.architecture"]),
    "split-missing": (lambda d: (d.set("split.no", 0, 2), d.set("split.count", 3, 2),
                                 d.set("split.tensors.count", 50, 5)), []),
    "split-of-zero": (lambda d: (d.set("split.no", 9, 2), d.set("split.count", 2, 2)), ["split"]),
}
for key in ("block_count", "embedding_length", "feed_forward_length", "attention.head_count",
            "attention.head_count_kv"):
    key = f"qwen2.{key}"
    GGUFS[f"{key}-zero"] = (put(key, 0), [key])
    GGUFS[f"{key}-huge"] = (put(key, 0xFFFFFFFF), [])
    GGUFS[f"{key}-2^63"] = (retype(key, 10, 1 << 63), [])
    GGUFS[f"{key}-negative"] = (retype(key, 5, -4), [key])
    GGUFS[f"{key}-text"] = (retype(key, STRING, "4"), [key])
    if not key.endswith("_kv"):
        GGUFS[f"{key}-absent"] = (lambda d, key=key: d.drop(key), [key])
GGUFS |= {
    "heads-do-not-divide": (put("qwen2.attention.head_count", 3), ["qwen2."]),
    "kv-heads-do-not-divide": (put("qwen2.attention.head_count_kv", 3), ["head_count_kv"]),
    "theta-zero": (put("qwen2.rope.freq_base", 0.0), ["qwen2.rope.freq_base"]),
    "theta-nan": (put("qwen2.rope.freq_base", float("nan")), ["qwen2.rope.freq_base"]),
    "eps-nan": (put("qwen2.attention.layer_norm_rms_epsilon", float("nan")),
                ["layer_norm_rms_epsilon"]),
}
# Only what runs the model or reads text has to see these.
GGUF_TEXTS = {
    "tokens-absent": (lambda d: d.drop(TOKENS), [TOKENS]),
    "tokens-too-few": (lambda d: d.set(TOKENS, list(d.get(TOKENS))[:100]), []),
    "tokens-twice": (item(TOKENS, 5, "!"), [TOKENS]),
    "tokens-of-numbers": (retype(TOKENS, ARRAY, [1, 2, 3], 4), [TOKENS]),
    "tokens-not-utf8": (item(TOKENS, 5, b"\xff\xfe"), [TOKENS]),
    "types-too-few": (lambda d: d.set(TYPES, list(d.get(TYPES))[:7]), [TYPES]),
    "merges-absent": (lambda d: d.drop(MERGES), [MERGES]),
    "merges-of-one": (item(MERGES, 0, "abc"), [MERGES]),
    "merges-of-unknown": (item(MERGES, 0, "zzzz qqqq"), [MERGES]),
    "pre-unknown": (put("tokenizer.ggml.pre", "nonsense"), ["tokenizer.ggml.pre"]),
    "model-unknown": (put("tokenizer.ggml.model", "bert"), ["tokenizer.ggml.model"]),
    "eos-text": (retype("tokenizer.ggml.eos_token_id", 8, "no"), ["tokenizer.ggml.eos_token_id"]),
}


@pytest.fixture(scope="session")
def documents(models):
    return hostile_gguf.read(models.gguf("F32"))


@pytest.fixture
def broken(documents, tmp_path):
    def make(change):
        document = copy.copy(documents)
        document.pairs = list(documents.pairs)
        document.tensors = [copy.copy(t) for t in documents.tensors]
        change(document)
        path = tmp_path / "broken.gguf"
        hostile_gguf.write(document, path)
        return path

    yield make
    for path in tmp_path.glob("*.gguf"):
        path.unlink()


def test_the_writer_of_broken_files_writes_whole_ones_too(broken):
    path = broken(lambda d: None)
    pajamas.run("run", path, "--raw", "--prompt", "x", "--max-tokens", "2", preexec_fn=limited)


@pytest.mark.parametrize("case", GGUFS)
def test_gguf(broken, case):
    change, names = GGUFS[case]
    path = broken(change)
    fails("inspect", path, names=["broken.gguf", *names])
    fails("run", path, "--raw", "--prompt", "x", "--max-tokens", "1",
          names=["broken.gguf", *names])


@pytest.mark.parametrize("case", GGUF_TEXTS)
def test_gguf_tokenizer(broken, case):
    change, names = GGUF_TEXTS[case]
    path = broken(change)
    fails("tokenize", path, "--text", "some text", names=["broken.gguf", *names])
    fails("run", path, "--raw", "--prompt", "x", "--max-tokens", "1",
          names=["broken.gguf", *names])


@pytest.mark.parametrize("fraction", [0.0, 0.0005, 0.003, 0.01, 0.5, 0.999])
def test_gguf_cut_short(models, tmp_path, fraction):
    raw = models.gguf("F32").read_bytes()
    path = tmp_path / "broken.gguf"
    path.write_bytes(raw[:int(len(raw) * fraction)] if fraction else b"GGUF")
    fails("inspect", path, names=["broken.gguf"])
    fails("run", path, "--raw", "--prompt", "x", names=["broken.gguf"])


def test_gguf_with_a_weight_that_is_no_number(broken, short_text):
    path = broken(nan)
    fails("validate", path, "--metrics", "perplexity", "--text", short_text, "--ctx", 256,
          names=["broken.gguf", Q0G, "is nan"])
    fails("run", path, "--raw", "--prompt", "x", "--max-tokens", "1",
          names=["broken.gguf", Q0G, "is nan"])


# --- MLX -----------------------------------------------------------------------------------------


def quantization(**changes):
    def change(c):
        c["quantization"].update(changes)
        c["quantization_config"].update(changes)
    return json_case("config.json", change)


MODULE = "model.layers.0.self_attn.q_proj"
MLX = {
    "bits-7": quantization(bits=7),
    "bits-text": quantization(bits="4"),
    "bits-other": quantization(bits=8),
    "group-48": quantization(group_size=48),
    "group-other": quantization(group_size=32),
    "group-zero": quantization(group_size=0),
    "mode-unknown": quantization(mode="cubic"),
    "module-bits": quantization(**{MODULE: {"group_size": 64, "bits": 9, "mode": "affine"}}),
    "truncated": truncate,
    "no-scales": shard_case(lambda s: s.header.pop(f"{MODULE}.scales") and None),
    "no-biases": shard_case(lambda s: s.header.pop(f"{MODULE}.biases") and None),
    "codes-dtype": shard_case(lambda s: s.header[f"{MODULE}.weight"].update(dtype="I32")),
    "scales-shape": shard_case(lambda s: s.header[f"{MODULE}.scales"].update(shape=[512, 2])),
}


@pytest.mark.parametrize("case", MLX)
def test_mlx(models, tmp_path, case):
    folder = tmp_path / "model"
    shutil.copytree(models.mlx("4bit", "--group-size", "64"), folder)
    MLX[case](folder)
    fails("inspect", folder)
    fails("run", folder, "--raw", "--prompt", "x", "--max-tokens", "1")
    shutil.rmtree(folder)
