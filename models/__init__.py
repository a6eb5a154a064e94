"""The zoo: one paper, one file."""

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any, get_args

from minidl.models.alexnet import (
    AlexNet,
    alexnet,
    alexnet_2012,
)
from minidl.models.bn_inception import (
    BNInception,
    bn_inception,
)
from minidl.models.densenet import (
    DenseNet,
    densenet121,
    densenet161,
    densenet169,
    densenet201,
    densenet264,
    densenet_cifar,
)
from minidl.models.efficientnet import (
    EfficientNet,
    efficientnet_b0,
    efficientnet_b1,
    efficientnet_b2,
    efficientnet_b3,
    efficientnet_b4,
    efficientnet_b5,
    efficientnet_b6,
    efficientnet_b7,
    efficientnet_lite0,
)
from minidl.models.fractalnet import (
    FractalNet,
    fractalnet,
)
from minidl.models.googlenet import (
    GoogLeNet,
    GoogLeNetOutputs,
    googlenet,
    googlenet_2014,
)
from minidl.models.lenet import (
    LeNet,
    LeNet5,
    lenet,
    lenet5,
)
from minidl.models.mobilenet_v1 import (
    MobileNetV1,
    mobilenet_v1,
)
from minidl.models.mobilenet_v2 import (
    MobileNetV2,
    mobilenet_v2,
)
from minidl.models.mobilenet_v3 import (
    MobileNetV3,
    mobilenet_v3_large,
    mobilenet_v3_small,
)
from minidl.models.nasnet import NASNet, nasnet_a_mobile
from minidl.models.preact_resnet import (
    PreActResNet,
    preact_resnet_cifar,
)
from minidl.models.resnet import (
    ResNet,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnet_cifar,
)
from minidl.models.resnext import (
    resnext50_32x4d,
    resnext101_32x8d,
    resnext101_64x4d,
)
from minidl.models.se_variants import (
    se_densenet121,
    se_inception,
    se_mobilenet_v1,
    se_vgg16_bn,
)
from minidl.models.senet import (
    SENet,
    se_resnet18,
    se_resnet34,
    se_resnet50,
    se_resnet101,
    se_resnet152,
    se_resnext50_32x4d,
    se_resnext101_32x4d,
    senet154,
)
from minidl.models.squeezenet import (
    SqueezeNet,
    squeezenet1_0,
    squeezenet1_1,
)
from minidl.models.stochastic_depth import (
    stochastic_depth_resnet_cifar,
)
from minidl.models.vgg import (
    VGG,
    vgg11,
    vgg11_bn,
    vgg13,
    vgg13_bn,
    vgg16,
    vgg16_bn,
    vgg19,
    vgg19_bn,
)
from minidl.nn import Module

__all__ = [
    "VGG",
    "AlexNet",
    "BNInception",
    "DenseNet",
    "EfficientNet",
    "FractalNet",
    "GoogLeNet",
    "GoogLeNetOutputs",
    "LeNet",
    "LeNet5",
    "MobileNetV1",
    "MobileNetV2",
    "MobileNetV3",
    "NASNet",
    "PreActResNet",
    "ResNet",
    "SENet",
    "SqueezeNet",
    "alexnet",
    "alexnet_2012",
    "bn_inception",
    "create_model",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "densenet264",
    "densenet_cifar",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "efficientnet_b5",
    "efficientnet_b6",
    "efficientnet_b7",
    "efficientnet_lite0",
    "fractalnet",
    "googlenet",
    "googlenet_2014",
    "lenet",
    "lenet5",
    "list_models",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "nasnet_a_mobile",
    "preact_resnet_cifar",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnet_cifar",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "se_densenet121",
    "se_inception",
    "se_mobilenet_v1",
    "se_resnet18",
    "se_resnet34",
    "se_resnet50",
    "se_resnet101",
    "se_resnet152",
    "se_resnext50_32x4d",
    "se_resnext101_32x4d",
    "se_vgg16_bn",
    "senet154",
    "squeezenet1_0",
    "squeezenet1_1",
    "stochastic_depth_resnet_cifar",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]


def list_models() -> list[str]:
    """The names of all functions here that build a model."""
    return sorted(name for name in __all__ if inspect.isfunction(globals()[name]) and _builds(globals()[name]))


def _builds(function: Callable[..., Any]) -> bool:
    """Whether a function returns a network: a Module of one kind, not of any."""
    kind = inspect.get_annotations(function, eval_str=True).get("return")
    return isinstance(kind, type) and issubclass(kind, Module) and kind is not Module


def create_model(name: str, **settings: Any) -> Module:
    """The model of this name, as `list_models` has it: create_model("densenet121", num_classes=10)."""
    if name not in list_models():
        raise ValueError(f"create_model: there is no model {name!r}: use one of {', '.join(list_models())}")
    model: Module = globals()[name](**settings)
    return model


def _explained(function: Callable[..., Module]) -> Callable[..., Module]:
    """The function, which names itself, and the settings that it has, when it is given one that it has not."""
    known: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not parameter.VAR_KEYWORD:
            known.append(name)
        else:
            known += get_args(parameter.annotation)[0].__annotations__

    @functools.wraps(function)
    def build(*args: Any, **settings: Any) -> Module:
        for name in settings:
            if name not in known:
                raise TypeError(f"{function.__name__} has no setting {name!r}: it has {', '.join(known)}")
        return function(*args, **settings)

    return build


# In a checkout this folder is `models`, and through the link minidl/models also `minidl.models`; a wheel
# has it only as the latter (package-dir in pyproject.toml). So that each class is there once, `models` and
# its modules become second names of `minidl.models` and its modules. The functions are wrapped there, once.
if __name__ == "models":
    sys.modules |= {
        name.removeprefix("minidl."): module for name, module in sys.modules.items() if name.startswith("minidl.models")
    }
else:
    for _name in list_models():
        _function = globals()[_name] = _explained(globals()[_name])
        setattr(sys.modules[_function.__module__], _name, _function)
