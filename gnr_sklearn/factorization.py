"""Matrix factorisation for ratings that users have chosen to give."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from gnr_sklearn._als import Factors, LeastSquares, MFMethod, Ratings, predicted
from gnr_sklearn._base import BoundedImputer
from gnr_sklearn._propensities import (
    LogisticPropensity,
    MarginalPropensity,
    NaiveBayesPropensity,
    PropensityEstimator,
    check_mar_sample,
    check_propensity,
)
from gnr_sklearn._sklearn import Interval, StrOptions, fit_context
from gnr_sklearn._types import FloatArray
from gnr_sklearn._validation import check_side_info, column_names, draw_seed, number_that_marks

__all__ = ["MFImputer"]

WITHOUT_PROPENSITIES = ("mf", "cvib")

# Standard deviation of the first embeddings of items, in units of that of the ratings.
FIRST_EMBEDDINGS = 0.1


@dataclass(kw_only=True, eq=False, repr=False)
class MFImputer(BoundedImputer):
    r"""Imputation of ratings by matrix factorisation, debiased for what users choose to rate.

    Rows are users, columns are items, and all columns are in the same units. A rating is

    .. math::

        \hat r_{ui} = \mu + b_u + b_i + p_u^\top q_i .

    People rate what they like, so that the average error of observed ratings is not that of all.
    The methods differ in how they estimate the latter. With :math:`e_{ui} = (r_{ui} - \hat
    r_{ui})^2`, O the observed cells, D all cells and :math:`\pi_{ui}` the chance that a cell is
    observed (its propensity), they minimise

    ========= ==================================================================================
    method    loss, beside the penalty
    ========= ==================================================================================
    "mf"      :math:`\frac{1}{|O|} \sum_O e_{ui}`
    "ips"     :math:`\frac{1}{|D|} \sum_O e_{ui} / \pi_{ui}`, inverse propensity scoring [1]_
    "snips"   :math:`\sum_O e_{ui} / \pi_{ui} \big/ \sum_O 1 / \pi_{ui}`, self-normalised
    "dr"      :math:`\frac{1}{|D|} \big( \sum_D \hat e_{ui} + \sum_O (e_{ui} - \hat e_{ui}) /
              \pi_{ui} \big)`, doubly robust, where :math:`\hat e_{ui} = (\mu - \hat r_{ui})^2`
              stands for an error [2]_
    "dr-jl"   the same with :math:`\hat e_{ui} = (\hat r'_{ui} + \hat\delta_{ui} - \hat
              r_{ui})^2`: what ratings are off predictions :math:`\hat r'`, those of "snips" by the
              same embeddings, is learned by a second factorisation, in turns with the first [3]_;
              the sum is kept within the range of the ratings
    "cvib"    :math:`\frac{1}{|O|} \sum_O e_{ui} + \alpha \big( \frac{1}{|O|} \sum_O \hat r_{ui}
              - \frac{1}{|D \setminus O|} \sum_{D \setminus O} \hat r_{ui} \big)^2 +
              \frac{\gamma}{|D|} \sum_D (\hat r_{ui} - \mu)^2`, without propensities [4]_
    ========= ==================================================================================

    Parameters
    ----------
    {parameter_docs}

    Attributes
    ----------
    {attribute_docs}

    See Also
    --------
    GNRImputer : Learns from all ratings together how likely they are to be given.

    Notes
    -----
    All six are quadratic in the factors of one side where those of the other are fixed: they are
    fitted by alternating least squares, a ridge regression for each user and each item in turns.
    For "dr", the terms of a cell are one square around
    :math:`\mu + o_{ui} (r_{ui} - \mu) / \pi_{ui}`; in "cvib" the difference of the averages
    couples all rows, by one number. "dr-jl" imputes errors by sign, as a rating off the
    prediction, and "cvib" is for squared errors what the paper's cross-entropies are for clicks:
    averages of observed and of other cells are drawn towards each other, and predictions towards
    the average.

    Each loss is multiplied by :math:`|O|` before the penalty is added, so that `l2` means
    about the same for all. Ratings are centred, by their average weighted by :math:`1 / \pi` where
    a method has propensities, and scaled by their standard deviation.

    What `transform` needs of a user is solved from this user's own ratings, whether they were in
    `fit` or not. A user without ratings gets what is known of items by "mf", "ips" and "snips"; the
    terms of unobserved cells also draw such a user towards the average ("dr", "dr-jl") or towards
    what is predicted of observed cells ("cvib").

    **Propensities** are, in this order, those given as `propensity`; by naive Bayes from
    `mar_sample`, ratings of cells that were chosen at random; by logistic regressions of who rates
    an item on `side_info`; or the product of how much a user rates and how often an item is rated,
    which has nothing to do with ratings. "mf" and "cvib" use none, and pass over what is given.

    References
    ----------
    .. [1] T. Schnabel, A. Swaminathan, A. Singh, N. Chandak, T. Joachims, "Recommendations as
       Treatments: Debiasing Learning and Evaluation", ICML 2016.
    .. [2] H. Steck, "Training and testing of recommender systems on data missing not at random",
       KDD 2010.
    .. [3] X. Wang, R. Zhang, Y. Sun, J. Qi, "Doubly Robust Joint Learning for Recommendation on
       Data Missing Not at Random", ICML 2019.
    .. [4] Z. Wang, X. Chen, R. Wen, S.-L. Huang, E. Kuruoglu, Y. Zheng, "Information Theoretic
       Counterfactual Learning from Missing-Not-At-Random Feedback", NeurIPS 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn import MFImputer
    >>> ratings = np.array([[5.0, 4.0, np.nan], [4.0, np.nan, 1.0], [np.nan, 2.0, 1.0]])
    >>> imputer = MFImputer(embedding_dim=1, l2=0.1, random_state=0)
    >>> imputer.fit_transform(ratings).round(1)[0, :2]
    array([5., 4.])
    """

    method: MFMethod = "mf"
    embedding_dim: int = 4
    l2: float = 5.0
    balance: float = 1.0
    confidence_penalty: float = 0.01
    propensity_clip: float = 0.05
    max_iter: int = 50
    tol: float = 1e-3
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 5

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BoundedImputer._parameter_constraints,
        "method": [StrOptions({"mf", "ips", "snips", "dr", "dr-jl", "cvib"})],
        "embedding_dim": [Interval(Integral, 0, None, closed="left")],
        "l2": [Interval(Real, 0, None, closed="neither")],
        "balance": [Interval(Real, 0, None, closed="left")],
        "confidence_penalty": [Interval(Real, 0, None, closed="left")],
        "propensity_clip": [Interval(Real, 0, 1, closed="right")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    }

    _parameter_docs: ClassVar[str] = """
        method : {"mf", "ips", "snips", "dr", "dr-jl", "cvib"}, default="mf"
            How the error of all cells is estimated (see above).
        embedding_dim : int, default=4
            Size of the embeddings p and q; 0 leaves the biases of users and items.
        l2 : float, default=5.0
            Penalty on the squares of biases and embeddings, in units of the variance of ratings.
        balance : float, default=1.0
            The weight alpha in "cvib".
        confidence_penalty : float, default=0.01
            The weight gamma in "cvib".
        propensity_clip : float, default=0.05
            Propensities are this at least, which limits what one rating may count for.
        max_iter : int, default=50
            Sweeps over users and items at most.
        tol : float, default=1e-3
            Stop when a sweep changes predictions by less, as a root mean square over cells in
            standard deviations of the ratings.
        early_stopping : bool, default=False
            Whether to hold ratings out, to stop when their error, weighted as the method says, no
            longer falls, and to keep the factors of items that had the lowest.
        validation_fraction : float, default=0.1
            Fraction of the ratings to hold out.
        n_iter_no_change : int, default=5
            Stop after this many sweeps without a lower error.
        """

    _attribute_docs: ClassVar[str] = """
        center_ : float
            What ratings are centred by.
        scale_ : float
            Their standard deviation, which they are divided by then.
        item_bias_ : ndarray of shape (n_items,)
            Biases b of items that were rated in `fit`, in units of the ratings.
        components_ : ndarray of shape (embedding_dim, n_items)
            Their embeddings q, for ratings that are centred and scaled.
        n_iter_ : int
            Sweeps done.
        """

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: None = None,
        propensity: ArrayLike | None = None,
        mar_sample: ArrayLike | None = None,
        side_info: ArrayLike | None = None,
    ) -> Self:
        """Learn from the observed ratings and from where they are.

        Parameters
        ----------
        X : array-like of shape (n_users, n_items)
            Ratings, missing where there are none.
        y : None
            Ignored, present for scikit-learn's interface.
        propensity : array-like of shape (n_users, n_items) or None, default=None
            Chances, above 0 and at most 1, that a cell is observed. Given here, `transform` needs
            those of its rows too. A frame has the columns of X, in that order.
        mar_sample : array-like or None, default=None
            Ratings of cells that were chosen at random, in any shape; NaN and
            `missing_values` are passed over.
        side_info : array-like of shape (n_users, n_side_features) or None, default=None
            Complete numbers that are known of each user. Given here, and used, `transform` needs
            those of its rows too.

        Returns
        -------
        self : object
            The fitted imputer.

        Raises
        ------
        ValueError
            If X has infinite values, nothing observed, or is no numeric table, or if what is given
            beside it has the wrong shape or impossible values.
        """
        return self._learn(X, lambda values: self._fit(values, propensity, mar_sample, side_info))

    def transform(
        self, X: ArrayLike, propensity: ArrayLike | None = None, side_info: ArrayLike | None = None
    ) -> FloatArray:
        """Fill in what users have not rated.

        Parameters
        ----------
        X : array-like of shape (n_users, n_items)
            Ratings of the items of `fit`, by the same users or others.
        propensity, side_info : array-like or None, default=None
            As in `fit`.

        Returns
        -------
        X_imputed : ndarray of shape (n_users, n_items_out)
            X with its observed ratings unchanged and no missing ones; float32 for float32 input,
            else float64.
        """
        check_is_fitted(self)
        table = self._validate_data(X, reset=False)
        values = self._modelled_values(table)
        imputed = self._impute(values, propensity, side_info)
        return self._assemble(table, np.where(np.isnan(values), imputed, values))

    def fit_transform(
        self,
        X: ArrayLike,
        y: None = None,
        propensity: ArrayLike | None = None,
        mar_sample: ArrayLike | None = None,
        side_info: ArrayLike | None = None,
    ) -> FloatArray:
        """Fit to X and fill in what users have not rated.

        Parameters
        ----------
        X : array-like of shape (n_users, n_items)
            Ratings, missing where there are none.
        y : None
            Ignored, present for scikit-learn's interface.
        propensity, mar_sample, side_info : array-like or None, default=None
            As in :meth:`fit`.

        Returns
        -------
        X_imputed : ndarray of shape (n_users, n_items_out)
            See :meth:`transform`.
        """
        fitted = self.fit(X, y, propensity, mar_sample, side_info)
        return fitted.transform(X, propensity, side_info)

    def _fit(
        self,
        values: FloatArray,
        propensity: ArrayLike | None = None,
        mar_sample: ArrayLike | None = None,
        side_info: ArrayLike | None = None,
    ) -> None:
        self._fit_limits(values)
        self._prepare_propensities(values, propensity, mar_sample, side_info)
        chances = self._propensities(values, propensity, side_info)
        rng = np.random.RandomState(draw_seed(self.random_state))
        observed = ~np.isnan(values)
        held_out = np.zeros_like(observed)
        n_held_out = round(self.validation_fraction * observed.sum())
        if self.early_stopping and 0 < n_held_out < observed.sum():
            cells = rng.choice(np.flatnonzero(observed), n_held_out, replace=False)
            held_out.flat[cells] = True
        weights = observed / chances
        self.center_ = float(np.average(values[observed], weights=weights[observed]))
        self.scale_ = float(values[observed].std()) or 1.0
        # A rating that is seen and not held out is as much rarer.
        kept = 1.0 - held_out.sum() / observed.sum()
        ratings = self._ratings(np.where(held_out, np.nan, values), kept * chances)
        self._solver = LeastSquares(
            self.method,
            self.l2,
            **_totals(ratings),
            balance=self.balance,
            confidence_penalty=self.confidence_penalty,
        )
        targets = (values[held_out] - self.center_) / self.scale_
        self._alternate(ratings, rng, held_out, targets, weights[held_out])
        if held_out.any():
            # Users are solved for from all their ratings.
            self._solver = replace(self._solver, **_totals(self._ratings(values, chances)))
        self.item_bias_ = self.scale_ * self._items.main[:, 0]
        self.components_ = self._items.main[:, 1:].T

    def _impute(
        self,
        values: FloatArray,
        propensity: ArrayLike | None = None,
        side_info: ArrayLike | None = None,
    ) -> FloatArray:
        chances = self._propensities(values, propensity, side_info)
        own = self._solver.solve(self._ratings(values, chances), self._items)
        return self._clip(self.center_ + self.scale_ * predicted(own.main, self._items.main))

    def _alternate(
        self,
        ratings: Ratings,
        rng: np.random.RandomState,
        held_out: FloatArray,
        targets: FloatArray,
        weights: FloatArray,
    ) -> None:
        """Sweep over users and items until predictions settle, or held-out errors rise."""
        shape = (ratings.values.shape[1], 1 + self.embedding_dim)
        main, residual = FIRST_EMBEDDINGS * rng.normal(size=(2, *shape))
        main[:, 0] = residual[:, 0] = 0.0
        items = Factors(main, residual)
        users = self._solver.solve(ratings, items, learn=True)
        of_items = ratings.transposed
        before = predicted(users.main, items.main)
        best, since_best = np.inf, 0
        for sweep in range(1, self.max_iter + 1):
            items = self._solver.solve(of_items, users, learn=True)
            users = self._solver.solve(ratings, items, learn=True)
            after = predicted(users.main, items.main)
            change = float(np.sqrt(np.mean((after - before) ** 2)))
            before = after
            error = 0.0
            if len(targets):
                error = float(np.average((after[held_out] - targets) ** 2, weights=weights))
            self.n_iter_ = sweep
            if self.verbose:
                told = f", held-out error {error:.4g}" if len(targets) else ""
                print(f"[MFImputer] sweep {sweep}: change {change:.3g}{told}")
            since_best += 1
            if error < best or not len(targets):
                best, since_best = error, 0
                self._items, imbalance = items, self._solver.imbalance
            if change <= self.tol or since_best >= self.n_iter_no_change:
                break
        self._solver.imbalance = imbalance

    def _ratings(self, values: FloatArray, chances: FloatArray) -> Ratings:
        return Ratings.of((values - self.center_) / self.scale_, 1.0 / chances)

    def _prepare_propensities(
        self,
        values: FloatArray,
        propensity: ArrayLike | None,
        mar_sample: ArrayLike | None,
        side_info: ArrayLike | None,
    ) -> None:
        """Choose what propensities come from, and learn it; all that is given is checked."""
        sample = (
            None if mar_sample is None else check_mar_sample(mar_sample, number_that_marks(self))
        )
        side = check_side_info(side_info, len(values))
        self._side_names = column_names(side_info)
        self._n_side_features = 0
        self._has_propensity = False
        self._estimator: PropensityEstimator | None = None
        if self.method in WITHOUT_PROPENSITIES:
            # Where it is used it is checked when it is read.
            if propensity is not None:
                self._check_propensity(propensity, len(values))
            return
        if propensity is not None:
            self._has_propensity = True
        elif sample is not None:
            self._estimator = NaiveBayesPropensity(values, sample)
        elif side.shape[1]:
            self._n_side_features = side.shape[1]
            self._estimator = LogisticPropensity(values, side)
        else:
            self._estimator = MarginalPropensity(values)

    def _check_propensity(self, propensity: ArrayLike, n_rows: int) -> FloatArray:
        names = getattr(self, "feature_names_in_", None)
        return check_propensity(
            propensity, (n_rows, self.n_features_in_), None if names is None else list(names)
        )

    def _propensities(
        self, values: FloatArray, propensity: ArrayLike | None, side_info: ArrayLike | None
    ) -> FloatArray:
        """Return the propensities of rows, clipped; those of missing ratings may be anything."""
        if self._has_propensity:
            if propensity is None:
                raise ValueError("propensity must be given for the rows of X, as it was in fit.")
            given = self._check_propensity(propensity, len(values))
            chances = given[:, ~self._is_empty_feature]
        elif self._estimator is not None:
            if self._n_side_features and side_info is None:
                raise ValueError("side_info must be given for the rows of X, as it was in fit.")
            used = side_info if self._n_side_features else None
            side = check_side_info(used, len(values), self._n_side_features, self._side_names)
            chances = self._estimator.predict(values, side)
        else:
            return np.ones(values.shape)
        return np.clip(chances, self.propensity_clip, 1.0)


def _totals(ratings: Ratings) -> dict[str, Any]:
    """Return what a solver has to know of the whole table that it learns from."""
    values = ratings.values
    return {
        "n_observed": values.nnz,
        "n_missing": values.shape[0] * values.shape[1] - values.nnz,
        "inverse_sum": float(ratings.inverse.data.sum()),
        "limits": (float(values.data.min()), float(values.data.max())),
    }
