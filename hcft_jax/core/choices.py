"""The tracker's choices and constants: the paper's symbols, the authors' values.

Commands make their flags of these fields, also to list them. So this module loads no JAX; the
pytree is made in ``config``, which is what everybody else imports.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from hcft_jax.backbones import registry
from hcft_jax.util.errors import SettingError
from hcft_jax.util.fields import check as check_types
from hcft_jax.util.names import listed, near

if TYPE_CHECKING:
    from hcft_jax.backbones.backbone import Backbone, Params
    from hcft_jax.core.sampling import Layout

LEAST, LARGEST = 1e-15, 1e15
"""The range of constants above 0: in float32 their squares, and sums of these, are numbers, too."""
MOST_PADDING = 100.0  # search window, in target sizes
MOST_MARGIN = 1e4  # pixels
MOST_CELLS = 2048  # cells per side of a response map, and search windows of a frame
MOST_INPUT = 8192  # pixels per side of a network's input


def traced(default: Any, text: str, **more: Any) -> Any:
    """Return a field that is a leaf of the pytree: a new value needs no new executable.

    ``later`` marks a field that came after results had been named: with its default, which leaves
    the boxes as they were, it is not part of the name.
    """
    return field(default=default, metadata={"help": text, "traced": True, **more})


def static(default: Any, text: str, **more: Any) -> Any:
    """Return a field that is part of the executable."""
    return field(default=default, metadata={"help": text, "traced": False, **more})


@dataclass(frozen=True)
class TrackerConfig:
    """The method's choices and constants: the paper's equations, the authors' values."""

    backbone: str = static(registry.DEFAULT, registry.MEANING)
    layers: tuple[str, ...] = static(
        ("conv5_4", "conv4_4", "conv3_4"), "the backbone's layers, after their ReLU, in any order"
    )
    gamma: tuple[float, ...] = traced(
        (1.0, 0.5, 0.02),
        "weight of each layer's response, in the order of the layers (Eq. 5); or adaptive",
    )
    eta: float | tuple[float, ...] = traced(
        0.01, "learning rate in [0, 1] (Eq. 6): one value, or one per layer in their order"
    )
    lambda_: float = traced(1e-4, "regularisation, > 0 (Eq. 3)", flag="lambda")
    sigma: float = traced(0.1, "label width: times sqrt(w h) / cell, in cells")
    radius: float = traced(
        8.0, "r of Eq. 5 in cells: how far a finer layer may leave the coarser one's maximum"
    )
    update: str = static(
        "paper",
        "paper: numerator and denominator averaged (Eq. 6); cf2: the authors' program",
        choices=("paper", "cf2"),
    )
    search: str = static(
        "paper",
        "paper: coarse to fine within the radius (Eq. 5); sum: the whole weighted sum; soft: as "
        "paper, and then the mean position around the peak, which is differentiable",
        choices=("paper", "sum", "soft"),
    )
    temperature: float = traced(
        0.02, "of the soft search, > 0: cells count by the softmax of response / temperature"
    )
    normalized: bool = static(
        False, "each layer's response divided by its own maximum before it is weighted", later=True
    )
    scale: str = static(
        "none",
        "none: the box keeps its size; dsst: a correlation filter over 33 scales follows it; cnn: "
        "the search window is looked at in a few sizes, as SAMF and SiamFC do",
        choices=("none", "dsst", "cnn"),
        later=True,
    )
    scales: int = static(5, "sizes of scale=cnn, 2 % apart: odd, 3 to 7", later=True)
    scale_eta: float = traced(0.01, "learning rate of the scale filter, in [0, 1]", later=True)
    scale_margin: float = static(
        8.0, "pixels that are added to a target's sides before its scales are sampled", later=True
    )
    padding: float | None = static(
        None, "search window, in target sizes; by default the authors' rule", later=True
    )
    halved_from: float | None = static(
        None,
        "sqrt(w h) of a target in pixels from which images are halved, as KCF does",
        later=True,
    )
    kernel: str = static(
        "linear",
        "of the correlation: linear; gaussian, as KCF has it, or csk, the same but for how it is "
        "regularised; the latter two need update=cf2",
        choices=("linear", "gaussian", "csk"),
        later=True,
    )
    bandwidth: float = traced(0.5, "of the gaussian kernel, > 0", later=True)
    window: str = static(
        "first",
        "size of the search window: first, as in the first frame, or scaled, as the target is",
        choices=("first", "scaled"),
        later=True,
    )
    weighting: str = static(
        "fixed",
        "of the layers: fixed, as gamma says; adaptive, gamma times how well each layer has served",
        choices=("fixed", "adaptive"),
        later=True,
    )
    redetect: bool = static(
        False,
        "remember the target: learn nothing while it is lost, and look for it in the whole image",
        later=True,
    )
    looks: int = static(
        16, "search windows that are looked at in each frame while a target is lost", later=True
    )
    doubted_below: float | None = traced(
        None,
        "confidence below which a target that is remembered is doubted; by default the backbone's",
        later=True,
    )
    found_above: float | None = traced(
        None, "and from which it is found; by default the backbone's", later=True
    )
    memory_eta: float = traced(0.01, "learning rate of the memory, in [0, 1]", later=True)
    hypercolumn: bool = static(
        False, "one filter on the concatenated layers; gamma then has no response to weigh"
    )
    input_size: int | None = static(
        None, "side of the network's input in pixels; by default that of its training"
    )
    grid: int | None = static(
        None,
        "cells per side of every target's response map: one grid for all, an approximation; by "
        "default a cell is 4 px and each target has a grid of its own",
    )
    precision: str = static(
        "float32",
        "of the network's products: full float32; bfloat16x3, each as three products of bfloat16 "
        "parts, near float32; tf32 where the device has it (else float32); bfloat16",
        choices=("float32", "bfloat16x3", "tf32", "bfloat16"),
    )
    dft: str = static(
        "matmul",
        "matmul: grid, window and DFT as one small matrix per axis; fft: one after the other",
        choices=("matmul", "fft"),
    )

    @property
    def network(self) -> "Backbone":
        """The backbone whose maps are tracked on."""
        return registry.get(self.backbone)

    @property
    def deepest_first(self) -> tuple[str, ...]:
        """The layers in the order of the search (Eq. 5), whatever order they were given in."""
        return tuple(sorted(self.layers, key=self.network.layers.index, reverse=True))

    @property
    def response_names(self) -> tuple[str, ...]:
        """What each filter and response map comes from: the layers, deepest first."""
        return ("hypercolumn",) if self.hypercolumn else self.deepest_first

    @property
    def response_weights(self) -> tuple[float, ...]:
        """Eq. 5's gamma, in the order of ``response_names``; a hypercolumn has nothing to weigh."""
        return (1.0,) if self.hypercolumn else self._sorted(self.gamma)

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """Eq. 6's eta of each filter, in the order of ``response_names``."""
        if isinstance(self.eta, tuple):
            return self._sorted(self.eta)
        return (self.eta,) * len(self.response_names)

    @property
    def layout(self) -> "Layout":
        """What this says about the sizes of a target's track."""
        from hcft_jax.core.sampling import CELL, Layout

        return Layout(
            grid=self.grid,
            padding=self.padding,
            halved_from=self.halved_from,
            cell=self.network.cells.get(self.layers[0], CELL),
            own=bool(self.network.cells),
            margin=self.scale_margin if self.scale == "dsst" else None,
        )

    def input_side(self, params: "Params") -> int:
        """Return the side of the network's input in pixels: as set, or as it was trained with."""
        return self.input_size or self.network.input_size(params)

    def input_shape(self, params: "Params") -> tuple[int, int] | None:
        """Return (height, width) of the network's input; None of a backbone without a network."""
        return None if self.network.cells else (self.input_side(params),) * 2

    def _sorted(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """Put values that are in the order of ``layers`` into that of ``deepest_first``."""
        by_name = dict(zip(self.layers, values, strict=True))
        return tuple(by_name[name] for name in self.deepest_first)

    def validate(self) -> "TrackerConfig":
        """Return the configuration itself if every field is in its range.

        Raises:
            InputError: a ``SettingError`` that names the field, its value and what is allowed.
        """
        from hcft_jax.core.sampling import LEAST_GRID

        check_types(self)
        network = self.network
        if not self.layers:
            raise SettingError("layers", "name at least one layer")
        for name in self.layers:
            if name not in network.layers:
                raise SettingError(
                    "layers",
                    f"no layer {name!r} in {network.title}{near(name, network.layers)}; "
                    f"{listed(network.layers)}",
                )
        if len(set(self.layers)) < len(self.layers):
            raise SettingError("layers", f"{','.join(self.layers)} names a layer twice")
        if len(self.gamma) != len(self.layers):
            raise SettingError(
                "gamma",
                f"{len(self.gamma)} values for {len(self.layers)} layers "
                f"({','.join(self.layers)}): give one value per layer, in that order",
            )
        for field_ in fields(self):
            choices = field_.metadata.get("choices")
            if choices and getattr(self, field_.name) not in choices:
                value = getattr(self, field_.name)
                raise SettingError(field_.name, f"{value!r} is not one of {choices}")
        _in_range("gamma", self.gamma, 0.0, math.inf)
        known = not any(map(_of_jax, self.gamma))
        if known and not self.hypercolumn and max(self.gamma) < LEAST:
            raise SettingError(
                "gamma", f"no layer has a weight of at least {LEAST:g}, so nothing would be found"
            )
        rates = self.eta if isinstance(self.eta, tuple) else (self.eta,)
        if isinstance(self.eta, tuple) and (self.hypercolumn or len(rates) != len(self.layers)):
            raise SettingError(
                "eta",
                f"{len(rates)} values for {len(self.layers)} layers: give one value, or one per "
                "layer (a hypercolumn has one filter, hence one value)",
            )
        _in_range("eta", rates, 0.0, 1.0)
        _in_range("temperature", (self.temperature,), 0.0, math.inf, above=True)
        _in_range("lambda", (self.lambda_,), 0.0, math.inf, above=True)
        _in_range("sigma", (self.sigma,), 0.0, math.inf, above=True)
        _in_range("radius", (self.radius,), 0.0, math.inf)
        _in_range("scale_eta", (self.scale_eta,), 0.0, 1.0)
        _in_range("scale_margin", (self.scale_margin,), 0.0, MOST_MARGIN)
        _in_range("bandwidth", (self.bandwidth,), 0.0, math.inf, above=True)
        if self.padding is not None:
            _in_range("padding", (self.padding,), 1.0, MOST_PADDING, above=True)
        if self.halved_from is not None:
            _in_range("halved_from", (self.halved_from,), 0.0, math.inf, above=True)
        for name in ("doubted_below", "found_above", "memory_eta"):
            if getattr(self, name) is not None:
                _in_range(name, (getattr(self, name),), 0.0, 1.0)
        if not isinstance(self.looks, int) or self.looks < 1:
            raise SettingError("looks", f"{self.looks!r} must be at least 1")
        for name, most in (("looks", MOST_CELLS), ("grid", MOST_CELLS), ("input_size", MOST_INPUT)):
            if (getattr(self, name) or 0) > most:
                raise SettingError(name, f"{getattr(self, name)!r} must be at most {most}")
        if self.kernel != "linear" and self.update != "cf2":
            text = f"{self.kernel} averages alpha, not a numerator; set update=cf2"
            raise SettingError("kernel", text)
        self._validate_own()
        if self.scales not in (3, 5, 7):
            raise SettingError("scales", f"{self.scales!r} is not one of 3, 5, 7")
        if self.window == "scaled" and self.scale == "none":
            raise SettingError("window", "scaled needs a size that changes; set scale, too")
        if self.grid is not None and self.grid < LEAST_GRID:
            raise SettingError("grid", f"{self.grid} must be at least {LEAST_GRID} cells")
        deepest = self.deepest_first[0]
        least = network.least_input(deepest)
        if self.input_size is not None and self.input_size < least:
            raise SettingError(
                "input_size",
                f"{self.input_size} leaves a map of one cell of {deepest}, which cannot say where "
                f"the target is; give at least {least}",
            )
        return self

    def _validate_own(self) -> None:
        """Check what only a backbone without a network needs, and what only one with it can."""
        cells = {self.network.cells.get(name) for name in self.layers}
        if len(cells) > 1:
            raise SettingError("layers", f"{','.join(self.layers)} have cells of several sizes")
        if self.network.cells and (self.grid or self.input_size):
            which = "grid" if self.grid else "input_size"
            raise SettingError(which, f"{self.backbone} has the window's own pixels; leave it out")
        if self.halved_from is not None and not self.network.cells:
            raise SettingError("halved_from", f"{self.backbone} sees a square; leave it out")


def _in_range(
    name: str, values: Iterable[Any], low: float, high: float, above: bool = False
) -> None:
    """Check values as they are used: in float32, whose squares and products must be numbers."""
    for value in values:
        if _of_jax(value):
            continue  # inside a transformation: the values are the caller's, not a user's
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            raise SettingError(name, f"{value!r} is not a number that can be used") from None
        if not (low <= number <= high and math.isfinite(number)) or (above and number == low):
            bound = f"above {low:g}" if above else f"at least {low:g}"
            upper = f" and at most {high:g}" if math.isfinite(high) else ""
            raise SettingError(name, f"{value!r} must be finite, {bound}{upper}")
        if number > LARGEST or (above and number - low < LEAST):
            problem = f"{value!r} is too {'large' if number > LARGEST else 'small'} for float32"
            raise SettingError(name, f"{problem}: give {low + LEAST:g} to {LARGEST:g}")


def _of_jax(value: Any) -> bool:
    """Return whether a value is an array of JAX, or stands for one."""
    import jax

    return isinstance(value, jax.core.Tracer | jax.Array)
