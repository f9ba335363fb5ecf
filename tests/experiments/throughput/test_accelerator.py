"""The checks of an accelerator, on a CPU and with little to do."""

from pathlib import Path

import pytest

from experiments.throughput import CHECKS, accelerator, workload
from tests.commands import call
from tests.decoding import FakeDecoder, Lighter, faked

NETWORK = ["--config=lite0"]


def command(*arguments: str) -> int:
    return call(accelerator, *arguments)


FEW = {
    "lanes": ["2 lanes, bfloat16, from files", "frames in memory", "the device is busy"],
    "feed": ["feed from memory", "feed from files", "decoding alone"],
    "oracle": ["no --oracle"],
    "decode": ["the device does not decode: decode: device needs an NVIDIA GPU"],
}
MANY = FEW | {
    "stages": ["the sum of the stages"],
    "stream": ["one stream, track_sequence", "one stream, one lane"],
    "precisions": ["network, bfloat16x3, batch of 2"],
}


@pytest.mark.parametrize(
    "checks", [FEW, pytest.param(MANY, marks=pytest.mark.slow)], ids=["few", "all"]
)
def test_every_number_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], checks: dict[str, list[str]]
) -> None:
    assert set(MANY) == set(CHECKS)
    workload.drawn(tmp_path, 1, 5, scale=0.2)
    arguments = [f"--data_dir={tmp_path}", *NETWORK, "--lanes=2"]
    assert command(*arguments, f"--checks={','.join(checks)}") == 0
    said = capsys.readouterr().out
    for texts in checks.values():
        for text in texts:
            assert text in said


def test_a_decoder_of_the_device_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workload.drawn(tmp_path, 1, 5, scale=0.2)
    arguments = [f"--data_dir={tmp_path}", *NETWORK, "--lanes=2", "--checks=decode"]
    for kind in (FakeDecoder, Lighter):
        with faked(monkeypatch, kind):
            assert command(*arguments) == 0
        said = capsys.readouterr().out
        assert "2 lanes, bfloat16, decoded on the device" in said
        assert "feed decoded on the device" in said
        assert "pixels decoded on the device: " in said
        assert ("0.000 of 255 apart, at most 0\n" in said) == (kind is FakeDecoder)
        assert "not decoded on the device: 0 of " in said


def test_an_unknown_check_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--data_dir=X", "--checks=lane") != 0
    assert "no 'lane'; there are lanes" in capsys.readouterr().err


def test_data_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--lanes=2") != 0
    assert "--data_dir" in capsys.readouterr().err
