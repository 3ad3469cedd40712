"""Rubin's rules: what estimates from several completed data sets say together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student_t

from gnr_sklearn._types import FloatArray
from gnr_sklearn._validation import check_number, gaps_as_nan

__all__ = ["PooledEstimate", "as_floats", "check_degrees_of_freedom", "pool"]

Estimate = float | FloatArray


@dataclass(frozen=True, eq=False)
class PooledEstimate:
    """What Rubin's rules make of the estimates from several completed data sets.

    :func:`pool` makes it. Each attribute but ``n_draws`` is a float where the estimate is one
    number, and else an array of its shape.

    Attributes
    ----------
    estimate : float or ndarray
        Mean of the estimates.
    within_variance : float or ndarray
        Mean of their squared standard errors: what the variance would be were nothing missing.
    between_variance : float or ndarray
        Sample variance of the estimates over the draws.
    total_variance : float or ndarray
        Squared standard error of the pooled estimate.
    degrees_of_freedom : float or ndarray
        Of Student's t distribution for ``(estimate - truth) / standard_error``.
    fraction_missing_information : float or ndarray
        From 0 to 1.
    n_draws : int
        Number of completed data sets.
    """

    estimate: Estimate
    within_variance: Estimate
    between_variance: Estimate
    total_variance: Estimate
    degrees_of_freedom: Estimate
    fraction_missing_information: Estimate
    n_draws: int

    @property
    def standard_error(self) -> Estimate:
        """Square root of the total variance, in units of the estimate."""
        return _plain(np.sqrt(self.total_variance))

    def confidence_interval(self, level: float = 0.95) -> tuple[Estimate, Estimate]:
        """Give the interval estimate -+ t * standard_error, by Student's t.

        Parameters
        ----------
        level : float, default=0.95
            Coverage, between 0 and 1, both excluded.

        Returns
        -------
        lower, upper : float or ndarray
            Infinite where there are no degrees of freedom.

        Raises
        ------
        ValueError, TypeError
            If ``level`` is not such a number.

        Examples
        --------
        >>> from gnr_sklearn.multiple import pool
        >>> lower, upper = pool([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]).confidence_interval(0.9)
        >>> round(lower, 2), round(upper, 2)
        (-0.96, 4.96)
        """
        if not 0 < check_number(level, "level", 0, 1) < 1:
            raise ValueError(f"level must be more than 0 and less than 1, got {level!r}.")
        degrees = np.asarray(self.degrees_of_freedom)
        # With few degrees of freedom the quantile goes to infinity, and scipy ends in NaN.
        with np.errstate(all="ignore"):
            quantile = student_t.isf((1.0 - level) / 2.0, degrees)
        quantile = np.where(np.isnan(quantile), np.inf, quantile)
        half_width = quantile * np.asarray(self.standard_error)
        return _plain(self.estimate - half_width), _plain(self.estimate + half_width)


def pool(
    estimates: ArrayLike,
    variances: ArrayLike,
    *,
    complete_degrees_of_freedom: ArrayLike | None = None,
) -> PooledEstimate:
    r"""Pool estimates from several completed data sets by Rubin's rules.

    With estimates :math:`Q_1, \dots, Q_m` and variances :math:`U_1, \dots, U_m`,

    .. math::

        \bar Q = \frac 1m \sum_l Q_l, \quad
        W = \frac 1m \sum_l U_l, \quad
        B = \frac 1{m - 1} \sum_l (Q_l - \bar Q)^2, \quad
        T = W + \left(1 + \frac 1m\right) B.

    Parameters
    ----------
    estimates : array-like of shape (n_draws,) or (n_draws, ...)
        The estimate from each completed data set; at least 2 draws. Arrays are pooled element
        by element.
    variances : array-like of the shape of `estimates`
        Its squared standard error in that data set, as if nothing had been missing; 0 or more.
    complete_degrees_of_freedom : float, array-like of shape (...) or None, default=None
        Degrees of freedom that the estimate would have were nothing missing, such as n - p - 1
        for least squares with an intercept. None is infinity.

    Returns
    -------
    pooled : PooledEstimate

    Raises
    ------
    ValueError
        If there are fewer than 2 draws, the shapes differ, numbers are not finite, or variances
        are negative or degrees of freedom not positive.

    Notes
    -----
    With :math:`\lambda = (1 + 1/m) B / T`, the share of the total variance that is due to the
    missing values, the degrees of freedom are those of Barnard & Rubin (1999),

    .. math::

        \nu = \left(\frac 1{\nu_m} + \frac 1{\nu_{obs}}\right)^{-1}, \quad
        \nu_m = \frac{m - 1}{\lambda^2}, \quad
        \nu_{obs} = \frac{\nu_{com} + 1}{\nu_{com} + 3} \nu_{com} (1 - \lambda),

    which is :math:`\nu_m` (Rubin 1987, eq. 3.1.6) where :math:`\nu_{com}`, those of the complete
    data, is infinite. Where all estimates are equal they are :math:`\nu_{com}` itself, so that
    nothing changes where nothing is missing. Where W = 0 < B and :math:`\nu_{com}` is finite they
    are 0, the limit of the formula, and the confidence interval is infinite.

    The fraction of missing information is Rubin's (1987, eq. 3.1.10),

    .. math::

        \gamma = \frac{r + 2 / (\nu_m + 3)}{r + 1}, \quad r = \left(1 + \frac 1m\right) \frac BW,

    with his own :math:`\nu_m`: 0 where B = 0, and 1 in the limit where W = 0 < B. R's mice calls
    :math:`\lambda = r / (r + 1)` ``lambda``, to which :math:`\gamma` falls as m grows, and puts
    the :math:`\nu` of Barnard & Rubin into the formula for its ``fmi``, which therefore is higher
    where :math:`\nu_{com}` is small.

    References
    ----------
    Rubin, D. B. (1987). Multiple Imputation for Nonresponse in Surveys. Wiley, ch. 3.

    Barnard, J. & Rubin, D. B. (1999). Small-sample degrees of freedom with multiple imputation.
    Biometrika 86, 948-955.

    Examples
    --------
    >>> from gnr_sklearn.multiple import pool
    >>> pooled = pool([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], complete_degrees_of_freedom=10)
    >>> pooled.estimate, round(pooled.total_variance, 3)
    (2.0, 2.333)
    >>> round(pooled.degrees_of_freedom, 3), round(pooled.fraction_missing_information, 3)
    (2.278, 0.665)
    """
    draws, squared_errors = as_floats(estimates, "estimates"), as_floats(variances, "variances")
    if draws.ndim < 1 or len(draws) < 2:
        raise ValueError(
            f"estimates must hold at least 2 draws along the first axis, got shape {draws.shape}."
        )
    if draws.shape != squared_errors.shape:
        raise ValueError(
            f"variances must have the shape of estimates, {draws.shape}, "
            f"got {squared_errors.shape}."
        )
    if (squared_errors < 0).any():
        raise ValueError(f"variances must be 0 or more, got {squared_errors.min():g}.")
    shape = draws.shape[1:]
    complete = check_degrees_of_freedom(complete_degrees_of_freedom, shape)

    n_draws = len(draws)
    # The mean of equal numbers may be off by rounding, and then they would seem to vary.
    estimate = np.clip(draws.mean(axis=0), draws.min(axis=0), draws.max(axis=0))
    within = squared_errors.mean(axis=0)
    between = ((draws - estimate) ** 2).sum(axis=0) / (n_draws - 1)
    due_to_missing = (1.0 + 1.0 / n_draws) * between
    total = within + due_to_missing

    # In terms of shares of T and of reciprocals of degrees of freedom nothing is infinite but what
    # has to be.
    varies = between > 0
    share_within = np.divide(within, total, out=np.ones(shape), where=varies)
    share_between = np.divide(due_to_missing, total, out=np.zeros(shape), where=varies)
    per_rubin = share_between**2 / (n_draws - 1)
    with np.errstate(all="ignore"):
        per_complete = 1.0 / complete
        per_observed = (1.0 + 3.0 * per_complete) / (1.0 + per_complete) * per_complete
        per_observed = np.where(per_complete > 0, per_observed / share_within, 0.0)
        degrees = np.where(varies, 1.0 / (per_rubin + per_observed), complete)
    missing = (2.0 * per_rubin + share_between * (1.0 + per_rubin)) / (1.0 + 3.0 * per_rubin)
    return PooledEstimate(
        estimate=_plain(estimate),
        within_variance=_plain(within),
        between_variance=_plain(between),
        total_variance=_plain(total),
        degrees_of_freedom=_plain(degrees),
        fraction_missing_information=_plain(missing),
        n_draws=n_draws,
    )


def as_floats(values: ArrayLike, name: str) -> FloatArray:
    """Check that values are finite numbers."""
    try:
        array = np.asarray(gaps_as_nan(values), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers: {error}.") from error
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got NaN or infinite values.")
    return array


def check_degrees_of_freedom(value: ArrayLike | None, shape: tuple[int, ...]) -> FloatArray:
    """Give positive degrees of freedom of this shape; None stands for infinity."""
    array = np.asarray(np.inf if value is None else value)
    if array.dtype.kind not in "iuf" or not (array > 0).all():
        raise ValueError(
            f"complete_degrees_of_freedom must be None or positive numbers, got {value!r}."
        )
    try:
        return np.broadcast_to(array.astype(np.float64), shape)
    except ValueError as error:
        raise ValueError(
            f"complete_degrees_of_freedom must be one number, or as many as estimates, {shape}, "
            f"got shape {array.shape}."
        ) from error


def _plain(array: ArrayLike) -> Estimate:
    """Turn an array without dimensions into a float."""
    values = np.asarray(array)
    return values if values.ndim else float(values)
