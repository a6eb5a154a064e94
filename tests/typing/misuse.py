"""A user's program full of errors. Each line that mypy must report says which code it must report."""

import minidl
from minidl import nn, optim
from minidl.data import DataLoader, load_dataset
from minidl.models import densenet_cifar, resnet50
from minidl.nn import functional as F

x = minidl.tensor([1.0, 2.0], requires_grad="yes")  # error: arg-type
x.sum(dim=0)  # error: call-arg
x.reshaped(2, 1)  # error: attr-defined
x.grad.sum()  # error: union-attr
x.shape = (2, 1)  # error: misc
minidl.exp(x).upper()  # error: attr-defined
minidl.cosh(x)  # error: attr-defined
minidl.exp()  # error: call-arg
largest = x.max().values  # error: attr-defined
length: str = x.numel()  # error: assignment

nn.Conv2d(3, 8)  # error: call-arg
nn.Linear(10, "many")  # error: arg-type
F.cross_entropy(x, x, reduce="mean")  # error: call-arg
optim.SGD(0.1)  # error: arg-type
optim.Adam([x], betas=0.9)  # error: arg-type
densenet_cifar(depth="100")  # error: arg-type
resnet50(nclasses=3)  # error: call-arg
load_dataset(3)  # error: arg-type
for images in DataLoader(3, batch_size=4):  # error: arg-type
    images.backward()  # error: attr-defined
