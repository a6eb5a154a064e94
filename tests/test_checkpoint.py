"""Checkpoints: what is saved comes back bit for bit, or an error says why not; a write happens whole or not at all."""

import json
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file, save_file

from minidl import checkpoint, nn, tensor
from minidl.checkpoint import CheckpointError, atomic_write

names = st.text(string.ascii_letters + "._é", min_size=1, max_size=5)
numbers = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)
)
arrays = hnp.arrays(
    st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_]), hnp.array_shapes(min_dims=0, min_side=0)
)
nests = st.recursive(
    numbers | arrays,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


def paths(nest, path=""):
    """The dotted path to each array."""
    if isinstance(nest, np.ndarray):
        return [path]
    items = nest.items() if isinstance(nest, dict) else enumerate(nest) if isinstance(nest, list) else []
    return [p for key, value in items for p in paths(value, f"{path}.{key}" if path else str(key))]


def assert_same(got, wanted):
    assert type(got) is type(wanted)
    if isinstance(wanted, dict):
        assert list(got) == list(wanted)
        for key, value in wanted.items():
            assert_same(got[key], value)
    elif isinstance(wanted, list):
        assert len(got) == len(wanted)
        for a, b in zip(got, wanted, strict=True):
            assert_same(a, b)
    elif isinstance(wanted, np.ndarray):
        assert (got.dtype, got.shape, got.tobytes()) == (wanted.dtype, wanted.shape, wanted.tobytes())
    else:
        assert got == wanted


@given(state=st.dictionaries(names, nests, max_size=4))
def test_any_nest_of_arrays_numbers_and_strings_comes_back_bit_for_bit(state, tmp_path):
    found = paths(state)
    if len(set(found)) < len(found):  # {"a": {"b.c": x}, "a.b": {"c": y}}
        with pytest.raises(ValueError, match="two arrays have the path"):
            checkpoint.save(tmp_path / "state", state)
    else:
        checkpoint.save(tmp_path / "state", state)
        assert_same(checkpoint.load(tmp_path / "state"), state)


def test_tensors_of_any_backend_and_layout_come_back_as_numpy_arrays(backend, tmp_path):
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    views = {"plain": values, "turned": values.T, "strided": values[:, ::2], "scalar": np.array(5)}
    checkpoint.save(tmp_path / "state", {"t": {name: tensor(x, backend=backend) for name, x in views.items()}})
    loaded = checkpoint.load(tmp_path / "state")["t"]
    for name, x in views.items():
        np.testing.assert_array_equal(loaded[name], x, strict=True)


def test_integer_keys_become_strings_and_tuples_lists(tmp_path):
    checkpoint.save(tmp_path / "state", {0: {"m": (1, 2)}})
    assert checkpoint.load(tmp_path / "state") == {"0": {"m": [1, 2]}}


def test_other_programs_read_the_arrays_and_the_json(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors import safe_open
    from safetensors.torch import load_file as load_torch

    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, {"model": model.state_dict(), "epoch": 3})
    in_numpy, in_torch = load_file(path), load_torch(path)
    assert set(in_numpy) == {f"model.{key}" for key in model.state_dict()}
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(in_numpy[f"model.{key}"], value.numpy())
        assert torch.equal(in_torch[f"model.{key}"], torch.tensor(value.numpy()))
    with safe_open(path, framework="numpy") as file:
        assert json.loads(file.metadata()["minidl"])["state"]["epoch"] == 3


def test_a_state_dict_that_is_saved_alone_keeps_its_keys(tmp_path):
    model = nn.Linear(2, 3)
    checkpoint.save(tmp_path / "model", model.state_dict())
    assert set(load_file(tmp_path / "model")) == {"weight", "bias"}


STATE = {"a": np.arange(6, dtype=np.float32), "b": {"c": np.arange(3)}, "numbers": [1, 2.5, "text"]}


@given(where=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255))
def test_a_changed_byte_is_noticed(where, bits, tmp_path):
    path = tmp_path / "state"
    checkpoint.save(path, STATE)
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= bits
    path.write_bytes(content)
    try:
        loaded = checkpoint.load(path)
    except CheckpointError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert_same(loaded, STATE)  # one white space for another, between the parts


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_that_was_cut_short_is_noticed(share, tmp_path):
    path = tmp_path / "state"
    checkpoint.save(path, STATE)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match="is damaged"):
        checkpoint.load(path)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="there is no such file"):
        checkpoint.load(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="there is no such file"):
        checkpoint.load(tmp_path)
    save_file({"a": np.zeros(3)}, tmp_path / "foreign")
    with pytest.raises(CheckpointError, match="none of minidl's"):
        checkpoint.load(tmp_path / "foreign")


def test_scalars_of_numpy_come_back_as_arrays_without_axes(tmp_path):
    checkpoint.save(tmp_path / "state", {"x": np.float32(0.1), "count": tensor(3) + 1})
    assert_same(checkpoint.load(tmp_path / "state"), {"x": np.array(0.1, np.float32), "count": np.array(4)})


@pytest.mark.parametrize("value", [float("nan"), object(), {"$array": "a"}])
def test_what_would_not_come_back_is_not_saved(value, tmp_path):
    with pytest.raises((TypeError, ValueError)):
        checkpoint.save(tmp_path / "state", {"value": value})
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "state"
    checkpoint.save(path, STATE)
    before = path.read_bytes()

    def write_half(self, content):
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError("No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", write_half)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(path, {"a": np.zeros(6, np.float32)})
    assert [p.name for p in tmp_path.iterdir()] == ["state"]
    assert path.read_bytes() == before


def test_a_file_has_its_name_only_when_it_is_complete(tmp_path):
    path = tmp_path / "text"
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == path.parent  # else it could not be renamed in one step
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert [p.name for p in tmp_path.iterdir()] == ["text"]
