"""A small run of training, with everything in it that is random."""

import numpy as np

from minidl import nn
from minidl.data import DataLoader, Dataset
from minidl.data.transforms import Compose, RandomCrop, RandomHorizontalFlip, ToFloat
from minidl.optim import SGD, Adam
from minidl.optim.lr_scheduler import OneCycleLR, StepLR
from minidl.random import manual_seed
from minidl.train import Trainer

EPOCHS, BATCHES = 3, 6


def dataset(n, seed):
    """Images of noise around one of three grey levels: the class."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(3, size=n)
    noise = generator.integers(50, size=(n, 1, 6, 6))
    return Dataset((noise + 100 * labels[:, None, None, None]).astype(np.uint8), labels, ("low", "middle", "high"))


def loaders(seed=0, n=22):
    """For training: 22 images in 6 batches, the last one smaller, cropped and flipped; for testing: 10."""
    augment = Compose([RandomCrop(6, padding=1), RandomHorizontalFlip(), ToFloat()])
    train = DataLoader(dataset(n, 0), 4, shuffle=True, transform=augment, seed=seed, num_workers=2)
    return train, DataLoader(dataset(10, 1), 4)


def network(seed=0):
    """Convolution, batch norm, dropout."""
    manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.GlobalAvgPool2d(),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


def trainer(out, *, kind="sgd", backend="numpy", seed=0, n=22, lr=0.5, on_batch=None, **settings):
    """The run, in the folder `out`; `on_batch` is called with the images of each training batch."""
    train, test = loaders(seed, n)
    model = network(seed).to(backend)
    if on_batch is not None:
        model.register_forward_pre_hook(lambda module, args: on_batch(args[0]) if module.training else None)
    if kind == "sgd":
        optimizer = SGD(model.parameters(), lr, momentum=0.9, nesterov=True, weight_decay=1e-4)
        scheduler = OneCycleLR(optimizer, lr, EPOCHS * BATCHES)
    else:
        optimizer = Adam(model.parameters(), lr)
        scheduler = StepLR(optimizer, 7)
    return Trainer(model, optimizer, scheduler, train, test, out=out, seed=seed, **settings)
