"""Safetensors files, shards and their index."""

import concurrent.futures
import json
import math
import pathlib
import struct
from dataclasses import dataclass
from typing import Callable

import numpy as np

SIZES = {"F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "U8": 1}
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "vocab.json",
                   "merges.txt", "special_tokens_map.json", "added_tokens.json")


@dataclass(frozen=True)
class Tensor:
    """What a file stores; `pieces` yields its bytes as arrays, in order."""
    name: str
    dtype: str
    shape: tuple
    pieces: Callable

    @property
    def nbytes(self):
        return math.prod(self.shape) * SIZES[self.dtype]


def read_json(path):
    return json.loads(pathlib.Path(path).read_text())


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def copy_tokenizer(source, target):
    for name in TOKENIZER_FILES:
        if (source / name).exists():
            (target / name).write_bytes((source / name).read_bytes())


def _split(tensors, limit):
    shards, size = [[]], 0
    for tensor in tensors:
        if shards[-1] and size + tensor.nbytes > limit:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += tensor.nbytes
    return shards


def write_shard(path, tensors):
    tensors = sorted(tensors, key=lambda t: t.name)
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for tensor in tensors:
        end = offset + tensor.nbytes
        header[tensor.name] = {"dtype": tensor.dtype, "shape": list(tensor.shape),
                               "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb", buffering=0) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors:
            for piece in tensor.pieces():
                _write_all(file, piece)
        assert file.tell() == 8 + len(text) + offset, path


def _write_all(file, array):
    view = memoryview(np.ascontiguousarray(array)).cast("B")
    while view:
        view = view[file.write(view):]


def write_checkpoint(folder, tensors, shard_size, report=lambda line: None):
    """Shards, and their index if there are several. Returns the bytes of all tensors."""
    total = sum(t.nbytes for t in tensors)
    shards = _split(tensors, shard_size)
    names = (["model.safetensors"] if len(shards) == 1 else
             [f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors" for i in range(len(shards))])
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(write_shard, folder / name, shard)
                for name, shard in zip(names, shards)]
        for name, job in zip(names, jobs):
            job.result()
            report(f"  {name}")
    if len(shards) > 1:
        where = {t.name: name for name, shard in zip(names, shards) for t in shard}
        write_json(folder / "model.safetensors.index.json",
                   {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))})
    return total


def read_tensors(folder):
    """{name: (dtype, array of the stored bits)} of every shard; nothing is copied."""
    stores = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "F8_E4M3": np.uint8,
              "U8": np.uint8}
    out = {}
    for path in sorted(pathlib.Path(folder).glob("*.safetensors")):
        data = np.memmap(path, np.uint8, "r")
        size = int(data[:8].view("<u8")[0])
        for name, entry in json.loads(bytes(data[8:8 + size])).items():
            if name == "__metadata__":
                continue
            first, last = (8 + size + o for o in entry["data_offsets"])
            bits = np.frombuffer(data[first:last].tobytes() if first % 4 else data[first:last],
                                 stores[entry["dtype"]])
            out[name] = entry["dtype"], bits.reshape(entry["shape"])
    return out
