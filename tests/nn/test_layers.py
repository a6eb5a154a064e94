"""Every layer beside its namesake in PyTorch: state, outputs, gradients, statistics, defaults, initial weights."""

import inspect
from typing import NamedTuple

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.backend import to_backend

X = (3, 4, 6, 7)


class Case(NamedTuple):
    """A layer, its arguments, and the shape of its input."""

    name: str
    args: tuple = ()
    settings: dict = {}  # noqa: RUF012  (nobody writes to it)
    shape: tuple = X

    def __str__(self):
        return f"{self.name}({', '.join([*map(str, self.args), *(f'{k}={v}' for k, v in self.settings.items())])})"

    def build(self, library):
        return getattr(library, self.name)(*self.args, **self.settings)


CASES = [
    Case("Linear", (5, 3), shape=(2, 4, 5)),
    Case("Linear", (5, 3), {"bias": False}, (2, 5)),
    Case("Flatten"),
    Case("Flatten", (0, 2)),
    Case("Identity"),
    Case("Conv2d", (4, 6, 3)),
    Case("Conv2d", (4, 6, (3, 2), (1, 2), (0, 1), 2, 2, False)),
    Case("Conv2d", (4, 8, 3), {"padding": "same", "groups": 4}),
    Case("ConvTranspose2d", (4, 6, 3)),
    Case("ConvTranspose2d", (4, 6, (3, 2), 2, 1, 1, 2, False, 2)),
    Case("Unfold", ((2, 3),), {"dilation": 2, "padding": 1, "stride": (2, 1)}),
    Case("Fold", ((5, 6), (2, 3)), {"padding": 1}, (2, 12, 36)),
    Case("MaxPool2d", (2,)),
    Case("MaxPool2d", ((3, 2),), {"stride": 1, "padding": 1, "dilation": 2, "ceil_mode": True}),
    Case("AvgPool2d", (2,)),
    Case("AvgPool2d", (3, 2, 1), {"ceil_mode": True, "count_include_pad": False}),
    Case("AvgPool2d", (3, 2), {"divisor_override": 2}),
    Case("AdaptiveAvgPool2d", (1,)),
    Case("AdaptiveAvgPool2d", ((None, 3),)),
    Case("AdaptiveMaxPool2d", ((2, 5),)),
    Case("BatchNorm2d", (4,)),
    Case("BatchNorm2d", (4,), {"eps": 1e-3, "momentum": 0.3, "affine": False}),
    Case("BatchNorm2d", (4,), {"momentum": None}),
    Case("BatchNorm2d", (4,), {"track_running_stats": False}),
    Case("BatchNorm2d", (4,), {"affine": False, "track_running_stats": False}),
    Case("BatchNorm1d", (4,), shape=(5, 4)),
    Case("BatchNorm1d", (4,), {"momentum": None}, (3, 4, 5)),
    Case("LayerNorm", (7,)),
    Case("LayerNorm", ((6, 7), 1e-3)),
    Case("LayerNorm", (7,), {"bias": False}),
    Case("LayerNorm", (7,), {"elementwise_affine": False}),
    Case("GroupNorm", (2, 4)),
    Case("GroupNorm", (4, 4, 1e-3), {"affine": False}),
    Case("LocalResponseNorm", (3,)),
    Case("LocalResponseNorm", (2, 0.1, 0.5, 2.0)),
    Case("ReLU"),
    Case("LeakyReLU"),
    Case("LeakyReLU", (0.3,)),
    Case("ReLU6"),
    Case("SiLU"),
    Case("GELU"),
    Case("GELU", ("tanh",)),
    Case("Sigmoid"),
    Case("Hardsigmoid"),
    Case("Hardswish"),
    Case("Tanh"),
    Case("Softplus"),
    Case("Softmax", (1,)),
    Case("LogSoftmax", (-1,)),
    Case("Dropout", (0.0,)),
    Case("Dropout", (1.0,)),
    Case("Dropout2d", (0.0,)),
    Case("Dropout2d", (1.0,)),
]
cases = pytest.mark.parametrize("case", CASES, ids=str)
ELSEWHERE = {"GlobalAvgPool2d", "DropPath"}  # PyTorch has none of these
LOSSES = {
    "CrossEntropyLoss": [{}, {"ignore_index": 1, "reduction": "sum", "label_smoothing": 0.1}],
    "NLLLoss": [{}, {"ignore_index": 1, "reduction": "none"}],
    "MSELoss": [{}, {"reduction": "sum"}],
    "L1Loss": [{}, {"reduction": "none"}],
    "BCEWithLogitsLoss": [{}, {"reduction": "sum"}],
}
STRUCTURE = {"Module", "ModuleDict", "ModuleList", "Sequential"}


@pytest.fixture
def torch():
    library = pytest.importorskip("torch")
    library.manual_seed(0)
    return library


def tensor(array, backend):
    return minidl.Tensor(to_backend(array, backend))


def twins(case, torch, backend):
    """Our layer with the weights of theirs, in float64 and away from the start, where scales are 1 and shifts 0."""
    theirs = case.build(torch.nn).double()
    for entry in theirs.state_dict().values():
        if entry.is_floating_point():
            entry.copy_(torch.rand_like(entry) + 0.5)
    ours = case.build(nn).to("float64").to(backend)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def close(got, wanted, tolerance=1e-10):
    wanted = wanted.detach().numpy()
    assert got.shape == wanted.shape
    assert got.dtype == wanted.dtype
    np.testing.assert_allclose(got.numpy(), wanted, rtol=0, atol=tolerance * max(1, np.abs(wanted).max(initial=0)))


@cases
def test_the_state_has_the_same_keys_shapes_and_types(case, torch):
    ours, theirs = (case.build(library).state_dict() for library in (nn, torch.nn))
    wanted = [(key, tuple(value.shape), str(value.dtype)) for key, value in theirs.items()]
    assert [(key, value.shape, f"torch.{value.dtype}") for key, value in ours.items()] == wanted


@cases
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_from_the_same_state_outputs_gradients_and_statistics_are_the_same(case, training, torch, backend):
    ours, theirs = twins(case, torch, backend)
    ours.train(training)
    theirs.train(training)
    rng = np.random.default_rng(0)
    for _ in range(2):  # running statistics and gradients add up
        array = rng.standard_normal(case.shape)
        x, their_x = tensor(array, backend).requires_grad_(), torch.from_numpy(array).requires_grad_()
        y, their_y = ours(x), theirs(their_x)
        g = rng.standard_normal(their_y.shape)
        y.backward(tensor(g, backend))
        their_y.backward(torch.from_numpy(g))
        close(y, their_y)
        close(x.grad, their_x.grad, 1e-7 if case.name == "Hardsigmoid" else 1e-10)  # their 1/6 is a float32
    for (name, p), (their_name, their_p) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == their_name
        close(p.grad, their_p.grad)
    for key, value in theirs.state_dict().items():
        close(ours.state_dict()[key], value)


def test_statistics_from_training_serve_in_evaluation(torch, backend):
    ours, theirs = twins(Case("BatchNorm2d", (4,), {"momentum": None}), torch, backend)
    x = np.random.default_rng(0).standard_normal((5, *X))
    for batch in x[:4]:
        ours.train()(tensor(batch, backend))
        theirs.train()(torch.from_numpy(batch))
    close(ours.eval()(tensor(x[4], backend)), theirs.eval()(torch.from_numpy(x[4])))
    assert ours.num_batches_tracked.item() == 4
    assert ours.num_batches_tracked.dtype == "int64"


@pytest.mark.parametrize("case", [case for case in CASES if case.name not in ("Dropout", "Dropout2d")], ids=str)
def test_float32_stays_float32(case, backend):
    minidl.manual_seed(0)
    layer = case.build(nn).to(backend)
    x = minidl.randn(*case.shape, backend=backend, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert {y.dtype, x.grad.dtype, *(p.grad.dtype for p in layer.parameters())} == {np.dtype("float32")}
    assert {b.dtype for b in layer.buffers()} <= {np.dtype("float32"), np.dtype("int64")}
    y = layer.eval()(x)
    assert y.dtype == "float32"


@pytest.mark.parametrize(("name", "settings"), [(name, s) for name, each in LOSSES.items() for s in each])
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_are_pytorchs(name, settings, weighted, torch, backend):
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal((5, 3)), rng.uniform(size=(5, 3))
    if name in ("CrossEntropyLoss", "NLLLoss"):
        target = np.array([0, 2, 1, 1, 0])
    weights = {}
    if weighted and name not in ("MSELoss", "L1Loss"):
        weights = {"weight": rng.uniform(size=3)}
        if name == "BCEWithLogitsLoss":
            weights["pos_weight"] = rng.uniform(size=3)
    ours = getattr(nn, name)(**settings, **{key: minidl.Tensor(w) for key, w in weights.items()}).to(backend)
    theirs = getattr(torch.nn, name)(**settings, **{key: torch.from_numpy(w) for key, w in weights.items()})
    assert list(ours.state_dict()) == list(theirs.state_dict())
    close(ours(tensor(x, backend), tensor(target, backend)), theirs(torch.from_numpy(x), torch.from_numpy(target)))


def test_every_layer_is_compared():
    compared = {case.name for case in CASES} | set(LOSSES) | ELSEWHERE | STRUCTURE
    layers = {
        name for name in nn.__all__ if inspect.isclass(getattr(nn, name)) and issubclass(getattr(nn, name), nn.Module)
    }
    assert compared == layers


@pytest.mark.parametrize("name", sorted({case.name for case in CASES} | set(LOSSES)))
def test_arguments_have_pytorchs_names_order_and_defaults(name, torch):
    ours, theirs = (inspect.signature(getattr(library, name)).parameters for library in (nn, torch.nn))
    ours = {key: parameter for key, parameter in ours.items() if key not in ("args", "kwargs")}
    assert list(ours) == [key for key in theirs if key in ours]
    for key, parameter in ours.items():
        if (name, key) not in {("Softmax", "dim"), ("LogSoftmax", "dim")}:  # theirs guesses, and warns
            assert parameter.default == theirs[key].default, key


# ------------------------------------------------------------------------------------------------------ initial weights
@pytest.mark.parametrize(
    "case",
    [
        Case("Linear", (50, 40)),
        Case("Conv2d", (12, 16, (3, 2)), {"groups": 2}),
        Case("ConvTranspose2d", (12, 16, (3, 2)), {"groups": 2}),
    ],
    ids=str,
)
def test_the_start_is_drawn_from_pytorchs_distribution(case, torch):
    minidl.manual_seed(0)
    layers = [[case.build(library) for _ in range(20)] for library in (nn, torch.nn)]
    for name in ("weight", "bias"):
        ours, theirs = (
            np.sort(np.concatenate([getattr(layer, name).detach().numpy().ravel() for layer in each]))
            for each in layers
        )
        assert ours.size == theirs.size
        places = np.concatenate([ours, theirs])
        shares = (np.searchsorted(each, places, "right") / each.size for each in (ours, theirs))
        distance = np.abs(np.subtract(*shares)).max()  # Kolmogorov and Smirnov's: a chance of 1e-6 to be as large
        assert distance < np.sqrt(np.log(2 / 1e-6) / ours.size)
        bound = 1 / np.sqrt(np.prod(layers[0][0].weight.shape[1:]))
        assert 0.97 * bound < np.abs(ours).max() <= bound
        assert abs(ours.var() / (bound**2 / 3) - 1) < 5 / np.sqrt(ours.size)


@pytest.mark.parametrize("case", [case for case in CASES if "Norm" in case.name], ids=str)
def test_normalisation_starts_as_pytorchs_does(case, torch):
    ours, theirs = (case.build(library).state_dict() for library in (nn, torch.nn))
    for key, value in theirs.items():
        np.testing.assert_array_equal(ours[key].numpy(), value.numpy(), err_msg=key)


# -------------------------------------------------------------------------------------------- what PyTorch lacks, reprs
def test_global_avg_pool2d_and_drop_path_are_their_functions(backend):
    x = minidl.randn(6, 3, 2, 2, backend=backend)
    np.testing.assert_allclose(
        nn.GlobalAvgPool2d()(x).numpy(), x.numpy().mean((2, 3), keepdims=True), rtol=1e-5, atol=1e-6
    )
    layer = nn.DropPath(0.5)
    minidl.manual_seed(1)
    y = layer(x).numpy()
    kept = y.any((1, 2, 3))
    assert 0 < kept.sum() < 6
    np.testing.assert_array_equal(y[kept], 2 * x.numpy()[kept])
    assert layer.eval()(x) is x


@pytest.mark.parametrize("layer", ["Dropout", "Dropout2d"])
def test_dropout_follows_train_and_eval(backend, layer):
    x = minidl.ones(50, 20, 1, 1, backend=backend)
    noise = getattr(nn, layer)(0.25)
    assert set(np.unique(noise(x).numpy())) == {np.float32(0), np.float32(1 / 0.75)}
    assert noise.eval()(x) is x


REPRS = [
    (nn.Linear(5, 3), "Linear(in_features=5, out_features=3, bias=True)"),
    (nn.Conv2d(3, 8, 3), "Conv2d(3, 8, kernel_size=(3, 3))"),
    (
        nn.Conv2d(4, 8, (3, 5), 2, "same", 1, 4, bias=False),
        "Conv2d(4, 8, kernel_size=(3, 5), stride=(2, 2), padding=same, groups=4, bias=False)",
    ),
    (
        nn.ConvTranspose2d(4, 8, 3, 2, output_padding=1, dilation=3),
        "ConvTranspose2d(4, 8, kernel_size=(3, 3), stride=(2, 2), output_padding=(1, 1), dilation=(3, 3))",
    ),
    (nn.MaxPool2d(3, 2, 1, 2), "MaxPool2d(kernel_size=3, stride=2, padding=1, dilation=2, ceil_mode=False)"),
    (nn.AvgPool2d(2), "AvgPool2d(kernel_size=2, stride=2, padding=0)"),
    (nn.AdaptiveAvgPool2d((1, None)), "AdaptiveAvgPool2d(output_size=(1, None))"),
    (nn.GlobalAvgPool2d(), "GlobalAvgPool2d()"),
    (nn.Unfold(2, stride=2), "Unfold(kernel_size=2, dilation=1, padding=0, stride=2)"),
    (nn.Fold((4, 4), 2), "Fold(output_size=(4, 4), kernel_size=2, dilation=1, padding=0, stride=1)"),
    (nn.BatchNorm2d(4), "BatchNorm2d(4, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)"),
    (
        nn.BatchNorm1d(4, 1e-3, None, False, False),
        "BatchNorm1d(4, eps=0.001, momentum=None, affine=False, track_running_stats=False)",
    ),
    (nn.LayerNorm((2, 3)), "LayerNorm((2, 3), eps=1e-05, elementwise_affine=True)"),
    (nn.GroupNorm(2, 4, affine=False), "GroupNorm(2, 4, eps=1e-05, affine=False)"),
    (nn.LocalResponseNorm(5), "LocalResponseNorm(5, alpha=0.0001, beta=0.75, k=1.0)"),
    (nn.ReLU(), "ReLU()"),
    (nn.LeakyReLU(0.2), "LeakyReLU(negative_slope=0.2)"),
    (nn.GELU("tanh"), "GELU(approximate='tanh')"),
    (nn.Softmax(1), "Softmax(dim=1)"),
    (nn.LogSoftmax(-1), "LogSoftmax(dim=-1)"),
    (nn.Dropout(), "Dropout(p=0.5)"),
    (nn.DropPath(0.1), "DropPath(p=0.1)"),
    (nn.Flatten(), "Flatten(start_dim=1, end_dim=-1)"),
    (nn.CrossEntropyLoss(), "CrossEntropyLoss()"),
]


@pytest.mark.parametrize(("layer", "text"), REPRS, ids=[text for _, text in REPRS])
def test_the_repr_says_how_the_layer_was_made(layer, text):
    assert repr(layer) == text


REFUSED = [
    (lambda: nn.Conv2d(4, 6, 3, groups=4), "Conv2d: 4 groups cannot share 4 input and 6 output channels evenly"),
    (lambda: nn.ConvTranspose2d(4, 6, 3, groups=0), "ConvTranspose2d: 0 groups cannot share"),
    (lambda: nn.Conv2d(4, 6, 0), "Conv2d: kernel_size must be at least 1, got 0"),
    (lambda: nn.Conv2d(4, 6, 2.5), "Conv2d: kernel_size must be an integer or a pair of them, got 2.5"),
    (lambda: nn.Conv2d(4, 6, 3, padding=-1), "Conv2d: padding must be at least 0, got -1"),
    (lambda: nn.GroupNorm(3, 4), "GroupNorm: 3 groups cannot share 4 channels evenly"),
    (lambda: nn.Dropout(1.5), "Dropout: p must be a probability, got 1.5"),
    (lambda: nn.DropPath(-0.5), "DropPath: p must be a probability, got -0.5"),
    (lambda: nn.BatchNorm2d(3)(minidl.ones(2, 3)), "BatchNorm2d: expected x of 4 axes, got shape (2, 3)"),
    (
        lambda: nn.BatchNorm1d(3)(minidl.ones(2, 3, 1, 1)),
        "BatchNorm1d: expected x of 2 or 3 axes, got shape (2, 3, 1, 1)",
    ),
    (lambda: nn.BatchNorm1d(3)(minidl.ones(2, 4)), "batch_norm: x has 4 channels but weight has shape (3,)"),
    (lambda: nn.CrossEntropyLoss(weight=[1.0, 2.0]), "CrossEntropyLoss.weight: expected a Tensor or None, got list"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message[:50] for _, message in REFUSED])
def test_bad_settings_are_refused(call, message):
    with pytest.raises((ValueError, TypeError)) as refusal:
        call()
    assert message in str(refusal.value)
