"""The linear layer: the definition, exactly, in parts of any size, also of nothing."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minidl.kernels.numpy import linear as kernel
from tests.kernels.windows import LAYOUTS, layouts, whole_numbers

sizes = st.integers(0, 5)


@given(
    st.lists(sizes, max_size=3),
    sizes,
    sizes,
    st.booleans(),
    layouts,
    st.sampled_from([1, 12, 1 << 26]),
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 99),
)
@example([3], 4, 5, True, "contiguous", 12, np.float32, 0)
@example([2, 3], 4, 5, True, "every other", 12, np.float32, 0)
@example([], 4, 5, True, "contiguous", 12, np.float64, 0)
@example([3], 0, 2, True, "contiguous", 12, np.float64, 0)
@example([3], 2, 0, True, "contiguous", 12, np.float64, 0)
def test_a_linear_layer_multiplies_and_adds(kernels, batch, c, o, has_bias, layout, part, dtype, seed):
    def array(shape, number):
        numbers = whole_numbers(shape, dtype, seed + number)
        fits = len(shape) > 2 and (layout != "broadcast" or numbers.size)
        return kernels.array(LAYOUTS[layout](numbers) if fits else numbers)

    x, weight, bias = array((*batch, c), 0), array((o, c), 1), array((o,), 2) if has_bias else None
    g = array((*batch, o), 3)
    before = [None if a is None else kernels.numpy(a).copy() for a in (x, weight, bias, g)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(kernel.__globals__, "PART", part)
        y, pull = kernels.linear(x, weight, bias)
        found = [y, *pull(g, (True, True, True))]
        for k in range(3):
            alone = pull(g, [k == other for other in range(3)])
            assert [a is None for a in alone] == [k != other or found[1 + k] is None for other in range(3)]
            if alone[k] is not None:
                np.testing.assert_array_equal(kernels.numpy(alone[k]), kernels.numpy(found[1 + k]))
    host_x, host_weight, host_bias, host_g = before
    expected = [
        np.einsum("...c,oc->...o", host_x, host_weight) + (host_bias if has_bias else 0),
        np.einsum("...o,oc->...c", host_g, host_weight),
        np.einsum("no,nc->oc", host_g.reshape(int(np.prod(batch)), o), host_x.reshape(int(np.prod(batch)), c)),
        host_g.reshape(int(np.prod(batch)), o).sum(0) if has_bias else None,
    ]
    for ours, wanted in zip(found, expected, strict=True):
        if wanted is None:
            assert ours is None
        else:
            assert ours.dtype == dtype
            np.testing.assert_array_equal(kernels.numpy(ours), wanted)
    for a, copy in zip((x, weight, bias, g), before, strict=True):
        assert a is None or np.array_equal(kernels.numpy(a), copy)
