"""The sweep as a command: where results are, what is resumed, how it is divided."""

import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from hcft_jax.benchmark import benchmark, record
from hcft_jax.experiment import sweeps
from hcft_jax.experiment.settings import override
from hcft_jax.weights import lookup
from tests.experiments.conftest import LABELS, Command, draw

NAMES = ("synthetic-0", "synthetic-1")


@pytest.fixture
def tracked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Setting and title of the runs that were really tracked, in their order."""
    runs: list[tuple[str, str]] = []
    original = record.write

    def write(task: Any, *rest: Any) -> None:
        runs.append((task.folder.name.rpartition("-")[0], task.name))
        original(task, *rest)

    monkeypatch.setattr(record, "write", write)
    return runs


def test_every_setting_gets_its_results_and_a_row(
    command: Command, tracked: list[tuple[str, str]], capfd: pytest.CaptureFixture[str]
) -> None:
    assert command() == 0
    # the longest sequence first, and on it one setting after the other
    assert tracked == [(label, name) for name in NAMES[::-1] for label in LABELS]
    folders = {path.split("/")[0].rpartition("-")[0] for path in command.boxes()}
    assert folders == set(LABELS)
    assert len(command.boxes()) == 6

    table = command.table()
    assert [row["setting"] for row in table["settings"]] == LABELS
    assert [row["experiment"]["tracker"]["eta"] for row in table["settings"]] == [0.01, 0.01, 0.05]
    assert all("--sweep=" in row["command"] for row in table["settings"])
    assert table["protocols"]["ope"]["sequences"] == list(NAMES)
    for label in LABELS:
        (summary,) = (command.folder / "out").glob(f"{label}-*/summary.json")
        mean = table["protocols"]["ope"]["measures"][label]["auc"]["mean"]
        assert f'"auc": {mean}' in summary.read_text()

    captured = capfd.readouterr()
    assert "6/6 done, 0 running, 0 failed" in captured.err
    written = (command.folder / "out" / "grid.md").read_text()
    for label in LABELS:
        assert re.search(rf"^\| {re.escape(label)} \| 2/2 \|", written, re.MULTILINE)
        assert re.search(rf"^{re.escape(label)} +2/2 ", captured.out, re.MULTILINE)
    assert "missing" not in written


def test_settings_that_differ_in_constants_share_what_is_compiled(command: Command) -> None:
    assert command("--sequences=synthetic-0") == 0
    speeds = [
        path.read_text() for path in (command.folder / "out").glob("*/speed/synthetic-0.json")
    ]
    assert len(speeds) == 3
    assert sum('"compile_seconds": 0.0' in text for text in speeds) >= 2


def test_the_main_job_and_the_sweep_share_results(
    command: Command, tracked: list[tuple[str, str]]
) -> None:
    _, experiment, _ = sweeps.load(str(command.folder / "grid.py")).experiments
    places = {"data_dir": str(command.data), "output_dir": str(command.folder / "out")}
    benchmark.run(override(experiment, places), lookup.random())
    before = command.boxes()
    tracked.clear()
    assert command() == 0
    assert {label for label, _ in tracked} == {LABELS[0], LABELS[2]}
    assert before.items() <= command.boxes().items()


def test_a_sweep_takes_results_of_equal_settings_once(
    command: Command, tracked: list[tuple[str, str]], capfd: pytest.CaptureFixture[str]
) -> None:
    grid = command.folder / "grid.py"
    command()
    before = command.boxes()
    # the same settings under two other names: one of them has the results, the other its own
    text = grid.read_text().replace('Experiment("tiny"', 'Experiment("twin"')
    again = "    import dataclasses\n    twin = get_tiny()[0]\n"
    again += "    return [twin, dataclasses.replace(twin, name='third')]\n"
    renamed = text.replace("def get_sweep", "def get_tiny")
    grid.write_text(f"{renamed}\n\ndef get_sweep():\n{again}")
    tracked.clear()
    capfd.readouterr()
    assert command() == 0
    assert [label for label, _ in tracked] == ["third", "third"]
    assert capfd.readouterr().err.count("note: equal settings have results already") == 1
    assert before.items() < command.boxes().items()
    twin, third = command.table()["settings"]
    assert Path(twin["folder"]).name.startswith("tiny-")
    assert Path(third["folder"]).name.startswith("third-")
    tracked.clear()
    assert command() == 0
    assert tracked == []


def test_a_second_time_nothing_is_tracked_and_the_table_is_the_same(
    command: Command, tracked: list[tuple[str, str]]
) -> None:
    command()
    first = command.table()
    tracked.clear()
    assert command() == 0
    assert tracked == []
    assert command.table() == first


def test_all_runs_of_a_protocol(command: Command, tracked: list[tuple[str, str]]) -> None:
    assert command("--protocols=ope,tre", "--sequences=synthetic-1") == 0
    # two frames to start in: OPE's, which is copied, and the next
    assert sum("/tre/" in path for path in command.boxes()) == 3 * 11
    assert tracked == [
        *((label, "synthetic-1") for label in LABELS),
        *((label, "synthetic-1 tre/11") for label in LABELS),
    ]
    measures = command.table()["protocols"]["tre"]["measures"]
    assert set(measures) == set(LABELS)
    assert "TRE: starts in any frame" in (command.folder / "out" / "grid.md").read_text()


def test_shards_are_disjoint_and_together_the_whole(
    command: Command, tracked: list[tuple[str, str]], capfd: pytest.CaptureFixture[str]
) -> None:
    command(to="whole")
    tracked.clear()
    capfd.readouterr()
    assert command("--shard=1/2") == 0
    first = tracked.copy()
    assert f"{6 - len(first)} of 6 runs are missing" in capfd.readouterr().out
    row = command.table()["settings"][-1]
    assert NAMES[0] in row["missing"]
    tracked.clear()
    assert command("--shard=2/2") == 0
    assert first
    assert tracked
    assert len({*first, *tracked}) == len(first) + len(tracked) == 6
    assert command.boxes() == command.boxes("whole")
    assert command.table()["protocols"] == command.table("whole")["protocols"]


def test_a_dry_run_shows_the_plan_and_writes_nothing(
    command: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command("--dry_run", "--shard=1/2") == 0
    assert not (command.folder / "out").exists()
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].split() == ["Setting", "folder", "runs", "done", "to", "do", "here", "frames"]
    assert [line.split()[0] for line in lines[1:5]] == [*LABELS, "all"]
    # the middles of 3 runs of 21 frames, then 3 of 9: the first two are in the first 45 frames
    assert lines[4].split() == ["all", "6", "0", "2", "42"]
    command("--sequences=synthetic-0")
    command("--dry_run")
    assert "6  " in capfd.readouterr().out


def test_a_broken_frame_fails_one_sequence_of_each_setting(
    command: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    (command.data / "synthetic-1" / "img" / "0005.png").write_bytes(b"")
    assert command() == 1
    err = capfd.readouterr().err
    lines = re.findall("error: .*", err)
    assert [line.split(": ")[1] for line in lines[:-1]] == LABELS
    assert all("0005.png" in line for line in lines[:-1])
    assert "3 failed" in lines[-1]
    assert "3/6 done, 0 running, 3 failed" in err
    assert len(command.boxes()) == 3
    assert all("0005.png" in row["failed"]["synthetic-1"] for row in command.table()["settings"])
    assert command.table()["protocols"]["ope"]["sequences"] == ["synthetic-0"]


def test_a_sequence_that_cannot_be_used_is_one_line_for_all_settings(
    command: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    (command.data / "synthetic-1" / "groundtruth_rect.txt").write_text("1,2,3\n")
    assert command() == 1
    err = capfd.readouterr().err
    assert err.count("groundtruth_rect.txt, line 1: 3 columns") == 1
    assert len(command.boxes()) == 3


def test_ctrl_c_leaves_a_table_of_what_is_finished(
    command: Command, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    original = record.write

    def write(task: Any, *rest: Any) -> None:
        if task.folder.name.startswith(LABELS[2]):
            raise KeyboardInterrupt
        original(task, *rest)

    monkeypatch.setattr(record, "write", write)
    assert command() == 130
    assert "the same command continues" in capfd.readouterr().err
    assert command.table()["protocols"]["ope"]["counts"] == dict(
        zip(LABELS, (1, 1, 0), strict=True)
    )


@pytest.mark.slow
def test_killed_and_started_twice_it_leaves_the_files_of_an_undisturbed_run(
    command: Command, tmp_path: Path
) -> None:
    shutil.rmtree(command.data)
    draw(command.data, 30, 60)
    assert command(to="whole") == 0
    with command.start() as killed:
        deadline = time.monotonic() + 240
        while len(command.boxes()) < 2:
            assert killed.poll() is None, killed.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        killed.send_signal(signal.SIGKILL)
    finished = command.boxes()
    assert 2 <= len(finished) < 6
    kept = {path: (command.folder / "out" / path).stat().st_mtime_ns for path in finished}
    with command.start() as one, command.start() as other:  # two at once, over the same runs
        for process in (one, other):
            _, err = process.communicate(timeout=240)
            assert process.returncode == 0, err
    assert command.boxes() == command.boxes("whole")
    assert command.table()["protocols"] == command.table("whole")["protocols"]
    for path, stamp in kept.items():
        assert (command.folder / "out" / path).stat().st_mtime_ns == stamp


def test_flags_are_varied_without_a_file(
    command: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    vary = "--vary=layers=hog_4 gamma=1,/0.5 eta=0.01/0.02/0.05"
    dry = ["--sweep=", vary, "--backbone=hog", "--config=hcft", "--dry_run"]
    assert command(*dry) == 0
    out = capfd.readouterr().out
    labels = re.findall(r"^(hcft\S*)", out, re.MULTILINE)
    assert len(set(labels)) == 6
    assert [("gamma=0.5" in label) for label in labels] == [False] * 3 + [True] * 3
    assert [("eta=0.05" in label) for label in labels] == [False, False, True] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sweep="], "--sweep: name a sweep (ablation, gamma_eta)"),
        (["--sweep=ablatoin"], "did you mean ablation"),
        (["--shard=3/2"], "--shard: '3/2' is not i/n"),
        (["--shard=0/2"], "--shard: '0/2'"),
        (["--shard=one"], "--shard: 'one'"),
        (["--max_retries=-1"], "--max_retries: -1 must be at least 0"),
        (["--ray_cpus=0"], "--ray_cpus: 0 must be at least 1"),
        (["--vary=eta=0.1"], "--sweep: name a sweep (ablation, gamma_eta) or a file.py; or --vary"),
        (["--config=lite0"], "--config: a sweep has its own; it is for --vary"),
        (["--sweep=", "--vary=etta=0.1"], "--vary: --etta: unknown flag; did you mean --eta?"),
        (["--sweep=", "--vary=radius=4/x"], "--vary: --radius: 'x' is not a number"),
        (["--sweep=", "--vary=eta=0.1/0.2", "--eta=0.3"], "--eta: sweep vary-eta gives it diff"),
        (["--sweep=", "--vary=eta=0.1/0.1"], "two experiments are called otb,eta=0.1"),
        (["--eta=0.1"], "--eta: sweep grid gives it different values itself"),
        (["--data_dir=nowhere"], "nowhere: no such folder"),
        (["--sequences=synthetic-7"], "no sequence 'synthetic-7'"),
        (["--output_dir=/proc/nowhere"], "/proc/nowhere"),
        (["stray"], "'stray'"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    command: Command, capfd: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert command(*arguments) == 2
    err = capfd.readouterr().err
    assert err.count("error: ") == 1
    assert message in err
    assert "Traceback" not in err
