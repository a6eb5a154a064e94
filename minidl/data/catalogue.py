"""The datasets that are known by name, and how to open one."""

import os
from pathlib import Path

from minidl.data.cifar import Batch, CifarSet
from minidl.data.dataset import Dataset
from minidl.data.error import DataError
from minidl.data.idx import IdxSet
from minidl.data.image_folder import load_image_folder
from minidl.data.source import Source

GARMENTS = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

FASHION_MINI = IdxSet(
    name="fashion-mini",
    origin="minidl",  # in the folder embedded/
    folders=(),
    classes=GARMENTS,
    counts=(2000, 1000),
    md5s=(
        "0dcc4452646997537113b62f862a695e",
        "5a0df9904daec31a6ad493aa3ccdb6b5",
        "2752061a41bf7d04c1f85800d103f175",
        "1ade0e7531e7b22277bdbeadeac5194d",
    ),
    gzip_md5s=(),
)

FASHION = IdxSet(
    name="fashion",
    origin="https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    folders=("fashion-mnist", "FashionMNIST/raw"),
    classes=GARMENTS,
    counts=(60000, 10000),
    md5s=(
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
    gzip_md5s=(
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
)

MNIST = IdxSet(
    name="mnist",
    origin="https://ossci-datasets.s3.amazonaws.com/mnist/",
    folders=("mnist", "MNIST/raw"),
    classes=tuple("0123456789"),
    counts=(60000, 10000),
    md5s=(
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
    gzip_md5s=(
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
)

CIFAR10 = CifarSet(
    name="cifar10",
    folder="cifar-10-batches-py",
    archive="cifar-10-python.tar.gz",
    archive_md5="c58f30108f718f92721af3b95e74349a",
    origin="https://www.cs.toronto.edu/~kriz/",
    train=(
        Batch("data_batch_1", "c99cafc152244af753f735de768cd75f", 10000),
        Batch("data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec", 10000),
        Batch("data_batch_3", "54ebc095f3ab1f0389bbae665268c751", 10000),
        Batch("data_batch_4", "634d18415352ddfa80567beed471001a", 10000),
        Batch("data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb", 10000),
    ),
    test=(Batch("test_batch", "40351d587109b95175f43aff81a1287e", 10000),),
    meta="batches.meta",
    meta_md5="5ff9c542aee3614f3951f8cda6e48888",
    labels_key="labels",
    names_key="label_names",
)

CIFAR100 = CifarSet(
    name="cifar100",
    folder="cifar-100-python",
    archive="cifar-100-python.tar.gz",
    archive_md5="eb9058c3a382ffc7106e4002c42a8d85",
    origin="https://www.cs.toronto.edu/~kriz/",
    train=(Batch("train", "16019d7e3df5f24257cddd939b257f8d", 50000),),
    test=(Batch("test", "f0ef6b0ae62326f3e7ffdfab6717acfc", 10000),),
    meta="meta",
    meta_md5="7973b15100ade9c7d40fb424638fde48",
    labels_key="fine_labels",
    names_key="fine_label_names",
)

SOURCES: dict[str, Source] = {source.name: source for source in (FASHION_MINI, FASHION, MNIST, CIFAR10, CIFAR100)}
EMBEDDED = Path(__file__).parent / "embedded"
DEBIAN = Path("/usr/share/datasets")  # where Debian's package dataset-fashion-mnist puts it


def load_dataset(
    name_or_dir: str | Path,
    root: str | Path | None = None,
    download: bool = False,
    image_size: int | tuple[int, int] | None = None,
) -> tuple[Dataset, Dataset]:
    """(train, test) of a dataset.

    name_or_dir: "fashion-mini" (it ships with minidl), "fashion", "mnist", "cifar10", "cifar100"; or a path:
        a folder with the files of one of these, CIFAR's tar.gz, or a folder with train/ and test/ (or val/),
        in which each subfolder is a class of images.
    root: where the files of a named set are, in this folder or in the subfolder that it is published as.
        None: the environment variable MINIDL_DATA or, where that is unset, ~/.cache/minidl.
    download: fetch a named set into `root` if it is not there.
    image_size: side, or (height, width), to which a folder's images are scaled and cropped; None: not.

    Files that are missing, damaged or mislabelled raise DataError.
    """
    path = Path(name_or_dir).expanduser()
    named = SOURCES.get(str(name_or_dir))
    source = named or _recognised(path)
    if source is None:
        return load_image_folder(path, image_size)
    if image_size is not None:
        raise ValueError(f"load_dataset: image_size is for folders of images; those of {source.name} have one size")
    return _load_named(source, root, download) if named else source.load(path)


def _load_named(source: Source, root: str | Path | None, download: bool) -> tuple[Dataset, Dataset]:
    if source is FASHION_MINI:
        return source.load(EMBEDDED)
    default = Path(os.environ.get("MINIDL_DATA") or "~/.cache/minidl").expanduser()
    roots = [default, DEBIAN] if root is None else [Path(root).expanduser()]
    best = min(roots, key=lambda root: len(source.missing(source.place(root))))
    if download and source.missing(source.place(best)):
        source.download(best := roots[0])
    return source.load(best)


def _recognised(path: Path) -> Source | None:
    """The set that a path holds; None where it may be a folder of images."""
    if not path.exists():
        raise DataError(f"{path}: neither a file or folder nor one of the sets {', '.join(SOURCES)}")
    if (path / "train").is_dir():
        return None
    found = [source for source in SOURCES.values() if source.claims(source.place(path))]
    if len(found) > 1:
        names = [source.name for source in found]
        raise DataError(f"{path}: holds {' and '.join(names)}; say which: load_dataset({names[0]!r}, root=...)")
    return found[0] if found else None
