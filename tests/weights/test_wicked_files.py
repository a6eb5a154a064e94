"""Files made to run code, to fill the memory or to lead astray are refused, and nothing in them runs."""

import builtins
import collections
import contextlib
import functools
import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minidl import load_weights, nn
from minidl.weights import WeightsError

MAGIC, VERSION, MACHINE = 0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"


def model():
    """Wants "weight", of shape (3, 2), and "bias", (3,)."""
    return nn.Linear(2, 3)


def zip_file(program, storages=None, compression=zipfile.ZIP_STORED, **more):
    """A file as torch.save writes today, of this pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("x/data.pkl", program)
        for name, content in {**{f"data/{key}": value for key, value in (storages or {}).items()}, **more}.items():
            archive.writestr(f"x/{name}", content)
    return buffer.getvalue()


def pickles_file(program, storages=None):
    """A file as torch.save wrote before 1.6, of this pickle."""
    head = b"".join(pickle.dumps(value, 2) for value in (MAGIC, VERSION, MACHINE))
    tail = pickle.dumps(list(storages or {}), 2)
    for content in (storages or {}).values():
        tail += struct.pack("<q", len(content) // 4) + content
    return head + program + tail


def storage(key="0", length=6, kind=b"torch\nFloatStorage\n"):
    """The instructions that make a storage."""
    return b"(X\x07\0\0\0storagec" + kind + pushed(key) + b"X\x03\0\0\0cpu" + pushed(length) + b"tQ"


def tensor(shape=(3, 2), strides=(2, 1), offset=0, made_of=None):
    """The instructions that make a tensor."""
    return TENSOR + b"(" + (made_of or storage()) + pushed(offset) + pushed(shape) + pushed(strides) + b"\x89NtR"


def pushed(value):
    """The instructions that push a number, a text or a tuple of numbers."""
    if isinstance(value, tuple):
        return b"(" + b"".join(map(pushed, value)) + b"t"
    if isinstance(value, str):
        return b"X" + struct.pack("<i", len(value)) + value.encode()
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def state(weight, key="weight"):
    """A pickle of {key: weight}."""
    return b"\x80\x02}" + pushed(key) + weight + b"s."


def refused(content, tmp_path, match):
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    target = model()
    before = target.weight.numpy().copy()
    with pytest.raises(WeightsError, match=match) as caught:
        load_weights(target, path, strict=False)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 2000
    np.testing.assert_array_equal(target.weight.numpy(), before)
    assert [p.name for p in tmp_path.iterdir()] == ["file.pth"]


def test_the_files_made_here_are_read_if_they_are_honest(tmp_path):
    numbers = np.arange(6, dtype="<f4")
    for make in (zip_file, pickles_file):
        (tmp_path / "file").write_bytes(make(state(tensor()), {"0": numbers.tobytes()}))
        target = model()
        assert load_weights(target, tmp_path / "file", strict=False).missing_keys == ["bias"]
        assert target.weight.numpy().tolist() == [[0, 1], [2, 3], [4, 5]]


def test_what_a_big_endian_machine_wrote_is_read(tmp_path):
    numbers = np.arange(6, dtype=">f4")
    machine = pickle.dumps(MACHINE, 2).replace(b"\x88", b"\x89")
    old = pickles_file(state(tensor()), {"0": numbers.tobytes()}).replace(pickle.dumps(MACHINE, 2), machine)
    for content in (zip_file(state(tensor()), {"0": numbers.tobytes()}, byteorder=b"big"), old):
        (tmp_path / "file").write_bytes(content)
        target = model()
        load_weights(target, tmp_path / "file", strict=False)
        assert target.weight.numpy().tolist() == [[0, 1], [2, 3], [4, 5]]


def test_an_ordered_dict_of_python_2_and_a_tensor_of_torch_0_1_are_read(tmp_path):
    older = b"ctorch._utils\n_rebuild_tensor\n(" + storage() + pushed(0) + pushed((3, 2)) + pushed((2, 1)) + b"tR"
    program = b"\x80\x02ccollections\nOrderedDict\n]](U\x06weight" + older + b"ea\x85R."
    (tmp_path / "file").write_bytes(pickles_file(program, {"0": np.arange(6, dtype="<f4").tobytes()}))
    target = model()
    load_weights(target, tmp_path / "file", strict=False)
    assert target.weight.numpy().tolist() == [[0, 1], [2, 3], [4, 5]]


class Calls:
    """Pickled, a call of a function."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.reduced


class Plain:
    """An ordinary object, say a whole model."""


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("make", [zip_file, pickles_file])
@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Calls(os.system, "touch ran"), r"(posix|nt)\.system"),
        (Calls(builtins.eval, "open('ran', 'w')"), r"(builtins|__builtin__)\.eval"),
        (Calls(builtins.exec, "open('ran', 'w')"), r"\.exec"),
        (Calls(builtins.getattr, "", "join"), r"\.getattr"),
        (Calls(functools.partial, os.system), r"functools\.partial"),
        (Calls(np.load, "ran", None, True), "load"),
        (collections.Counter("ran"), r"collections\.Counter"),
        (Calls(collections.OrderedDict, state={"update": Calls(os.system, "touch ran")}), r"\.system"),
        (Plain(), r"Plain|copyreg|copy_reg"),
        (np.float64(1), r"numpy.*scalar"),
        ({1, 2}, r"EMPTY_SET|\.set"),
    ],
    ids=lambda value: value if isinstance(value, str) else "value",
)
def test_every_call_but_those_that_make_tensors_is_refused_by_name(value, named, make, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for wrapped in (value, {"weight": value}, {"state_dict": {"weight": [value]}}):
        program = pickle.dumps(wrapped, protocol)
        refused(make(program), tmp_path, rf"refused to unpickle .*({named}).*torch\.save\(model\.state_dict")


@pytest.mark.parametrize(
    ("program", "complaint"),
    [
        (b"cos\nsystem\n(S'touch ran'\ntR.", r"os\.system"),
        (b"(S'touch ran'\nios\nsystem\n.", "INST os system"),
        (b"(cos\nsystem\nS'touch ran'\no.", r"os\.system"),
        (b"\x80\x04\x8c\x0bcollections\x8c\x15OrderedDict.__class__\x93.", r"OrderedDict\.__class__"),
        (b"ccollections\nOrderedDict\n)\x81.", "NEWOBJ"),
        (b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n.", r"_rebuild_tensor_v2\.__globals__"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"Pid\n.", "PERSID"),
        (b"X\x07\0\0\0storageQ.", "is damaged|refused"),
        (b"(X\x04\0\0\0fileX\x02\0\0\0f4K\0K\0K\0tQ.", "no storage"),
        (b"ctorch\nFloatStorage\n)R.", "call of something"),
        (b"X\x06\0\0\0system)R.", "call of something"),
        (TENSOR + b"}b.", "attributes of a function"),
        (TENSOR + b"(K\x01K\x02)))tR.", "damaged"),
        (b"ctorch._utils\n_rebuild_parameter\n)R.", "damaged"),
        (b"ccollections\nOrderedDict\n]]]ea\x85R.", "damaged"),
        (storage(kind=b"torch\nQInt8Storage\n") + b".", r"torch\.QInt8Storage"),
        (b"\x80\x02}.", "can be read, but it holds no weights"),
        (b"K\x01.", "is damaged, .*there are no weights in it, but a int"),
        (b"}X\x05\0\0\0epochK\x03s.", "no weights, nor under state_dict or .* but epoch"),
        (b"}q\0X\x05\0\0\0modelh\0s.", "it holds no weights"),
        (b"}(" + b"".join(b"M" + struct.pack("<H", n) + b"N" for n in range(9999)) + b"u.", "it holds no weights"),
        (b".", "too little"),
        (b"", "damaged"),
    ],
)
@pytest.mark.parametrize("make", [zip_file, pickles_file])
def test_hand_written_programs_are_refused_or_found_damaged(program, complaint, make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(make(program), tmp_path, complaint)


NUMBERS = {"0": bytes(24)}


@pytest.mark.parametrize("make", [zip_file, pickles_file])
@pytest.mark.parametrize(
    ("weight", "complaint"),
    [
        (tensor(offset=1), "reaches beyond the 6 numbers"),
        (tensor(strides=(2, 2)), "reaches beyond"),
        (tensor(strides=(-2, 1)), "not as many integers"),
        (tensor(offset=-1), "not as many integers"),
        (tensor(strides=(1,)), "not as many integers"),
        (tensor(shape=(2**40, 2**40)), "reaches beyond"),
        (tensor(shape=(2**60, 2**60), strides=(0, 0)), r"wanted \(3, 2\)"),
        (tensor(made_of=storage(length=7)), "storage 0 has 6 numbers where 7|24 bytes where 28"),
        (tensor(made_of=storage(length=2**60)), "storage 0 has 6 numbers where|24 bytes where"),
        (tensor(made_of=storage(length=-1)), "."),
        (tensor(made_of=storage(key="../0")), "damaged"),
        (tensor(made_of=storage(key="1")), "damaged"),
    ],
)
def test_tensors_lie_within_their_storages(make, weight, complaint, tmp_path):
    refused(make(state(weight), NUMBERS), tmp_path, complaint)


def test_a_storage_that_is_part_of_another_is_refused(tmp_path):
    view = b"(X\x07\0\0\0storagectorch\nFloatStorage\n" + pushed("0") + b"X\x03\0\0\0cpuK\x06(K\x01K\x02K\x03ttQ"
    refused(pickles_file(state(tensor(made_of=view)), NUMBERS), tmp_path, "a storage that is part of another")


def test_values_that_double_with_each_instruction_are_never_walked_through(tmp_path):
    bomb = b"K\x01" + b"".join(b"q\x00h\x00\x86" for _ in range(60))  # a tuple of a tuple twice, 60 levels deep
    for program in (
        state(bomb),
        state(tensor(offset=0).replace(pushed(0) + pushed((3, 2)), pushed(0) + bomb)),
        state(storage(key="0").replace(pushed("0"), bomb)),
        b"\x80\x02" + bomb + b"Q.",
        b"\x80\x02}" + bomb + b"K\x01s.",
        b"\x80\x02ccollections\nOrderedDict\n]](" + bomb + b"K\x01ea\x85R.",
        b"\x80\x02" + bomb + b")R.",
    ):
        refused(zip_file(program, NUMBERS), tmp_path, "damaged|refused|no weights")


def peak(action):
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def lying(content, name, size):
    """A zip whose directory says that a file in it is so long."""
    place = content.rindex(name.encode()) - 46
    assert content[place : place + 4] == b"PK\x01\x02"
    return content[: place + 20] + struct.pack("<II", size, size) + content[place + 28 :]


def bomb_npz(shape=(2**28,)):
    """Zeros, which take a thousandth of their room."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("weight.npy", "w") as file:
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        for _ in range(32):
            file.write(bytes(2**20))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"\x80\x02" + b"\x8e\xff\xff\xff\xff\xff\xff\xff\x0f.", "damaged"),
        (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x0f.", "damaged"),
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "damaged|refused"),
        (zip_file(b"\x80\x02Nr\xff\xff\xff\x7f."), "no weights"),
        (zip_file(bytes(2**25), compression=zipfile.ZIP_DEFLATED), "compressed"),
        (zip_file(state(tensor()), {"0": bytes(2**25)}, compression=zipfile.ZIP_DEFLATED), "compressed"),
        (lying(zip_file(state(tensor()), NUMBERS), "x/data.pkl", 2**31), "longer than the file"),
        (
            lying(zip_file(state(tensor(made_of=storage(length=2**29))), NUMBERS), "x/data/0", 2**31),
            "longer than the file",
        ),
        (bomb_npz(), r"got \(268435456,\), wanted \(3, 2\)"),
        (struct.pack("<Q", 2**60) + b"{", "is announced"),
        (struct.pack("<Q", 40) + b'{"weight":{"dtype":"F32","shape":[3,2],"data_offsets":[0,9]}}', "damaged"),
        (struct.pack("<Q", 10**5) + b"[" * 10**5, "damaged"),
        (struct.pack("<Q", 10**5) + b'{"a":' * 20000, "damaged"),
    ],
    ids=lambda value: repr(value[:10]),
)
def test_announced_sizes_are_not_allocated(content, complaint, tmp_path):
    assert peak(lambda: refused(content, tmp_path, complaint)) < len(content) + 2e6


def safetensors_file(content=bytes(24), **entry):
    """A safetensors of one array."""
    header = json.dumps({"weight": {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]} | entry}).encode()
    return struct.pack("<Q", len(header)) + header + content


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (safetensors_file(dtype="F8_E4M3"), "type 'F8_E4M3'; known are F64"),
        (safetensors_file(dtype=["F32"]), "damaged"),
        (safetensors_file(shape=[3, 3]), "has 6 numbers"),
        (safetensors_file(shape=[-3, -2]), "not as many integers"),
        (safetensors_file(shape=[3.0, 2.0]), "not as many integers"),
        (safetensors_file(shape=6), "damaged"),
        (safetensors_file(data_offsets=[0, 23]), "no numbers of type F32"),
        (safetensors_file(data_offsets=[4, 28]), "ends at byte 28 of 24"),
        (safetensors_file(data_offsets=[-24, 0]), "ends at byte 0 of 24"),
        (safetensors_file(data_offsets=[24, 0]), "ends at byte"),
        (safetensors_file(data_offsets=[0]), "damaged"),
        (safetensors_file(content=b""), "ends at byte 24 of 0"),
        (struct.pack("<Q", 4) + b"{]}}", "damaged"),
        (struct.pack("<Q", 9) + b'{"a": 1}}', "damaged"),
        (struct.pack("<Q", 8) + b'{"a": 1}', "damaged"),
        (struct.pack("<Q", 4) + b"{\xff\xff}", "damaged"),
    ],
)
def test_a_safetensors_header_says_what_follows(content, complaint, tmp_path):
    refused(content, tmp_path, complaint)


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.array([[Calls(os.system, "touch ran")]], dtype=object), "object, no numbers"),
        (np.array(["text"]), "no numbers"),
        (np.zeros((3, 2), complex), "no numbers"),
        (np.zeros((3, 2), [("a", "f4")]), "no numbers"),
        (np.zeros((3, 2), "M8[D]"), "no numbers"),
        (np.zeros((3, 2), [("ы", "f4")]), "version"),
    ],
)
@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
def test_an_npz_of_anything_but_numbers_is_refused(array, complaint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    np.savez(buffer, weight=array)
    refused(buffer.getvalue(), tmp_path, complaint)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "damaged"),
        (b"\x89HDF\r\n\x1a\n" + bytes(20), "neither safetensors, nor what torch.save writes, nor .npz"),
        (bytes(257) + b"ustar" + bytes(300), "a tar, as torch wrote before 0.2"),
        (pickle.dumps({"weight": [1.0]}, 2), "what torch.save did not write"),
        (pickle.dumps({"weight": np.ones((3, 2), np.float32)}, 4), "numpy"),
        (b"PK\x03\x04", "damaged"),
        (zip_file(b"N.").replace(b"data.pkl", b"data.txt"), "unexpected|damaged|missing"),
    ],
)
def test_other_files_are_told_apart(content, complaint, tmp_path):
    refused(content, tmp_path, complaint)


def test_a_file_that_is_not_there_is_an_error_of_one_line(tmp_path):
    for path, complaint in ((tmp_path / "nowhere", "there is no such file"), (tmp_path, "is a folder: name the file")):
        with pytest.raises(WeightsError, match=complaint):
            load_weights(model(), path)


HONEST = {
    "zip": zip_file(state(tensor()), NUMBERS),
    "pickles": pickles_file(state(tensor()), NUMBERS),
    "safetensors": safetensors_file(),
}


@pytest.mark.filterwarnings("ignore:invalid (octal )?escape sequence")  # pickletools, in text
@pytest.mark.parametrize("kind", HONEST)
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), inserted=st.binary(max_size=4))
@example(place=0.0, byte=0x80, inserted=b"")
@example(place=0.9921875, byte=1, inserted=b"")  # the directory lies before the beginning
def test_a_file_changed_anywhere_is_read_or_an_error_that_says_so(kind, place, byte, inserted, tmp_path):
    content = HONEST[kind]
    place = int(place * len(content))
    (tmp_path / "file").write_bytes(content[:place] + bytes([byte]) + inserted + content[place + 1 :])
    with contextlib.suppress(WeightsError):
        load_weights(model(), tmp_path / "file", strict=False)
