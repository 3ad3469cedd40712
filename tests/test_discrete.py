"""Tables of numbers and codes: wide forms, and the way back."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from gnr_sklearn._discrete import DiscreteFeatures
from gnr_sklearn.nn.categories import CategoryLayout, DiscreteFeature


@st.composite
def tables(draw):
    """Draw features, of which some have levels, and a table of them with holes."""
    n_levels = draw(st.lists(st.integers(0, 5), min_size=1, max_size=5))
    levels = {place: n for place, n in enumerate(n_levels) if n > 0}
    ordered = {place for place in levels if draw(st.booleans())}
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    values = rng.normal(size=(7, len(n_levels)))
    for place, n in levels.items():
        values[:, place] = rng.integers(n, size=7)
    holes = rng.uniform(size=values.shape) < 0.3
    return DiscreteFeatures(len(n_levels), levels, ordered), values, holes


@given(tables())
def test_forms_lead_back(table):
    discrete, values, _ = table
    assert_array_equal(discrete.decide(discrete.widen(values)), values)
    view, owner = discrete.numeric_view(values)
    assert view.shape[1] == len(owner)
    assert_array_equal(discrete.from_numeric_view(view), values)
    nudged = values + 0.4 * discrete.is_discrete
    assert_array_equal(discrete.snap(nudged), values)


@given(tables())
def test_what_is_missing_is_missing_in_all_its_columns(table):
    discrete, values, holes = table
    with_holes = np.where(holes, np.nan, values)
    wide = discrete.widen(with_holes)
    assert_array_equal(np.isnan(wide), holes[:, discrete.owner])
    assert_array_equal(wide[~np.isnan(wide)], discrete.widen(values)[~np.isnan(wide)])
    view, owner = discrete.numeric_view(with_holes)
    assert_array_equal(np.isnan(view), holes[:, owner])


@given(tables())
def test_the_wide_form_is_that_of_the_nets(table):
    discrete, values, holes = table
    if not discrete:
        return
    described = [
        DiscreteFeature(place, tuple(map(float, range(n))), (1 / n,) * n, place in discrete.ordered)
        for place, n in discrete.levels.items()
    ]
    layout = CategoryLayout(discrete.n_features, described)
    assert_array_equal(layout.owner.numpy(), discrete.owner)
    x = torch.from_numpy(np.where(holes, 0.0, values))
    wide, _ = layout.widen(x, torch.from_numpy(~holes).double())
    assert_array_equal(wide.numpy(), np.nan_to_num(discrete.widen(np.where(holes, np.nan, values))))


def test_the_likeliest_level_or_the_median_one():
    discrete = DiscreteFeatures(3, {0: 3, 2: 3}, {2})
    chances = np.array([[0.3, 0.3, 0.4], [0.5, 0.25, 0.25], [0.2, 0.3, 0.5]])
    wide = np.hstack([np.full((3, 1), 7.0), chances, chances])
    decided = discrete.decide(wide)
    assert_array_equal(decided[:, 0], [2, 0, 2])
    assert_array_equal(decided[:, 1], 7.0)
    # Half of the chance is at or below the first level, and at or below the second one.
    assert_array_equal(decided[:, 2], [1, 0, 1])


def test_the_most_common_level():
    discrete = DiscreteFeatures(2, {1: 3}, set())
    values = np.array([[0.0, 2.0], [1.0, 2.0], [2.0, 0.0], [3.0, np.nan]])
    assert discrete.most_common(values) == {1: 2.0}


def test_levels_are_counted_where_they_are_observed():
    values = np.array([[2.0], [np.nan], [0.0], [2.0]])
    assert_array_equal(DiscreteFeatures(1, {0: 4}).counts_of(0, values), [1, 0, 2, 0])
