"""Weights from files reach the model's parameters, or nothing is changed and the error says why."""

import json
import re

import numpy as np
import pytest

import minidl
from minidl import checkpoint, load_weights, models, nn, save_weights
from minidl.weights import LoadedWeights, WeightsError

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")


def small(classes=3):
    """A network with each kind of tensor: weights, biases, statistics and a count."""
    conv, head = nn.Conv2d(2, 4, 3), nn.Linear(4, classes)
    return nn.Sequential({"conv": conv, "norm": nn.BatchNorm2d(4), "pool": nn.GlobalAvgPool2d(), "head": head})


def values(model):
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


def drawn(model, seed=0):
    """A state for the model, in torch, in which all numbers differ."""
    rng = np.random.default_rng(seed)
    state = {name: rng.standard_normal(tensor.shape) for name, tensor in model.state_dict().items()}
    return {
        name: torch.tensor(7) if name.endswith("tracked") else torch.from_numpy(np.asarray(array)).float()
        for name, array in state.items()
    }


def write(state, path, kind):
    if kind == "safetensors":
        safetensors.save_file(state, path)
    elif kind == "npz":
        with path.open("wb") as file:
            np.savez_compressed(file, **{name: tensor.numpy() for name, tensor in state.items()})
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")


def assert_holds(model, state, but=()):
    held = values(model)
    assert held.keys() == state.keys()
    for name in held.keys() - set(but):
        np.testing.assert_array_equal(held[name], state[name].detach().double().numpy(), err_msg=name)


kinds = pytest.mark.parametrize("kind", ["safetensors", "zip", "pickles", "npz"])
kinds_of_torch = pytest.mark.parametrize("kind", ["zip", "pickles"])


@kinds
def test_every_kind_of_file_is_known_by_its_content(kind, backend, tmp_path):
    model = small().to(backend)
    state = drawn(model)
    write(state, tmp_path / "file", kind)
    assert load_weights(model, tmp_path / "file") == LoadedWeights([], [], [])
    assert_holds(model, state)
    assert {t.backend for t in model.parameters()} == {backend}


@kinds
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.99])
def test_a_file_that_was_cut_short_is_damaged_and_changes_nothing(kind, share, tmp_path):
    model = small()
    write(drawn(model), tmp_path / "file", kind)
    content = (tmp_path / "file").read_bytes()
    (tmp_path / "file").write_bytes(content[: int(share * len(content))])
    before = values(model)
    with pytest.raises(WeightsError, match=r"file: (is damaged|refused)"):
        load_weights(model, tmp_path / "file")
    for name, value in values(model).items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("kind", ["safetensors", "zip", "pickles"])
def test_numbers_take_the_models_dtype(kind, dtype, tmp_path):
    model = small().to("float64")
    state = {name: tensor.to(getattr(torch, dtype)) if tensor.ndim else tensor for name, tensor in drawn(model).items()}
    write(state, tmp_path / "file", kind)
    load_weights(model, tmp_path / "file")
    assert_holds(model, state)
    assert {t.dtype for t in model.parameters()} == {np.dtype("float64")}


@pytest.mark.parametrize("dtype", ["int64", "int32", "int16", "int8", "uint8", "bool", "float32"])
@kinds
def test_counts_and_flags_are_read_in_any_type(kind, dtype, tmp_path):
    model = nn.Module()
    model.register_buffer("count", minidl.tensor([2, 3]))
    write({"count": torch.tensor([1, 0]).to(getattr(torch, dtype))}, tmp_path / "file", kind)
    load_weights(model, tmp_path / "file")
    assert model.count.numpy().tolist() == [1, 0]
    assert model.count.dtype == np.int64


@pytest.mark.parametrize(("wrong", "held"), [(0.5, "int64"), (float("nan"), "int64"), (1e300, "float32")])
def test_numbers_that_the_models_dtype_has_not_are_refused(wrong, held, tmp_path):
    model = nn.Module()
    model.register_buffer("x", minidl.tensor([1]).to(held))
    write({"x": torch.tensor([wrong], dtype=torch.float64)}, tmp_path / "file", "npz")
    with pytest.raises(WeightsError, match=f"x holds float64 numbers that {held} has not"):
        load_weights(model, tmp_path / "file")
    assert model.x.numpy().tolist() == [1]


def test_views_parameters_and_shared_storages_are_rebuilt(tmp_path):
    base = torch.arange(60.0)
    state = {
        "turned": base[:12].view(3, 4).t(),
        "strided": base.as_strided((2, 3), (7, 2), 5),
        "wide": base[3:4].expand(5),
        "parameter": torch.nn.Parameter(base[20:24]),
        "empty": torch.zeros(0, 3),
        "number": torch.tensor(2.5),
    }
    model = nn.Module()
    for name, tensor in state.items():
        model.register_buffer(name, minidl.zeros(*tensor.shape))
    for new in (True, False):
        for tensor in model.buffers():
            tensor.data[...] = -1
        torch.save(state, tmp_path / "file", _use_new_zipfile_serialization=new)
        load_weights(model, tmp_path / "file")
        assert_holds(model, state)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_any_protocol_of_pickle_will_do(protocol, tmp_path):
    model = small()
    state = drawn(model)
    torch.save(state, tmp_path / "file", pickle_protocol=protocol)
    load_weights(model, tmp_path / "file")
    assert_holds(model, state)


@pytest.mark.parametrize("nest", ["state_dict", "model_state_dict", "model", "net"])
def test_weights_are_found_beside_an_optimizers_state(nest, tmp_path):
    twin = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    adam = {"step": torch.tensor(1.0), "exp_avg": torch.ones(3, 2)}
    optimizer = {
        "state": {0: adam},
        "param_groups": [{"lr": 1e-3, "betas": (0.8, 0.99), "foreach": None, "params": [0]}],
    }
    held = {"epoch": 3, "best": torch.tensor(0.9), "optimizer": optimizer, nest: twin.state_dict(), "name": None}
    torch.save(held, tmp_path / "file")
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    load_weights(model, tmp_path / "file")
    assert_holds(model, twin.state_dict())


@kinds_of_torch
def test_weights_under_a_name_of_ones_own_are_found_if_they_are_the_only_ones(kind, tmp_path):
    state = drawn(small())
    write(
        {"weights": state, "epoch": 1, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}}, tmp_path / "file", kind
    )
    model = small()
    load_weights(model, tmp_path / "file")
    assert_holds(model, state)


@kinds_of_torch
def test_a_file_with_two_dicts_of_weights_is_not_called_damaged(kind, tmp_path):
    write({"weights": drawn(small()), "average": drawn(small()), "epoch": 1}, tmp_path / "file", kind)
    wanted = "can be read, but it holds several dicts of weights in weights, average, epoch: save it again"
    with pytest.raises(WeightsError, match=wanted):
        load_weights(small(), tmp_path / "file")


@kinds_of_torch
def test_a_tensor_beside_weights_under_a_name_of_ones_own_is_named_and_may_pass(kind, tmp_path):
    state = drawn(small())
    write({"best_loss": torch.tensor(0.25), "ours": state, "epoch": 1}, tmp_path / "file", kind)
    model = small()
    with pytest.raises(WeightsError, match=r"does not fit [^\0]*unexpected:\n    best_loss\nstrict=False lets"):
        load_weights(model, tmp_path / "file")
    assert load_weights(model, tmp_path / "file", strict=False).unexpected_keys == ["best_loss"]
    assert_holds(model, state)


@kinds_of_torch
def test_what_layers_keep_beside_their_tensors_is_left(kind, tmp_path):
    state = drawn(small())
    write(
        {**state, "a._extra_state": {"scale": torch.ones(1)}, "_extra_state": {"x": torch.ones(1)}},
        tmp_path / "file",
        kind,
    )
    model = small()
    load_weights(model, tmp_path / "file")
    assert_holds(model, state)


@kinds_of_torch
def test_a_file_of_a_bare_tensor_is_not_called_damaged(kind, tmp_path):
    write(torch.ones(3), tmp_path / "file", kind)
    with pytest.raises(WeightsError, match="can be read, but it holds no weights by name, but a tensor: save it again"):
        load_weights(small(), tmp_path / "file")


@pytest.mark.parametrize(
    "name",
    ["module.{}", "_orig_mod.{}", "module._orig_mod.{}", "model.{}", "net.backbone.{}", "module.encoder.{}"],
)
def test_prefixes_are_taken_off(name, tmp_path):
    model = small()
    state = drawn(model)
    torch.save({name.format(key): value for key, value in state.items()}, tmp_path / "file")
    load_weights(model, tmp_path / "file")
    assert_holds(model, state)


def test_names_that_are_the_models_as_they_stand_have_no_prefix(tmp_path):
    torch.save({"fc.weight": torch.zeros(3, 2), "weight": torch.ones(3, 2)}, tmp_path / "file")
    model = nn.Linear(2, 3, bias=False)
    assert load_weights(model, tmp_path / "file", strict=False).unexpected_keys == ["fc.weight"]
    assert model.weight.numpy().tolist() == [[1, 1]] * 3


def test_a_wrapper_around_a_part_is_taken_off(tmp_path):
    twin = torch.nn.Sequential()
    twin.add_module("features", torch.nn.DataParallel(torch.nn.Sequential(torch.nn.Linear(2, 3))))
    torch.save(twin.state_dict(), tmp_path / "file")
    model = nn.Sequential({"features": nn.Sequential(nn.Linear(2, 3))})
    load_weights(model, tmp_path / "file")
    assert_holds(model, {"features.0.weight": twin[0].module[0].weight, "features.0.bias": twin[0].module[0].bias})


def test_a_part_of_a_network_is_read_from_the_whole_if_not_strict(tmp_path):
    torch.save(
        {"features.weight": torch.ones(3, 2), "features.bias": torch.ones(3), "x": torch.ones(1)}, tmp_path / "f"
    )
    model = nn.Linear(2, 3)
    assert load_weights(model, tmp_path / "f", strict=False) == LoadedWeights([], ["x"], [])
    assert model.weight.numpy().tolist() == [[1, 1]] * 3


def test_names_are_mapped_by_the_caller(tmp_path):
    model = small()
    state = drawn(model)
    torch.save({name.replace("norm", "bn"): value for name, value in state.items()}, tmp_path / "file")
    load_weights(model, tmp_path / "file", rename=lambda name: name.replace("bn.", "norm."))
    assert_holds(model, state)
    with pytest.raises(WeightsError, match=r"bn\.weight and .* would all be one"):
        load_weights(model, tmp_path / "file", rename=lambda name: "one")


def test_whatever_does_not_fit_is_listed_and_nothing_is_changed(tmp_path):
    model = small()
    state = drawn(model)
    del state["conv.bias"], state["head.bias"]
    state |= {"extra.weight": torch.ones(2), "norm.weight": torch.ones(5), "norm.running_var": torch.ones(1)}
    torch.save(state, tmp_path / "file")
    before = values(model)
    with pytest.raises(WeightsError) as caught:
        load_weights(model, tmp_path / "file")
    assert str(caught.value) == (
        f"load_weights: {tmp_path / 'file'} does not fit Sequential, which stays as it is\n"
        "  missing:\n    conv.bias\n    head.bias\n"
        "  unexpected:\n    extra.weight\n"
        "  of another shape:\n    norm.weight: got (5,), wanted (4,)\n    norm.running_var: got (1,), wanted (4,)\n"
        "strict=False lets missing and unexpected names pass, rename=... maps other names to the model's"
    )
    with pytest.raises(WeightsError, match="shape") as caught:
        load_weights(model, tmp_path / "file", strict=False)
    assert "missing:" not in str(caught.value)
    for name, value in values(model).items():
        np.testing.assert_array_equal(value, before[name])


def test_long_lists_end_with_how_many_are_left(tmp_path):
    torch.save({f"{i}.weight": torch.ones(1) for i in range(30)}, tmp_path / "file")
    with pytest.raises(WeightsError, match=r"unexpected:(\n    \d\.weight){8}\n    and 22 more"):
        load_weights(small(), tmp_path / "file")


def test_what_is_missing_or_unexpected_passes_if_not_strict(tmp_path):
    model = small()
    before, state = values(model), drawn(model)
    del state["conv.bias"]
    torch.save({**state, "extra": torch.ones(1)}, tmp_path / "file")
    assert load_weights(model, tmp_path / "file", strict=False) == LoadedWeights(["conv.bias"], ["extra"], [])
    assert_holds(model, {**state, "conv.bias": torch.from_numpy(before["conv.bias"])})


def test_a_file_with_no_name_of_the_models_is_refused_even_if_not_strict(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "file")
    with pytest.raises(WeightsError, match="unexpected:\n    a\n"):
        load_weights(small(), tmp_path / "file", strict=False)


def test_checkpoints_from_before_batches_were_counted_are_complete(tmp_path):
    model = small()
    model.norm.num_batches_tracked.data[...] = 5
    state = drawn(model)
    del state["norm.num_batches_tracked"]
    torch.save(state, tmp_path / "file")
    assert load_weights(model, tmp_path / "file") == LoadedWeights([], [], [])
    assert_holds(model, {**state, "norm.num_batches_tracked": torch.tensor(5)})


@pytest.mark.parametrize("classes", [2, 10])
def test_a_head_for_other_classes_keeps_its_initial_weights_and_says_so(classes, tmp_path):
    model = small(classes)
    before, state = values(model), drawn(small(3))
    torch.save(state, tmp_path / "file")
    kept = ["head.weight", "head.bias"]
    with pytest.warns(UserWarning, match=f"is for 3 classes and the model for {classes}: head.weight, head.bias keep"):
        assert load_weights(model, tmp_path / "file") == LoadedWeights([], [], kept)
    assert_holds(model, {**state, **{name: torch.from_numpy(before[name]) for name in kept}})


def test_all_heads_of_a_network_count_as_its_head(tmp_path):
    def build(classes):
        return nn.Sequential({"body": nn.Linear(2, 3), "aux": nn.Conv2d(3, classes, 1), "head": nn.Linear(3, classes)})

    torch.save(drawn(build(3)), tmp_path / "file")
    with pytest.warns(UserWarning, match="is for 3 classes and the model for 5"):
        loaded = load_weights(build(5), tmp_path / "file")
    assert loaded.initial_keys == ["aux.weight", "aux.bias", "head.weight", "head.bias"]


def test_a_head_alone_is_a_head(tmp_path):
    save_weights(nn.Linear(4, 3), tmp_path / "file")
    with pytest.warns(UserWarning, match="is for 3 classes and the model for 2: weight, bias keep"):
        assert load_weights(nn.Linear(4, 2), tmp_path / "file") == LoadedWeights([], [], ["weight", "bias"])


def test_codes_of_classes_that_are_not_learned_are_a_head(tmp_path):
    minidl.manual_seed(0)
    model, theirs = models.lenet5(num_classes=3), models.lenet5()
    before = values(model)
    save_weights(theirs, tmp_path / "file")
    with pytest.warns(UserWarning, match=r"is for 10 classes and the model for 3: output\.codes keep"):
        assert load_weights(model, tmp_path / "file").initial_keys == ["output.codes"]
    held = values(theirs) | {"output.codes": before["output.codes"]}
    assert_holds(model, {name: torch.from_numpy(value) for name, value in held.items()})


def test_another_width_is_no_other_number_of_classes(tmp_path):
    torch.save(drawn(small()), tmp_path / "file")
    wider = nn.Sequential(
        {"conv": nn.Conv2d(2, 5, 3), "norm": nn.BatchNorm2d(5), "pool": nn.GlobalAvgPool2d(), "head": nn.Linear(5, 3)}
    )
    with pytest.raises(WeightsError, match=re.escape("conv.weight: got (4, 2, 3, 3), wanted (5, 2, 3, 3)")):
        load_weights(wider, tmp_path / "file")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (nn.BatchNorm1d(3), nn.BatchNorm1d(4)),  # no outputs
        (nn.Linear(5, 3), nn.Linear(4, 2)),  # other inputs too
        (nn.ModuleList([nn.Linear(4, 3), nn.Linear(4, 3)]), nn.ModuleList([nn.Linear(4, 5), nn.Linear(4, 6)])),
        (nn.Linear(4, 3), nn.Linear(4, 3, bias=False)),
    ],
)
def test_only_outputs_of_one_number_are_classes(theirs, ours, tmp_path):
    before = values(ours)
    save_weights(theirs, tmp_path / "file")
    with pytest.raises(WeightsError, match=r"of another shape|unexpected"):
        load_weights(ours, tmp_path / "file")
    assert values(ours).keys() == before.keys()
    assert all(np.array_equal(value, before[name]) for name, value in values(ours).items())


def test_torchs_and_the_libraries_readers_open_what_is_saved(backend, tmp_path):
    model = small().to(backend)
    model.conv.weight.data[...] = model.conv.weight.data[::-1]
    path = tmp_path / "saved.safetensors"
    save_weights(model, path)
    in_torch = safetensors.load_file(path)
    assert_holds(model, in_torch)
    assert {name: str(t.dtype) for name, t in in_torch.items()} == {
        name: f"torch.{t.dtype}" for name, t in model.state_dict().items()
    }
    again = small()
    load_weights(again, path)
    assert_holds(again, in_torch)


def test_memory_layout_and_dtype_do_not_matter_when_saving(tmp_path):
    model = nn.Module()
    arrays = {
        "flag": np.array([True, False]),
        "turned": np.arange(6.0).reshape(2, 3).T,
        "number": np.array(3),
        "half": np.array([[1.5]], np.float16),
        "big": np.array([1.0], ">f4"),
        "byte": np.array([1], np.uint8),
    }
    for name, array in arrays.items():
        model.register_buffer(name, minidl.Tensor(array))
    save_weights(model, tmp_path / "file")
    for name, tensor in safetensors.load_file(tmp_path / "file").items():
        np.testing.assert_array_equal(tensor.numpy(), arrays[name], err_msg=name)
    length, header = (tmp_path / "file").read_bytes()[:8], (tmp_path / "file").read_bytes()[8:]
    entries = json.loads(header[: int.from_bytes(length, "little")])
    for name, array in arrays.items():  # numbers lie where a processor may want them, at multiples of their width
        assert entries[name]["data_offsets"][0] % array.itemsize == int.from_bytes(length, "little") % 8 == 0, name


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    save_weights(small(), tmp_path / "file")
    before = (tmp_path / "file").read_bytes()

    def fail(file, arrays):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr("minidl.weights.load.write_safetensors", fail)
    with pytest.raises(OSError, match="No space"):
        save_weights(small(), tmp_path / "file")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == before


def test_the_best_weights_of_a_run_are_read(tmp_path):
    model, other = small(), small()
    checkpoint.save(tmp_path / "best.safetensors", model.state_dict())
    load_weights(other, tmp_path / "best.safetensors")
    assert_holds(other, {name: torch.from_numpy(value) for name, value in values(model).items()})


def test_the_checkpoint_of_a_run_points_to_the_best_weights(tmp_path):
    model = nn.Linear(2, 3)
    optimizer = minidl.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(minidl.ones(1, 2)).sum().backward()
    optimizer.step()
    checkpoint.save(tmp_path / "file", {"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    with pytest.raises(WeightsError, match=r"checkpoint of a whole run; best\.safetensors beside it holds"):
        load_weights(nn.Linear(2, 3), tmp_path / "file")


def test_saving_into_a_folder_that_is_missing_names_it_and_the_file(tmp_path):
    path = tmp_path / "nowhere" / "file.safetensors"
    with pytest.raises(FileNotFoundError, match=re.escape(f"{path}: there is no folder {path.parent}: make it first")):
        save_weights(small(), path)


def test_a_graph_that_used_the_weights_before_says_so(tmp_path):
    model = nn.Linear(2, 1)
    y = (model(minidl.ones(1, 2)) ** 2).sum()
    save_weights(model, tmp_path / "file")
    load_weights(model, tmp_path / "file")
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()
