import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from hcft_jax.core.config import TrackerConfig
from hcft_jax.data.synthetic import Synthetic
from hcft_jax.experiment import config_files, settings
from hcft_jax.experiment.settings import Experiment, OwnVideo
from hcft_jax.experiment.sweeps import product
from hcft_jax.util.errors import InputError

SHIPPED = [
    *("alex", "alex_c3", "alex_c4", "alex_c5", "alex_c543", "alex_c5_c4"),
    *("c3", "c4", "c5", "c543", "c5_c4", "cf2", "cf2_head", "csk", "dcf", "demo", "dsst"),
    *(
        "first_layer",
        "hcft",
        "hcft_plus",
        "kcf",
        "kcf_grey",
        "lite0",
        "lite0_fast",
        "otb",
        "slow_update",
        "video",
    ),
]
HOG: dict[str, Any] = {"backbone": "hog", "layers": ("hog_4",), "gamma": (1.0,)}


def test_the_shipped_configurations_are_there() -> None:
    assert sorted(config_files.available()) == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_configuration_is_valid(name: str) -> None:
    experiment = settings.load(name)
    assert experiment.tracker.validate() is experiment.tracker
    assert experiment.name == name


def test_gamma_is_the_authors_order() -> None:
    tracker = settings.load("cf2").tracker
    assert dict(zip(tracker.layers, tracker.gamma, strict=True)) == {
        "conv5_4": 1.0,
        "conv4_4": 0.5,
        "conv3_4": 0.02,
    }
    assert (tracker.eta, tracker.lambda_, tracker.sigma) == (0.01, 1e-4, 0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": ("conv5_5",)}, r"layers: no layer 'conv5_5'.*did you mean conv5_4"),
        ({"backbone": "vgg"}, "backbone: no 'vgg'; there are vgg19, alexnet"),
        ({"backbone": "alexnet"}, r"no layer 'conv5_4' in AlexNet .*conv5.*there are conv1, conv2"),
        ({"layers": ()}, "layers: name at least one"),
        ({"layers": ("conv5_4",) * 3}, "twice"),
        ({"gamma": (1.0, 0.5)}, "gamma: 2 values for 3 layers"),
        ({"gamma": (1.0, 0.5, -0.1)}, "gamma: -0.1"),
        ({"gamma": (1.0, 0.5, float("nan"))}, "gamma: nan"),
        ({"lambda_": -1e-4}, "lambda: -0.0001"),
        ({"lambda_": 0.0}, "lambda: 0.0"),
        ({"eta": 1.5}, r"eta: 1.5 .* at most 1"),
        ({"eta": -0.1}, "^eta: "),
        ({"eta": float("inf")}, "^eta: "),
        ({"sigma": 0.0}, "^sigma: "),
        ({"radius": -1.0}, "^radius: "),
        ({"update": "paperr"}, r"update: 'paperr' is not one of \('paper', 'cf2'\)"),
        ({"search": "max"}, "^search: "),
        ({"temperature": 0.0}, "temperature: 0.0 must be finite, above 0"),
        ({"eta": (0.1, 0.2)}, "eta: 2 values for 3 layers"),
        ({"eta": (0.1, 0.2, 1.2)}, "eta: 1.2 must be"),
        ({"eta": (0.1,) * 3, "hypercolumn": True}, "a hypercolumn has one filter"),
        ({"dft": "slow"}, "^dft: "),
        ({"input_size": 31}, r"input_size: 31 leaves a map of one cell of conv5_4.*at least 32"),
        ({"layers": ("conv3_4",), "gamma": (1.0,), "input_size": 7}, "at least 8"),
        (
            {"backbone": "alexnet", "layers": ("conv1", "conv5", "conv2"), "input_size": 50},
            r"input_size: 50 leaves a map of one cell of conv5.*at least 51",
        ),
        ({"kernel": "gaussian"}, "kernel: gaussian averages alpha, not a numerator; set update"),
        ({"kernel": "csk"}, "kernel: csk averages alpha"),
        ({"kernel": "cubic", "update": "cf2"}, "kernel: 'cubic' is not one of"),
        ({"temperature": 1e-46}, "temperature: 1e-46 is too small for float32: give 1e-15 to"),
        ({"lambda_": 1e300}, "lambda: 1e.300 is too large for float32"),
        ({"lambda_": 1e-40}, "lambda: 1e-40 is too small for float32"),
        ({"sigma": 1e39}, "sigma: 1e.39 is too large for float32"),
        ({"radius": 1e300}, "radius: 1e.300 is too large for float32"),
        ({"bandwidth": 1e-300}, "bandwidth: 1e-300 is too small for float32"),
        ({"gamma": (1e300, 1.0, 1.0)}, "gamma: 1e.300 is too large for float32"),
        ({"gamma": (0.0, 0.0, 0.0)}, "gamma: no layer has a weight of at least 1e-15"),
        ({"gamma": (0.0, 1e-46, 0.0)}, "gamma: no layer has a weight of at least 1e-15"),
        ({"eta": 10**400}, "eta: 10+\\.\\.\\.0+ is not a number"),
        ({"padding": 1e6}, "padding: 1000000.0 must be finite, above 1 and at most 100"),
        ({"padding": 0.0}, "padding: 0.0 must be finite, above 1"),
        ({"scale_margin": 1e300}, "scale_margin: 1e.300 must be finite, at least 0 and at most"),
        ({"grid": 10**9}, "grid: 1000000000 must be at most 2048"),
        ({"looks": 10**9}, "looks: 1000000000 must be at most 2048"),
        ({"bandwidth": 0.0}, "bandwidth: 0.0 must be finite, above 0"),
        ({"window": "scaled"}, "window: scaled needs a size that changes; set scale, too"),
        ({"window": "other"}, "window: 'other' is not one of"),
        ({"scale": "fdsst"}, "scale: 'fdsst' is not one of"),
        ({"scale_eta": 1.5}, "scale_eta: 1.5 must be .* at most 1"),
        ({"scale_margin": -1.0}, "scale_margin: -1.0 must be finite, at least 0"),
        ({"padding": 1.0}, "padding: 1.0 must be finite, above 1"),
        ({"padding": 0.5}, "padding: 0.5 must be finite, above 1"),
        ({"halved_from": 100.0}, "halved_from: vgg19 sees a square; leave it out"),
        ({"halved_from": -1.0}, "halved_from: -1.0 must be finite, above 0"),
        (HOG | {"input_size": 64}, "input_size: hog has the window's own pixels; leave it out"),
        (HOG | {"grid": 40}, "grid: hog has the window's own pixels; leave it out"),
        (
            HOG | {"layers": ("hog_4", "grey"), "gamma": (1.0, 1.0)},
            "layers: hog_4,grey have cells of several sizes",
        ),
        (HOG | {"layers": ("hog_2",)}, "layers: no layer 'hog_2' in fHOG .*grey, hog_1, hog_4"),
    ],
)
def test_a_value_out_of_range_names_its_field(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(TrackerConfig(), **changes).validate()


def test_constants_are_leaves_and_choices_are_not() -> None:
    leaves = jax.tree.leaves(TrackerConfig(gamma=(1.0, 2.0, 3.0)))
    # the last three: the scale filter's learning rate, the kernel's bandwidth, the memory's rate
    assert leaves == [1.0, 2.0, 3.0, 0.01, 1e-4, 0.1, 8.0, 0.02, 0.01, 0.5, 0.01]
    choice = TrackerConfig(scale="dsst", kernel="csk", normalized=True, padding=3.0)
    assert jax.tree.leaves(choice) == jax.tree.leaves(TrackerConfig())
    assert str(jax.tree.structure(choice)) != str(jax.tree.structure(TrackerConfig()))


def test_an_unknown_configuration_lists_near_and_all_names() -> None:
    with pytest.raises(InputError, match=r"no 'hcftt' \(did you mean hcft.*c5_c4, c543"):
        settings.load("hcftt")


def test_a_configuration_may_be_ones_own_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from hcft_jax.experiment.settings import derive\n"
        "def get_config():\n"
        "    return derive('cf2', eta=0.5, overlay=True)\n"
    )
    experiment = settings.load(str(path))
    assert (experiment.name, experiment.overlay) == ("mine", True)
    assert (experiment.tracker.eta, experiment.tracker.update) == (0.5, "cf2")


OWN = "from hcft_jax import *\nget_config = lambda:"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no file"),
        ("x = 1\n", "AttributeError"),
        ("def get_config(:\n", "SyntaxError"),
        ("import sys\nsys.exit()\n", "SystemExit"),
        ("def get_config():\n    raise SystemExit(0)\n", "SystemExit: 0"),
        ("class Odd(BaseException): ...\nraise Odd('x')\n", "Odd: x"),
        ("def get_config():\n    return 3\n", "must return an Experiment"),
        ("(\n" * 600_000, "too large for its kind, at most 1 MiB"),
        ("async def get_config():\n    return 3\n", "must return an Experiment"),
        (f"{OWN} derive('hcft', etta=1)", "etta: no such field"),
        (f"{OWN} derive('hcft', eta=10**400)", "eta: '1000.*' is not a list of numbers"),
        (f"{OWN} Experiment('x', tracker=None)", "tracker: None is not of the type TrackerConfig"),
        (f"{OWN} Experiment('x', lanes='4')", "lanes: '4' is not a whole number"),
        (f"{OWN} Experiment('x', lanes=1.5)", "lanes: 1.5 is not a whole number"),
        (f"{OWN} Experiment('x', data_dir=b'x')", "data_dir: b'x' is not a text or None"),
        (f"{OWN} Experiment('x', data_dir='a\\0b')", "data_dir: .* zero byte"),
        (f"{OWN} Experiment('x', protocols='ope')", "protocols: 'ope' is not a tuple of texts"),
        (f"{OWN} Experiment('x', TrackerConfig(gamma=None))", "gamma: None is not a tuple"),
        (f"{OWN} Experiment('x', TrackerConfig(scales='5'))", "scales: '5' is not a whole number"),
        (f"{OWN} Experiment('x', synthetic=Synthetic(frames=None))", "frames: None is not"),
        (f"{OWN} Experiment('x', own=OwnVideo(box='1,2,3,4'))", "box: '1,2,3,4' is not a tuple"),
        (f"{OWN} (yield)", "must return an Experiment"),
        ("class Odd(BaseException): pass\ndef get_config():\n    raise Odd('so')", "Odd: so"),
        ("def get_config():\n    return get_config()", "RecursionError"),
        ("\0", "ValueError|SyntaxError"),
    ],
)
def test_a_broken_configuration_file_is_named(
    tmp_path: Path, text: str | None, message: str
) -> None:
    path = tmp_path / "broken.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message) as raised:
        settings.load(str(path))
    assert "broken.py" in str(raised.value)


def test_lists_and_numbers_of_numpy_in_ones_own_file_are_what_they_stand_for(
    tmp_path: Path,
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "import numpy as np\n"
        f"{OWN} Experiment('x', TrackerConfig(gamma=[1.0, .5, .02], eta=np.float64(0.01)))"
    )
    experiment = settings.load(str(path)).validate()
    assert experiment.tracker == TrackerConfig()
    assert experiment.folder("w").endswith(settings.load("hcft").folder("w")[-8:])


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ".py", "a\0b.py", None, 5, b"hcft"])
def test_no_name_of_a_configuration_is_more_than_an_error(name: Any) -> None:
    with pytest.raises(InputError):
        settings.load(name)


@pytest.mark.parametrize(
    ("field", "value"), [("lanes", "4"), ("output_dir", None), ("overlay", 2), ("base", 3)]
)
def test_an_experiment_of_other_types_is_not_run(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"{field}: .* is not"):
        replace(settings.load("hcft"), **{field: value}).validate()


ODD: list[Any] = [
    *(None, True, 0, -1, 2**70, 10**400, 1.5, float("nan"), float("inf"), 1e300, 1e-320, 1j),
    *("", "x", "a\0b", "x" * 300, "\udcff", "\n", b"x", [], (), {}, object(), [1], ("a",), (None,)),
    *(np.float32(1), np.int64(2), np.zeros(3), np.array(1.0), (float("nan"),) * 3, int, iter([1])),
    *(TrackerConfig(), Synthetic(), OwnVideo()),
]


@pytest.mark.parametrize("owner", [TrackerConfig, Experiment, OwnVideo, Synthetic])
def test_a_field_of_anything_is_a_setting_or_an_error(owner: Any) -> None:
    wrapped: dict[Any, Callable[[Any], Experiment]] = {
        TrackerConfig: lambda made: Experiment("x", made),
        Experiment: lambda made: made,
        OwnVideo: lambda made: Experiment("x", own=made),
        Synthetic: lambda made: Experiment("x", synthetic=made),
    }
    base: dict[Any, dict[str, Any]] = {
        OwnVideo: {"video": "v", "box": (1.0, 2.0, 3.0, 4.0)},
        Experiment: {"name": "x"},
    }
    refused = 0
    for field in fields(owner):
        for value in ODD:
            try:
                made = owner(**base.get(owner, {}) | {field.name: value})
                experiment = wrapped[owner](made).validate()
            except InputError:
                refused += 1
            else:  # all that is made of it can be written
                assert experiment.folder("weights")
                json.dumps(experiment.settings(), allow_nan=False)
    assert refused > len(fields(owner)) * len(ODD) / 2


@pytest.mark.parametrize("experiment", ODD)
def test_only_an_experiment_is_overridden(experiment: Any) -> None:
    with pytest.raises(InputError):
        settings.override(experiment, {})
    with pytest.raises(InputError):
        product(experiment, eta=[0.1])


CHANGED: dict[str, Any] = {
    "backbone": "alexnet",
    "layers": ("conv5_4", "conv4_4", "conv3_3"),
    "gamma": (1.0, 0.5, 0.03),
    "eta": 0.02,
    "lambda_": 1e-3,
    "sigma": 0.2,
    "radius": 9.0,
    "temperature": 0.03,
    "update": "cf2",
    "search": "sum",
    "normalized": True,
    "scale": "dsst",
    "scale_eta": 0.02,
    "scale_margin": 4.0,
    "padding": 2.5,
    "halved_from": 100.0,
    "kernel": "gaussian",
    "bandwidth": 0.2,
    "window": "scaled",
    "scales": 3,
    "weighting": "adaptive",
    "redetect": True,
    "looks": 8,
    "doubted_below": 0.1,
    "found_above": 0.3,
    "memory_eta": 0.02,
    "hypercolumn": True,
    "input_size": 225,
    "grid": 40,
    "precision": "bfloat16",
    "dft": "fft",
    "synthetic": Synthetic(),
}


@pytest.mark.parametrize("field", CHANGED)
def test_another_setting_is_another_folder(field: str) -> None:
    experiment = settings.load("hcft")
    changed = settings.override(experiment, {field: CHANGED[field]})
    assert changed.folder("weights") != experiment.folder("weights")


def test_no_setting_of_the_tracker_is_left_out_of_that() -> None:
    assert {f.name for f in fields(TrackerConfig)} <= set(CHANGED)


def test_other_weights_are_another_folder() -> None:
    experiment = settings.load("hcft")
    assert experiment.folder("a") != experiment.folder("b")


def test_what_boxes_do_not_depend_on_leaves_the_folder() -> None:
    experiment = settings.load("hcft")
    other = {"overlay": True, "data_dir": "x", "sequences": ("A",), "lanes": 4, "frame_memory": 2.0}
    changed = settings.override(experiment, other)
    assert changed.folder("weights") == experiment.folder("weights")


@pytest.mark.parametrize("gib", [-0.5, float("nan"), float("inf")])
def test_memory_for_frames_is_finite_and_not_negative(gib: float) -> None:
    with pytest.raises(InputError, match=rf"^frame_memory: {gib} must be finite, at least 0$"):
        settings.derive("hcft", frame_memory=gib).validate()


@pytest.mark.parametrize("gamma", ["adaptive", ("adaptive",), ["adaptive"]])
def test_an_adaptive_gamma_starts_from_the_one_there_was(gamma: Any) -> None:
    tracker = settings.derive("cf2_head", gamma=gamma).tracker
    assert tracker.weighting == "adaptive"
    assert tracker.gamma == settings.load("cf2_head").tracker.gamma


def test_eta_is_one_number_or_one_a_layer() -> None:
    one, several = (
        settings.override(settings.load("hcft"), {"eta": value}).tracker.eta
        for value in (("0.02",), ("0.02", "0.03", "0.04"))
    )
    assert one == 0.02
    assert several == (0.02, 0.03, 0.04)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decode": "gpu", "lanes": 4}, "no 'gpu'; there are host, device"),
        ({"decode": "device"}, "device decodes for lanes; set lanes to 2 or more"),
        ({"decode": "device", "lanes": 4, "overlay": True}, "runs with overlay are tracked one by"),
        ({"decode": "device", "lanes": 4, "responses": True}, "runs with responses are tracked"),
        ({"decode": "device", "lanes": 4, "video": "a.mp4", "select": True}, "own videos"),
        ({"decode": "device", "method": "opencv:MIL"}, "the tracker opencv:MIL has none"),
    ],
    ids=str,
)
def test_the_device_decodes_for_lanes_only(changes: dict[str, Any], message: str) -> None:
    experiment = settings.override(settings.load("hcft"), changes)
    with pytest.raises(InputError, match=f"^decode: .*{message}"):
        experiment.validate()


def test_the_pixels_of_another_decoder_are_another_folder() -> None:
    host = settings.derive("hcft", lanes=4, eta=0.02)
    device = settings.override(host, {"decode": "device"}).validate()
    assert host.label == "hcft,eta=0.02"
    assert device.label == "hcft,eta=0.02,decode=device"
    own, other = host.folder("weights"), device.folder("weights")
    assert other.startswith("hcft,eta=0.02,decode=device-")
    assert own.rpartition("-")[2] != other.rpartition("-")[2]
    assert settings.override(host, {"decode": "host"}).folder("weights") == own
