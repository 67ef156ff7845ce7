"""The two small mixture-of-experts models, the forms of their checkpoints and what is made of them,
each once."""

import functools
import json
import os
import subprocess
import sys

import pajamas
import peers
from tokenizers import Tokenizer

NAMES = ("tiny-qwen3-moe", "tiny-gpt-oss")
VOCAB = 2048
CTX = 128


def read_config(folder):
    return json.loads((folder / "config.json").read_text())


def variant(source, target, change=lambda config: None, **changes):
    """A checkpoint by links, with another config.json."""
    target.mkdir()
    for file in source.iterdir():
        if file.name != "config.json":
            os.symlink(file, target / file.name)
    config = read_config(source) | changes
    config = change(config) or config
    (target / "config.json").write_text(json.dumps(config, indent=2))
    return target


class Models:
    """Quantized forms of one checkpoint, each made once; with the model's matrix where the method
    needs one."""

    def __init__(self, folder, source, name=None):
        self.folder, self.source = folder, source
        self.matrix = pajamas.MATRICES / f"{name or source.name}.gguf"
        self.made = {}

    def _make(self, key, formats, method, *flags):
        if key not in self.made:
            path = self.folder / "-".join(str(k).strip("-").replace("/", "") for k in key)
            if formats == "gguf":
                path = path.with_name(path.name + ".gguf")
            if formats == "gguf" and method in pajamas.NEED_MATRIX and "--imatrix" not in flags:
                flags = (*flags, "--imatrix", self.matrix)
            pajamas.quantize(self.source, formats, method, path, *flags)
            self.made[key] = path
        return self.made[key]

    def gguf(self, method, *flags):
        return self._make(("gguf", method, *flags), "gguf", method, *flags)

    def mlx(self, method, *flags):
        return self._make(("mlx", method, *flags), "mlx", method, *flags)


class Subject:
    """One small model.

    original  the checkpoint as it is
    source    as the stock peers compute it: for gpt-oss its YaRN range is rounded, which both do
              whatever config.json says
    models    what is quantized from `source`
    """

    def __init__(self, name, folder):
        self.name, self.folder = name, folder / name
        self.folder.mkdir()
        self.original = self.source = pajamas.ROOT / "models" / name
        self.config = read_config(self.original)
        self.has_mxfp4 = name == "tiny-gpt-oss"
        if self.has_mxfp4:
            self.source = variant(self.original, self.folder / "rounded",
                                  rope_scaling=self.config["rope_scaling"] | {"truncate": True})
        self.tokenizer = Tokenizer.from_file(str(self.original / "tokenizer.json"))
        self._models = {}

    @property
    def models(self):
        return self.models_of(self.source)

    def models_of(self, source):
        """Quantized forms of another checkpoint of this model."""
        if source not in self._models:
            place = self.folder / f"made-{source.name}"
            place.mkdir()
            self._models[source] = Models(place, source, self.name)
        return self._models[source]

    @functools.cache
    def form(self, form, *flags, of=None):
        """The checkpoint in another form; `of`: what is converted (`source` by default)."""
        of = of or self.source
        path = self.folder / "-".join([of.name, form, *(f.strip("-") for f in flags)])
        subprocess.run([sys.executable, pajamas.ROOT / "tools/convert_checkpoint.py", of, path,
                        "--form", form, *flags], check=True, stdout=subprocess.DEVNULL)
        return path

    def opened(self):
        """A checkpoint whose experts any method may have: BF16."""
        return self.form("bf16") if self.has_mxfp4 else self.source

    def text(self, ctx, chunks=2):
        """(file, ids of its whole chunks) from the middle of the held-out text."""
        whole = pajamas.HELDOUT.read_text()
        whole = whole[len(whole) // 2:]
        path = self.folder / f"text-{ctx}-{chunks}.txt"
        size = next(n for n in range(0, len(whole), 50)
                    if len(self._ids(whole[:n])) > chunks * ctx + 8)
        path.write_text(whole[:size])
        pieces = peers.split(self._ids(whole[:size]), ctx)
        assert len(pieces) == chunks
        return path, pieces

    def _ids(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    @functools.cached_property
    def short(self):
        return self.text(CTX)

    def logits(self, model, scratch, *flags):
        """Ours on the short text."""
        return pajamas.logits(model, self.short[0], CTX, VOCAB, scratch, *flags)

    def mlx_logits(self, model):
        return peers.mlx_logits(model, self.short[1])

    def llama_logits(self, model):
        return peers.llama_logits(model, self.short[1])
