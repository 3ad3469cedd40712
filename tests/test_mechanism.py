"""The choice of a direction, and what it rests on, against numerical integration."""

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid
from scipy.special import entr, expit, log_expit, log_ndtr, logsumexp, ndtr, ndtri
from scipy.stats import norm

from gnr_sklearn import GNRImputer, MICEImputer
from gnr_sklearn._mechanism import (
    MAX_FEATURES,
    MAX_INPUTS,
    MIN_OF_EACH,
    MIN_STANDARD_ERRORS,
    CommonCause,
    MaskGain,
    MaskPredictions,
    _strongest,
    choose_sides,
    decide_themselves,
    gain_by_model,
    gain_of_threshold,
    log_mask_given_others,
    predict_masks,
    standard_errors,
)
from gnr_sklearn.nn.adaptive import WeightedSamples, adaptive_importance_sampling
from gnr_sklearn.nn.bounds import log_weights, quasi_normal
from gnr_sklearn.nn.models import GNR, ValueGNR
from gnr_sklearn.nn.rows import MaskedRows
from tests.contract import TINY_NET
from tests.lost_values import correlated_rows, losses, make_data, with_losses
from tests.small_models import make_model, terms_at

QUICK = TINY_NET | {"decoder": "linear"}


def make_rows():
    """Rows of two features: complete, with either one missing, and without any value."""
    mask = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], dtype=float)
    x = np.array([[0.5, -1.0], [1.2, 0.0], [0.0, 0.3], [0.0, 0.0]])
    return torch.from_numpy(x), torch.from_numpy(mask)


def value_model(**params):
    """Make a model with steps from above and from below that tell much of z."""
    model = make_model(
        2, 1, ValueGNR, missing_fraction=[0.4, 0.3], missing_direction=[1, -1], **params
    )
    with torch.no_grad():
        model.data_decoder.network[-1].weight *= 2.0
        model.process.log_slope.copy_(torch.tensor([0.9, 0.4]))
        model.process.threshold.copy_(torch.tensor([0.2, -0.3]))
    return model


def latent_model(**params):
    """Make a model whose z tells much of the mask."""
    model = make_model(2, 1, GNR, **params)
    with torch.no_grad():
        model.data_decoder.network[-1].weight *= 2.0
        model.mask_decoder[-1].weight *= 12.0
        model.mask_decoder[-1].bias += 0.3
    return model


Z = np.linspace(-7, 7, 1401)


def cells_given_z(model, x):
    """Log p(m = 0 | z) and log p(x_j, m = 1 | z) of each cell on a grid of z."""
    z = torch.from_numpy(Z)[:, None]
    with torch.no_grad():
        mean, scale = (part.numpy() for part in model.data_decoder(z))
        log_x = norm.logpdf(x, mean, scale)
        if isinstance(model, GNR):
            logits = model.mask_decoder(z).numpy()
            return log_expit(-logits), log_x + log_expit(logits)
        slope, intercept, log_floor, log_rise = (
            part.numpy() for part in model.process.step().of_what_is_lost
        )
    argument = (slope * mean + intercept) / np.sqrt(1.0 + (slope * scale) ** 2)
    log_missing = np.logaddexp(log_floor, log_rise + log_ndtr(argument))
    lost = np.exp(log_floor) + np.exp(log_rise) * ndtr(slope * x + intercept)
    return log_missing, log_x + np.log1p(-lost)


def exact_log_mask(model, rows):
    """Log p(m_j | x_-j, m_-j), where what is known of the other cell weighs z."""
    expected = np.empty(rows[0].shape)
    for i, (x, mask) in enumerate(zip(*(part.numpy() for part in rows), strict=True)):
        log_missing, log_seen = cells_given_z(model, x)
        of_cells = np.where(mask == 1, log_seen, log_missing)
        for j, other in ((0, 1), (1, 0)):
            log_p = norm.logpdf(Z) + of_cells[:, other]
            missing = np.exp(log_p - logsumexp(log_p)) @ np.exp(log_missing[:, j])
            expected[i, j] = np.log1p(-missing) if mask[j] == 1 else np.log(missing)
    return expected


@pytest.mark.parametrize("make", [value_model, latent_model])
@pytest.mark.parametrize("decoder", ["mlp", "linear"])
@pytest.mark.parametrize("observation_scale", ["shared", "feature", "heteroscedastic"])
def test_log_mask_given_others_against_numerical_integration(make, decoder, observation_scale):
    rows = make_rows()
    model = make(decoder=decoder, observation_scale=observation_scale)
    expected = exact_log_mask(model, rows)
    terms = terms_at(model, rows, 2**15)
    plain = WeightedSamples(log_weights(terms, 1.0), terms.x_given_z, terms.mask_logits, None)
    np.testing.assert_allclose(log_mask_given_others(plain, MaskedRows(*rows)), expected, atol=3e-3)
    rounds = quasi_normal(3 * 2**12, 1, seed=1).unsqueeze(1).split(2**12)
    with torch.no_grad():
        adapted = adaptive_importance_sampling(model, MaskedRows(*rows), rounds, alpha=1.0)
    np.testing.assert_allclose(
        log_mask_given_others(adapted, MaskedRows(*rows)), expected, atol=6e-3
    )
    # That the other cell is known does tell something of the mask.
    told = np.exp(np.where(rows[1].numpy() == 1, np.log(-np.expm1(expected)), expected))
    assert np.ptp(told, axis=0).min() > 0.01


def test_a_mask_that_is_certain_has_finite_logarithms():
    """Though it is the other way round."""
    rows = make_rows()
    model = latent_model()
    with torch.no_grad():
        model.mask_decoder[-1].bias.copy_(torch.tensor([200.0, -200.0]))
    terms = terms_at(model, rows, 64)
    samples = WeightedSamples(log_weights(terms, 1.0), terms.x_given_z, terms.mask_logits, None)
    log_mask = log_mask_given_others(samples, MaskedRows(*rows))
    assert log_mask.isfinite().all()
    surprised = rows[1] == torch.tensor([0.0, 1.0])
    assert (log_mask[surprised] < -20).all()
    assert (log_mask[~surprised] > -1e-8).all()


FIRST_TWO = np.array([0, 1])


@pytest.mark.parametrize(
    ("kind", "signs", "part"),
    # What is imputed there is of the wrong sign, and the other mask mends it.
    [("above", [1, 1], 0.9), ("below", [-1, -1], 0.9), ("mixed", [1, -1], 0.65)],
)
def test_where_values_decide_an_estimate_predicts_the_mask_as_well_as_the_row(kind, signs, part):
    predicted = predict_masks(*with_losses(kind), FIRST_TWO, seed=0)
    np.testing.assert_array_equal(np.sign(predicted.sides[:2]), signs)
    by_value, by_all = (gain[:, :2].sum(axis=0) for gain in predicted.gain)
    assert (by_value > 100).all()
    assert (by_value >= part * by_all).all()
    assert (by_value <= 1.02 * by_all).all()
    np.testing.assert_array_equal(choose_sides(predicted)[:2], signs)
    assert decide_themselves(predicted.gain, predicted.gain, 1.0, False)
    assert not predicted.common.explains(predicted.gain.by_value)


@pytest.mark.parametrize("kind", ["at random", "by chance", "tails"])
def test_where_they_do_not_it_does_not(kind):
    predicted, *_ = predict_masks(*with_losses(kind), FIRST_TWO, seed=0)
    assert predicted.standard_errors < MIN_STANDARD_ERRORS or predicted.share < 0.3
    assert not decide_themselves(predicted, predicted, 1.0, False)
    assert predicted.by_all.sum() > 100 or kind != "at random"


def test_one_other_feature_says_the_same_as_the_estimate_that_is_made_of_it():
    X = correlated_rows(n_features=2)
    X[losses("above", X)[:, 0], 0] = np.nan
    predicted, _, sides, _ = predict_masks(X, np.nan_to_num(X), np.array([0]), seed=0)
    by_value, by_all = (gain.sum() for gain in predicted)
    assert by_value > 50
    assert by_value == pytest.approx(by_all, rel=0.01)
    assert sides[0] > 0 == sides[1]


def test_what_is_predicted_of_the_mask_is_its_likelihood_against_the_fraction_missing():
    X = correlated_rows(n_features=2, n_rows=4000)
    missing = losses("above", X)[:, 0]
    holed = X.copy()
    holed[missing, 0] = np.nan
    predicted, *_ = predict_masks(holed, np.nan_to_num(holed), np.array([0]), seed=0)
    # x_0 given x_1 has half its value as the mean, and three quarters for a variance.
    chance = ndtr(2.0 * X[:, 1] / 2 / np.sqrt(1 + 4 * 0.75))
    fraction = missing.mean()
    exact = np.where(missing, np.log(chance / fraction), np.log((1 - chance) / (1 - fraction)))
    assert exact.sum() > 100
    assert predicted.by_all.sum() == pytest.approx(exact.sum(), rel=0.05)
    assert np.corrcoef(predicted.by_all[:, 0], exact)[0, 1] > 0.99


@pytest.mark.parametrize("n_missing", [0, MIN_OF_EACH - 1, MIN_OF_EACH, 200 - MIN_OF_EACH, 193])
def test_features_that_say_too_little_are_passed_over(n_missing):
    X = correlated_rows(200)
    X[np.argsort(-X[:, 0])[:n_missing], 0] = np.nan
    predicted, _, sides, _ = predict_masks(X, np.nan_to_num(X), np.array([0, 1]), seed=0)
    looked_at = n_missing in (MIN_OF_EACH, 200 - MIN_OF_EACH)
    for gain in predicted:
        assert gain[:, 0].any() == looked_at
        assert not gain[:, 1:].any()
    assert bool(sides[0]) == looked_at


def test_a_feature_whose_observed_values_are_the_same_is_passed_over():
    """As of two codes one is lost: rounding errors of its estimate would predict the mask."""
    X = correlated_rows(442, n_features=3)
    X[:, 0] = np.where(X[:, 0] > 0.1, np.nan, 1.0)
    X[X[:, 1] > 0.5, 1] = np.nan
    completed = MICEImputer().fit_transform(X)
    predicted = predict_masks(X, completed, np.array([0, 1]), seed=0)
    assert not any(of_cells[:, 0].any() for of_cells in (*predicted.gain, *predicted.common))
    assert predicted.sides[0] == 0 < predicted.sides[1]
    assert predicted.of_threshold[0] == 0 < predicted.of_threshold[1]
    np.testing.assert_array_equal(choose_sides(predicted), np.ones(3))


@pytest.mark.filterwarnings("error")
def test_features_that_hardly_vary_give_no_warning():
    X = correlated_rows(100, n_features=4)
    X[:, 1] = 3.1
    X[:, 2] = 1.0 + 1e-12 * X[:, 2]
    X[::3, 0] = np.nan
    X[::4, 2] = np.nan
    predicted = predict_masks(X, np.nan_to_num(X), np.array([0, 2]), seed=0)
    assert all(np.isfinite(part).all() for part in (*predicted.gain, *predicted.common))
    assert np.isfinite(predicted.sides).all()


def test_a_single_feature_tells_nothing():
    X = correlated_rows(200, n_features=1)
    X[X > 0] = np.nan
    predicted = predict_masks(X, np.nan_to_num(X), np.array([0]), seed=0)
    assert not predicted.sides.any()
    assert not predicted.of_threshold.any()
    assert not choose_sides(predicted).any()


def test_wide_tables_are_looked_at_in_part():
    X = correlated_rows(300, n_features=2 * MAX_FEATURES)
    missing = np.quantile(X, 0.7, axis=0) < X
    holed = np.where(missing, np.nan, X)
    predicted, _, sides, _ = predict_masks(holed, X, np.arange(X.shape[1]), seed=0)
    assert (sides > 0).sum() == np.any(predicted.by_all, axis=0).sum() == MAX_FEATURES
    again, other = (predict_masks(holed, X, np.arange(X.shape[1]), seed).sides for seed in (0, 1))
    np.testing.assert_array_equal(again, sides)
    assert (np.flatnonzero(other) != np.flatnonzero(sides)).any()


@pytest.mark.filterwarnings("error")
def test_of_many_inputs_those_that_matter_are_kept():
    rng = np.random.RandomState(0)
    X = np.hstack([correlated_rows(1000, n_features=2), rng.normal(size=(1000, 3 * MAX_INPUTS))])
    X = X[:, rng.permutation(X.shape[1])]
    strong = np.flatnonzero(np.corrcoef(X, rowvar=False).sum(axis=0) > 1.3)[:2]
    inputs, lost = np.delete(X, strong[0], axis=1), X[:, strong[0]] > 0.5
    kept = _strongest(inputs, (slice(None), lost), (~lost, X[~lost, strong[0]]))
    assert kept.shape == (1000, MAX_INPUTS)
    assert (kept == X[:, [strong[1]]]).all(axis=0).any()
    constant = np.zeros((1000, MAX_INPUTS))
    inputs = np.hstack([constant, inputs])
    kept = _strongest(inputs, (slice(None), lost), (~lost, X[~lost, strong[0]]))
    assert kept.std(axis=0).min() > 0
    few = inputs[:, :MAX_INPUTS]
    np.testing.assert_array_equal(_strongest(few, (slice(None), lost)), few)


def test_outliers_do_not_rule():
    """Of the values, and of what they are predicted by."""
    holed, completed = with_losses("above")
    plain, *_ = predict_masks(holed, completed, FIRST_TWO, seed=0)
    stretched, _, sides, _ = predict_masks(
        np.exp(4 * holed), np.exp(4 * completed), FIRST_TWO, seed=0
    )
    np.testing.assert_allclose(stretched.by_value, plain.by_value, atol=0.1)
    assert (sides[:2] > 0).all()


def with_a_common_cause(slope, n_rows=1500, n_features=6):
    """Lose values of the first half of some correlated columns by the mean of the second."""
    X = correlated_rows(n_rows, n_features)
    half = n_features // 2
    cause = X[:, half:].mean(axis=1)
    chance = expit(slope * cause[:, np.newaxis] / cause.std())
    missing = np.zeros(X.shape, dtype=bool)
    missing[:, :half] = np.random.RandomState(2).uniform(size=(n_rows, half)) < chance
    return np.where(missing, np.nan, X), X, np.arange(half)


@pytest.mark.parametrize("slope", [1.0, -2.0])
def test_a_cause_of_several_masks_is_told_from_values_of_which_it_is_a_proxy(slope):
    """As correlated as these columns are, the estimates alone pass for what decides."""
    predicted = predict_masks(*with_a_common_cause(slope), seed=0)
    by_value, by_cause = predicted.gain.by_value.sum(), predicted.common.by_cause.sum()
    assert predicted.gain.share > 0.65
    assert by_cause > by_value > 50
    assert predicted.common.explains(predicted.gain.by_value)
    # What depends on the cause alone is predicted no better by both.
    assert predicted.common.by_both.sum() == pytest.approx(by_cause, abs=10)


def test_values_that_decide_say_more_than_what_other_masks_depend_on():
    # Each column has a partner, so that the estimates of two values are not alike.
    pairs = np.random.RandomState(5).normal(size=(1500, 3))
    X = correlated_rows(1500, n_features=6) + np.hstack([pairs, pairs])
    missing = np.zeros(X.shape, dtype=bool)
    missing[:, :2] = losses("above", X)
    predicted = predict_masks(np.where(missing, np.nan, X), X, FIRST_TWO, seed=0)
    assert predicted.common.by_both.sum() > predicted.common.by_cause.sum() + 50
    assert not predicted.common.explains(predicted.gain.by_value)


def test_a_mask_that_is_the_only_one_has_no_common_cause():
    X = correlated_rows(n_features=3)
    X[losses("above", X)[:, 0], 0] = np.nan
    predicted = predict_masks(X, np.nan_to_num(X), np.array([0]), seed=0)
    assert abs(predicted.common.by_cause.sum()) < 1
    np.testing.assert_allclose(
        predicted.common.by_both.sum(), predicted.gain.by_value.sum(), rtol=1e-3
    )
    assert not predicted.common.explains(predicted.gain.by_value)


@pytest.mark.parametrize(
    ("value_adds", "cause_adds", "answer"),
    [
        ((5, 1.9), (6, 2.1), True),
        ((5, 1.9), (6, 1.9), False),
        ((5, 1.9), (4, 2.1), False),
        ((5, 2.1), (60, 9.0), False),
        ((-5, 3.0), (1, 2.1), True),
        ((0, 1.0), (0, 1.0), False),
    ],
)
def test_a_cause_has_to_add_what_values_do_not(value_adds, cause_adds, answer):
    """Sums, and how many standard errors they are."""
    by_both = gains([100.0])
    common = CommonCause(by_both - gains([value_adds[0]], value_adds[1]), by_both)
    assert common.explains(by_both - gains([cause_adds[0]], cause_adds[1])) is answer


def gains(sums, n_errors=10.0, n_rows=100):
    """Make gains of features with given sums, each of which is so many standard errors large."""
    noise = np.resize([1.0, -1.0], n_rows)[:, np.newaxis]
    sums = np.asarray(sums, dtype=float)
    return sums / n_rows + noise * np.abs(sums) / n_errors / np.sqrt(n_rows)


def predictions(by_value, by_all, sides, of_threshold):
    gain, nothing = MaskGain(by_value, by_all), np.zeros_like(by_value)
    parts = (np.asarray(part, dtype=float) for part in (sides, of_threshold))
    return MaskPredictions(gain, CommonCause(nothing, nothing), *parts)


@pytest.mark.parametrize(
    ("by_value", "by_all", "sides", "signs"),
    [
        ([50, 50], [50, 50], [0.1, 0.3], [1, 1]),
        ([50, 50], [50, 50], [-0.1, -0.3], [-1, -1]),
        ([50, 50], [60, 60], [0.1, -0.3], [1, -1]),
        # The second feature says little of itself, and follows the first.
        ([50, 20], [60, 60], [0.1, -0.3], [1, 1]),
        ([50, 20], [60, 60], [-0.1, 0.3], [-1, -1]),
        ([50, -20], [60, 60], [0.1, -0.3], [1, 1]),
        # No feature is clear: the gains decide.
        ([20, 15, 4], [90, 90, 90], [0.1, -0.3, -0.1], [1, 1, 1]),
        ([20, 15, 6], [90, 90, 90], [0.1, -0.3, -0.1], [-1, -1, -1]),
        ([0, 0], [60, 60], [0.0, 0.0], [0, 0]),
        ([-50, 10], [60, 60], [0.1, 0.1], [0, 0]),
    ],
)
def test_sides_of_features(by_value, by_all, sides, signs):
    no_matter = np.zeros(len(sides))
    predicted = predictions(gains(by_value), gains(by_all), sides, no_matter)
    np.testing.assert_array_equal(choose_sides(predicted), signs)


def test_a_feature_has_a_side_of_its_own_by_three_standard_errors():
    for n_errors, sign in ((MIN_STANDARD_ERRORS - 0.01, 1), (MIN_STANDARD_ERRORS + 0.01, -1)):
        by_value = np.hstack([gains([300.0]), gains([30.0], n_errors)])
        signs = choose_sides(predictions(by_value, gains([300.0, 30.0]), [0.2, -0.2], [0, 0]))
        np.testing.assert_array_equal(signs, [1, sign])


@pytest.mark.parametrize(
    ("by_value", "by_all", "of_threshold", "signs"),
    [
        # The first says half of what a threshold would: 25 nats are expected of the second.
        ([50, 2.4], [50, 2.4], [100, 50], [1, 0]),
        ([50, -5], [50, -9], [100, 50], [1, 0]),
        ([50, 2.6], [50, 2.6], [100, 50], [1, 1]),
        # Something else predicts it.
        ([50, 2.4], [50, 2.6], [100, 50], [1, 1]),
        # Too little is expected to be told from nothing.
        ([50, 0], [50, 0], [100, 35.9], [1, 1]),
        ([50, 0], [50, 0], [100, 36.1], [1, 0]),
        # No more than a threshold would say is expected.
        ([50, 1.9], [50, 1.9], [5, 18.1], [1, 1]),
        ([50, 1.8], [50, 1.8], [5, 18.1], [1, 0]),
        # None is clear: of each is expected what all say together.
        ([20, 1], [90, 1], [50, 50], [1, 1]),
        ([60, 1], [150, 1], [50, 50], [1, 0]),
    ],
)
def test_features_of_which_nothing_is_predicted_have_no_side(by_value, by_all, of_threshold, signs):
    by_value = np.hstack([gains(by_value[:1]), gains(by_value[1:], n_errors=1.0)])
    chosen = choose_sides(predictions(by_value, gains(by_all), [0.2, 0.1], of_threshold))
    np.testing.assert_array_equal(chosen, signs)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.8, 1.0, -0.2])
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_what_an_estimate_predicts_of_a_threshold(fraction, correlation):
    gain = gain_of_threshold(fraction, correlation)
    of_all = -fraction * np.log(fraction) - (1 - fraction) * np.log(1 - fraction)
    if correlation <= 0:
        assert gain == pytest.approx(0, abs=1e-12)
        return
    u = np.linspace(-9, 9, 20_001)
    # What is closer to the value than an estimate can be counts as so close.
    scale = np.sqrt(1 - min(correlation, 0.98) ** 2)
    place = (ndtri(fraction) + min(correlation, 0.98) * u) / scale
    uncertain = entr(ndtr(place)) + entr(ndtr(-place))
    assert gain == pytest.approx(of_all - trapezoid(uncertain * norm.pdf(u), u), rel=0.01)


@pytest.mark.parametrize(
    ("by_value", "by_all", "part"),
    [(50, 100, 0.5), (100, 50, 1.0), (50, -10, 1.0), (-10, 50, 0.0), (-10, -50, 0.0), (0, 0, 0.0)],
)
def test_parts_of_what_is_predicted(by_value, by_all, part):
    assert MaskGain(gains([by_value]), gains([by_all])).share == pytest.approx(part)


@pytest.mark.parametrize(
    ("by_value", "by_all", "ratio"),
    [(50, 100, 0.5), (150, 100, 1.5), (250, 100, 2.0), (50, -10, 2.0), (-10, 50, 0.0)],
)
def test_ratios_of_what_is_predicted(by_value, by_all, ratio):
    assert MaskGain(gains([by_value]), gains([by_all])).ratio == pytest.approx(ratio)


@pytest.mark.parametrize(
    ("parts", "answer"),
    [
        ((1.0, 0.31), True),
        ((1.0, 0.29), False),
        ((0.29, 1.0), False),
        ((0.66, 0.66), True),
        # Models that are better than those in which z decides say more; regressions do not.
        ((0.24, 1.4), True),
        ((0.0, 1.29), False),
        ((1.4, 0.24), False),
    ],
)
def test_both_ways_to_measure_count(parts, answer):
    by_regressions, by_models = (MaskGain(gains([p * 100]), gains([100])) for p in parts)
    assert decide_themselves(by_regressions, by_models, 1e-6, False) is answer
    # What depends on z alone says more of the data.
    assert not decide_themselves(by_regressions, by_models, -1e-6, False)


@pytest.mark.parametrize(("ratio", "answer"), [(0.99, False), (1.01, True)])
def test_of_a_common_cause_models_may_know_better(ratio, answer):
    by_regressions, by_models = (
        MaskGain(gains([100]), gains([100])),
        MaskGain(gains([100 * ratio]), gains([100])),
    )
    assert decide_themselves(by_regressions, by_models, 1.0, True) is answer
    assert decide_themselves(by_regressions, by_models, 1.0, False)


@pytest.mark.parametrize(
    ("n_errors", "answer"),
    [((2.9, 2.9), False), ((3.1, 3.1), True), ((1.0, 4.9), False), ((1.0, 5.1), True)],
)
def test_both_together_take_three_standard_errors(n_errors, answer):
    by_regressions, by_models = (MaskGain(gains([30], each), gains([30])) for each in n_errors)
    assert by_regressions.standard_errors == pytest.approx(n_errors[0])
    assert decide_themselves(by_regressions, by_models, 1e-6, False) is answer


def test_terms_that_are_all_the_same_have_no_standard_error():
    assert standard_errors(np.full(9, 0.5)) == np.inf
    assert standard_errors(np.full(9, -0.5)) == -np.inf
    assert standard_errors(np.zeros(9)) == 0.0


@pytest.mark.parametrize("mask_model", ["value", "latent"])
def test_gains_are_counted_in_nats_against_the_fraction_missing(mask_model):
    X = make_data(60)
    missing = np.isnan(X)
    imputer = GNRImputer(
        **QUICK | {"n_imputation_samples": 256, "max_iter": 100, "latent_dim": 1},
        mask_model=mask_model,
        missing_direction="above" if mask_model == "value" else None,
    )
    found = gain_by_model(imputer.fit(X), X)
    scaled = np.where(missing, 0.0, (X - imputer._units.center) / imputer._units.scale)
    module = imputer.net_.module_.double()
    rows = torch.from_numpy(scaled), torch.from_numpy(~missing * 1.0)
    gain = np.zeros((len(X), 2))
    for i, (x, mask) in enumerate(zip(*(part.numpy() for part in rows), strict=True)):
        log_missing, log_seen = cells_given_z(module, x)
        of_cells = np.where(mask == 1, log_seen, log_missing)
        for j in (0, 1):  # the third column is complete
            log_p = norm.logpdf(Z) + np.delete(of_cells, j, axis=1).sum(1)
            lost = np.exp(log_p - logsumexp(log_p)) @ np.exp(log_missing[:, j])
            fraction = missing[:, j].mean()
            gain[i, j] = np.log((1 - lost) / (1 - fraction) if mask[j] == 1 else lost / fraction)
    np.testing.assert_allclose(found[:, :2], gain, rtol=0.01, atol=0.02)
