"""NASNet-A mobile in PyTorch, with the parts named as the well-known translation names them: the oracle for ours."""

from collections import OrderedDict

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn
F = nn.functional


def bn(channels):
    return nn.BatchNorm2d(channels, eps=1e-3)


def shifted(operation, x):
    """A centred operation of stride 2 as TensorFlow places it: on even sizes, one pixel further down and right."""
    down, right = 1 - x.shape[2] % 2, 1 - x.shape[3] % 2
    return operation(F.pad(x, (right, 0, down, 0)))[:, :, down:, right:]


class Twofold(nn.Module):
    """A separable convolution, applied twice."""

    def __init__(self, inputs, outputs, size, stride=1):
        super().__init__()
        self.separable_1, self.bn_sep_1 = self.separable(inputs, outputs, size, stride), bn(outputs)
        self.separable_2, self.bn_sep_2 = self.separable(outputs, outputs, size, 1), bn(outputs)
        self.stride = stride

    @staticmethod
    def separable(inputs, outputs, size, stride):
        depthwise = nn.Conv2d(inputs, inputs, size, stride, size // 2, groups=inputs, bias=False)
        pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        return nn.Sequential(OrderedDict(depthwise_conv2d=depthwise, pointwise_conv2d=pointwise))

    def forward(self, x):
        x = x.relu()
        x = shifted(self.separable_1, x) if self.stride == 2 else self.separable_1(x)
        return self.bn_sep_2(self.separable_2(self.bn_sep_1(x).relu()))


def squeeze(inputs, outputs):
    return nn.Sequential(OrderedDict(relu=nn.ReLU(), conv=nn.Conv2d(inputs, outputs, 1, bias=False), bn=bn(outputs)))


def average(x, stride=1):
    if stride == 1:
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    return shifted(lambda y: F.avg_pool2d(y, 3, 2, 1, count_include_pad=False), x)


def maximum(x):
    return shifted(lambda y: F.max_pool2d(y, 3, 2, 1), x)


class Base(nn.Module):
    """What a cell does with its inputs first: the previous one is halved, squeezed, or left alone."""

    def __init__(self, previous, inputs, width, way):
        super().__init__()
        self.way = way
        if way == "squeeze":
            self.conv_prev_1x1 = squeeze(previous, width)
        self.conv_1x1 = squeeze(inputs, width)
        if way == "halve":
            for name in ("path_1", "path_2"):
                conv = nn.Conv2d(previous, width // 2, 1, bias=False)
                setattr(self, name, nn.Sequential(OrderedDict(conv=conv)))
            self.final_path_bn = bn(width)

    def inputs(self, previous, x):
        if self.way == "squeeze":
            previous = self.conv_prev_1x1(previous)
        elif self.way == "halve":
            previous = previous.relu()
            even = F.avg_pool2d(previous, 1, stride=2)
            odd = F.avg_pool2d(F.pad(previous, (0, 1, 0, 1))[:, :, 1:, 1:], 1, stride=2)
            previous = self.final_path_bn(torch.cat([self.path_1(even), self.path_2(odd)], 1))
        return previous, self.conv_1x1(x)


class Normal(Base):
    def __init__(self, previous, inputs, width, way):
        super().__init__(previous, inputs, width, way)
        self.comb_iter_0_left, self.comb_iter_0_right = Twofold(width, width, 5), Twofold(width, width, 3)
        self.comb_iter_1_left, self.comb_iter_1_right = Twofold(width, width, 5), Twofold(width, width, 3)
        self.comb_iter_4_left = Twofold(width, width, 3)

    def forward(self, previous, x):
        p, h = self.inputs(previous, x)
        sums = [
            self.comb_iter_0_left(h) + self.comb_iter_0_right(p),
            self.comb_iter_1_left(p) + self.comb_iter_1_right(p),
            average(h) + p,
            2 * average(p),
            self.comb_iter_4_left(h) + h,
        ]
        return torch.cat([p, *sums], 1)


class Reduction(Base):
    def __init__(self, previous, inputs, width, way):
        super().__init__(previous, inputs, width, way)
        beside = previous if way == "alone" else width
        self.comb_iter_0_left, self.comb_iter_0_right = Twofold(width, width, 5, 2), Twofold(beside, width, 7, 2)
        self.comb_iter_1_right = Twofold(beside, width, 7, 2)
        self.comb_iter_2_right = Twofold(beside, width, 5, 2)
        self.comb_iter_4_left = Twofold(width, width, 3)

    def forward(self, previous, x):
        p, h = self.inputs(previous, x)
        first = self.comb_iter_0_left(h) + self.comb_iter_0_right(p)
        second = maximum(h) + self.comb_iter_1_right(p)
        third = average(h, 2) + self.comb_iter_2_right(p)
        return torch.cat([second, third, average(first) + second, self.comb_iter_4_left(first) + maximum(h)], 1)


class Twin(nn.Module):
    """The widths are written out; 32, 44, 88 are the channels after the first convolution and the stem's cells."""

    def __init__(self, num_classes, in_channels):
        super().__init__()
        first = nn.Conv2d(in_channels, 32, 3, 2, bias=False)
        self.conv0 = nn.Sequential(OrderedDict(conv=first, bn=bn(32)))
        self.cell_stem_0 = Reduction(32, 32, 11, "alone")
        self.cell_stem_1 = Reduction(32, 44, 22, "halve")
        self.normal(0, 44, 88, 44)
        self.reduction_cell_0 = Reduction(264, 264, 88, "squeeze")
        self.normal(6, 264, 352, 88)
        self.reduction_cell_1 = Reduction(528, 528, 176, "squeeze")
        self.normal(12, 528, 704, 176)
        self.last_linear = nn.Linear(1056, num_classes)

    def normal(self, start, previous, inputs, width):
        """Four cells in a row."""
        for i in range(start, start + 4):
            self.add_module(f"cell_{i}", Normal(previous, inputs, width, "squeeze" if i > start else "halve"))
            previous, inputs = inputs, 6 * width

    def forward(self, x):
        previous = x = self.conv0(x)
        for name, cell in self.named_children():
            if "cell" in name:
                previous, x = x, cell(previous, x)
        return self.last_linear(x.relu().mean((2, 3)))


def nasnet_a_mobile(num_classes=1000, in_channels=3):
    return Twin(num_classes, in_channels)
