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
    """The matrix, or several, in a wider one, its rows this far apart from each other."""
    wide = np.full((*matrix.shape[:-1], matrix.shape[-1] + gap), np.nan, matrix.dtype)
    view = wide[..., : matrix.shape[-1]]
    view[...] = matrix
    return view


@given(
    sizes,
    sizes,
    st.integers(0, 70),
    st.sampled_from([0, 5]),
    st.sampled_from([(1, 0), (4, 300), (64, 1 << 15)]),
    st.sampled_from([50, 1000, 10**6]),
    st.sampled_from([10, 10**6]),
    dtypes,
    st.integers(0, 99),
)
@example(3, 4, 67, 0, (64, 0), 1000, 10**6, np.float32, 0)  # whole pieces and a rest
@example(3, 4, 67, 5, (64, 0), 1000, 10**6, np.float32, 0)
@example(3, 4, 67, 5, (1, 0), 1000, 10**6, np.float32, 0)  # rows far apart
@example(3, 4, 64, 5, (64, 0), 1000, 10**6, np.float32, 0)
@example(8, 9, 70, 5, (64, 0), 50, 10**6, np.float32, 0)  # blocks of two rows, parts of the depth
@example(7, 9, 70, 0, (64, 0), 50, 10**6, np.float32, 0)  # a prime number of rows
@example(8, 9, 70, 0, (64, 0), 50, 10, np.float32, 0)  # too large to do anything about it
def test_a_product_in_blocks_is_the_product(o, k, p, gap, far, small, large, dtype, seed):
    weight, columns = whole_numbers((o, k), dtype, seed), placed(whole_numbers((k, p), dtype, seed + 1), gap)
    out = placed(np.full((o, p), 77, dtype), gap)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECES", (32, 16, 8))
        for name, value in {"SMALL": small, "ROWS": 2, "FAR": far, "LARGE": large}.items():
            patch.setattr(module, name, value)
        multiply(weight, columns, out)
    np.testing.assert_array_equal(out, np.einsum("ok,kp->op", weight, columns))
    assert gap == 0 or np.isnan(out.base[:, p:]).all()


@pytest.fixture
def factors(monkeypatch):
    """The shapes of the factors of all products that are asked for."""
    shapes = []

    def matmul(x, y, out, matmul=np.matmul):
        shapes.append((x.shape, y.shape))
        return matmul(x, y, out=out)

    monkeypatch.setattr(module.np, "matmul", matmul)
    return shapes


def test_rows_that_are_far_apart_are_left_to_blas(factors):
    columns = np.ones((2, 65, (1 << 12) + 8))
    multiply(np.ones((2, 12, 65)), columns[..., :128], np.empty((2, 12, 128)))
    multiply(np.ones((2, 12, 64)), columns[:, :64, :128], np.empty((2, 12, 128)))
    assert [right for _, right in factors] == [(2, 65, 128), (2, 1, 1, 64, 128)]


def test_a_product_is_in_blocks_of_columns_of_rows_and_of_depth_as_it_needs(factors):
    for o, k, p in [(12, 432, 300), (64, 576, 128), (64, 1152, 64), (1000, 432, 300)]:
        multiply(np.ones((o, k)), np.ones((k, p)), np.empty((o, p)))
    assert factors == [
        *[((1, 1, 12, 432), (1, 2, 432, 128)), ((12, 432), (432, 44))],
        ((4, 1, 16, 576), (1, 2, 576, 64)),
        *[((4, 1, 16, 576), (1, 1, 576, 64))] * 2,
        ((1000, 432), (432, 300)),
    ]


@given(
    sizes,
    sizes,
    st.integers(0, 70),
    st.sampled_from([0, 5]),
    st.sampled_from([1, 64]),
    st.sampled_from([10, 10**6]),
    dtypes,
)
@example(8, 6, 67, 5, 64, 10**6, np.float32)
@example(6, 8, 64, 0, 64, 10**6, np.float32)
@example(7, 2, 67, 0, 64, 10**6, np.float32)
@example(8, 6, 67, 5, 1, 10**6, np.float32)
@example(8, 6, 67, 5, 64, 10, np.float32)
def test_outer_is_the_product_with_the_transpose(k, o, p, gap, far, few, dtype):
    x, y = placed(whole_numbers((k, p), dtype, 0), gap), placed(whole_numbers((o, p), dtype, 1), gap)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"SIDES": (4, 2), "DEPTH": 16, "VECTOR": 2, "FAR": (far, 0), "FEW": few}.items():
            patch.setattr(module, name, value)
        found = outer(x, y)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.einsum("kp,op->ko", x, y))


@given(sizes, sizes, sizes, st.integers(16, 70), st.sampled_from([0, 5]))
@example(2, 8, 6, 67, 5)
def test_several_products_at_once_are_the_products(batch, o, k, p, gap):
    weight, g = whole_numbers((batch, o, k), np.float64, 0), whole_numbers((batch, o, p), np.float64, 2)
    columns = placed(whole_numbers((batch, k, p), np.float64, 1), gap)
    out = placed(np.full((batch, o, p), 77.0), gap)
    sizes = {"PIECES": (32, 16), "SMALL": 500, "ROWS": 2, "SIDES": (4, 2), "DEPTH": 16, "VECTOR": 2}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sizes.items():
            patch.setattr(module, name, value)
        multiply(weight, columns, out)
        multiply(weight.swapaxes(1, 2).copy().swapaxes(1, 2), columns, again := np.empty_like(out))
        found = outer(columns, g)
    np.testing.assert_array_equal(out, np.einsum("bok,bkp->bop", weight, columns))
    np.testing.assert_array_equal(again, out)
    np.testing.assert_array_equal(found, np.einsum("bkp,bop->bko", columns, g))


def test_products_of_nothing_are_nothing():
    for o, k, p in [(0, 3, 70), (3, 0, 70), (3, 4, 0)]:
        out = np.full((o, p), np.nan)
        multiply(np.ones((o, k)), np.ones((k, p)), out)
        np.testing.assert_array_equal(out, np.zeros((o, p)))
        np.testing.assert_array_equal(outer(np.ones((o, p)), np.ones((k, p))), np.full((o, k), p))


def test_an_outer_product_with_few_results_is_in_blocks(factors):
    outer(np.ones((144, 2048)), np.ones((16, 2048)))
    assert factors == [((3, 3, 1, 48, 672), (3, 1, 1, 672, 16))]
