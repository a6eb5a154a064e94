"""One step of a model and of its twin from the same weights, and how far apart they are."""

import numpy as np
import pytest

import minidl
from minidl import Tensor
from minidl.backend import to_backend

CLASSES = 7


def shapes(model):
    """The keys of the state, in order, with their shapes."""
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def count(model):
    """How many parameters there are."""
    return sum(p.numel() for p in model.parameters())


def shake(twin, seed=1):
    """Move a twin's scales and shifts away from their start, where 1 and 0 would hide mistakes."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    for name, tensor in twin.state_dict().items():
        if tensor.is_floating_point() and tensor.ndim == 1:
            away = torch.rand(tensor.shape, generator=generator)
            tensor.copy_(0.5 + away if name.endswith(("weight", "running_var")) else 0.2 * (away - 0.5))
    return twin


def set_mode(model, training):
    """Training or evaluation; what drops at random does so in neither."""
    model.train(training)
    for module in model.modules():
        if any(word in type(module).__name__ for word in ("Drop", "StochasticDepth")):
            module.eval()
    return model


def data(channels, size, outputs, n=2, seed=0):
    """Images, and a gradient for each output."""
    draw = np.random.default_rng(seed).standard_normal
    return draw((n, channels, *size)), [draw((n, CLASSES)) for _ in range(outputs)]


def as_list(outputs):
    """The logits, and those of auxiliary classifiers if there are any."""
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def step(model, wrap, x, gs):
    """Logits, gradients and buffers after one step forward and backward, each by name; the gs are as many as needed."""
    x = wrap(x)
    x.requires_grad_()
    ys = as_list(model(x))
    if isinstance(x, Tensor):
        minidl.backward(ys, [wrap(g) for g in gs[: len(ys)]])
    else:
        import torch

        torch.autograd.backward(ys, [wrap(g) for g in gs[: len(ys)]])
    read = Tensor.numpy if isinstance(x, Tensor) else lambda tensor: tensor.detach().numpy()
    logits = {f"output {k}": y for k, y in enumerate(ys)}
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None} | {"x": x.grad}
    buffers = dict(model.named_buffers())
    return [
        {name: np.array(read(t), np.float64) for name, t in group.items()} for group in (logits, gradients, buffers)
    ]


def side_by_side(ours, twin, training, dtype, x, gs, backend="numpy"):
    """The same step by ours, with the twin's weights, and by the twin: each [logits, gradients, buffers]."""
    import torch

    set_mode(ours.to(dtype).to(backend), training).load_state_dict(twin.state_dict())
    set_mode(twin.to(getattr(torch, dtype)), training)
    for model in (ours, twin):
        model.zero_grad()
    got = step(ours, lambda a: Tensor(to_backend(a.astype(dtype), backend)), x, gs)
    return got, step(twin, lambda a: torch.from_numpy(a.astype(dtype)), x, gs)


def distances(got, wanted):
    """The relative distance of each array from the one that is wanted.

    What is 0 but for rounding, as the gradient of a shift which the next batch norm undoes, is measured against all.
    """
    assert got.keys() == wanted.keys(), got.keys() ^ wanted.keys()
    assert {name: a.shape for name, a in got.items()} == {name: a.shape for name, a in wanted.items()}
    norms = {name: np.linalg.norm(np.ravel(a)) for name, a in wanted.items()}
    least = max(1e-12, 1e-9 * np.linalg.norm(list(norms.values())))
    scale = {name: max(norm, least) for name, norm in norms.items()}
    return {name: float(np.linalg.norm(np.ravel(got[name] - wanted[name])) / scale[name]) for name in wanted}


def whole(got, wanted):
    """The relative distance of all arrays as one vector."""
    square = sum(np.sum((got[name] - wanted[name]) ** 2) for name in wanted)
    return float(np.sqrt(square / sum(np.sum(wanted[name] ** 2) for name in wanted)))


def worst_in_float64(entry, training, backend="numpy", channels=3):
    """The largest relative distances of logits, gradients and buffers from the twin's, in float64."""
    twin = shake(entry.build_twin(num_classes=CLASSES, in_channels=channels)).double()
    ours = entry.build(num_classes=CLASSES, in_channels=channels)
    x, gs = data(channels, entry.size, outputs=3)
    got, wanted = side_by_side(ours, twin, training, "float64", x, gs, backend)
    return [
        max(distances(a, b).items(), key=lambda item: item[1], default=("", 0.0))
        for a, b in zip(got, wanted, strict=True)
    ]


def noise_in_float32(entry, training, steps=5):
    """Distances in float32 from the twin in float64, in steps from the same weights on different images.

    For each step ours, and the twin's: of the outputs, the running statistics, and all gradients as a whole. Now and
    then a ReLU that rounds across 0 makes gradients jump, for anybody.
    """
    pytest.importorskip("torch")
    twin, exact = (shake(entry.build_twin(num_classes=CLASSES, in_channels=3)) for _ in range(2))
    ours, state = entry.build(num_classes=CLASSES, in_channels=3), {k: v.clone() for k, v in twin.state_dict().items()}
    for seed in range(steps):
        twin.load_state_dict(state)
        exact.load_state_dict(state)
        x, gs = data(3, entry.size, outputs=3, seed=seed)
        got, theirs = side_by_side(ours, twin, training, "float32", x, gs)
        _, wanted = side_by_side(entry.build(num_classes=CLASSES, in_channels=3), exact, training, "float64", x, gs)
        yield _apart(got, wanted), _apart(theirs, wanted)


def _apart(got, wanted):
    """The largest distances of outputs and of statistics, and that of all gradients as a whole."""
    outputs, statistics = (max(distances(got[k], wanted[k]).values(), default=0.0) for k in (0, 2))
    return outputs, statistics, whole(got[1], wanted[1])
