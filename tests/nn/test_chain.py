"""Layers in a row: what runs as one op computes what they compute one by one, and nobody who watches misses it."""

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.nn import functional as F


class MyNorm(nn.BatchNorm2d):
    def forward(self, x):
        return super().forward(x) + 1


class MyReLU(nn.ReLU):
    def forward(self, x):
        return super().forward(x) * 2


class MyConv(nn.Conv2d):
    def forward(self, x):
        return super().forward(x) - 3


def one_by_one(x, *steps):
    """The definition."""
    for step in steps:
        x = step(x)
    return x


def images(backend, dtype=np.float64):
    """The same each time."""
    rng = np.random.default_rng(0)
    return minidl.tensor(rng.standard_normal((4, 3, 6, 5)).astype(dtype), backend=backend, requires_grad=True)


def layers(backend="numpy", norm=nn.BatchNorm2d, relu=nn.ReLU, conv=nn.Conv2d, **settings):
    """A normalisation, a ReLU and a convolution with the same numbers each time."""
    minidl.manual_seed(0)
    made = nn.Sequential(norm(3, **settings), relu(), conv(3, 4, 3, padding=1))
    if made[0].weight is not None:
        made[0].weight.data[...] = np.array([0.5, -1.5, 2])
        made[0].bias.data[...] = np.array([0.1, 0.2, -0.3])
    return made.to(np.float64).to(backend)


def names(y):
    """The ops that a tensor was computed by, the last first."""
    found, node = [], y.node
    while node is not None and node.pull is not None:
        found.append(node.name)
        node = node.parents[0]
    return found


def result(y, model, x):
    """The value, the gradients, and the statistics."""
    y.backward(y.detach() * y.detach())
    grads = [p.grad for p in (x, *model.parameters())]
    return [t.numpy() for t in (y, *grads)], [buffer.numpy() for buffer in model.buffers()]


SETTINGS = [
    {},
    {"momentum": None},
    {"momentum": 0.7, "eps": 0.3},
    {"affine": False},
    {"track_running_stats": False},
]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("count", [2, 3])
def test_a_chain_computes_what_its_modules_do_and_counts_the_same(backend, settings, training, count):
    outcomes = []
    for run in (nn.chain, one_by_one, lambda x, *steps: nn.Sequential(*steps)(x)):
        model = layers(backend, **settings)[:count]
        for _ in range(3):  # statistics that are no longer those of the start
            run(images(backend) * 2 + 1, *model)
        model.train(training)
        x = images(backend)
        outcomes.append(result(run(x, *model), model, x))
    for numbers, statistics in (outcomes[0], outcomes[2]):
        for ours, theirs in zip(numbers, outcomes[1][0], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * np.abs(theirs).max())
        for ours, theirs in zip(statistics, outcomes[1][1], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_three_modules_are_one_op_and_so_are_two():
    x, (norm, relu, conv) = images("numpy"), layers()
    assert names(nn.chain(x, norm, relu, conv)) == ["norm_relu_conv2d"]
    assert names(nn.chain(x, norm, F.relu, conv)) == ["norm_relu_conv2d"]
    assert names(nn.Sequential(norm, relu, conv)(x)) == ["norm_relu_conv2d"]
    assert names(nn.chain(x, norm, relu)) == ["norm_relu"]
    assert names(nn.chain(x, norm, relu, norm, relu, conv, relu)) == ["relu", "norm_relu_conv2d", "norm_relu"]
    assert names(nn.chain(x, relu, conv)) == ["conv2d", "relu"]
    assert names(nn.chain(x, norm, conv)) == ["conv2d", "batch_norm"]
    assert names(nn.chain(x, norm, F.silu, conv)) == ["conv2d", "silu", "batch_norm"]
    assert nn.chain(x) is x


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("kind", ["forward_hook", "forward_pre_hook"])
def test_hooks_see_what_goes_in_and_comes_out_until_they_are_removed(backend, place, kind):
    model, seen = layers(backend), []
    handle = getattr(model[place], f"register_{kind}")(lambda module, *rest: seen.append(rest))
    x = images(backend)
    y = model(x)
    inner = one_by_one(x, *layers(backend)[:place])
    ((args, *outputs),) = seen
    np.testing.assert_allclose(args[0].numpy(), inner.numpy(), rtol=1e-12, atol=1e-12)
    if outputs:
        np.testing.assert_allclose(outputs[0].numpy(), layers(backend)[place](inner).numpy(), rtol=1e-12, atol=1e-12)
    assert "norm_relu_conv2d" not in names(y)
    handle.remove()
    model(x)
    assert len(seen) == 1


@pytest.mark.parametrize("kinds", [{"norm": MyNorm}, {"relu": MyReLU}, {"conv": MyConv}], ids=str)
def test_derived_classes_run_their_own_forward(backend, kinds):
    x = images(backend)
    y, expected = layers(backend, **kinds)(x), one_by_one(x, *layers(backend, **kinds))
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-12, atol=1e-12)
    plain = layers(backend)(x)
    assert not np.allclose(y.numpy(), plain.numpy())


def test_running_statistics_that_learn_get_their_gradients(backend):
    found = []
    for run in (nn.chain, one_by_one):
        for count in (2, 3):
            model = layers(backend)[:count].eval()
            learned = [model[0].running_mean.requires_grad_(), model[0].running_var.requires_grad_()]
            y = run(images(backend), *model)
            found.append([g.numpy() for g in minidl.grad(y.sum(), learned)])
    for ours, theirs in zip(found[:2], found[2:], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def convolved(backend="numpy", bias=True, groups=1, **settings):
    """A convolution and a norm with statistics of its own, in evaluation."""
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, groups=groups, bias=bias), nn.BatchNorm2d(6, **settings))
    for given in (*model[1].parameters(), model[1].running_mean, model[1].running_var):
        if given is not None:
            given.data += np.random.default_rng(1).uniform(0.5, 2, 6).astype(np.float32)
    return model.to(np.float64).to(backend).eval()


def ops_of(function):
    """The names of the ops that it calls."""
    with minidl.profile() as profile:
        function()
    return [event.name for event in profile.events]


@pytest.mark.parametrize("settings", [{}, {"bias": False}, {"affine": False, "eps": 0.1}, {"groups": 3}], ids=str)
@pytest.mark.parametrize("before", [[], [nn.BatchNorm2d(3).to(np.float64).eval(), nn.ReLU()]], ids=["alone", "chained"])
def test_where_nothing_is_recorded_a_norm_goes_into_the_weights_before_it(backend, settings, before):
    x, model = images(backend), convolved(backend, **settings)
    steps = [*(step.to(backend) for step in before), *model]
    state = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    with minidl.no_grad():
        expected = one_by_one(x, *steps)
        found = []
        ops = ops_of(lambda: found.append(nn.chain(x, *steps)))
    np.testing.assert_allclose(found[0].numpy(), expected.numpy(), rtol=0, atol=1e-12 * np.abs(expected.numpy()).max())
    assert "batch_norm" not in ops
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), state[name])


@pytest.mark.parametrize("before", [[], [nn.BatchNorm2d(3).to(np.float64).eval(), nn.ReLU()]], ids=["alone", "chained"])
@pytest.mark.parametrize(
    "change",
    ["recorded", "defined", "training", "batch statistics", "ReLU", "hooked", "derived", "many weights", "precision"],
)
def test_a_norm_stays_by_itself_where_the_weights_cannot_take_it(change, before):
    model = convolved(track_running_stats=change != "batch statistics").train(change == "training")
    if change == "ReLU":
        model.append(nn.ReLU())
    if change == "hooked":
        model[1].register_forward_hook(lambda *args: None)
    if change == "derived":
        model[1] = MyNorm(6).to(np.float64).eval()
    if change == "precision":
        model[1].to(np.float32)
    x = images("numpy")
    x = x[:1, :, :2, :2] if change == "many weights" else x
    recording, definitions = change == "recorded", change == "defined"
    with minidl.mode.set_mode("recording", recording), minidl.mode.set_mode("definitions", definitions):
        ops = ops_of(lambda: nn.chain(x, *before, *model))
        found, expected = nn.chain(x, *before, *model), one_by_one(x, *before, *model)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-6, atol=1e-6)
    if definitions:
        assert ops.count("sqrt") == len(before[:1]) + 1
    else:
        assert ("norm_relu" if change == "ReLU" else "batch_norm") in ops


def test_a_norm_of_other_channels_than_the_convolutions_is_refused():
    model = nn.Sequential(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(1)).eval()
    with minidl.no_grad(), pytest.raises(ValueError, match="batch_norm: x has 6 channels but weight has shape"):
        model(minidl.ones(2, 3, 8, 8))


@pytest.mark.parametrize("shape", [(4, 5, 6, 5), (4, 3, 6)])
def test_what_does_not_fit_is_refused_as_by_the_module(shape):
    messages = []
    for run in (nn.chain, one_by_one):
        with pytest.raises(ValueError, match=r"batch_norm|BatchNorm2d") as error:
            run(minidl.ones(*shape), *layers())
        messages.append(str(error.value))
    assert messages[0] == messages[1]


def test_the_gradient_of_what_is_between_chains_is_complete_when_it_is_kept(backend):
    found = []
    for run in (nn.chain, one_by_one):
        x = images(backend)
        z = x * 1.5
        z.retain_grad()
        first = run(z, *layers(backend))
        wide = minidl.concatenate([minidl.reserve(z, 7), first], axis=1)
        wide.retain_grad()
        last = nn.BatchNorm2d(7).to(np.float64).to(backend), nn.ReLU(), nn.Conv2d(7, 2, 1).to(np.float64).to(backend)
        last[2].weight.data[...] = 0.1
        y = run(wide, *last)
        weights = minidl.tensor(np.random.default_rng(1).standard_normal(y.shape), backend=backend)
        direct = minidl.grad((y * weights).sum(), [wide, z, first], retain_graph=True)
        (y * weights).sum().backward()
        found.append([g.numpy() for g in (*direct, wide.grad, z.grad, x.grad)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * np.abs(theirs).max())
    (wide_direct, z_direct, _, wide_kept, z_kept, x_grad) = found[0]
    np.testing.assert_allclose(wide_direct, wide_kept, rtol=1e-12)
    np.testing.assert_allclose(z_direct, z_kept, rtol=1e-12)
    np.testing.assert_allclose(x_grad, 1.5 * z_kept, rtol=1e-12)


def test_a_layer_that_was_given_another_forward_runs_it(backend):
    layers = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 1)).to(backend)
    calls = []
    forward = layers[0].forward
    layers[0].forward = lambda x: calls.append(x) or forward(x)
    layers(minidl.randn(2, 3, 4, 4, backend=backend))
    assert len(calls) == 1


def test_a_gradient_in_evaluation_is_that_of_the_statistics_of_its_time(backend):
    norm = nn.BatchNorm2d(3).to(backend)
    x, g = (minidl.randn(4, 3, 2, 2, backend=backend) for _ in range(2))

    def gradient(between):
        norm.zero_grad()
        norm.eval()
        y = norm(x)
        between()
        y.backward(g)
        return norm.weight.grad.numpy().copy()

    wanted = gradient(lambda: None)
    got = gradient(lambda: norm.train()(x * 3 + 5))
    np.testing.assert_array_equal(got, wanted)
