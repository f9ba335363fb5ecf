"""The page's numbers are the evaluation's."""

import numpy as np
import pytest

from hcft_jax.evaluation import bootstrap, metrics
from hcft_jax.evaluation.metrics import MEASURES
from hcft_jax.evaluation.plots import KINDS
from hcft_jax.evaluation.summary import having, values_of
from tests.evaluation.report.conftest import HOSTILE, Page, Setting


def test_every_selection_has_the_means_and_curves_of_the_evaluation(
    setting: Setting, page: Page
) -> None:
    evaluation = setting.evaluation
    assert [s["name"] for s in page.content["subsets"]] == list(evaluation.subsets)
    seen = 0
    for subset in page.content["subsets"]:
        for attribute, selection in subset["selections"].items():
            targets = evaluation.subsets[subset["name"]]
            if attribute:
                targets = having(evaluation, subset["name"], attribute)
            assert selection["n"] == len(targets) > 0
            for tracker, row in zip(page.content["trackers"], selection["rows"], strict=True):
                mean = evaluation.mean(tracker["name"], targets)
                if mean is None:
                    assert (tracker["name"], set(row)) == ("part", {"n"})
                    continue
                seen += 1
                for measure in MEASURES:
                    assert row["scores"][measure] == pytest.approx(getattr(mean, measure), abs=1e-6)
                for kind in KINDS.values():
                    np.testing.assert_allclose(
                        row[kind.curve], getattr(mean, kind.curve), rtol=0, atol=1e-5
                    )
    assert seen > 30


def test_sequences_have_their_scores(setting: Setting, page: Page) -> None:
    for sequence in page.content["sequences"]:
        for tracker, scores in zip(page.content["trackers"], sequence["scores"], strict=True):
            curves = setting.evaluation.curves[tracker["name"]].get(sequence["name"])
            assert (scores is None) == (curves is None)
            if curves is not None:
                assert scores["cle"] == pytest.approx(curves.cle, abs=1e-6)
    two = next(s for s in page.content["sequences"] if s["name"] == "Two-2")
    assert (two["frames"], two["attributes"]) == (6, ["OCC", "LR"])


def test_intervals_and_differences_are_those_of_the_files(setting: Setting, page: Page) -> None:
    names = [tracker["name"] for tracker in page.content["trackers"]]
    subset = next(s for s in page.content["subsets"] if s["name"] == "common")
    for tracker, row in zip(names, subset["selections"][""]["rows"], strict=True):
        for measure, ends in setting.intervals["means"]["common"][tracker].items():
            np.testing.assert_allclose(row["intervals"][measure], ends, rtol=0, atol=1e-6)
    found = {(names[a], names[b]): of for a, b, of in subset["differences"]}
    assert len(found) == 6
    for pair, of in found.items():
        for measure, expected in setting.intervals["differences"]["common"][pair[0]][
            pair[1]
        ].items():
            np.testing.assert_allclose(of[measure], expected, rtol=0, atol=1e-6)


def test_attributes_have_intervals_over_their_targets(setting: Setting, page: Page) -> None:
    subset = page.content["subsets"][0]
    row = subset["selections"]["OCC"]["rows"][page.tracker(HOSTILE)]
    targets = having(setting.evaluation, "OTB100", "OCC")
    values = values_of(setting.evaluation.curves, [HOSTILE], targets, "auc")
    drawn = bootstrap.draws(len(targets), 50, 3)
    resampled = values[0][drawn].mean(axis=1)
    np.testing.assert_allclose(
        row["intervals"]["auc"], np.percentile(resampled, [2.5, 97.5]), rtol=0, atol=2e-6
    )
    assert subset["selections"].keys() == {"", "IV", "OCC", "LR"}  # those that some target has


def test_thresholds_are_the_toolkits(page: Page) -> None:
    plots = {plot["name"]: plot for plot in page.content["plots"]}
    np.testing.assert_allclose(plots["success"]["thresholds"], metrics.SUCCESS_THRESHOLDS)
    np.testing.assert_allclose(plots["precision"]["thresholds"], metrics.PRECISION_THRESHOLDS)
    assert plots["precision"]["number"] == "dp20"
