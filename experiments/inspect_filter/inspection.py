"""What a learned filter looks at: its responses, their gradient down to the pixels, its templates.

``looks`` tracks a sequence and yields each frame with the state that searched it. For such a look,
``gradients`` tells which pixels a response depends on, and ``templates`` what is correlated with
the features; both use the tracker's own functions. ``variants`` and ``effects`` tell what each
layer does for a sequence. Boxes are 0-based (``hcft_jax.util.boxes``), pairs are (row, column) or
(height, width).
"""

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import detection, filters, search, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.detection import Output, State
from hcft_jax.core.filters import Filter
from hcft_jax.data import frames, sequence
from hcft_jax.data.sequence import Frame
from hcft_jax.evaluation import metrics, protocols
from hcft_jax.evaluation.metrics import Scores
from hcft_jax.run.together import FrameResults
from hcft_jax.util.boxes import to_file

Floats = npt.NDArray[np.floating[Any]]

ALL = "all layers"


@dataclass(frozen=True, eq=False)
class Look:
    """A frame, the state that searched it, and the output."""

    config: TrackerConfig
    number: int  # of the frame, from 1
    frame: Frame  # RGB uint8 [H, W, 3]
    truth: Floats  # [4] x, y, w, h; NaN or without area if it is unknown
    state: State  # before the frame, not padded; its filters search around its position
    output: Output  # with responses

    @functools.cached_property
    def responses(self) -> Floats:
        """Each layer's map ``[L, gh, gw]``, deepest first, not weighted."""
        return np.asarray(self.output.responses)

    @functools.cached_property
    def combined(self) -> tuple[Floats, tuple[int, int]]:
        """The weighted sum ``[gh, gw]``, and the cell in which the target was found (Eq. 5)."""
        total, peak = search.combine(
            [jnp.asarray(response) for response in self.responses],
            self.config.response_weights,
            None if self.config.search == "sum" else self.config.radius,
            self.state.target.transform.grid,
        )
        return np.asarray(total), (int(peak[0]), int(peak[1]))

    @property
    def position(self) -> Floats:
        """Where the search window is centred, pixels ``[2]``."""
        return np.asarray(self.state.position)

    @property
    def window(self) -> tuple[int, int, int, int]:
        """The search window, x, y, w, h in pixels; parts of it may lie outside the frame."""
        height, width = (int(side) for side in self.state.target.crop.window)
        top, left = (int(p) + 1 for p in np.floor(self.position))
        return left - width // 2, top - height // 2, width, height

    @property
    def found(self) -> Floats:
        """The box that was found, ``[4]``."""
        return np.asarray(self.output.box)

    def place(self, cell: tuple[int, int]) -> Floats:
        """Return the point in the frame, pixels ``[2]``, that a response map's cell stands for."""
        still = np.array(self.responses.shape[1:]) // 2
        return np.asarray(self.position + np.asarray(self.state.target.cell) * (cell - still))

    def moved(self, box: Floats) -> Floats | None:
        """Return how far a box's centre is from the window's, in pixels ``[2]``, if it is known."""
        if not (np.isfinite(box).all() and (box[2:] > 0).all()):
            return None
        return np.asarray((box[:2] + box[2:] / 2)[::-1] - self.position)


def looks(params: Params, config: TrackerConfig, of: sequence.Sequence) -> Iterator[Look]:
    """Track a sequence from its first box and yield every frame after the first one.

    Raises:
        InputError: a frame cannot be read, or the first box cannot be tracked.
    """
    with contextlib.closing(frames.stream(of.frames)) as stream:
        state = tracker.init(params, config, next(stream), of.boxes[0])
        for index, frame in enumerate(stream, 1):
            after, output = tracker.step(params, config, state, frame, with_responses=True)
            yield Look(config, index + 1, frame, of.boxes[index], state, output)
            state = after


def gradients(params: Params, look: Look) -> Floats:
    """Differentiate each layer's response where the target was found by the frame's pixels.

    The gradient goes through crop, network, spectrum and filter; cell and filter are fixed. The
    weighted sum's gradient is the weighted sum of these. It is ``[L, H, W, 3]``, deepest layer
    first, in units of the response per grey level.
    """
    image = jnp.asarray(look.frame, look.state.target.crop.vertical.dtype)
    _, peak = look.combined
    return np.asarray(_gradients(params, look.config, look.state, image, jnp.array(peak)))


@jax.jit
def _gradients(
    params: Params, config: TrackerConfig, state: State, image: jax.Array, peak: jax.Array
) -> jax.Array:
    def scores(image: jax.Array) -> jax.Array:
        _, output = tracker.step(params, config, state, image, with_responses=True)
        assert output.responses is not None
        return output.responses[:, peak[0], peak[1]]

    return jax.jacrev(scores)(image)


def summed(config: TrackerConfig, of_layers: Floats) -> Floats:
    """Return Eq. 5's weighted sum over the first axis of ``[L, ...]``."""
    weights = np.asarray(config.response_weights, of_layers.dtype)
    return np.asarray(np.tensordot(weights, of_layers, axes=1))


def share(gradient: Floats, box: Floats) -> float:
    """Return the part in [0, 1] of a gradient's squares ``[H, W, 3]`` inside a box (x, y, w, h)."""
    squares = np.square(gradient, dtype=np.float64).sum(axis=2)
    y, x = (np.arange(n) + 0.5 for n in squares.shape)  # the pixels' centres
    rows, columns = (
        (centre >= box[axis]) & (centre < box[axis] + box[axis + 2])
        for centre, axis in ((y, 1), (x, 0))
    )
    total = squares.sum()
    return float(squares[np.ix_(rows, columns)].sum() / total) if total else 0.0


def templates(config: TrackerConfig, state: State) -> list[Floats]:
    """Return the filters in the spatial domain, over the search window.

    A response is the circular correlation of these with the windowed features x, summed over
    channels: f(m, n) = sum_d sum_ij T^d(i, j) x^d(i + m, j + n), where (m, n) is the displacement.
    So T is the inverse transform of W = Y conj(M) / (B + lambda) (Eq. 3), reflected, and T(i, j)
    is the weight of the feature in cell (i, j) of the window for a target that stays. T is
    ``[D, gh, gw]`` per layer, deepest layer first; the state is one without padding.
    """
    found = []
    for shifted in map(np.asarray, _impulse_responses(config, state)):
        rows, columns = ((n // 2 - np.arange(n)) % n for n in shifted.shape[1:])
        found.append(shifted[:, rows[:, None], columns])
    return found


@jax.jit
def _impulse_responses(config: TrackerConfig, state: State) -> tuple[jax.Array, ...]:
    """Return W of each layer, ``[D, gh, gw]``: each channel's response to an impulse.

    Index 0 is moved to the centre, as in a response.
    """
    transform, y = state.target.transform, detection.label(config, state.target)

    def of_filter(learned: Filter) -> jax.Array:
        parts = [transform.complete(part).values for part in learned.model]
        model = jnp.concatenate(parts, axis=-1)  # [gh // 2 + 1, 2, gw, D]
        count = transform.cells * model.shape[-1]  # a response is a mean over channels and cells

        def of_channel(one: jax.Array) -> jax.Array:
            correlation = jnp.stack([one[:, 0], -one[:, 1]]) / count  # conj(M)
            return transform.inverse(
                filters.weighted(learned, correlation, y, config.lambda_, config.update)
            )

        return jax.vmap(of_channel, in_axes=3)(model)

    return tuple(map(of_filter, state.filters))


def variants(config: TrackerConfig) -> dict[str, TrackerConfig]:
    """Return the settings that show what layers do: all, each left out, and each alone.

    The deepest layer is first. A layer is left out altogether, since a deepest one of weight 0
    would still decide where the others look (Eq. 5). Leaving out one of two is the other alone.
    """
    names = config.deepest_first
    found = {ALL: config}
    if len(names) > 2:
        for name in names:
            found[f"without {name}"] = _only(config, [n for n in names if n != name])
    if len(names) > 1:
        for name in names:
            found[f"{name} alone"] = replace(_only(config, [name]), gamma=(1.0,))
    return found


def _only(config: TrackerConfig, names: Sequence[str]) -> TrackerConfig:
    kept = [index for index, name in enumerate(config.layers) if name in names]
    eta = config.eta
    return replace(
        config,
        layers=tuple(config.layers[i] for i in kept),
        gamma=tuple(config.gamma[i] for i in kept),
        eta=tuple(eta[i] for i in kept) if isinstance(eta, tuple) else eta,
    )


class Effect(NamedTuple):
    """The results of a setting on a sequence of T frames."""

    config: TrackerConfig
    errors: Floats  # [T] distance of the centres in pixels; NaN where the truth is unknown
    scores: Scores | None  # None: no truth is known
    psr: float  # mean peak-to-sidelobe ratio of the frames after the first


def effects(
    settings: Mapping[str, TrackerConfig], of: sequence.Sequence, seen: Sequence[FrameResults]
) -> dict[str, Effect]:
    """Return how each setting did on T > 1 frames that ``together.track_together`` tracked.

    Raises:
        InputError: the first frame's truth is invalid.
    """
    truth = to_file(of.boxes)
    (run,) = protocols.plan("ope", truth)
    found = {}
    for index, (name, config) in enumerate(settings.items()):
        boxes, true = to_file([s.boxes[index] for s in seen]), truth
        if of.sizes_only:
            boxes, true = metrics.moved(boxes, true)
        _, _, errors = metrics.per_frame(boxes, true)
        scorable = protocols.scorable(run, true)
        found[name] = Effect(
            config,
            np.where(metrics.valid(true), errors, np.nan),
            protocols.judge(run, boxes, true).curves.scores if scorable else None,
            float(np.mean([s.psr[index] for s in seen[1:]])),
        )
    return found
