"""Writes GGUF bytes as told, right or wrong: every field can be replaced."""

import struct
from dataclasses import dataclass, field

import gguf
import numpy as np

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q",
            11: "<q", 12: "<d"}
STRING, ARRAY = 8, 9


@dataclass
class Tensor:
    name: bytes
    dims: list  # the row length first
    dtype: int
    data: bytes
    offset: int | None = None  # None: where it belongs


@dataclass
class Document:
    """A whole file; `counts` and `version` may lie."""
    pairs: list = field(default_factory=list)  # (key, type, element type, value)
    tensors: list = field(default_factory=list)
    magic: bytes = b"GGUF"
    version: int = 3
    n_tensors: int | None = None
    n_pairs: int | None = None
    tail: bytes = b""

    def get(self, key):
        return next(p[3] for p in self.pairs if p[0] == key)

    def set(self, key, value, kind=None, element=None):
        for i, pair in enumerate(self.pairs):
            if pair[0] == key:
                self.pairs[i] = (key, pair[1] if kind is None else kind,
                                 pair[2] if element is None else element, value)
                return
        self.pairs.append((key, kind, element, value))

    def drop(self, key):
        self.pairs = [p for p in self.pairs if p[0] != key]

    def tensor(self, name):
        return next(t for t in self.tensors if t.name == name.encode())


def read(path):
    reader, out = gguf.GGUFReader(path), Document()
    for f in reader.fields.values():
        if not f.name.startswith("GGUF."):
            element = int(f.types[-1]) if int(f.types[0]) == ARRAY else None
            out.pairs.append((f.name, int(f.types[0]), element, f.contents()))
    for t in reader.tensors:
        out.tensors.append(Tensor(t.name.encode(), [int(n) for n in t.shape], int(t.tensor_type),
                                  np.ascontiguousarray(t.data).tobytes()))
    return out


def _string(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(kind, element, value):
    if isinstance(value, Raw):
        return value.bytes
    if kind == STRING:
        return _string(value)
    if kind == ARRAY:
        items = (b"".join(map(_string, value)) if element == STRING else
                 b"".join(struct.pack(_SCALARS[element], v) for v in value))
        return struct.pack("<iQ", element, len(value)) + items
    return struct.pack(_SCALARS[kind], value)


@dataclass
class Raw:
    """Bytes in place of a value."""
    bytes: bytes


def write(document, path):
    d = document
    head = d.magic + struct.pack("<IQQ", d.version,
                                 len(d.tensors) if d.n_tensors is None else d.n_tensors,
                                 len(d.pairs) if d.n_pairs is None else d.n_pairs)
    for key, kind, element, value in d.pairs:
        head += _string(key) + struct.pack("<i", kind) + _value(kind, element, value)
    offset, body = 0, b""
    for t in d.tensors:
        head += _string(t.name) + struct.pack("<I", len(t.dims))
        head += b"".join(struct.pack("<Q", n) for n in t.dims)
        head += struct.pack("<iQ", t.dtype, offset if t.offset is None else t.offset)
        padded = t.data + b"\0" * (-len(t.data) % 32)
        body += padded
        offset += len(padded)
    head += b"\0" * (-len(head) % 32)
    path.write_bytes(head + body + d.tail)
