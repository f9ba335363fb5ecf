"""The files of one video that is tracked, and whether they are there already."""

import contextlib
import dataclasses
import glob
import hashlib
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hcft_jax.data.moments import Video
from hcft_jax.evaluation import results
from hcft_jax.experiment.settings import Experiment, folders
from hcft_jax.own_video import box_tables
from hcft_jax.own_video.box_files import Start
from hcft_jax.own_video.box_tables import BoxRow, BoxTables
from hcft_jax.own_video.video_films import Films
from hcft_jax.run.identity import Identity
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import exists
from hcft_jax.util.names import fitting

_LONGEST = 254  # bytes of a folder's name, without a hyphen
_PLAIN = re.compile(r"[\w-]{1,60}", re.ASCII)  # what may be in a file's name


def note(text: str) -> None:
    """Print a note for the user."""
    print(f"note: {text}", file=sys.stderr)


def names_of(starts: Sequence[Start], several: bool) -> tuple[str, ...]:
    """Return a name for each target: its own, or its number from 1; empty for one alone.

    Args:
        starts: Where they start.
        several: Whether there may be several.
    """
    if not several:
        return ("",)
    own = [start.id for start in starts]
    if all(map(_PLAIN.fullmatch, own)) and len({name.lower() for name in own}) == len(own):
        return tuple(own)
    return tuple(str(number) for number in range(1, len(own) + 1))


@dataclass(frozen=True)
class VideoFiles:
    """The files of one video.

    Attributes:
        folder: Their folder.
        names: A name for each target.
        films: The names of the films, without their ending.
        formats: The formats of the tables.
    """

    folder: Path
    names: tuple[str, ...]
    films: tuple[str, ...] = ()
    formats: tuple[str, ...] = ("csv",)

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        source: Video,
        starts: Sequence[Start],
        digest: str,
        part: Mapping[str, Any],
    ) -> "VideoFiles":
        """Return the files of a video.

        Args:
            experiment: What is tracked, and with what.
            source: The video.
            starts: Where the targets start.
            digest: That of the weights.
            part: What of the video is tracked, as in its ``Identity``.
        """
        own = experiment.own
        assert own is not None
        boxes = [start.box for start in starts]
        of_what = [source.identity, source.source if not source.identity else "", boxes]
        text = json.dumps(of_what + ([part] if part else []), sort_keys=True)
        tag = hashlib.sha256(text.encode()).hexdigest()[:8]
        if source.live:  # it is never the same twice
            tag = time.strftime("%Y%m%d-%H%M%S")
        (folder,) = folders([(experiment, digest)], "video")
        folder = folder / "video" / f"{fitting(source.name, _LONGEST - len(tag))}-{tag}"
        names = names_of(starts, own.boxes is not None or len(starts) > 1)
        films = ["layers" if own.layers_view else "overlay"] if experiment.overlay else []
        films += ["plain"] if own.plain_video else []
        if own.crop_video:
            films += [f"crop-{name}" if name else "crop" for name in names]
        return cls(folder, names, tuple(films), own.format)

    @property
    def tables(self) -> list[Path]:
        """The tables of the targets."""
        return box_tables.paths(self.folder, self.formats, self.names)

    @property
    def film_paths(self) -> list[Path]:
        """The films."""
        return [self.folder / f"{name}.mp4" for name in self.films]

    @property
    def partial(self) -> Path:
        """The folder of what an interrupted command leaves."""
        return self.folder / "partial"

    @property
    def summary(self) -> Path:
        """What was tracked and how; written last."""
        return self.folder / "summary.json"

    @property
    def exist(self) -> bool:
        """Whether the video was tracked to its end before, with these files.

        A target that starts after the end of the part has no crops.
        """
        films = [path for path in self.film_paths if not path.stem.startswith("crop-")]
        return all(exists(path) for path in [*self.tables, *films, self.summary])

    def found(self, identity: Identity) -> Path | None:
        """Return the folder that has these files of an identity; None where none has.

        That is this folder, or one of a copy of the video by the same name. A line on stderr tells
        of files here that are of another identity, or of an unknown one, which are kept.
        """
        if self.exist:
            try:
                recorded = results.read_json(self.summary).get("identity")
            except InputError:
                note(f"{self.folder}: tracked anew (its summary is damaged)")
                return None
            if recorded is None:
                note(f"{self.folder}: no record of the version of the method; it is kept")
                return self.folder
            if not (difference := identity.differs(recorded)):
                return self.folder
            note(f"{self.folder}: tracked anew ({difference})")
            return None
        name, _, _ = self.folder.name.rpartition("-")
        try:
            beside = sorted(self.folder.parent.glob(f"{glob.escape(name)}-????????"))
        except OSError:
            return None
        for folder in beside:
            other = dataclasses.replace(self, folder=folder)
            with contextlib.suppress(InputError):
                if other.exist:
                    recorded = results.read_json(other.summary).get("identity")
                    if recorded is not None and not identity.differs(recorded):
                        return folder
        return None

    def left(self, identity: Identity, form: str) -> "tuple[list[BoxRow], VideoFiles] | None":
        """Return the boxes here and the files that can be made of them; None where that is not so.

        So another format, or a film that is asked for later, needs no tracking.

        Args:
            identity: What the boxes must be of.
            form: How boxes are to be written in boxes.csv.
        """
        with contextlib.suppress(InputError):  # what is damaged is no boxes
            return self._left(identity, form)
        return None

    def _left(self, identity: Identity, form: str) -> "tuple[list[BoxRow], VideoFiles] | None":
        tables = box_tables.paths(self.folder, ("csv",), self.names)
        if not all(exists(path) for path in [*tables, self.summary]):
            return None
        recorded = results.read_json(self.summary).get("identity")
        if recorded is None or identity.differs(recorded):
            return None
        rows, same = box_tables.read_csv(tables, form)
        never = {f"crop-{n}" for i, n in enumerate(self.names) if i not in {r.target for r in rows}}
        films = tuple(
            n for n in self.films if n not in never and not exists(self.folder / f"{n}.mp4")
        )
        if "layers" in films or not rows:
            return None
        formats = [
            name
            for name in self.formats
            if not all(map(exists, box_tables.paths(self.folder, (name,), self.names)))
            or (name == "csv" and not same)
        ]
        return rows, dataclasses.replace(self, films=films, formats=tuple(formats))

    def writers(self, form: str) -> tuple[BoxTables, Films]:
        """Return what writes the tables and the films; ``form`` is that of boxes in boxes.csv."""
        tables = BoxTables(self.folder, self.partial, self.formats, self.names, form)
        return tables, Films(self.film_paths, self.partial, self.names)
