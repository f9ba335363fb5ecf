"""Damage to contents by kind: what copying, disks, networks, editors and attackers do to a file."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests import damage
from tests.hostile.kinds import Case, Door, Rng, pick

Change = Callable[[Rng, bytes], bytes]

WORDS = (0, 1, 2, 9, 14, 127, 128, 255, 256, 0x7FFF, 0xFFFF, 1 << 16, 1 << 24, 1 << 28, 2**31 - 1)
NUMBERS = (
    *("", "-", "+", ".", "e", "1e", "0x10", "1_000", "1,5", "inf", "-inf", "nan", "NaN", "NaNs"),
    *("1e308", "1e309", "-1e400", "1e-400", "-0", "00012", "1" * 400, "9" * 5000, "1." + "3" * 999),
    *("\u0661\u0662", "\uff11", "\u00b2", "1\u00a02", "1\u20282", "\u22121", "1\x00", "None"),
    *("=1+1", "'1'", '"1"', "[1]", "1j", "True", "1 2", "1;;2", "1e5000", "0e999999999"),
)


def _spot(rng: Rng, content: bytes) -> int:
    """A place: anywhere, or, as often, near the beginning or the end, where the headers are."""
    size = max(len(content), 1)
    near = int(min(rng.exponential(64), size - 1))
    return int(pick(rng, (int(rng.integers(size)), near, size - 1 - near)))


def bit(rng: Rng, content: bytes) -> bytes:
    at = _spot(rng, content)
    return content[:at] + bytes([content[at] ^ (1 << int(rng.integers(8)))]) + content[at + 1 :]


def few_bits(rng: Rng, content: bytes) -> bytes:
    for _ in range(int(rng.integers(2, 9))):
        content = bit(rng, content)
    return content


def some_bytes(rng: Rng, content: bytes) -> bytes:
    at, new = _spot(rng, content), rng.bytes(int(rng.integers(1, 17)))
    return content[:at] + new + content[at + len(new) :]


def word(rng: Rng, content: bytes) -> bytes:
    at, size = _spot(rng, content), int(pick(rng, (1, 2, 4, 8)))
    at &= ~(int(pick(rng, (1, size))) - 1)
    value = int(pick(rng, (*WORDS, 2**32 - 1, 2**63, 2**64 - 1))) % (1 << 8 * size)
    return content[:at] + value.to_bytes(size, pick(rng, ("little", "big"))) + content[at + size :]


def cut(rng: Rng, content: bytes) -> bytes:
    return content[: _spot(rng, content)]


def headless(rng: Rng, content: bytes) -> bytes:
    return content[1 + _spot(rng, content) :]


def zeroed(rng: Rng, content: bytes) -> bytes:
    at = _spot(rng, content) & ~int(pick(rng, (0, 511)))
    size = min(int(pick(rng, (1, 16, 512, 4096))), len(content) - at)
    return content[:at] + bytes(size) + content[at + size :]


def zero_tail(rng: Rng, content: bytes) -> bytes:
    at = _spot(rng, content)
    return content[:at] + bytes(len(content) - at)


def removed(rng: Rng, content: bytes) -> bytes:
    at = _spot(rng, content)
    return content[:at] + content[at + int(pick(rng, (1, 2, 64, 512, 4096))) :]


def doubled(rng: Rng, content: bytes) -> bytes:
    at, size = _spot(rng, content), int(pick(rng, (1, 8, 64, 512, 4096)))
    return content[: at + size] + content[at : at + size] + content[at + size :]


def inserted(rng: Rng, content: bytes) -> bytes:
    at = _spot(rng, content)
    return content[:at] + rng.bytes(int(pick(rng, (1, 2, 4, 64)))) + content[at:]


def swapped(rng: Rng, content: bytes) -> bytes:
    size = max(1, min(int(pick(rng, (4, 64, 512))), len(content) // 2))
    one, other = sorted((_spot(rng, content), _spot(rng, content)))
    other = max(other, one + size)
    first, second = content[one : one + size], content[other : other + size]
    return content[:one] + second + content[one + size : other] + first + content[other + size :]


def twice(rng: Rng, content: bytes) -> bytes:
    return content + content


def appended(rng: Rng, content: bytes) -> bytes:
    return content + rng.bytes(int(pick(rng, (1, 7, 512, 5000))))


def noise_after_head(rng: Rng, content: bytes) -> bytes:
    at = min(int(pick(rng, (4, 8, 16, 128, 512))), len(content))
    return content[:at] + rng.bytes(int(pick(rng, (0, 16, 1000, 20000))))


def noise(rng: Rng, content: bytes) -> bytes:
    return rng.bytes(int(pick(rng, (1, 4, 100, 5000))))


def as_text(rng: Rng, content: bytes) -> bytes:
    """What an FTP client in text mode, or an editor, makes of a binary file."""
    ways: tuple[Callable[[bytes], bytes], ...] = (
        lambda c: c.replace(b"\n", b"\r\n"),
        lambda c: c.replace(b"\r\n", b"\n").replace(b"\r", b"\n"),
        lambda c: c.decode("latin-1").encode("utf-8"),
        lambda c: c.decode("utf-8", "replace").encode("utf-8"),
        lambda c: c.replace(b"\0", b""),
        lambda c: bytes(b & 0x7F for b in c),
    )
    return ways[int(rng.integers(len(ways)))](content)


def page(rng: Rng, content: bytes) -> bytes:
    html = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>...</body></html>\n"
    return bytes(pick(rng, (html, b"", b"\n", b"\0" * len(content), b'{"error": "not found"}')))


BINARY: dict[str, tuple[str, Change]] = {
    "bit": ("A bit flips on a disk or in memory.", bit),
    "few bits": ("Several bits flip.", few_bits),
    "bytes": ("A few bytes are others.", some_bytes),
    "word": ("A field has an extreme value, as an attacker would choose it.", word),
    "cut": ("A copy or download ended early.", cut),
    "headless": ("The beginning was lost, as by a wrong resumption.", headless),
    "zeroed": ("A block was never written: a hole after a crash.", zeroed),
    "zero tail": ("The size was reserved, but the rest never came.", zero_tail),
    "removed": ("A block is missing inside.", removed),
    "doubled": ("A block was written twice.", doubled),
    "inserted": ("Bytes of another file came in between.", inserted),
    "swapped": ("Two blocks changed places.", swapped),
    "twice": ("The file was appended to itself by a repeated download.", twice),
    "appended": ("Something stands after the end.", appended),
    "noise after head": ("The right signature before anything.", noise_after_head),
    "noise": ("Random bytes by the right name.", noise),
    "as text": ("A transfer in text mode, or an editor, rewrote it.", as_text),
    "page": ("A web page, nothing, or zeros in its place.", page),
}


def _line(change: Callable[[Rng, str], str]) -> Change:
    def of(rng: Rng, content: bytes) -> bytes:
        lines = content.decode("utf-8", "replace").split("\n")
        at = int(rng.integers(len(lines)))
        lines[at] = change(rng, lines[at])
        return "\n".join(lines).encode("utf-8", "surrogatepass")

    return of


def _number(rng: Rng, line: str) -> str:
    found = list(re.finditer(r"[^\s,;]+", line))
    if not found:
        return str(pick(rng, NUMBERS))
    one = found[int(rng.integers(len(found)))]
    return line[: one.start()] + str(pick(rng, NUMBERS)) + line[one.end() :]


def _column(rng: Rng, line: str) -> str:
    parts = re.split(r"([\s,;]+)", line)
    way = int(rng.integers(3))
    if way == 0:
        return "".join(parts[:-2])
    return line + (",7" if way == 1 else ",")


def _separator(rng: Rng, line: str) -> str:
    other = str(pick(rng, ("\t", "  ", ";", ",,", ", ", " , ", "|", "/", "\u3001", "\x0b", "\x85")))
    return re.sub(r"[\s,;]+", lambda _: other, line.strip())


def _character(rng: Rng, line: str) -> str:
    at = int(rng.integers(len(line) + 1))
    odd = (
        "\0",
        "\x1b[2J",
        "\x07",
        "\u202e",
        "\ufeff",
        "\ud800",
        "#",
        "%",
        '"',
        "\u2028",
        "\r",
        "x",
    )
    return line[:at] + str(pick(rng, odd)) + line[at:]


def _lines(change: Callable[[Rng, list[bytes]], list[bytes]]) -> Change:
    return lambda rng, content: b"\n".join(change(rng, content.split(b"\n")))


def _without(rng: Rng, lines: list[bytes]) -> list[bytes]:
    at = int(rng.integers(len(lines)))
    return lines[:at] + lines[at + 1 :]


def _again(rng: Rng, lines: list[bytes]) -> list[bytes]:
    at = int(rng.integers(len(lines)))
    return lines[: at + 1] + lines[at:]


def _blank(rng: Rng, lines: list[bytes]) -> list[bytes]:
    at = int(rng.integers(len(lines) + 1))
    return [*lines[:at], bytes(pick(rng, (b"", b"  ", b"\t", b"# box", b"x,y,w,h"))), *lines[at:]]


def _encoded(rng: Rng, content: bytes) -> bytes:
    text = content.decode("utf-8", "replace")
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: text.encode("utf-16"),
        lambda: text.encode("utf-32"),
        lambda: text.encode("utf-8-sig"),
        lambda: text.replace("\n", "\r\n").encode(),
        lambda: text.replace("\n", "\r").encode(),
        lambda: text.encode() + b"\xff\xfe",
        lambda: b"\x1f\x8b" + text.encode(),
        lambda: b"\xef\xbb\xbf\xef\xbb\xbf" + text.encode(),
    )
    return ways[int(rng.integers(len(ways)))]()


def _long(rng: Rng, content: bytes) -> bytes:
    piece = bytes(pick(rng, (b"1", b"1,", b" ", b"9" * 64, content, b"\n", b"e", b'"')))
    size = int(pick(rng, (200_000, 2_000_000, 17_000_000)))
    long = (piece * (size // max(len(piece), 1) + 1))[:size]
    return content + long if rng.integers(2) else long


TEXT: dict[str, tuple[str, Change]] = {
    "number": ("A field is no number, a strange or an endless one.", _line(_number)),
    "column": ("A field is missing, or one too many.", _line(_column)),
    "separator": ("Fields are separated in another way.", _line(_separator)),
    "character": ("A character that is invisible, or that terminals obey.", _line(_character)),
    "line missing": ("A line was deleted.", _lines(_without)),
    "line twice": ("A line was pasted twice.", _lines(_again)),
    "line added": ("A blank line, a comment or a header.", _lines(_blank)),
    "encoding": ("It was saved in another encoding or with other line ends.", _encoded),
    "long": ("One field, line or file is very long.", _long),
    **{name: BINARY[name] for name in ("bit", "few bits", "cut", "zeroed", "noise", "page")},
}


def add_changes(
    door: Door,
    changes: dict[str, tuple[str, Change]],
    sound: Callable[[Rng, Path], tuple[str, bytes]],
    case: Callable[[Path, bytes], Case],
    prefix: str = "",
) -> None:
    """Add a kind for each change of a sound file's content.

    Args:
        door: The door.
        changes: ``BINARY`` or ``TEXT``.
        sound: Returns the name of a file and its sound content; it may write other files that
            belong to it.
        case: Makes the case from the written file and the sound content.
        prefix: Of the kinds' names.
    """
    for name, (why, change) in changes.items():

        def make(rng: Rng, folder: Path, change: Change = change) -> Case:
            file, content = sound(rng, folder)
            path = folder / file
            path.write_bytes(change(rng, content))
            return case(path, content)

        door.add(f"{prefix}{name}", why, make)


def add_no_files(
    door: Door,
    sound: Callable[[Rng, Path], tuple[str, bytes]],
    case: Callable[[Path, bytes], Case],
    prefix: str = "",
) -> None:
    """Add a kind of what is no file, or none that can be read; arguments as ``add_changes``."""

    def make(rng: Rng, folder: Path) -> Case:
        file, content = sound(rng, folder)
        path = folder / file
        path.unlink(missing_ok=True)
        kind = str(pick(rng, (*damage.NO_FILES, "folder", "link to itself", "absent", "huge hole")))
        if kind == "folder":
            path.mkdir()
        elif kind == "link to itself":
            path.symlink_to(path)
        elif kind == "huge hole":
            with path.open("wb") as made:
                made.write(content)
                made.truncate(1 << 40)
        elif kind != "absent":
            damage.no_file(path, kind)
        return case(path, content)

    door.add(f"{prefix}no file", "A pipe, device, socket, folder, endless hole or nothing.", make)


def number_of(text: Any) -> float | None:
    """Read a number as a text file may have it, independently of the package; None: it is none."""
    found = re.fullmatch(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", str(text))
    value = float(str(text)) if found else float("nan")
    return value if np.isfinite(value) else None
