"""The classical imputers against scikit-learn's, against their definitions, and on data."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_diabetes, load_wine
from sklearn.impute import SimpleImputer
from sklearn.linear_model import BayesianRidge
from sklearn.preprocessing import StandardScaler

from gnr_sklearn import MeanImputer, MICEImputer, MissForestImputer
from gnr_sklearn.classical import IterativeImputer


def make_holes(X, fraction=0.2, seed=0):
    """Remove values completely at random; the first row stays complete."""
    missing = np.random.RandomState(seed).uniform(size=X.shape) < fraction
    missing[0] = False
    return np.where(missing, np.nan, X)


@pytest.fixture(scope="module")
def diabetes():
    return load_diabetes(scaled=False).data[:150]


@pytest.fixture(scope="module")
def wine():
    return load_wine().data


def standardized_error(X_imputed, X, X_holes):
    """Root mean square error at the holes, in standard deviations of the columns."""
    error = (X_imputed - X) / X.std(axis=0)
    return np.sqrt(np.mean(error[np.isnan(X_holes)] ** 2))


# MeanImputer


def test_mean_imputer_equals_simple_imputer(wine):
    X = make_holes(wine)
    reference = SimpleImputer().fit(X)
    imputer = MeanImputer().fit(X)
    assert_allclose(imputer.imputer_.statistics_, np.nanmean(X, axis=0), rtol=1e-12)
    for X_new in (X, make_holes(wine, fraction=0.7, seed=1)):
        assert_allclose(imputer.transform(X_new), reference.transform(X_new), rtol=1e-12)


# MICEImputer


@pytest.mark.parametrize("data", ["diabetes", "wine"])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"max_iter": 1},
        {"max_iter": 30, "tol": 0.1},
        {"imputation_order": "descending"},
        {"imputation_order": "roman"},
        {"imputation_order": "arabic"},
        {"skip_complete": True},
        {"min_value": -1.0, "max_value": 0.5},
    ],
    ids=str,
)
def test_mice_equals_iterative_imputer_of_standardised_features(request, data, params):
    complete = request.getfixturevalue(data)
    X = make_holes(complete)
    X[:, 3] = complete[:, 3]
    scaler = StandardScaler().fit(X)
    reference = IterativeImputer(BayesianRidge(), **params).fit(scaler.transform(X))
    in_units = {
        name: scaler.mean_ + params[name] * scaler.scale_
        for name in ("min_value", "max_value")
        if name in params
    }
    imputer = MICEImputer(**params | in_units).fit(X)
    for X_new in (X, make_holes(complete, seed=1)):
        expected = scaler.inverse_transform(reference.transform(scaler.transform(X_new)))
        assert_allclose(imputer.transform(X_new), expected, rtol=1e-9)
    assert imputer.n_iter_ == reference.n_iter_


def test_mice_does_not_depend_on_units(wine):
    X = make_holes(wine)
    rng = np.random.RandomState(0)
    scale = 10.0 ** rng.uniform(-4, 4, size=X.shape[1])
    shift = rng.uniform(-5, 5, size=X.shape[1]) * scale
    X_other = MICEImputer().fit_transform(X * scale + shift)
    assert_allclose((X_other - shift) / scale, MICEImputer().fit_transform(X), rtol=1e-6)


def test_mice_finds_a_linear_relation():
    rng = np.random.RandomState(0)
    x = rng.randn(200, 2)
    X = np.column_stack([x, x @ [2.0, -1.0] + 3.0])
    X_holes = X.copy()
    X_holes[:60, 2] = X_holes[60:90, 0] = np.nan
    assert_allclose(MICEImputer(max_iter=50, tol=1e-6).fit_transform(X_holes), X, atol=1e-3)


def test_mice_treats_a_row_without_observed_values_as_in_company(wine):
    # scikit-learn's imputes means to such rows, but only where all rows are such.
    X = make_holes(wine)
    imputer = MICEImputer().fit(X)
    nothing = np.full((1, X.shape[1]), np.nan)
    alone = imputer.transform(nothing)
    in_company = imputer.transform(np.vstack([X, nothing]))[[-1]]
    assert_allclose(alone, in_company, rtol=1e-9)
    assert not np.allclose(alone, np.nanmean(X, axis=0), rtol=1e-4)


def test_mice_respects_one_bound_for_all(diabetes):
    X = make_holes(diabetes)
    unbounded = MICEImputer().fit_transform(X)
    imputed = MICEImputer(min_value=40.1, max_value=150.3).fit_transform(X)[np.isnan(X)]
    assert unbounded[np.isnan(X)].min() < 40.1
    assert unbounded[np.isnan(X)].max() > 150.3
    assert imputed.min() == pytest.approx(40.1)
    assert imputed.max() == pytest.approx(150.3)


@pytest.mark.parametrize("keep_empty_features", [False, True])
def test_mice_respects_bounds_for_each_feature(diabetes, keep_empty_features):
    X = make_holes(diabetes)
    # Bounds that hold half of each column; one column is empty.
    lowest, highest = np.nanpercentile(X, [25, 75], axis=0)
    X[:, 2] = np.nan
    lowest[2], highest[2] = -2e6, -1e6
    imputer = MICEImputer(
        min_value=list(lowest), max_value=highest, keep_empty_features=keep_empty_features
    )
    X_imputed = imputer.fit_transform(X)
    if keep_empty_features:
        assert_array_equal(X_imputed[:, 2], np.zeros(len(X)))
        X_imputed = np.delete(X_imputed, 2, axis=1)
    X, lowest, highest = (np.delete(each, 2, axis=-1) for each in (X, lowest, highest))
    missing = np.isnan(X)
    low, high, imputed = (
        np.broadcast_to(each, X.shape)[missing] for each in (lowest, highest, X_imputed)
    )
    assert (imputed >= low * (1 - 1e-12)).all()
    assert (imputed <= high * (1 + 1e-12)).all()
    assert np.isclose(imputed, low, rtol=1e-12).any()
    assert np.isclose(imputed, high, rtol=1e-12).any()
    # What is observed is none of the bounds' business.
    assert_array_equal(X_imputed[~missing], X[~missing])


@pytest.mark.parametrize("skip_complete", [False, True])
def test_mice_respects_bounds_in_features_complete_in_fit(skip_complete):
    imputer = MICEImputer(min_value=10.0, max_value=20.0, skip_complete=skip_complete)
    imputer.fit([[1.0, 2.0], [2.0, 4.0], [3.0, 5.0]])
    assert_allclose(imputer.transform([[1.0, np.nan]]), [[1.0, 10.0]], rtol=1e-12)


@pytest.mark.parametrize("skip_complete", [False, True])
def test_mice_skip_complete(wine, skip_complete):
    X = make_holes(wine)
    X[:, 0] = wine[:, 0]
    X_new = X.copy()
    X_new[:, 0] = np.nan
    imputed = MICEImputer(skip_complete=skip_complete).fit(X).transform(X_new)[:, 0]
    if skip_complete:
        assert_allclose(imputed, wine[:, 0].mean())
    else:
        assert np.corrcoef(imputed, wine[:, 0])[0, 1] > 0.6


def test_mice_counts_at_least_one_round():
    assert MICEImputer().fit([[1.0], [np.nan]]).n_iter_ == 1


# MissForestImputer


def change_by_definition(new, old, X_holes):
    scaler = StandardScaler().fit(X_holes)
    new, old = scaler.transform(new), scaler.transform(old)
    return ((new - old) ** 2).sum() / (new**2).sum()


@pytest.mark.parametrize("seed", range(4))
def test_miss_forest_stops_when_the_change_grows(wine, seed):
    X = make_holes(wine[:, :5], seed=seed)
    params = {"n_estimators": 5, "random_state": seed}
    imputer = MissForestImputer(max_iter=30, **params)
    X_imputed = imputer.fit_transform(X)

    changes = np.array(imputer.changes_)
    grew = np.diff(changes) > 0
    # Only the last round done saw the change grow, and is not kept.
    assert_array_equal(grew, np.arange(1, len(changes)) == len(changes) - 1)
    assert imputer.n_iter_ == len(changes) - 1
    assert imputer.n_iter_ >= 2

    # The result of each round, from imputers that stop there: the last is what comes out.
    rounds = [MeanImputer().fit_transform(X)]
    for max_iter in range(1, imputer.n_iter_ + 1):
        stopped = MissForestImputer(max_iter=max_iter, **params)
        rounds.append(stopped.fit_transform(X))
        assert stopped.n_iter_ == max_iter
        assert stopped.changes_ == imputer.changes_[:max_iter]
        change = change_by_definition(rounds[-1], rounds[-2], X)
        assert imputer.changes_[max_iter - 1] == pytest.approx(change, rel=1e-6)
    assert_array_equal(X_imputed, rounds[-1])
    assert (rounds[-1] != rounds[-2]).any()


def test_miss_forest_stops_at_max_iter(wine):
    X = make_holes(wine[:, :4])
    imputer = MissForestImputer(n_estimators=3, max_iter=2, random_state=0).fit(X)
    assert imputer.n_iter_ <= 2
    assert len(imputer.changes_) <= 2


def test_miss_forest_stops_when_nothing_changes():
    X = np.repeat([[0.0, 1.0], [1.0, 3.0]], 20, axis=0)
    imputer = MissForestImputer(n_estimators=3, random_state=0).fit(X)
    assert imputer.changes_ == [0.0]
    assert imputer.n_iter_ == 1


def test_miss_forest_predicts_from_the_other_features_alone():
    # Two groups: trees tell them apart by the other feature and predict within them.
    X = np.repeat([[0.0, 1.0], [1.0, 3.0]], 20, axis=0)
    X_holes = X.copy()
    X_holes[[0, 30], [1, 0]] = np.nan
    assert_allclose(MissForestImputer(random_state=0).fit_transform(X_holes), X, atol=1e-12)


def test_miss_forest_does_not_depend_on_units(wine):
    # Where two splits are equally good, rounding decides between them. Here there is none:
    # whole numbers, of which each column has 2^6, and other units by powers of 2.
    X = np.round(50.0 * StandardScaler().fit_transform(wine[:80, :5]))
    rng = np.random.RandomState(0)
    for column in X.T:
        column[rng.choice(80, size=16, replace=False)] = np.nan
    scale = 2.0 ** np.array([-10, 0, 3, 20, -2])
    shift = np.array([5.0, -3.0, 0.0, 1000.0, 77.0])

    params = {"n_estimators": 5, "max_iter": 5, "random_state": 0}
    imputer, other = MissForestImputer(**params), MissForestImputer(**params)
    X_imputed = imputer.fit_transform(X)
    X_other = other.fit_transform((X + shift) * scale)
    assert other.changes_ == imputer.changes_
    assert_allclose(X_other / scale - shift, X_imputed, rtol=0, atol=1e-9)


@pytest.mark.parametrize("skip_complete", [False, True])
def test_miss_forest_skip_complete(wine, skip_complete):
    X = make_holes(wine[:, :5])
    X[:, 0] = wine[:, 0]
    params = {"n_estimators": 10, "max_iter": 3, "random_state": 0}
    imputer = MissForestImputer(**params, skip_complete=skip_complete).fit(X)
    # What was seen in fit has no use for the forests of complete features.
    assert_array_equal(
        imputer.transform(X),
        MissForestImputer(**params, skip_complete=not skip_complete).fit(X).transform(X),
    )
    X_new = X.copy()
    X_new[:, 0] = np.nan
    imputed = imputer.transform(X_new)[:, 0]
    if skip_complete:
        assert_allclose(imputed, wine[:, 0].mean())
    else:
        assert np.corrcoef(imputed, wine[:, 0])[0, 1] > 0.6


def test_miss_forest_finds_a_non_linear_relation_in_data_missing_at_random():
    rng = np.random.RandomState(0)
    x = rng.uniform(-2.0, 2.0, size=300)
    X = np.column_stack([x, x**2 + 0.1 * rng.randn(300), rng.randn(300)])
    X_holes = X.copy()
    # Whether x^2 is missing depends on x, which is observed.
    X_holes[rng.uniform(size=300) < np.where(x > 0, 0.6, 0.2), 1] = np.nan
    errors = {
        type(imputer): standardized_error(imputer.fit_transform(X_holes), X, X_holes)
        for imputer in (
            MeanImputer(),
            MICEImputer(),
            MissForestImputer(n_estimators=20, random_state=0),
        )
    }
    assert errors[MissForestImputer] < 0.3 * errors[MICEImputer]
    assert errors[MissForestImputer] < 0.3 * errors[MeanImputer]


@pytest.mark.parametrize(
    "imputer",
    [MICEImputer(), MissForestImputer(n_estimators=20, max_iter=4, random_state=0)],
    ids=lambda imputer: type(imputer).__name__,
)
@pytest.mark.parametrize("data", ["diabetes", "wine"])
def test_error_is_smaller_than_that_of_the_mean(request, data, imputer):
    X = request.getfixturevalue(data)
    X_holes = make_holes(X)
    error = standardized_error(imputer.fit_transform(X_holes), X, X_holes)
    assert error < 0.9 * standardized_error(MeanImputer().fit_transform(X_holes), X, X_holes)


@pytest.mark.parametrize(
    ("params", "largest_leaf"), [({}, 1), ({"min_samples_leaf": 10}, 10)], ids=str
)
def test_miss_forest_hands_parameters_to_its_forests(wine, params, largest_leaf):
    X = make_holes(wine[:, :5])
    imputer = MissForestImputer(
        n_estimators=3, max_features="sqrt", max_iter=1, random_state=0, **params
    ).fit(X)
    forests = [forest for _, forest in imputer._chain()]
    assert len(forests) == 5
    assert all(len(forest.estimators_) == 3 for forest in forests)
    assert all(forest.max_features == "sqrt" for forest in forests)
    sizes = [
        tree.tree_.weighted_n_node_samples[tree.tree_.children_left == -1].min()
        for forest in forests
        for tree in forest.estimators_
    ]
    assert min(sizes) >= largest_leaf


def test_miss_forest_in_parallel(wine):
    X = make_holes(wine[:, :5])
    params = {"n_estimators": 6, "max_iter": 3, "random_state": 0}
    in_turn = MissForestImputer(**params).fit_transform(X)
    in_parallel = MissForestImputer(**params, n_jobs=2).fit_transform(X)
    assert_allclose(in_parallel, in_turn, rtol=1e-10)


def test_miss_forest_verbose(wine, capsys):
    X = make_holes(wine[:, :3])
    params = {"n_estimators": 2, "max_iter": 2, "random_state": 0}
    MissForestImputer(**params).fit(X)
    assert capsys.readouterr().out == ""
    imputer = MissForestImputer(**params, verbose=1).fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"[MissForestImputer] round {number}: change {change:.3g}"
        for number, change in enumerate(imputer.changes_, start=1)
    ]


def test_mice_verbose(wine, capsys):
    X = make_holes(wine[:, :3])
    MICEImputer(max_iter=2).fit(X)
    assert capsys.readouterr().out == ""
    MICEImputer(max_iter=2, verbose=1).fit(X)
    assert "IterativeImputer" in capsys.readouterr().out


def test_forests_see_no_units():
    """Splits that are equally good are not decided by rounding errors of the units."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(150, 1)) + rng.normal(size=(150, 5))
    X[rng.uniform(size=X.shape) < 0.3] = np.nan
    imputer = MissForestImputer(n_estimators=20, max_iter=3, random_state=0)
    expected = imputer.fit_transform(X)
    np.testing.assert_allclose(imputer.fit_transform(1000 * X) / 1000, expected, rtol=1e-6)
    assert np.isfinite(imputer.transform([[1e40, np.nan, 0.0, 0.0, 0.0]])).all()
