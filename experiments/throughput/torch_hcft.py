"""BENCHMARK CODE, no part of the tracker: HCFT once more in PyTorch, as the outside competitor.

It takes the same steps with the same numbers: crop, imResample, VGG-19, resizing of the maps to the
grid, Hann window, ``rfft2``, filters that are trained, respond and learn (Eq. 2 to 4, 6), the
coarse-to-fine search (Eq. 5), two passes of the network per frame. It knows only
``update="paper"``, ``search="paper"`` and one filter per layer. There are two:

* ``Plain`` is the direct way to write it: OpenCV resizes the crop and ``interpolate`` the maps, in
  NCHW and ``no_grad``;
* ``Tuned`` has channels last, ``inference_mode``, one matrix per axis for resizing and window, and
  ``torch.compile`` for the network where that is faster (tried when it is built).

On a GPU each can have its convolutions in float32 or in TF32, which PyTorch takes unless it is told
otherwise; all else is float32. Its switches are global: they are set around each call and put back.

PyTorch is an extra (``pip install 'hcft_jax[torch]'``); without it ``build`` raises ImportError.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hcft_jax.backbones import vgg
from hcft_jax.backbones.backbone import Params
from hcft_jax.core import resize
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.sampling import CELL
from hcft_jax.core.spectrum import distances
from hcft_jax.core.target import place
from hcft_jax.data import frames
from hcft_jax.data.sequence import FrameSource

Array = npt.NDArray[Any]
_TRIALS = 5  # timed calls of the compiled and of the uncompiled network


_SWITCH = {"float32": "ieee", "tf32": "tf32"}  # PyTorch's names of them


def precisions() -> tuple[str, ...]:
    """Return the precisions of convolutions that differ on this machine.

    Raises:
        ImportError: PyTorch is not installed.
    """
    import torch

    return tuple(_SWITCH) if torch.cuda.is_available() else ("float32",)


def build(
    params: Params, config: TrackerConfig, *, tuned: bool, precision: str = "float32"
) -> "Plain":
    """Build the tracker on a GPU where PyTorch has one, else on all cores.

    Args:
        params: VGG-19's parameters, on the host, not prepared.
        config: the tracker's constants; its precision has no effect.
        tuned: ``Tuned`` or ``Plain``.
        precision: of the network's convolutions, float32 or tf32.

    Raises:
        ImportError: PyTorch is not installed.
        ValueError: the configuration has a setting that it does not know.
    """
    import torch

    known = (config.update, config.search, config.hypercolumn, config.backbone, config.grid)
    if known != ("paper", "paper", False, "vgg19", None):
        raise ValueError("the PyTorch competitor is the paper's tracker on VGG-19, nothing else")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    return (Tuned if tuned else Plain)(params, config, precision)


@contextlib.contextmanager
def _switched(precision: str, *, tuned: bool) -> Iterator[None]:
    """Have PyTorch compute as a row claims, and put its switches back afterwards.

    Args:
        precision: of convolutions. Matrix products are float32 by default, and a set switch of
            theirs would make ``torch.compile`` fail (PyTorch 2.9).
        tuned: whether cuDNN tries its algorithms.
    """
    import torch

    cudnn = torch.backends.cudnn
    before = cudnn.conv.fp32_precision, cudnn.benchmark
    try:
        cudnn.conv.fp32_precision, cudnn.benchmark = _SWITCH[precision], tuned
        yield
    finally:
        cudnn.conv.fp32_precision, cudnn.benchmark = before


class TorchNetwork:
    """VGG-19 up to the deepest of the given layers."""

    def __init__(self, params: Params, layers: Sequence[str], device: str, layout: Any) -> None:
        import torch

        def tensor(values: Any) -> Any:
            return torch.from_numpy(np.array(values, np.float32)).to(device)

        normalization = params["normalization"]
        self._mean, self._std = (
            tensor(normalization[name]).reshape(-1, 1, 1)
            if np.ndim(normalization[name]) == 1
            else tensor(normalization[name]).permute(2, 0, 1)
            for name in ("mean", "std")
        )
        names = vgg.LAYERS[: max(map(vgg.LAYERS.index, layers)) + 1]
        self._layers = [
            (
                name,
                tensor(np.transpose(params[name]["kernel"], (3, 2, 0, 1))).contiguous(
                    memory_format=layout
                ),
                tensor(params[name]["bias"]),
                name in layers,
            )
            for name in names
        ]

    def __call__(self, x: Any) -> list[Any]:
        """Return the maps ``[1, C, h, w]`` of an image ``[1, 3, H, W]``, shallow to deep."""
        from torch.nn import functional

        maps = []
        x = (x - self._mean) / self._std
        for index, (name, kernel, bias, wanted) in enumerate(self._layers):
            if index and name.endswith("_1"):
                x = functional.max_pool2d(x, 2, 2)
            x = functional.conv2d(x, kernel, bias, padding=1).relu_()
            if wanted:
                maps.append(x)
        return maps


class Plain:
    """The straightforward tracker."""

    name = "torch_plain"
    description = "NCHW, no_grad"
    layout_name = "contiguous_format"
    tuned = False

    def __init__(self, params: Params, config: TrackerConfig, precision: str) -> None:
        import torch

        self._torch = torch
        self.precision = precision
        if precision != "float32":  # of two trackers in one table
            self.name = f"{self.name}_{precision}"
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._layout = getattr(torch, self.layout_name)
        self._config = config
        self._side = config.input_side(params)
        self._network: Callable[[Any], list[Any]] = TorchNetwork(
            params, config.layers, self.device, self._layout
        )
        self._gamma = config.response_weights[::-1]  # shallow to deep

    def track(self, source: FrameSource, box: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Return the boxes ``[T, 4]`` (x, y, w, h), 0-based pixels."""
        with self._as_claimed(), self._torch.no_grad():
            return self._track(source, box)

    def pass_of(self, patches: Array) -> Callable[[], Any]:
        """Return a call that runs the network alone on ``[B, side, side, 3]`` and waits for it."""
        x = self._tensor(patches.transpose(0, 3, 1, 2)).contiguous(memory_format=self._layout)

        def call() -> None:
            with self._as_claimed(), self._torch.inference_mode():
                self._network(x)
                if self.device == "cuda":
                    self._torch.cuda.synchronize()

        return call

    def _as_claimed(self) -> contextlib.AbstractContextManager[None]:
        return _switched(self.precision, tuned=self.tuned)

    def _track(self, source: FrameSource, box: npt.ArrayLike) -> npt.NDArray[np.float32]:
        stream = frames.stream(source, ahead=8)
        image = next(stream)
        geometry, position = place(box, (image.shape[0], image.shape[1]))
        _, _, w, h = np.asarray(box, np.float64)
        self._begin(geometry.window, geometry.grid, (float(h), float(w)))
        found = [position]
        filters = self._train(self._spectra(image, position))
        eta = self._config.eta
        for image in stream:
            z = self._spectra(image, position)
            position = position + CELL * self._search(self._respond(filters, z))
            found.append(position)
            new = self._train(self._spectra(image, position))
            filters = [
                (m.lerp_(x, eta), b.lerp_(e, eta))
                for (m, b), (x, e) in zip(filters, new, strict=True)
            ]
        corners = np.asarray(found)[:, ::-1] - 0.5 * np.array([w, h])
        return np.hstack([corners, np.tile([w, h], (len(found), 1))]).astype(np.float32)

    def _begin(
        self, window: tuple[int, int], grid: tuple[int, int], size: tuple[float, float]
    ) -> None:
        """Compute the values that stay the same over a track."""
        self._window, self._grid = window, grid
        sigma = self._config.sigma * np.sqrt(size[0] * size[1]) / CELL
        rows, columns = (np.exp(-0.5 * (distances(n) / sigma) ** 2) for n in grid)
        self._y = self._torch.fft.rfft2(self._tensor(np.outer(rows, columns)))
        self._hann = self._tensor(np.outer(np.hanning(grid[0]), np.hanning(grid[1])))

    def _tensor(self, values: Array) -> Any:
        return self._torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(self.device)

    def _crop(self, image: Array, position: Array) -> Array:
        rows, columns = (
            np.clip(int(np.floor(p)) + np.arange(1, n + 1) - n // 2, 0, limit - 1)
            for p, n, limit in zip(position, self._window, image.shape[:2], strict=True)
        )
        return np.asarray(image[rows[:, None], columns])

    def _patch(self, image: Array, position: Array) -> Any:
        """Return the search window as ``[1, 3, side, side]``."""
        patch: Any = self._crop(image, position).astype(np.float32)
        for height, width in ((self._side, patch.shape[1]), (self._side, self._side)):
            shrinks = height * width < patch.shape[0] * patch.shape[1]
            how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            patch = cv2.resize(patch, (width, height), interpolation=how)
        return self._tensor(patch.transpose(2, 0, 1)[None])

    def _spectra(self, image: Array, position: Array) -> list[Any]:
        """Return X of each layer, shallow to deep: complex ``[C, gh, gw // 2 + 1]``."""
        maps = self._network(self._patch(image, position))
        return [self._torch.fft.rfft2(self._resized(m)[0] * self._hann) for m in maps]

    def _resized(self, maps: Any) -> Any:
        from torch.nn import functional

        for axis, size in ((2, self._grid[0]), (3, self._grid[1])):
            own = maps.shape[axis]
            if size < own:  # the area average, which PyTorch has for whole cells only
                matrix = self._tensor(resize.matrix(own, size))
                maps = self._torch.tensordot(maps, matrix, dims=([axis], [1])).movedim(-1, axis)
            else:
                shape = list(maps.shape[2:])
                shape[axis - 2] = size
                maps = functional.interpolate(maps, shape, mode="bilinear", align_corners=False)
        return maps

    def _cells(self, spectrum: Any) -> float:
        return float(self._grid[0] * self._grid[1] * spectrum.shape[0])

    def _train(self, spectra: list[Any]) -> list[tuple[Any, Any]]:
        """Return M and B of each layer (Eq. 6)."""
        return [(x, (x.abs() ** 2).sum(0) / self._cells(x)) for x in spectra]

    def _respond(self, filters: list[tuple[Any, Any]], z: list[Any]) -> list[Any]:
        """Return the response maps ``[gh, gw]`` (Eq. 4), shallow to deep."""
        fft = self._torch.fft
        responses = []
        for (m, b), layer in zip(filters, z, strict=True):
            correlation = (layer * m.conj()).sum(0) / self._cells(layer)
            alpha = self._y / (b + self._config.lambda_)
            responses.append(fft.fftshift(fft.irfft2(alpha * correlation, s=self._grid)))
        return responses

    def _search(self, responses: list[Any]) -> Array:
        """Return the displacement (rows, columns) in cells (Eq. 5)."""
        maps = self._torch.stack(responses).cpu().numpy()
        rows, columns = np.ogrid[: self._grid[0], : self._grid[1]]
        total = np.zeros(self._grid, np.float32)
        peak: tuple[int, int] | None = None
        for gamma, response in zip(self._gamma[::-1], maps[::-1], strict=True):
            total = total + np.float32(gamma) * response
            admitted = total
            if peak is not None:
                away = np.abs(rows - peak[0]) + np.abs(columns - peak[1])
                admitted = np.where(away <= self._config.radius, total, -np.inf)
            column, row = np.unravel_index(int(admitted.T.argmax()), self._grid[::-1])
            peak = int(row), int(column)
        assert peak is not None
        return np.array([peak[0] - self._grid[0] // 2, peak[1] - self._grid[1] // 2], np.float32)


class Tuned(Plain):
    """The tracker with what PyTorch offers for speed."""

    name = "torch_tuned"
    layout_name = "channels_last"
    tuned = True

    def __init__(self, params: Params, config: TrackerConfig, precision: str) -> None:
        super().__init__(params, config, precision)
        self._network, how = self._fastest(self._network)
        self.description = f"channels_last, inference_mode, {how}"

    def track(self, source: FrameSource, box: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Return the boxes ``[T, 4]`` (x, y, w, h), 0-based pixels."""
        with self._as_claimed(), self._torch.inference_mode():
            return self._track(source, box)

    def _fastest(self, network: Callable[[Any], list[Any]]) -> tuple[Any, str]:
        """Return the network, compiled if that is faster on this machine, and what was chosen."""
        torch = self._torch
        x = torch.zeros((1, 3, self._side, self._side), device=self.device)
        x = x.contiguous(memory_format=self._layout)

        def seconds(call: Callable[[Any], list[Any]]) -> float:
            times = []
            for _ in range(_TRIALS):
                started = time.perf_counter()
                call(x)[-1].sum().item()  # waits for it
                times.append(time.perf_counter() - started)
            return min(times)

        with self._as_claimed(), torch.inference_mode():
            try:
                compiled = torch.compile(network)
                compiled(x)
            except Exception:  # no compiler on this machine, or one that it cannot use
                return network, "not compiled (torch.compile failed)"
            if seconds(compiled) < seconds(network):
                return compiled, "torch.compile"
            return network, "not compiled (torch.compile was slower)"

    def _begin(
        self, window: tuple[int, int], grid: tuple[int, int], size: tuple[float, float]
    ) -> None:
        super()._begin(window, grid, size)
        self._vertical, self._horizontal = (
            self._tensor(resize.matrix(n, self._side)) for n in window
        )
        self._operators: dict[tuple[int, int], tuple[Any, Any]] = {}

    def _patch(self, image: Array, position: Array) -> Any:
        crop = self._torch.from_numpy(self._crop(image, position)).to(self.device)
        planes = crop.permute(2, 0, 1).to(self._torch.float32)
        patch = self._vertical @ planes @ self._horizontal.T
        return patch[None].contiguous(memory_format=self._layout)

    def _spectra(self, image: Array, position: Array) -> list[Any]:
        maps = self._network(self._patch(image, position))
        spectra = []
        for layer in maps:
            height, width = layer.shape[2:]
            if (height, width) not in self._operators:
                self._operators[height, width] = tuple(
                    self._tensor(np.hanning(n)[:, None] * resize.matrix(m, n))
                    for m, n in zip((height, width), self._grid, strict=True)
                )
            vertical, horizontal = self._operators[height, width]
            spectra.append(self._torch.fft.rfft2(vertical @ layer[0] @ horizontal.T))
        return spectra

    def _train(self, spectra: list[Any]) -> list[tuple[Any, Any]]:
        parts = [self._torch.view_as_real(x) for x in spectra]
        energies = [p.square().sum(dim=(0, 3)) for p in parts]
        return [(x, e / self._cells(x)) for x, e in zip(spectra, energies, strict=True)]
