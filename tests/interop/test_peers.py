"""The peers agree with each other on a file that none of our code has touched: what the other
tests compare with is right, and their tolerances mean something."""

import pajamas
import peers
import reference_gguf


def test_llama_and_mlx_agree_on_the_reference_file(scratch, short_chunks):
    path = scratch / "reference-f32.gguf"
    reference_gguf.write(pajamas.TINY, path)
    theirs = peers.llama_logits(path, short_chunks)
    mlx = peers.mlx_logits(pajamas.TINY, short_chunks)
    assert peers.mean_kl(theirs, mlx) < 1e-9


def test_mean_kl_sees_a_quantized_model(scratch, short_chunks):
    path, small = scratch / "reference-f32.gguf", scratch / "reference-q8.gguf"
    reference_gguf.write(pajamas.TINY, path)
    peers.llama_quantize(path, small, "Q8_0")
    kl = peers.mean_kl(peers.llama_logits(small, short_chunks),
                       peers.llama_logits(path, short_chunks))
    assert 1e-5 < kl < 5e-3
