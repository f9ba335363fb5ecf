"""Every Python and console block of the documents runs, or says why it does not."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hcft_jax.experiment import settings, sweeps
from tests.docs.blocks import ROOT, Block, blocks, execute, is_ours, module, pages

pytestmark = pytest.mark.usefixtures("random_weights_drawn_once")

QUICK = ["--layers=conv1_2", "--gamma=1", "--input_size=32", "--weights=random"]
KEEP = "--compilation_cache=none"
SMALLER = [
    ("lanes=64", "lanes=2"),
    ("conv5_4", "conv2_2"),
    ("conv4_4", "conv1_2"),
    ("gamma=(1.0, 0.5))", "gamma=(1.0, 0.5), input_size=32)"),
]


def quick(words: list[str]) -> list[str]:
    """Flags that make a command short; they go over its own."""
    room, text = module(words)[0].removeprefix("hcft_jax."), " ".join(words)
    if "--tracker=" in text:
        return [KEEP]
    if room in ("main", "track_video"):
        one = ["--sequences=Deer"] if "--data_dir" in text and len(module(words)[1]) > 2 else []
        several = "--lanes" in text or "--protocols" in text
        return [*QUICK, *one, KEEP, *(["--lanes=2"] if several else [])]
    if room == "experiments.sweep":
        return [*(QUICK if "my/sweep.py" in text else QUICK[-1:]), "--sequences=Deer", KEEP]
    if room == "experiments.inspect_filter":
        drawn = [] if "--data_dir" in text else ["--config=tiny.py", "--backbone=vgg19"]
        return [*QUICK, *drawn, "--frames=4", KEEP]
    if room == "experiments.exhibits":
        return ["--only=table1,figure8", "--figure8=Deer:2:4"]
    if room == "export":
        return [*QUICK, "--platforms=cpu", "--image=240,320", "--target=80,80"]
    return ["--resamples=100"] if room == "evaluation" else []


def test_there_are_blocks() -> None:
    found = [block for page in pages() for block in blocks(page)]
    assert len(found) > 60
    assert sum(block.reason is None for block in found) >= 35


@pytest.mark.parametrize("page", pages())
def test_the_blocks_of_a_page_run_one_after_the_other(
    page: str, reader: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("tiny.py").write_text(TINY)
    for block in blocks(page):
        if block.file:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.code)
    for block in blocks(page):
        if block.reason is None and block.test is None:
            (command if block.language == "sh" else python)(block, reader)


def command(block: Block, _: dict[str, Any]) -> None:
    for words in block.commands:
        if not is_ours(words):
            pytest.fail(f"{block.where}: {words[0]} is not run, and no mark says why")
        status = execute(words, *quick(words))
        assert status == 0, f"{block.where}: {' '.join(words)}"


def python(block: Block, names: dict[str, Any]) -> None:
    code = block.code
    for a, b in SMALLER:
        code = code.replace(a, b)
    if block.file is None:
        exec(compile("\n" * block.line + code, block.page, "exec"), names)
        return
    if "def get_config" in code:
        settings.load(block.file).validate()
    elif "def get_sweep" in code:
        sweeps.load(block.file).validate()
    elif "__main__" in block.file:
        module = str(Path(block.file).parent).replace("/", ".")
        assert (
            execute(["python", "-m", module.replace("experiments.", ""), "--data_dir=OTB100"]) == 0
        )
    else:
        exec(compile(code, block.file, "exec"), {"__name__": "example"})


@pytest.mark.parametrize("page", pages())
def test_what_is_not_run_names_modules_flags_extras_and_targets_that_are_there(
    page: str, reader: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands, up to where they would begin to work."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    makefile = (ROOT / "Makefile").read_text()
    for block in blocks(page):
        if block.test:
            assert block.page in (ROOT / block.test).read_text(), block.where
        if block.language == "python" and block.reason:
            compile(block.code, block.page, "exec")
        if block.language != "sh" or not block.reason:
            continue
        for words in block.commands:
            if is_ours(words):
                assert execute(words, only_parse=True) == 0, block.where
            elif words[:2] == ["pip", "install"]:
                for extra in re.findall(r"\[(\w+)\]", words[-1]):
                    assert extra in extras["optional-dependencies"], block.where
            elif words[0] == "make":
                assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), block.where
            else:
                assert words[0] in ("tensorboard",), block.where


def test_an_unmarked_command_that_is_no_module_fails() -> None:
    block = Block("x.md", 1, "sh", "make demo", None, None)
    with pytest.raises(pytest.fail.Exception, match="no mark says why"):
        command(block, {})


def test_an_unknown_flag_is_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exception, match="no_such_flag"):
        execute(["python", "-m", "hcft_jax.main", "--no_such_flag=1"], only_parse=True)


TINY = """
from hcft_jax import Experiment, Synthetic, TrackerConfig


def get_config():
    drawn = Synthetic(frames=5, height=64, width=80, target=(20, 20), motion=12.0)
    return Experiment("tiny", TrackerConfig(), synthetic=drawn)
"""
