"""What a GNRImputer is not told and chooses by the data: directions, and the weight of the mask."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnr_sklearn._blocks import find_blocks, with_one_leader
from gnr_sklearn._mechanism import (
    MaskGain,
    asked_cells,
    can_be_told,
    choose_sides,
    decide_themselves,
    gain_by_model,
    lose_both_ends,
    mask_odds,
    predict_masks,
    removal_error,
)
from gnr_sklearn._reservoir import some_rows
from gnr_sklearn._types import BoolArray, FloatArray
from gnr_sklearn._validation import DIRECTION_NAMES, feature_directions
from gnr_sklearn.nn.blocks import in_blocks

if TYPE_CHECKING:
    from gnr_sklearn._chained import ChainedRegressions
    from gnr_sklearn.gnr import GNRImputer

__all__ = [
    "ALPHAS",
    "LARGEST_SHARE",
    "choose_alpha",
    "choose_blocks",
    "choose_directions",
    "choose_share",
]

# So many rows at most are looked at, so that a fit to many takes no longer.
ROWS_FOR_CHOICES = 3000

# Linear models, from which a mechanism's direction is told, have settled after this many steps,
# and others differ enough to compare weights of the mask.
STEPS_FOR_CHOICES = 750
MIN_LATENT_DIM = 10

# With smaller gradients Adam takes no steps to speak of.
LEAST_ALPHA = 1e-6

# Among which weights of the mask "auto" chooses. With values that decide, larger ones make the
# noise of x given z explain the mask.
ALPHAS = {"latent": (1.0, 0.01, 100.0), "value": (1.0, 0.1, 0.01)}

# Rows to compare them on: this part, and no more than so many. With fewer than the least, and for
# a table of which nothing is missing, there is nothing to tell them by.
HELD_OUT_FOR_ALPHA = 0.25
MAX_ROWS_FOR_ALPHA = 500
MIN_ROWS_FOR_ALPHA = 5

# The share of regressions in what is imputed, unless they have less weight than this beside z in
# predicting what is observed. So many rows and features are looked at at most, those features that
# have so many observed values: fewer are fitted by z so closely that it seems to tell more.
LARGEST_SHARE = 0.5
LEAST_WEIGHT = 0.05
ROWS_FOR_SHARE = 2000
FEATURES_FOR_SHARE = 3
OBSERVED_FOR_SHARE = 350


def choose_blocks(imputer: GNRImputer, values: FloatArray, seed: int) -> NDArray[np.int8]:
    """Tell which modelled features rows lack together."""
    if imputer._given_blocks is not None:
        return imputer._given_blocks
    if imputer._shares_scale or imputer.mask_model == "latent":
        return np.empty((0, values.shape[1]), dtype=np.int8)
    rows = some_rows(len(values), ROWS_FOR_CHOICES, seed)
    return find_blocks(values[rows], _given_directions(imputer, values))


def choose_directions(imputer: GNRImputer, values: FloatArray, seed: int) -> FloatArray:
    """Return 1, -1, 0 or 2 for each modelled feature, choosing what the user leaves open."""
    directions = _given_directions(imputer, values)
    if imputer.alpha != "auto" and imputer.alpha < LEAST_ALPHA:
        # The process is hardly trained, if at all, and must not move what is imputed.
        imputer._warn_of_unused_direction(f"alpha={imputer.alpha!r}")
        directions[:] = 0
    if not np.isnan(directions).any():
        return directions
    view, owner = imputer._numeric_view(values)
    first = np.unique(owner, return_index=True)[1]
    return _chosen_directions(imputer, view, directions[owner], owner, seed)[first]


def _given_directions(imputer: GNRImputer, values: FloatArray) -> FloatArray:
    """Return 1, -1, 0 or 2 for each modelled feature, and NaN for what the user leaves open."""
    allowed = imputer._allowed_directions
    given = feature_directions(imputer.missing_direction, imputer._names, np.nan, allowed)
    if imputer._shares_scale and (given == allowed["both"]).any():
        raise ValueError(
            "missing_direction must not be 'both' for features that share a process, with "
            f"scaling={imputer.scaling!r}, got {imputer.missing_direction!r}."
        )
    directions = given[~imputer._is_empty_feature]
    # A feature without missing values tells nothing of how they would be lost.
    directions[~np.isnan(values).any(axis=0)] = 0
    # Of categories without an order, none is above another.
    directions[imputer._discrete.unordered] = 0
    return directions


def _chosen_directions(
    imputer: GNRImputer,
    values: FloatArray,
    directions: FloatArray,
    owner: NDArray[np.intp],
    seed: int,
) -> FloatArray:
    """Return 1, -1, 0 or 2 for each column of a table of numbers, where it is NaN so far."""
    is_open = np.isnan(directions)
    rows = values[some_rows(len(values), ROWS_FOR_CHOICES, seed)]
    in_rows = ~np.isnan(rows).all(axis=0)
    rows, is_open_in_rows = rows[:, in_rows], is_open[in_rows]
    blocks = imputer._blocks[:, owner[in_rows]]
    missing = np.isnan(rows)
    asked = asked_cells(rows) & ~in_blocks(blocks, missing)
    is_told = is_open_in_rows & can_be_told(rows, asked)
    if not is_told.any():
        return np.where(is_open, 0, directions)
    # Where all that is missing was not asked for, values have no side.
    directions = directions.copy()
    directions[np.flatnonzero(in_rows)[is_open_in_rows & ~is_told & ~asked.all(axis=0)]] = 0
    is_open = np.isnan(directions)[in_rows]
    info = _info_of(imputer, owner[in_rows])
    # The same event twice would be there to predict itself.
    led_by_one = with_one_leader(blocks)
    asked_of_models = asked & ~in_blocks(led_by_one, missing)

    def candidate(mask_model: str, signs: FloatArray) -> GNRImputer:
        return _side_candidate(imputer, seed, mask_model, signs, info, led_by_one).fit(rows)

    at_random = candidate("latent", np.ones(len(is_open)))
    # A frame where scikit-learn has been configured so.
    completed = np.asarray(at_random.transform(rows))
    predicted = predict_masks(rows, completed, np.flatnonzero(is_told), seed, asked, blocks)
    # The ones and zeros of a category go missing together, and other columns that are not
    # asked about may: that a mask depends on z explains, and no side could.
    is_closed = ~is_open & (directions[in_rows] == 0)
    bounds_compare = not np.isnan(rows[:, is_closed]).any()

    @cache
    def of(model: GNRImputer) -> tuple[FloatArray, float]:
        """Return what a model makes of masks, and its bound where bounds can be compared."""
        bound = model.score(rows) if bounds_compare else np.nan
        return gain_by_model(model, rows, asked_of_models), bound

    def against_chance(signs: FloatArray, looked_at: BoolArray) -> tuple[MaskGain, float]:
        """Compare a model in which values decide: what it makes of masks, and its bound."""
        signs = np.where(is_open, signs, directions[in_rows])
        by_values = candidate("value", signs)
        (by_value, bound), (by_all, bound_of_chance) = of(by_values), of(at_random)
        gain = MaskGain(by_value[:, looked_at], by_all[:, looked_at])
        return gain, bound - bound_of_chance if bounds_compare else np.inf

    signs = choose_sides(predicted)
    if signs.any():
        has_common_cause = predicted.common.explains(predicted.gain.by_value)
        by_models, bound_gain = against_chance(signs, is_open)
        signs *= decide_themselves(predicted.gain, by_models, bound_gain, has_common_cause)
    if not signs.any() and not imputer._shares_scale:
        # Of two levels, either is at an end.
        may_lose = is_told & [len(np.unique(column[~np.isnan(column)])) > 2 for column in rows.T]
        if may_lose.any():
            both = imputer._allowed_directions["both"]
            signs[may_lose] = both * lose_both_ends(*against_chance(both * may_lose, may_lose))
    chosen = np.zeros(len(directions))
    chosen[in_rows] = signs
    return np.where(np.isnan(directions), chosen, directions)


def _side_candidate(
    imputer: GNRImputer,
    seed: int,
    mask_model: str,
    signs: FloatArray,
    info: FloatArray | None,
    blocks: NDArray[np.int8],
) -> GNRImputer:
    """Make a linear model of values that are lost on given sides, or as z says."""
    # With fewer dimensions z may be as narrow as an estimate of one value is.
    latent_dim = min(max(imputer.latent_dim_, MIN_LATENT_DIM), max(len(signs) - 1, 1))
    candidate = _candidate(
        imputer,
        seed,
        alpha=1.0,
        latent_dim=latent_dim,
        feature_info=info,
        prior=None,
        decoder="linear",
        mask_model=mask_model,
        missing_direction=[DIRECTION_NAMES[sign] for sign in signs],
    )
    # One event that makes many masks would look like their dependence on z.
    candidate._given_blocks = blocks
    return candidate


def choose_alpha(imputer: GNRImputer, values: FloatArray, side: FloatArray, seed: int) -> float:
    """Return the alpha that imputes removed values best, or 1 where nothing can be told."""
    alphas = ALPHAS[imputer.mask_model]
    n_held_out = min(int(HELD_OUT_FOR_ALPHA * len(values)), MAX_ROWS_FOR_ALPHA)
    without_effect = imputer.mask_model == "value" and not imputer._directions.any()
    if without_effect or n_held_out < MIN_ROWS_FOR_ALPHA or not np.isnan(values).any():
        return alphas[0]
    order = np.random.RandomState(seed).permutation(len(values))
    held_out, rows = np.split(order[: n_held_out + ROWS_FOR_CHOICES], [n_held_out])
    values, owner = imputer._numeric_view(values)
    known = ~np.isnan(values[rows]).all(axis=0)
    if not known.any():
        return alphas[0]
    table, of_rows, of_held_out = values[:, known], None, None
    if side.shape[1]:
        of_rows, of_held_out = side[rows], side[held_out]
    settings: dict[str, Any] = {
        "missing_direction": None,
        "prior": imputer.prior if imputer._regressor is None else None,
        "feature_info": _info_of(imputer, owner[known]),
    }
    if imputer.mask_model == "value":
        signs = imputer._directions[owner[known]]
        settings["missing_direction"] = [DIRECTION_NAMES[sign] for sign in signs]
    candidates = [
        _candidate(imputer, seed, alpha=alpha, **settings).fit(table[rows], side_info=of_rows)
        for alpha in alphas
    ]
    removed_from = table[held_out], of_held_out
    odds = mask_odds(candidates[0], *removed_from)
    errors = [removal_error(each, *removed_from, odds) for each in candidates]
    return alphas[int(np.argmin(errors))]


def choose_share(
    imputer: GNRImputer,
    regressions: ChainedRegressions,
    values: FloatArray,
    side: FloatArray,
    completed: FloatArray,
    seed: int,
) -> float:
    """Return the share of regressions in what is imputed of numbers.

    It is 1/2, but less where regressions tell next to nothing beside z: on average over features,
    by rows that are completed without knowledge of what is predicted.

    Parameters
    ----------
    imputer : GNRImputer
        An imputer whose net is trained.
    regressions : ChainedRegressions
        Its regressions, fitted.
    values, side, completed : ndarray
        The rows that they were fitted to, their side information, and the wide form in the units of
        the net as it is completed.
    seed : int
        Seed of which rows are looked at.
    """
    if not hasattr(imputer._module, "process"):
        # There it takes z to say which values are missing: no mask can be left out.
        return LARGEST_SHARE
    rows = some_rows(len(values), ROWS_FOR_SHARE, seed)
    values, side, completed = values[rows], side[rows], completed[rows]
    observed = ~np.isnan(values)
    numbers = [
        regression.feature
        for regression in (regressions.rounds_ or [[]])[0]
        if regression.feature not in imputer._discrete.levels
        and observed[:, regression.feature].sum() >= OBSERVED_FOR_SHARE
    ]
    weights = [
        regressions.share_beside(
            feature, imputer._completed_without(feature, values, side), completed, observed
        )
        for feature in numbers[:FEATURES_FOR_SHARE]
    ]
    weights = [weight for weight in weights if not np.isnan(weight)]
    if not weights:
        return LARGEST_SHARE
    return LARGEST_SHARE * min(1.0, float(np.mean(weights)) / LEAST_WEIGHT)


def _candidate(imputer: GNRImputer, seed: int, **settings: Any) -> GNRImputer:
    """Make an imputer that is fitted to choose something by, with other settings than own."""
    # What is said of callbacks has no meaning without them.
    net_params = {
        name: value
        for name, value in (imputer.net_params or {}).items()
        if not str(name).startswith("callbacks__")
    }
    # Bounds count for ratings only, whose levels they are.
    lowest, highest = imputer._units.rating_range or (None, None)
    plain = {
        "early_stopping": False, "max_iter": min(imputer.max_iter, STEPS_FOR_CHOICES),
        "callbacks": None, "checkpoint": None, "verbose": 0, "missing_values": np.nan,
        "add_indicator": False, "keep_empty_features": False, "likelihood": "gaussian",
        "min_value": lowest, "max_value": highest, "random_state": seed, "net_params": net_params,
    }  # fmt: skip
    # Not by clone, which copies callbacks and all that they refer to, such as this imputer.
    candidate = type(imputer)(**imputer.get_params(deep=False) | plain | settings)
    candidate._warns = False
    return candidate


def _info_of(imputer: GNRImputer, features: NDArray[np.intp]) -> FloatArray | None:
    """Return what is known of some of the modelled features."""
    return None if imputer._feature_info is None else imputer._feature_info[features]
