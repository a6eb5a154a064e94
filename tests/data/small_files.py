"""Small files in the formats of the published sets."""

import gzip
import hashlib
import io
import tarfile
from dataclasses import replace

import numpy as np

CLASSES = ["cat", "dog", "frog"]


def idx_bytes(array):
    """A uint8 array as an idx file."""
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def python2_pickle(value):
    """The opcodes, protocol 2, with which Python 2 pickled CIFAR: text and bytes are both strings."""

    def text(string):
        return b"U" + bytes([len(string)]) + string.encode("latin-1")

    def content(value):
        if isinstance(value, dict):
            return b"}(" + b"".join(text(key) + content(item) for key, item in value.items()) + b"u"
        if isinstance(value, list):
            return b"](" + b"".join(content(item) for item in value) + b"e"
        if isinstance(value, str):
            return text(value)
        if isinstance(value, int):
            return b"K" + bytes([value])
        empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        shape = b"(" + b"".join(b"J" + n.to_bytes(4, "little") for n in value.shape) + b"t"
        pixels = b"T" + value.nbytes.to_bytes(4, "little") + value.tobytes()
        return empty + b"(K\x01" + shape + dtype + b"\x89" + pixels + b"tb"

    return b"\x80\x02" + content(value) + b"."


def cifar_files(published):
    """File name -> content, of a set with few images, whose pixels are random."""
    random = np.random.default_rng(0)
    files = {}
    for batch in published.train + published.test:
        pixels = random.integers(256, size=(batch.images, 3072), dtype=np.uint8)
        labels = random.integers(len(CLASSES), size=batch.images).tolist()
        files[batch.file] = python2_pickle({"batch_label": batch.file, published.labels_key: labels, "data": pixels})
    files[published.meta] = python2_pickle({published.names_key: CLASSES})
    return files


def published_as(small, files):
    """The CIFAR set that has these files, and the archive of them, for its published ones."""

    def batches(old):
        return tuple(batch._replace(md5=md5(files[batch.file])) for batch in old)

    return replace(
        small,
        train=batches(small.train),
        test=batches(small.test),
        meta_md5=md5(files[small.meta]),
        archive_md5=md5(tar_gz({f"{small.folder}/{name}": content for name, content in files.items()})),
    )


def tar_gz(members):
    """A tar.gz of {name: content}; a content that is a string is the target of a symbolic link."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
