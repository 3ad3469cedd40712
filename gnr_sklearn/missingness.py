"""Ways to remove values from complete data, to study how well imputers bring them back.

A :class:`Mechanism` gives each cell its probability of going missing; :func:`ampute` draws.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from gnr_sklearn._types import FloatArray
from gnr_sklearn._validation import (
    DataFrameLike,
    Features,
    RandomStateLike,
    as_generator,
    check_features,
    check_matrix,
    check_number,
    feature_indices,
    observed_mean_and_std,
    replace_cells,
)

__all__ = [
    "MAR",
    "MCAR",
    "Compose",
    "Logistic",
    "Mechanism",
    "SelfMasking",
    "TailMasking",
    "ampute",
]

Frame = TypeVar("Frame", bound=DataFrameLike)

# Of a mean of z-scores, whose standard deviation is 1 or not much less.
MAX_ROUNDING = 1e-10


class Mechanism(ABC):
    """A missingness mechanism: each cell's probability of going missing, given the data.

    Those here are frozen dataclasses: they compare and hash by value, and check their parameters
    when made; what depends on the data (column numbers, lengths) is checked on use.
    One of your own needs only a :meth:`missing_probability`.
    """

    @abstractmethod
    def missing_probability(self, X: FloatArray) -> FloatArray:
        """Give the probability that each cell goes missing.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features), float64
            The data. NaN marks cells that are missing already; they stay so, whatever is returned.

        Returns
        -------
        probability : ndarray of shape (n_samples, n_features)
            P(missing), between 0 and 1.
        """


@dataclass(frozen=True)
class MCAR(Mechanism):
    """Missing completely at random: P(x_ij missing) = p, whatever the data.

    Parameters
    ----------
    p : float, default=0.2
        The probability of going missing.
    features : {"all", "first_half"}, sequence of int or None, default=None
        The columns that lose values; "first_half" is the first max(1, floor(d / 2)), None is "all".

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range or of the wrong type.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn.missingness import MCAR
    >>> MCAR(0.3, features=[1]).missing_probability(np.zeros((1, 3)))
    array([[0. , 0.3, 0. ]])
    """

    p: float = 0.2
    features: Features = None

    def __post_init__(self) -> None:
        _normalise(self, p=check_number(self.p, "p", 0, 1), features=check_features(self.features))

    def missing_probability(self, X: FloatArray) -> FloatArray:
        """Give each cell's probability of going missing; see :class:`Mechanism`."""
        probability = np.zeros(X.shape)
        probability[:, feature_indices(self.features, X.shape[1])] = self.p
        return probability


@dataclass(frozen=True)
class SelfMasking(Mechanism):
    """Missing not at random: a value decides itself whether it is seen, as in the GNR paper.

    ``P(x_ij missing) = p if x_ij > t_j else 0``, or ``x_ij < t_j`` where the direction is "below".
    The comparison is strict, so a constant column loses nothing to its own mean.

    Parameters
    ----------
    p : float, default=1.0
        The probability that a value beyond its threshold goes missing.
    features : {"all", "first_half"}, sequence of int or None, default="first_half"
        The columns that lose values; "first_half" is the first max(1, floor(d / 2)), None is "all".
    direction : {"above", "below"} or a sequence of these, default="above"
        The side of the threshold that goes missing; a sequence has one entry per chosen column.
    threshold : {"mean", "median"}, float or sequence of float, default="mean"
        t_j: a statistic of the observed cells of the column, or values in units of X (one for all
        chosen columns, or one each).

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range or of the wrong type.

    Examples
    --------
    The setting "*" of the paper's Table 1: x1 goes missing above its mean, x2 below.

    >>> import numpy as np
    >>> from gnr_sklearn.missingness import SelfMasking
    >>> X = np.array([[1.0, 1.0, 1.0], [3.0, 3.0, 3.0]])
    >>> SelfMasking(features=[0, 1], direction=["above", "below"]).missing_probability(X)
    array([[0., 1., 0.],
           [1., 0., 0.]])
    """

    p: float = 1.0
    features: Features = "first_half"
    direction: str | Sequence[str] = "above"
    threshold: str | float | Sequence[float] | FloatArray = "mean"

    def __post_init__(self) -> None:
        _normalise(
            self,
            p=check_number(self.p, "p", 0, 1),
            features=check_features(self.features),
            direction=_check_direction(self.direction),
            threshold=_check_threshold(self.threshold),
        )

    def missing_probability(self, X: FloatArray) -> FloatArray:
        """Give each cell's probability of going missing; see :class:`Mechanism`."""
        columns = feature_indices(self.features, X.shape[1])
        for name, value in (("direction", self.direction), ("threshold", self.threshold)):
            if isinstance(value, tuple) and len(value) != len(columns):
                raise ValueError(
                    f"{name} must have one entry per chosen column ({len(columns)}), "
                    f"got {len(value)}."
                )
        values = X[:, columns]
        if self.threshold == "mean":
            threshold = observed_mean_and_std(values)[0]
        elif self.threshold == "median":
            threshold = _over_observed(np.median, values)
        else:
            threshold = np.asarray(self.threshold, dtype=np.float64)
        # Strict on both sides, and False for NaN.
        above = np.asarray(self.direction) == "above"
        beyond = np.where(above, values > threshold, values < threshold)
        probability = np.zeros(X.shape)
        probability[:, columns] = self.p * beyond
        return probability


@dataclass(frozen=True)
class TailMasking(Mechanism):
    """Missing not at random: values far from the middle go missing, on either side.

    ``P(x_ij missing) = p if x_ij < l_j or x_ij > u_j else 0``, with l_j and u_j quantiles of the
    observed cells of the column. Both comparisons are strict, so a constant column loses nothing.

    Parameters
    ----------
    p : float, default=1.0
        The probability that a value beyond a quantile goes missing.
    features : {"all", "first_half"}, sequence of int or None, default="first_half"
        The columns that lose values; "first_half" is the first max(1, floor(d / 2)), None is "all".
    lower, upper : float, default=0.25, 0.75
        The shares of the observed cells at or below l_j and u_j, if none are equal; 0 and 1 keep
        that side whole.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range or of the wrong type, or ``lower`` is more than ``upper``.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn.missingness import TailMasking, ampute
    >>> X = np.array([[1.0], [2.0], [3.0], [4.0], [5.0]])
    >>> ampute(X, TailMasking()).ravel()
    array([nan,  2.,  3.,  4., nan])
    """

    p: float = 1.0
    features: Features = "first_half"
    lower: float = 0.25
    upper: float = 0.75

    def __post_init__(self) -> None:
        _normalise(
            self,
            p=check_number(self.p, "p", 0, 1),
            features=check_features(self.features),
            lower=check_number(self.lower, "lower", 0, 1),
            upper=check_number(self.upper, "upper", 0, 1),
        )
        if self.lower > self.upper:
            raise ValueError(
                f"lower must not be more than upper, got {self.lower!r} and {self.upper!r}."
            )

    def missing_probability(self, X: FloatArray) -> FloatArray:
        """Give each cell's probability of going missing; see :class:`Mechanism`."""
        columns = feature_indices(self.features, X.shape[1])
        values = X[:, columns]
        low, high = (
            _over_observed(partial(np.quantile, q=share), values)
            for share in (self.lower, self.upper)
        )
        probability = np.zeros(X.shape)
        probability[:, columns] = self.p * ((values < low) | (values > high))
        return probability


@dataclass(frozen=True)
class Logistic(Mechanism):
    """Missing not at random by degrees: the odds of going missing rise with a value.

    ``P(x_ij missing) = sigmoid(a_j + slope * s_ij)``, with the intercept a_j such that the average
    over the rows where x_ij is not NaN is p. s_ij is the z-score (0 where NaN) of x_ij itself or,
    where ``depends_on`` is "next", of row i's value in the next chosen column, which loses values
    too: what decides is then seen in part, and where it is not, the value itself may be.

    Parameters
    ----------
    p : float, default=0.2
        The average probability of going missing in each chosen column.
    features : {"all", "first_half"}, sequence of int or None, default="first_half"
        The columns that lose values; "first_half" is the first max(1, floor(d / 2)), None is "all".
    slope : float, default=2.0
        How strongly missingness depends on s_ij: the odds change by a factor of exp(slope) for each
        standard deviation. Below 0, low values go missing more often; 0 is MCAR.
    depends_on : {"self", "next"}, default="self"
        The column that decides: its own, or the next one chosen, in the order of ``features``, with
        the first after the last. "next" takes two chosen columns or more.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range or of the wrong type.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn.missingness import Logistic
    >>> X = np.array([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    >>> Logistic(0.5).missing_probability(X).round(2)
    array([[0.08, 0.  ],
           [0.5 , 0.  ],
           [0.92, 0.  ]])
    >>> Logistic(0.5, features="all", depends_on="next").missing_probability(X).round(2)
    array([[0.5 , 0.08],
           [0.5 , 0.5 ],
           [0.5 , 0.92]])
    """

    p: float = 0.2
    features: Features = "first_half"
    slope: float = 2.0
    depends_on: Literal["self", "next"] = "self"

    def __post_init__(self) -> None:
        _normalise(
            self,
            p=check_number(self.p, "p", 0, 1),
            features=check_features(self.features),
            slope=check_number(self.slope, "slope"),
        )
        if self.depends_on not in ("self", "next"):
            raise (ValueError if isinstance(self.depends_on, str) else TypeError)(
                f'depends_on must be "self" or "next", got {self.depends_on!r}.'
            )

    def missing_probability(self, X: FloatArray) -> FloatArray:
        """Give each cell's probability of going missing; see :class:`Mechanism`."""
        columns = feature_indices(self.features, X.shape[1])
        deciding = columns
        if self.depends_on == "next":
            if len(columns) < 2:
                raise ValueError(
                    "features must choose two columns or more for each to depend on the next, got "
                    f"{self.features!r}, one of the {X.shape[1]} column(s) of X."
                )
            deciding = np.roll(columns, -1)
        return _logistic(X, columns, self.slope * _standardise(X[:, deciding]), self.p)


@dataclass(frozen=True)
class MAR(Mechanism):
    """Missing at random: what goes missing depends only on columns that stay as they are.

    ``P(x_ij missing) = sigmoid(a_j + slope * s_i)``, with s_i the mean over the columns that are
    not chosen of row i's z-scores (0 where such a cell is NaN), itself standardised over the rows,
    and the intercepts such that each column's average is p over the rows where it is not NaN.

    Parameters
    ----------
    p : float, default=0.2
        The average probability of going missing in the chosen columns.
    features : {"all", "first_half"}, sequence of int or None, default="first_half"
        The columns that lose values. At least one column must be left.
    slope : float, default=1.0
        How strongly missingness depends on s_i; 0 is MCAR, and so is what columns that do not
        vary decide.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range or of the wrong type.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn.missingness import MAR
    >>> X = np.array([[0.0, -1.0], [0.0, 0.0], [0.0, 1.0]])
    >>> MAR(0.5, features=[0]).missing_probability(X).round(2)
    array([[0.23, 0.  ],
           [0.5 , 0.  ],
           [0.77, 0.  ]])
    """

    p: float = 0.2
    features: Features = "first_half"
    slope: float = 1.0

    def __post_init__(self) -> None:
        _normalise(
            self,
            p=check_number(self.p, "p", 0, 1),
            features=check_features(self.features),
            slope=check_number(self.slope, "slope"),
        )

    def missing_probability(self, X: FloatArray) -> FloatArray:
        """Give each cell's probability of going missing; see :class:`Mechanism`."""
        columns = feature_indices(self.features, X.shape[1])
        kept = np.setdiff1d(np.arange(X.shape[1]), columns)
        if not kept.size:
            raise ValueError(
                f"features must leave at least one of the {X.shape[1]} column(s) of X for MAR to "
                f"depend on, got {self.features!r}."
            )
        scores = _standardise(X[:, kept])
        score = scores.mean(axis=1, keepdims=True)
        # What is left of columns that cancel, such as shares that add up to 1, is rounding.
        if self.slope and scores.any() and score.std() < MAX_ROUNDING:
            raise ValueError(
                "features must leave columns of X whose z-scores do not cancel, for MAR to depend "
                f"on their mean, got {self.features!r}, which leaves {kept.tolist()}."
            )
        return _logistic(X, columns, self.slope * _standardise(score), self.p)


@dataclass(frozen=True, init=False, repr=False)
class Compose(Mechanism):
    """Several mechanisms, one after the other, each on the data as given.

    A cell goes missing if any of them, independently, removes it:
    ``P(x_ij missing) = 1 - prod_k (1 - p_k,ij)``.

    Parameters
    ----------
    *mechanisms : Mechanism
        The mechanisms, or one sequence of them.

    Raises
    ------
    ValueError, TypeError
        If there is no mechanism, or something else among them.

    Examples
    --------
    The last column of the paper's Table 1, "80%+20%MCAR":

    >>> import numpy as np
    >>> from gnr_sklearn.missingness import MCAR, Compose, SelfMasking
    >>> Compose(SelfMasking(0.8), MCAR(0.2)).missing_probability(np.array([[0.0] * 2, [1.0] * 2]))
    array([[0.2 , 0.2 ],
           [0.84, 0.2 ]])
    """

    mechanisms: tuple[Mechanism, ...]

    def __init__(self, *mechanisms: Mechanism | Iterable[Mechanism]) -> None:
        first = mechanisms[0] if len(mechanisms) == 1 else None
        parts = tuple(first) if isinstance(first, Iterable) else mechanisms
        if not parts:
            raise ValueError("mechanisms must hold at least one Mechanism, got none.")
        for part in parts:
            check_mechanism(part, "mechanisms")
        _normalise(self, mechanisms=parts)

    def __repr__(self) -> str:
        return f"Compose({', '.join(map(repr, self.mechanisms))})"

    def missing_probability(self, X: FloatArray) -> FloatArray:
        """Give each cell's probability of going missing; see :class:`Mechanism`."""
        stays = [1.0 - _probability_of(mechanism, X) for mechanism in self.mechanisms]
        return 1.0 - np.prod(stays, axis=0)


@overload
def ampute(X: Frame, mechanism: Mechanism, random_state: RandomStateLike = None) -> Frame: ...
@overload
def ampute(
    X: ArrayLike, mechanism: Mechanism, random_state: RandomStateLike = None
) -> FloatArray: ...
def ampute(
    X: ArrayLike | DataFrameLike, mechanism: Mechanism, random_state: RandomStateLike = None
) -> FloatArray | DataFrameLike:
    """Remove values from X: each cell goes missing with the probability its mechanism gives.

    The uniforms that decide depend on ``random_state`` and the shape of X alone, so with one seed
    the cells that ``MCAR(0.1)`` removes are among those that ``MCAR(0.3)`` removes.

    Parameters
    ----------
    X : array-like or pandas DataFrame of shape (n_samples, n_features)
        Numbers. NaN stays NaN, and takes no part in means and thresholds. X is not changed.
    mechanism : Mechanism
        Which values go missing.
    random_state : int, numpy Generator, numpy RandomState or None, default=None
        Controls all randomness; None draws fresh entropy. Global random states are neither read
        nor changed.

    Returns
    -------
    X_missing : ndarray or pandas DataFrame of shape (n_samples, n_features)
        A copy of X with NaN in the removed cells: a DataFrame, of the same index and columns, if X
        is one from pandas. float32 stays float32 (a DataFrame where every column is), and all else
        becomes float64.

    Raises
    ------
    ValueError, TypeError
        If X is not a finite numeric matrix (NaN allowed), or another argument is not as described.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn.missingness import SelfMasking, ampute
    >>> ampute(np.array([[1, 5], [2, 6], [9, 7]]), SelfMasking(p=1.0), random_state=0)
    array([[ 1.,  5.],
           [ 2.,  6.],
           [nan,  7.]])
    """
    check_mechanism(mechanism, "mechanism")
    rng = as_generator(random_state)
    values = check_matrix(X, "X")
    probability = _probability_of(mechanism, values)
    return replace_cells(X, values, rng.random(values.shape) < probability, np.nan)


def _probability_of(mechanism: Mechanism, X: FloatArray) -> FloatArray:
    """Give what a mechanism says of X, if it is probabilities."""
    # A copy, so that a mechanism that writes to what it is given cannot reach X.
    probability = np.asarray(mechanism.missing_probability(X.astype(np.float64)))
    if probability.shape != X.shape or not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError(
            "mechanism must give probabilities between 0 and 1 of the shape of X, "
            f"{X.shape}, which {mechanism!r} does not."
        )
    return probability


def _standardise(X: FloatArray) -> FloatArray:
    """Give z-scores over the observed cells: 0 where NaN, and throughout a constant column."""
    mean, std = observed_mean_and_std(X)
    return np.nan_to_num((X - mean) / np.where(std > 0, std, 1.0))


def _over_observed(statistic: Callable[[FloatArray], np.floating], X: FloatArray) -> FloatArray:
    """Give a statistic of each column's cells that are not NaN (NaN if none)."""
    observed = [column[~np.isnan(column)] for column in X.T]
    return np.array([statistic(column) if column.size else np.nan for column in observed])


def _logistic(X: FloatArray, columns: NDArray[np.intp], effect: FloatArray, p: float) -> FloatArray:
    """Give sigmoid(a_j + effect_ij) in some columns, 0 in others.

    Each a_j is such that the average over the observed cells of its column is p.
    """
    observed = ~np.isnan(X[:, columns])
    effect = np.broadcast_to(effect, observed.shape)
    intercepts = np.full(effect.shape[1], logit(p))
    if 0 < p < 1:
        for j in np.flatnonzero(observed.any(axis=0)):
            column = effect[observed[:, j], j]
            # At logit(p) -+ max|effect| every row's probability is on one side of p, so the root
            # lies between; 1 more keeps rounding from putting both ends on the same side.
            reach = np.abs(column).max() + 1.0
            intercepts[j] = brentq(
                lambda a, column=column: expit(a + column).mean() - p,
                intercepts[j] - reach,
                intercepts[j] + reach,
            )
    probability = np.zeros(X.shape)
    probability[:, columns] = expit(intercepts + effect)
    return probability


def check_mechanism(mechanism: object, name: str) -> None:
    """Refuse what is not a Mechanism."""
    if not isinstance(mechanism, Mechanism):
        raise TypeError(f"{name} must be a Mechanism instance, as MCAR(0.2), got {mechanism!r}.")


def _check_direction(direction: str | Sequence[str]) -> str | tuple[str, ...]:
    sides = np.asarray(direction)
    if sides.dtype.kind != "U" or sides.ndim > 1 or not np.isin(sides, ("above", "below")).all():
        raise (ValueError if sides.dtype.kind == "U" else TypeError)(
            'direction must be "above", "below" or a sequence of these, one per chosen column, '
            f"got {direction!r}."
        )
    return tuple(sides.tolist()) if sides.ndim else str(direction)


def _check_threshold(
    threshold: str | float | Sequence[float] | FloatArray,
) -> str | float | tuple[float, ...]:
    if isinstance(threshold, str) and threshold in ("mean", "median"):
        return threshold
    values = np.asarray(threshold)
    if values.dtype.kind not in "iuf" or values.ndim > 1 or not np.isfinite(values).all():
        raise (ValueError if values.dtype.kind in "iufU" else TypeError)(
            'threshold must be "mean", "median", a finite number or one per chosen column, '
            f"got {threshold!r}."
        )
    return tuple(values.astype(float).tolist()) if values.ndim else float(values)


def _normalise(mechanism: Mechanism, **parameters: object) -> None:
    """Set fields of a frozen dataclass to their checked, hashable form."""
    for name, value in parameters.items():
        object.__setattr__(mechanism, name, value)
