"""Imputation by adversarial training: GAIN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike

from gnr_sklearn._deep import DeepImputer, masked_rows
from gnr_sklearn._sklearn import Interval, fit_context
from gnr_sklearn._types import FloatArray
from gnr_sklearn._validation import layer_widths
from gnr_sklearn.nn.adversarial import AdversarialNet, generate
from gnr_sklearn.nn.rows import MaskedRows
from gnr_sklearn.nn.training import StepwiseNet

__all__ = ["GAINImputer"]

# Rows that are imputed at a time: see ``map_chunks``.
CHUNK_SIZE = {"cpu": 128, "cuda": 2**14}


@dataclass(kw_only=True, eq=False, repr=False)
class GAINImputer(DeepImputer):
    r"""Imputation by generative adversarial nets, for data missing completely at random.

    A generator fills in missing values, a discriminator tries to tell which values were filled
    in, and each learns from the other [1]_. Besides, the generator reproduces the observed values.

    Imputed values lie between the least and the largest observed value of their feature: what
    is outside, as where all large values are missing, cannot be imputed. Nor is it modelled why
    values are missing.

    Parameters
    ----------
    {parameter_docs}

    Attributes
    ----------
    {attribute_docs}

    See Also
    --------
    MIWAEImputer : By a variational autoencoder, for data missing at random.
    GNRImputer : For data missing not at random.

    Notes
    -----
    Features are scaled to 0 to 1 by their observed values. With the mask m, noise
    :math:`\epsilon_j \sim U(0, 0.01)` in place of what is missing, and a hint h,

    .. math::

        g = G(m \odot x + (1 - m) \odot \epsilon, \, m), \qquad
        \hat x = m \odot x + (1 - m) \odot g, \qquad
        p = D(\hat x, \, h), \qquad
        h_j = m_j b_j, \; b_j \sim \mathrm{Bernoulli}(r) ,

    in which p are probabilities that values were observed. Each step descends, on one batch,
    first

    .. math::

        L_D = -\operatorname{mean} \left[ m \log p + (1 - m) \log (1 - p) \right]

    in the discriminator's parameters and then

    .. math::

        L_G = -\operatorname{mean} \left[ (1 - m) \log p \right]
        + \alpha \frac{\operatorname{mean} \left[ m (x - g)^2 \right]}{\operatorname{mean}[m]}

    in the generator's. Both networks lead from 2 d inputs to d outputs through hidden layers with
    ReLU, and end in a sigmoid. All this follows the authors' program, in which cells that the
    discriminator is told nothing of have h = 0 rather than the paper's 1/2. Unlike there, no
    columns are rounded, new rows are imputed by the fitted generator, and noise stands at its
    mean when imputing, so that a row's imputation is a function of the row alone. The step size
    falls; theirs is ``learning_rate=1e-3, learning_rate_schedule="constant"``.

    ``history_`` holds the generator's loss as ``train_loss`` and ``discriminator_loss``, in nats.
    Neither tells how good imputations are: what the generator loses the discriminator wins. So
    there is no early stopping and no `score`, and to choose parameters,
    :func:`~gnr_sklearn.metrics.make_masked_cell_scorer` removes further values. Nor are there
    draws for multiple imputation: of one row the generator says one thing.

    ``net_.module_`` is the generator and ``net_.discriminator_`` the discriminator. One optimizer
    moves both, so that `learning_rate`, `net_params` and a scheduler among the callbacks hold
    for both; callbacks see the gradients of one network at a time, twice in each step.

    References
    ----------
    .. [1] J. Yoon, J. Jordon, M. van der Schaar, "GAIN: Missing Data Imputation using Generative
       Adversarial Nets", ICML 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn import GAINImputer
    >>> rng = np.random.RandomState(0)
    >>> X = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], size=500)
    >>> X[rng.uniform(size=X.shape) < 0.2] = np.nan
    >>> imputer = GAINImputer(max_iter=300, random_state=0)
    >>> X_imputed = imputer.fit_transform(X)
    >>> X_imputed.shape, int(np.isnan(X_imputed).sum())
    ((500, 2), 0)
    """

    hidden_dims: int | Sequence[int] | None = None
    alpha: float = 100.0
    hint_rate: float = 0.9
    max_iter: int = 10_000

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **DeepImputer._parameter_constraints,
        "hidden_dims": ["array-like", Interval(Integral, 1, None, closed="left"), None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "hint_rate": [Interval(Real, 0, 1, closed="both")],
    }

    _parameter_docs: ClassVar[str] = """
        hidden_dims : int, sequence of int or None, default=None
            Widths of the hidden layers of both networks; None for two layers as wide as
            there are features.
        alpha : float, default=100.0
            Weight of the squared error of the observed values in the generator's loss. At 0 the
            generator learns from the discriminator alone.
        hint_rate : float, default=0.9
            Probability that the discriminator is told of an observed value that it is one, from 0
            to 1.
        max_iter : int, default=10000
            Optimisation steps, each of both networks. What a fit costs does not depend on the
            number of rows.
        """

    _net_class = AdversarialNet

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: ArrayLike, y: None = None) -> Self:
        """Learn from a part of the rows, after those of the calls before.

        For tables that do not fit into memory, or that grow. Each call takes one pass over its
        rows, in steps of `batch_size`; where there are fewer of them than `max_iter` asks for, go
        over the table again. With ``learning_rate_schedule="cosine"`` the learning rate has decayed
        after `max_iter` steps of all calls to a hundredth of `learning_rate`, at which it stays.
        Callbacks of scikit-learn are told nothing; those of skorch see each call as a training.

        The ranges of the features, within which values are imputed, and which features are dropped
        because they are empty, are those of the first call: its rows have to be like all others.
        Later changes of parameters of the net have no effect. After `fit` training goes on from
        what was fitted.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows with missing values.
        y : None
            Ignored, present for scikit-learn's interface.

        Returns
        -------
        self : object
            The imputer, fitted so far.

        Raises
        ------
        ValueError
            As in `fit`, if a feature has its first observed values after the first call, or with a
            `checkpoint`. The imputer is then as it was before the call.
        """
        return self._learn_part(X, self._fit_part)

    def _fit(self, values: FloatArray) -> None:
        self._train(self._new_net(values), self._rows(values))

    def _fit_part(self, values: FloatArray) -> None:
        net = self._net_to_go_on() or self._new_net(values)
        self._train_part(net, self._rows(values))

    def _new_net(self, values: FloatArray) -> StepwiseNet:
        """Decide all that goes before training, and make the nets."""
        n_features = values.shape[1]
        self._fit_limits(values)
        hidden_dims = 2 * [n_features] if self.hidden_dims is None else self.hidden_dims
        self._least, self._largest = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        generator_seed, discriminator_seed, noise_seed, order_seed = self._draw_seeds(4)
        shape = {"n_features": n_features, "hidden_dims": layer_widths(hidden_dims)}
        params = {
            **{f"module__{name}": value for name, value in shape.items()},
            **{f"discriminator__{name}": value for name, value in shape.items()},
            "module__seed": generator_seed,
            "discriminator__seed": discriminator_seed,
            "criterion__alpha": self.alpha,
            "hint_rate": self.hint_rate,
            "seed": noise_seed,
        }
        return self._make_net(params, order_seed, [])

    def _impute(self, values: FloatArray) -> FloatArray:
        imputed = np.empty_like(values)
        chunk_size = CHUNK_SIZE[torch.device(self._device).type]
        for chunk, generated in generate(self._module, self._rows(values), chunk_size):
            imputed[chunk] = generated.cpu().numpy()
        imputed *= self._largest - self._least
        imputed += self._least
        # Rounding may lead beyond the largest value.
        return self._clip(np.clip(imputed, self._least, self._largest, out=imputed))

    def _rows(self, values: FloatArray) -> MaskedRows:
        """Return the rows that the networks see."""
        span = self._largest - self._least
        scaled = (values - self._least) / np.where(span > 0, span, 1.0)
        return masked_rows(scaled, ~np.isnan(values))
