"""Figures 2 and 4: the layers' features as colours, by their first three principal components."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hcft_jax.backbones import vgg
from hcft_jax.backbones.backbone import Params
from hcft_jax.core import resize, sampling
from hcft_jax.core.target import place
from hcft_jax.data.sequence import Frame
from hcft_jax.evaluation import plots
from hcft_jax.util.boxes import from_file
from hcft_jax.util.errors import InputError
from hcft_jax.visual.palette import Floats, colours, principal_components

LAYERS = ("conv3_4", "conv4_4", "conv5_4")


class FrameFeatures(NamedTuple):
    """A frame and the features of its search window, for Figure 4."""

    frame: Frame
    window: tuple[float, float, float, float]  # x, y, w, h of the search window, 0-based
    box: tuple[float, float, float, float]  # of the target, 0-based
    maps: dict[str, Floats]  # by layer [fh, fw, D]
    title: str


class Edge(NamedTuple):
    """The response of a layer to a step edge.

    Attributes:
        colours: ``[fh, fw, 3]`` in [0, 1]: the first three principal components.
        profile: ``[size]`` in [0, 1]: the first one along the middle row, at the input's size.
        spread: How far change reaches from the edge, in input pixels: the root mean square
            distance to the edge, weighted by the squared change of all features per pixel.
    """

    colours: Floats
    profile: Floats
    spread: float


def resized(values: Floats, size: tuple[int, int]) -> Floats:
    """Resize a map ``[h, w, D]`` to another (height, width) as the tracker does (``resize``)."""
    vertical, horizontal = (
        resize.matrix(m, n) for m, n in zip(values.shape[:2], size, strict=True)
    )
    return np.asarray(np.einsum("iy,yxd,jx->ijd", vertical, values, horizontal, optimize=True))


_network = jax.jit(vgg.features, static_argnums=2)


def _features(
    params: Params, image: npt.ArrayLike | jax.Array, layers: Sequence[str]
) -> dict[str, Floats]:
    found = _network(params, jax.numpy.asarray(image, jax.numpy.float32), tuple(layers))
    return {name: np.asarray(found[name], np.float64) for name in layers}


def frame_features(
    params: Params,
    frame: Frame,
    box: npt.ArrayLike,
    *,
    title: str = "",
    layers: Sequence[str] = LAYERS,
    input_size: int = 224,
) -> FrameFeatures:
    """Return the features of the search window around a target, as the tracker computes them.

    Args:
        params: The network's parameters.
        frame: RGB uint8 ``[H, W, 3]``.
        box: (x, y, w, h) of the target, 1-based.
        title: The text above the frame.
        layers: The layers to show.
        input_size: Side of the network's input in pixels.

    Raises:
        InputError: the box cannot be a target in this frame.
    """
    own = from_file(box)
    try:
        geometry, centre = place(own, frame.shape[:2])
    except InputError as error:
        raise InputError(f"{title}: {error}" if title else str(error)) from error
    window = geometry.window
    crop = sampling.crop(geometry, (input_size, input_size))
    view = sampling.View(jax.numpy.asarray(centre))
    patch = sampling.patch(jax.numpy.asarray(frame), view, crop)
    top, left = (float(c) + 1 - size // 2 for c, size in zip(np.floor(centre), window, strict=True))
    around = (left, top, float(window[1]), float(window[0]))
    x, y, w, h = (float(v) for v in own)
    return FrameFeatures(frame, around, (x, y, w, h), _features(params, patch, layers), title)


def figure4(frames: Sequence[FrameFeatures]) -> Figure:
    """Draw Figure 4: one row per frame, with target and search window, then each layer's colours.

    The colours are at the window's size; a colour means the same in all rows of a column.
    """
    layers = list(frames[0].maps)
    rgb = {name: colours([one.maps[name] for one in frames]) for name in layers}
    ratios = [one.window[3] / one.window[2] for one in frames]
    aspect = frames[0].frame.shape[1] / frames[0].frame.shape[0]
    drawn = Figure(figsize=(2.4 * (aspect + len(layers)), 2.55 * len(frames)), layout="constrained")
    grid = drawn.subplots(
        len(frames), 1 + len(layers), squeeze=False, width_ratios=[aspect] + [1.0] * len(layers)
    )
    for row, (one, ratio) in enumerate(zip(frames, ratios, strict=True)):
        first = grid[row, 0]
        first.imshow(one.frame)
        first.set_title(one.title, fontsize=9)
        for (x, y, w, h), colour in ((one.window, "#ffd000"), (one.box, "#ff2828")):
            box = Rectangle((x - 0.5, y - 0.5), w, h, fill=False, edgecolor=colour, linewidth=1.6)
            first.add_patch(box)
        for axes, name in zip(grid[row, 1:], layers, strict=True):
            size = (int(one.window[3]), int(one.window[2]))
            axes.imshow(np.clip(resized(rgb[name][row], size), 0, 1))
            axes.set_box_aspect(ratio)
            if not row:
                axes.set_title(name, fontsize=9)
        for axes in grid[row]:
            axes.set_axis_off()
    return drawn


def step_edge(size: int = 224, low: float = 0.0, high: float = 255.0) -> npt.NDArray[np.float32]:
    """Return a grey image ``[size, size, 3]``: ``low`` in its left half, ``high`` in its right."""
    row = np.where(np.arange(size) < size // 2, low, high).astype(np.float32)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (size, size, 3)))


def edge(features: Floats, size: int) -> Edge:
    """Summarise the features ``[fh, fw, D]`` that a layer has of ``step_edge(size)``.

    Only the middle half of the image counts for the spread: near its borders the convolutions'
    zero padding is an edge of its own.
    """
    (rgb,) = colours([features])
    middle = resized(features, (size, size))[size // 2]
    along = principal_components(middle).scores[:, 0]
    apart = along - np.median(along)
    # an edge that is a dip is turned into a peak; one that is a step stays as it is
    along = -along if -apart.min() > 1.001 * apart.max() else along
    span = np.ptp(along)
    profile = (along - along.min()) / span if span else np.full(size, 0.5)
    change = np.square(np.diff(middle, axis=0)).sum(axis=1)
    distance = np.arange(1, size) - size / 2
    inside = np.abs(distance) < size / 4
    total = change[inside].sum()
    square = (change * distance**2)[inside].sum() / total if total else 0.0
    return Edge(rgb, profile, float(np.sqrt(square)))


def edges(params: Params, *, layers: Sequence[str] = LAYERS, size: int = 224) -> dict[str, Edge]:
    """Return the response of each layer to a step edge in an image of ``size`` pixels."""
    maps = _features(params, step_edge(size), layers)
    return {name: edge(maps[name], size) for name in layers}


def figure2(found: Mapping[str, Edge]) -> Figure:
    """Draw Figure 2: the edge and each layer's colours (``edges``), above a row's intensities."""
    size = len(next(iter(found.values())).profile)
    drawn = Figure(figsize=(2.5 * (1 + len(found)), 4.4), layout="constrained")
    upper, lower = drawn.subplots(2, 1 + len(found), height_ratios=[1.25, 1])
    image = step_edge(size) / 255
    columns: list[tuple[str, Floats, Floats]] = [("step edge", image, image[0, :, 0])]
    for name, of in found.items():
        rgb = np.clip(resized(of.colours, (size, size)), 0, 1)
        columns.append((f"{name}, spread {of.spread:.1f} px", rgb, of.profile))
    for top, bottom, (name, picture, profile) in zip(upper, lower, columns, strict=True):
        top.imshow(picture)
        top.set_title(name, fontsize=9)
        top.set_axis_off()
        _profile(bottom, profile)
    lower[0].set_ylabel("intensity, first component")
    return drawn


def _profile(axes: Axes, profile: Floats) -> None:
    colour, _ = plots.colours(["profile"])["profile"]
    axes.plot(np.arange(len(profile)), profile, color=colour, linewidth=1.6)
    axes.axvline(len(profile) / 2 - 0.5, color="#888888", linestyle="--", linewidth=1)
    axes.set(xlim=(0, len(profile) - 1), ylim=(-0.03, 1.03), xlabel="column (px)")
    axes.grid(color="#dddddd", linewidth=0.7)
