"""Pickles of data are read as pickle reads them; nothing else in a pickle has any effect but a refusal."""

import contextlib
import datetime
import decimal
import functools
import os
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minidl.data import DataError
from minidl.data.unpickle import load_pickle
from tests.data.small_files import python2_pickle

numbers = st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_subnormal=False)
texts = st.text(max_size=300)


def nested(leaves):
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(numbers | texts, inner, max_size=5),
        max_leaves=20,
    )


@given(nested(numbers | texts), st.integers(0, 5))
@example({"a": [1, -1, 300, 70000, 2**40, 1.5, True, ""], 3: {}}, 0)
def test_numbers_strings_lists_and_dicts_are_read_in_every_protocol(value, protocol):
    assert repr(load_pickle(pickle.dumps(value, protocol), "file")) == repr(value)


@given(nested(numbers | texts | st.binary(max_size=300)), st.integers(3, 5))
@example([bytes(70000), "é" * 70000], 4)
def test_bytes_are_read_in_the_protocols_that_have_them(value, protocol):
    assert repr(load_pickle(pickle.dumps(value, protocol), "file")) == repr(value)


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "<i2", ">i2", "<i4", ">u4", "i8", "f2", "<f4", ">f4", "f8"])
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3), (2, 0, 3), (2, 3, 4)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_numbers_keep_dtype_shape_and_values(protocol, dtype, shape, order):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype, order=order)
    (loaded,) = load_pickle(pickle.dumps([array], protocol), "file")
    assert loaded.dtype == array.dtype
    assert loaded.shape == array.shape
    np.testing.assert_array_equal(loaded, array)


def test_what_is_shared_stays_shared():
    pixels = np.arange(6, dtype=np.uint8)
    names = ["cat", "dog"]
    loaded = load_pickle(pickle.dumps({"a": names, "b": names, "x": pixels, "y": pixels}, 4), "file")
    assert loaded["a"] is loaded["b"]
    assert loaded["x"] is loaded["y"]


def test_python_2_strings_become_one_character_a_byte():
    pixels = np.arange(256, dtype=np.uint8).reshape(2, 128)
    value = {"batch_label": "training batch 1 of 5", "labels": [0, 255], "data": pixels}
    written = python2_pickle(value)
    loaded = load_pickle(written, "file")
    expected = pickle.loads(written, encoding="latin-1")
    assert {key: loaded[key] for key in ("batch_label", "labels")} == {
        key: expected[key] for key in ("batch_label", "labels")
    }
    np.testing.assert_array_equal(loaded["data"], pixels)
    np.testing.assert_array_equal(expected["data"], pixels)


class Calls:
    """Pickled, a call of a function."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.reduced


class Plain:
    """An ordinary object."""


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Calls(os.system, "touch ran"), r"posix\.system|nt\.system"),
        (Calls(eval, "open('ran', 'w')"), r"builtins\.eval|__builtin__\.eval"),
        (Calls(exec, "open('ran', 'w')"), r"\.exec"),
        (Calls(getattr, "", "join"), r"\.getattr"),
        (Calls(functools.partial, os.getcwd), r"functools\.partial"),
        (Calls(np.load, "ran"), r"numpy.*load|load"),
        (Calls(np.ndarray, (10**12,)), "call"),
        (Calls(np.ndarray, (2,), state={"a": 1}), "call"),
        (Calls(np.dtype, "O"), "dtype 'O'"),
        (Calls(np.dtype, "u1,f8"), "dtype 'u1,f8'"),
        (np.array([{}, []], dtype=object), "dtype 'O8'"),
        (np.array(["text"]), "dtype 'U4'"),
        (np.array([b"text"]), "dtype 'S4'"),
        (np.zeros(2, [("a", "u1")]), "dtype 'V1'"),
        (np.array(1j), "dtype 'c16'"),
        (np.array("2017-08-25", "M8[D]"), "dtype 'M8'"),
        (np.float32(1), r"numpy.*scalar"),
        (np.dtype("f4"), "type _Dtype"),
        (np.ndarray, "type NoneType"),
        (Plain(), r"Plain|copyreg|copy_reg"),
        (Plain, "Plain"),
        (print, "print"),
        (datetime.date(2017, 8, 25), r"datetime\.date"),
        (decimal.Decimal(1), r"decimal\.Decimal"),
        (1j, "complex"),
        ({1, 2}, r"EMPTY_SET|\.set"),
        (frozenset({1}), r"FROZENSET|frozenset"),
        (bytearray(b"x"), r"BYTEARRAY8|bytearray"),
        (None, "NoneType"),
        ((1, 2), "tuple"),
        ({(1, 2): 3}, "key of type tuple"),
    ],
    ids=lambda value: value if isinstance(value, str) else "value",
)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_everything_else_is_refused_by_name_and_nothing_runs(value, named, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if isinstance(value, np.ndarray):  # protocol 2 and 5 write even an array of numbers with other functions
        named += r"|_codecs\.encode|numpy.*_frombuffer"
    for wrapped in (value, [value], {"data": value}):
        with pytest.raises(DataError, match=rf"refused to unpickle.*({named})"):
            load_pickle(pickle.dumps(wrapped, protocol), "file")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("program", "complaint"),
    [
        (b"cos\nsystem\n(S'touch ran'\ntR.", r"os\.system"),
        (b"(S'touch ran'\nios\nsystem\n.", "INST os system"),
        (b"(cos\nsystem\nS'touch ran'\no.", r"os\.system"),
        (b"\x80\x02\x82\x01.", "EXT1 1"),
        (b"Pid\n.", "PERSID id"),
        (b"K\x01Q.", "BINPERSID"),
        (b"cnumpy\ndtype\n)\x81.", "NEWOBJ"),
        (b"K\x012K\x01.", "DUP"),
        (b"cnumpy.core.multiarray\n_reconstruct\n)R.", "type _Array"),
        (b"}}}b.", "wrong thing"),
        (b"](K\x01K\x02u.", "wrong thing"),
        (b"}K\x01a.", "wrong thing"),
        (b"a.", "too little"),
        (b"\x85.", "too little"),
        (b"h\x07.", "damaged"),
        (b"u.", "damaged"),
        (b"K\x01l.", "damaged"),
        (b"}(K\x01u.", "damaged"),
        (b".", "too little"),
        (b"", "damaged"),
        (b"\xff", "damaged"),
        (b"not a pickle", "damaged|refused"),
    ],
)
def test_hand_written_programs_are_refused_or_found_damaged(program, complaint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=complaint):
        load_pickle(program, "file")
    assert not list(tmp_path.iterdir())


def claims(shape, size):
    """A pickled array that claims a shape, and to be followed by so many bytes."""
    honest = python2_pickle([np.arange(3, dtype=np.uint8)])
    return honest.replace(
        b"(J\x03\0\0\0t", b"(" + b"".join(b"\x8a\x06" + n.to_bytes(6, "little") for n in shape) + b"t"
    ).replace(b"T\x03\0\0\0", b"T" + size.to_bytes(4, "little"))


@pytest.mark.parametrize("shape", [(2,), (4,), (1, 2), (0,), (3, 0)])
def test_an_array_has_as_many_bytes_as_its_shape_says(shape):
    with pytest.raises(DataError, match=r"damaged pickle \(an array of shape .* and dtype uint8 with 3 bytes\)"):
        load_pickle(claims(shape, 3), "file")


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x80\x02Nr\xff\xff\xff\x7f.",  # the last memo slot: Python's C unpickler allocates all before it
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x0f.",  # 2^60 bytes are announced
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x0f.",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        b"\x80\x02T\xff\xff\xff\x7f.",
        claims((2**40,), 3),
        claims((2**40, 0, 2**40), 3),
        claims((3,), 2**31 - 1),
    ],
    ids=lambda bomb: repr(bomb[:12]),
)
def test_announced_sizes_are_not_allocated(bomb):
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            load_pickle(bomb, "file")
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


SMALL = python2_pickle({"labels": [1, 2, 3], "data": np.arange(6, dtype=np.uint8).reshape(2, 3), "name": "cat"})


@pytest.mark.parametrize("length", range(len(SMALL)))
def test_a_pickle_cut_short_is_damaged(length):
    with pytest.raises(DataError, match=r"batch_1: damaged pickle .*fetch"):
        load_pickle(SMALL[:length], "batch_1")


noise_warns = pytest.mark.filterwarnings("ignore:invalid (octal )?escape sequence")  # pickletools, in text


@noise_warns
@given(st.integers(0, len(SMALL) - 1), st.integers(0, 255), st.binary(max_size=4))
def test_a_pickle_changed_anywhere_is_read_or_a_data_error(place, byte, inserted):
    changed = SMALL[:place] + bytes([byte]) + inserted + SMALL[place + 1 :]
    with contextlib.suppress(DataError):
        load_pickle(changed, "file")


@noise_warns
@given(st.binary(max_size=60))
def test_noise_is_a_data_error_or_data(noise):
    with contextlib.suppress(DataError):
        load_pickle(noise + b".", "file")
