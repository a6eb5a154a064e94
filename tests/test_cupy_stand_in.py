"""The stand-in for CuPy refuses what CuPy refuses, and all of minidl computes on it what it does on NumPy."""

import copy
import pickle
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import minidl
from minidl import checkpoint, nn, optim
from minidl.backend import BackendError, import_cupy, to_backend
from minidl.models import densenet_cifar
from minidl.nn import functional as F
from tests.cupy_stand_in import library
from tests.cupy_stand_in.array import Array
from tests.cupy_stand_in.calls import log, real
from tests.kernels.conftest import CudaOnCpu
from tests.nn.test_layers import CASES as LAYERS
from tests.table import FUNCTIONS, OPS

OPTIMIZERS = {
    "SGD": lambda params: optim.SGD(params, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "Adam": lambda params: optim.Adam(params, lr=0.1, weight_decay=0.01),
    "AdamW": lambda params: optim.AdamW(params, lr=0.1),
    "RMSprop": lambda params: optim.RMSprop(params, lr=0.1, momentum=0.9, centered=True, weight_decay=0.01),
}


@pytest.fixture(scope="module", autouse=True)
def device(tmp_path_factory):
    """The stand-in in place of CuPy; the CUDA sources run on the CPU."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    with pytest.MonkeyPatch.context() as patch:
        library.install(patch, CudaOnCpu(tmp_path_factory.mktemp("cuda")).function)
        yield
    import_cupy.cache_clear()


def there(*shape, dtype=np.float64, seed=0):
    """An array of the stand-in: random numbers."""
    return library.asarray(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def close(ours, theirs):
    """Check a tensor of the stand-in against one of NumPy: equal but for the order of sums."""
    assert ours.backend == "cupy"
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    tolerance = 1e-10 if theirs.dtype == np.float64 else 3e-5
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=tolerance, atol=tolerance)


# --------------------------------------------------------------------------------------------------- what CuPy is like
REFUSED = {
    "a NumPy array as an operand": lambda x: x + np.ones(3),
    "a NumPy array in a list": lambda x: np.concatenate([x, np.ones(3)]),
    "a NumPy array as the output": lambda x: np.add(x, x, out=np.ones(3)),
    "conversion to NumPy": lambda x: np.asarray(x),
    "functions that NumPy does not dispatch": lambda x: np.ascontiguousarray(x),
    "assigning a NumPy array": lambda x: x.__setitem__(slice(None), np.ones(3)),
    "a ufunc's where=": lambda x: np.add(x, x, where=x > 0),
    "reduce of most ufuncs": lambda x: np.maximum.reduce(x),
    "at of most ufuncs": lambda x: np.multiply.at(x, [0], 2),
    "the casting of astype": lambda x: x.astype(np.float32, casting="unsafe"),
    "use as an index": lambda x: [1, 2, 3][x.astype(int)[0]],
    "being hashed": lambda x: {x},
    "an output of another shape": lambda x: np.add(x, x, out=x[:2]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_refuses(what):
    with pytest.raises((TypeError, ValueError, NotImplementedError)):
        REFUSED[what](there(3))


@pytest.mark.skipif(real is None, reason="only CuPy knows what CuPy has")
@pytest.mark.parametrize(
    "ask",
    [
        lambda x: np.gradient(np.atleast_1d(x), edge_order=1, axis=0, unknown=1),
        lambda x: np.sum(x, where=x > 0),
        lambda x: np.float_power.outer(x, x) and np.spacing(x),
        lambda x: np.block([x, x]),
    ],
    ids=["unknown keyword", "keyword of NumPy alone", "ufunc of NumPy alone", "function of NumPy alone"],
)
def test_it_has_no_function_or_keyword_that_cupy_has_not(ask):
    with pytest.raises((TypeError, NotImplementedError)):
        ask(there(3))


@pytest.mark.skipif(real is None, reason="only CuPy knows what CuPy has")
def test_its_arrays_have_no_method_that_cupys_have_not():
    extra = {name for name in vars(Array) if not hasattr(real.ndarray, name)}
    assert extra == {"host", "__weakref__"}


@pytest.mark.skipif(real is None, reason="only CuPy knows what CuPy has")
def test_its_cuda_has_nothing_that_cupys_has_not():
    def check(ours, theirs):
        for name, value in vars(ours).items():
            assert hasattr(theirs, name), name
            if isinstance(value, SimpleNamespace):
                check(value, getattr(theirs, name))

    check(library.CUDA, real.cuda)
    check(library.POOL, real.get_default_memory_pool())
    for ours in (library.Event, library.Device):
        theirs = getattr(real.cuda, ours.__name__)
        assert all(hasattr(theirs, name) for name in vars(ours) if not name.startswith("__"))


def test_its_results_are_arrays_even_if_they_are_one_number():
    x = there(2, 3)
    for result in (x.sum(), np.max(x), x[0, 0], np.sqrt(x[0, 0]), x[0, 0] > 0, x.mean(axis=(0, 1))):
        assert isinstance(result, Array)
        assert result.shape == ()


def test_it_counts_what_waits_for_the_device():
    x = there(2, 3)
    log.clear()
    _ = x * 2 + np.float64(1), x @ x.T, x[0], x.sum()
    assert log["wait"] == 0
    _ = float(x.sum()), x[0, 0].item(), bool(x[0, 0] > 0), x[x > 0], x.tolist(), x.get()
    assert log["wait"] == 6


def test_its_elementwise_functions_return_c_order_and_copies_keep_the_layout():
    x = there(4, 2, 3).transpose(1, 0, 2)
    assert (x * 2).flags.c_contiguous
    assert x.copy(order="K").strides == x.strides == np.empty_like(x).strides
    assert x.copy().flags.c_contiguous


def test_its_views_share_memory_and_know_their_base():
    x = there(4, 3)
    view = x[1:].T.reshape(3, 3)
    view[...] = 0
    assert view.base is x
    assert float(abs(x[1:]).sum()) == 0


# ------------------------------------------------------------------------------------------------------ minidl on CuPy
def on_both(function, arrays, dtype=np.float64):
    """Check values and gradients of a function of tensors on the stand-in against NumPy; integers have none."""
    results = []
    for backend in ("cupy", "numpy"):
        xs = [minidl.tensor(x, backend=backend) for x in arrays]
        xs = [x.to(dtype).requires_grad_() if x.dtype.kind == "f" else x for x in xs]
        ys = function(*xs)
        ys = [ys] if isinstance(ys, minidl.Tensor) else list(ys)
        leaves = [x for x in xs if x.requires_grad]
        learned = [y for y in ys if y.requires_grad]
        grads = minidl.grad(learned, leaves, [y.detach() for y in learned], allow_unused=True) if learned else []
        results.append([*ys, *(g for g in grads if g is not None)])
    for ours, theirs in zip(*results, strict=True):
        if ours.backend == "cupy":  # else the op is one that moves to NumPy
            close(ours, theirs)


@pytest.mark.parametrize("sample", [s for s in OPS if all(x.size for x in s.arrays())], ids=str)
def test_every_op_computes_what_it_does_on_numpy(sample):
    on_both(sample.apply, sample.arrays())


@pytest.mark.parametrize("sample", [s for s in FUNCTIONS if all(x.size for x in s.arrays())], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_function_computes_what_it_does_on_numpy(sample, dtype):
    on_both(sample.apply, sample.arrays(), dtype)


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_every_layer_moves_and_computes_what_it_does_on_numpy(case):
    ours = case.build(nn)
    theirs = copy.deepcopy(ours)
    ours.to("cupy")
    x = np.random.default_rng(0).standard_normal(case.shape).astype(np.float32)
    for training in (True, False):
        minidl.manual_seed(0)
        y = ours.train(training)(minidl.tensor(x, backend="cupy"))
        minidl.manual_seed(0)
        close(y, theirs.train(training)(minidl.tensor(x)))
    for name, tensor in ours.state_dict().items():
        close(tensor, theirs.state_dict()[name])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_steps_clips_saves_and_loads(name):
    start, goal = there(3, 4), there(3, 4, seed=1)
    ends = []
    for backend in ("cupy", "numpy"):
        p = nn.Parameter(to_backend(start.get(), backend))
        target = minidl.tensor(goal.get(), backend=backend)
        optimizer = OPTIMIZERS[name]([p])
        for step in range(4):
            optimizer.zero_grad(set_to_none=step % 2 == 0)
            F.mse_loss(p, target, "sum").backward()
            nn.utils.clip_grad_norm_([p], 2.0)
            nn.utils.clip_grad_value_([p], 1.0)
            optimizer.step()
            saved = optimizer.state_dict()
            optimizer = OPTIMIZERS[name]([p])
            optimizer.load_state_dict(saved)
        ends.append(p)
    close(*ends)


def test_a_step_of_densenet_is_that_of_numpy_and_waits_only_to_check_the_labels():
    minidl.manual_seed(0)
    theirs = densenet_cifar(10, 4)
    ours = copy.deepcopy(theirs).to("cupy")
    rng = np.random.default_rng(0)
    for step in range(3):
        x, labels = rng.standard_normal((4, 3, 8, 8)).astype(np.float32), rng.integers(0, 10, 4)
        losses = []
        for model in (ours, theirs):
            backend = next(model.parameters()).backend
            optimizer = optim.SGD(model.parameters(), lr=0.1)
            images, targets = minidl.tensor(x, backend=backend), minidl.tensor(labels, backend=backend)
            log.clear()
            losses.append(F.cross_entropy(model(images), targets))
            losses[-1].backward()
            optimizer.step()
            assert log["wait"] == (backend == "cupy"), step
        close(*losses)
    for name, tensor in ours.state_dict().items():
        close(tensor, theirs.state_dict()[name])


def test_a_model_there_is_saved_and_loaded_and_copied(tmp_path):
    model = densenet_cifar(10, 4).to("cupy")
    checkpoint.save(tmp_path / "model.safetensors", model.state_dict())
    other = densenet_cifar(10, 4).to("cupy")
    other.load_state_dict(checkpoint.load(tmp_path / "model.safetensors"))
    for p, q, r in zip(model.parameters(), other.parameters(), copy.deepcopy(model).parameters(), strict=True):
        assert {p.backend, q.backend, r.backend} == {"cupy"}
        np.testing.assert_array_equal(p.numpy(), q.numpy())
        np.testing.assert_array_equal(p.numpy(), r.numpy())


def test_tensors_are_made_shown_pickled_and_handed_over_there():
    for made in (minidl.zeros(2), minidl.ones(2), minidl.full((2,), 3), minidl.arange(2), minidl.eye(2)):
        close(minidl.tensor(made, backend="cupy"), made)
    for make in (minidl.zeros, minidl.ones, minidl.rand, minidl.randn):
        assert make(2, 3, backend="cupy").backend == "cupy"
    x = minidl.arange(3, backend="cupy")
    assert repr(x) == "tensor([0, 1, 2], backend='cupy')"
    assert x.tolist() == list(map(int, x)) == [0, 1, 2]
    close(pickle.loads(pickle.dumps(x)), minidl.arange(3))
    close(minidl.from_dlpack(x), minidl.arange(3))
    x[1] = 5
    assert x.sum().item() == 7


def test_tensors_of_two_libraries_do_not_mix_but_numbers_do():
    x, y = minidl.ones(2, backend="cupy"), minidl.ones(2)
    with pytest.raises(BackendError, match=r"add: got tensors on cupy and numpy"):
        x + y
    with pytest.raises(BackendError, match=r"where: got tensors on cupy and numpy"):
        minidl.where(y > 0, x, x)
    for number in (2, 2.0, np.float32(2), minidl.tensor(2.0)):
        close(x * number, y * number)
        close(number * x, number * y)
    weight = minidl.tensor(2.0, requires_grad=True)
    with pytest.raises(BackendError, match=r"multiply: got tensors on cupy and numpy"):
        x * weight
