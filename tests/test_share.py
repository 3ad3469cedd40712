"""How much of what is imputed is the regressions', by what they tell beside z."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge

from benchmarks.families import draw
from gnr_sklearn import GNRImputer
from gnr_sklearn.metrics import imputation_rmse
from gnr_sklearn.missingness import SelfMasking, ampute
from tests.contract import QUICK, TINY, paper_gnr


def parity_data(n_rows=600):
    """Four columns of which trees find one, a jump where signs differ, and z does not."""
    rng = np.random.RandomState(0)
    others = rng.normal(size=(n_rows, 3))
    jump = np.sign(others[:, 0] * others[:, 1]) + 0.1 * rng.normal(size=n_rows)
    complete = np.column_stack([jump, others])
    X = complete.copy()
    X[rng.uniform(size=n_rows) < 0.3, 0] = np.nan
    return complete, X


@pytest.mark.parametrize("direction", ["above", "neither"])
@pytest.mark.parametrize("side_info", [None, np.arange(60.0)[:, np.newaxis]])
def test_rows_are_completed_without_knowledge_of_a_feature(direction, side_info):
    X = ampute(draw("linear")[:60], SelfMasking(0.8), random_state=0)
    imputer = GNRImputer(**QUICK, missing_direction=direction).fit(X, side_info=side_info)
    side = np.empty((60, 0)) if side_info is None else side_info
    signs = imputer.net_.module_.process.direction.clone()
    without = imputer._completed_without(1, X, side)
    other = X.copy()
    other[:, 1] = np.where(np.isnan(X[:, 1]), 3.0, np.nan)
    assert_array_equal(imputer._completed_without(1, other, side), without)
    assert (imputer.net_.module_.process.direction == signs).all()
    # But it does know the others.
    other[::2, 2] = np.nan
    assert not np.array_equal(imputer._completed_without(1, other, side), without)


def test_a_share_of_nothing_and_of_one_half():
    """What z says, and the mean of that and of what the regressions say."""
    _, X = parity_data(200)
    imputer = GNRImputer(**QUICK).fit(X)
    by_z, in_net_units = imputer._expectations_in_both_units(X)
    chained = imputer._chained(X, by_z, in_net_units, imputer.prior_)
    missing = np.isnan(X)
    for share in (0.0, 0.2, 0.5):
        imputer.prior_share_ = share
        expected = (1.0 - share) * by_z + share * chained
        assert_allclose(imputer.transform(X)[missing], expected[missing], rtol=1e-6)
        draws = imputer.sample(X, 400, random_state=0)
        assert_allclose(draws.mean(axis=0)[missing], expected[missing], atol=0.5)


def test_regressions_without_a_share_are_not_asked(monkeypatch):
    _, X = parity_data(200)
    imputer = GNRImputer(**QUICK).fit(X)
    imputer.prior_share_ = 0.0

    def fail(*args):
        raise AssertionError("regressions have no share")

    monkeypatch.setattr("gnr_sklearn._chained.ChainedRegressions.impute", fail)
    assert np.isfinite(imputer.transform(X)).all()
    assert np.isfinite(imputer.sample(X, 2, random_state=0)).all()


def test_regressions_that_tell_nothing_beside_z_hardly_share():
    complete = draw("heavy_tailed")[:1000]
    X = ampute(complete, SelfMasking(0.8), random_state=0)
    missing, scale = np.isnan(X), complete.std(axis=0)
    imputer = GNRImputer(missing_direction="above", max_iter=600, random_state=0).fit(X)
    assert imputer.prior_share_ < 0.25
    error = imputation_rmse(complete, imputer.transform(X), missing, scale=scale)
    imputer.prior_share_ = 0.5
    assert error < 0.95 * imputation_rmse(complete, imputer.transform(X), missing, scale=scale)


def test_regressions_that_find_what_z_does_not_share_by_half():
    complete, X = parity_data()
    imputer = GNRImputer(**QUICK | {"max_iter": 200}).fit(X)
    assert imputer.prior_share_ == 0.5
    missing = np.isnan(X)
    error = imputation_rmse(complete, imputer.transform(X), missing)
    imputer.prior_share_ = 0.0
    assert error < 0.8 * imputation_rmse(complete, imputer.transform(X), missing)


def test_the_share_is_one_half_where_there_is_nothing_to_tell_it_by():
    _, X = parity_data(60)
    assert paper_gnr(**QUICK, prior=None).fit(X).prior_share_ is None
    assert paper_gnr(**QUICK, prior="forest").fit(X).prior_share_ == 0.5
    assert GNRImputer(**TINY, prior=Ridge()).fit(X).prior_share_ == 0.5
    assert GNRImputer(**TINY).fit(np.nan_to_num(X)).prior_share_ == 0.5
    frame = pd.DataFrame({"x": X[:, 1], "kind": pd.Categorical(np.where(X[:, 2] > 0, "a", "b"))})
    frame.loc[::5, "kind"] = None
    assert GNRImputer(**TINY).fit(frame).prior_share_ == 0.5


def test_the_share_comes_from_a_part_of_many_rows_and_features(monkeypatch):
    seen = []
    share_beside = "gnr_sklearn._chained.ChainedRegressions.share_beside"
    monkeypatch.setattr(
        share_beside, lambda self, j, *tables: seen.append((j, *map(len, tables))) or 0.02
    )
    monkeypatch.setattr("gnr_sklearn._choices.ROWS_FOR_SHARE", 650)
    rng = np.random.RandomState(0)
    X = rng.normal(size=(700, 6))
    X[rng.uniform(size=X.shape) < np.linspace(0.05, 0.4, 6)] = np.nan
    imputer = GNRImputer(**TINY, missing_direction="neither").fit(X)
    order = np.argsort(np.isnan(X).sum(axis=0), kind="stable")
    assert seen == [(j, 650, 650, 650) for j in order[:3]]
    assert imputer.prior_share_ == pytest.approx(0.2)


@pytest.mark.parametrize("prior", [Ridge(), "forest"], ids=str)
def test_rows_that_differ_in_what_is_predicted_alone(prior):
    """Without it they are the same, and no copies for that."""
    rng = np.random.RandomState(0)
    X = np.column_stack([rng.randint(2, size=600), rng.normal(size=600)])
    X[rng.uniform(size=600) < 0.3, 1] = np.nan
    imputer = GNRImputer(**TINY, prior=prior, missing_direction="neither").fit(X)
    assert 0 <= imputer.prior_share_ <= 0.5


def test_a_table_of_few_different_rows():
    X = np.repeat(np.random.RandomState(0).normal(size=(3, 3)), 200, axis=0)
    X[:200, 0] = np.nan
    imputer = GNRImputer(**TINY, prior=Ridge(), missing_direction="neither").fit(X)
    assert imputer.prior_share_ == 0.5
    assert imputer.prior_.rounds_ == []
