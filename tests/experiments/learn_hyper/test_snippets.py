"""Snippets: which frames, in which sizes, and where the target is in them."""

import dataclasses

import numpy as np
import pytest

from experiments.learn_hyper.snippets import Snippet, Snippets
from hcft_jax.backbones.backbone import Params
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data.sequence import Frame, Sequence
from hcft_jax.util.errors import InputError
from tests.experiments.learn_hyper.conftest import drawn_sequence


def first_frame(snippet: Snippet, sequence: Sequence) -> int:
    """Return the number of the frame that a snippet begins with."""
    height, width, _ = sequence.frames.read(0).shape
    shown = snippet.images[0, :height, :width]
    return next(i for i in range(len(sequence)) if np.array_equal(sequence.frames.read(i), shown))


def test_a_step_depends_on_seed_and_number_alone(params: Params, start: TrackerConfig) -> None:
    snippets = Snippets([drawn_sequence(0), drawn_sequence(1)], params, start, 2)
    snippets.draw(5, 0, 1)
    for a, b in zip(snippets.draw(5, 3, 4), snippets.draw(5, 3, 4), strict=True):
        np.testing.assert_array_equal(a.images, b.images)
        np.testing.assert_array_equal(a.centres, b.centres)
    steps = [snippets.draw(*at, 4) for at in ((5, 3), (5, 4), (6, 3))]
    drawn = [np.stack([snippet.centres for snippet in step]) for step in steps]
    assert not np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_centres_move_as_the_truth_does(params: Params, start: TrackerConfig) -> None:
    sequence = drawn_sequence()
    (snippet,) = Snippets([sequence], params, start, 3).draw(0, 0, 1)
    first = first_frame(snippet, sequence)
    x, y, w, h = sequence.boxes[first : first + 4].T
    moved = np.stack([y + h / 2, x + w / 2], axis=1)
    np.testing.assert_allclose(snippet.centres - snippet.position, moved[1:] - moved[0], atol=1e-4)


def test_frames_without_valid_truth_are_in_no_snippet(params: Params, start: TrackerConfig) -> None:
    sequence = drawn_sequence()
    boxes = sequence.boxes.copy()
    boxes[2] = np.nan
    boxes[6, 2:] = 0
    snippets = Snippets([dataclasses.replace(sequence, boxes=boxes)], params, start, 2)
    firsts = {first_frame(s, sequence) for s in snippets.draw(0, 0, 12)}
    assert firsts == {3}
    with pytest.raises(InputError, match="--snippet_frames: no training sequence has 5 frames"):
        Snippets([dataclasses.replace(sequence, boxes=boxes)], params, start, 4)


def test_a_box_that_cannot_be_tracked_begins_no_snippet(
    params: Params, start: TrackerConfig
) -> None:
    sequence = drawn_sequence(frames=4)
    boxes = sequence.boxes.copy()
    boxes[0, 2:] = 2.0  # a grid of one cell
    snippets = Snippets([dataclasses.replace(sequence, boxes=boxes)], params, start, 2)
    assert {first_frame(s, sequence) for s in snippets.draw(0, 0, 8)} == {1}


def test_targets_of_all_sizes_are_in_few_buckets(params: Params, start: TrackerConfig) -> None:
    sequence = drawn_sequence()
    grown = sequence.boxes * np.linspace(1, 2, len(sequence))[:, None] ** [0, 0, 1, 1]
    sequences = [dataclasses.replace(sequence, boxes=grown), drawn_sequence(1, height=72, width=96)]
    snippets = Snippets(sequences, params, start, 1)
    assert 1 <= len(snippets.buckets) <= 2
    drawn = snippets.draw(0, 0, 12)
    shapes = {(s.images.shape, s.target.transform.shape) for s in drawn}
    assert len(shapes) == len(snippets.buckets)
    assert {images for images, _ in shapes} == {(2, 72, 96, 3)}
    assert len({tuple(np.asarray(s.target.size)) for s in drawn}) > 2


def test_a_frame_of_another_size_is_named(params: Params, start: TrackerConfig) -> None:
    class Odd:
        def __len__(self) -> int:
            return 2

        def read(self, index: int) -> Frame:
            return np.zeros((64 + index, 80, 3), np.uint8)

        def label(self, index: int) -> str:
            return f"frame {index}"

    sequence = Sequence("Odd", Odd(), drawn_sequence(frames=2).boxes)
    with pytest.raises(InputError, match="frame 1: 80 x 65 px, but the first frame has 80 x 64"):
        Snippets([sequence], params, start, 1).draw(0, 0, 1)
