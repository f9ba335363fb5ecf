"""What can be set: the tracker's constants (the paper's symbols) and one experiment around them.

A configuration is a frozen dataclass made by ``get_config()`` of a small Python file, ``configs/``
or one's own; the command line's flags are generated from the same fields. ``TrackerConfig`` is
also a pytree: gamma, eta, lambda, sigma and the radius are its leaves, hence traced (a new value
needs no new compilation and can be differentiated or batched); everything else is static.
"""

import dataclasses
import hashlib
import json
import math
import re
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import jax
import numpy as np

from hcft_jax import config_files
from hcft_jax.backbones import registry
from hcft_jax.backbones.backbone import PRECISIONS
from hcft_jax.config_files import listed, near
from hcft_jax.data import datasets
from hcft_jax.data.synthetic import Synthetic
from hcft_jax.errors import InputError
from hcft_jax.evaluation.protocols import PROTOCOLS
from hcft_jax.sampling import LEAST_GRID

METHOD = "hcft"  # the tracker that is ours; others are baselines
_LONGEST_LABEL = 150  # characters in a folder's name; file systems allow 255 bytes


def _traced(default: Any, text: str, **more: Any) -> Any:
    return field(default=default, metadata={"help": text, "traced": True, **more})


def _static(default: Any, text: str, **more: Any) -> Any:
    return field(default=default, metadata={"help": text, "traced": False, **more})


@dataclass(frozen=True)
class TrackerConfig:
    """The method's choices and constants: the paper's equations, the authors' values."""

    backbone: str = _static(
        registry.DEFAULT, f"the network whose maps are tracked on: {', '.join(registry.BACKBONES)}"
    )
    layers: tuple[str, ...] = _static(
        ("conv5_4", "conv4_4", "conv3_4"), "the backbone's layers, after their ReLU, in any order"
    )
    gamma: tuple[float, ...] = _traced(
        (1.0, 0.5, 0.02), "weight of each layer's response, in the order of --layers (Eq. 5)"
    )
    eta: float | tuple[float, ...] = _traced(
        0.01, "learning rate in [0, 1] (Eq. 6): one, or one a layer in the order of --layers"
    )
    lambda_: float = _traced(1e-4, "regularisation, > 0 (Eq. 3)", flag="lambda")
    sigma: float = _traced(0.1, "label width: times sqrt(w h) / cell, in cells")
    radius: float = _traced(
        8.0, "r of Eq. 5 in cells: how far a finer layer may leave the coarser one's maximum"
    )
    update: str = _static(
        "paper",
        "paper: numerator and denominator averaged (Eq. 6); cf2: the authors' program",
        choices=("paper", "cf2"),
    )
    search: str = _static(
        "paper",
        "paper: coarse to fine within the radius (Eq. 5); sum: the whole weighted sum; soft: as "
        "paper, and then the mean position around the peak, which is differentiable",
        choices=("paper", "sum", "soft"),
    )
    temperature: float = _traced(
        0.02, "of --search=soft, > 0: cells count by the softmax of response / temperature"
    )
    hypercolumn: bool = _static(
        False, "one filter on the concatenated layers; gamma has no response to weigh then"
    )
    input_size: int | None = _static(
        None, "side of the network's input in pixels; by default that of its training"
    )
    grid: int | None = _static(
        None,
        "cells a side of every target's response map: one grid for all, an approximation; by "
        "default a cell is 4 px and each target has its own",
    )
    precision: str = _static(
        "float32",
        "of the network: float32 in full; tf32 where the device has it (else float32); bfloat16",
        choices=tuple(PRECISIONS),
    )
    dft: str = _static(
        "matmul",
        "matmul: grid, window and DFT as one small matrix an axis; fft: one after the other",
        choices=("matmul", "fft"),
    )

    def validate(self) -> "TrackerConfig":
        """Itself, when every field is in range.

        Raises:
            InputError: names the flag, its value and what is allowed.
        """
        network = registry.get(self.backbone)
        if not self.layers:
            raise InputError("--layers: name at least one layer")
        for name in self.layers:
            if name not in network.layers:
                raise InputError(
                    f"--layers: no layer {name!r} in {network.title}{near(name, network.layers)}; "
                    f"{listed(network.layers)}"
                )
        if len(set(self.layers)) < len(self.layers):
            raise InputError(f"--layers: {','.join(self.layers)} names a layer twice")
        if len(self.gamma) != len(self.layers):
            raise InputError(
                f"--gamma: {len(self.gamma)} values for {len(self.layers)} layers "
                f"({','.join(self.layers)}): give one a layer, in that order"
            )
        for name in ("update", "search", "precision", "dft"):
            choices = _field(name).metadata["choices"]
            if getattr(self, name) not in choices:
                raise InputError(f"--{name}: {getattr(self, name)!r} is not one of {choices}")
        self._in_range("gamma", self.gamma, 0.0, math.inf)
        rates = self.eta if isinstance(self.eta, tuple) else (self.eta,)
        if isinstance(self.eta, tuple) and (self.hypercolumn or len(rates) != len(self.layers)):
            raise InputError(
                f"--eta: {len(rates)} values for {len(self.layers)} layers: give one, or one a "
                "layer (a hypercolumn has one filter, hence one)"
            )
        self._in_range("eta", rates, 0.0, 1.0)
        self._in_range("temperature", (self.temperature,), 0.0, math.inf, above=True)
        self._in_range("lambda", (self.lambda_,), 0.0, math.inf, above=True)
        self._in_range("sigma", (self.sigma,), 0.0, math.inf, above=True)
        self._in_range("radius", (self.radius,), 0.0, math.inf)
        if self.grid is not None and self.grid < LEAST_GRID:
            raise InputError(f"--grid: {self.grid} must be at least {LEAST_GRID} cells")
        deepest = max(self.layers, key=network.layers.index)
        least = network.least_input(deepest)
        if self.input_size is not None and self.input_size < least:
            raise InputError(
                f"--input_size: {self.input_size} leaves a map of one cell of {deepest}, which "
                f"cannot say where the target is; at least {least}"
            )
        return self

    @staticmethod
    def _in_range(
        flag: str, values: Iterable[Any], low: float, high: float, above: bool = False
    ) -> None:
        for value in values:
            if isinstance(value, jax.core.Tracer | jax.Array):
                continue  # inside a transformation: the caller's values, not a flag's
            if not (low <= value <= high and math.isfinite(value)) or (above and value == low):
                bound = f"above {low:g}" if above else f"at least {low:g}"
                upper = f" and at most {high:g}" if math.isfinite(high) else ""
                raise InputError(f"--{flag}: {value!r} must be finite, {bound}{upper}")


jax.tree_util.register_dataclass(
    TrackerConfig,
    data_fields=[f.name for f in fields(TrackerConfig) if f.metadata["traced"]],
    meta_fields=[f.name for f in fields(TrackerConfig) if not f.metadata["traced"]],
)


@dataclass(frozen=True)
class OwnVideo:
    """A video of one's own to track in, instead of the sequences of a benchmark.

    Boxes are x, y, w, h in the first frame, in pixels counted from 0.
    """

    video: str | None = _static(
        None, "track in this: a video file, a folder of images, a camera (its number) or a URL"
    )
    box: tuple[float, ...] = _static((), "x,y,w,h of the target in the first frame, from 0")
    boxes: str | None = _static(None, "a file with such a row for each of several targets")
    select: bool = _static(False, "draw the box in a window")
    show: bool = _static(False, "watch in a window; q or Esc ends it")
    layers_view: bool = _static(
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
    tracker: TrackerConfig = TrackerConfig()
    base: TrackerConfig | None = None  # as the configuration has it; None: ``tracker``
    synthetic: Synthetic | None = None  # options of a drawn sequence; None: a folder
    own: OwnVideo | None = None  # a video of one's own; None: a folder, or what is drawn
    otherwise: str | None = None  # backbone that takes over where there are no weights yet
    method: str = _static(
        METHOD,
        "what tracks: hcft, opencv:NAME (MIL, KCF, CSRT, MOSSE, TLD, MedianFlow), or "
        "got10k:module:Class, a Tracker of the GOT-10k toolkit",
        flag="tracker",
    )
    data_dir: str | None = _static(None, "folder of sequences")
    dataset: str = _static(
        datasets.AUTO,
        f"layout of DATA_DIR: {', '.join(datasets.DATASETS)}, or what it looks like",
    )
    sequences: tuple[str, ...] = _static((), "names to track; none: all that are found")
    weights: str | None = _static(
        None, "network weights file (see hcft_jax.backbones.weights), or 'random'"
    )
    output_dir: str = _static("results", "results go to OUTPUT_DIR/<label>-<hash>/")
    overlay: bool = _static(False, "also write an .mp4 per run: boxes and response maps")
    responses: bool = _static(False, "also keep the response maps of every frame, a byte a cell")
    lanes: int = _static(
        1, "runs tracked at once in one executable; their boxes are those of one after the other"
    )
    protocols: tuple[str, ...] = _static(
        ("ope",), f"what to evaluate, of {', '.join(PROTOCOLS)}: one pass, 20 starts, 12 boxes"
    )
    annotations: str | None = _static(
        None, "folder with initOmit/<Name>.txt, frames that TRE must not start in"
    )
    sre_unscale: bool = _static(
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
    return str(_field(field).metadata.get("flag", field))


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


def _field(name: str) -> "dataclasses.Field[Any]":
    return next(f for f in fields(TrackerConfig) if f.name == name)
