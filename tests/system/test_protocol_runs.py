"""TRE and SRE end to end: files, resuming, runs that are tracked once, the summary."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcft_jax.benchmark import benchmark, execute, record
from hcft_jax.benchmark.outcome import Outcome, report
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data import otb
from hcft_jax.data.sequence import Sequence
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.evaluation import metrics
from hcft_jax.evaluation.protocols import PROTOCOLS, SRE
from hcft_jax.experiment.settings import Experiment
from hcft_jax.util import boxes as conventions
from hcft_jax.util.errors import InputError
from hcft_jax.weights import lookup, native

SMALL = TrackerConfig(layers=("conv1_2",), gamma=(1.0,), input_size=32)
DRAWN = Synthetic(frames=23, height=64, width=80, target=(20, 20), motion=12.0)
# E = 4: 1 + 4 k / 19 <= 4 for k = 0 ... 14, five times frame 1 and 2, four 3, one 3 and the 4th
TRE = 16

Files = dict[str, bytes]
Start = Callable[..., Outcome]


@pytest.fixture(scope="module")
def drawn() -> native.Weights:
    return lookup.random()


@pytest.fixture
def start(tmp_path: Path, drawn: native.Weights) -> Start:
    """Runs an experiment on two drawn sequences in the OTB layout."""
    for seed in (0, 1):
        otb.write(synthetic(Synthetic(**(vars(DRAWN) | {"seed": seed}))), tmp_path / "data")

    def run(*protocols: str, to: str = "out", **changes: Any) -> Outcome:
        fixed: dict[str, Any] = {
            "data_dir": str(tmp_path / "data"),
            "output_dir": str(tmp_path / to),
            "protocols": protocols,
            "sequences": ("synthetic-0",),
        }
        return benchmark.run(Experiment("x", SMALL, **(fixed | changes)), drawn)

    return run


@pytest.fixture
def tracked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The titles of the runs that were really tracked."""
    titles: list[str] = []
    original = record.track

    def track(task: Any, params: Any) -> Any:
        titles.append(task.name)
        return original(task, params)

    monkeypatch.setattr(record, "track", track)
    return titles


def results(outcome: Outcome) -> Files:
    """Every box file by its path below the results."""
    paths = [p for protocol in PROTOCOLS for p in outcome.folder.glob(f"{protocol}/**/*.txt")]
    return {str(path.relative_to(outcome.folder)): path.read_bytes() for path in paths}


def summary(outcome: Outcome) -> Any:
    return json.loads((outcome.folder / "summary.json").read_text())


def test_all_three_protocols(
    start: Start, tracked: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    done = start("sre", "ope", "tre", sequences=())
    assert not done.failed
    names = ("synthetic-0", "synthetic-1")
    assert set(results(done)) == {
        *(f"ope/{name}.txt" for name in names),
        *(f"tre/{name}/{k:02d}.txt" for name in names for k in range(1, TRE + 1)),
        *(f"sre/{name}/{label}.txt" for name in names for label in SRE),
    }
    # one pass, three more starts of TRE, twelve boxes: equal runs are tracked once
    assert len(tracked) == 2 * (1 + 3 + 12)
    assert results(done)["tre/synthetic-0/01.txt"] == results(done)["ope/synthetic-0.txt"]

    written = summary(done)
    assert set(written["sequences"]) == set(names)
    assert set(written["protocols"]) == {"tre", "sre"}
    for protocol, runs in (("tre", TRE), ("sre", 12)):
        table = written["protocols"][protocol]
        assert set(table["sequences"]) == set(names)
        assert {row["runs"] for row in table["sequences"].values()} == {runs}
        assert table["mean"]["runs"] == 2 * runs
        for key in ("dp20", "os50", "auc", "cle"):
            mean = np.mean([row[key] for row in table["sequences"].values()])
            assert table["mean"][key] == pytest.approx(mean)
    assert "as they were tracked" in written["protocols"]["sre"]["rule"]

    err = capfd.readouterr().err
    assert "note: TRE: starts in any frame" in err
    assert "note: SRE: boxes judged as they were tracked" in err
    text = report(done)
    assert text.index("SRE: boxes") < text.index("TRE: starts")
    assert text.count("mean") == 3


def test_scores_are_those_of_all_frames_of_all_runs(start: Start, tmp_path: Path) -> None:
    done = start("tre")
    truth = conventions.parse(tmp_path / "data" / "synthetic-0" / "groundtruth_rect.txt")
    errors = []
    for path in (done.folder / "tre" / "synthetic-0").iterdir():
        boxes = conventions.parse(path)
        part = truth[-len(boxes) :]
        errors.append(metrics.centre_error(metrics.repair(boxes, part), part))
    row = summary(done)["protocols"]["tre"]["sequences"]["synthetic-0"]
    assert row["cle"] == pytest.approx(np.concatenate(errors).mean())
    assert row["frames"] == sum(map(len, errors))
    assert summary(done)["sequences"] == {}


def test_tre_after_a_one_pass_evaluation_reuses_it(start: Start, tracked: list[str]) -> None:
    start("ope")
    start("tre")
    assert tracked == ["synthetic-0", *(f"synthetic-0 tre/{k}" for k in ("06", "11", "16"))]
    tracked.clear()
    start("ope", "tre")
    assert tracked == []


def test_one_pass_after_tre_reuses_its_first_segment(start: Start, tracked: list[str]) -> None:
    start("tre")
    tracked.clear()
    done = start("ope", "tre")
    assert tracked == []
    assert not done.failed
    assert set(done.rows("ope")) == {"synthetic-0"}


def test_an_interrupted_tre_goes_on_to_the_same_files(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = start("ope", "tre", to="whole")
    original, count = record.track, 0

    def interrupted(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count % 2 == 0:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(record, "track", interrupted)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            start("ope", "tre")
    monkeypatch.setattr(record, "track", original)
    resumed = start("ope", "tre")
    assert results(resumed) == results(whole)
    assert len(results(whole)) == 1 + TRE
    assert (
        summary(resumed)["protocols"]["tre"]["mean"]["auc"]
        == (summary(whole)["protocols"]["tre"]["mean"]["auc"])
    )


def test_an_unfinished_sequence_has_no_score(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    start("tre", sequences=("synthetic-1",))
    original = record.track

    def track(task: Any, params: Any) -> Any:
        if task.run.label == "11":
            raise KeyboardInterrupt
        return original(task, params)

    monkeypatch.setattr(record, "track", track)
    with pytest.raises(KeyboardInterrupt):
        start("tre", sequences=())
    (folder,) = (tmp_path / "out").iterdir()
    table = json.loads((folder / "summary.json").read_text())["protocols"]["tre"]
    assert set(table["sequences"]) == {"synthetic-1"}
    assert (folder / "tre" / "synthetic-0" / "10.txt").exists()


def test_a_broken_frame_fails_a_protocol_in_one_line(
    start: Start, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data" / "synthetic-0" / "img" / "0009.png").write_bytes(b"")
    done = start("ope", "tre", sequences=())
    assert set(done.failed) == {"synthetic-0", "synthetic-0 tre"}
    assert set(done.rows("tre")) == {"synthetic-1"}
    lines = [x for x in capfd.readouterr().err.splitlines() if x.startswith("error: ")]
    assert [line.split(": ")[1] for line in lines] == ["synthetic-0", "synthetic-0 tre"]
    assert "01: " in lines[1]
    assert "0009.png" in lines[1]
    assert len(conventions.parse(done.folder / "partial" / "synthetic-0" / "01.txt")) == 8


def test_too_short_a_sequence_fails_tre_alone(start: Start, tmp_path: Path) -> None:
    short = synthetic(Synthetic(**(vars(DRAWN) | {"seed": 2, "frames": 19})))
    otb.write(short, tmp_path / "data")
    done = start("ope", "tre", sequences=("synthetic-2",))
    assert set(done.failed) == {"synthetic-2 tre"}
    assert set(done.rows("ope")) == {"synthetic-2"}


def test_omitted_frames_move_the_starts(start: Start, tmp_path: Path, tracked: list[str]) -> None:
    folder = tmp_path / "anno" / "initOmit"
    folder.mkdir(parents=True)
    (folder / "Synthetic-0.txt").write_text("1 2\r\n3,3\n")
    done = start("ope", "tre", annotations=str(tmp_path / "anno"))
    first = conventions.parse(done.folder / "tre" / "synthetic-0" / "01.txt")
    assert len(first) == 20
    assert tracked == ["synthetic-0", "synthetic-0 tre/01"]  # E = 1: one start, twice
    again = start("ope", "tre")  # without them the starts are others
    assert "holds another sequence" in again.failed["synthetic-0 tre"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3\n", "line 1: expected two"),
        ("1 2\n\n9 4\n", "line 3: 9 comes after 4"),
        ("a b", "1"),
    ],
)
def test_a_damaged_list_of_omitted_frames_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "initOmit").mkdir()
    (tmp_path / "initOmit" / "A.txt").write_text(text)
    sequence = synthetic(DRAWN)
    with pytest.raises(InputError, match=message):
        otb.omitted(tmp_path, Sequence("A", sequence.frames, sequence.boxes))


def test_unscaling_changes_scores_and_no_boxes(start: Start) -> None:
    plain = start("sre")
    before, scores = results(plain), summary(plain)["protocols"]["sre"]
    undone = start("sre", sre_unscale=True)
    after = summary(undone)["protocols"]["sre"]
    assert results(undone) == before
    assert after["mean"]["auc"] != scores["mean"]["auc"]
    assert "--sre_unscale" in after["rule"]
    assert summary(undone)["experiment"]["sre_unscale"] is True


def test_overlays_of_runs_have_files_of_their_own(start: Start) -> None:
    done = start("ope", "tre", overlay=True)
    videos = {str(p.relative_to(done.folder)) for p in done.folder.glob("overlay/**/*.mp4")}
    expected = {f"overlay/synthetic-0/{k:02d}.mp4" for k in range(1, TRE + 1)}
    assert videos == {"overlay/synthetic-0.mp4", *expected}


def test_a_part_of_a_sequence_keeps_frame_numbers_and_labels() -> None:
    whole = synthetic(DRAWN)
    part = whole.part(5, 9)
    assert (len(part), part.first_frame, len(part.boxes)) == (5, 6, 5)
    np.testing.assert_array_equal(part.frames.read(1), whole.frames.read(6))
    assert part.frames.label(1) == whole.frames.label(6)
    assert whole.part(0, 22) is whole
    with pytest.raises(ValueError, match="of 23"):
        whole.part(5, 23)


def test_executables_do_not_pile_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    cleared: list[None] = []
    monkeypatch.setattr(execute, "KEPT_EXECUTABLES", 0)
    monkeypatch.setattr("jax.clear_caches", lambda: cleared.append(None))
    start("tre")
    assert len(cleared) == TRE
