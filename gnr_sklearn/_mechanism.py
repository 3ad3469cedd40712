"""The choice between ways of losing values that a user says nothing about."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr, ndtr, ndtri
from sklearn.feature_selection import r_regression
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.preprocessing import QuantileTransformer, StandardScaler
from torch import Tensor
from torch.nn import functional as F

from gnr_sklearn._blocks import lost_with, predecessors
from gnr_sklearn._quadrature import normal_points
from gnr_sklearn._types import BoolArray, FloatArray
from gnr_sklearn._validation import observed_mean_and_std
from gnr_sklearn.nn.adaptive import WeightedSamples
from gnr_sklearn.nn.bounds import normalized_weights
from gnr_sklearn.nn.likelihoods import SELECTED, Gaussian
from gnr_sklearn.nn.rows import MaskedRows

if TYPE_CHECKING:
    from gnr_sklearn.gnr import GNRImputer

__all__ = [
    "MaskGain",
    "asked_cells",
    "can_be_told",
    "choose_sides",
    "decide_themselves",
    "predict_masks",
    "gain_by_model",
    "gain_of_threshold",
    "lose_both_ends",
    "mask_odds",
    "removal_error",
]

# By how much a value has to predict the mask: in standard errors of the sum over rows, and as a
# share of what all else predicts. On the tables of the benchmarks, values that are correlated with
# another cause of masks predict up to six tenths in one of the two ways to measure it, but not in
# both; where all columns have the same correlation, they may reach more in both. Models make more
# of few rows than regressions do, so that the errors, too, are averaged over both.
MIN_STANDARD_ERRORS = 3.0
MIN_SHARE = 0.65
# By how many standard errors something adds to what another thing predicts of masks. Where one
# cause is behind those of several features, values mostly add less than one to it, and it adds
# three or more to the values (23 tables of which the first half of the columns are missing at
# random); where values decide, they add more, but for some cells in which the cause adds nothing.
MIN_TO_ADD = 2.0
# What a ratio counts as at most, also where all else predicts nothing.
MAX_RATIO = 2.0
# A feature has a side of its own where it says so this clearly, and none where it says less than a
# tenth of what it would if it were as the others are, which must be enough to be told from nothing.
MIN_OWN_SHARE = 0.5
NEGLIGIBLE_SHARE = 0.1

# Regressions cost the square of their number of inputs, for each feature: of more, the ones that
# are correlated most are taken, and the features of a wide table are sampled.
PENALTIES = np.logspace(-1, 4, 8)
MAX_INPUTS = 50
MAX_FEATURES = 50
MAX_OTHER_MASKS = 8
FOLDS = 5
MIN_OF_EACH = 10
QUANTILES = 200
EVERY_ROW = slice(None)
MIN_PROBABILITY = 1e-3

# What one removed cell may count for as much as, in cells that go missing half of the time.
MAX_ODDS = 20.0
MIN_ODDS = 1e-3

# Features of so few different values may be questions upon which others are skipped, if levels have
# so small a chance to be without a value of these, and most of what is missing belongs to them.
FEW_LEVELS = 20
CHANCE_OF_LEVEL = 1e-6
MOSTLY_SKIPPED = 0.5

# Points and weights by which a function of a standard normal variable is averaged, and how close to
# a value its estimate may be for these to see where it changes.
POINTS, WEIGHTS = normal_points(60)
MAX_CORRELATION = 0.98


class MaskGain(NamedTuple):
    """What is predicted of the mask of each cell, beyond the fraction of a feature that is missing.

    Attributes
    ----------
    by_value, by_all : ndarray of shape (n_samples, n_features)
        Log-probability of the mask, less what the fraction of missing values gives, in nats: by
        what is known of the cell's value, and by all that is known of the row's other cells.
    """

    by_value: FloatArray
    by_all: FloatArray

    @property
    def ratio(self) -> float:
        """What the value predicts, over what all does: at most 2."""
        by_value, by_all = self.by_value.sum(), self.by_all.sum()
        return float(by_value / max(by_value / MAX_RATIO, by_all)) if by_value > 0 else 0.0

    @property
    def share(self) -> float:
        """What the value predicts, as a share of what all does: at most 1."""
        return min(self.ratio, 1.0)

    @property
    def standard_errors(self) -> float:
        """What the value predicts, in standard errors of it."""
        return standard_errors(self.by_value.sum(axis=1))


class CommonCause(NamedTuple):
    """What is predicted of the mask of each cell by what the masks of other features depend on.

    Attributes
    ----------
    by_cause, by_both : ndarray of shape (n_samples, n_features)
        Log-probability of the mask, less what the fraction of a feature that is missing gives, in
        nats: by the cause, and by it together with what is known of the cell's value.
    """

    by_cause: FloatArray
    by_both: FloatArray

    def explains(self, by_value: FloatArray) -> bool:
        """Tell whether masks have this cause, rather than the values themselves.

        Where values decide, an estimate of the value is what there is to know of its mask, and what
        the masks of other features depend on is a proxy of it. Where one cause is behind all masks,
        it is the estimate that is a proxy, and adds nothing.

        Parameters
        ----------
        by_value : ndarray of shape (n_samples, n_features)
            Of a :class:`MaskGain`.
        """
        value_adds, cause_adds = self.by_both - self.by_cause, self.by_both - by_value
        is_proxy = standard_errors(value_adds.sum(axis=1)) < MIN_TO_ADD
        is_cause = standard_errors(cause_adds.sum(axis=1)) >= MIN_TO_ADD
        return is_proxy and is_cause and bool(cause_adds.sum() > value_adds.sum())


class MaskPredictions(NamedTuple):
    """What regressions tell of the masks of a table.

    Attributes
    ----------
    gain : MaskGain
        0 for features that were not looked at, and cells that were not asked for.
    common : CommonCause
        The same; of a feature whose mask is the only one, the cause predicts nothing.
    sides : ndarray of shape (n_features,)
        How much larger the estimate is where values are missing: above 0 where large ones are.
    of_threshold : ndarray of shape (n_features,)
        What the estimate would predict, in nats, if it were values beyond a threshold, all of
        these and no others, that are missing; by its correlation with the values that are seen,
        which makes it too low where these are cut off.
    """

    gain: MaskGain
    common: CommonCause
    sides: FloatArray
    of_threshold: FloatArray


def asked_cells(values: FloatArray) -> BoolArray:
    """Tell of which cells it is open whether they are missing.

    Surveys skip questions: where a feature with few levels has one of them, all values of another
    feature are missing, which says nothing of these. Of a feature that is missing mostly for that
    reason, such cells are left out. With chance alone, at the rate at which it is missing, there
    would have to be less than one in a million that a level has none.
    """
    missing = np.isnan(values)
    owners, levels = [], []
    for j, column in enumerate(values.T):
        different = np.unique(column[~missing[:, j]])
        if 1 < len(different) <= FEW_LEVELS:
            owners += [j] * len(different)
            levels += list(column == different[:, np.newaxis])
    if not levels:
        return np.ones(values.shape, dtype=bool)
    in_level = np.array(levels, dtype=np.float64)
    n_rows = in_level.sum(axis=1)[:, np.newaxis]
    with np.errstate(divide="ignore"):
        log_chance = n_rows * np.log(missing.mean(axis=0))
    is_skipped = in_level @ missing == n_rows
    is_skipped &= log_chance < np.log(CHANCE_OF_LEVEL)
    is_skipped[np.arange(len(owners)), owners] = False
    skipped = in_level.T @ is_skipped > 0
    mostly = skipped.sum(axis=0) >= MOSTLY_SKIPPED * missing.sum(axis=0)
    return ~(skipped & mostly)


def gain_by_model(
    imputer: GNRImputer, values: FloatArray, asked: BoolArray | bool = True
) -> FloatArray:
    """Compute what a fitted imputer predicts of each cell's mask by the other cells of its row.

    Parameters
    ----------
    imputer : GNRImputer
        A fitted imputer.
    values : ndarray of shape (n_samples, n_features)
        The rows that it was fitted to.
    asked : ndarray of bool of shape (n_samples, n_features) or bool, default=True
        What :func:`asked_cells` returns.

    Returns
    -------
    gain : ndarray of shape (n_samples, n_features)
        log p(m_ij | what else is known of row i), less what the feature's fraction of missing
        values gives, in nats; 0 for cells that were not asked for.
    """
    missing = np.isnan(values)
    rows = imputer._rows(values, np.empty((len(values), 0)))
    log_mask = np.where(asked, imputer._map_samples(log_mask_given_others, rows), 0.0)
    return log_mask - _by_chance(missing, np.broadcast_to(asked, missing.shape))


def can_be_told(values: FloatArray, asked: BoolArray | bool = True) -> BoolArray:
    """Tell of which features there is enough to predict a mask by, and another to do it with."""
    missing = np.isnan(values)
    n_missing = (missing & asked).sum(axis=0)
    says_enough = np.minimum(n_missing, (~missing).sum(axis=0)) >= MIN_OF_EACH
    # Of values that are all the same there is no estimate but rounding errors.
    varies = np.fmax.reduce(values, axis=0) > np.fmin.reduce(values, axis=0)
    return says_enough & varies & (values.shape[1] > 1)


def predict_masks(
    values: FloatArray,
    completed: FloatArray,
    features: NDArray[np.int64],
    seed: int,
    asked: BoolArray | bool = True,
    blocks: NDArray[np.int8] | None = None,
) -> MaskPredictions:
    r"""Compare what an estimate of a value predicts of its mask with what its row does.

    Where a value decides itself whether it is seen, the other cells of a row tell of its mask no
    more than they tell of the value: :math:`m_j` is independent of them given :math:`u_j`. Their
    regression on the values that are seen gives an estimate :math:`\hat u_{ij}` for all rows. Under
    selection its slopes are too small, but their ratios to one another are right, for normally
    distributed values exactly so. So a logistic regression of the mask on this one number is
    compared with one on all of the other cells, and their masks. Each row is predicted by
    regressions that were fitted to others.

    A second rival of the estimate is what predicts other masks: the sum of their regressions, each
    mask in units of its standard deviation, on all features but its own and this one. It has seen
    nothing of this mask, and is still as good a predictor of it where all have one cause.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_features)
        Rows with NaN for what is missing.
    completed : ndarray of shape (n_samples, n_features)
        The same rows, completed by something to which no value decides about itself.
    features : ndarray of int
        Which features to look at; those that :func:`can_be_told` says no of are passed over, and
        where there are many, some are chosen.
    seed : int
        Seed of that choice, and of the folds.
    asked : ndarray of bool of shape (n_samples, n_features) or bool, default=True
        What :func:`asked_cells` returns.
    blocks : ndarray of int8 of shape (n_blocks, n_features) or None, default=None
        What rows lack together (:func:`~gnr_sklearn._blocks.find_blocks`): features that are
        missing with another one do not tell of its mask, and where values are lost in a sequence,
        the rival is the one before. None for nothing.

    Returns
    -------
    predicted : MaskPredictions
    """
    n_features = values.shape[1]
    asked = np.broadcast_to(asked, values.shape)
    missing = np.isnan(values) & asked
    gain = MaskGain(np.zeros(values.shape), np.zeros(values.shape))
    common = CommonCause(np.zeros(values.shape), np.zeros(values.shape))
    sides = np.zeros(n_features)
    of_threshold = np.zeros(n_features)
    if blocks is None:
        blocks = np.empty((0, n_features), dtype=np.int8)
    # What goes missing with a feature, and this one itself, tell nothing of its mask.
    tells = ~(lost_with(blocks) | np.eye(n_features, dtype=bool))
    before = predecessors(blocks)
    features = features[(can_be_told(values, asked) & tells.any(axis=1))[features]]
    rng = np.random.RandomState(seed)
    if len(features) > MAX_FEATURES:
        features = rng.choice(features, MAX_FEATURES, replace=False)
    scores = _normal_scores(completed)
    incomplete = missing.any(axis=0)
    by_chance = _by_chance(missing, asked)
    for j in features:
        rows = asked[:, j]
        lost, seen = missing[rows, j], ~missing[rows, j]
        masks, row_scores = missing[rows], scores[rows]
        inputs = np.hstack([row_scores[:, tells[j]], masks[:, tells[j] & incomplete]])
        target = _normal_scores(values[rows][seen][:, [j]])[:, 0]
        inputs = _standardised(_strongest(inputs, (EVERY_ROW, lost), (seen, target)))
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=rng.randint(2**31 - 1))
        estimate = _estimate(inputs, target, seen, rng.randint(2**31 - 1))
        estimate = _standardised(estimate[:, np.newaxis])
        gain.by_value[rows, j] = _log_chance(lost, estimate, folds)
        gain.by_all[rows, j] = _log_chance(lost, inputs, folds)
        if before[j] < 0:
            split = list(folds.split(inputs, lost))
            cause = _cause_of_others(masks[:, tells[j]], row_scores[:, tells[j]], split)
        else:
            cause = _standardised(row_scores[:, [before[j]]])
        common.by_cause[rows, j] = _log_chance(lost, cause, folds)
        common.by_both[rows, j] = _log_chance(lost, np.hstack([cause, estimate]), folds)
        sides[j] = estimate[lost].mean() - estimate[seen].mean()
        of_threshold[j] = len(lost) * gain_of_threshold(
            lost.mean(), _correlation(estimate[seen, 0], target)
        )
    for log_chance in (*gain, *common):
        log_chance[:, features] -= by_chance[:, features]
    return MaskPredictions(gain, common, sides, of_threshold)


def gain_of_threshold(fraction: float, correlation: float) -> float:
    r"""Return what an estimate predicts of whether a value is beyond a threshold, for each row.

    For standard normal values and estimates with a correlation :math:`\rho`, that is the mutual
    information

    .. math::

        H(f) - E \, H(\Phi((\Phi^{-1}(f) + \rho \hat u) / \sqrt{1 - \rho^2})) ,

    where f is the fraction beyond the threshold, and H the entropy of yes or no, in nats.
    """
    correlation = min(max(correlation, 0.0), MAX_CORRELATION)
    place = (ndtri(fraction) + correlation * POINTS) / np.sqrt(1.0 - correlation**2)
    chances = ndtr(place)
    return float(_entropy(fraction) - WEIGHTS @ _entropy(chances))


def _entropy(chance: ArrayLike) -> FloatArray:
    return entr(chance) + entr(1.0 - np.asarray(chance))


def _correlation(estimate: FloatArray, target: FloatArray) -> float:
    if np.ptp(estimate) == 0 or np.ptp(target) == 0:
        return 0.0
    return float(np.corrcoef(estimate, target)[0, 1])


def _estimate(inputs: FloatArray, target: FloatArray, seen: BoolArray, seed: int) -> FloatArray:
    """Estimate values, of which some are seen, for all rows, each by regression on other rows."""
    regression = RidgeCV(PENALTIES)
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    estimate = np.empty(len(inputs))
    estimate[seen] = cross_val_predict(regression, inputs[seen], target, cv=folds)
    estimate[~seen] = regression.fit(inputs[seen], target).predict(inputs[~seen])
    return estimate


def _cause_of_others(
    missing: BoolArray, scores: FloatArray, folds: list[tuple[NDArray[np.intp], NDArray[np.intp]]]
) -> FloatArray:
    """Predict the masks of features by the rest of a row, each row by others, and add up."""
    total = np.zeros(len(missing))
    others = np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0))
    for k in others[:: -(-len(others) // MAX_OTHER_MASKS) or 1]:
        # What stands in for its missing values tells which these are.
        inputs = np.delete(scores, k, axis=1)
        if not inputs.shape[1]:
            continue
        mask = _standardised(missing[:, [k]].astype(np.float64))[:, 0]
        inputs = _standardised(_strongest(inputs, (EVERY_ROW, mask)))
        total += cross_val_predict(RidgeCV(PENALTIES), inputs, mask, cv=folds)
    return _standardised(total[:, np.newaxis])


def _log_chance(lost: BoolArray, inputs: FloatArray, folds: StratifiedKFold) -> FloatArray:
    """Log-probability of a feature's mask by logistic regression, each row's by other rows."""
    regression = LogisticRegression(solver="newton-cholesky")
    chance = cross_val_predict(regression, inputs, lost, cv=folds, method="predict_proba")[:, 1]
    chance = np.clip(chance, MIN_PROBABILITY, 1.0 - MIN_PROBABILITY)
    return np.where(lost, np.log(chance), np.log1p(-chance))


def _strongest(inputs: FloatArray, *targets: tuple[BoolArray | slice, ArrayLike]) -> FloatArray:
    """Keep the inputs that tell most of any target, each of some rows, in their order."""
    if inputs.shape[1] <= MAX_INPUTS:
        return inputs
    # What is constant has no correlation.
    with np.errstate(invalid="ignore", divide="ignore"):
        told = [np.abs(r_regression(inputs[rows], target)) for rows, target in targets]
    strength = np.nan_to_num(np.fmax.reduce(told))
    return inputs[:, np.sort(np.argsort(-strength, kind="stable")[:MAX_INPUTS])]


def _normal_scores(table: FloatArray) -> FloatArray:
    """Give columns a normal distribution, so that outliers do not rule the regressions."""
    n_quantiles = min(QUANTILES, len(table))
    transformer = QuantileTransformer(n_quantiles=n_quantiles, output_distribution="normal")
    return transformer.set_output(transform="default").fit_transform(table)


def _standardised(table: FloatArray) -> FloatArray:
    return StandardScaler().set_output(transform="default").fit_transform(table)


def _by_chance(missing: BoolArray, asked: BoolArray) -> FloatArray:
    """Log-probability of the mask of cells asked for by a feature's fraction of missing ones."""
    fraction = (missing & asked).sum(axis=0) / asked.sum(axis=0)
    fraction = np.clip(fraction, 1e-12, 1 - 1e-12)
    return np.where(asked, missing * np.log(fraction) + ~missing * np.log1p(-fraction), 0.0)


def choose_sides(predicted: MaskPredictions) -> FloatArray:
    """Say on which side each feature would lose values, if it does so by the values themselves.

    Parameters
    ----------
    predicted : MaskPredictions

    Returns
    -------
    signs : ndarray of shape (n_features,)
        1 for above, -1 for below, and 0 for all if the values predict nothing of their masks. A
        feature that says nothing clear of itself has the side of the table, but 0 where it would
        say something if its values were lost as those of the clear ones are.
    """
    gain, _, sides, of_threshold = predicted
    if gain.share == 0:
        return np.zeros(len(sides))
    by_value, by_all = (each.sum(axis=0) for each in gain)
    table = 1.0 if np.sign(sides) @ np.maximum(by_value, 0.0) >= 0 else -1.0
    is_clear = np.array(
        [
            standard_errors(gain.by_value[:, j]) > MIN_STANDARD_ERRORS
            and by_value[j] >= MIN_OWN_SHARE * by_all[j]
            for j in range(len(sides))
        ]
    )
    like = is_clear if is_clear.any() else np.ones(len(sides), dtype=bool)
    expected = of_threshold * min(by_value[like].sum() / max(of_threshold[like].sum(), 1e-9), 1.0)
    # A log-likelihood ratio has a variance of about twice its expectation.
    is_enough = expected > 2.0 * MIN_STANDARD_ERRORS**2
    says_nothing = is_enough & (np.maximum(by_value, by_all) < NEGLIGIBLE_SHARE * expected)
    return np.where(is_clear, np.sign(sides), np.where(says_nothing, 0.0, table))


def decide_themselves(
    by_regressions: MaskGain, by_models: MaskGain, bound_gain: float, has_common_cause: bool
) -> bool:
    r"""Tell whether values decide themselves whether they are seen, or masks have other causes.

    Where values are lost by themselves, two things show: those that are seen have another
    distribution than a model says, and cells of which the rest of the row predicts a value beyond
    the threshold are missing more often. The first shows in the bound, and tells little, because no
    distribution is known well enough: where values are lost by pure chance, a process that cuts the
    tail off a normal distribution often fits the data better than none. So it is the second that
    counts, measured in two ways, by regressions and by models: what is predicted of the masks by
    the values has to be, on average, three standard errors from nothing, and 0.65 of what is
    predicted by all that is known. Of two models the one that is wrong may make less of the masks
    than the other: a ratio above 1 counts as what it is. Where regressions find a cause that masks
    have in common, values decide only if models speak against it, by a ratio of 1 or more.

    Parameters
    ----------
    by_regressions, by_models : MaskGain
        By :func:`predict_masks`; and by two models, one in which values decide, the other one in
        which the mask depends on z alone.
    bound_gain : float
        By how much the bound of the first of these models is the higher one; infinity where they
        cannot be compared.
    has_common_cause : bool
        By :meth:`CommonCause.explains`.
    """
    if has_common_cause and by_models.ratio < 1.0:
        return False
    certainty = (by_regressions.standard_errors + by_models.standard_errors) / 2
    share = (by_regressions.share + by_models.ratio) / 2
    return bound_gain > 0 and certainty > MIN_STANDARD_ERRORS and share >= MIN_SHARE


def lose_both_ends(by_models: MaskGain, bound_gain: float) -> BoolArray:
    """Tell which features lose values at both ends, where values are not lost on a side.

    A regression says little of it, for the estimates of large and of small values are both far from
    the middle. So it is the model that has to predict more of the masks than the one in which they
    depend on z alone, by two standard errors, and more than chance does, and to reach the higher
    bound. Features of whose mask it predicts nothing are no part of it.

    Parameters
    ----------
    by_models : MaskGain
        By a model in which features lose values at both ends, and one in which the mask depends on
        z alone.
    bound_gain : float
        By how much the bound of the first of these models is the higher one; infinity where they
        cannot be compared.
    """
    is_more = standard_errors((by_models.by_value - by_models.by_all).sum(axis=1)) > MIN_TO_ADD
    is_sure = by_models.standard_errors > MIN_STANDARD_ERRORS
    return (by_models.by_value.sum(axis=0) > 0) & (is_more and is_sure and bound_gain > 0)


def log_mask_given_others(samples: WeightedSamples, rows: MaskedRows) -> Tensor:
    r"""Log-probability of each cell's being seen or not, given the other cells of its row.

    Leaving out what cell j adds to the weights,

    .. math::

        p(m_j \mid x_{-j}, m_{-j}) \approx \frac{\sum_l w_l \, p(m_j \mid z_l) / p_j(z_l)}
        {\sum_l w_l / p_j(z_l)} ,

    where :math:`p_j(z)` is p(x_j, m_j = 1 | z) for an observed cell and p(m_j = 0 | z) for a
    missing one.

    Parameters
    ----------
    samples : WeightedSamples
        Samples of z for B rows.
    rows : MaskedRows
        The rows, on the same device.

    Returns
    -------
    log_mask : Tensor of shape (B, d)
    """
    x_given_z, logits = samples.x_given_z, samples.mask_logits
    x, mask = rows.x, rows.mask
    if isinstance(x_given_z, SELECTED):
        before = Gaussian(x_given_z.mean_of_all, x_given_z.scale)
        log_missing = x_given_z.log_missing
        # That a known value is observed does not depend on z.
        log_mask = (1.0 - mask) * log_missing
    else:
        assert isinstance(x_given_z, Gaussian)
        assert logits is not None
        before, log_missing = x_given_z, F.logsigmoid(-logits)
        log_mask = F.logsigmoid((2.0 * mask - 1.0) * logits)
    one_cell = Gaussian(
        before.mean.unsqueeze(-1), before.scale.expand_as(before.mean).unsqueeze(-1)
    )
    log_x = one_cell.log_density(x.unsqueeze(-1), mask.unsqueeze(-1))
    weights = normalized_weights((samples.log_w.unsqueeze(-1) - log_x - log_mask).double())
    missing = (weights * log_missing.double().exp()).sum(0).clamp(1e-9, 1.0 - 1e-9)
    return torch.where(mask > 0, torch.log1p(-missing), missing.log())


def standard_errors(terms: FloatArray) -> float:
    """Return the sum of independent terms, in standard errors of it."""
    total, error = terms.sum(), terms.std() * np.sqrt(len(terms))
    if error == 0:
        return float(np.inf * total) if total else 0.0
    return float(total / error)


def mask_odds(imputer: GNRImputer, values: FloatArray, side: FloatArray | None) -> FloatArray:
    r"""Odds of each observed value's being missing, given all but its own mask.

    Given that a value is observed, z is the likelier the likelier that was. So the odds are

    .. math::

        \frac{p(m_j = 0 \mid x, m_{-j})}{p(m_j = 1 \mid x, m_{-j})} = E\left[
        \frac{P(m_j = 0 \mid z)}{P(m_j = 1 \mid z)} \,\Big|\, x, m \right] .

    Parameters
    ----------
    imputer : GNRImputer
        A fitted imputer.
    values : ndarray of shape (n_samples, n_features)
        Rows, also such as it was not fitted to.
    side : ndarray of shape (n_samples, n_side_features) or None
        What is known of them beside their values.

    Returns
    -------
    odds : ndarray of shape (n_samples, n_features)
        Within bounds, and meaningless where nothing is observed.
    """
    odds = imputer._expected_of_mask(values, side, lambda log_odds: (-log_odds).clamp(max=50).exp())
    return np.clip(odds, MIN_ODDS, MAX_ODDS)


def removal_error(
    imputer: GNRImputer, values: FloatArray, side: FloatArray | None, odds: FloatArray
) -> float:
    r"""Mean squared error of values that are removed as values go missing.

    Each observed value of an incomplete feature, of 50 of them at most, is removed once, alone, and
    counts by its odds,

    .. math::

        \frac{\sum_{ij} \omega_{ij} \, ((\hat x_{ij} - x_{ij}) / s_j)^2}{\sum_{ij} \omega_{ij}} ,
        \qquad \omega_{ij} = \frac{P(m_{ij} = 0 \mid x_{ij})}{P(m_{ij} = 1 \mid x_{ij})} ,

    (:func:`mask_odds`), which estimates the error of the missing ones: values that are observed
    with the density :math:`p(x) P(m = 1 \mid x)` stand for those of the density
    :math:`p(x) P(m = 0 \mid x)`.

    Parameters
    ----------
    imputer : GNRImputer
        A fitted imputer.
    values : ndarray of shape (n_samples, n_features)
        Rows that it was not fitted to.
    side : ndarray of shape (n_samples, n_side_features) or None
        What is known of them beside their values.
    odds : ndarray of shape (n_samples, n_features)
        The odds, by whichever model: for a comparison, the same for all imputers.

    Returns
    -------
    error : float
        In squared standard deviations of the observed values.
    """
    seen = ~np.isnan(values)
    scale = observed_mean_and_std(values)[1]
    total = weight = 0.0
    features = np.flatnonzero(~seen.all(axis=0) & seen.any(axis=0))
    # Each is imputed by itself: of those of a wide table, every so many.
    for j in features[:: -(-len(features) // MAX_FEATURES) or 1]:
        rows = seen[:, j]
        removed = values[rows]
        removed[:, j] = np.nan
        # A frame where scikit-learn has been configured so.
        imputed = np.asarray(imputer.transform(removed, None if side is None else side[rows]))
        error = (imputed[:, j] - values[rows, j]) / (scale[j] or 1.0)
        total += odds[rows, j] @ error**2
        weight += odds[rows, j].sum()
    return total / weight if weight else 0.0
