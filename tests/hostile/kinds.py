"""What a hostile input is: a door, kinds of damage to what comes through it, and single cases."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Rng = np.random.Generator

UNDETECTABLE = "the format has no checksum of what was changed"
"""What a judge returns for damage inside compressed data of such a format; ``Door.unchecked``."""


@dataclass(frozen=True)
class Case:
    """One input, written to a folder.

    Attributes:
        open: Opens it as the program does; what it raises or returns is the outcome.
        judge: Says what is wrong with an answer; empty where it is right. None: nothing can be
            compared, so that an answer counts as accepted without a check.
        names: Words of which the message of a refusal must have one: the file, field or flag.
        refuses: The exceptions of the door besides ``InputError``.
    """

    open: Callable[[], Any]
    judge: Callable[[Any], str] | None = None
    names: tuple[str, ...] = ()
    refuses: tuple[type[BaseException], ...] = ()


Make = Callable[[Rng, Path], Case]


@dataclass(frozen=True)
class Kind:
    """A kind of hostile input: ``make`` writes a case of it into a folder."""

    name: str
    why: str
    make: Make


@dataclass
class Door:
    """What inputs come through: a reader, or a family of readers.

    Attributes:
        name: Its name in the table.
        share: How many of the cases are its own, relative to other doors.
        unchecked: Whether there are formats behind it that cannot know of all damage, so that
            a judge may say UNDETECTABLE.
        kinds: The kinds by name.
    """

    name: str
    share: float = 1.0
    unchecked: bool = False
    kinds: dict[str, Kind] = field(default_factory=dict)

    def kind(self, why: str, name: str = "") -> Callable[[Make], Make]:
        """Add a function that makes cases as a kind, which is called as the function is.

        Args:
            why: One sentence: how such an input comes about, or what it would do.
            name: Another name than the function's.
        """

        def add(make: Make) -> Make:
            self.add(name or make.__name__.strip("_"), why, make)
            return make

        return add

    def add(self, name: str, why: str, make: Make) -> None:
        """Add a kind."""
        assert name not in self.kinds, name
        self.kinds[name] = Kind(name, why, make)

    def planned(self, count: int, seed: int) -> list["Planned"]:
        """Return so many cases, of all kinds by turns."""
        names = list(self.kinds)
        first = seed % len(names)
        return [Planned(self.name, names[(first + n) % len(names)], seed + n) for n in range(count)]


@dataclass(frozen=True)
class Planned:
    """A case that is to be made: the same three always give the same case."""

    door: str
    kind: str
    seed: int

    @property
    def rng(self) -> Rng:
        """The source of all that is random in it."""
        return np.random.default_rng([self.seed, zlib.crc32(f"{self.door}/{self.kind}".encode())])


def pick(rng: Rng, choices: Any) -> Any:
    """Return one of some values, as it is: NumPy's ``choice`` would make an array of them."""
    choices = list(choices)
    return choices[int(rng.integers(len(choices)))]


def same_arrays(found: dict[str, Any], expected: dict[str, Any]) -> str:
    """Say in what arrays by name differ; NaN equals NaN."""
    if list(map(str, found)) != list(map(str, expected)) and set(found) != set(expected):
        return f"arrays {sorted(found)[:3]} ... instead of {sorted(expected)[:3]} ..."
    for name, array in expected.items():
        one, other = np.asarray(found[name]), np.asarray(array)
        if one.shape != other.shape or one.dtype != other.dtype:
            return f"{name} is {one.dtype}{one.shape}, not {other.dtype}{other.shape}"
        if not np.array_equal(one, other, equal_nan=one.dtype.kind in "fc"):
            return f"{name} has other values"
    return ""
