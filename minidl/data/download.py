"""Fetching a published file: only when asked, with its checksum known beforehand."""

import sys
from pathlib import Path

from minidl.data.error import DataError
from minidl.extra import import_extra


def fetch(url: str, path: Path, md5: str) -> None:
    """Download `url` to `path`, unless the right file is there already.

    The file appears there only when it is complete and has the md5; DataError otherwise.
    """
    pooch = import_extra("pooch", "data")
    downloader = pooch.HTTPDownloader(progressbar=ProgressBar(path.name), timeout=60)
    try:
        pooch.retrieve(url, f"md5:{md5}", fname=path.name, path=path.parent, downloader=downloader)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{url}: the download failed ({error}); try again, or put the file at {path} yourself"
        ) from error


class ProgressBar:
    """One line on stderr that counts megabytes; what pooch expects of a progress bar."""

    def __init__(self, title: str) -> None:
        self.title, self.total, self.done, self.shown = title, 0, 0, ""

    def update(self, size: int) -> None:
        self.done += size
        line = f"{self.title}: {self.done / 1e6:.0f} MB"
        if self.total:
            line = f"{self.title}: {self.done / self.total:4.0%} of {self.total / 1e6:.1f} MB"
        if line != self.shown:
            sys.stderr.write(f"\r{line}")
            sys.stderr.flush()
            self.shown = line

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        sys.stderr.write("\n")
