"""Downloads happen when they are asked for, end complete and verified or not at all, and show their progress."""

import functools
import gzip
import http.server
import sys
import threading
from dataclasses import replace

import pytest

from minidl.data import DataError, catalogue, load_dataset
from minidl.data.download import ProgressBar, fetch
from tests.data.small_files import md5, tar_gz

pooch = pytest.importorskip("pooch", reason="downloads need pooch: pip install minidl[data]")


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, silently, and notes what was asked for."""

    def do_GET(self):
        self.server.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path_factory):
    """(folder, URL of it, list of the paths that were asked for), on this machine."""
    folder = tmp_path_factory.mktemp("served")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/", server.asked
        server.shutdown()
        thread.join()


def test_a_file_arrives_with_its_progress_on_stderr(server, tmp_path, capsys):
    folder, url, _ = server
    content = bytes(range(256)) * 8000
    (folder / "file").write_bytes(content)
    fetch(f"{url}file", tmp_path / "new" / "folder" / "file", md5(content))
    assert (tmp_path / "new" / "folder" / "file").read_bytes() == content
    captured = capsys.readouterr()
    assert "file: 100% of 2.0 MB\n" in captured.err
    assert captured.out == ""


def test_a_file_that_is_there_is_not_fetched_again_but_a_damaged_one_is(server, tmp_path):
    folder, url, asked = server
    (folder / "file").write_bytes(b"content")
    path = tmp_path / "file"
    path.write_bytes(b"cut sh")
    for _ in range(2):
        fetch(f"{url}file", path, md5(b"content"))
        assert path.read_bytes() == b"content"
    assert asked == ["/file"]


def test_what_is_not_the_published_file_is_not_kept(server, tmp_path):
    folder, url, _ = server
    (folder / "file").write_bytes(b"something else")
    with pytest.raises(DataError, match=rf"{url}file: the download failed .*put the file at .*file yourself"):
        fetch(f"{url}file", tmp_path / "file", md5(b"content"))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_page_and_a_dead_server_are_explained(server, tmp_path):
    _, url, _ = server
    with pytest.raises(DataError, match=r"nothing: the download failed \(404"):
        fetch(f"{url}nothing", tmp_path / "file", "0" * 32)
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9/file: the download failed"):
        fetch("http://127.0.0.1:9/file", tmp_path / "file", "0" * 32)
    assert list(tmp_path.iterdir()) == []


def test_idx_sets_are_downloaded_on_request_and_only_once(server, small_fashion, monkeypatch, tmp_path_factory):
    folder, url, asked = server
    small, files, _ = small_fashion
    for name, content in files.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
    monkeypatch.setitem(catalogue.SOURCES, "fashion", replace(small, origin=url))
    root = tmp_path_factory.mktemp("data")
    with pytest.raises(DataError, match="download=True"):
        load_dataset("fashion", root=root)
    assert asked == []
    for _ in range(2):
        assert [len(split) for split in load_dataset("fashion", root=root, download=True)] == [7, 3]
    assert sorted(asked) == sorted(f"/{name}.gz" for name in files)
    (root / "fashion-mnist" / "t10k-images-idx3-ubyte.gz").unlink()  # as after an interruption
    assert len(load_dataset("fashion", root=root, download=True)[1]) == 3
    assert len(asked) == 5


def test_downloads_go_to_minidl_data_unless_root_is_given(server, small_fashion, monkeypatch, tmp_path_factory):
    folder, url, _ = server
    small, files, _ = small_fashion
    for name, content in files.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
    monkeypatch.setitem(catalogue.SOURCES, "fashion", replace(small, origin=url))
    root, debian = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("debian")
    monkeypatch.setattr(catalogue, "DEBIAN", debian)
    monkeypatch.setenv("MINIDL_DATA", str(root))
    assert len(load_dataset("fashion", download=True)[0]) == 7
    assert [path.name for path in root.iterdir()] == ["fashion-mnist"]
    assert list(debian.iterdir()) == []


def test_cifar_is_downloaded_on_request_and_read_from_its_archive(server, small_cifar10, monkeypatch, tmp_path_factory):
    folder, url, asked = server
    small, files, _ = small_cifar10
    packed = tar_gz({f"{small.folder}/{name}": content for name, content in files.items()})
    (folder / small.archive).write_bytes(packed)
    monkeypatch.setitem(catalogue.SOURCES, "cifar10", replace(small, origin=url))
    root = tmp_path_factory.mktemp("data")
    for download in (True, True, False):
        assert len(load_dataset("cifar10", root=root, download=download)[0]) == 15
    assert asked == [f"/{small.archive}"]


def test_without_pooch_the_command_that_installs_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)  # as if it were not installed
    with pytest.raises(ImportError, match=r"pooch is not installed: pip install .minidl\[data\]"):
        load_dataset("mnist", root=tmp_path, download=True)


def test_the_progress_bar_counts_without_a_total(capsys):
    bar = ProgressBar("file")
    for _ in range(3):
        bar.update(700_000)
    bar.close()
    assert capsys.readouterr().err == "\rfile: 1 MB\rfile: 2 MB\n"
