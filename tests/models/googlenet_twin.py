"""GoogLeNet in PyTorch, with the parts named as torchvision names them: the oracle for ours."""

from collections import OrderedDict

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn
F = nn.functional

ROWS = """
3a 64 96 128 16 32 32
3b 128 128 192 32 96 64
4a 192 96 208 16 48 64
4b 160 112 224 24 64 64
4c 128 128 256 24 64 64
4d 112 144 288 32 64 64
4e 256 160 320 32 128 128
5a 256 160 320 32 128 128
5b 384 192 384 48 128 128
"""


def unit(norm, inputs, outputs, size, stride=1):
    parts = OrderedDict(conv=nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=not norm))
    if norm:
        parts["bn"] = nn.BatchNorm2d(outputs, eps=1e-3)
    return nn.Sequential(OrderedDict(**parts, relu=nn.ReLU()))


class Module(nn.Module):
    """An inception module; `widths` as in Table 1."""

    def __init__(self, norm, inputs, a, b, c, d, e, f):
        super().__init__()
        self.branch1 = unit(norm, inputs, a, 1)
        self.branch2 = nn.Sequential(unit(norm, inputs, b, 1), unit(norm, b, c, 3))
        self.branch3 = nn.Sequential(unit(norm, inputs, d, 1), unit(norm, d, e, 3 if norm else 5))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), unit(norm, inputs, f, 1))

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


class Auxiliary(nn.Module):
    def __init__(self, norm, inputs, classes):
        super().__init__()
        self.norm = norm
        self.conv, self.fc1, self.fc2 = unit(norm, inputs, 128, 1), nn.Linear(2048, 1024), nn.Linear(1024, classes)

    def forward(self, x):
        pool = F.adaptive_avg_pool2d(x, 4) if self.norm or x.shape[-1] != 14 else F.avg_pool2d(x, 5, 3)
        return self.fc2(self.fc1(self.conv(pool).flatten(1)).relu())


class Twin(nn.Module):
    """There is no dropout."""

    def __init__(self, norm, classes, colours, aux=True):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (
            unit(norm, colours, 64, 7, 2),
            unit(norm, 64, 64, 1),
            unit(norm, 64, 192, 3),
        )
        inputs = 192
        for row in ROWS.strip().splitlines():
            name, *widths = row.split()
            a, b, c, d, e, f = map(int, widths)
            self.add_module(f"inception{name}", Module(norm, inputs, a, b, c, d, e, f))
            inputs = a + c + e + f
        if aux:
            self.aux1, self.aux2 = Auxiliary(norm, 512, classes), Auxiliary(norm, 528, classes)
        self.fc = nn.Linear(1024, classes)
        self.norm, self.aux = norm, aux

    def forward(self, x):
        def pool(x, size=3):
            return F.max_pool2d(x, size, 2, ceil_mode=True)

        def respond(x):
            return x if self.norm else F.local_response_norm(x, 5)

        x = pool(respond(self.conv3(self.conv2(respond(pool(self.conv1(x)))))))
        x = pool(self.inception3b(self.inception3a(x)))
        early = x = self.inception4a(x)
        late = x = self.inception4d(self.inception4c(self.inception4b(x)))
        x = self.inception5b(self.inception5a(pool(self.inception4e(x), 2 if self.norm else 3)))
        logits = self.fc(x.mean((2, 3)))
        return (logits, self.aux2(late), self.aux1(early)) if self.training and self.aux else logits


def googlenet_2014(num_classes=1000, in_channels=3, aux_logits=True):
    return Twin(False, num_classes, in_channels, aux_logits)


def googlenet(num_classes=1000, in_channels=3, aux_logits=True):
    return Twin(True, num_classes, in_channels, aux_logits)
