"""Products in pieces: the product, exactly, whatever is left over and however the factors lie in memory."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minidl.kernels.numpy import multiply as module
from minidl.kernels.numpy.multiply import multiply, outer
from tests.kernels.windows import whole_numbers

sizes = st.integers(1, 9)
dtypes = st.sampled_from([np.float32, np.float64])


def placed(matrix, gap):
    """The matrix in a wider one, its rows this far apart from each other."""
    wide = np.full((len(matrix), matrix.shape[1] + gap), np.nan, matrix.dtype)
    view = wide[:, : matrix.shape[1]]
    view[...] = matrix
    return view


@given(
    sizes,
    sizes,
    st.integers(0, 70),
    st.sampled_from([0, 5]),
    st.sampled_from([1, 4, 64]),
    st.sampled_from([50, 1000, 10**6]),
    dtypes,
    st.integers(0, 99),
)
@example(3, 4, 67, 0, 64, 1000, np.float32, 0)
@example(3, 4, 67, 5, 64, 1000, np.float32, 0)
@example(3, 4, 67, 5, 1, 1000, np.float32, 0)
@example(3, 4, 64, 5, 64, 1000, np.float32, 0)
@example(9, 9, 70, 0, 64, 50, np.float32, 0)
def test_a_product_in_pieces_is_the_product(o, k, p, gap, far, small, dtype, seed):
    weight, columns = whole_numbers((o, k), dtype, seed), placed(whole_numbers((k, p), dtype, seed + 1), gap)
    out = placed(np.full((o, p), 77, dtype), gap)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECES", (32, 16, 8))
        patch.setattr(module, "SMALL", small)
        patch.setattr(module, "FAR", far)
        multiply(weight, columns, out)
    np.testing.assert_array_equal(out, np.einsum("ok,kp->op", weight, columns))
    assert gap == 0 or np.isnan(out.base[:, p:]).all()


def test_a_skinny_product_is_in_pieces_and_a_large_one_is_whole(monkeypatch):
    shapes = []

    def matmul(x, y, out, matmul=np.matmul):
        shapes.append(y.shape)
        return matmul(x, y, out=out)

    monkeypatch.setattr(module.np, "matmul", matmul)
    multiply(np.ones((12, 432)), np.ones((432, 300)), np.empty((12, 300)))
    multiply(np.ones((200, 432)), np.ones((432, 300)), np.empty((200, 300)))
    assert shapes == [(2, 432, 128), (432, 44), (432, 300)]


@given(sizes, sizes, st.integers(0, 9), dtypes)
def test_outer_is_the_product_with_the_transpose(k, o, p, dtype):
    x, y = whole_numbers((k, p), dtype, 0), whole_numbers((o, p), dtype, 1)
    found = outer(x, y)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.einsum("kp,op->ko", x, y))
