"""The method once more, in float64 NumPy and plain loops, from the paper and the authors' program.

An independent transcription to test against: nothing here is imported from the package, positions
are the program's own 1-based ones, spectra are whole and complex, VGG-19 is nine shifted matrix
products a layer, and AlexNet one product a cell. Frames are RGB ``[H, W, 3]``; pairs are
(row, column) or (height, width).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Pair = tuple[int, int]
Params = dict[str, Any]

LAYERS = {"conv5_4": 1.0, "conv4_4": 0.5, "conv3_4": 0.02}  # weights by depth
BLOCKS = ((1, 2), (2, 2), (3, 4), (4, 4), (5, 4))


def convolution(x: Array, kernel: Array, bias: Array) -> Array:
    height, width, _ = x.shape
    padded = np.pad(x, [(1, 1), (1, 1), (0, 0)])
    out = np.tile(bias.astype(np.float64), (height, width, 1))
    for row in range(3):
        for column in range(3):
            out += padded[row : row + height, column : column + width] @ kernel[row, column]
    return out


def vgg(params: Params, image: Array, layers: Collection[str]) -> dict[str, Array]:
    normalization = {k: np.asarray(v, np.float64) for k, v in params["normalization"].items()}
    x = (np.asarray(image, np.float64) - normalization["mean"]) / normalization["std"]
    maps = {}
    for block, depth in BLOCKS:
        for index in range(1, depth + 1):
            name = f"conv{block}_{index}"
            weights = {k: np.asarray(v, np.float64) for k, v in params[name].items()}
            x = np.maximum(convolution(x, weights["kernel"], weights["bias"]), 0)
            if name in layers:
                maps[name] = x
            if len(maps) == len(layers):
                return maps
        h, w = x.shape[0] // 2, x.shape[1] // 2
        x = x[: 2 * h, : 2 * w].reshape(h, 2, w, 2, -1).max(axis=(1, 3))
    raise AssertionError(f"no such layers: {layers}")


def strided_convolution(x: Array, kernel: Array, bias: Array, stride: int, pad: int) -> Array:
    """In as many groups of channels as the kernel's inputs leave."""
    kernel, bias = np.asarray(kernel, np.float64), np.asarray(bias, np.float64)
    side, _, inputs, outputs = kernel.shape
    groups = x.shape[2] // inputs
    padded = np.pad(x, [(pad, pad), (pad, pad), (0, 0)])
    height, width = ((n - side) // stride + 1 for n in padded.shape[:2])
    out = np.zeros((height, width, outputs))
    for group in range(groups):
        taken = slice(group * inputs, (group + 1) * inputs)
        made = slice(group * outputs // groups, (group + 1) * outputs // groups)
        matrix = kernel[..., made].reshape(side * side * inputs, -1)
        for i in range(height):
            for j in range(width):
                row, column = i * stride, j * stride
                patch = padded[row : row + side, column : column + side, taken]
                out[i, j, made] = patch.ravel() @ matrix
    return out + bias


def normalized_channels(x: Array, n: int, k: float, alpha: float, beta: float) -> Array:
    out = np.zeros_like(x)
    for channel in range(x.shape[2]):
        first, last = channel - (n - 1) // 2, channel + n // 2
        energy = (x[..., max(first, 0) : last + 1] ** 2).sum(axis=2)
        out[..., channel] = x[..., channel] / (k + alpha * energy) ** beta
    return out


def pooled(x: Array, end: int) -> Array:
    """Maxima of 3 x 3 cells, every second one; ``end`` more rows and columns are looked at."""
    height, width = ((n + end - 3) // 2 + 1 for n in x.shape[:2])
    out = np.zeros((height, width, x.shape[2]))
    for i in range(height):
        for j in range(width):
            out[i, j] = x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max(axis=(0, 1))
    return out


def alexnet(params: Params, image: Array, layers: Collection[str]) -> dict[str, Array]:
    normalization = {k: np.asarray(v, np.float64) for k, v in params["normalization"].items()}
    x = (np.asarray(image, np.float64) - normalization["mean"]) / normalization["std"]
    kind = params["architecture"]
    strides_pads = {"conv1": (4, kind.padding), "conv2": (1, 2)}
    maps = {}
    for number in range(1, 6):
        name = f"conv{number}"
        stride, pad = strides_pads.get(name, (1, 1))
        kernel, bias = params[name]["kernel"], params[name]["bias"]
        maps[name] = x = np.maximum(strided_convolution(x, kernel, bias, stride, pad), 0)
        if number <= 2:
            if kind.normalization and kind.normalized_first:
                x = normalized_channels(x, *kind.normalization)
            x = pooled(x, kind.pool_padding)
            if kind.normalization and not kind.normalized_first:
                x = normalized_channels(x, *kind.normalization)
    return {name: maps[name] for name in layers}


def resample_axis(x: Array, size: int) -> Array:
    """imResample along the first axis."""
    n = x.shape[0]
    out = np.zeros((size, *x.shape[1:]))
    for i in range(size):
        if size < n:  # area average over [i s, (i + 1) s)
            start, stop = i * n / size, (i + 1) * n / size
            for j in range(int(start), min(int(np.ceil(stop)), n)):
                out[i] += (min(j + 1, stop) - max(j, start)) * x[j]
            out[i] /= stop - start
        else:  # bilinear between pixel centres
            place = (i + 0.5) * n / size - 0.5
            low = int(np.floor(place))
            share = place - low
            out[i] = (1 - share) * x[max(low, 0)] + share * x[min(low + 1, n - 1)]
    return out


def resample(x: Array, size: Pair) -> Array:
    x = resample_axis(np.asarray(x, np.float64), size[0])
    return np.swapaxes(resample_axis(np.swapaxes(x, 0, 1), size[1]), 0, 1)


def search_window(target: tuple[float, float], image: tuple[int, ...]) -> Pair:
    h, w = target
    if h / w > 2:
        return int(np.floor(h * 1.4)), int(np.floor(w * 2.8))
    if h * w / (image[0] * image[1]) > 0.05:
        return int(np.floor(h * 2)), int(np.floor(w * 2))
    return int(np.floor(h * 2.8)), int(np.floor(w * 2.8))


def subwindow(image: Array, position: Array, window: Pair) -> Array:
    """``position`` is 1-based; pixels outside repeat the edge."""
    out = np.zeros((*window, 3))
    for i in range(1, window[0] + 1):
        for j in range(1, window[1] + 1):
            row = int(np.floor(position[0])) + i - window[0] // 2
            column = int(np.floor(position[1])) + j - window[1] // 2
            row, column = min(max(row, 1), image.shape[0]), min(max(column, 1), image.shape[1])
            out[i - 1, j - 1] = image[row - 1, column - 1]
    return out


def gaussian_label(target: tuple[float, float], grid: Pair, factor: float = 0.1) -> Array:
    sigma = factor * np.sqrt(target[0] * target[1]) / 4
    y = np.zeros(grid)
    for i in range(grid[0]):
        for j in range(grid[1]):
            r, c = i + 1 - grid[0] // 2, j + 1 - grid[1] // 2
            y[i, j] = np.exp(-(r**2 + c**2) / (2 * sigma**2))
    return np.roll(y, (1 - grid[0] // 2, 1 - grid[1] // 2), axis=(0, 1))


def hann(n: int) -> Array:
    return np.array([0.5 * (1 - np.cos(2 * np.pi * k / (n - 1))) for k in range(n)])


@dataclass
class Tracker:
    """The authors' program (``update="cf2"``), or Eq. 6 (``"paper"``), searching the whole sum."""

    params: Params
    target: tuple[float, float]
    position: Array  # 1-based
    window: Pair
    grid: Pair
    label: Array  # its spectrum
    update: str = "cf2"
    gamma: dict[str, float] = field(default_factory=lambda: dict(LAYERS))
    eta: float = 0.01
    lambda_: float = 1e-4
    size: int = 224
    network: Callable[[Params, Array, Collection[str]], dict[str, Array]] = vgg
    model: dict[str, Array] = field(default_factory=dict)
    scale: dict[str, Array] = field(default_factory=dict)

    @classmethod
    def start(cls, params: Params, image: Array, box: Array, **settings: Any) -> Self:
        """``box`` is 1-based (x, y, w, h)."""
        x, y, w, h = box
        position = np.array([y, x]) + np.floor(np.array([h, w]) / 2)
        window = search_window((h, w), image.shape[:2])
        grid = window[0] // 4, window[1] // 4
        label = np.fft.fft2(gaussian_label((h, w), grid))
        tracker = cls(params, (h, w), position, window, grid, label, **settings)
        tracker.learn(image, eta=1.0)
        return tracker

    def features(self, image: Array) -> dict[str, Array]:
        patch = resample(subwindow(image, self.position, self.window), (self.size, self.size))
        return self.network(self.params, patch, list(self.gamma))

    def spectra(self, image: Array) -> dict[str, Array]:
        window = np.outer(hann(self.grid[0]), hann(self.grid[1]))[..., None]
        maps = {name: resample(x, self.grid) * window for name, x in self.features(image).items()}
        return {name: np.fft.fft2(x, axes=(0, 1)) for name, x in maps.items()}

    def learn(self, image: Array, eta: float) -> None:
        for name, x in self.spectra(image).items():
            energy = (np.abs(x) ** 2).sum(axis=2) / x.size
            new = energy if self.update == "paper" else self.label / (energy + self.lambda_)
            if name in self.model:
                x = (1 - eta) * self.model[name] + eta * x
                new = (1 - eta) * self.scale[name] + eta * new
            self.model[name], self.scale[name] = x, new

    def responses(self, image: Array) -> dict[str, Array]:
        maps = {}
        for name, z in self.spectra(image).items():
            correlation = (z * np.conj(self.model[name])).sum(axis=2) / z.size
            alpha = self.scale[name]
            if self.update == "paper":
                alpha = self.label / (alpha + self.lambda_)
            maps[name] = np.fft.fftshift(np.real(np.fft.ifft2(alpha * correlation)))
        return maps

    def step(self, image: Array) -> dict[str, Array]:
        """Tracks one frame; the responses it found the target by."""
        responses = self.responses(image)
        total = np.sum([self.gamma[name] * f for name, f in responses.items()], axis=0)
        column, row = divmod(int(np.argmax(total.T.ravel())), self.grid[0])
        moved = np.array([row - self.grid[0] // 2, column - self.grid[1] // 2])
        self.position = self.position + 4 * moved
        self.learn(image, self.eta)
        return responses

    @property
    def box(self) -> Array:
        """1-based (x, y, w, h)."""
        h, w = self.target
        return np.array([self.position[1] - w / 2, self.position[0] - h / 2, w, h])
