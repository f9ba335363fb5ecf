import dataclasses
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from absl import flags

from hcft_jax.core.config import TrackerConfig
from hcft_jax.experiment import options, settings, sweeps
from hcft_jax.experiment.settings import Experiment
from hcft_jax.experiment.sweeps import Sweep, product
from hcft_jax.util.errors import InputError

SHIPPED = ["ablation", "gamma_eta"]


def labels(experiments: list[Experiment]) -> list[str]:
    return [experiment.label for experiment in experiments]


def test_a_product_has_every_combination_the_first_field_slowest() -> None:
    made = product("hcft", radius=(4, 8), eta=(0.01, 0.02))
    assert [(e.tracker.radius, e.tracker.eta) for e in made] == [
        (4, 0.01),
        (4, 0.02),
        (8, 0.01),
        (8, 0.02),
    ]
    # the configuration's own values are no part of the name; fields are in their order
    assert labels(made) == ["hcft,radius=4", "hcft,eta=0.02,radius=4", "hcft", "hcft,eta=0.02"]


@pytest.mark.parametrize(
    ("field", "value", "label"),
    [
        ("eta", 0.02, "hcft,eta=0.02"),
        ("eta", 1 / 3, "hcft,eta=0.3333333333333333"),
        ("lambda_", 1e-3, "hcft,lambda=0.001"),
        ("gamma", (1, 0.5, 0.25), "hcft,gamma=1+0.5+0.25"),
        ("gamma", [1, 0.5, 0.25], "hcft,gamma=1+0.5+0.25"),
        ("hypercolumn", True, "hcft,hypercolumn=true"),
        ("update", "cf2", "hcft,update=cf2"),
        ("input_size", 112, "hcft,input_size=112"),
    ],
)
def test_labels_say_flag_and_value(field: str, value: Any, label: str) -> None:
    assert labels(product("hcft", **{field: [value]})) == [label]


def test_the_same_settings_have_the_same_folder_whoever_makes_them() -> None:
    once = settings.override(settings.load("hcft"), {"update": "cf2", "eta": 0.02})
    (twice,) = product(settings.derive("hcft", update="cf2"), eta=[np.float64(0.02)])
    back = settings.override(twice, {"update": "paper", "eta": 0.01})
    assert twice.folder("w") == once.folder("w")
    assert once.folder("w").startswith("hcft,eta=0.02,update=cf2-")
    assert back.folder("w") == settings.load("hcft").folder("w")


def test_integers_and_floats_are_one_setting() -> None:
    one, other = product("hcft", gamma=[(1, 1, 1), (1.0, 1.0, 1.0)])
    assert one.folder("w") == other.folder("w")


def test_folders_are_names_of_files_however_long_the_label() -> None:
    (long,) = product("hcft", gamma=[(1 / 3,) * 3], eta=[1 / 7], radius=[1 / 9], sigma=[1 / 11])
    odd = Experiment('a/b:c*d"é', TrackerConfig())
    for experiment in (long, odd):
        folder = experiment.folder("w")
        assert len(folder.encode()) < 200
        assert not set(folder) & set('/\\:*?"<>|')
    other = settings.override(long, {"dft": "fft"})  # its name is cut off, its hash is not
    assert other.folder("w") != long.folder("w")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_sweeps_are_valid_and_begin_with_the_paper(name: str) -> None:
    sweep = sweeps.load(name).validate()
    assert sweep.name == name
    assert sweep.experiments[0].folder("w") == settings.load("hcft").folder("w")


def test_all_shipped_sweeps_are_known() -> None:
    assert sweeps.available() == SHIPPED


def test_the_ablation_is_made_of_the_shipped_configurations() -> None:
    for experiment in sweeps.load("ablation").experiments:
        assert experiment.folder("w") == settings.load(experiment.name).folder("w")


@pytest.mark.parametrize("name", SHIPPED)
def test_the_command_of_a_row_gives_its_folder(name: str) -> None:
    for experiment in sweeps.load(name).experiments:
        given = dataclasses.replace(experiment, data_dir="my data", sequences=("A", "B"))
        command = options.command(given)
        assert command is not None
        python, m, module, configuration, *rest = shlex.split(command)
        assert (python, m, module) == ("python", "-m", "hcft_jax.main")
        values = flags.FlagValues()
        options.define(values)
        values(["main", *rest])
        again = settings.load(configuration.removeprefix("--config="))
        assert settings.override(again, options.changes(values)) == given


def test_experiments_that_main_does_not_know_have_no_command() -> None:
    assert options.command(Experiment("mine", TrackerConfig())) is None
    assert options.command(Experiment("hcft", TrackerConfig(eta=0.5))) is None


def test_an_experiment_of_ones_own_file_has_the_command_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from hcft_jax import Experiment, TrackerConfig\n\n\n"
        "def get_config():\n    return Experiment('mine', TrackerConfig(radius=5.0))\n"
    )
    own = settings.override(settings.load(str(path)), {"eta": (0.5,)})
    assert options.command(own) is None
    said = options.command(own, str(path))
    assert said == f"python -m hcft_jax.main --config={path} --eta=0.5"


def test_a_flag_changes_all_experiments() -> None:
    sweep = sweeps.load("ablation").override({"update": "cf2", "data_dir": "x"})
    assert {e.tracker.update for e in sweep.experiments} == {"cf2"}
    assert sweep.experiments[1].label == "c5,update=cf2"


@pytest.mark.parametrize(("field", "flag"), [("gamma", "gamma"), ("eta", "eta")])
def test_a_flag_for_what_the_sweep_varies_is_refused(field: str, flag: str) -> None:
    with pytest.raises(InputError, match=f"{flag}: sweep gamma_eta gives it different values"):
        sweeps.load("gamma_eta").override({field: 0.1})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "sweep: no file"),
        ("x = 1", "AttributeError"),
        ("def get_sweep(:", "SyntaxError"),
        ("import nowhere", "ModuleNotFoundError"),
        ("get_sweep = lambda: 3", "must return a list of Experiments"),
        ("get_sweep = lambda: []", "must return a list of Experiments"),
        ("get_sweep = lambda: ['hcft']", "must return a list of Experiments"),
        ("get_sweep = lambda: product('hcftt', eta=[1])", "no 'hcftt'"),
        ("get_sweep = lambda: product('hcft', etta=[1])", "product: 'etta' is no field"),
        ("get_sweep = lambda: product('hcft', weights=['a'])", "'weights' is no field"),
        (
            "get_sweep = lambda: product('hcft', eta=['fast'])",
            "eta: 'fast' is not a list of numbers",
        ),
        ("get_sweep = lambda: product('hcft', gamma=[1])", "gamma: '1' is not a list"),
        ("get_sweep = lambda: product('hcft', eta=[0.01, 2])", r"eta: 2\.0"),
        ("get_sweep = lambda: product('hcft', eta=[1, 1])", "two experiments are called hcft,eta"),
    ],
)
def test_a_broken_sweep_is_one_line(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "broken.py"
    if text is not None:
        path.write_text(f"from hcft_jax.experiment.sweeps import product\n{text}\n")
    with pytest.raises(InputError, match=message) as raised:
        sweeps.load(str(path)).validate()
    assert "\n" not in str(raised.value)


def test_an_unknown_sweep_lists_near_and_all_names() -> None:
    with pytest.raises(InputError, match=r"no 'ablatoin' \(did you mean ablation\?\).*gamma_eta"):
        sweeps.load("ablatoin")


def test_labels_that_differ_in_case_alone_are_refused() -> None:
    pair = (Experiment("A"), Experiment("a"))
    with pytest.raises(InputError, match="two experiments are called a"):
        Sweep("s", pair).validate()
