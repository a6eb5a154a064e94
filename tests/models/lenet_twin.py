"""LeNet-5 in PyTorch: the oracle for ours. C3 is one convolution whose absent connections weigh 0."""

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn


def squash(a):
    return 1.7159 * torch.tanh(a * 2 / 3)


# Section II-B: contiguous triples, contiguous quadruples, quadruples with a gap, all; in a circle of six.
SEEN = [
    *({(i + k) % 6 for k in range(3)} for i in range(6)),
    *({(i + k) % 6 for k in range(4)} for i in range(6)),
    {0, 1, 3, 4},
    {1, 2, 4, 5},
    {0, 2, 3, 5},
    set(range(6)),
]


class Scale(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.rand(channels)), nn.Parameter(torch.rand(channels))

    def forward(self, x):
        total = x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]
        return squash(torch.einsum("nchw,c->nchw", total, self.weight) + self.bias[:, None, None])


class Table(nn.Module):
    def __init__(self):
        super().__init__()
        self.maps = nn.ModuleList(nn.Conv2d(len(seen), 1, 5) for seen in SEEN)

    def forward(self, x):
        rows = []
        for seen, conv in zip(SEEN, self.maps, strict=True):
            row = dict(zip(sorted(seen), conv.weight[0], strict=True))
            rows.append(torch.stack([row.get(i, torch.zeros_like(conv.weight[0, 0])) for i in range(6)]))
        return nn.functional.conv2d(x, torch.stack(rows), torch.cat([conv.bias for conv in self.maps]))


class Distances(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.register_buffer("codes", torch.ones(classes, 84))

    def forward(self, x):
        return -torch.stack([((x - code) ** 2).sum(1) for code in self.codes], 1)


class Twin(nn.Module):
    def __init__(self, classes, colours):
        super().__init__()
        self.c1, self.s2, self.c3, self.s4 = nn.Conv2d(colours, 6, 5), Scale(6), Table(), Scale(16)
        self.c5, self.f6, self.output = nn.Conv2d(16, 120, 5), nn.Linear(120, 84), Distances(classes)
        with torch.no_grad():
            self.output.codes[:, ::2] = -1

    def forward(self, x):
        x = self.s4(squash(self.c3(self.s2(squash(self.c1(x))))))
        return self.output(squash(self.f6(squash(self.c5(x)).mean((2, 3)))))


class Simple(nn.Module):
    def __init__(self, classes, colours):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(colours, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, classes)

    def forward(self, x):
        for conv in (self.conv1, self.conv2):
            x = nn.functional.max_pool2d(conv(x).relu(), 2)
        return self.fc3(self.fc2(self.fc1(x.flatten(1)).relu()).relu())


def lenet5(num_classes=10, in_channels=1):
    return Twin(num_classes, in_channels)


def lenet(num_classes=10, in_channels=1):
    return Simple(num_classes, in_channels)
