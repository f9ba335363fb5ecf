"""What an output folder holds: whether files are whole, which are finished, and what to compare.

All files are compared byte for byte, but for these, which say when or how fast:

* in ``speed/*.json``, ``summary.json`` and a sweep's ``.json``: ``seconds``, ``compile_seconds``
  and ``fps``;
* in ``learned.json`` and beside learned weights: ``date``;
* in ``logs/`` of a training (TensorBoard's): ``wall_time``; where the folder was deleted they are
  not compared, since what was logged before is not done again;
* ``checkpoints/`` of a training (Orbax's): their files have random names and times, so that the
  arrays in them are compared; of the newest one, for which the others are kept.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from hcft_jax.evaluation import results

TIMES = {"seconds", "compile_seconds", "fps", "date"}
LOGS = "logs"
WHOLE = ("img", "material")  # folders of files that are made once
TRUTH = "groundtruth_rect.txt"
CHECKPOINTS = "checkpoints"
TEMPORARY = re.compile(r"\..+\.tmp(\.\w+)?|.*\.orbax-checkpoint-tmp.*|\.download")

Stamp = tuple[int, int, str]  # inode, time of writing, digest


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files and folders below a folder, without what is in a checkpoint."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        path = Path(entry.path)
        if is_checkpoint(path) and path != newest(path.parent):
            continue
        yield path
        if entry.is_dir() and not is_checkpoint(path):
            yield from _walk(path)


def is_checkpoint(path: Path) -> bool:
    """Tell whether it is the folder of one checkpoint."""
    return path.parent.name == CHECKPOINTS and path.name.isdecimal()


def newest(checkpoints: Path) -> Path | None:
    """Return the newest checkpoint of a folder."""
    found = [path for path in checkpoints.iterdir() if is_checkpoint(path)]
    return max(found, key=lambda path: int(path.name), default=None)


def files(folder: Path) -> list[Path]:
    """Return the files in place, and checkpoints, each of which counts as one."""
    return [
        path
        for path in _walk(folder)
        if (is_checkpoint(path) or not path.is_dir())
        and not any(TEMPORARY.fullmatch(part) for part in path.relative_to(folder).parts)
    ]


def listing(folder: Path) -> list[str]:
    """Return the names of everything that is there, temporary files too; folders end in ``/``."""
    return [
        path.relative_to(folder).as_posix() + ("/" if path.is_dir() else "")
        for path in _walk(folder)
    ]


def compared(folder: Path, trial: Path) -> dict[str, str]:
    """Return a digest of what counts of each file, by its name.

    Args:
        folder: The output folder.
        trial: The folder that it is in; the same elsewhere is no difference.
    """
    found = {}
    for path in files(folder):
        content = _checkpoint(path) if path.is_dir() else path.read_bytes()
        if path.parent.name == LOGS:
            content = "\n".join(_logged(path)).encode()
        if path.suffix == ".json":
            plain = _timeless(json.loads(content.replace(str(trial).encode(), b"TRIAL")))
            content = json.dumps(plain, sort_keys=True).encode()
        found[path.relative_to(folder).as_posix()] = hashlib.sha256(content).hexdigest()[:16]
    return found


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(of) for name, of in value.items() if name not in TIMES}
    if isinstance(value, list):
        return [_timeless(of) for of in value]
    return value


def faults(folder: Path) -> list[str]:
    """Return the files in place that are not whole, each with what is wrong."""
    found = []
    for path in files(folder):
        try:
            _read(path)
        except Exception as error:  # of any reader
            found.append(f"{path.relative_to(folder)}: {type(error).__name__}: {error}"[:300])
    return found


def _read(path: Path) -> None:
    """Read a file to its end, as its kind is read; the readers raise errors of their own."""
    if path.is_dir():
        _checkpoint(path)
    elif path.suffix == ".lock":
        return
    elif path.parent.name == LOGS:
        _logged(path)
    elif not path.stat().st_size:
        raise ValueError("it is empty")
    elif path.suffix == ".json":
        json.loads(path.read_bytes())
    elif path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays:
                assert arrays[name] is not None
    elif path.suffix == ".mp4":
        with av.open(str(path)) as container:
            if not sum(1 for _ in container.decode(video=0)):
                raise ValueError("it has no frames")
    elif path.suffix in (".png", ".jpg"):
        with Image.open(path) as image:
            image.load()
    elif path.suffix == ".csv":
        rows = path.read_text().splitlines()
        if len({row.count(",") for row in rows}) != 1:
            raise ValueError("a row is cut")
    elif path.suffix == ".txt":
        np.loadtxt(path, delimiter=",")
        if not path.read_bytes().endswith(b"\n"):
            raise ValueError("its last line is cut")
    elif path.suffix != ".md":
        raise ValueError("nobody knows what this is")


def _checkpoint(path: Path) -> bytes:
    """Return a digest of the arrays of a checkpoint.

    Raises:
        Exception: Whatever Orbax has to say of one that is not whole.
    """
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as reader:
        tree = reader.restore((path / "default").resolve())
    state = hashlib.sha256()

    def add(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key in sorted(value):
                add(f"{name}/{key}", value[key])
        elif isinstance(value, list | tuple):
            for number, one in enumerate(value):
                add(f"{name}/{number}", one)
        elif value is not None:
            array = np.asarray(value)
            state.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())

    add("", tree)
    return state.digest()


def _logged(path: Path) -> list[str]:
    """Return the events of a file of TensorBoard's, without their times."""
    from tensorboardX.proto.event_pb2 import Event

    content, found = path.read_bytes(), []
    while content:
        size = int.from_bytes(content[:8], "little")
        event = Event.FromString(content[12 : 12 + size])
        event.ClearField("wall_time")
        found.append(str(event))
        if len(content) < 16 + size:
            raise ValueError("it ends too early")
        content = content[16 + size :]
    return found


def finished(folder: Path) -> dict[Path, Stamp]:
    """Return the files that need not be made again, and how to tell that they were not.

    Those are the files of a run whose record has the digest of its boxes; those of a video with a
    summary; unpacked sequences; clips and checkpoints.
    """
    found: list[Path] = []
    for path in files(folder):
        if path.parent.name == "speed" and path.suffix == ".json":
            found += _of_run(path)
        elif path.name == "summary.json" and path.parent.parent.name == "video":
            found += [p for p in files(path.parent) if "partial" not in p.parts]
        elif (
            is_checkpoint(path)
            or path.parent.name in ("img", "material")
            or path.name == "groundtruth_rect.txt"
        ):
            found.append(path)
    return {path: stamp(path) for path in found}


def _of_run(record: Path) -> list[Path]:
    folder = record.parent.parent
    content = json.loads(record.read_bytes())
    found = [record, *(folder / name for name in content["extras"])]
    result = folder / "ope" / f"{record.stem}.txt"
    if result.exists() and results.digest(result) == content["result"]:
        # where the folder was deleted meanwhile a film may be gone: it is made again
        return [*found, result] if all(path.exists() for path in found) else []
    return []


def stamp(path: Path) -> Stamp:
    """Return what changes when a file is written anew; of a checkpoint, when it is moved there."""
    about = path.stat()
    if path.is_dir():
        return about.st_ino, 0, ""
    return about.st_ino, about.st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()[:16]
