"""The files of a tracker's results and, for results of this program, how they were made."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hcft_jax.evaluation import results
from hcft_jax.util.errors import InputError

# The fields of a summary.json with scores, which the page has from the evaluation.
_SCORES = ("sequences", "mean", "protocols", "failed", "command")


def source(tracker: str, files: Mapping[str, Path]) -> dict[str, Any]:
    """Return what the page tells about the origin of a tracker's results.

    Args:
        tracker: The name of the tracker.
        files: The files of its results by sequence.

    Returns:
        ``name``, ``folder`` and ``files`` (their number) and, for a result folder of this program,
        ``command`` (for a shell) and ``settings``: the rest of its ``summary.json``, with nested
        names joined by dots. ``note`` tells why these are missing although they should exist.
    """
    if not files:
        return {"name": tracker, "folder": None, "files": 0}
    said: dict[str, Any] = {"name": tracker, "files": len(files)}
    folder = Path(os.path.commonpath([path.parent for path in files.values()]))
    if folder.name != "ope":
        example = min(path.name for path in files.values())
        return said | {"folder": str(folder), "pattern": example}
    said["folder"] = str(folder.parent)
    try:
        summary = results.read_json(folder.parent / "summary.json")
    except InputError as error:
        return said | {"note": str(error)}
    command = summary.get("command")
    if isinstance(command, list) and command:
        said["command"] = _command([str(part) for part in command])
    settings = {name: value for name, value in summary.items() if name not in _SCORES}
    return said | {"settings": _flat(settings)}


def responses(path: Path) -> Path | None:
    """Return the file of response maps that belongs to a file of boxes; None if there is none."""
    maps = path.parent.parent / "responses" / f"{path.stem}.npz"
    return maps if path.parent.name == "ope" and maps.is_file() else None


def _command(parts: list[str]) -> str:
    # python -m hcft_jax.main leaves the module's path in place of its name
    if Path(parts[0]).parts[-2:] == ("hcft_jax", "main.py"):
        return f"python -m hcft_jax.main {shlex.join(parts[1:])}".rstrip()
    return shlex.join(parts)


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Join nested dictionaries into one: ``{"tracker": {"eta": 1}}`` is ``{"tracker.eta": 1}``."""
    if not isinstance(value, dict):
        return {name: value}
    flat: dict[str, Any] = {}
    for key, part in value.items():
        flat |= _flat(part, f"{name}.{key}" if name else str(key))
    return flat
