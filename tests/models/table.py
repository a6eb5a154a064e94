"""The table of models: a row or more for each function of `minidl.models` that builds one."""

from tests.models import (
    rows_alexnet,
    rows_densenet,
    rows_efficientnet,
    rows_fractalnet,
    rows_googlenet,
    rows_lenet,
    rows_mobilenet_v1,
    rows_mobilenet_v2,
    rows_mobilenet_v3,
    rows_preact_resnet,
    rows_resnet,
    rows_resnext,
    rows_senet,
    rows_squeezenet,
    rows_stochastic_depth,
    rows_vgg,
)

ENTRIES = [
    *rows_alexnet.ROWS,
    *rows_densenet.ROWS,
    *rows_efficientnet.ROWS,
    *rows_fractalnet.ROWS,
    *rows_googlenet.ROWS,
    *rows_lenet.ROWS,
    *rows_mobilenet_v1.ROWS,
    *rows_mobilenet_v2.ROWS,
    *rows_mobilenet_v3.ROWS,
    *rows_preact_resnet.ROWS,
    *rows_resnet.ROWS,
    *rows_resnext.ROWS,
    *rows_senet.ROWS,
    *rows_squeezenet.ROWS,
    *rows_stochastic_depth.ROWS,
    *rows_vgg.ROWS,
]
