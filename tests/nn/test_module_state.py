"""How a module is saved, loaded, moved and copied."""

import copy
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import minidl
from minidl import Tensor, nn, optim
from tests.nn.modules import Net, Scale


def values(module):
    return {name: tensor.numpy().copy() for name, tensor in module.state_dict().items()}


def build(library):
    """A net whose registration order matters, in minidl and in PyTorch."""

    class Block(library.Module):
        def __init__(self):
            super().__init__()
            self.conv = library.Conv2d(4, 4, 3, padding=1, bias=False)
            self.norm = library.BatchNorm2d(4)

    class Model(library.Module):
        def __init__(self):
            super().__init__()
            self.stem = library.Sequential(OrderedDict(conv=library.Conv2d(3, 4, 1), relu=library.ReLU()))
            self.blocks = library.ModuleList([Block(), Block()])
            self.heads = library.ModuleDict({"b": library.Linear(4, 2), "a": library.Linear(4, 3, bias=False)})
            self.scale = library.Parameter(array(library, [1.0, 2.0]))
            self.shared = self.blocks[0].conv

    return Model()


def array(library, numbers):
    return minidl.tensor(numbers) if library is nn else pytest.importorskip("torch").tensor(numbers)


def test_names_and_their_order_are_pytorchs():
    torch = pytest.importorskip("torch")
    mine, theirs = build(nn), build(torch.nn)
    shapes = [[(name, tuple(t.shape)) for name, t in net.state_dict().items()] for net in (mine, theirs)]
    assert shapes[0] == shapes[1]
    for listing in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        names = [[name for name, _ in getattr(net, listing)()] for net in (mine, theirs)]
        assert names[0] == names[1]


def test_a_state_dict_names_shared_parameters_wherever_they_are():
    state = Net().state_dict()
    assert list(state)[:3] == ["gates.0", "again", "layers.0.weight"]
    assert {"head.weight", "tied.weight"} <= state.keys()


def test_a_pytorch_state_dict_loads(backend):
    torch = pytest.importorskip("torch")
    mine, theirs = build(nn).to(backend), build(torch.nn)
    assert mine.load_state_dict(theirs.state_dict()) == ([], [])
    for name, tensor in mine.state_dict().items():
        assert tensor.backend == backend
        np.testing.assert_array_equal(tensor.numpy(), theirs.state_dict()[name].numpy())


def test_a_state_dict_shares_memory_and_carries_no_graph(backend):
    net = Scale().to(backend)
    state = net.state_dict()
    assert all(type(tensor) is Tensor and not tensor.requires_grad for tensor in state.values())
    state["weight"].data[...] = 5
    np.testing.assert_array_equal(net.weight.numpy(), 5.0)


def test_loading_casts_and_keeps_the_parameters_memory(backend):
    net = Scale().to(backend)
    before, memory = net.weight, net.weight.data
    net.load_state_dict({"weight": np.array([0.1, 0.2]), "count": 7})
    assert net.weight is before
    assert net.weight.data is memory
    assert (net.weight.dtype, net.count.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(net.weight.numpy(), np.float32([0.1, 0.2]))
    assert net.count.item() == 7


def test_a_buffer_that_was_assigned_anew_still_loads():
    net = Scale()
    net.count = net.count + 1
    net.load_state_dict({"weight": net.weight, "count": np.array(5)})
    assert net.count.item() == 5


@pytest.mark.parametrize(
    "write", [lambda net: net.load_state_dict(Scale().state_dict()), lambda net: nn.init.ones_(net.weight)]
)
def test_a_graph_from_before_new_weights_refuses_to_go_backward(write):
    net = Scale()
    y = (net.weight * net.weight).sum()
    write(net)
    with pytest.raises(RuntimeError, match=r"changed in place"):
        y.backward()


def test_what_does_not_fit_is_listed_in_full_and_changes_nothing():
    net = Net()
    before = values(net)
    state = {name: value + 1 for name, value in before.items() if name not in ("again", "layers.0.count")}
    state |= {"extra": np.zeros(1), "more": np.zeros(1)}
    state |= {"head.weight": np.zeros((2, 3)), "layers.1.weight": np.zeros(3)}
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    assert str(caught.value).splitlines() == [
        "load_state_dict: the state does not fit Net (strict=False lets missing and unexpected keys pass)",
        "  wrong shape: layers.1.weight (got (3,), wanted (2,)), head.weight (got (2, 3), wanted (6,))",
        "  missing: again, layers.0.count",
        "  unexpected: extra, more",
    ]
    with pytest.raises(RuntimeError, match=r"fit Net\n  wrong shape: (?!.*missing)"):
        net.load_state_dict(state, strict=False)
    with pytest.raises(TypeError, match=r"head.weight must be an array of numbers, got a str"):
        net.load_state_dict({**before, "gates.0": before["gates.0"] + 1, "head.weight": "abc"})
    for name, value in values(net).items():
        np.testing.assert_array_equal(value, before[name])


def test_an_array_that_cannot_be_read_is_named():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"cannot read weight as an array: .*BFloat16"):
        Scale().load_state_dict({"weight": torch.ones(2, dtype=torch.bfloat16), "count": 0})


def test_without_strict_missing_and_unexpected_keys_are_returned():
    net = Scale()
    result = net.load_state_dict({"weight": np.array([3.0, 4.0]), "extra": 1}, strict=False)
    assert result.missing_keys == ["count"]
    assert result.unexpected_keys == ["extra"]
    np.testing.assert_array_equal(net.weight.numpy(), [3.0, 4.0])


def test_two_tensors_of_one_name_are_an_error():
    net = nn.Module()
    net.layers = {1: Scale(), "1": Scale()}
    with pytest.raises(ValueError, match=r"two tensors have the path 'layers.1.weight'"):
        net.state_dict()


def test_to_changes_types_in_place_so_that_an_optimiser_goes_on():
    net = Scale()
    weight = net.weight
    optimizer = optim.SGD(net.parameters(), lr=1.0)
    net(minidl.ones(2)).sum().backward()
    assert net.to(np.float64) is net
    assert net.weight is weight
    assert {tensor.dtype for tensor in (weight, weight.grad, net.cache)} == {np.dtype(np.float64)}
    assert net.count.dtype == np.int64
    optimizer.step()
    np.testing.assert_array_equal(weight.numpy(), [0.0, 1.0])
    weight.grad = None
    net(minidl.ones(2, dtype=np.float64)).sum().backward()
    assert weight.grad.dtype == np.float64


def test_to_moves_between_backends_and_back(backend):
    net = Scale()
    net(minidl.ones(2)).sum().backward()
    net.to(backend)
    assert {tensor.backend for tensor in (net.weight, net.weight.grad, net.count, net.cache)} == {backend}
    assert net(minidl.ones(2, backend=backend)).tolist() == [1.0, 2.0]
    net.to("numpy")
    assert {tensor.backend for tensor in (net.weight, net.weight.grad, net.count, net.cache)} == {"numpy"}


def test_to_refuses_what_cannot_hold_a_gradient():
    with pytest.raises(TypeError, match=r"expected 'numpy', 'cupy' or a floating dtype, got 'int64'"):
        Scale().to("int64")


def test_to_what_it_is_already_keeps_the_arrays():
    net = Scale()
    before = net.weight.data
    net.to(np.float32).to("numpy")
    assert net.weight.data is before


def test_a_frozen_parameter_stays_frozen_when_it_moves():
    net = Scale().requires_grad_(False).to(np.float64)
    assert not net.weight.requires_grad


class Tied(nn.Module):
    """For copies, at the top level because pickle wants classes that it can name."""

    def __init__(self):
        super().__init__()
        self.head = self.tied = Scale()
        self.layers = [Scale()]

    def forward(self, x):
        return self.layers[0](self.head(x))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copy_is_equal_and_independent(duplicate):
    net = Tied()
    net(minidl.ones(2)).sum().backward()
    net.eval()
    twin = duplicate(net)
    assert list(twin.state_dict()) == list(net.state_dict())
    assert twin.head is twin.tied, "what is shared stays shared"
    assert not twin.training
    assert isinstance(twin.head.weight, nn.Parameter)
    assert twin.head.weight.requires_grad
    twin.head.weight.data[...] = 9
    twin.head.count.data += 1
    twin.layers.append(Scale())
    assert net.head.weight.tolist() == [1.0, 2.0]
    assert net.head.count.item() == 0
    assert len(net.layers) == 1
    assert twin(minidl.ones(2)).tolist() == [9.0, 18.0]


def test_deepcopy_copies_gradients():
    net = Scale()
    net(minidl.ones(2)).sum().backward()
    twin = copy.deepcopy(net)
    twin.weight.grad.data[...] = 0
    assert net.weight.grad.tolist() == [1.0, 1.0]
