"""The tables of samples: a row or more for every op, function, layer with parameters, and chain that runs as one op."""

from tests.nn import rows as rows_layers
from tests.nn.functional import rows_activation, rows_convolution, rows_loss, rows_normalization, rows_pooling
from tests.ops import rows_contraction, rows_elementwise, rows_picking, rows_reduction, rows_shape

OPS = [
    *rows_elementwise.ROWS,
    *rows_reduction.ROWS,
    *rows_shape.ROWS,
    *rows_picking.ROWS,
    *rows_contraction.ROWS,
]
FUNCTIONS = [
    *rows_activation.ROWS,
    *rows_convolution.ROWS,
    *rows_pooling.ROWS,
    *rows_normalization.ROWS,
    *rows_loss.ROWS,
]
LAYERS = rows_layers.ROWS
SAMPLES = [*OPS, *FUNCTIONS, *LAYERS, *rows_layers.CHAINS]
