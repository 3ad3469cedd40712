"""Imputers without a model of the missing-data mechanism, built from scikit-learn's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import BayesianRidge

from gnr_sklearn._base import BoundedImputer, MixedImputer
from gnr_sklearn._sklearn import Interval, StrOptions
from gnr_sklearn._types import BoolArray, FloatArray
from gnr_sklearn._validation import draw_seed, fitted_scaler

try:
    from sklearn.impute import IterativeImputer
except ImportError:  # it is experimental up to scikit-learn 1.9
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

__all__ = ["MICEImputer", "MeanImputer", "MissForestImputer"]


# Larger numbers are infinite for trees.
MAX_SCALED = 1e30

# To which standardised values are rounded.
DECIMALS = 10


@dataclass(kw_only=True, eq=False, repr=False)
class MeanImputer(MixedImputer):
    """Imputation by the mean of each feature's observed values, or the most common category.

    It is what every other imputer has to beat. When large values are missing more often
    than small ones, the mean of the observed values is too low, and so is all that is
    imputed.

    Parameters
    ----------
    {parameter_docs}

    Attributes
    ----------
    imputer_ : sklearn.impute.SimpleImputer
        What holds the means.
    {attribute_docs}

    See Also
    --------
    MICEImputer : Chained linear regressions.
    MissForestImputer : Chained random forests.
    GNRImputer : Models why values are missing.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn import MeanImputer
    >>> MeanImputer().fit_transform([[1.0, 2.0], [np.nan, 4.0], [5.0, np.nan]])
    array([[1., 2.],
           [3., 4.],
           [5., 3.]])
    """

    def _fit(self, values: FloatArray) -> None:
        self.imputer_ = SimpleImputer().set_output(transform="default").fit(values)
        self._most_common = self._discrete.most_common(values)

    def _impute(self, values: FloatArray) -> FloatArray:
        imputed = self.imputer_.transform(values)
        for feature, level in self._most_common.items():
            imputed[:, feature] = level
        return imputed


@dataclass(kw_only=True, eq=False, repr=False)
class MICEImputer(MixedImputer, BoundedImputer):
    """Multiple imputation by chained equations, with a Bayesian ridge regression each.

    Each feature in turn is regressed on the others and its missing values are replaced by
    the predictions, in rounds until they settle. This gives the one completed data set
    that the literature compares with under this name: predictions, not draws. It assumes
    that values are missing at random and that features depend linearly on each other.

    Features are standardised by their observed values beforehand, so that units do not
    matter: to scikit-learn's ``IterativeImputer`` they do. Bounds hold in
    each round. Of a data frame's categories, each is regressed as zeros and ones, and the one with
    the largest prediction is imputed; ordered ones, and true and false, are numbers that are
    rounded.

    Parameters
    ----------
    max_iter : int, default=10
        Rounds at most.
    tol : float, default=1e-3
        Stop when no imputed value changed by more than this fraction of the largest
        absolute observed value, after standardisation.
    imputation_order : {"ascending", "descending", "roman", "arabic"}, default="ascending"
        Order of the features: by their number of missing values, from left to right, or
        from right to left.
    skip_complete : bool, default=False
        Whether features without missing values in `fit` get no regression; should they
        have some in `transform`, those are set to the mean.
    {parameter_docs}

    Attributes
    ----------
    imputer_ : sklearn.impute.IterativeImputer
        What holds the regressions, of standardised features.
    n_iter_ : int
        Rounds done.
    {attribute_docs}

    See Also
    --------
    MissForestImputer : Chained random forests, for any relations.
    MIWAEImputer : By a variational autoencoder, also for data missing at random.
    GNRImputer : Models why values are missing.

    References
    ----------
    .. [1] S. van Buuren, K. Groothuis-Oudshoorn, "mice: Multivariate Imputation by Chained
       Equations in R", Journal of Statistical Software 45 (2011).

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn import MICEImputer
    >>> X = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, np.nan], [4.0, 8.0]])
    >>> MICEImputer().fit_transform(X).round(2)[2]
    array([3., 6.])
    """

    max_iter: int = 10
    tol: float = 1e-3
    imputation_order: Literal["ascending", "descending", "roman", "arabic"] = "ascending"
    skip_complete: bool = False

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **MixedImputer._parameter_constraints,
        **BoundedImputer._parameter_constraints,
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "imputation_order": [StrOptions({"ascending", "descending", "roman", "arabic"})],
        "skip_complete": ["boolean"],
    }

    def _fit(self, values: FloatArray) -> None:
        self._fit_limits(values)
        view, owner = self._discrete.numeric_view(values)
        self._scaler = fitted_scaler(view)
        mean, scale = self._scaler.mean_, self._scaler.scale_
        scaled_lowest = (self._lowest[owner] - mean) / scale
        scaled_highest = (self._highest[owner] - mean) / scale
        # It takes no bounds that meet; those hold in the end all the same.
        meet = scaled_lowest >= scaled_highest
        imputer = IterativeImputer(
            BayesianRidge(),
            max_iter=self.max_iter,
            tol=self.tol,
            imputation_order=self.imputation_order,
            skip_complete=self.skip_complete,
            min_value=np.where(meet, -np.inf, scaled_lowest),
            max_value=np.where(meet, np.inf, scaled_highest),
            verbose=self.verbose,
            random_state=draw_seed(self.random_state),
        ).set_output(transform="default")
        self.imputer_ = imputer.fit(self._scaler.transform(view))
        # With a single feature scikit-learn has nothing to chain and reports no round.
        self.n_iter_ = max(self.imputer_.n_iter_, 1)

    def _impute(self, values: FloatArray) -> FloatArray:
        # Given rows with nothing observed at all, scikit-learn imputes means without
        # asking its regressions. One observed row more makes it treat them as it treats
        # them in company, where a row's imputation does not depend on the others.
        view, owner = self._discrete.numeric_view(values)
        scaled = np.vstack([self._scaler.transform(view), np.zeros(len(owner))])
        imputed = self._scaler.inverse_transform(self.imputer_.transform(scaled)[:-1])
        return self._clip(self._discrete.from_numeric_view(imputed))


@dataclass(kw_only=True, eq=False, repr=False)
class MissForestImputer(MixedImputer):
    r"""Imputation by chained random forests with the stopping rule of MissForest.

    Starting from means, a random forest for each feature with missing values predicts
    them from the other features, in rounds. After each round the change

    .. math::

        \Delta = \sum_{ij} (x^{new}_{ij} - x^{old}_{ij})^2
        \Big/ \sum_{ij} (x^{new}_{ij})^2

    is computed; as soon as it grows, the round before is the result [1]_. Of a data frame's
    categories, true and false among them, forests of classification trees predict the likeliest,
    and the change is the fraction of those imputed that are others than before; with numbers and
    categories, both changes have to grow. It assumes that values are missing at random.

    Parameters
    ----------
    n_estimators : int, default=100
        Trees in each forest.
    max_iter : int, default=10
        Rounds at most.
    max_features : {"sqrt", "log2"}, int, float or None, default=1.0
        Features looked at for a split, as in scikit-learn's ``RandomForestRegressor``.
        The R package takes "sqrt".
    min_samples_leaf : int or float, default=1
        Fewest samples in a leaf. Larger values make forests smaller and faster.
    skip_complete : bool, default=False
        Whether features without missing values in `fit` get no forest; should they have
        some in `transform`, those are set to the mean.
    n_jobs : int or None, default=None
        Trees grown at the same time, as in scikit-learn. With several, what trees say is added up
        in the order in which they are done, and results are the same up to rounding.
    {parameter_docs}

    Attributes
    ----------
    n_iter_ : int
        Rounds kept.
    changes_ : list of float
        The change of the numbers in each round done, the discarded one included.
    category_changes_ : list of float
        That of the categories.
    {attribute_docs}

    See Also
    --------
    MICEImputer : Chained linear regressions, which are faster.
    MIWAEImputer : By a variational autoencoder, also for data missing at random.
    GNRImputer : Models why values are missing.

    Notes
    -----
    Features are standardised by their observed values beforehand, so that their units do
    not matter to the change. The forests of all rounds are kept, and `transform` goes
    through them in the same order: rows seen in `fit` get what the algorithm arrived at.

    References
    ----------
    .. [1] D. J. Stekhoven, P. Buehlmann, "MissForest - non-parametric missing value
       imputation for mixed-type data", Bioinformatics 28 (2012).

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn import MissForestImputer
    >>> X = np.repeat([[0.0, 1.0], [1.0, 3.0]], 20, axis=0)
    >>> X[0, 1] = np.nan
    >>> MissForestImputer(random_state=0).fit_transform(X)[0]
    array([0., 1.])
    """

    n_estimators: int = 100
    max_iter: int = 10
    max_features: Literal["sqrt", "log2"] | int | float = 1.0
    min_samples_leaf: int | float = 1
    skip_complete: bool = False
    n_jobs: int | None = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **MixedImputer._parameter_constraints,
        **{
            name: RandomForestRegressor._parameter_constraints[name]
            for name in ("n_estimators", "max_features", "min_samples_leaf", "n_jobs")
        },
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "skip_complete": ["boolean"],
    }

    def _fit(self, values: FloatArray) -> None:
        self._scaler = fitted_scaler(values)
        # Codes stay what they are.
        is_discrete = self._discrete.is_discrete
        self._scaler.mean_[is_discrete], self._scaler.scale_[is_discrete] = 0.0, 1.0
        self._most_common = self._discrete.most_common(values)
        seeds = np.random.RandomState(draw_seed(self.random_state))
        scaled = self._scaled(values)
        missing = np.isnan(scaled)
        n_missing = missing.sum(axis=0)
        order = np.argsort(n_missing, kind="stable")
        incomplete = [int(feature) for feature in order if n_missing[feature]]

        self._rounds: list[list[tuple[int, BaseEstimator]]] = []
        self.changes_: list[float] = []
        self.category_changes_: list[float] = []
        completed = self._started(scaled)
        for _ in range(self.max_iter):
            previous = completed.copy()
            forests = []
            for feature in incomplete:
                forest = self._grow(completed, feature, ~missing[:, feature], seeds)
                self._predict_into(completed, missing, feature, forest)
                forests.append((feature, forest))
            self._note_changes(previous, completed, missing)
            if self._is_worse:
                completed = previous
                break
            self._rounds.append(forests)
            if self.changes_[-1] == self.category_changes_[-1] == 0.0:
                break
        self.n_iter_ = len(self._rounds)

        self._complete: list[tuple[int, BaseEstimator]] = []
        if not self.skip_complete:
            everywhere = np.ones(len(completed), dtype=bool)
            for feature in map(int, np.flatnonzero(n_missing == 0)):
                forest = self._grow(completed, feature, everywhere, seeds)
                self._complete.append((feature, forest))

    def _scaled(self, values: FloatArray) -> FloatArray:
        """Return standardised values, without the last bits.

        Between splits that are equally good these would decide, and they depend on units.
        """
        scaled = np.clip(self._scaler.transform(values), -MAX_SCALED, MAX_SCALED)
        return np.round(scaled, DECIMALS)

    def _started(self, scaled: FloatArray) -> FloatArray:
        """Put means, and the most common categories, into the gaps."""
        completed = np.where(np.isnan(scaled), 0.0, scaled)
        for feature, level in self._most_common.items():
            completed[np.isnan(scaled[:, feature]), feature] = level
        return completed

    def _note_changes(
        self, previous: FloatArray, completed: FloatArray, missing: BoolArray
    ) -> None:
        is_discrete = self._discrete.is_discrete
        numbers = completed[:, ~is_discrete]
        moved = ((numbers - previous[:, ~is_discrete]) ** 2).sum()
        self.changes_.append(float(moved / max((numbers**2).sum(), 1e-300)))
        others = (completed != previous)[:, is_discrete].sum()
        self.category_changes_.append(float(others / max(missing[:, is_discrete].sum(), 1)))
        if self.verbose:
            of_categories = f", {self.category_changes_[-1]:.3g} of categories"
            print(
                f"[{type(self).__name__}] round {len(self.changes_)}: change "
                f"{self.changes_[-1]:.3g}{of_categories if self._discrete else ''}"
            )

    @property
    def _is_worse(self) -> bool:
        """Whether the last round changed more than the one before, of each type that is there."""
        is_discrete = self._discrete.is_discrete
        kinds = [self.changes_] * (not is_discrete.all()) + [self.category_changes_] * bool(
            self._discrete
        )
        return len(self.changes_) > 1 and all(changes[-1] > changes[-2] for changes in kinds)

    def _impute(self, values: FloatArray) -> FloatArray:
        scaled = self._scaled(values)
        missing = np.isnan(scaled)
        completed = self._started(scaled)
        for feature, forest in self._chain():
            self._predict_into(completed, missing, feature, forest)
        return self._scaler.inverse_transform(completed)

    def _chain(self) -> Iterator[tuple[int, BaseEstimator]]:
        for forests in self._rounds:
            yield from forests
            yield from self._complete

    def _grow(
        self,
        completed: FloatArray,
        feature: int,
        rows: np.ndarray,
        seeds: np.random.RandomState,
    ) -> BaseEstimator:
        is_discrete = feature in self._discrete.levels
        forest = (RandomForestClassifier if is_discrete else RandomForestRegressor)(
            self.n_estimators,
            max_features=self.max_features,
            min_samples_leaf=self.min_samples_leaf,
            n_jobs=self.n_jobs,
            random_state=seeds.randint(2**31 - 1),
        )
        others = self._others(completed, feature)
        return forest.fit(others[rows], completed[rows, feature])

    def _predict_into(
        self, completed: FloatArray, missing: np.ndarray, feature: int, forest: BaseEstimator
    ) -> None:
        rows = missing[:, feature]
        if rows.any():
            completed[rows, feature] = forest.predict(self._others(completed[rows], feature))

    def _others(self, completed: FloatArray, feature: int) -> FloatArray:
        if completed.shape[1] == 1:
            # A forest needs an input: a constant one makes it predict the mean.
            return np.zeros_like(completed)
        view, owner = self._discrete.numeric_view(completed)
        return view[:, owner != feature]
