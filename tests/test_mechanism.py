"""The choice of a direction, and what it rests on, against numerical integration."""

import numpy as np
import pytest
import torch
from scipy.special import log_expit, log_ndtr, logsumexp, ndtr
from scipy.stats import norm
from sklearn.base import clone

from gnr_sklearn import GNRImputer
from gnr_sklearn._mechanism import (
    FORETOLD,
    Evidence,
    choose_direction,
    log_mask_given_others,
    weigh,
)
from gnr_sklearn.nn.adaptive import WeightedSamples, adaptive_importance_sampling
from gnr_sklearn.nn.bounds import log_weights, quasi_normal
from gnr_sklearn.nn.models import GNR, ValueGNR
from gnr_sklearn.nn.training import MaskedRows
from tests.contract import TINY_NET
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
            part.numpy() for part in model.process.parameters_of_features()
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
    np.testing.assert_allclose(log_mask_given_others(plain, *rows), expected, atol=3e-3)
    rounds = quasi_normal(3 * 2**12, 1, seed=1).unsqueeze(1).split(2**12)
    with torch.no_grad():
        adapted = adaptive_importance_sampling(model, MaskedRows(*rows), rounds, alpha=1.0)
    np.testing.assert_allclose(log_mask_given_others(adapted, *rows), expected, atol=6e-3)
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
    log_mask = log_mask_given_others(samples, *rows)
    assert log_mask.isfinite().all()
    surprised = rows[1] == torch.tensor([0.0, 1.0])
    assert (log_mask[surprised] < -20).all()
    assert (log_mask[~surprised] > -1e-8).all()


def evidence(bound, standard_errors, n_rows=100):
    """Make evidence whose mask gain has the given sum, in standard errors of it."""
    noise = np.resize([1.0, -1.0], n_rows)
    return Evidence(np.full(n_rows, bound), noise + standard_errors / np.sqrt(n_rows))


ENOUGH, TOO_LITTLE = FORETOLD + 0.01, FORETOLD - 0.01


@pytest.mark.parametrize(
    ("above", "below", "neither", "direction"),
    [
        ((-10.0, ENOUGH), (-20.0, 0.0), -15.0, 1),
        ((-20.0, 0.0), (-10.0, ENOUGH), -15.0, -1),
        # The mask is hardly foretold.
        ((-10.0, TOO_LITTLE), (-20.0, 0.0), -15.0, 0),
        ((-20.0, 0.0), (-10.0, TOO_LITTLE), -15.0, 0),
        # It is the better one of the two that has to foretell it.
        ((-10.0, TOO_LITTLE), (-20.0, 100.0), -25.0, 0),
        ((-20.0, 100.0), (-10.0, TOO_LITTLE), -25.0, 0),
        # What depends on z alone says more of the data.
        ((-10.0, ENOUGH), (-20.0, ENOUGH), -9.0, 0),
        ((-20.0, ENOUGH), (-10.0, ENOUGH), -9.0, 0),
        ((-10.0, ENOUGH), (-20.0, ENOUGH), -10.0, 0),
        ((-10.0, ENOUGH), (-10.0, ENOUGH), -15.0, 1),
    ],
)
def test_choice_between_directions(above, below, neither, direction):
    assert choose_direction(evidence(*above), evidence(*below), evidence(neither, 0.0)) == direction


@pytest.mark.parametrize(("part", "direction"), [(0.74, 0), (0.76, 1), (2.0, 1), (-1.0, 1)])
def test_a_mask_that_z_foretells_better_has_no_direction(part, direction):
    above, below = evidence(-10.0, 30.0), evidence(-20.0, 0.0)
    neither = evidence(-15.0, 30.0 / part)
    assert choose_direction(above, below, neither) == direction


@pytest.mark.parametrize(
    ("gain", "of_neither", "direction"), [(1.0, 1.0, 1), (1.0, 2.0, 0), (0.0, 0.0, 0)]
)
def test_evidence_of_rows_that_all_say_the_same(gain, of_neither, direction):
    """It has no standard error, and is as sure as can be."""
    above, below, neither = (
        Evidence(np.full(9, bound), np.full(9, mask_gain))
        for bound, mask_gain in ((-1.0, gain), (-3.0, gain), (-2.0, of_neither))
    )
    assert choose_direction(above, below, neither) == direction


def make_data(n_rows=40):
    X = np.random.RandomState(0).normal(size=(n_rows, 3)) * [1.0, 10.0, 0.1]
    X[::3, 0] = np.nan
    X[1::3, 1] = np.nan
    return X


@pytest.mark.parametrize("mask_model", ["value", "latent"])
def test_evidence_is_counted_in_nats_against_the_fraction_missing(mask_model):
    X = make_data(60)
    missing = np.isnan(X)
    imputer = GNRImputer(
        **QUICK | {"n_imputation_samples": 256, "max_iter": 100, "latent_dim": 1},
        mask_model=mask_model,
        missing_direction="above",
    )
    evidence = weigh(imputer.fit(X), X)
    np.testing.assert_array_equal(evidence.bound, imputer.score_samples(X))
    scaled = np.where(missing, 0.0, (X - imputer._center) / imputer._scale)
    module = imputer.net_.module_.double()
    rows = torch.from_numpy(scaled), torch.from_numpy(~missing * 1.0)
    gain = np.zeros(len(X))
    for i, (x, mask) in enumerate(zip(*(part.numpy() for part in rows), strict=True)):
        log_missing, log_seen = cells_given_z(module, x)
        of_cells = np.where(mask == 1, log_seen, log_missing)
        for j in (0, 1):  # the third column is complete
            log_p = norm.logpdf(Z) + np.delete(of_cells, j, axis=1).sum(1)
            lost = np.exp(log_p - logsumexp(log_p)) @ np.exp(log_missing[:, j])
            fraction = missing[:, j].mean()
            gain[i] += np.log((1 - lost) / (1 - fraction) if mask[j] == 1 else lost / fraction)
    np.testing.assert_allclose(evidence.mask_gain, gain, rtol=0.01, atol=0.02)


def fail(*args, **kwargs):
    raise AssertionError("no candidate may be trained")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("above", ["above", "above", None]),
        ("below", ["below", "below", None]),
        ("neither", [None] * 3),
        (["below", "above", None], ["below", "above", None]),
        (["below", "neither", None], ["below", None, None]),
    ],
)
def test_nothing_is_weighed_where_all_is_told(told, expected, monkeypatch):
    monkeypatch.setattr("gnr_sklearn.gnr.weigh", fail)
    imputer = GNRImputer(**QUICK, missing_direction=told).fit(make_data())
    assert imputer.missing_direction_.tolist() == expected


def test_nothing_is_weighed_where_nothing_is_missing(monkeypatch):
    monkeypatch.setattr("gnr_sklearn.gnr.weigh", fail)
    X = np.nan_to_num(make_data())
    imputer = GNRImputer(**QUICK).fit(X)
    assert imputer.missing_direction_.tolist() == [None] * 3
    np.testing.assert_array_equal(imputer.transform(X), X)
    holes = imputer.transform(make_data())
    assert np.isfinite(holes).all()


def test_nothing_is_weighed_where_the_mask_does_not_count(monkeypatch):
    """What is not trained must not move what is imputed."""
    monkeypatch.setattr("gnr_sklearn.gnr.weigh", fail)
    X = make_data()
    untold, told = (
        GNRImputer(**QUICK, alpha=0.0, missing_direction=direction).fit(X)
        for direction in (None, "above")
    )
    assert untold.missing_direction_.tolist() == told.missing_direction_.tolist() == [None] * 3
    np.testing.assert_array_equal(untold.transform(X), told.transform(X))


def test_nothing_is_weighed_or_described_where_the_mask_depends_on_z(monkeypatch):
    monkeypatch.setattr("gnr_sklearn.gnr.weigh", fail)
    imputer = GNRImputer(**QUICK, mask_model="latent").fit(make_data())
    names = ("direction", "threshold", "slope", "floor", "ceiling")
    assert all(getattr(imputer, f"missing_{name}_") is None for name in names)


@pytest.fixture
def weighed(monkeypatch):
    """Candidates, and the rows they were weighed by."""
    calls = []

    def recorded(imputer, values):
        calls.append((imputer, values.copy()))
        return weigh(imputer, values)

    monkeypatch.setattr("gnr_sklearn.gnr.weigh", recorded)
    return calls


def test_candidates_are_linear_models_of_three_kinds(weighed):
    X = make_data()
    params = QUICK | {"prior": "forest", "decoder": "curved", "max_iter": 3}
    imputer = GNRImputer(**params, missing_direction=["below", None, None], alpha=2.0).fit(X)
    above, below, neither = (candidate for candidate, _ in weighed)
    assert above.missing_direction_.tolist() == ["below", "above", None]
    assert below.missing_direction_.tolist() == ["below", "below", None]
    assert neither.mask_model == "latent"
    for candidate, rows in weighed:
        assert (candidate.decoder, candidate.prior, candidate.alpha_) == ("linear", None, 1.0)
        assert candidate.n_iter_ == 3
        np.testing.assert_array_equal(rows, X)
    assert imputer.missing_direction_[0] == "below"
    assert imputer.decoder == "curved"


def test_candidates_see_a_part_of_many_rows(weighed, monkeypatch):
    X = make_data(200)
    X[:, 2] = np.arange(200)
    monkeypatch.setattr("gnr_sklearn.gnr.ROWS_FOR_CHOICES", 50)
    monkeypatch.setattr("gnr_sklearn.gnr.STEPS_FOR_CHOICES", 2)
    imputer = GNRImputer(**QUICK).fit(X)
    first = weighed[0][1]
    assert first.shape == (50, 3)
    numbers = first[:, 2].astype(int)
    assert (np.diff(numbers) > 0).all()
    np.testing.assert_array_equal(first, X[numbers])
    assert np.ptp(numbers) > 100
    assert all(np.array_equal(rows, first, equal_nan=True) for _, rows in weighed)
    assert [candidate.n_iter_ for candidate, _ in weighed] == [2] * 3
    assert imputer.n_iter_ == 5
    again, other = clone(imputer).fit(X), clone(imputer).set_params(random_state=1).fit(X)
    np.testing.assert_array_equal(weighed[3][1], first)
    assert not np.array_equal(weighed[6][1], first, equal_nan=True)
    np.testing.assert_array_equal(again.transform(X), imputer.transform(X))
    assert not np.array_equal(other.transform(X), imputer.transform(X))


def test_rows_in_which_a_column_has_no_value(weighed, monkeypatch):
    """By chance, where rows are chosen of many."""
    X = make_data(400)
    X[:, 2] = np.nan
    X[7, 2], X[9, 2] = 1.0, 2.0
    monkeypatch.setattr("gnr_sklearn.gnr.ROWS_FOR_CHOICES", 20)
    imputer = GNRImputer(**QUICK).fit(X)
    assert weighed[0][1].shape == (20, 2)
    assert np.isfinite(imputer.transform(X)).all()
    assert len(imputer.missing_direction_) == 3
    assert len({str(name) for name in imputer.missing_direction_}) == 1
