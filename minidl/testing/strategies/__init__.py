"""Strategies for hypothesis: what ops, layers and engines should be tried on. They shrink to what is small and simple.

>>> from hypothesis import given, strategies as st
>>> from minidl.testing import gradcheck
>>> from minidl.testing.strategies import arrays, broadcastable_shapes
>>> @given(broadcastable_shapes(2).flatmap(lambda shapes: st.tuples(*map(arrays, shapes))))
... def test_a_product_has_gradients(xy):
...     gradcheck(minidl.multiply, xy)
"""

try:
    from minidl.testing.strategies.array import arrays, layouts
    from minidl.testing.strategies.graph import graphs
    from minidl.testing.strategies.shape import axes, broadcastable_shapes, shapes
    from minidl.testing.strategies.window import Convolution, Pooling, convolutions, poolings
except ModuleNotFoundError:
    from minidl.extra import import_extra

    import_extra("hypothesis", "testing")  # says what to install, if it is this that is missing
    raise

__all__ = [
    "Convolution",
    "Pooling",
    "arrays",
    "axes",
    "broadcastable_shapes",
    "convolutions",
    "graphs",
    "layouts",
    "poolings",
    "shapes",
]
