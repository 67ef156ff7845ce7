"""The bars of the encoders on tiny-qwen3-moe, by bench/quality.py on less text: at the same bytes no
method is worse than the stock one beyond two standard errors, and MLX is better by what it must."""

import sys

import pajamas
import pytest
from effort import by_day

sys.path.insert(0, str(pajamas.ROOT / "bench"))
import quality  # noqa: E402

WINDOWS = 16
# What our KL may be of the stock one's.
SHARES = {"Q6_K": 1.0, "Q4_K_M": 1.0, "Q3_K_M": 1.0, "Q2_K": 1.0, "4bit-g32": 0.85,
          "3bit-g64": 0.85, "6bit-g64": 0.9}


@pytest.fixture(scope="module")
def judge(scratch):
    return quality.Judge(pajamas.TINY_MOE, pajamas.HELDOUT, WINDOWS, 256, scratch)


@pytest.fixture(scope="module")
def quantizers(scratch):
    return quality.Quantizers(pajamas.TINY_MOE, scratch)


@pytest.mark.parametrize("method", by_day(SHARES, "Q3_K_M", "4bit-g32"))
def test_bar(judge, quantizers, method):
    found = quality.compare(judge, quantizers, method)
    difference, error = found.excess(SHARES[method])
    assert difference <= 2 * error, found.row()
    assert found.median_ratio() < 1.02, found.row()
    assert found.rmse <= 1 + 1e-6 and found.worst <= 1 + 1e-6, found.row()
