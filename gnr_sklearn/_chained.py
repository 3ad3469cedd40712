"""Regressions of each feature on the others, where values decide whether they are seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict
from sklearn.multioutput import MultiOutputRegressor
from sklearn.utils import get_tags
from torch import Tensor

from gnr_sklearn._deep import MAX_VALUE
from gnr_sklearn._discrete import DiscreteFeatures
from gnr_sklearn._types import BoolArray, FloatArray
from gnr_sklearn._validation import seed_random_states
from gnr_sklearn.nn.blocks import in_blocks
from gnr_sklearn.nn.likelihoods import SELECTED, Gaussian, Selected, selected
from gnr_sklearn.nn.processes import LOST_FOR_SURE, ValueProcess

__all__ = ["ChainedRegressions", "default_forest"]

# In standard deviations of the observed values: a regression that has no error at all would say
# that values lost by themselves are what it predicts.
MIN_SCALE = 1e-3

FOLDS = 5

# With a share of different rows between these, none of which comes too often, a table is taken for
# a bootstrap sample, of which 63% are. Rows of few levels are repeated more often without being
# copies, but for tables with a number that is hardly ever the same in different rows.
SHARE_OF_DIFFERENT = (0.45, 0.75)
MAX_COPIES = 10
SHARE_THAT_TELLS_ROWS_APART = 0.9

# With fewer observed values, predictions are taken as they are.
LEAST_TO_CALIBRATE = 10

# Least probability, in all, of levels that a regression excludes.
MIN_CHANCE = 1e-3


def default_forest() -> RandomForestRegressor:
    """Make the forest that "forest" stands for: small, and of trees that differ.

    Leaves are limited, because there is a forest for each feature and round: with a leaf for every
    row, those of 10,000 rows of 20 features take 2.6 GB, and predict no better.
    """
    return RandomForestRegressor(50, max_features=0.4, max_leaf_nodes=500, oob_score=True)


@dataclass
class CalibratedRegression:
    """A regression of one feature, and the normal distribution around what it predicts.

    Attributes
    ----------
    feature : int
        The feature.
    regressor : estimator
        The fitted regression on other features.
    columns : ndarray of int
        Columns of the wide form that it sees.
    offset, slope, scale : float
        The value is N(offset + slope * prediction, scale^2), before it is lost or not.
    """

    feature: int
    regressor: Any
    columns: NDArray[np.intp]
    offset: float = 0.0
    slope: float = 1.0
    scale: float = 1.0


class ChainedRegressions:
    r"""Regressions of incomplete features on all others, in rounds, fitted to completed rows.

    Each value is normal around what a regression predicts from the others of its row,

    .. math::

        u_j \mid u_{-j} \sim N(b_0 + b_1 g_j(u_{-j}), s_j^2) ,

    and is lost by a process :math:`p(m_j \mid u_j)` that is known. A round visits the incomplete
    features, those with the fewest holes first. The regression :math:`g_j` is fitted to all rows
    with :math:`E[u_j \mid u_{-j}, m_j = 0]` in place of what is missing, as in an EM algorithm: a
    tree that sees observed values only could not predict beyond them. Then :math:`b_0, b_1` and
    :math:`s_j` maximise the likelihood of observed values and mask, with predictions that are out
    of sample: in sample, a forest hardly errs, and :math:`s_j` would collapse. The expectations
    that follow are what the next regression sees.

    Levels are regressed as zeros and ones together, which predicts their probabilities, and what is
    missing has those times :math:`P(m_j = 0 \mid u_j)`. Rows are in the wide form.

    Parameters
    ----------
    regressor : estimator
        What is cloned for each feature. Its ``oob_prediction_`` serves as predictions out of
        sample where it has them, and else those of five folds.
    process : ValueProcess or None
        How values are lost; None where that has nothing to do with them.
    seed : int
        Seed of all randomness.
    discrete : DiscreteFeatures or None, default=None
        Which features are levels, if some are.
    levels : mapping of int to ndarray, default={}
        What the process sees in place of them.
    n_rounds : int, default=3
        Rounds.
    most_predictors : int or None, default=None
        Columns of the wide form that a regression sees at most: those which correlate most with
        what is observed of its feature. None for all.
    blocks : ndarray of int8 of shape (n_blocks, n_features) or None, default=None
        Features that rows lack together (:func:`~gnr_sklearn._blocks.find_blocks`), which says
        nothing of their values; None for none.
    """

    def __init__(
        self,
        regressor: Any,
        process: ValueProcess | None,
        seed: int,
        discrete: DiscreteFeatures | None = None,
        levels: Mapping[int, FloatArray] = MappingProxyType({}),
        n_rounds: int = 3,
        most_predictors: int | None = None,
        blocks: NDArray[np.int8] | None = None,
    ) -> None:
        self.regressor = regressor
        self.discrete = discrete or DiscreteFeatures(0, {})
        self.levels = dict(levels)
        self.n_rounds = n_rounds
        self.most_predictors = most_predictors
        self.blocks = blocks
        self._seeds = np.random.RandomState(seed)
        self._process = None
        if process is not None:
            parts = torch.stack(process.step().of_what_is_lost)
            self._process = parts.detach().double().cpu().numpy()

    def fit(self, completed: FloatArray, observed: BoolArray) -> ChainedRegressions:
        """Learn from rows that something else has completed.

        Parameters
        ----------
        completed : ndarray of shape (n_samples, n_wide)
            The rows in the wide form, in units in which the process was learned.
        observed : ndarray of shape (n_samples, n_features)
            Which of their values were observed.
        """
        if not self.discrete:
            self.discrete = DiscreteFeatures(observed.shape[1], {})
        completed = completed.copy()
        n_missing = (~observed).sum(axis=0)
        features = [
            int(j)
            for j in np.argsort(n_missing, kind="stable")
            # Of one level there is nothing to learn.
            if n_missing[j] and self.discrete.levels.get(int(j)) != 1
        ]
        if observed.shape[1] == 1:
            features = []
        predictors = {j: self._predictors_of(j, completed, observed[:, j]) for j in features}
        original = _originals(completed, observed, self.discrete.numbers)
        can_be_split = _can_be_split(len(completed), original)
        in_block = self._in_block(observed)
        self.rounds_: list[list[CalibratedRegression]] = []
        for _ in range(self.n_rounds if can_be_split else 0):
            self.rounds_.append(
                [
                    self._fit_feature(
                        j, predictors[j], completed, observed[:, j], in_block[:, j], original
                    )
                    for j in features
                ]
            )
        return self

    def impute(
        self, completed: FloatArray, observed: BoolArray
    ) -> tuple[FloatArray, dict[int, Selected | Gaussian]]:
        """Complete rows anew, from values that something else has completed them with.

        Parameters
        ----------
        completed, observed
            As in :meth:`fit`.

        Returns
        -------
        completed : ndarray of shape (n_samples, n_wide)
            Expectations in place of what is missing.
        lost : dict of int to Selected or Gaussian
            The distributions of the missing values, (n_missing, 1), of features that are numbers.
        """
        completed = completed.copy()
        in_block = self._in_block(observed)
        lost: dict[int, Selected | Gaussian] = {}
        for regressions in self.rounds_:
            for regression in regressions:
                feature = regression.feature
                rows = ~observed[:, feature]
                if rows.any():
                    columns = self.discrete.columns_of(feature)
                    seen = completed[np.ix_(rows, regression.columns)]
                    prediction = _bounded(regression.regressor.predict(seen))
                    expectation, distribution = self._lost_values(
                        regression, prediction, in_block[rows, feature]
                    )
                    completed[np.ix_(rows, columns)] = expectation
                    if distribution is not None:
                        lost[feature] = distribution
        return completed, lost

    def _in_block(self, observed: BoolArray) -> BoolArray:
        """Tell which cells are those of a block that their row lacks."""
        if self.blocks is None:
            return np.zeros(observed.shape, dtype=bool)
        return in_blocks(self.blocks, ~observed)

    def _predictors_of(
        self, feature: int, completed: FloatArray, observed: BoolArray
    ) -> NDArray[np.intp]:
        """Choose the columns of the wide form that the regression of a feature sees."""
        own = self.discrete.columns_of(feature)
        others = np.setdiff1d(np.arange(completed.shape[1]), own)
        if self.most_predictors is None or len(others) <= self.most_predictors:
            return others
        # What is missing has been estimated from these very columns.
        rows = completed[observed] if observed.any() else completed
        deviations = rows - rows.mean(axis=0)
        norms = np.maximum(np.linalg.norm(deviations, axis=0), np.finfo(np.float64).tiny)
        correlations = (deviations[:, own] / norms[own]).T @ (deviations[:, others] / norms[others])
        order = np.argsort(-np.square(correlations).sum(axis=0), kind="stable")
        return np.sort(others[order[: self.most_predictors]])

    def _fit_feature(
        self,
        feature: int,
        predictors: NDArray[np.intp],
        completed: FloatArray,
        observed: BoolArray,
        in_block: BoolArray,
        original: NDArray[np.intp] | None,
    ) -> CalibratedRegression:
        """Fit the regression of a feature, and put what it imputes into the rows."""
        columns = self.discrete.columns_of(feature)
        is_number = feature not in self.discrete.levels
        target = completed[:, columns[0]] if is_number else completed[:, columns]
        regressor, prediction = self._out_of_sample(completed[:, predictors], target, original)
        regression = CalibratedRegression(feature, regressor, predictors)
        if is_number:
            # That a row lacks a block says nothing of a regression either.
            told = ~in_block
            self._calibrate(regression, prediction[told], target[told], observed[told])
        missing = ~observed
        expectation, _ = self._lost_values(regression, prediction[missing], in_block[missing])
        completed[np.ix_(missing, columns)] = expectation
        return regression

    def _out_of_sample(
        self, others: FloatArray, target: FloatArray, original: NDArray[np.intp] | None
    ) -> tuple[Any, FloatArray]:
        """Fit a regressor, and predict each row by others that are not copies of it."""
        seed = self._seeds.randint(2**31 - 1)
        regressor = seed_random_states(clone(self.regressor), lambda: seed)
        if target.ndim == 2 and not get_tags(regressor).target_tags.multi_output:
            regressor = MultiOutputRegressor(regressor)
        has_oob = regressor.get_params().get("oob_score")
        if has_oob and original is None:
            regressor.fit(others, target)
            prediction = regressor.oob_prediction_
        elif has_oob:
            _, first = np.unique(np.asarray(original), return_index=True)
            apart = clone(regressor).fit(others[first], target[first])
            prediction = apart.oob_prediction_[original]
            regressor.set_params(oob_score=False).fit(others, target)
        else:
            kind = KFold if original is None else GroupKFold
            folds = kind(FOLDS, shuffle=True, random_state=seed).split(others, target, original)
            prediction = cross_val_predict(regressor, others, target, cv=list(folds))
            regressor.fit(others, target)
        return regressor, _bounded(prediction)

    def _calibrate(
        self,
        regression: CalibratedRegression,
        prediction: FloatArray,
        values: FloatArray,
        observed: BoolArray,
    ) -> None:
        """Choose offset, slope and scale by maximum likelihood, if there is enough to do so."""
        if observed.sum() < LEAST_TO_CALIBRATE:
            errors = values[observed] - prediction[observed]
            # As if one more was off by a standard deviation.
            regression.scale = float(np.sqrt((np.square(errors).sum() + 1) / (len(errors) + 1)))
            return
        found = self._most_likely(regression.feature, [prediction], values, observed)
        if np.isfinite(found).all():
            regression.offset, regression.slope = float(found[0]), float(found[1])
            regression.scale = float(np.exp(found[2]) + MIN_SCALE)

    def _most_likely(
        self,
        feature: int,
        predictions: list[FloatArray],
        values: FloatArray,
        observed: BoolArray,
        least_slope: float | None = None,
    ) -> FloatArray:
        """Return offset, a slope for each prediction, and the logarithm of the scale's excess."""
        seen, is_seen = torch.from_numpy(values[observed]), torch.from_numpy(observed)
        inputs = [torch.from_numpy(prediction) for prediction in predictions]

        # Also where the user has switched gradients off.
        @torch.enable_grad()
        def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
            theta = torch.from_numpy(parameters).requires_grad_()
            scale = theta[-1].exp() + MIN_SCALE
            mean = theta[0]
            for slope, prediction in zip(theta[1:-1], inputs, strict=True):
                mean = mean + slope * prediction
            error = (seen - mean[is_seen]) / scale
            negative = 0.5 * error.square().sum() + len(seen) * scale.log()
            lost = self._lost(feature, mean[~is_seen], scale)
            if isinstance(lost, SELECTED):
                negative = negative - lost.log_missing.sum()
            (gradient,) = torch.autograd.grad(negative, theta)
            return negative.item(), gradient.numpy()

        n_slopes = len(predictions)
        slopes = np.full(n_slopes, 1.0 / n_slopes)
        spread = np.std(values[observed] - sum(slopes[0] * p for p in predictions)[observed])
        start = np.array([0.0, *slopes, np.log(spread + 10 * MIN_SCALE)])
        bounds = [(None, None), *[(least_slope, None)] * n_slopes, (None, None)]
        return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x

    def share_beside(
        self, feature: int, without: FloatArray, completed: FloatArray, observed: BoolArray
    ) -> float:
        r"""Compare a regression with an estimate that something else has made of a feature.

        With the estimate :math:`\hat u_j` and the other features as they are completed without
        knowledge of :math:`u_j`, nor of whether it is seen, values are taken to be

        .. math::

            u_j \sim N(b_0 + b_1 g_j(\hat u_{-j}) + b_2 \hat u_j, s_j^2) ,

        and lost by the process, with :math:`b_1, b_2 \ge 0` of maximum likelihood.

        Parameters
        ----------
        feature : int
            A feature that is a number.
        without : ndarray of shape (n_samples, n_wide)
            Rows as they are completed without it, which hold the estimate in its column.
        completed : ndarray of shape (n_samples, n_wide)
            Rows as they are completed with it, for the regression to learn from.
        observed : ndarray of shape (n_samples, n_features)
            Which values were observed.

        Returns
        -------
        share : float
            :math:`b_1 / (b_1 + b_2)`; NaN where neither says anything.
        """
        (column,) = self.discrete.columns_of(feature)
        is_seen = observed[:, feature]
        predictors = self._predictors_of(feature, without, is_seen)
        # Rows may well be the same without the feature that is to be predicted.
        original = _originals(completed, observed, self.discrete.numbers)
        if not _can_be_split(len(completed), original):
            return np.nan
        target = completed[:, column]
        _, by_regression = self._out_of_sample(without[:, predictors], target, original)
        told = ~self._in_block(observed)[:, feature]
        predictions = [by_regression[told], without[told, column]]
        found = self._most_likely(
            feature, predictions, target[told], is_seen[told], least_slope=0.0
        )
        with np.errstate(invalid="ignore"):
            return float(found[1] / (found[1] + found[2]))

    def _lost_values(
        self, regression: CalibratedRegression, prediction: FloatArray, in_block: BoolArray
    ) -> tuple[FloatArray, Selected | Gaussian | None]:
        """Return the expectations of missing values, with their distributions, (n_missing, 1).

        Of levels, the probabilities, (n_missing, n_levels), and None.
        """
        if regression.feature in self.discrete.levels:
            return self._chances(regression.feature, prediction, in_block), None
        mean = torch.from_numpy(regression.offset + regression.slope * prediction[:, np.newaxis])
        scale = torch.tensor(regression.scale, dtype=torch.float64, device="cpu")
        lost = self._lost(regression.feature, mean, scale, in_block)
        return _bounded(lost.mean), lost

    def _chances(self, feature: int, prediction: FloatArray, in_block: BoolArray) -> FloatArray:
        """Return the probabilities of levels that are missing."""
        n_levels = self.discrete.levels[feature]
        chances = np.maximum(prediction.reshape(-1, n_levels), MIN_CHANCE / n_levels)
        if self._process is not None:
            levels = torch.from_numpy(self.levels[feature])
            lost = selected(levels, torch.zeros_like(levels), *self._lost_by(feature))
            of_levels = lost.log_missing.exp().numpy()
            chances = chances * np.where(in_block[:, np.newaxis], 1.0, of_levels)
        return chances / chances.sum(axis=1, keepdims=True)

    def _lost(
        self, feature: int, mean: Tensor, scale: Tensor, in_block: BoolArray | None = None
    ) -> Selected | Gaussian:
        """Return the distributions of missing values of N(mean, scale^2), (n_missing, 1).

        Without what is in a block, of any shape.
        """
        if self._process is None:
            return Gaussian(mean, scale)
        parts = self._lost_by(feature)
        if in_block is not None and in_block.any():
            for_sure = parts.new_tensor(LOST_FOR_SURE[: len(parts)])[:, None, None]
            cells = torch.from_numpy(in_block)[:, None]
            return selected(mean, scale, *torch.where(cells, for_sure, parts[:, None, None]))
        return selected(mean, scale, *parts)

    def _lost_by(self, feature: int) -> Tensor:
        """Return the parameters of the process of a feature."""
        assert self._process is not None
        return torch.from_numpy(self._process[:, feature])


def _originals(
    completed: FloatArray, observed: BoolArray, numbers: NDArray[np.intp]
) -> NDArray[np.intp] | None:
    """Return numbers of the different rows of a table with copies; None where they are none.

    Beside a copy of itself in the bag, or in another fold, a row is not out of sample.
    """
    rows = np.hstack([completed, observed])
    _, first, original, copies = np.unique(
        rows, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    # Rows of which nothing is known are the same without being copies.
    is_known = np.logical_or.reduce(observed, axis=1)
    share = is_known[first].sum() / max(is_known.sum(), 1)
    least, most = SHARE_OF_DIFFERENT
    are_few = least <= share and copies[is_known[first]].max(initial=0) <= MAX_COPIES
    if share >= most or not (are_few or _tells_apart(completed[first], observed[first], numbers)):
        return None
    # In the order in which they come.
    return np.argsort(np.argsort(first))[original.ravel()]


def _can_be_split(n_rows: int, original: NDArray[np.intp] | None) -> bool:
    """Tell whether there are as many different rows as folds."""
    return (n_rows if original is None else original.max() + 1) >= FOLDS


def _tells_apart(completed: FloatArray, observed: BoolArray, numbers: NDArray[np.intp]) -> bool:
    """Tell whether a number that most different rows have is hardly ever the same in two."""
    for column, feature in enumerate(numbers):
        values = completed[observed[:, feature], column]
        different = len(np.unique(values))
        if 2 * len(values) >= len(completed) and (
            different >= SHARE_THAT_TELLS_ROWS_APART * len(values)
        ):
            return True
    return False


def _bounded(values: ArrayLike) -> FloatArray:
    """Keep values as far out as a net sees them: what extrapolates may go further in each turn."""
    finite = np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0)
    return np.clip(finite, -MAX_VALUE, MAX_VALUE)
