"""The checks of an accelerator, on a CPU and with little to do."""

from pathlib import Path

import pytest
from absl import flags

from experiments.throughput import accelerator, workload


def command(*arguments: str) -> int:
    values = flags.FlagValues()
    accelerator.define_flags(values)
    return accelerator.main(list(values(["accelerator", *arguments])), values)


def test_every_number_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workload.drawn(tmp_path, 2, 5, scale=0.2)
    assert command(f"--data_dir={tmp_path}", "--backbone=compact", "--lanes=2") == 0
    said = capsys.readouterr().out
    for text in (
        "2 lanes, bfloat16, from files",
        "2 lanes, bfloat16, frames in memory",
        "the device is busy",
        "the sum of the stages",
        "no --oracle",
        "one stream, track_sequence",
        "one stream, one lane",
        "network, bfloat16x3, batch of 2",
        "feed from files",
    ):
        assert text in said


def test_data_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--lanes=2") != 0
    assert "--data_dir" in capsys.readouterr().err
