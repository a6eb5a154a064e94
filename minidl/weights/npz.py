"""NumPy's .npz: a zip of .npy files."""

from __future__ import annotations

import zipfile

import numpy as np

from minidl.weights.stored import Array, Stored


def read_npz(archive: zipfile.ZipFile) -> dict[str, Stored]:
    """The arrays by name; arrays of objects, which are pickles, are refused."""
    return {
        info.filename.removesuffix(".npy"): _stored(archive, info)
        for info in archive.infolist()
        if info.filename.endswith(".npy")
    }


def _stored(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Stored:
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{info.filename} is of version {version}, as only what is no array of numbers needs")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.kind not in "biuf":
        raise ValueError(f"{info.filename} holds {dtype}, no numbers")

    def read() -> Array:
        with archive.open(info) as file:
            array: Array = np.lib.format.read_array(file, allow_pickle=False)
            return array

    return Stored(shape, read)
