"""The table of samples: one row or more for every op. Each row feeds every law."""

from tests.ops import rows_contraction, rows_elementwise, rows_picking, rows_reduction, rows_shape

SAMPLES = [
    *rows_elementwise.ROWS,
    *rows_reduction.ROWS,
    *rows_shape.ROWS,
    *rows_picking.ROWS,
    *rows_contraction.ROWS,
]
