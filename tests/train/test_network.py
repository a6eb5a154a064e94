"""Networks by command line: settings are read as they look, and a network that does not fit the images says so."""

import argparse

import numpy as np
import pytest

from minidl import is_grad_enabled, manual_seed, nn
from minidl.train.network import Settings, literal, network
from tests.train.small import dataset


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20", 20),
        ("0.5", 0.5),
        ("1e-3", 1e-3),
        ("-3", -3),
        ("A", "A"),
        ("pre-activation", "pre-activation"),
        ("True", True),
        ("false", False),
        ("none", None),
        ("(1,2)", [1, 2]),
        ("[[1, 2], 3]", [[1, 2], 3]),
        ("'7'", "7"),
        ("", ""),
        ("{1}", "{1}"),
        ("a=b", "a=b"),
    ],
)
def test_a_text_is_the_value_it_looks_like(text, value):
    got = literal(text)
    assert (got, type(got)) == (value, type(value))


def parsed(line, **defaults):
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--set", nargs="+", action=Settings, default={})
    parser.set_defaults(**defaults)
    return parser.parse_args(line.split()).set


def test_settings_are_collected_in_a_dict_and_the_last_of_a_name_counts():
    assert parsed("") == {}
    assert parsed("--set depth=20 shortcut=A --set depth=32") == {"depth": 32, "shortcut": "A"}
    assert parsed("--set depth=20", set={"shortcut": "B"}) == {"shortcut": "B", "depth": 20}
    assert parsed("") == {}  # and the default stays as it was


@pytest.mark.parametrize("text", ["depth", "=20", "two words=3".replace(" ", "-")])
def test_a_setting_without_name_or_value_is_refused(text):
    with pytest.raises(argparse.ArgumentError, match="is not of the form NAME=VALUE, such as depth=20"):
        parsed(f"--set {text}")


class Net(nn.Sequential):
    """Batch norm, and a classifier for images of 6×6 alone."""

    def __init__(self, width, num_classes, in_channels):
        self.calls = []
        layers = nn.Conv2d(in_channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.Dropout(0.5), nn.Flatten()
        super().__init__(*layers, nn.Linear(width * 36, num_classes))
        self.register_forward_hook(lambda net, args, output: self.calls.append((net.training, is_grad_enabled())))


def net(width=2, num_classes=1000, in_channels=3):
    return Net(width, num_classes, in_channels)


def test_a_network_has_the_classes_and_channels_of_the_data_and_its_settings():
    made = network(net, {"width": 5}, dataset(4, 0))
    assert (made[0].weight.shape, made[4].weight.shape) == ((5, 1, 3, 3), (3, 180))


def test_that_images_fit_is_tried_in_both_modes_and_leaves_no_trace():
    manual_seed(0)
    fresh = {key: value.numpy().copy() for key, value in net(num_classes=3, in_channels=1).state_dict().items()}
    manual_seed(0)
    made = network(net, {}, dataset(4, 0))
    assert sorted(made.calls) == [(False, False), (True, False)]
    for key, value in made.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), fresh[key])


def test_images_that_do_not_fit_are_refused_with_their_size_and_what_helps():
    with pytest.raises(ValueError, match=r"^net cannot take images of 8×8 \(.*128.*\): choose another --image-size"):
        network(net, {}, dataset(4, 0), image_size=8)


def small_maps(num_classes, in_channels):
    return nn.Sequential(nn.Conv2d(in_channels, 2, 6), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, num_classes))


def test_a_network_that_cannot_be_trained_on_single_images_is_refused_only_if_it_is_to_be():
    reason = r"^small_maps cannot take images of 6×6 one at a time \(batch_norm.*\): choose a larger --batch-size"
    with pytest.raises(ValueError, match=reason):
        network(small_maps, {}, dataset(4, 0), batch_size=1)
    assert network(small_maps, {}, dataset(4, 0), batch_size=2).training
    assert network(net, {}, dataset(4, 0), batch_size=1).training


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"depth": 3}, "net cannot be built with depth=3: .* unexpected keyword argument 'depth'"),
        ({"width": "wide"}, "net cannot be built with width=wide: width has a value of the wrong kind$"),
        ({"num_classes": 5}, "net: num_classes cannot be set: they follow from the data"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, reason):
    with pytest.raises(ValueError, match=reason):
        network(net, settings, dataset(4, 0))
