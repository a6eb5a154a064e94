"""What nobody wants is not computed."""

import numpy as np
import pytest

from minidl.kernels.numpy import channel_moments, conv2d, convolution, norm_relu_conv2d, product, strided, winograd
from tests.kernels.windows import whole_numbers


def forbid(patch, *names):
    """Have these functions fail, in all modules that convolve."""

    def refuse(*_):
        pytest.fail(f"one of {names} was called")

    for module in (product, winograd, strided, convolution):
        for name in names:
            if hasattr(module, name):
                patch.setattr(module, name, refuse)


@pytest.mark.parametrize(
    ("shape", "outputs", "k", "stride"),
    [
        ((2, 8, 4, 4), 8, 1, 1),
        ((4, 3, 9, 8), 9, 3, 1),  # few channels in
        ((4, 5, 9, 8), 6, 3, 1),
        ((4, 9, 9, 8), 3, 3, 1),
        ((8, 64, 16, 16), 64, 3, 1),  # Winograd
        ((2, 3, 8, 8), 4, 3, 2),
    ],
)
def test_nothing_is_computed_that_nobody_wants(monkeypatch, shape, outputs, k, stride):
    x, weight = whole_numbers(shape, np.float64, 0), whole_numbers((outputs, shape[1], k, k), np.float64, 1)
    settings = (stride, stride), ((k // 2, k // 2), (k // 2, k // 2)), (1, 1), 1
    y, pull = conv2d(x, weight, np.zeros(outputs), *settings)
    g = np.ones(y.shape)
    for names, wanted in [
        (["outer"], (True, False, False)),
        (["multiply"], (False, True, False)),
        (["outer", "multiply", "planes"], (False, False, True)),
    ]:
        with monkeypatch.context() as patch:
            forbid(patch, *names)
            assert [part is not None for part in pull(g, wanted)] == list(wanted)
    if stride == 1:
        _, pull = norm_relu_conv2d(x, None, None, weight, np.zeros(outputs), 1.0, channel_moments(x), True, *settings)
        with monkeypatch.context() as patch:
            forbid(patch, "outer")
            _, _, _, dweight, dbias = pull(g, (True, True, True, False, False))
        assert dweight is None
        assert dbias is None
