"""Questions that a survey skips: what is missing, for another answer says so."""

import numpy as np
import pytest

from gnr_sklearn import GNRImputer
from gnr_sklearn._mechanism import asked_cells, predict_masks
from tests.lost_values import correlated_rows, losses


def survey(n_rows=400, nonresponse=0.0, seed=0):
    """Make rows of whether someone works, age, hours, pay and health; who does not, has no two."""
    rng = np.random.RandomState(seed)
    z = rng.normal(size=n_rows)
    works = (z + 0.5 * rng.normal(size=n_rows) > -0.3).astype(float)
    hours = 0.5 * z + 0.3 * rng.normal(size=n_rows) + 0.8 * works
    pay = z + 1.2 * rng.normal(size=n_rows)
    X = np.column_stack([works, rng.normal(size=n_rows), hours, pay, z + rng.normal(size=n_rows)])
    holed = X.copy()
    holed[:, 2:4][rng.uniform(size=(n_rows, 2)) < nonresponse] = np.nan
    holed[works == 0, 2:4] = np.nan
    return X, holed


@pytest.mark.parametrize("nonresponse", [0.0, 0.15])
def test_cells_that_were_not_asked_for(nonresponse):
    _, holed = survey(nonresponse=nonresponse)
    skipped = np.zeros(holed.shape, dtype=bool)
    skipped[:, 2:4] = holed[:, [0]] == 0
    np.testing.assert_array_equal(asked_cells(holed), ~skipped)
    # Whatever the levels are called, and where some do not say.
    holed[:, 0] = np.where(holed[:, 0] == 0, 7.0, -2.5)
    holed[::50, 0] = np.nan
    skipped[::50] = False
    np.testing.assert_array_equal(asked_cells(holed), ~skipped)


@pytest.mark.parametrize(
    ("levels", "lost"),
    [
        (lambda rng: rng.randint(25, size=400), lambda column: column == 0),
        (lambda rng: np.repeat([0, 1], [5, 395]), lambda column: column == 0),
        (
            lambda rng: rng.randint(2, size=400),
            lambda column: (column == 0) & (column.cumsum() > 9),
        ),
        (lambda rng: np.zeros(400), lambda column: np.arange(400) < 200),
    ],
    ids=["many levels", "few rows", "not all of a level", "one level"],
)
def test_cells_of_which_it_is_open_whether_they_are_missing(levels, lost):
    rng = np.random.RandomState(0)
    column = levels(rng).astype(float)
    X = np.column_stack([column, rng.normal(size=(400, 2))])
    X[lost(column) | (rng.uniform(size=400) < 0.2), 1] = np.nan
    assert asked_cells(X).all()


def test_cells_that_are_skipped_are_few_of_what_is_missing():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(400, 2))
    X[:, 0] = np.arange(400) < 60
    X[:, 1][(X[:, 0] == 1) | (rng.uniform(size=400) < 0.5)] = np.nan
    assert asked_cells(X).all()


@pytest.mark.parametrize("nonresponse", [0.0, 0.15])
def test_questions_that_are_skipped_have_no_side(nonresponse):
    """Where they are asked, the column that decides is constant, and no estimate rests on it."""
    X, holed = survey(nonresponse=nonresponse)
    imputer = GNRImputer(prior=None, max_iter=400, random_state=0).fit(holed)
    assert imputer.missing_direction_.tolist() == [None] * 5
    missing = np.isnan(holed[:, 2:4])
    error = (imputer.transform(holed) - X)[:, 2:4] / X[:, 2:4].std(axis=0)
    assert np.sqrt((error[missing] ** 2).mean()) < 1.3


def test_questions_that_are_skipped_and_answers_that_are_withheld():
    """What is withheld of what was asked says which side goes missing."""
    X = correlated_rows(900)
    skips = np.random.RandomState(3).uniform(size=900) < 0.5
    withheld = losses("above", X)
    table = np.column_stack([X, skips])
    table[:, :2][withheld | skips[:, np.newaxis]] = np.nan
    asked = asked_cells(table)
    np.testing.assert_array_equal(asked[:, :2], np.repeat(~skips[:, np.newaxis], 2, axis=1))
    features = np.array([0, 1])
    whole = np.nan_to_num(np.column_stack([X, skips]))
    predicted = predict_masks(table, whole, features, 0, asked)
    alone = predict_masks(table[~skips], whole[~skips], features, 0)
    for gain, expected in zip(predicted.gain, alone.gain, strict=True):
        assert not gain[skips].any()
        assert gain.sum() == pytest.approx(expected.sum(), rel=0.1)
    assert not any(of_cells[skips].any() for of_cells in predicted.common)
    assert (np.sign(predicted.sides[:2]) == np.sign(alone.sides[:2])).all()
