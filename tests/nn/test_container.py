"""Sequential, ModuleList and ModuleDict: items, names, and what they refuse."""

from collections import OrderedDict

import pytest

import minidl
from minidl import nn


class Add(nn.Module):
    def __init__(self, amount):
        super().__init__()
        self.amount = amount

    def forward(self, x):
        return x + self.amount


def amounts(modules):
    return [module.amount for module in modules]


def names(module):
    return [name for name, _ in module.named_children()]


def test_sequential_composes_in_order():
    double = Add(0)
    double.register_forward_hook(lambda module, args, output: output * 2)
    assert nn.Sequential(Add(1), double)(minidl.tensor([3.0])).item() == 8
    assert nn.Sequential(double, Add(1))(minidl.tensor([3.0])).item() == 7
    assert nn.Sequential()(3) == 3


def test_sequential_runs_a_module_as_often_as_it_is_given():
    twice = Add(1)
    assert nn.Sequential(twice, Add(10), twice)(0) == 12
    assert len(nn.Sequential(twice, twice)) == 2


def test_sequential_names_by_number_or_by_key():
    assert names(nn.Sequential(Add(1), Add(2))) == ["0", "1"]
    for mapping in (OrderedDict(b=Add(1), a=Add(2)), {"b": Add(1), "a": Add(2)}):
        assert names(nn.Sequential(mapping)) == ["b", "a"]
    net = nn.Sequential({"b": Add(1)})
    net.a = Add(2)
    net.add_module("c", Add(4))
    assert net(0) == 7
    assert net.b.amount == 1


def test_sequential_has_items_and_slices():
    net = nn.Sequential(*map(Add, range(5)))
    assert net[1].amount == 1
    assert net[-1].amount == 4
    assert amounts(net) == [0, 1, 2, 3, 4]
    tail = net[3:]
    assert isinstance(tail, nn.Sequential)
    assert names(tail) == ["3", "4"]
    assert amounts(net[1:3].append(Add(9))) == [1, 2, 9]
    with pytest.raises(IndexError):
        net[5]


def test_sequential_grows_and_its_items_can_be_replaced():
    net = nn.Sequential(Add(1)).append(Add(2)).extend([Add(3), Add(4)])
    net[-1] = Add(5)
    assert names(net) == ["0", "1", "2", "3"]
    assert amounts(net) == [1, 2, 3, 5]
    assert amounts(net.extend(net)) == [1, 2, 3, 5] * 2


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Sequential(Add(1), abs), TypeError, r"Sequential.1: expected a Module or None, got builtin"),
        (lambda: nn.Sequential({"a.b": Add(1)}), ValueError, "without dots, got 'a.b'"),
        (lambda: nn.ModuleList([3]), TypeError, r"ModuleList.0: expected a Module or None, got int"),
        (lambda: nn.ModuleDict({"items": Add(1)}), ValueError, "has an attribute 'items' of another kind"),
        (lambda: nn.ModuleDict({3: Add(1)}), ValueError, "non-empty string without dots, got 3"),
        (lambda: nn.ModuleDict()["a"], KeyError, "a"),
        (lambda: nn.ModuleDict().__delitem__("training"), KeyError, "training"),
    ],
)
def test_what_is_no_module_or_no_name_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_module_list_is_a_list():
    modules = nn.ModuleList(map(Add, range(4)))
    assert len(modules) == 4
    assert modules[-1].amount == 3
    assert isinstance(modules[1:], nn.ModuleList)
    assert names(modules[1:]) == ["0", "1", "2"]
    modules.insert(1, Add(9))
    assert amounts(modules) == [0, 9, 1, 2, 3]
    del modules[0]
    del modules[-2:]
    assert amounts(modules) == [9, 1]
    assert names(modules) == ["0", "1"]
    modules[0] = Add(5)
    assert amounts(modules.extend([Add(6)]).append(Add(7))) == [5, 1, 6, 7]
    assert names(modules) == ["0", "1", "2", "3"]


def test_a_failed_insertion_changes_nothing():
    modules = nn.ModuleList([Add(1), Add(2)])
    with pytest.raises(TypeError, match="expected a Module"):
        modules.insert(0, abs)
    assert amounts(modules) == [1, 2]


def test_a_module_dict_is_a_dict_in_order_of_insertion():
    modules = nn.ModuleDict({"b": Add(1), "a": Add(2)})
    modules["c"] = Add(3)
    modules.update([("a", Add(4)), ("d", Add(5))])
    assert list(modules) == list(modules.keys()) == ["b", "a", "c", "d"]
    assert amounts(modules.values()) == [1, 4, 3, 5]
    assert [(key, module.amount) for key, module in modules.items()][1] == ("a", 4)
    del modules["b"]
    assert "b" not in modules
    assert "training" not in modules
    assert len(modules) == 3
    assert modules["d"].amount == 5
    assert names(modules) == ["a", "c", "d"]
