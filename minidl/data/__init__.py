"""Datasets, and batches of them: `load_dataset`, `DataLoader` and the transforms."""

from minidl.data import transforms
from minidl.data.catalogue import load_dataset
from minidl.data.dataset import Dataset
from minidl.data.error import DataError
from minidl.data.idx import read_idx
from minidl.data.image_files import ImageFiles
from minidl.data.image_folder import image_folder
from minidl.data.loader import DataLoader

__all__ = [
    "DataError",
    "DataLoader",
    "Dataset",
    "ImageFiles",
    "image_folder",
    "load_dataset",
    "read_idx",
    "transforms",
]
