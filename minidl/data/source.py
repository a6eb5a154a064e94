"""A published dataset: where its files lie, and what to say when they do not."""

from abc import ABC, abstractmethod
from pathlib import Path

from minidl.data.dataset import Dataset
from minidl.data.error import DataError


class Source(ABC):
    """A dataset that is known by the names and the checksums of its files."""

    name: str
    origin: str

    @property
    @abstractmethod
    def files(self) -> tuple[str, ...]:
        """The names of the set's files."""

    @abstractmethod
    def places(self, root: Path) -> list[Path]:
        """Where the files may lie, given a data root: the likeliest place first."""

    @abstractmethod
    def missing(self, place: Path) -> list[str]:
        """Those of `files` that the place lacks."""

    @abstractmethod
    def claims(self, place: Path) -> bool:
        """Whether the place holds this set, and not another one that uses the same names."""

    @abstractmethod
    def read(self, place: Path) -> tuple[Dataset, Dataset]:
        """(train, test), every checksum verified; DataError where a file is not the published one."""

    @abstractmethod
    def download(self, root: Path) -> None:
        """Fetch what is not there yet, to where `load(root)` finds it."""

    def place(self, root: Path) -> Path:
        """The place that lacks the fewest files."""
        return min(self.places(root), key=lambda place: len(self.missing(place)))

    def load(self, root: Path) -> tuple[Dataset, Dataset]:
        """(train, test) from the files at or below `root`."""
        place = self.place(root)
        if missing := self.missing(place):
            if len(missing) == len(self.files):
                where = "none of " + ", ".join(str(place) for place in self.places(root)) + " has"
            else:
                where = f"{place} lacks"
            raise DataError(
                f"{self.name}: {where} {', '.join(missing)}; say where the files are (root=..., or the "
                f"environment variable MINIDL_DATA) or fetch them from {self.origin} (download=True)"
            )
        return self.read(place)
