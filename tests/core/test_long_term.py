"""The memory: when it says that a target is lost, where it looks, and what is then found."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as settings_
from hypothesis import strategies as st

from hcft_jax.core import detection, differentiable, filters, long_term, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.long_term import LongTermMemory
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.experiment import settings
from hcft_jax.run.streaming import track_sequence
from hcft_jax.util.errors import SettingError
from hcft_jax.weights import lookup
from tests.absent import BEFORE, Covered, Leaving, errors, sequence

CONFIG = TrackerConfig(redetect=True, doubted_below=0.2, found_above=0.4)
KCF = {"name": "kcf"}
LITE0 = {"name": "lite0"}
TEN = 10  # frames in which a target that is back should be found


def blank() -> LongTermMemory:
    one = filters.Filter((), jnp.zeros((2, 2)))
    return long_term.start(CONFIG, (one,))


def lost(values: list[float]) -> list[bool]:
    """What is said of a target with these responses, frame by frame."""
    known, said = blank(), []
    for value in values:
        known = long_term.judge(CONFIG, known, jnp.asarray(value))
        said.append(bool(known.lost))
    return said


def tracked(sequence: Any, **changes: Any) -> tuple[np.ndarray, np.ndarray]:
    """The boxes of a sequence, and in which frames its target counts as lost."""
    config = settings.derive(**changes).tracker
    params = config.network.placed(lookup.find(None, config.backbone).params, config.precision)
    seen = list(track_sequence(params, config, sequence))
    return (
        np.concatenate([chunk.boxes for chunk in seen]),
        np.concatenate([chunk.lost for chunk in seen]),
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.9, 0.9, 0.3], [False] * 3),
        ([0.9, 0.1, 0.1, 0.3, 0.1, 0.1], [False] * 6),  # two frames are not enough
        ([0.9, 0.1, 0.1, 0.1, 0.1], [False, False, False, True, True]),
        ([0.9, 0.1, 0.1, 0.1, 0.5], [False, False, False, True, False]),  # found at once
        # what is less than half of what was usual is not believed
        ([0.9, 0.1, 0.1, 0.1, 0.41, 0.41, 0.41], [False] * 3 + [True] * 4),
        # a target that never responds by much is found in the third frame in a row
        ([0.3, 0.1, 0.1, 0.1, 0.25, 0.25, 0.25], [False] * 3 + [True] * 3 + [False]),
    ],
)
def test_a_target_is_lost_and_found_with_patience(
    values: list[float], expected: list[bool]
) -> None:
    assert lost(values) == expected


def test_what_is_usual_stays_while_it_is_doubted() -> None:
    known = long_term.judge(CONFIG, blank(), jnp.asarray(0.8))
    for _ in range(5):
        known = long_term.judge(CONFIG, known, jnp.asarray(0.1))
    assert float(known.usual) == pytest.approx(0.8)
    assert float(known.confidence) == pytest.approx(0.1)


sides = st.integers(20, 900)


@settings_(deadline=None, max_examples=20)  # each count of windows is compiled
@given(
    image=st.tuples(sides, sides),
    window=st.tuples(sides, sides),
    looks=st.sampled_from([16, 50]),
)
def test_the_search_windows_cover_the_image(
    image: tuple[int, int], window: tuple[int, int], looks: int
) -> None:
    crop = SimpleNamespace(image=np.array(image, np.int32), window=np.array(window, np.int32))
    target: Any = SimpleNamespace(crop=crop, cell=np.ones(2, np.float32))
    seen: list[np.ndarray] = []
    while len(seen) < long_term.MOST**2:
        first = jnp.asarray(len(seen), jnp.int32)
        seen.extend(np.asarray(long_term.windows(target, 1.0, first, looks)))
    centres = np.unique(np.round(seen, 3), axis=0)
    assert (centres >= 0).all()
    assert (centres <= image).all()
    for axis in range(2):
        places = np.unique(centres[:, axis])
        gaps = np.diff([-places[0], *places, 2 * image[axis] - places[-1]])
        # a target is at most a quarter of a window from the middle of one
        most = max(window[axis] / long_term.OVERLAP, image[axis] / long_term.MOST)
        assert gaps.max() <= most + 0.01 * image[axis]


def test_nothing_is_learned_while_it_is_lost() -> None:
    drawn = synthetic(Synthetic(frames=4, height=96, width=120, target=(24, 20), motion=10.0))
    config = replace(settings.load("kcf").tracker, redetect=True, looks=2)
    state = tracker.init({}, config, drawn.frames.read(0), drawn.boxes[0])
    state, output = tracker.step({}, config, state, drawn.frames.read(1))
    assert not output.lost
    noise = np.random.default_rng(0).integers(0, 256, (96, 120, 3)).astype(np.uint8)
    before, said = state, []
    for _ in range(5):
        state, output = tracker.step({}, config, state, noise)
        said.append(bool(output.lost))
    assert said == [False] * 2 + [True] * 3
    assert before.memory is not None
    assert state.memory is not None
    for old, new in ((before.filters, state.filters), (before.memory[0], state.memory[0])):
        jax.tree.map(np.testing.assert_array_equal, old, new)
    assert int(state.memory.looked) == 3 * config.looks


def test_the_memory_learns_slower_than_the_filters() -> None:
    drawn = synthetic(Synthetic(frames=2, height=96, width=120, target=(24, 20), motion=10.0))
    config = replace(settings.load("kcf").tracker, redetect=True, memory_eta=0.005)
    state = tracker.init({}, config, drawn.frames.read(0), drawn.boxes[0])
    after, _ = tracker.step({}, config, state, drawn.frames.read(1))
    assert state.memory is not None
    assert after.memory is not None
    own, kept = (
        np.asarray(new[0].scale - old[0].scale)
        for old, new in ((state.filters, after.filters), (state.memory[0], after.memory[0]))
    )
    np.testing.assert_allclose(kept, own * 0.005 / float(config.eta), rtol=1e-3, atol=1e-6)  # type: ignore[arg-type]


def test_the_finest_of_several_layers_is_not_remembered() -> None:
    configs = (settings.load(name).tracker for name in ("hcft", "c5", "c543"))
    assert [long_term.remembered(config) for config in configs] == [2, 1, 1]


@pytest.mark.parametrize("redetect", [False, True])
@pytest.mark.parametrize("changes", [KCF, LITE0, {"name": "csk"}], ids=lambda c: str(c["name"]))
def test_a_window_of_one_colour_is_lost(changes: dict[str, Any], redetect: bool) -> None:
    drawn = synthetic(Synthetic(frames=2, height=96, width=120, target=(32, 36), motion=10.0))
    config = settings.derive(redetect=redetect, looks=1, **changes).tracker
    params = config.network.placed(lookup.find(None, config.backbone).params, config.precision)
    state = tracker.init(params, config, drawn.frames.read(0), drawn.boxes[0])
    for grey in (0, 128, 255, 255, 255):  # also after the filters have learned it
        plain = np.full((96, 120, 3), grey, np.uint8)
        plain[::2] += grey == 128  # as a video's compression leaves it
        state, output = tracker.step(params, config, state, plain)
    assert output.lost


def found(source: Leaving, **changes: Any) -> bool:
    boxes, _ = tracked(sequence(source), **changes)
    back = slice(source.back, source.back + TEN)
    return bool((errors(boxes[back], source.boxes[back]) < 12).any())


def test_a_target_that_comes_back_elsewhere_is_found() -> None:
    assert all(found(Leaving(seed), redetect=True, **KCF) for seed in range(3))


def test_without_a_memory_it_is_not_found() -> None:
    assert not any(found(Leaving(seed), **KCF) for seed in range(3))


def test_it_is_lost_while_it_is_away_only() -> None:
    source = Leaving(0)
    _, said = tracked(sequence(source), redetect=True, **KCF)
    assert not said[:BEFORE].any()
    assert not said[source.back + TEN :].any()
    assert said[BEFORE : source.back].mean() > 0.9


def kept(seed: int, **changes: Any) -> bool:
    """Whether the target is tracked at the end, after it was covered."""
    source = Covered(seed)
    boxes, _ = tracked(sequence(source), **changes)
    return bool(errors(boxes[-1:], source.boxes[-1:])[0] < 12)


def test_a_target_is_not_swapped_for_what_covers_it() -> None:
    assert kept(0, redetect=True, **KCF)


def test_without_a_memory_it_is_swapped() -> None:
    assert not kept(0, **KCF)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [KCF, LITE0], ids=["kcf", "lite0"])
def test_nine_of_ten_targets_are_found(changes: dict[str, Any]) -> None:
    assert sum(found(Leaving(seed), redetect=True, **changes) for seed in range(10)) >= 9


@pytest.mark.slow
@pytest.mark.parametrize("changes", [KCF, LITE0], ids=["kcf", "lite0"])
def test_nine_of_ten_targets_are_kept(changes: dict[str, Any]) -> None:
    assert sum(kept(seed, redetect=True, **changes) for seed in range(10)) >= 9


def test_a_memory_has_no_gradient() -> None:
    drawn = synthetic(Synthetic(frames=2, height=96, width=120, target=(24, 20), motion=10.0))
    config = replace(settings.load("kcf").tracker, redetect=True)
    state = tracker.init({}, config, drawn.frames.read(0), drawn.boxes[0])
    images = jnp.asarray(drawn.frames.read(1))[None]
    with pytest.raises(SettingError, match="redetect"):
        differentiable.unroll({}, config, state, images)


def test_a_step_computes_the_same_under_jit_and_without() -> None:
    drawn = synthetic(Synthetic(frames=2, height=96, width=120, target=(24, 20), motion=10.0))
    config = replace(settings.load("kcf").tracker, redetect=True, looks=2, doubted_below=1.0)
    state = tracker.init({}, config, drawn.frames.read(0), drawn.boxes[0])
    image = jnp.asarray(drawn.frames.read(1))
    z = tracker.observe(
        {}, config, state.target, image, detection.view(config, state.position, None)
    )
    plain = jnp.zeros((), bool)
    jitted = jax.jit(detection.find)(config, state, z, None, plain)
    with jax.disable_jit():
        eager = detection.find(config, state, z, None, plain)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), jitted, eager)
