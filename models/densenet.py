"""DenseNet: every layer sees the features of all layers before it.

G. Huang, Z. Liu, L. van der Maaten, K. Q. Weinberger, "Densely Connected Convolutional Networks", CVPR 2017,
arXiv:1608.06993.

    x_ℓ = H_ℓ([x_0, x_1, …, x_(ℓ-1)])          (2)

H is BN - ReLU - Conv 3×3 and makes k channels (the growth rate); with a bottleneck (B) it is BN - ReLU - Conv 1×1 to
4k channels, BN - ReLU - Conv 3×3. Between blocks a transition keeps a fraction θ of the channels (compression, C),
and halves the image. Parameters on CIFAR-10 (Table 2: 1.0M, 7.0M, 27.2M, 0.8M, 15.3M, 25.6M) and ImageNet:

    L = 40, k = 12     1,019,722        BC-100, k = 12     769,162        121     7,978,856        201    20,013,928
    L = 100, k = 12    6,979,642        BC-250, k = 24  15,324,406        161    28,681,000        264    33,337,704
    L = 100, k = 24   27,249,082        BC-190, k = 40  25,624,430        169    14,149,480

Departures from the paper: none in the networks. (With the depths of Table 1 its 264 has 265 layers.) The names of the
parts are torchvision's, so its weights load.
"""

from collections.abc import Sequence
from typing import TypedDict, Unpack

from minidl import concatenate, nn, reserve
from minidl.nn import functional as F
from minidl.tensor import Tensor


class DenseLayer(nn.Sequential):
    """H_ℓ: from all features so far, k new ones."""

    def __init__(self, channels: int, growth_rate: int, bottleneck: bool, drop_rate: float):
        k = growth_rate
        widths = [(channels, 4 * k, 1), (4 * k, k, 3)] if bottleneck else [(channels, k, 3)]
        layers: dict[str, nn.Module] = {}
        for i, (inputs, outputs, kernel_size) in enumerate(widths, start=1):
            layers[f"norm{i}"] = nn.BatchNorm2d(inputs)
            layers[f"relu{i}"] = nn.ReLU()
            layers[f"conv{i}"] = nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2, bias=False)
            if drop_rate:
                layers[f"drop{i}"] = nn.Dropout(drop_rate)
        super().__init__(layers)


class DenseBlock(nn.Sequential):
    """Layers whose features pile up: memory for all of them is reserved at once, and concatenation copies none."""

    def __init__(self, depth: int, channels: int, growth_rate: int, bottleneck: bool, drop_rate: float):
        inputs = [channels + i * growth_rate for i in range(depth)]
        layers = [DenseLayer(c, growth_rate, bottleneck, drop_rate) for c in inputs]
        super().__init__({f"denselayer{i}": layer for i, layer in enumerate(layers, start=1)})
        self.out_channels = channels + depth * growth_rate

    def forward(self, x: Tensor) -> Tensor:
        x = reserve(x, self.out_channels)
        for layer in self:
            x = concatenate([x, layer(x)], axis=1)
        return x


class Transition(nn.Sequential):
    """Between blocks: BN - ReLU - Conv 1×1 to θ of the channels, then the average of 2×2."""

    def __init__(self, channels: int, out_channels: int, drop_rate: float):
        layers = {
            "norm": nn.BatchNorm2d(channels),
            "relu": nn.ReLU(),
            "conv": nn.Conv2d(channels, out_channels, kernel_size=1, bias=False),
        }
        if drop_rate:
            layers["drop"] = nn.Dropout(drop_rate)
        super().__init__({**layers, "pool": nn.AvgPool2d(kernel_size=2, stride=2)})


class Settings(TypedDict, total=False):
    """What the networks of Table 1 take beside the number of classes: see `DenseNet`."""

    bottleneck: bool
    compression: float
    drop_rate: float
    in_channels: int
    large_images: bool


class DenseNet(nn.Module):
    """A stem, dense blocks with transitions between them, global average pooling, a classifier.

    The stem is a 3×3 convolution for small images, for large ones 7×7 with stride 2 and 3×3 max pooling with stride 2.
    `drop_rate` follows every convolution but the first (the paper's 0.2 for training without augmentation).
    """

    def __init__(
        self,
        growth_rate: int,
        block_config: Sequence[int],
        num_init_features: int,
        bottleneck: bool = True,
        compression: float = 0.5,
        drop_rate: float = 0.0,
        num_classes: int = 1000,
        in_channels: int = 3,
        large_images: bool = True,
    ):
        super().__init__()
        if not 0 < compression <= 1:
            raise ValueError(f"DenseNet: compression must be in (0, 1], got {compression}")
        layers = _large_stem(in_channels, num_init_features) if large_images else _stem(in_channels, num_init_features)
        channels = num_init_features
        for i, depth in enumerate(block_config, start=1):
            layers[f"denseblock{i}"] = DenseBlock(depth, channels, growth_rate, bottleneck, drop_rate)
            channels += depth * growth_rate
            if i < len(block_config):
                layers[f"transition{i}"] = Transition(channels, int(channels * compression), drop_rate)
                channels = int(channels * compression)
        layers["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.Sequential(layers)
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():  # He et al., arXiv:1502.01852, as section 4.2 has it
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        if self.classifier.bias is not None:
            nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        features = F.relu(self.features(x))
        return self.classifier(F.global_avg_pool2d(features).flatten(1))


def _stem(in_channels: int, channels: int) -> dict[str, nn.Module]:
    return {"conv0": nn.Conv2d(in_channels, channels, kernel_size=3, padding=1, bias=False)}


def _large_stem(in_channels: int, channels: int) -> dict[str, nn.Module]:
    return {
        "conv0": nn.Conv2d(in_channels, channels, kernel_size=7, stride=2, padding=3, bias=False),
        "norm0": nn.BatchNorm2d(channels),
        "relu0": nn.ReLU(),
        "pool0": nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
    }


def densenet_cifar(
    depth: int = 100,
    growth_rate: int = 12,
    bottleneck: bool = True,
    compression: float = 0.5,
    num_classes: int = 10,
    in_channels: int = 3,
    drop_rate: float = 0.0,
) -> DenseNet:
    """Three blocks for images of about 32×32; depth L counts the convolutions and the classifier (section 4.2)."""
    layers, rest = divmod(depth - 4, 6 if bottleneck else 3)
    if rest or layers < 1:
        step = 6 if bottleneck else 3
        raise ValueError(
            f"densenet_cifar: depth must be {step}n + 4 with n ≥ 1, so that three blocks are alike; got {depth}"
        )
    stem = 2 * growth_rate if bottleneck and compression < 1 else 16
    settings = (bottleneck, compression, drop_rate, num_classes, in_channels)
    return DenseNet(growth_rate, [layers] * 3, stem, *settings, large_images=False)


def densenet121(num_classes: int = 1000, **settings: Unpack[Settings]) -> DenseNet:
    """Table 1, first column."""
    return DenseNet(32, (6, 12, 24, 16), 64, num_classes=num_classes, **settings)


def densenet161(num_classes: int = 1000, **settings: Unpack[Settings]) -> DenseNet:
    """k = 48, the wider network of the authors' code."""
    return DenseNet(48, (6, 12, 36, 24), 96, num_classes=num_classes, **settings)


def densenet169(num_classes: int = 1000, **settings: Unpack[Settings]) -> DenseNet:
    """Table 1, second column."""
    return DenseNet(32, (6, 12, 32, 32), 64, num_classes=num_classes, **settings)


def densenet201(num_classes: int = 1000, **settings: Unpack[Settings]) -> DenseNet:
    """Table 1, third column."""
    return DenseNet(32, (6, 12, 48, 32), 64, num_classes=num_classes, **settings)


def densenet264(num_classes: int = 1000, **settings: Unpack[Settings]) -> DenseNet:
    """Table 1, fourth column."""
    return DenseNet(32, (6, 12, 64, 48), 64, num_classes=num_classes, **settings)
