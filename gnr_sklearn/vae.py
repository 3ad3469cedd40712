"""Imputers by variational autoencoders other than GNR: MIWAE, not-MIWAE and PSMVAE."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, Literal

import numpy as np
from torch import nn

from gnr_sklearn._representation import LIKELIHOOD_OF_COLUMNS
from gnr_sklearn._sklearn import Interval, StrOptions
from gnr_sklearn._types import FloatArray
from gnr_sklearn._vae import VAEImputer
from gnr_sklearn._validation import DIRECTIONS, MissingDirection, feature_directions
from gnr_sklearn.nn.models import MIWAE
from gnr_sklearn.nn.processes import MissingProcess
from gnr_sklearn.nn.selection import PSMVAE, NotMIWAE

__all__ = ["MIWAEImputer", "NotMIWAEImputer", "PSMVAEImputer"]


@dataclass(kw_only=True, eq=False, repr=False)
class MIWAEImputer(VAEImputer):
    r"""Imputation by a deep generative model of the values, for data missing at random.

    The latent variable model

    .. math::

        p(x) = \int p(x \mid z) \, p(z) \, dz

    is trained by maximising the importance-weighted bound of :math:`\log p(x^{obs})`. Why values
    are missing is not modelled, so that what is imputed is biased where that depends on the
    values themselves: :class:`GNRImputer` and :class:`NotMIWAEImputer` are for such data.

    Parameters
    ----------
    {parameter_docs}

    Attributes
    ----------
    {attribute_docs}

    See Also
    --------
    GNRImputer : The same with a process by which values go missing, and regressions beside it.
    NotMIWAEImputer : The same with a mechanism by which values go missing.

    Notes
    -----
    With log-weights

    .. math::

        \log w_k = \log p(x^{obs} \mid z_k) + \log p(z_k) - \log q(z_k \mid x^{obs}),
        \qquad z_k \sim q(z \mid x^{obs})

    training maximises :math:`\log \frac 1K \sum_k w_k` averaged over rows, and a missing value is
    imputed by :math:`\sum_l w_l E[x \mid z_l] / \sum_l w_l` over L samples [1]_. Samples for
    imputation adapt to the row, and weights are truncated, as those of :class:`GNRImputer`.

    The score is a bound of :math:`\log p(x^{obs})` alone: it cannot be compared with that of a
    model of values and mask.

    References
    ----------
    .. [1] P.-A. Mattei, J. Frellsen, "MIWAE: Deep Generative Modelling and Imputation of
       Incomplete Data Sets", ICML 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn import MIWAEImputer
    >>> rng = np.random.RandomState(0)
    >>> X = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], size=500)
    >>> X[rng.uniform(size=X.shape) < 0.2] = np.nan
    >>> imputer = MIWAEImputer(max_iter=200, n_imputation_samples=100, random_state=0)
    >>> X_imputed = imputer.fit_transform(X)
    >>> X_imputed.shape, int(np.isnan(X_imputed).sum())
    ((500, 2), 0)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **VAEImputer._parameter_constraints,
        "likelihood": [StrOptions({"auto", "gaussian", "student_t"}), dict],
    }

    _parameter_docs: ClassVar[str] = f"""
        likelihood : {{"auto", "gaussian", "student_t"}} or dict, default="auto"
{LIKELIHOOD_OF_COLUMNS}
            "gaussian" or "student_t" says so of all numbers at once: Student's t, whose degrees of
            freedom are learned and at least three, is for data with outliers.
        """

    _models_mask: ClassVar[bool] = False

    @property
    def _module_class(self) -> type[nn.Module]:
        return MIWAE

    def _module_params(self, values: FloatArray) -> dict[str, Any]:
        return {"likelihood": "student_t" if self.likelihood == "student_t" else "gaussian"}


@dataclass(kw_only=True, eq=False, repr=False)
class _SelectionImputer(VAEImputer):
    """An imputer with a process p(m | x) by which values go missing."""

    missing_process: Literal["self_masking", "self_masking_known", "linear", "nonlinear"] = (
        "self_masking"
    )
    missing_direction: MissingDirection = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **VAEImputer._parameter_constraints,
        "missing_process": [
            StrOptions({"self_masking", "self_masking_known", "linear", "nonlinear"})
        ],
        "missing_direction": [StrOptions(set(DIRECTIONS)), "array-like", dict, None],
    }

    _parameter_docs: ClassVar[str] = """
        missing_process : {"self_masking", "self_masking_known", "linear", "nonlinear"}, \
default="self_masking"
            How the probability of being observed depends on the values: by a logistic function
            of the value itself, of a slope that is learned or whose sign is known, or by all
            values of the row, through an affine map or a network with one hidden layer, of the
            first width in `hidden_dims`. The more a process can say, the less the data tell
            whether it is right: where a direction is known, say so.
        missing_direction : {"above", "below", "neither"}, None, sequence or dict, default=None
            Whether large or small values go missing, or neither rather than the other, for all
            features, for each one, or by names or places of features, as in
            ``{"income": "above"}``. Used with "self_masking_known" only, where None is "above", as
            it is for features that a dict leaves out. Entries for features without missing values
            are ignored, because nothing is learned of how these would be lost, unless features
            have a process in common (`scaling`).
        """

    _attribute_docs: ClassVar[str] = """
        missing_direction_ : ndarray of shape (`n_features_in_`,), dtype object, or None
            "above", "below", or None for features whose values have nothing to do with their being
            missing. None without ``missing_process="self_masking_known"``.
        """

    _samples_values: ClassVar[bool] = True

    def _module_params(self, values: FloatArray) -> dict[str, Any]:
        return {
            "missing_process": self.missing_process,
            "missing_direction": self._signs(values).tolist(),
            "shared_process": self._shares_scale,
        }

    def _before_training(self, values: FloatArray, seed: int) -> None:
        if self.missing_process != "self_masking_known":
            self._warn_of_unused_direction(f"missing_process={self.missing_process!r}")

    def _after_training(self, values: FloatArray, side: FloatArray, seed: int) -> None:
        self.missing_direction_ = None
        if self.missing_process == "self_masking_known":
            parts = self._module.modules()
            process = next(part for part in parts if isinstance(part, MissingProcess))
            self.missing_direction_ = self._named_directions(process.direction.cpu().numpy())

    def _signs(self, values: FloatArray) -> FloatArray:
        """Check the directions and return those of the modelled columns as 1, -1 and 0."""
        given = feature_directions(self.missing_direction, self._names, unknown=1.0)
        signs = given[~self._is_empty_feature]
        if self.missing_process != "self_masking_known":
            signs[:] = 1.0
        if not self._shares_scale:
            # All that could be learned is that they are observed where they have been observed.
            signs[~np.isnan(values).any(axis=0)] = 0.0
        return signs


@dataclass(kw_only=True, eq=False, repr=False)
class NotMIWAEImputer(_SelectionImputer):
    r"""Imputation by a deep generative model whose values decide whether they are seen.

    A selection model: a latent variable model of the values, and a process by which values go
    missing,

    .. math::

        p(x, m) = p(m \mid x) \int p(x \mid z) \, p(z) \, dz ,

    trained by maximising an importance-weighted bound of :math:`\log p(x^{obs}, m)`.

    With ``decoder="linear"`` the model of the values is probabilistic principal component analysis;
    with ``missing_process="self_masking_known"`` as well this is the variant with the least errors
    in [1]_.

    Parameters
    ----------
    {parameter_docs}

    Attributes
    ----------
    {attribute_docs}

    See Also
    --------
    GNRImputer : Values that decide, integrated out rather than sampled.
    PSMVAEImputer : A mixture of such models.

    Notes
    -----
    With log-weights

    .. math::

        \log w_k = \log p(x^{obs} \mid z_k) + \log p(m \mid x^{obs}, x_k^{mis}) + \log p(z_k)
        - \log q(z_k \mid x^{obs}), \qquad
        z_k \sim q(z \mid x^{obs}), \; x_k^{mis} \sim p(x^{mis} \mid z_k)

    training maximises :math:`\log \frac 1K \sum_k w_k` averaged over rows [1]_. Missing values are
    sampled by reparameterisation, so that the process and the model of the values learn from each
    other. They are imputed by :math:`\sum_l w_l E[x \mid z_l] / \sum_l w_l` over L samples, by the
    means of p(x | z) rather than by the samples, as in the paper. That varies less, but it is not
    :math:`E[x^{mis} \mid x^{obs}, m]`: what the mask says of the noise of x given z is left out, so
    that imputed values lie on the side of those observed. The mean of many draws by `sample`, which
    draws the samples themselves, is that expectation. A missing ordered category, or true and
    false, is seen by the process as the mean of its levels. Numbers for both z and the missing
    values adapt to the row, and weights are truncated, as those of :class:`GNRImputer`.

    References
    ----------
    .. [1] N. B. Ipsen, P.-A. Mattei, J. Frellsen, "not-MIWAE: Deep Generative Modelling with
       Missing not at Random Data", ICLR 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn import NotMIWAEImputer
    >>> rng = np.random.RandomState(0)
    >>> X = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], size=500)
    >>> X[X[:, 0] > 0, 0] = np.nan
    >>> imputer = NotMIWAEImputer(
    ...     decoder="linear",
    ...     missing_process="self_masking_known",
    ...     missing_direction="above",
    ...     max_iter=200,
    ...     random_state=0,
    ... )
    >>> X_imputed = imputer.fit_transform(X)
    >>> bool(X_imputed[np.isnan(X)].mean() > np.nanmean(X[:, 0]))
    True
    """

    @property
    def _module_class(self) -> type[nn.Module]:
        return NotMIWAE


@dataclass(kw_only=True, eq=False, repr=False)
class PSMVAEImputer(_SelectionImputer):
    r"""Imputation by a mixture of models that differ in how values go missing.

    A pattern-set mixture model: a category r of the row decides on the distribution of its
    values and on the process by which they go missing,

    .. math::

        p(x, m) = \sum_r p(r) \, p(m \mid x, r) \int p(x \mid z, r) \, p(z) \, dz .

    Parameters
    ----------
    {parameter_docs}

    Attributes
    ----------
    {attribute_docs}

    See Also
    --------
    NotMIWAEImputer : The same with one component.

    Notes
    -----
    The model is that of [1]_ in the importance-weighted frame of :class:`NotMIWAEImputer`: in place
    of a network that guesses r, components are summed out exactly,

    .. math::

        w_k = \sum_r p(r) \, p(x^{obs} \mid z_k, r) \, p(m \mid x^{obs}, x_{k r}^{mis}, r)
        \frac{p(z_k)}{q(z_k \mid x^{obs})} .

    Each of the samples of z comes with each component, so that time and memory grow with their
    number. What is imputed is an average of means, as there, by weights of each sample in each
    component.

    References
    ----------
    .. [1] S. Ghalebikesabi, R. Cornish, L. J. Kelly, C. Holmes, "Deep Generative Pattern-Set
       Mixture Models for Nonignorable Missingness", AISTATS 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn import PSMVAEImputer
    >>> rng = np.random.RandomState(0)
    >>> X = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], size=500)
    >>> X[X[:, 0] > 0, 0] = np.nan
    >>> imputer = PSMVAEImputer(n_components=2, max_iter=100, random_state=0)
    >>> imputer.fit_transform(X).shape
    (500, 2)
    """

    n_components: int = 3

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **_SelectionImputer._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left")],
    }

    _parameter_docs: ClassVar[str] = """
        n_components : int, default=3
            Number of mixture components.
        """

    @property
    def _module_class(self) -> type[nn.Module]:
        return PSMVAE

    def _module_params(self, values: FloatArray) -> dict[str, Any]:
        return {**super()._module_params(values), "n_components": self.n_components}
