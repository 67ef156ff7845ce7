"""llama.cpp's --kl-divergence-base files, read and written with numpy alone."""

import numpy as np

MAGIC = b"_logits_"


def write(path, ctx, vocab, chunks, logits):
    """`logits`: of every position, [chunks * ctx][vocab]. As llama-perplexity writes them."""
    with open(path, "wb") as file:
        file.write(MAGIC)
        np.array([ctx, vocab, len(chunks)], "<u4").tofile(file)
        np.array(chunks, "<i4").tofile(file)
        for chunk in range(len(chunks)):
            for row in logits[chunk * ctx + ctx // 2:(chunk + 1) * ctx - 1]:
                row = row.astype(np.float32)
                top, least = row.max(), max(row.min(), row.max() - np.float32(16))
                total = np.log(np.exp(row - top, dtype=np.float64).sum())
                scale = np.float32((top - least) / np.float32(65535))
                np.array([scale, least - top - total], "<f4").tofile(file)
                codes = np.where(row > least, np.rint((row - least) / scale), 0)
                np.concatenate([codes, np.zeros(vocab % 2)]).astype("<u2").tofile(file)


def read(path):
    """(ctx, tokens [chunks][ctx], log-probabilities [scored positions][vocab])"""
    raw = path.read_bytes()
    assert raw[:8] == MAGIC
    ctx, vocab, count = (int(v) for v in np.frombuffer(raw, "<u4", 3, 8))
    tokens = np.frombuffer(raw, "<i4", count * ctx, 20).reshape(count, ctx)
    row = np.dtype([("scale", "<f4"), ("least", "<f4"), ("codes", "<u2", (vocab + vocab % 2,))])
    rows = np.frombuffer(raw, row, offset=20 + tokens.nbytes)
    assert len(rows) == count * (ctx - 1 - ctx // 2)
    codes = rows["codes"][:, :vocab].astype(np.float64)
    return ctx, tokens, codes * rows["scale"][:, None] + rows["least"][:, None]
