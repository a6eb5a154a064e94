"""What a module finds in itself, what its hooks see, what it shows and what it refuses."""

import gc
import weakref
from collections import OrderedDict

import numpy as np
import pytest

import minidl
from minidl import nn
from tests.nn.modules import Net, Scale

PARAMETERS = {
    "gates.0": 7,
    "layers.0.weight": 1,
    "layers.1.weight": 2,
    "branches.left.weight": 3,
    "branches.right.0.weight": 4,
    "branches.right.1.0.weight": 5,
    "head.weight": 6,
}


def test_parameters_are_found_in_attributes_lists_and_dicts_each_once():
    net = Net()
    assert {name: p.numel() for name, p in net.named_parameters()} == PARAMETERS
    assert next(net.named_parameters())[0] == "gates.0", "a module's own come before its children's"
    assert [id(p) for p in net.parameters()] == [id(p) for _, p in net.named_parameters()]
    assert [name for name, _ in net.named_parameters(recurse=False)] == ["gates.0"]


def test_modules_and_children_are_found_each_once():
    net = Net()
    children = ["layers.0", "layers.1", "branches.left", "branches.right.0", "branches.right.1.0", "head"]
    assert [name for name, _ in net.named_children()] == children
    assert [name for name, _ in net.named_modules()] == ["", *children]
    assert [name for name, _ in net.named_modules(remove_duplicate=False)] == ["", *children, "tied"]
    assert list(net.modules()) == [net, *net.children()]


def test_a_list_may_grow_after_it_was_assigned():
    net = Net()
    net.layers.append(Scale(9))
    assert "layers.2.weight" in dict(net.named_parameters())
    assert "layers.2.count" in net.state_dict()
    del net.layers[:]
    assert not any(name.startswith("layers") for name in net.state_dict())


def test_buffers_are_found_and_only_persistent_ones_are_saved():
    net = Scale()
    assert [name for name, _ in net.named_buffers()] == ["count", "cache"]
    assert list(net.state_dict()) == ["weight", "count"]
    assert [name for name, _ in Net().named_buffers()][:3] == ["layers.0.count", "layers.0.cache", "layers.1.count"]


def test_a_module_reached_on_many_ways_is_walked_once():
    module = Scale()
    for _ in range(60):
        pair = nn.Module()
        pair.left = pair.right = module
        module = pair
    assert len(list(module.modules())) == 61
    assert len(list(module.parameters())) == 1


def test_train_and_eval_reach_every_module_and_respect_overrides():
    class Frozen(Scale):
        def train(self, mode=True):
            return super().train(False)

    net = Net()
    net.layers.append(Frozen())
    assert net.train() is net
    assert [module.training for module in net.modules()].count(False) == 1
    assert not net.layers[2].training
    assert not any(module.training for module in net.eval().modules())


def test_apply_reaches_children_before_their_parent():
    outer = nn.Sequential(nn.Sequential(nn.ReLU()), nn.Identity())
    seen = []
    assert outer.apply(seen.append) is outer
    assert seen == [outer[0][0], outer[0], outer[1], outer]


def test_freezing_and_zeroing_gradients():
    net = Scale()
    net(minidl.ones(2)).sum().backward()
    assert net.weight.grad is not None
    net.zero_grad()
    assert net.weight.grad is None
    net.requires_grad_(False)
    assert not net(minidl.ones(2)).requires_grad
    assert net.requires_grad_()(minidl.ones(2)).requires_grad


def test_hooks_run_in_order_and_may_change_arguments_and_output():
    net, calls = Scale(), []

    def first(module, args):
        calls.append("first")
        return args[0] + 1

    def second(module, args):
        calls.append("second")
        return (args[0] * 2,)

    handles = [
        net.register_forward_pre_hook(first),
        net.register_forward_pre_hook(second),
        net.register_forward_hook(lambda module, args, output: calls.append("third")),
        net.register_forward_hook(lambda module, args, output: output - args[0]),
    ]
    x = minidl.ones(2)
    assert net(x, times=10).tolist() == [36.0, 76.0]  # (1 + 1) * 2 = 4, times weight (1, 2), times 10, less 4
    assert calls == ["first", "second", "third"]
    for handle in handles:
        handle.remove()
        handle.remove()
    assert net(x).tolist() == [1.0, 2.0]


def test_a_hook_may_remove_itself_and_a_module_may_be_a_hook_without_becoming_a_part():
    net = Scale()

    def once(module, args, output):
        handle.remove()
        return output * 0

    class Watch(nn.Module):
        def forward(self, module, args, output):
            return None

    handle = net.register_forward_hook(once)
    net.register_forward_hook(Watch())
    assert net(minidl.ones(2)).tolist() == [0.0, 0.0]
    assert net(minidl.ones(2)).tolist() == [1.0, 2.0]
    assert list(net.children()) == []


def test_repr_is_a_tree():
    net = nn.Module()
    net.stem = nn.Linear(2, 3)
    net.layers = [nn.ReLU(), nn.Sequential(nn.Identity())]
    assert repr(net) == (
        "Module(\n"
        "  (stem): Linear(in_features=2, out_features=3, bias=True)\n"
        "  (layers.0): ReLU()\n"
        "  (layers.1): Sequential(\n"
        "    (0): Identity()\n"
        "  )\n"
        ")"
    )


def test_repr_shows_settings_above_children():
    class Block(nn.Sequential):
        def extra_repr(self):
            return "depth=2"

    assert repr(Block(nn.Identity())) == "Block(\n  depth=2\n  (0): Identity()\n)"


def test_repr_of_nested_modules_equals_pytorchs():
    torch = pytest.importorskip("torch")

    def make(library):
        inner = library.Sequential(OrderedDict(drop=library.Identity(), fc=library.Linear(4, 2)))
        return library.Sequential(library.Linear(3, 4, bias=False), library.ModuleDict({"a": inner}), library.Flatten())

    assert repr(make(nn)) == repr(make(torch.nn))


def test_a_parameter_is_a_leaf_that_shares_memory():
    data = np.ones(3, np.float32)
    p = nn.Parameter(data)
    assert p.data is data
    assert p.requires_grad
    assert p.is_leaf
    assert nn.Parameter(minidl.tensor([1.0]) * p).is_leaf
    assert not nn.Parameter(data, requires_grad=False).requires_grad
    with pytest.raises(RuntimeError, match=r"only floating-point"):
        nn.Parameter(np.arange(3))


def test_super_init_may_be_late_or_forgotten():
    class Late(nn.Module):
        def __init__(self):
            self.width = 3
            self.layer = Scale()
            super().__init__()

    class Forgotten(nn.Module):
        def __init__(self):
            self.layer = Scale()
            self.register_buffer("seen", minidl.zeros(1))

        def forward(self, x):
            return self.layer(x)

    assert list(Late().state_dict()) == ["layer.weight", "layer.count"]
    assert list(Forgotten().state_dict()) == ["seen", "layer.weight", "layer.count"]
    assert Forgotten()(minidl.ones(2)).tolist() == [1.0, 2.0]


def test_arguments_that_nobody_takes_are_an_error():
    with pytest.raises(TypeError, match=r"positional argument"):
        nn.Module(3)


def test_a_parameter_buffer_or_module_gives_way_only_to_its_like():
    net = Net()
    net.head.weight = nn.Parameter(np.zeros(2, np.float32))
    net.head.count = minidl.tensor(3)
    with pytest.raises(TypeError, match=r"Scale.weight: a Tensor cannot replace a Parameter: assign to its .data"):
        net.head.weight = net.head.weight * 2
    with pytest.raises(TypeError, match=r"Scale.count: a int cannot replace a Tensor"):
        net.head.count = 3
    with pytest.raises(TypeError, match=r"Scale.count: a Parameter cannot replace a Tensor"):
        net.head.count = nn.Parameter(np.zeros(1, np.float32))
    with pytest.raises(TypeError, match=r"Net.head: a function cannot replace a Module"):
        net.head = lambda x: x
    net.head.weight = None
    assert "head.weight" not in net.state_dict()
    del net.head.count
    net.head.count = 3
    assert "head.count" not in net.state_dict()


def test_none_takes_the_place_of_what_a_module_does_without():
    net = Scale()
    assert net.bias is None
    net.register_buffer("extra", None)
    assert list(net.state_dict()) == ["weight", "count"]
    net.extra = minidl.ones(1)
    net.bias = nn.Parameter(np.zeros(2, np.float32))
    assert list(net.state_dict()) == ["weight", "bias", "count", "extra"]


@pytest.mark.parametrize("register", ["register_parameter", "register_buffer", "add_module"])
def test_names_and_values_that_cannot_be_registered_are_refused(register):
    net = Scale()
    with pytest.raises(ValueError, match=r"without dots, got 'a.b'"):
        getattr(net, register)("a.b", None)
    with pytest.raises(ValueError, match=r"without dots, got ''"):
        getattr(net, register)("", None)
    for taken in ("forward", "training"):
        with pytest.raises(ValueError, match=rf"attribute '{taken}' of another kind"):
            getattr(net, register)(taken, None)
    with pytest.raises(TypeError, match=r"expected a .* or None, got list"):
        getattr(net, register)("new", [])


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match=r"Module has no forward"):
        nn.Module()(1)


def test_a_module_is_freed_without_the_collector():
    gc.disable()
    try:
        net = Net()
        net.register_forward_hook(lambda module, args, output: None)
        alive = weakref.ref(net)
        del net
        assert alive() is None
    finally:
        gc.enable()
