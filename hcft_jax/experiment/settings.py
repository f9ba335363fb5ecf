"""What can be set: the tracker's constants and choices, and one experiment around them.

An experiment is a frozen dataclass: a shipped configuration (``configs/named.py``), or made by
``get_config()`` of a Python file of one's own; the command line's flags are generated from the
fields that have a help text.
"""

import dataclasses
import hashlib
import importlib
import json
import math
import re
import sys
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from hcft_jax.core.choices import TrackerConfig, static
from hcft_jax.data import datasets
from hcft_jax.data.synthetic import Synthetic
from hcft_jax.evaluation.protocols import PROTOCOLS
from hcft_jax.experiment import config_files
from hcft_jax.experiment.video_settings import OwnVideo
from hcft_jax.util import files
from hcft_jax.util.errors import InputError, SettingError
from hcft_jax.util.fields import check, settled
from hcft_jax.util.flag_groups import MEANINGS
from hcft_jax.util.names import listed, near

METHOD = "hcft"  # the tracker that is ours; others are baselines
DECODE = ("host", "device")  # who decodes JPEG files
_LONGEST_LABEL = 150  # characters in a folder's name; file systems allow 255 bytes


def _paper() -> TrackerConfig:
    """Return the paper's tracker, and have it be a pytree, for which this module loads no JAX."""
    importlib.import_module("hcft_jax.core.config")
    return TrackerConfig()


@dataclass(frozen=True)
class Experiment:
    """One run of the main job: a tracker, what it tracks and where the results go."""

    name: str  # of the configuration
    tracker: TrackerConfig = field(default_factory=_paper)
    base: TrackerConfig | None = None  # as the configuration has it; None: ``tracker``
    synthetic: Synthetic | None = None  # options of a drawn sequence; None: a folder
    own: OwnVideo | None = None  # a video of one's own; None: a folder, or what is drawn
    otherwise: str | None = None  # configuration whose tracker takes over without weights
    method: str = static(
        METHOD,
        "what tracks: hcft, opencv:NAME (MIL, KCF, CSRT, MOSSE, TLD, MedianFlow), or "
        "got10k:module:Class, a Tracker of the GOT-10k toolkit",
        flag="tracker",
    )
    data_dir: str | None = static(None, MEANINGS["data_dir"])
    dataset: str = static(
        datasets.AUTO,
        f"layout of DATA_DIR: {', '.join(datasets.DATASETS)}, or what it looks like",
    )
    sequences: tuple[str, ...] = static((), MEANINGS["sequences"])
    weights: str | None = static(None, MEANINGS["weights"])
    output_dir: str = static("results", MEANINGS["output_dir"])
    overlay: bool = static(False, "also write an .mp4 per run: boxes and response maps")
    responses: bool = static(False, "also keep the response maps of every frame, one byte per cell")
    lanes: int = static(
        1, "runs tracked at once in one executable; their boxes are those of one after the other"
    )
    frame_memory: float | None = static(
        None,
        "GiB of decoded frames that are kept for later runs, 0: none; by default a quarter of the "
        "memory that is available",
    )
    decode: str = static(
        DECODE[0],
        "who decodes JPEG files: host, or device (an NVIDIA GPU, by nvImageCodec; runs in lanes "
        "only), whose pixels, and so the boxes, differ slightly",
    )
    protocols: tuple[str, ...] = static(
        ("ope",), f"what to evaluate, of {', '.join(PROTOCOLS)}: one pass, 20 starts, 12 boxes"
    )
    annotations: str | None = static(None, MEANINGS["annotations"])
    sre_unscale: bool = static(False, MEANINGS["sre_unscale"])

    def validate(self) -> "Experiment":
        """Return the experiment itself when every field is in range.

        Raises:
            InputError: names the field, its value and what is allowed.
        """
        check(self)
        self.tracker.validate()
        if self.lanes < 1:
            raise SettingError("lanes", f"{self.lanes} must be at least 1")
        if self.lanes > 1 and self.tracker.dft == "fft":
            raise SettingError(
                "lanes", "with dft=fft each target has a grid of its own; leave one of them out"
            )
        if self.frame_memory is not None and not 0 <= self.frame_memory < math.inf:  # NaN too
            raise SettingError("frame_memory", f"{self.frame_memory} must be finite, at least 0")
        if self.own is not None:
            self.own.validate()
            if self.method != METHOD:
                raise SettingError("video", f"the tracker {self.method} runs on benchmarks only")
            if self.synthetic or self.data_dir or self.sequences or self.responses:
                raise SettingError(
                    "video",
                    f"{self.own.video} is tracked by itself: leave out data_dir, sequences and "
                    "responses, or take the configuration video",
                )
        if self.method != METHOD:
            ours = [flag_of(name) for name in self.changes]
            ours += [name for name in ("weights", "responses") if getattr(self, name)]
            ours += ["lanes"] if self.lanes > 1 else []
            ours += ["decode"] if self.decode != DECODE[0] else []
            if ours:
                raise SettingError(ours[0], f"the tracker {self.method} has none; leave it out")
        self._validate_decode()
        for name in self.protocols:
            if name not in PROTOCOLS:
                text = f"no {name!r}{near(name, PROTOCOLS)}; {listed(PROTOCOLS)}"
                raise SettingError("protocols", text)
        if not self.protocols or len(set(self.protocols)) < len(self.protocols):
            raise SettingError("protocols", "name at least one, and each once")
        return self

    def _validate_decode(self) -> None:
        if self.decode not in DECODE:
            text = f"no {self.decode!r}{near(self.decode, DECODE)}; {listed(DECODE)}"
            raise SettingError("decode", text)
        if self.decode == DECODE[0]:
            return
        if self.own is not None:
            raise SettingError("decode", "the host decodes one's own videos; leave it out")
        if self.lanes == 1:
            raise SettingError("decode", "device decodes for lanes; set lanes to 2 or more")
        for name in ("overlay", "responses"):
            if getattr(self, name):
                raise SettingError(
                    "decode",
                    f"device decodes for lanes, and runs with {name} are tracked one by one; "
                    "leave one of them out",
                )

    @property
    def frame_bytes(self) -> int | None:
        """The bytes of ``frame_memory``; None where it is not set."""
        return None if self.frame_memory is None else int(self.frame_memory * 2**30)

    @property
    def changes(self) -> dict[str, Any]:
        """The fields in which the tracker is not that of the configuration, in their order."""
        return self._differences(self.base or self.tracker)

    def _differences(self, base: TrackerConfig) -> dict[str, Any]:
        own = ((f.name, getattr(self.tracker, f.name)) for f in fields(TrackerConfig))
        return {name: value for name, value in own if value != getattr(base, name)}

    @property
    def label(self) -> str:
        """The configuration's name and what is changed in it: ``hcft,gamma=1+0.5+0.25,eta=0.02``.

        The same settings have the same label, whoever made them and in whatever order. Where the
        tracker of another configuration has taken over its name stands for it: ``video,lite0``.
        """
        if self.method != METHOD:
            return self.method
        base, taken = self.base or self.tracker, []
        if self.otherwise in config_files.available():
            other, whole = load(self.otherwise).tracker, config_files.available()[self.otherwise]
            if self.tracker.backbone == other.backbone != base.backbone:
                base = replace(base, **{name: getattr(other, name) for name in whole})
                taken = [self.otherwise]
        changes = self._differences(base).items()
        changed = (f"{flag_of(name)}={_shown(value)}" for name, value in changes)
        decoded = [f"decode={self.decode}"] if self.decode != DECODE[0] else []
        return ",".join([self.name, *taken, *changed, *decoded])

    def settings(self) -> dict[str, Any]:
        """Return all that is set, as plain data; of a baseline, ``tracker`` is its name alone."""
        values = dataclasses.asdict(settled(self))
        del values["base"], values["otherwise"]
        if self.method != METHOD:
            values["tracker"] = self.method
        return values

    def digest(self, weights_digest: str) -> str:
        """Return a digest of all settings that boxes depend on, with the network's weights."""
        tracker = self.settings()["tracker"]
        if self.method == METHOD:
            for field_ in fields(TrackerConfig):
                if field_.metadata.get("later") and tracker[field_.name] == field_.default:
                    del tracker[field_.name]
        parts = {
            "tracker": tracker,
            "synthetic": self.synthetic and dataclasses.asdict(settled(self.synthetic)),
            "weights": weights_digest,
        }
        if self.decode != DECODE[0]:  # folders from before there was a choice have their names
            parts["decode"] = self.decode
        text = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def folder(self, weights_digest: str) -> str:
        """Return ``<label>-<hash>``, where the hash is the beginning of ``digest``.

        The end of a long label is left out, and what not every file system takes is replaced.
        """
        label = re.sub(r"[^\w .,+=-]", "_", self.label, flags=re.ASCII)[:_LONGEST_LABEL]
        return f"{label}-{self.digest(weights_digest)[:8]}"


def folders(
    experiments: Iterable[tuple[Experiment, str]], holding: str = "summary.json"
) -> list[Path]:
    """Return where the results of experiments are, or will be, below the OUTPUT_DIR of each.

    Equal settings find each other's results, whatever the configuration is called: results are in
    the folder of the experiment's own label if it has any; else in the first one, by name, that has
    results and the same hash; else in that of the own label, which is yet to be made. A line on
    stderr tells of a folder of another label. No two experiments of different labels get one
    folder, so that a sweep whose experiments are equal does not write a file twice at once.

    Args:
        experiments: Each one with the digest of its weights.
        holding: The file or folder by which results are known.
    """
    found = [Path(e.output_dir, e.folder(digest)) for e, digest in experiments]
    taken = set(found)
    for i, own in enumerate(found):
        if not files.exists(own / holding):
            of_hash = own.parent.glob(f"*-{own.name.rpartition('-')[2]}/{holding}")
            other = min({path.parent for path in of_hash} - taken, default=None)
            if other is not None:
                print(f"note: equal settings have results already: {other}", file=sys.stderr)
                found[i] = other
                taken.add(other)
    return found


def load(name: str) -> Experiment:
    """Return the experiment of a configuration's name (``otb``) or Python file (``my/config.py``).

    Raises:
        InputError: no such configuration (near ones are listed), or the file has no
            ``get_config()`` that returns an ``Experiment``.
    """
    shipped = config_files.available()
    path = config_files.own_file(name, "config", shipped)
    if path is None:
        experiment = override(Experiment(name), shipped[name])
    else:
        experiment = config_files.execute(path, "get_config")
        if not isinstance(experiment, Experiment):
            raise InputError(f"{path}: get_config() must return an Experiment")
        experiment = replace(of_file(experiment, path), name=path.stem)
    return replace(experiment, base=experiment.tracker)


def of_file(experiment: Experiment, path: Path) -> Experiment:
    """Return an experiment of a user's file, with tuples for lists and Python's own numbers.

    Args:
        experiment: What a function of the file has returned.
        path: The file, for messages.

    Raises:
        InputError: a field has another type than is declared.
    """
    experiment = settled(experiment)
    try:
        check(experiment)
    except SettingError as error:
        raise InputError(f"{path}: {error}") from error
    return experiment


def derive(name: str, **changes: Any) -> Experiment:
    """Return the experiment ``name`` with some of the tracker's or its own fields changed.

    Raises:
        InputError: as ``load`` and ``override``, by whose rules the ``changes`` are made.
    """
    return override(load(name), changes)


def override(experiment: Experiment, changes: Mapping[str, Any]) -> Experiment:
    """Return ``experiment`` with fields, of the tracker or its own, replaced by name.

    Numbers in ``changes`` may be of any type, or text, and tuples any list: equal settings are
    equal afterwards. ``gamma="adaptive"`` stands for ``weighting="adaptive"``.

    Raises:
        InputError: there is no such field, or a value is no number where the field is one.
    """
    if not isinstance(experiment, Experiment):
        raise SettingError("experiment", f"{type(experiment).__name__} is not an Experiment")
    check(experiment)
    known = {name for owner in (TrackerConfig, OwnVideo, Experiment) for name in _names(owner)}
    for name in changes:
        if name not in known - {"tracker", "base"}:
            raise SettingError(name, f"no such field{near(name, known)}")
    parts: dict[type, dict[str, Any]] = {TrackerConfig: {}, OwnVideo: {}, Experiment: {}}
    for name, value in changes.items():
        given = list(value) if isinstance(value, list | tuple) else [value]
        if name == "gamma" and [item for item in given if isinstance(item, str)] == ["adaptive"]:
            name, value = "weighting", "adaptive"  # gamma itself is what it starts from
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
    """Return the flag that sets a field of the tracker's: ``lambda`` for ``lambda_``."""
    metadata = next(f.metadata for f in fields(TrackerConfig) if f.name == field)
    return str(metadata.get("flag", field))


def _names(owner: type) -> set[str]:
    return {f.name for f in fields(owner)}


def _typed(name: str, value: Any, owner: type) -> Any:
    kind = typing.get_type_hints(owner)[name]
    try:
        if kind is float or (kind == float | None and value is not None):
            return float(value)
        if kind == tuple[float, ...]:
            return tuple(float(v) for v in value)
        if kind == float | tuple[float, ...]:
            several = tuple(float(v) for v in (value if np.iterable(value) else [value]))
            return several[0] if len(several) == 1 else several
    except (TypeError, ValueError, OverflowError):
        what = "a number" if kind in (float, float | None) else "a list of numbers"
        flag = flag_of(name) if owner is TrackerConfig else name
        raise SettingError(flag, f"{_shown(value, ',')[:60]!r} is not {what}") from None
    return tuple(value) if isinstance(value, list) else value


def _shown(value: Any, separator: str = "+") -> str:
    """Return a value as names show it: 0.02, true, 1+0.5+0.02."""
    if isinstance(value, tuple | list):
        return separator.join(map(_shown, value))
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
