import numpy as np

from hcft_jax.evaluation import bootstrap

VALUES = np.array([[0.1, 0.9, 0.4, 0.6, 0.5], [0.2, 0.7, 0.5, 0.1, 0.5], [1, 0, 1, 0, 1]])


def test_intervals_are_those_of_a_loop() -> None:
    drawn = bootstrap.draws(5, resamples=400, seed=3)
    means, differences = bootstrap.intervals(VALUES, bootstrap.weights(drawn))

    def percentiles(resampled: list[float]) -> tuple[float, float]:
        ordered = sorted(resampled)
        ends = []
        for level in (0.025, 0.975):  # linear between the nearest ranks
            place = level * (len(ordered) - 1)
            low = int(place)
            ends.append(ordered[low] + (place - low) * (ordered[low + 1] - ordered[low]))
        return ends[0], ends[1]

    for i in range(3):
        resampled = [sum(VALUES[i][k] for k in row) / 5 for row in drawn]
        np.testing.assert_allclose(means[i], percentiles(resampled), atol=1e-12)
        for j in range(3):
            resampled = [sum(VALUES[i][k] - VALUES[j][k] for k in row) / 5 for row in drawn]
            np.testing.assert_allclose(differences[i, j], percentiles(resampled), atol=1e-12)


def test_draws_are_reproducible_and_differ_by_seed() -> None:
    np.testing.assert_array_equal(bootstrap.draws(7, 50, 1), bootstrap.draws(7, 50, 1))
    assert (bootstrap.draws(7, 50, 1) != bootstrap.draws(7, 50, 2)).any()
    assert set(np.unique(bootstrap.draws(3, 200))) == {0, 1, 2}


def test_the_weights_of_a_resample_sum_to_one() -> None:
    weight = bootstrap.weights(np.array([[0, 0, 2], [1, 1, 1]]))
    np.testing.assert_allclose(weight, np.array([[2, 0], [0, 3], [1, 0]]) / 3)


def test_a_constant_gap_has_an_interval_of_no_width() -> None:
    values = np.array([[0.1, 0.9, 0.4], [0.2, 1.0, 0.5]])
    weight = bootstrap.weights(bootstrap.draws(3, 100))
    means, differences = bootstrap.intervals(values, weight)
    assert (np.diff(means) > 0.1).all()
    np.testing.assert_allclose(differences[0, 1], [-0.1, -0.1], atol=1e-12)


def test_no_trackers_have_no_intervals() -> None:
    weight = bootstrap.weights(bootstrap.draws(3, 100))
    means, differences = bootstrap.intervals(np.zeros((2, 0, 3)), weight)
    assert (means.shape, differences.shape) == ((2, 0, 2), (2, 0, 0, 2))


def test_the_interval_agrees_with_the_normal_one_for_many_sequences() -> None:
    values = np.random.default_rng(0).normal(size=(1, 400))
    means, _ = bootstrap.intervals(values, bootstrap.weights(bootstrap.draws(400)))
    half = 1.96 * values.std() / 20
    np.testing.assert_allclose(means[0] - values.mean(), [-half, half], atol=0.008)
