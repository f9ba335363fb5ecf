"""The rule for spellings of sequences: Jogging-1, Jogging.1 and jogging_1 are one target."""

import difflib
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping

_SEPARATORS = re.compile(r"[-._\s]+")
_NUMBERED = re.compile(r"(.+)-[0-9]+")


def key(name: str) -> str:
    """Return what all spellings of a name share: lower case, and "-" for . _ and blanks."""
    return _SEPARATORS.sub("-", name.strip()).lower()


def index(names: Iterable[str]) -> dict[str, str]:
    """Return the names by ``key``, for look-ups ``index(names).get(key(spelling))``.

    A video with only one known numbered target also stands for that target: the benchmark's
    Human4-2 is Human4 in the GOT-10k toolkit. Jogging has two targets and stands for none.
    """
    exact = {key(name): name for name in names}
    videos = {k: match[1] for k in exact if (match := _NUMBERED.fullmatch(k))}
    targets = Counter(videos.values())
    alone = {video: exact[k] for k, video in videos.items() if targets[video] == 1}
    return alone | exact


def natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key: digits by value, letters without case (Human2 before Human10)."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.lower())
    # by length, then by digit: a number may have more digits than Python converts
    values = [part.lstrip("0") if part[0] in "0123456789" else None for part in parts]
    return [
        (-1, part) if value is None else (len(value), value)
        for part, value in zip(parts, values, strict=True)
    ]


def split(stem: str, known: Mapping[str, str]) -> tuple[str, str] | None:
    """Split a file name ``<Sequence>_<Tracker>`` into its two names.

    Both may have underscores (``Jogging_1_CF2``): the longest known sequence is taken.

    Args:
        stem: The file name without its suffix.
        known: The sequences, as ``index`` gives them.

    Returns:
        The sequence as ``known`` spells it and the tracker as ``stem`` does; None: no sequence.
    """
    for match in reversed(list(re.finditer("_", stem))):
        sequence, tracker = known.get(key(stem[: match.start()])), stem[match.end() :]
        if sequence is not None and tracker:
            return sequence, tracker
    return None


def fitting(name: str, most: int) -> str:
    """Return a name, or its beginning of at most ``most`` bytes, as a file system counts them."""
    encoded = os.fsencode(name)
    return name if len(encoded) <= most else encoded[:most].decode("utf-8", "ignore")


def near(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean ...?)`` where some known names are close, else nothing."""
    by_key = {key(other): other for other in known}
    close = [by_key[match] for match in difflib.get_close_matches(key(name), by_key)]
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def listed(names: Iterable[str]) -> str:
    """Return the end of an error message that lists all the known names."""
    return f"there are {', '.join(names)}"
