"""GNR, the deep generative conjunction model for data missing not at random."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from gnr_sklearn._base import FloatArray, HasMethods, Interval, StrOptions
from gnr_sklearn._vae import VAEImputer
from gnr_sklearn.nn.models import GNR

__all__ = ["GNRImputer"]


@dataclass(kw_only=True, eq=False, repr=False)
class GNRImputer(VAEImputer):
    r"""Imputation by a deep generative model of the values and of why they are missing.

    Data and mask are two modalities of one latent variable,

    .. math::

        p(x, m) = \int p(x \mid z) \, p(m \mid z) \, p(z) \, dz ,

    with a decoder each: a Gaussian for the data and a Bernoulli for the mask m, which is
    1 where a value is observed. An encoder :math:`q(z \mid x^{obs})` that sees only the
    observed values is trained with them by maximising the importance-weighted bound of
    :math:`\log p(x^{obs}, m)`. A missing value is imputed by its expectation given what
    is observed and which values are missing, so that a mechanism in which a value's
    being missing depends on the value itself (missing not at random) is taken into
    account.

    Parameters
    ----------
    {parameter_docs}

    Attributes
    ----------
    {attribute_docs}

    See Also
    --------
    MIWAEImputer : The model of the values alone.
    NotMIWAEImputer : Values that decide themselves whether they are seen.
    PSMVAEImputer : A mixture of such models.
    MICEImputer : Chained linear regressions; fast, for data missing at random.
    MissForestImputer : Chained random forests; non-linear, for data missing at random.

    Notes
    -----
    With log-weights

    .. math::

        \log \hat\omega_k = \log p(x^{obs} \mid z_k) + \alpha \log p(m \mid z_k)
        + \log p(z_k) - \log q(z_k \mid x^{obs}), \qquad z_k \sim q(z \mid x^{obs})

    training maximises :math:`\log \frac 1K \sum_k \hat\omega_k` averaged over rows (eq. 15
    to 19 of [1]_), and a missing value is imputed by
    :math:`\sum_l \hat\omega_l E[x \mid z_l] / \sum_l \hat\omega_l` over L samples (eq. 20).

    With `prior` or `side_info` the decoders also see an auxiliary variable u,
    :math:`p(x \mid u, z)` and :math:`p(m \mid u, z)`, and the weights have the term
    :math:`\log p(u \mid z)` of a Gaussian (eq. 13 to 16). Features that are part of u, and their
    masks, are generated from z alone; the decoders of the others see 0 for what is missing of them.
    The score is then that of u as well, in standard units, and cannot be compared between priors.

    The encoder does not see the mask, and its proposal has a diagonal covariance. So samples for
    imputation are drawn in rounds: the first by the encoder, each later one by a Gaussian that is
    fitted to the weighted samples before it, and all are weighted as samples of the mixture of
    these proposals (adaptive multiple importance sampling [2]_). They estimate what eq. 20 does,
    where z has up to 20 dimensions or so with about as small an error from 160 samples as
    otherwise from 1000.

    They come from one quasi-random set of normal numbers that all rows share: `transform` is
    deterministic, and a row's imputation depends neither on the other rows nor on their order
    (on a GPU, and with more than one thread, up to rounding).

    No data can tell by themselves whether values are missing at random. The paper scales
    the complete data before it removes values, which tells the model the true means; a
    user's means come from what is observed.

    References
    ----------
    .. [1] J. Chen, Y. Xu, P. Wang, Y. Yang, "Deep Generative Imputation Model for Missing
       Not At Random Data", CIKM 2023.
    .. [2] J.-M. Cornuet, J.-M. Marin, A. Mira, C. P. Robert, "Adaptive Multiple Importance
       Sampling", Scandinavian Journal of Statistics 39(4), 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn import GNRImputer
    >>> rng = np.random.RandomState(0)
    >>> X = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], size=500)
    >>> X[X[:, 0] > 0, 0] = np.nan
    >>> imputer = GNRImputer(max_iter=200, n_imputation_samples=100, random_state=0)
    >>> X_imputed = imputer.fit_transform(X)
    >>> X_imputed.shape, int(np.isnan(X_imputed).sum())
    ((500, 2), 0)
    """

    alpha: float | Literal["auto"] = 1.0
    prior: Any = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **VAEImputer._parameter_constraints,
        "alpha": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "prior": [
            StrOptions({"low_sparsity"}),
            HasMethods(["fit", "transform", "get_params"]),
            None,
        ],
    }

    _parameter_docs: ClassVar[str] = """
        alpha : float or "auto", default=1.0
            Weight of the mask term in the objective and in the importance weights (eq.
            18). At 1 the objective bounds a likelihood; at 0 the mask is ignored, which
            suits data missing at random, and the mask decoder is not trained; large values
            make the model explain the mask first. "auto" chooses among the paper's 0.01, 1
            and 100 by the fraction of values missing: up to 0.125, up to 0.225, and above.
            The paper only says that the best alpha grows with it; the limits are ours.
        prior : None, "low_sparsity" or imputer, default=None
            What the auxiliary variable u of eq. 9 to 14 is built from, beside `side_info`:
            nothing; the half of the features, rounded down, with the fewest missing values; or
            the row as an imputer completes it. The imputer is cloned and fitted to X, and must
            complete a row in the same way each time and whatever the other rows. Where a value is
            observed the completed row holds it, so that little can be learned of how far to trust
            the imputer where it is not: what is imputed stays close to what the prior does.
        """

    _attribute_docs: ClassVar[str] = """
        prior_ : estimator or None
            The fitted imputer of `prior`.
        """

    @property
    def _module_class(self) -> type[GNR]:
        return GNR

    def _module_params(self, values: FloatArray) -> dict[str, Any]:
        if self.prior != "low_sparsity":
            return {}
        n_missing = np.isnan(values).sum(axis=0)
        most_observed = np.argsort(n_missing, kind="stable")[: values.shape[1] // 2]
        return {"auxiliary_features": tuple(sorted(most_observed.tolist()))}

    @property
    def _prior_imputer(self) -> Any | None:
        return None if isinstance(self.prior, str) else self.prior

    def _fit(self, values: FloatArray, side_info: ArrayLike | None = None) -> None:
        super()._fit(values, side_info)
        self.prior_ = self._auxiliary.imputer

    def _mask_weight(self, observed_fraction: float) -> float:
        if self.alpha != "auto":
            return float(self.alpha)
        # Section 5.2.2 gives the three values and says that the best one grows with the
        # fraction missing, nominally 0.05, 0.2 and 0.25 in its three settings: the limits
        # lie half-way. In its data the settings overlap, and no limits tell them all apart.
        missing_fraction = 1.0 - observed_fraction
        if missing_fraction <= 0.125:
            return 0.01
        return 1.0 if missing_fraction <= 0.225 else 100.0
