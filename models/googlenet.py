"""GoogLeNet: a deep stack of inception modules, with classifiers on the way.

C. Szegedy, W. Liu, Y. Jia, P. Sermanet, S. Reed, D. Anguelov, D. Erhan, V. Vanhoucke, A. Rabinovich, "Going Deeper with
Convolutions", CVPR 2015, arXiv:1409.4842.

The module is in `inception`. Training minimises main + 0.3 (aux1 + aux2), the losses of the three classifiers (section
5); in training the output is (logits, those of aux2, of aux1). Table 1: output size, weights (in units of 1,024, as it
counts) and multiply-adds of the rows are reproduced but for conv1 (9 K and 118 M; printed 2.7 K and 34 M) and 5a (1,018
K and 51 M; printed 1,072 K and 54 M). Parameters, with those of the auxiliary classifiers:

    googlenet_2014  6,998,552  13,378,280          googlenet (torchvision)  6,624,904  13,004,888

Departures from the paper: `googlenet_2014` none; the start, of which the paper says nothing, is that of the replication
in Caffe. `googlenet` is torchvision's, whose weights load: with batch norm, without response normalisation, with 3×3 in
place of 5×5, with 2×2 in maxpool4, dropout 0.2. For maps other than 14×14, auxiliary classifiers average to 4×4.
"""

from functools import partial
from typing import NamedTuple, TypedDict, Unpack

from minidl import concatenate, nn, split
from minidl.models.inception import BasicConv2d, Inception
from minidl.nn import functional as F
from minidl.nn import init
from minidl.tensor import Tensor

# #1×1, #3×3 reduce, #3×3, #5×5 reduce, #5×5, pool proj
TABLE_1 = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class GoogLeNetOutputs(NamedTuple):
    """What GoogLeNet returns in training: the main logits first."""

    logits: Tensor
    aux_logits2: Tensor
    aux_logits1: Tensor


class Settings(TypedDict, total=False):
    """What both networks take beside the number of classes and dropout: see `GoogLeNet`."""

    in_channels: int
    aux_logits: bool
    transform_input: bool
    dropout_aux: float


class InceptionAux(nn.Module):
    """An auxiliary classifier: averages on a grid of 4×4 (of 5×5 with stride 3), 1×1, two linear layers, dropout."""

    def __init__(self, inputs: int, num_classes: int, dropout: float, batch_norm: bool):
        super().__init__()
        self.overlapping = not batch_norm
        self.conv = BasicConv2d(inputs, 128, 1, batch_norm=batch_norm)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        overlapping = self.overlapping and x.shape[2:] == (14, 14)
        x = F.avg_pool2d(x, 5, stride=3) if overlapping else F.adaptive_avg_pool2d(x, 4)
        return self.fc2(self.dropout(F.relu(self.fc1(self.conv(x).flatten(1)))))


class GoogLeNet(nn.Module):
    """The network of Table 1, and torchvision's with batch norm.

    transform_input: images normalised for ImageNet are first mapped to [-1, 1], as the weights of torchvision want it.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        aux_logits: bool = True,
        transform_input: bool = False,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
        batch_norm: bool = True,
    ):
        super().__init__()
        if transform_input and in_channels != 3:
            raise ValueError(f"GoogLeNet: transform_input needs images of 3 channels, got {in_channels}")
        self.transform_input = transform_input
        conv, inception = partial(BasicConv2d, batch_norm=batch_norm), partial(Inception, batch_norm=batch_norm)
        classifier = partial(InceptionAux, num_classes=num_classes, dropout=dropout_aux, batch_norm=batch_norm)
        self.conv1 = conv(in_channels, 64, 7, stride=2)
        self.maxpool1 = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        self.norm = nn.Identity() if batch_norm else nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)
        self.conv2, self.conv3 = conv(64, 64, 1), conv(64, 192, 3)
        self.maxpool2 = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        self.inception3a = inception(192, TABLE_1["3a"])
        self.inception3b = inception(256, TABLE_1["3b"])
        self.maxpool3 = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        self.inception4a = inception(480, TABLE_1["4a"])
        self.inception4b = inception(512, TABLE_1["4b"])
        self.inception4c = inception(512, TABLE_1["4c"])
        self.inception4d = inception(512, TABLE_1["4d"])
        self.inception4e = inception(528, TABLE_1["4e"])
        self.maxpool4 = nn.MaxPool2d(kernel_size=2 if batch_norm else 3, stride=2, ceil_mode=True)
        self.inception5a = inception(832, TABLE_1["5a"])
        self.inception5b = inception(832, TABLE_1["5b"])
        self.aux1 = classifier(512) if aux_logits else None
        self.aux2 = classifier(528) if aux_logits else None
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes)
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                _start(module, batch_norm, classifies=name.endswith(("fc", "fc2")))

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutputs:
        if self.transform_input:
            x = _to_plus_minus_one(x)
        x = self.norm(self.maxpool1(self.conv1(x)))
        x = self.maxpool2(self.norm(self.conv3(self.conv2(x))))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        after_4a = self.inception4a(x)
        after_4d = self.inception4d(self.inception4c(self.inception4b(after_4a)))
        x = self.maxpool4(self.inception4e(after_4d))
        x = self.inception5b(self.inception5a(x))
        logits = self.fc(self.dropout(F.global_avg_pool2d(x).flatten(1)))
        if self.training and self.aux1 is not None and self.aux2 is not None:
            return GoogLeNetOutputs(logits, self.aux2(after_4d), self.aux1(after_4a))
        return logits


def _to_plus_minus_one(x: Tensor) -> Tensor:
    """Images less ImageNet's mean, over its deviation, as ones from -1 to 1."""
    means, deviations = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    colours = zip(split(x, 1, axis=1), means, deviations, strict=True)
    return concatenate([(deviation * colour + mean - 0.5) / 0.5 for colour, mean, deviation in colours], axis=1)


def _start(layer: nn.Conv2d | nn.Linear, batch_norm: bool, classifies: bool) -> None:
    """As torchvision; without batch norm as Caffe: uniform on ±√(3 / fan in), biases 0.2, but 0 in classifiers."""
    if batch_norm:
        init.trunc_normal_(layer.weight, std=0.01)
    else:
        init.kaiming_uniform_(layer.weight, nonlinearity="linear")
        if layer.bias is not None:
            init.constant_(layer.bias, 0.0 if classifies else 0.2)


def googlenet_2014(num_classes: int = 1000, dropout: float = 0.4, **settings: Unpack[Settings]) -> GoogLeNet:
    """The network of Table 1."""
    return GoogLeNet(num_classes, dropout=dropout, batch_norm=False, **settings)


def googlenet(num_classes: int = 1000, dropout: float = 0.2, **settings: Unpack[Settings]) -> GoogLeNet:
    """The network with batch norm, as torchvision has it."""
    return GoogLeNet(num_classes, dropout=dropout, **settings)
