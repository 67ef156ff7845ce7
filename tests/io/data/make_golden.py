"""Writes golden.gguf with the `gguf` package (0.19.0) and golden.safetensors with `safetensors`.

Run from this folder with an environment that has both; the tests compare with what it wrote.
"""

import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter
from safetensors.numpy import save_file

T = GGUFValueType
writer = GGUFWriter("golden.gguf", "qwen2")
for key, value, kind in [
    ("t.u8", 200, T.UINT8), ("t.i8", -5, T.INT8), ("t.u16", 60000, T.UINT16),
    ("t.i16", -30000, T.INT16), ("t.u32", 4000000000, T.UINT32), ("t.i32", -7, T.INT32),
    ("t.u64", 1 << 60, T.UINT64), ("t.i64", -(1 << 60), T.INT64), ("t.f32", 1e-6, T.FLOAT32),
    ("t.f64", 0.1, T.FLOAT64), ("t.true", True, T.BOOL), ("t.false", False, T.BOOL),
    ("t.text", "h\u00e9llo \U0001f999", T.STRING),
]:
    writer.add_key_value(key, value, kind)
for key, items, kind in [
    ("a.text", ["a b", "\u0120x", "", "\u4e2d"], T.STRING), ("a.i32", [1, -2, 3], T.INT32),
    ("a.f32", [0.5, -1.5], T.FLOAT32), ("a.bool", [True, False, True], T.BOOL),
    ("a.u8", [1, 2, 255], T.UINT8), ("a.u64", [1 << 40], T.UINT64),
]:
    writer.add_key_value(key, items, T.ARRAY, kind)
writer.add_tensor("token_embd.weight", np.arange(15, dtype=np.float32).reshape(3, 5))
writer.add_tensor("blk.0.ffn_up.weight", (np.arange(3 * 2 * 68) % 251).astype(np.uint8).reshape(3, 2, 68),
                  raw_dtype=GGMLQuantizationType.Q8_0)
writer.add_tensor("output_norm.weight", np.arange(7, dtype=np.float16))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

save_file({"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.arange(3, dtype=np.float16),
           "empty": np.zeros((0, 4), dtype=np.float32), "c": np.arange(5, dtype=np.uint8)},
          "golden.safetensors", metadata={"format": "pt", "n\u00fc": "x"})
