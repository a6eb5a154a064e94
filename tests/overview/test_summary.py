"""A summary's numbers are those that papers publish, and those that are found by trying."""

import builtins
import io
import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import minidl
from minidl import concatenate, models, nn, summary
from minidl.nn import functional as F
from minidl.overview import mult_adds
from tests.models.table import ENTRIES


def rows(model, *shape):
    return {row.name: row for row in summary(model, shape).rows}


def same(inputs, outputs, kernel, bias=False):
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)


class Branches(nn.Module):
    """Paths side by side, whose channels are concatenated: an inception module."""

    def __init__(self, *paths):
        super().__init__()
        self.paths = nn.ModuleList(paths)

    def forward(self, x):
        return concatenate([path(x) for path in self.paths], axis=1)


class Residual(nn.Module):
    """x + F(x)."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.layers(x)


class Dense(nn.Module):
    """Layers that each read all before them."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        for layer in self.layers:
            x = concatenate([x, layer(x)], axis=1)
        return x


def pool():
    return nn.MaxPool2d(3, stride=1, padding=1)


NAIVE = Branches(same(256, 128, 1), same(256, 192, 3), same(256, 96, 5), pool())
REDUCED = Branches(
    same(256, 128, 1),
    nn.Sequential(same(256, 64, 1), same(64, 192, 3)),
    nn.Sequential(same(256, 64, 1), same(64, 96, 5)),
    nn.Sequential(pool(), same(256, 64, 1)),
)


@pytest.mark.parametrize(
    ("model", "shape", "published"),
    [
        (same(192, 32, 5), (1, 192, 28, 28), 120_422_400),
        (nn.Sequential(same(192, 16, 1), same(16, 32, 5)), (1, 192, 28, 28), 12_443_648),
        (NAIVE, (1, 256, 28, 28), 854_196_224),
        (REDUCED, (1, 256, 28, 28), 271_351_808),
    ],
)
def test_published_multiply_adds_are_found(model, shape, published):
    found = summary(model, shape)
    assert found.total_mult_adds == published
    leaves = [row for row in found.rows if row.kind in ("Conv2d", "MaxPool2d")]
    assert found.total_mult_adds == builtins.sum(row.mult_adds for row in leaves)
    assert found.total_params == builtins.sum(row.params for row in leaves)
    assert found.total_activation_bytes == builtins.sum(row.activation_bytes for row in leaves)


def test_the_inception_module_keeps_its_size_and_sees_as_much_as_its_widest_path():
    assert summary(NAIVE, (1, 256, 28, 28)).rows[0].output_shape == (1, 672, 28, 28)
    found = rows(REDUCED, 1, 256, 28, 28)
    assert found[""].output_shape == (1, 480, 28, 28)
    assert found[""].receptive_field == (5, 5)
    assert [found[f"paths.{i}"].receptive_field for i in range(4)] == [(1, 1), (3, 3), (5, 5), (3, 3)]


# torchvision's documentation gives these as GFLOPS; the paper's Figure 3 counts a multiply-add as two operations.
@pytest.mark.parametrize(
    ("name", "size", "published"),
    [("densenet121", 224, 2.83), ("densenet161", 32, 7.73), ("densenet169", 32, 3.36), ("densenet201", 32, 4.29)],
)
def test_the_multiply_adds_of_densenets_are_the_published_ones(name, size, published):
    found = rows(models.create_model(name), 1, 3, size, size)
    on_maps = (
        found["features"].mult_adds * (224 // size) ** 2
    )  # seven times as long and wide, from the image to the last map
    assert round((on_maps + found["classifier"].mult_adds) / 1e9, 2) == published
    assert found[""].mult_adds == found["features"].mult_adds + found["classifier"].mult_adds


def test_a_linear_layer_on_a_map_has_weights_that_a_global_average_has_not():
    linear = summary(nn.Sequential(nn.Flatten(), nn.Linear(7 * 7 * 1024, 1024, bias=False)), (1, 1024, 7, 7))
    average = summary(nn.GlobalAvgPool2d(), (1, 1024, 7, 7))
    assert (linear.total_params, average.total_params) == (51_380_224, 0)
    assert linear.total_mult_adds == 51_380_224
    assert linear.rows[0].receptive_field == average.rows[0].receptive_field == (7, 7)


def test_two_3x3_see_what_one_5x5_sees_with_fewer_weights():
    two, one = (summary(m, (1, 1, 9, 9)) for m in (nn.Sequential(same(1, 1, 3), same(1, 1, 3)), same(1, 1, 5)))
    assert two.rows[0].receptive_field == one.rows[0].receptive_field == (5, 5)
    assert (two.total_params, one.total_params) == (18, 25)


def test_the_layers_of_a_dense_block_read_ever_more_channels():
    block = models.densenet.DenseBlock(12, 32, 32, bottleneck=True, drop_rate=0.0)
    found = rows(block, 1, 32, 4, 4)
    assert [found[f"denselayer{i}"].input_shape[1] for i in range(1, 13)] == list(range(32, 385, 32))
    assert found[""].output_shape == (1, 416, 4, 4)
    assert found["denselayer12"].receptive_field == found[""].receptive_field == (25, 25)


def vgg16():
    """The layers of VGG-16, one channel each: as many as it has make no difference here."""
    convolutions = [[same(1, 1, 3) for _ in range(n)] + [nn.MaxPool2d(2)] for n in (2, 2, 3, 3, 3)]
    return nn.Sequential(*(layer for stage in convolutions for layer in stage))


# A. Araujo, W. Norris, J. Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019, table 1.
@pytest.mark.parametrize(
    ("build", "channels", "pixels"),
    [
        (lambda: models.alexnet(num_classes=2).features, 3, 195),
        (vgg16, 1, 212),
        (lambda: models.mobilenet_v1().features, 3, 315),
    ],
    ids=["AlexNet", "VGG-16", "MobileNet"],
)
def test_published_receptive_fields_are_found(build, channels, pixels):
    assert rows(build(), 1, channels, 64, 64)[""].receptive_field == (pixels, pixels)


LAYERS = st.sampled_from(["conv", "max", "average", "residual", "dense", "inception", "norm", "take", "functional"])
SIZE = 72


class Functional(nn.Module):
    """What is computed without a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def build(kind, kernel, stride, dilation):
    """A layer, or a block, of one channel; the branches of a block keep the size."""
    odd = 2 * (kernel // 2) + 1
    keeps = [nn.Conv2d(1, 1, odd, padding=dilation * (odd // 2), dilation=dilation), nn.ReLU(), same(1, 1, 3)]
    return {
        "conv": lambda: nn.Conv2d(1, 1, (kernel, 1), (stride, 1), (kernel // 2, 0), (dilation, 1)),
        "max": lambda: nn.MaxPool2d((kernel, 1), (stride, 1), (kernel // 2, 0), (dilation, 1)),
        "average": lambda: nn.AvgPool2d((kernel, 1), (stride, 1)),
        "residual": lambda: Residual(*keeps),
        "dense": lambda: nn.Sequential(
            Dense(keeps[0], nn.Sequential(nn.BatchNorm2d(2), same(2, 1, odd))), same(3, 1, 1)
        ),
        "inception": lambda: nn.Sequential(
            Branches(same(1, 1, 1), nn.Sequential(*keeps), nn.Sequential(pool(), keeps[0])), same(3, 1, 1)
        ),
        "norm": lambda: nn.Sequential(nn.BatchNorm2d(1), nn.ReLU()),
        "take": lambda: Functional(lambda x: x[:, :, ::stride]),
        "functional": lambda: Functional(lambda x: F.relu(F.avg_pool2d(x, (stride, 1)) + 0.0)),
    }[kind]()


def tried(model):
    """The rows that an element in the middle depends on, first to last, found by changing one row at a time."""
    for name, tensor in model.state_dict().items():  # nothing cancels
        if name.endswith(("weight", "bias")):
            tensor.data[...] = name.endswith("weight")
    images = np.eye(SIZE, dtype=np.float32).reshape(SIZE, 1, SIZE, 1).repeat(3, axis=3)
    with minidl.no_grad():
        y = model.eval()(minidl.tensor(images)).numpy()
    middle = np.flatnonzero(np.abs(y[:, 0, y.shape[2] // 2, 1]) > 0)
    return middle[-1] - middle[0] + 1, middle[0] > 0 and middle[-1] < SIZE - 1


@given(st.lists(st.tuples(LAYERS, st.integers(1, 5), st.integers(1, 3), st.integers(1, 2)), min_size=1, max_size=6))
@example([("conv", 3, 2, 1), ("residual", 3, 1, 1), ("max", 2, 2, 1), ("dense", 3, 1, 1)])
@example([("take", 1, 3, 1), ("inception", 5, 1, 1), ("functional", 1, 2, 1), ("conv", 3, 1, 2)])
def test_the_receptive_field_is_what_changes_the_middle(layers):
    layers = [(kind, kernel, stride, 1 if kernel % 2 == 0 else dilation) for kind, kernel, stride, dilation in layers]
    model = nn.Sequential(*(build(*layer) for layer in layers))
    assume(math.prod(stride for _, _, stride, _ in layers) <= 9)
    x = minidl.zeros(1, 1, SIZE, 3)
    try:
        y = model.eval()(x)
    except ValueError:
        assume(False)
    assume(min(y.shape) > 0)
    found = summary(model, x.shape).rows[0]
    extent, within = tried(model)
    assume(within)
    assert found.receptive_field[0] == extent


def test_transposed_convolutions_see_what_paints_their_elements():
    for kernel, stride, field in [(2, 2, 1), (4, 2, 2), (3, 1, 3), (3, 2, 2)]:
        found = summary(nn.ConvTranspose2d(2, 4, kernel, stride, groups=2, bias=False), (1, 2, 5, 5)).rows[0]
        assert found.receptive_field == (field, field)
        assert found.mult_adds == 5 * 5 * 2 * 2 * kernel * kernel  # each element of x paints 2 channels
    up_and_on = nn.Sequential(nn.ConvTranspose2d(1, 1, 2, 2), same(1, 1, 3))
    assert summary(up_and_on, (1, 1, 8, 8)).rows[0].receptive_field == (2, 2)


def test_groups_see_only_their_channels():
    depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
    assert summary(depthwise, (2, 8, 5, 5)).total_mult_adds == 2 * 25 * 8 * 9


def test_adaptive_pooling_sees_the_cells_of_its_grid():
    for pooling in (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d):
        assert summary(pooling((3, 7)), (1, 1, 14, 14)).rows[0].receptive_field == (5, 2)
        assert summary(pooling(1), (1, 1, 14, 9)).rows[0].receptive_field == (14, 9)


WAYS = {
    "average": [nn.AdaptiveAvgPool2d, lambda grid: Functional(lambda x: F.adaptive_avg_pool2d(x, grid))],
    "maximum": [nn.AdaptiveMaxPool2d, lambda grid: Functional(lambda x: F.adaptive_max_pool2d(x, grid))],
}


@pytest.mark.parametrize(
    "pool",
    [way(1) for name in WAYS for way in WAYS[name]]
    + [
        nn.GlobalAvgPool2d(),
        Functional(F.global_avg_pool2d),
        Functional(lambda x: x.mean((2, 3), keepdims=True)),
        Functional(lambda x: x.mean((2, 3)).reshape(1, 1, 1, 1)),
        Functional(lambda x: x.mean(3).mean(2).reshape(1, 1, 1, 1)),
        Functional(lambda x: x.max(3, keepdims=True).values.max(2, keepdims=True).values),
    ],
)
def test_however_a_map_is_summarised_all_of_the_image_is_seen(pool):
    found = rows(nn.Sequential(same(1, 1, 3), pool, nn.Conv2d(1, 1, 2, padding=1)), 1, 1, 14, 12)
    assert [found[name].receptive_field for name in "012"] == [(3, 3), (14, 12), (28, 24)]


@pytest.mark.parametrize("way", [way for name in WAYS for way in WAYS[name]])
@pytest.mark.parametrize(
    ("grid", "sees", "next_sees"),
    [((2, 7), (9, 4), (16, 6)), ((3, 4), (7, 6), (12, 10)), ((1, 3), (14, 7), (28, 12)), ((14, 2), (3, 9), (4, 16))],
)
def test_however_a_grid_is_laid_over_a_map_its_cells_are_seen(way, grid, sees, next_sees):
    found = rows(nn.Sequential(same(1, 1, 3), way(grid), nn.Conv2d(1, 1, 2, padding=1)), 1, 1, 14, 14)
    assert [found[name].receptive_field for name in "012"] == [(3, 3), sees, next_sees]


def test_parts_that_are_joined_as_they_are_or_summarised_for_all_are_no_cells():
    halves = Functional(lambda x: concatenate([x[:, :, :4], x[:, :, 4:]], axis=2))
    assert summary(nn.Sequential(same(1, 1, 3), halves), (1, 1, 8, 8)).rows[0].receptive_field == (3, 3)
    gates = Functional(lambda x: concatenate([x[:, i:].mean((2, 3), keepdims=True) * 1.0 for i in range(2)], axis=1))
    assert summary(nn.Sequential(same(2, 2, 3), gates), (1, 2, 8, 6)).rows[0].receptive_field == (8, 6)
    means = Functional(
        lambda x: concatenate([x[:, i:].mean((2, 3), keepdims=True).broadcast_to(x.shape) for i in (0, 1)], 1)
    )
    assert summary(nn.Sequential(same(2, 2, 3), means), (1, 2, 8, 6)).rows[0].receptive_field == (8, 6)


def test_a_gate_that_looks_at_the_whole_image_sees_all_of_it():
    gate = Functional(lambda x: x * x.mean((2, 3), keepdims=True))
    found = rows(nn.Sequential(same(3, 4, 3), gate, same(4, 4, 3)), 1, 3, 12, 10)
    assert found["0"].receptive_field == (3, 3)
    assert found["1"].receptive_field == (12, 10)
    assert found["2"].receptive_field == (14, 12)


def test_linear_layers_look_at_all_features_but_not_at_other_positions():
    flat = nn.Sequential(same(1, 2, 3), nn.Flatten(), nn.ReLU(), nn.Linear(2 * 6 * 6, 5), nn.Linear(5, 2))
    found = rows(flat, 1, 1, 6, 6)
    assert [found[str(i)].receptive_field for i in range(5)] == [(3, 3), (3, 3), (3, 3), (6, 6), (6, 6)]
    positions = nn.Sequential(same(1, 2, 3), Functional(lambda x: x.permute(0, 2, 3, 1)), nn.Linear(2, 5))
    found = summary(positions, (1, 1, 6, 6)).rows[0]
    assert found.receptive_field == (3, 3)
    assert found.mult_adds == 36 * 18 + 36 * 10


def test_networks_without_images_have_no_receptive_field():
    found = summary(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), (2, 4))
    assert found.rows[0].receptive_field is None
    assert found.total_mult_adds == 24


class Odd(nn.Module):
    """Uses one layer twice, one never, one by its function, and returns a list."""

    def __init__(self):
        super().__init__()
        self.twice, self.never, self.called = same(2, 2, 3), nn.Linear(2, 2), same(2, 2, 1)

    def forward(self, x):
        x = F.conv2d(self.twice(self.twice(x)), self.called.weight)
        return [x, x + 1]


def test_layers_used_twice_never_or_by_function_are_rows_too():
    found = rows(Odd(), 1, 2, 4, 4)
    assert found[""].output_shape == (1, 2, 4, 4)
    assert found[""].receptive_field == (5, 5)
    assert found["twice"].mult_adds == found[""].mult_adds == 2 * 16 * 2 * 2 * 9
    assert found["twice"].params == 36
    assert found["twice"].activation_bytes == 2 * 16 * 2 * 4
    for name in ("never", "called"):
        assert found[name].output_shape is found[name].input_shape is found[name].receptive_field is None
        assert found[name].mult_adds == found[name].activation_bytes == 0
    assert found["never"].params == 6


def test_your_layers_can_have_rules():
    class Scale(nn.Module):
        def forward(self, x):
            return x * 2

    assert summary(Scale(), (1, 3, 4, 4)).total_mult_adds == 0
    mult_adds.register(Scale, lambda layer, x, y: y.numel())
    assert summary(nn.Sequential(Scale(), Scale()), (1, 3, 4, 4)).total_mult_adds == 96


def test_views_of_the_input_take_no_memory():
    found = rows(nn.Sequential(nn.Identity(), nn.Flatten(), nn.ReLU(), nn.Dropout()), 1, 3, 4, 4)
    assert [found[str(i)].activation_bytes for i in range(4)] == [0, 0, 192, 0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_model_is_left_as_it_was(dtype, backend):
    model = nn.Sequential(same(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Linear(4, 2)).to(dtype).to(backend)
    model[0].weight.requires_grad_(False)
    model[1].eval()
    state = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    minidl.manual_seed(3)
    with minidl.no_grad():
        found = summary(nn.Sequential(model[0], model[1], model[2]), (2, 3, 4, 4))
        assert not minidl.is_grad_enabled()
    drawn = minidl.rand(3).numpy()
    assert found.trainable_params == 8
    assert "116 parameters (108 frozen)" in found.totals()
    assert found.total_activation_bytes == 2 * (2 * 4 * 4 * 4) * np.dtype(dtype).itemsize  # Dropout passes x on
    with pytest.raises(ValueError, match="linear"):  # fails halfway
        summary(model, (2, 3, 4, 5))
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks for module in model.modules())
    assert all(p.grad is None for p in model.parameters())
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), state[name])
    minidl.manual_seed(3)
    np.testing.assert_array_equal(minidl.rand(3).numpy(), drawn)


@pytest.mark.parametrize("shape", [(), (1, 0), (1, 3.0), (-1, 3, 4, 4), 224, None])
def test_an_input_shape_is_positive_integers(shape):
    with pytest.raises(ValueError, match="summary: input_shape must be positive integers"):
        summary(nn.Identity(), shape)


def test_an_input_shape_may_be_of_numpys_integers():
    shape = summary(nn.Identity(), tuple(np.array([1, 3, 4, 4]))).input_shape
    assert shape == (1, 3, 4, 4)
    assert {type(n) for n in shape} == {int}


TABLE = """\
layer                          output  parameters  multiply-adds  activations   sees
Sequential                        1×2         134         35,004      17.5 kB  18×18
  stem: Sequential            1×6×9×9         120         34,992      17.5 kB    4×4
    conv: Conv2d            1×6×18×18         108         34,992       7.8 kB    3×3
    norm: BatchNorm2d       1×6×18×18          12              0       7.8 kB    3×3
    pool: MaxPool2d           1×6×9×9           0              0       1.9 kB    4×4
  average: GlobalAvgPool2d    1×6×1×1           0              0       0.0 kB  18×18
  flat: Flatten                   1×6           0              0       0.0 kB  18×18
  head: Linear                    1×2          14             12       0.0 kB  18×18
input 1×2×18×18, 134 parameters, 35,004 multiply-adds, 17.5 kB of activations"""


def network():
    stem = nn.Sequential({"conv": same(2, 6, 3), "norm": nn.BatchNorm2d(6), "pool": nn.MaxPool2d(2)})
    return nn.Sequential({"stem": stem, "average": nn.GlobalAvgPool2d(), "flat": nn.Flatten(), "head": nn.Linear(6, 2)})


def test_it_prints_as_a_table():
    assert str(summary(network(), (1, 2, 18, 18))) == TABLE


def test_levels_below_depth_are_not_shown_but_counted():
    whole, short = (summary(network(), (1, 2, 18, 18), depth=depth) for depth in (None, 1))
    shown = [line.split("  ")[0] for line in str(short).splitlines()[2:-1]]
    assert len(shown) == 4
    assert "conv" not in str(short)
    assert short.rows == whole.rows
    assert str(short).splitlines()[-1] == str(whole).splitlines()[-1]


def test_rich_shows_the_same_cells():
    console = pytest.importorskip("rich.console").Console(width=200, file=io.StringIO())
    found = summary(network(), (1, 2, 18, 18))
    console.print(found)
    shown = console.file.getvalue()
    for line in str(found).splitlines()[1:-1]:
        assert all(cell in shown for cell in line.split("  ") if cell.strip()), line
    assert found.totals() in shown


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.quick], ids=str)
def test_every_model_has_a_summary(entry):
    model = entry.build(num_classes=7, in_channels=3)
    found = summary(model, (1, 3, *entry.size))
    assert found.rows[0].output_shape == (1, 7)
    assert found.total_params == builtins.sum(p.numel() for p in model.parameters())
    assert found.total_mult_adds > 1e5
    assert min(found.rows[0].receptive_field) >= min(entry.size)
