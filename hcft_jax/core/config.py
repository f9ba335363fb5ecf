"""The tracker's constants: the paper's symbols, the authors' values.

``TrackerConfig`` is a frozen dataclass and a pytree: gamma, eta, lambda, sigma, the radius and the
temperature are its leaves, hence traced (a new value needs no new compilation and can be
differentiated or batched); everything else is static.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

import jax

from hcft_jax.backbones import registry
from hcft_jax.backbones.backbone import PRECISIONS
from hcft_jax.core.sampling import LEAST_GRID
from hcft_jax.util.errors import InputError
from hcft_jax.util.names import listed, near


def traced(default: Any, text: str, **more: Any) -> Any:
    """Return a field that is a leaf of the pytree: a new value needs no new executable."""
    return field(default=default, metadata={"help": text, "traced": True, **more})


def static(default: Any, text: str, **more: Any) -> Any:
    """Return a field that is part of the executable."""
    return field(default=default, metadata={"help": text, "traced": False, **more})


@dataclass(frozen=True)
class TrackerConfig:
    """The method's choices and constants: the paper's equations, the authors' values."""

    backbone: str = static(
        registry.DEFAULT, f"the network whose maps are tracked on: {', '.join(registry.BACKBONES)}"
    )
    layers: tuple[str, ...] = static(
        ("conv5_4", "conv4_4", "conv3_4"), "the backbone's layers, after their ReLU, in any order"
    )
    gamma: tuple[float, ...] = traced(
        (1.0, 0.5, 0.02), "weight of each layer's response, in the order of --layers (Eq. 5)"
    )
    eta: float | tuple[float, ...] = traced(
        0.01, "learning rate in [0, 1] (Eq. 6): one, or one a layer in the order of --layers"
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
        0.02, "of --search=soft, > 0: cells count by the softmax of response / temperature"
    )
    hypercolumn: bool = static(
        False, "one filter on the concatenated layers; gamma has no response to weigh then"
    )
    input_size: int | None = static(
        None, "side of the network's input in pixels; by default that of its training"
    )
    grid: int | None = static(
        None,
        "cells a side of every target's response map: one grid for all, an approximation; by "
        "default a cell is 4 px and each target has its own",
    )
    precision: str = static(
        "float32",
        "of the network: float32 in full; tf32 where the device has it (else float32); bfloat16",
        choices=tuple(PRECISIONS),
    )
    dft: str = static(
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


def _field(name: str) -> Any:
    return next(f for f in fields(TrackerConfig) if f.name == name)
