"""The tracker as an object: it gives the benchmark's boxes, and each bad call is an InputError."""

import copy
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import hcft_jax
from hcft_jax.answers import Track, TrackError
from hcft_jax.api import Tracker
from hcft_jax.core import verdict
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data import otb
from hcft_jax.data.sequence import Frame, Sequence
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.experiment.settings import Experiment
from hcft_jax.run.streaming import track_sequence
from hcft_jax.util import compilation
from hcft_jax.util.errors import InputError, InputWarning
from hcft_jax.weights import lookup
from hcft_jax.weights.native import Weights
from tests import films

SMALL = TrackerConfig(layers=("conv2_2", "conv1_2"), gamma=(1.0, 0.5), input_size=32)


@pytest.fixture(scope="module")
def untrained() -> Iterator[Weights]:
    drawn = lookup.random()
    alive = Tracker(SMALL, drawn)  # it keeps the network on the device for all tests
    yield drawn
    del alive


@pytest.fixture(scope="module")
def sequence() -> Sequence:
    return synthetic(Synthetic(frames=9, height=64, width=80, target=(24, 24), motion=18.0, seed=3))


@pytest.fixture(scope="module")
def frames(sequence: Sequence) -> list[Frame]:
    return [sequence.frames.read(i) for i in range(len(sequence))]


@pytest.fixture
def tracker(untrained: Weights) -> Tracker:
    return Tracker(SMALL, untrained)


def test_its_boxes_are_those_of_the_benchmark(
    tracker: Tracker, sequence: Sequence, frames: list[Frame]
) -> None:
    expected = list(track_sequence(tracker.params, SMALL, sequence))
    results = [tracker.init(frames[0], sequence.boxes[0])]
    results += [tracker.update(frame) for frame in frames[1:]]
    boxes = np.stack([r.box for r in results])
    np.testing.assert_array_equal(boxes, np.concatenate([t.boxes for t in expected]))
    psr = np.concatenate([t.psr for t in expected])
    np.testing.assert_allclose([r.score for r in results], psr, rtol=1e-4)
    assert len(np.unique(boxes, axis=0)) > 2  # it moved


def test_everything_is_compiled_before_the_first_update(
    tracker: Tracker, sequence: Sequence, frames: list[Frame]
) -> None:
    tracker.init(frames[0], sequence.boxes[0])
    before = compilation.total()
    for frame in frames[1:4]:
        tracker.update(frame)
    tracker.init(frames[0], sequence.boxes[0] + np.array([3.5, 0, 0, 0]))
    tracker.update(frames[1])
    assert (compilation.total() - before).executables == 0


def test_boxes_of_other_sizes_compile_nothing(tracker: Tracker, frames: list[Frame]) -> None:
    tracker.init(frames[0], (28, 20, 24, 24))
    for box in [(5.5, 8, 30, 17), (50, 30, 12, 26), (20, 20, 41, 18)]:
        state = hcft_jax.init(tracker.params, SMALL, frames[0], box)
        compiled = compilation.total()
        tracker.init(frames[0], box)
        np.testing.assert_array_equal(tracker.state.position, state.position)
        results = [tracker.update(frame) for frame in frames[1:5]]
        assert compilation.total() == compiled
        for frame, seen in zip(frames[1:5], results, strict=True):
            state, output = hcft_jax.step(tracker.params, SMALL, state, frame)
            np.testing.assert_array_equal(seen.box, output.box)


@pytest.mark.parametrize(
    "convert",
    [
        lambda image: image.astype(np.float32),
        lambda image: image.astype(np.float64),
        lambda image: image.astype(np.uint16) * 256 + 99,
        lambda image: jnp.asarray(image),
        lambda image: jnp.asarray(image, jnp.float32),
        lambda image: np.asfortranarray(image),
    ],
    ids=["float32", "float64", "uint16", "jax", "jax float", "columns first"],
)
def test_the_form_of_the_image_does_not_matter(
    convert: Callable[[Frame], Any], tracker: Tracker, sequence: Sequence, frames: list[Frame]
) -> None:
    plain = tracker.track(frames, sequence.boxes[0])
    other = tracker.track([convert(frame) for frame in frames], sequence.boxes[0])
    np.testing.assert_array_equal(plain.boxes, other.boxes)


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("xp", [np, jnp])
def test_16_bits_that_are_not_all_used_are_scaled_by_the_first_image(
    xp: Any, bits: int, tracker: Tracker, sequence: Sequence, frames: list[Frame]
) -> None:
    given = [frame // 2 for frame in frames]
    given[0] = frames[0]
    plain = tracker.track(given, sequence.boxes[0])
    deep = [xp.asarray(frame.astype(np.uint16) << (bits - 8)) for frame in given]
    with pytest.warns(
        InputWarning, match=rf"image: no value is above .* {bits} bits in 16"
    ) as said:
        other = tracker.track(deep, sequence.boxes[0])
    assert len(said) == 1
    np.testing.assert_array_equal(plain.boxes, other.boxes)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((30, 20, 60, 20), r"60 x 20 px at \(30, 20\) leaves the image of 80 x 64 px$"),
        ((30, 20, 60, 50), r"leaves .*; if these are two corners, the box is 30,20,30,30"),
        ((-6, 20, 30, 30), "leaves the image"),
    ],
)
def test_a_box_that_leaves_the_image_is_a_warning(
    box: Any, message: str, tracker: Tracker, frames: list[Frame]
) -> None:
    with pytest.warns(InputWarning, match=message):
        tracker.init(frames[0], box)


@pytest.mark.parametrize("form", [lambda g: g, lambda g: g[..., None], jnp.asarray])
def test_grey_is_repeated(
    form: Callable[[Any], Any], tracker: Tracker, sequence: Sequence, frames: list[Frame]
) -> None:
    grey = [frame[..., 1] for frame in frames]
    expected = tracker.track([np.repeat(g[..., None], 3, axis=2) for g in grey], sequence.boxes[0])
    seen = tracker.track([form(g) for g in grey], sequence.boxes[0])
    np.testing.assert_array_equal(seen.boxes, expected.boxes)


def test_a_track_of_images_has_all_frames_and_no_times(
    tracker: Tracker, sequence: Sequence, frames: list[Frame]
) -> None:
    track = tracker.track(iter(frames), sequence.boxes[0])
    assert track.boxes.shape == (9, 4)
    assert track.scores.shape == track.lost.shape == track.times.shape == (9,)
    assert np.isnan(track.times).all()
    assert np.isnan(track.scores[0])
    np.testing.assert_array_equal(
        track.lost[1:], track.scores[1:] < verdict.lost_below(tracker.config)
    )


def test_a_track_of_a_folder_has_times(
    tracker: Tracker, sequence: Sequence, frames: list[Frame], tmp_path: Path
) -> None:
    folder = otb.write(sequence, tmp_path)
    track = tracker.track(folder / "img", sequence.boxes[0])
    np.testing.assert_array_equal(track.boxes, tracker.track(frames, sequence.boxes[0]).boxes)
    np.testing.assert_allclose(track.times, np.arange(9) / 30)


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        ({"start": 3, "end": 8}, [3, 4, 5, 6, 7, 8]),
        ({"start": 2, "every": 3, "max_frames": 2}, [2, 5]),
        ({"backwards": True}, [9, 8, 7, 6, 5, 4, 3, 2, 1]),
        ({"backwards": True, "end": 7, "every": 2}, [7, 5, 3, 1]),
    ],
)
def test_a_part_has_the_boxes_of_its_frames_alone(
    part: dict[str, Any],
    wanted: list[int],
    tracker: Tracker,
    sequence: Sequence,
    frames: list[Frame],
    tmp_path: Path,
) -> None:
    box = sequence.boxes[wanted[0] - 1]
    alone = tracker.track([frames[n - 1] for n in wanted], box)
    clip = films.write(tmp_path / "a.mkv", frames)
    for source in (clip, frames):
        own = tracker.track(source, box, **part)
        np.testing.assert_array_equal(own.boxes, alone.boxes)
        assert own.frames.tolist() == wanted


def test_a_stream_gives_each_answer_with_its_frame_and_ends_where_the_loop_is_left(
    tracker: Tracker, sequence: Sequence, frames: list[Frame], tmp_path: Path
) -> None:
    clip = films.write(tmp_path / "a.mkv", frames)
    track = tracker.track(clip, sequence.boxes[0])
    for index, result in enumerate(tracker.stream(clip, sequence.boxes[0])):
        np.testing.assert_array_equal(result.box, track.boxes[index])
        np.testing.assert_array_equal(result.image, frames[index])
        assert (result.frame, result.lost) == (index + 1, track.lost[index])
        assert result.time == pytest.approx(index / 25, abs=1e-3)
        if index == 3:
            break
    assert threading.active_count() < 20


def test_a_callback_hears_of_each_frame_and_may_end_the_track(
    tracker: Tracker, sequence: Sequence, frames: list[Frame]
) -> None:
    heard = []

    def heed(result: hcft_jax.TrackedFrame) -> bool:
        heard.append(result.frame)
        return result.frame < 4

    assert len(tracker.track(frames, sequence.boxes[0], callback=heed).boxes) == 4
    assert heard == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"start": "1s"}, "start: images have no times"),
        ({"start": 2.5}, "start: '2.5' is neither"),
        ({"start": 99}, "it ends before its first frame"),
        ({"every": 0}, "every: 0 must be at least 1"),
    ],
)
def test_a_part_that_images_do_not_have_is_an_error(
    part: dict[str, Any], message: str, tracker: Tracker, frames: list[Frame]
) -> None:
    with pytest.raises(InputError, match=message):
        tracker.track(frames, (28, 20, 24, 24), **part)
    with pytest.raises(InputError, match="backwards: needs images in a list"):
        tracker.track(iter(frames), (28, 20, 24, 24), backwards=True)


def test_blue_may_come_first_and_videos_are_not_turned_round(
    untrained: Weights, sequence: Sequence, frames: list[Frame], tmp_path: Path
) -> None:
    other = Tracker(SMALL, untrained, color="bgr")
    plain = Tracker(SMALL, untrained).track(frames, sequence.boxes[0])
    turned = other.track([frame[..., ::-1] for frame in frames], sequence.boxes[0])
    np.testing.assert_array_equal(turned.boxes, plain.boxes)
    film = other.track(films.write(tmp_path / "a.mkv", frames), sequence.boxes[0])
    np.testing.assert_array_equal(film.boxes, plain.boxes)
    with pytest.raises(InputError, match="color: 'cmyk' is neither rgb nor bgr"):
        Tracker(SMALL, untrained, color="cmyk")


def test_a_target_may_be_given_anew_at_any_time(
    tracker: Tracker, untrained: Weights, sequence: Sequence, frames: list[Frame]
) -> None:
    tracker.track(frames, sequence.boxes[0])
    again = tracker.track(frames[3:], sequence.boxes[3])
    fresh = Tracker(SMALL, untrained).track(frames[3:], sequence.boxes[3])
    np.testing.assert_array_equal(again.boxes, fresh.boxes)


def test_trackers_in_threads_do_not_disturb_each_other(
    untrained: Weights, sequence: Sequence, frames: list[Frame]
) -> None:
    tracks: dict[int, Any] = {}

    def work(number: int) -> None:
        own = Tracker(SMALL, untrained)
        start = number % 2
        tracks[number] = own.track(frames[start:], sequence.boxes[start])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for start in (0, 1):
        expected = Tracker(SMALL, untrained).track(frames[start:], sequence.boxes[start])
        for number in (start, start + 2):
            np.testing.assert_array_equal(tracks[number].boxes, expected.boxes)


def test_trackers_share_their_network(untrained: Weights) -> None:
    one, other = Tracker(SMALL, untrained), Tracker("cf2", untrained)
    assert one.params is other.params
    rounded = Tracker(replace(SMALL, precision="bfloat16"), untrained)
    assert rounded.params is not one.params


def test_a_configuration_is_a_name_a_file_an_experiment_or_constants(
    untrained: Weights, tmp_path: Path
) -> None:
    own = tmp_path / "own.py"
    own.write_text("from hcft_jax import derive\nget_config = lambda: derive('cf2', eta=0.5)")
    assert Tracker("cf2", untrained).config.update == "cf2"
    assert Tracker(own, untrained).config.eta == 0.5
    assert Tracker(Experiment("x", SMALL), untrained).config is SMALL


def test_the_package_is_light_until_the_tracker_is_used() -> None:
    code = "import hcft_jax, sys; assert 'jax' not in sys.modules; hcft_jax.Tracker; dir(hcft_jax)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert hcft_jax.Tracker is Tracker
    with pytest.raises(AttributeError, match="Nothing"):
        hcft_jax.Nothing  # noqa: B018


def test_a_target_without_sidelobes_has_no_score_and_is_not_called_lost(
    tracker: Tracker, frames: list[Frame]
) -> None:
    track = tracker.track(frames[:3], (30, 30, 18, 18))  # 2 x 18 px: a grid of 9 x 9 cells
    assert np.isnan(track.scores).all()
    assert not track.lost.any()


class Tensor:
    """Like those of PyTorch: an array only without its gradient, and on the host."""

    def __init__(self, values: Any, grad: bool, broken: bool = False):
        self.values, self.grad, self.broken = values, grad, broken

    def detach(self) -> "Tensor":
        return Tensor(self.values, False, self.broken)

    def cpu(self) -> "Tensor":
        return self

    def __array__(self, *_: Any, **__: Any) -> Any:
        if self.grad or self.broken:
            raise RuntimeError("no memory" if self.broken else "requires grad")
        return np.asarray(self.values)


def test_a_tensor_with_a_gradient_is_an_image(
    tracker: Tracker, sequence: Sequence, frames: list[Frame]
) -> None:
    expected = tracker.track(frames[:3], sequence.boxes[0])
    images = [Tensor(frame, grad=True) for frame in frames[:3]]
    track = tracker.track(images, Tensor(sequence.boxes[0], grad=True))
    np.testing.assert_array_equal(track.boxes, expected.boxes)


class TestBadCalls:
    """Each raises an InputError that says what is wrong, and the former target is kept."""

    def test_update_before_init(self, tracker: Tracker, frames: list[Frame]) -> None:
        with pytest.raises(InputError, match=r"no target yet: call init\(image, box\) first"):
            tracker.update(frames[0])

    @pytest.mark.parametrize(
        ("box", "message"),
        [
            ((100, 10, 20, 20), r"20 x 20 px at \(100, 10\) lies outside the image of 80 x 64 px"),
            ((10, 10, 0, 20), "is empty"),
            ((10, 10, float("nan"), 20), "not four finite numbers"),
            ((10, 10, 20), "not four finite numbers"),
            ((10, 10, 200, 20), "larger than the image"),
            (None, "first box: None is not an array of numbers"),
            ("1,2,9,9", "first box: a value of the type str is not an array of numbers"),
            ({"x": 1}, "first box: a value of the type dict is not"),
            ((n for n in (1, 2, 9, 9)), "first box: a value of the type generator is not"),
            ((10**400, 2, 9, 9), "first box: a value of the type tuple is not"),
            (([1, 2], 9, 9), "cannot be taken for an array of numbers"),
            ((1j, 2, 9, 9), "is not an array of numbers"),
            (np.zeros(4, [("x", int)]), r"an array of \[\('x', '<i8'\)\] is not"),
        ],
    )
    def test_a_box_that_cannot_be_tracked(
        self, box: Any, message: str, tracker: Tracker, frames: list[Frame]
    ) -> None:
        with pytest.raises(InputError, match=message):
            tracker.init(frames[0], box)

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda f: f[:60], "it is 80 x 60 px, but the first one was 80 x 64 px"),
            (lambda f: f[..., 0], "it is grey, but the first one was RGB"),
            (lambda f: f.astype(np.float32), "it is float32, but the first one was uint8"),
            (lambda f: np.dstack([f, f[..., :1]]), r"\(64, 80, 4\) is neither .*leave alpha out"),
            (lambda f: f[None], r"\(1, 64, 80, 3\) is neither RGB"),
            (lambda f: f[:0], r"\(0, 80, 3\) is neither RGB"),
            (lambda f: f.astype(np.int64), "int64 is neither uint8, uint16 nor float"),
            (lambda f: np.where(f > 0, np.nan, 0.0), "not finite"),
            (lambda f: None, "image: None is not an array of numbers"),
            (lambda f: "0001.jpg", r"0001\.jpg: cannot read the image \(No such file"),
            (lambda f: {"image": f}, "image: a value of the type dict is not"),
            (lambda f: iter(f), "image: .*iterator is not an array of numbers"),
            (lambda f: f.astype([("r", "u1")]), "image: an array of .* is not an array of"),
            (lambda f: f.astype(object), "image: an array of object is not an array of numbers"),
            (lambda f: [[1, 2], [3]], "image: .*list cannot be taken for an array"),
            (lambda f: Tensor(f, grad=True, broken=True), "Tensor cannot be taken .*no memory"),
        ],
    )
    def test_another_image(
        self,
        spoil: Callable[[Frame], Any],
        message: str,
        tracker: Tracker,
        sequence: Sequence,
        frames: list[Frame],
    ) -> None:
        expected = tracker.track(frames[:3], sequence.boxes[0])
        tracker.init(frames[0], sequence.boxes[0])
        tracker.update(frames[1])
        with pytest.raises(InputError, match=message):
            tracker.update(spoil(frames[2]))
        np.testing.assert_array_equal(tracker.update(frames[2]).box, expected.boxes[2])

    @pytest.mark.parametrize("xp", [np, jnp])
    def test_values_that_are_not_finite(
        self, xp: Any, tracker: Tracker, sequence: Sequence, frames: list[Frame]
    ) -> None:
        image = frames[0].astype(np.float32)
        image[5, 5, 1] = np.inf
        with pytest.raises(InputError, match="not finite"):
            tracker.init(xp.asarray(image), sequence.boxes[0])

    def test_floats_up_to_one(
        self, tracker: Tracker, sequence: Sequence, frames: list[Frame]
    ) -> None:
        with pytest.raises(InputError, match=r"in \[0, 255\], and these are at most 1"):
            tracker.init(frames[0] / 255, sequence.boxes[0])

    @pytest.mark.parametrize("xp", [np, jnp])
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda f: f / 255, "at most 1"),
            (lambda f: (f - 120.0) / 60.0, r"in \[0, 255\], and these are in \[-"),
            (lambda f: f * 257.0, r"in \[0, 255\], and these are in \["),
        ],
        ids=["to one", "standardised", "16 bits"],
    )
    def test_floats_in_another_range_at_any_call(
        self,
        change: Callable[[Any], Any],
        message: str,
        xp: Any,
        tracker: Tracker,
        sequence: Sequence,
        frames: list[Frame],
    ) -> None:
        given = [xp.asarray(frame, np.float32) for frame in frames[:3]]
        expected = tracker.track(given, sequence.boxes[0])
        with pytest.raises(InputError, match=message):
            tracker.init(change(given[0]), sequence.boxes[0])
        tracker.init(given[0], sequence.boxes[0])
        tracker.update(given[1])
        with pytest.raises(InputError, match=message):
            tracker.update(change(given[2]))
        np.testing.assert_array_equal(tracker.update(given[2]).box, expected.boxes[2])

    def test_a_frame_that_is_nearly_black_is_none_of_another_range(
        self, tracker: Tracker, sequence: Sequence, frames: list[Frame]
    ) -> None:
        tracker.init(frames[0].astype(np.float32), sequence.boxes[0])
        assert tracker.update(np.zeros(frames[0].shape, np.float32)).lost
        assert tracker.update((frames[0] > 250).astype(np.float32)).box.shape == (4,)

    def test_16_bits_after_8(
        self, tracker: Tracker, sequence: Sequence, frames: list[Frame]
    ) -> None:
        tracker.init(frames[0], sequence.boxes[0])
        with pytest.raises(InputError, match="it is uint16, but the first one was uint8"):
            tracker.update(frames[1].astype(np.uint16))

    def test_a_failed_init_leaves_the_former_target(
        self, tracker: Tracker, sequence: Sequence, frames: list[Frame]
    ) -> None:
        expected = tracker.track(frames[:2], sequence.boxes[0])
        tracker.init(frames[0], sequence.boxes[0])
        with pytest.raises(InputError):
            tracker.init(frames[1], (500, 500, 9, 9))
        np.testing.assert_array_equal(tracker.update(frames[1]).box, expected.boxes[1])

    def test_a_stream_that_ends_at_once(self, tracker: Tracker) -> None:
        with pytest.raises(InputError, match="it ends before its first frame"):
            tracker.track([], (1, 1, 9, 9))

    def test_a_path_that_is_no_video(self, tracker: Tracker, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no such file, folder or camera"):
            tracker.track(tmp_path / "absent.mp4", (1, 1, 9, 9))

    def test_a_bad_frame_keeps_the_track_before_it(
        self, tracker: Tracker, sequence: Sequence, frames: list[Frame]
    ) -> None:
        expected = tracker.track(frames[:3], sequence.boxes[0])
        with pytest.raises(TrackError, match="frame 4: image: it is grey") as caught:
            tracker.track([*frames[:3], frames[3][..., 0]], sequence.boxes[0])
        np.testing.assert_array_equal(caught.value.track.boxes, expected.boxes)

    def test_a_damaged_video_keeps_the_track_of_what_could_be_decoded(
        self, tracker: Tracker, sequence: Sequence, frames: list[Frame], tmp_path: Path
    ) -> None:
        path = films.write(tmp_path / "a.mkv", frames)
        path.write_bytes(path.read_bytes()[: -path.stat().st_size // 3])
        with pytest.raises(TrackError, match=r"^\S*a\.mkv: the video is damaged: ") as caught:
            tracker.track(path, sequence.boxes[0])
        count = len(caught.value.track.boxes)
        assert 3 < count < 9
        expected = tracker.track(frames[: count - 1], sequence.boxes[0])
        np.testing.assert_array_equal(caught.value.track.boxes[:-1], expected.boxes)

    def test_weights_and_configurations_that_are_not_there(self, untrained: Weights) -> None:
        with pytest.raises(InputError, match=r"absent\.npz"):
            Tracker("hcft", "absent.npz")
        with pytest.raises(InputError, match="no 'hfct'"):
            Tracker("hfct")
        with pytest.raises(InputError, match="not AlexNet's"):
            Tracker("alex", untrained)

    @pytest.mark.parametrize("frames", [None, 1.5, b"x.mp4", {"0": 1}, object()])
    def test_frames_that_are_none(self, frames: Any, tracker: Tracker) -> None:
        with pytest.raises(InputError, match=f"frames: {type(frames).__name__} is neither images"):
            tracker.track(frames, (1, 1, 9, 9))

    @pytest.mark.parametrize("name", ["x" * 300, "a\0b.mp4"])
    def test_names_that_no_video_can_have(self, name: str, tracker: Tracker) -> None:
        with pytest.raises(InputError, match="no such file, folder or camera"):
            tracker.track(name, (1, 1, 9, 9))

    @pytest.mark.parametrize("config", [None, 5, b"hcft", {"eta": 0.1}, [], TrackerConfig])
    def test_no_configuration(self, config: Any, untrained: Weights) -> None:
        with pytest.raises(InputError, match=r"config: .* is n"):
            Tracker(config, untrained)

    @pytest.mark.parametrize("weights", [5, b"x.npz", {}, Weights])
    def test_no_weights(self, weights: Any) -> None:
        with pytest.raises(InputError, match=r"weights: .* is neither a file nor Weights"):
            Tracker(SMALL, weights)

    def test_constants_of_another_type(self, untrained: Weights) -> None:
        with pytest.raises(InputError, match="gamma: None is not a tuple of numbers"):
            Tracker(replace(SMALL, gamma=None), untrained)  # type: ignore[arg-type]

    def test_a_tracker_cannot_be_copied(self, tracker: Tracker) -> None:
        for make in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(InputError, match="make one in each process"):
                make(tracker)

    def test_an_error_with_a_track_goes_from_process_to_process(self) -> None:
        track = Track(
            np.zeros((2, 4), np.float32),
            np.ones(2, np.float32),
            np.ones(2),
            np.ones(2, np.bool_),
            np.arange(2),
        )
        error = pickle.loads(pickle.dumps(TrackError("frame 3: bad", track)))
        assert (str(error), error.track.boxes.tolist()) == ("frame 3: bad", track.boxes.tolist())
