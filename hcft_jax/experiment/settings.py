"""What can be set: the tracker's constants (the paper's symbols) and one experiment around them.

A configuration is a frozen dataclass made by ``get_config()`` of a small Python file, ``configs/``
or one's own; the command line's flags are generated from the same fields. ``TrackerConfig`` is
also a pytree: gamma, eta, lambda, sigma and the radius are its leaves, hence traced (a new value
needs no new compilation and can be differentiated or batched); everything else is static.
"""

import dataclasses
import hashlib
import json
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from hcft_jax.core.config import TrackerConfig, static
from hcft_jax.data import datasets
from hcft_jax.data.synthetic import Synthetic
from hcft_jax.evaluation.protocols import PROTOCOLS
from hcft_jax.experiment import config_files
from hcft_jax.util.errors import InputError
from hcft_jax.util.names import listed, near

METHOD = "hcft"  # the tracker that is ours; others are baselines
_LONGEST_LABEL = 150  # characters in a folder's name; file systems allow 255 bytes


@dataclass(frozen=True)
class OwnVideo:
    """A video of one's own to track in, instead of the sequences of a benchmark.

    Boxes are x, y, w, h in the first frame, in pixels counted from 0.
    """

    video: str | None = static(
        None, "track in this: a video file, a folder of images, a camera (its number) or a URL"
    )
    box: tuple[float, ...] = static((), "x,y,w,h of the target in the first frame, from 0")
    boxes: str | None = static(None, "a file with such a row for each of several targets")
    select: bool = static(False, "draw the box in a window")
    show: bool = static(False, "watch in a window; q or Esc ends it")
    layers_view: bool = static(
        False,
        "also draw response maps and principal components of the layers (a pass a frame)",
    )

    def validate(self) -> None:
        """Returns when the fields go together.

        Raises:
            InputError: names the flag and says what to give.
        """
        if not self.video:
            raise InputError("--video: name a video file, a folder of images, a camera or a URL")
        if (bool(self.box), bool(self.boxes), self.select).count(True) != 1:
            raise InputError(
                "where is the target? give one of --box=x,y,w,h, --boxes=FILE and --select"
            )
        if self.box and len(self.box) != 4:
            raise InputError(f"--box: {_shown(self.box, ',')} is not four numbers x,y,w,h")
        if self.layers_view and self.boxes:
            raise InputError("--layers_view: shows one target; give --box or --select")


@dataclass(frozen=True)
class Experiment:
    """One run of the main job: a tracker, what it tracks and where the results go."""

    name: str  # of the configuration
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    base: TrackerConfig | None = None  # as the configuration has it; None: ``tracker``
    synthetic: Synthetic | None = None  # options of a drawn sequence; None: a folder
    own: OwnVideo | None = None  # a video of one's own; None: a folder, or what is drawn
    otherwise: str | None = None  # backbone that takes over where there are no weights yet
    method: str = static(
        METHOD,
        "what tracks: hcft, opencv:NAME (MIL, KCF, CSRT, MOSSE, TLD, MedianFlow), or "
        "got10k:module:Class, a Tracker of the GOT-10k toolkit",
        flag="tracker",
    )
    data_dir: str | None = static(None, "folder of sequences")
    dataset: str = static(
        datasets.AUTO,
        f"layout of DATA_DIR: {', '.join(datasets.DATASETS)}, or what it looks like",
    )
    sequences: tuple[str, ...] = static((), "names to track; none: all that are found")
    weights: str | None = static(
        None, "network weights file (see hcft_jax.weights.lookup), or 'random'"
    )
    output_dir: str = static("results", "results go to OUTPUT_DIR/<label>-<hash>/")
    overlay: bool = static(False, "also write an .mp4 per run: boxes and response maps")
    responses: bool = static(False, "also keep the response maps of every frame, a byte a cell")
    lanes: int = static(
        1, "runs tracked at once in one executable; their boxes are those of one after the other"
    )
    protocols: tuple[str, ...] = static(
        ("ope",), f"what to evaluate, of {', '.join(PROTOCOLS)}: one pass, 20 starts, 12 boxes"
    )
    annotations: str | None = static(
        None, "folder with initOmit/<Name>.txt, frames that TRE must not start in"
    )
    sre_unscale: bool = static(
        False, "judge SRE's boxes with the size divided by the factor they started with"
    )

    def validate(self) -> "Experiment":
        """Itself, when every field is in range.

        Raises:
            InputError: names the flag, its value and what is allowed.
        """
        self.tracker.validate()
        if self.lanes < 1:
            raise InputError(f"--lanes: {self.lanes} must be at least 1")
        if self.lanes > 1 and self.tracker.dft == "fft":
            raise InputError("--lanes: --dft=fft has a grid for each target; leave one of them out")
        if self.method != METHOD:
            own = [f"--{flag_of(name)}" for name in self.changes]
            own += [f"--{name}" for name in ("weights", "responses") if getattr(self, name)]
            own += ["--lanes"] if self.lanes > 1 else []
            if own:
                raise InputError(f"--tracker={self.method} has no {own[0][2:]}: leave out {own[0]}")
        if self.own is not None:
            self.own.validate()
            if self.method != METHOD:
                raise InputError(f"--tracker={self.method} runs on benchmarks, not on --video")
            if self.synthetic or self.data_dir or self.sequences or self.responses:
                raise InputError(
                    f"--video: {self.own.video} is tracked by itself: leave out --data_dir, "
                    "--sequences and --responses, or take --config=video"
                )
        for name in self.protocols:
            if name not in PROTOCOLS:
                text = f"no {name!r}{near(name, PROTOCOLS)}; {listed(PROTOCOLS)}"
                raise InputError(f"--protocols: {text}")
        if not self.protocols or len(set(self.protocols)) < len(self.protocols):
            raise InputError("--protocols: name at least one, and each once")
        return self

    @property
    def changes(self) -> dict[str, Any]:
        """The fields in which the tracker is not that of the configuration, in their order."""
        base = self.base or self.tracker
        own = ((f.name, getattr(self.tracker, f.name)) for f in fields(TrackerConfig))
        return {name: value for name, value in own if value != getattr(base, name)}

    @property
    def label(self) -> str:
        """The configuration's name and what is changed in it: ``hcft,gamma=1+0.5+0.25,eta=0.02``.

        The same settings have the same label, whoever made them and in whatever order.
        """
        if self.method != METHOD:
            return self.method
        changed = (f"{flag_of(name)}={_shown(value)}" for name, value in self.changes.items())
        return ",".join([self.name, *changed])

    def settings(self) -> dict[str, Any]:
        """All that is set, as plain data; of a baseline ``tracker`` is but its name."""
        values = dataclasses.asdict(self)
        del values["base"], values["otherwise"]
        if self.method != METHOD:
            values["tracker"] = self.method
        return values

    def folder(self, weights_digest: str) -> str:
        """``<label>-<hash>``: the hash covers whatever the boxes depend on.

        In a long label the end is left out, and what not every file system takes is replaced.
        """
        parts = {
            "tracker": self.settings()["tracker"],
            "synthetic": self.synthetic and dataclasses.asdict(self.synthetic),
            "weights": weights_digest,
        }
        text = json.dumps(parts, sort_keys=True)
        label = re.sub(r"[^\w .,+=-]", "_", self.label, flags=re.ASCII)[:_LONGEST_LABEL]
        return f"{label}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def load(name: str) -> Experiment:
    """The experiment of a configuration's name (``otb``) or Python file (``my/config.py``).

    Raises:
        InputError: no such configuration (near ones are listed), or the file has no
            ``get_config()`` that returns an ``Experiment``.
    """
    path = config_files.locate(name, "--config", config_files.available())
    experiment = config_files.execute(path, "get_config")
    if not isinstance(experiment, Experiment):
        raise InputError(f"{path}: get_config() must return an Experiment")
    return replace(experiment, name=path.stem, base=experiment.tracker)


def derive(name: str, **changes: Any) -> Experiment:
    """The experiment ``name`` with some of the tracker's or its own fields changed."""
    return override(load(name), changes)


def override(experiment: Experiment, changes: Mapping[str, Any]) -> Experiment:
    """``experiment`` with fields, of the tracker or its own, replaced by name.

    Numbers may be of any type, or text, and tuples any list: equal settings are equal afterwards.

    Raises:
        InputError: a value is no number where the field is one.
    """
    parts: dict[type, dict[str, Any]] = {TrackerConfig: {}, OwnVideo: {}, Experiment: {}}
    for name, value in changes.items():
        owner = next((o for o in (TrackerConfig, OwnVideo) if name in _names(o)), Experiment)
        parts[owner][name] = value if owner is Experiment else _typed(name, value, owner)
    tracker, own, rest = parts.values()
    if own:
        rest["own"] = replace(experiment.own or OwnVideo(), **own)
    return replace(
        experiment,
        tracker=replace(experiment.tracker, **tracker),
        base=experiment.base or experiment.tracker,
        **rest,
    )


def flag_of(field: str) -> str:
    """The flag that sets a field of the tracker's: ``lambda`` for ``lambda_``."""
    metadata = next(f.metadata for f in fields(TrackerConfig) if f.name == field)
    return str(metadata.get("flag", field))


def _names(owner: type) -> set[str]:
    return {f.name for f in fields(owner)}


def _typed(name: str, value: Any, owner: type) -> Any:
    kind = typing.get_type_hints(owner)[name]
    try:
        if kind is float:
            return float(value)
        if kind == tuple[float, ...]:
            return tuple(float(v) for v in value)
        if kind == float | tuple[float, ...]:
            several = tuple(float(v) for v in (value if np.iterable(value) else [value]))
            return several[0] if len(several) == 1 else several
    except (TypeError, ValueError):
        what = "a number" if kind is float else "a list of numbers"
        flag = flag_of(name) if owner is TrackerConfig else name
        raise InputError(f"--{flag}: {_shown(value, ',')!r} is not {what}") from None
    return tuple(value) if isinstance(value, list) else value


def _shown(value: Any, separator: str = "+") -> str:
    """A value in names: 0.02, true, 1+0.5+0.02."""
    if isinstance(value, tuple | list):
        return separator.join(map(_shown, value))
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
