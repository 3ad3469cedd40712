"""The estimator that deep generative imputers share."""

from __future__ import annotations

import numbers
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.quasirandom import SobolEngine

from gnr_sklearn._base import BoundedImputer, FloatArray, Interval, StrOptions
from gnr_sklearn._validation import draw_seed
from gnr_sklearn.nn.adaptive import WeightedSamples, iterate_samples
from gnr_sklearn.nn.bounds import (
    importance_weighted_bound,
    normalized_weights,
    quasi_normal,
    resample,
)
from gnr_sklearn.nn.training import (
    HoldOut,
    ImputationNet,
    MaskedRows,
    ProgressBar,
    RandomBatches,
    SequentialBatches,
)

__all__ = ["VAEImputer"]

STEPS_PER_EPOCH = 100

# The bound of held-out rows is computed once an epoch: this many rows tell it well
# enough, and their number must not make a fit on many rows slower.
MAX_HELD_OUT = 1000

# The bound of a row or two says too little to stop by.
MIN_ROWS_TO_HOLD_OUT = 20

# In the units that the net sees. Squared, summed and divided by the smallest noise, such values
# still fit into float32.
LARGEST_VALUE = 1e6

# Samples for imputation come in this many rounds, of which all but the first adapt to the row:
# more, smaller ones adapt further, but from too few samples, or in too many dimensions, nothing can
# be learned.
ROUNDS = 5
LEAST_ROUND = 16
MOST_DIMENSIONS = 50

# Rows are imputed in chunks whose largest layer has so many outputs, two megabytes on a CPU and 256
# on a GPU. On a CPU the last chunk is filled up, so that none is large, and its rows are a multiple
# of the numbers that are computed with at once: so all rows are treated alike to the last bit.
ELEMENTS = {"cpu": 2**19, "cuda": 2**26}
MOST_ROWS = {"cpu": 128, "cuda": 2**16}
ROWS_ALIKE = 16


@dataclass(kw_only=True, eq=False, repr=False)
class VAEImputer(BoundedImputer):
    """A deep generative model of data and mask, trained by importance weighting.

    A subclass says which torch module to train and how much the mask counts.
    """

    latent_dim: int | None = None
    hidden_dims: int | Sequence[int] = (128, 128)
    decoder: Literal["mlp", "linear"] = "mlp"
    observation_scale: Literal["shared", "feature", "heteroscedastic"] = "shared"
    n_importance_samples: int = 20
    n_imputation_samples: int = 160
    max_iter: int = 1000
    batch_size: int = 128
    learning_rate: float = 3e-3
    learning_rate_schedule: Literal["cosine", "constant"] = "cosine"
    early_stopping: bool = True
    validation_fraction: float = 0.1
    n_iter_no_change: int = 500
    tol: float = 1e-3
    scaling: Literal["observed"] | None = "observed"
    device: str = "cpu"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    callbacks: list[Any] | None = None
    net_params: dict[str, Any] | None = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BoundedImputer._parameter_constraints,
        "latent_dim": [Interval(Integral, 1, None, closed="left"), None],
        "hidden_dims": ["array-like", Interval(Integral, 1, None, closed="left")],
        "decoder": [StrOptions({"mlp", "linear"})],
        "observation_scale": [StrOptions({"shared", "feature", "heteroscedastic"})],
        "n_importance_samples": [Interval(Integral, 1, None, closed="left")],
        "n_imputation_samples": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "learning_rate_schedule": [StrOptions({"cosine", "constant"})],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "scaling": [StrOptions({"observed"}), None],
        "device": [StrOptions({"cpu", "cuda", "auto"})],
        "precision": [StrOptions({"auto", "float32", "bfloat16"})],
        "callbacks": [list, None],
        "net_params": [dict, None],
    }

    _parameter_docs: ClassVar[str] = """
        latent_dim : int or None, default=None
            Size of the latent variable z; None for the number of features less one, and
            at least 1.
        hidden_dims : int or sequence of int, default=(128, 128)
            Widths of the hidden layers of the encoder and of each decoder.
        decoder : {"mlp", "linear"}, default="mlp"
            Whether the decoders have hidden layers or are affine in z. With a linear
            decoder the data model is factor analysis.
        observation_scale : {"shared", "feature", "heteroscedastic"}, default="shared"
            Standard deviation of x given z: one number, one for each feature, or a
            network's function of z.
        n_importance_samples : int, default=20
            Samples of z for each row in training, K in eq. 15.
        n_imputation_samples : int, default=160
            Samples of z for each row in imputation and scoring, L in eq. 20. For
            imputation they are drawn in up to five rounds that adapt to the row, where z has
            no more than 50 dimensions.
        max_iter : int, default=1000
            Optimisation steps at most. What a fit costs does not depend on the number of
            rows.
        batch_size : int, default=128
            Rows in one optimisation step.
        learning_rate : float, default=3e-3
            Step size of Adam, at first.
        learning_rate_schedule : {"cosine", "constant"}, default="cosine"
            Whether the step size falls to 0 at `max_iter`, along half a period of a cosine,
            or stays what it is. Falling, it gets as far in half the steps. An LRScheduler among
            the callbacks takes its place.
        early_stopping : bool, default=True
            Whether to hold rows out, to stop when their bound no longer rises, and to
            keep the parameters that had the highest, up to `tol`. With fewer than 20 rows
            none are held out.
        validation_fraction : float, default=0.1
            Fraction of the rows to hold out, at most 1000 rows.
        n_iter_no_change : int, default=500
            Stop after this many steps without improvement, rounded up to hundreds.
        tol : float, default=1e-3
            Least improvement of the held-out bound that counts, in nats for one row.
        scaling : {"observed"} or None, default="observed"
            Whether to centre and scale each feature by the mean and standard deviation
            of its observed values, or to take the data as they are. The starting point
            of the encoder is 0 in place of what is missing, so that None suits data
            where 0 is a sensible value.
        device : {"cpu", "cuda", "auto"}, default="cpu"
            Where to train; "auto" takes a GPU where there is one.
        precision : {"auto", "float32", "bfloat16"}, default="auto"
            Numbers that the decoders compute with in training; parameters, the encoder,
            log-densities and all of imputation are in float32. "auto" takes bfloat16 where
            the device has matrix units for it: a GPU, or a processor with AMX.
        callbacks : list of skorch callbacks or None, default=None
            Called during training; an epoch is 100 optimisation steps.
        net_params : dict or None, default=None
            Further parameters of the skorch net, such as
            ``{"optimizer": torch.optim.AdamW, "optimizer__weight_decay": 0.01}``. What the
            imputer's own parameters decide cannot be set here.
        """

    _attribute_docs: ClassVar[str] = """
        net_ : skorch.NeuralNet
            The trained net; ``net_.module_`` is the torch module.
        latent_dim_ : int
            Size of the latent variable.
        alpha_ : float
            Weight of the mask term.
        n_iter_ : int
            Optimisation steps taken.
        history_ : skorch.history.History
            Losses of each epoch and step.
        lower_bound_ : float
            The objective of training, the mean over rows of eq. 15: that of the held-out
            rows at the parameters kept with early stopping, else the average over the last
            epoch. It holds the trained alpha and scaled data; to compare imputers, use
            `score`.
        """

    @property
    @abstractmethod
    def _module_class(self) -> type[nn.Module]:
        """Class of the torch module."""

    @abstractmethod
    def _mask_weight(self, observed_fraction: float) -> float:
        """Choose the weight of the mask term, alpha in eq. 18."""

    def score_samples(self, X: ArrayLike) -> FloatArray:
        r"""Lower bound of the log-likelihood of each row and its mask.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with missing values.

        Returns
        -------
        bound : ndarray of shape (n_samples,)
            :math:`\log \frac 1L \sum_l \omega_l \le \log p(x^{obs}, m)` in expectation
            (eq. 15 to 17), in nats, as a density in the units of X.

        Notes
        -----
        All samples are drawn by the encoder: those that adapt to the row would make the bound one
        in the limit only.

        The mask term counts fully (alpha = 1), whatever alpha the imputer was trained
        with. With another alpha the sum is no bound of a likelihood, and since log p(m | z)
        is never positive the smallest alpha would look best. Training at alpha = 1 maximises
        this very bound: it compares models, such as latent sizes and decoders, but among
        alphas it tends to choose 1, whichever imputes best. At alpha = 0 the mask decoder is
        not trained, and the bound is that of a random one.
        """
        values = self._values_of(X)
        bound = np.empty(len(values))
        one_round = self._shared_noise(self.n_imputation_samples)
        for chunk, samples in self._iterate_samples(values, one_round, alpha=1.0):
            # Rounded for the same reason as in ``expectation``.
            bound[chunk] = importance_weighted_bound(samples.log_w.double()).float().cpu().numpy()
        # From the density of scaled values to that of the user's.
        return bound - (~np.isnan(values) * np.log(self._scale)).sum(axis=1)

    def score(self, X: ArrayLike, y: None = None) -> float:
        """Mean over rows of the lower bound of log p(x_obs, m), at alpha = 1.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with missing values.
        y : None
            Ignored, present for scikit-learn's interface.

        Returns
        -------
        bound : float
            See :meth:`score_samples`; higher is better.
        """
        return float(self.score_samples(X).mean())

    def predict_mask_proba(self, X: ArrayLike) -> FloatArray:
        """Probability that each value is observed, given the row and its mask.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with missing values.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_features)
            E[P(m = 1 | z) | x_obs, m], by the weights of eq. 20. It is 0 for features
            that had no observed value in `fit`.
        """
        values = self._values_of(X)
        proba = np.zeros((len(values), self.n_features_in_))
        modelled = np.flatnonzero(~self._is_empty_feature)
        for chunk, samples in self._iterate_samples(values, self._shared_noise()):
            proba[chunk, modelled] = expectation(
                samples.log_w, samples.mask_logits.double().sigmoid()
            )
        # The weights of a row sum to 1 only up to rounding.
        return np.clip(proba, 0.0, 1.0)

    def effective_sample_size(self, X: ArrayLike) -> FloatArray:
        r"""Count the equally weighted samples that those of each row are worth.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with missing values.

        Returns
        -------
        size : ndarray of shape (n_samples,)
            :math:`1 / \sum_l w_l^2` with the weights that `transform` uses, from 1 to
            `n_imputation_samples`. Where it is below ten or so, more samples give another
            imputation.
        """
        values = self._values_of(X)
        size = np.empty(len(values))
        for chunk, samples in self._iterate_samples(values, self._shared_noise()):
            weights = normalized_weights(samples.log_w.double())
            size[chunk] = (1.0 / weights.square().sum(0)).float().cpu().numpy()
        return size

    def encode(self, X: ArrayLike) -> FloatArray:
        """Mean of the variational posterior q(z | x_obs).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with missing values.

        Returns
        -------
        z : ndarray of shape (n_samples, latent_dim_)
        """
        values = self._values_of(X)
        with torch.inference_mode():
            mean, _ = self._module.encoder(self._rows(values).x.to(self._device))
        return mean.cpu().numpy().astype(np.float64)

    def sample(
        self,
        X: ArrayLike,
        n_draws: int = 5,
        random_state: int | np.random.RandomState | None = None,
    ) -> FloatArray:
        """Draw multiple imputations by sampling importance resampling.

        For each row and draw, one of `n_imputation_samples` samples of z is chosen in
        proportion to its weight in eq. 20, and the missing values are drawn from p(x | z).
        At alpha = 1 these are draws from the fitted model; with a large alpha the weights may
        gather on few samples (see :meth:`effective_sample_size`), and then draws differ by
        little more than the noise of p(x | z).
        The parameters of the model are held fixed, so that the uncertainty about them is not
        in the draws.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with missing values.
        n_draws : int, default=5
            Number of completed data sets.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws. None gives other draws each time.

        Returns
        -------
        draws : ndarray of shape (n_draws, n_samples, n_features_out)
            Completed data sets, each with the columns that `transform` returns.
        """
        check_is_fitted(self)
        if not isinstance(n_draws, numbers.Integral) or n_draws < 1:
            raise ValueError(f"n_draws must be an int of at least 1, got {n_draws!r}.")
        table, observed = self._validate_data(X, reset=False)
        values = self._modelled_values(table, observed)
        completed = np.repeat(values[np.newaxis], n_draws, axis=0)
        has_missing = np.flatnonzero(np.isnan(values).any(axis=1))
        generator = torch.Generator(self._device).manual_seed(draw_seed(random_state))

        def independent_noise(n_rows: int) -> Sequence[Tensor]:
            shape = (self.n_imputation_samples, n_rows, self.latent_dim_)
            noise = torch.randn(
                shape, generator=generator, dtype=torch.float32, device=self._device
            )
            return noise.split(self._round_size)

        for chunk, samples in self._iterate_samples(values[has_missing], independent_noise):
            weights = normalized_weights(samples.log_w)
            chosen = resample(weights, n_draws, generator).unsqueeze(-1)
            mean = samples.x_mean.take_along_dim(chosen, dim=0)
            scale = samples.x_scale.take_along_dim(chosen, dim=0)
            noise = torch.randn(
                mean.shape, generator=generator, dtype=mean.dtype, device=mean.device
            )
            draws = (mean + scale * noise).cpu().numpy()
            completed[:, has_missing[chunk]] = self._to_data_units(draws)
        return np.stack([self._assemble(table, observed, draw) for draw in completed])

    def _fit(self, values: FloatArray) -> None:
        n_rows, n_features = values.shape
        self._fit_limits()
        hidden_dims = self._check_hidden_dims()
        self._center, self._scale = self._location_and_scale(values)
        device = self._choose_device()
        # One stream of random numbers for each purpose, and one kept for imputation.
        seeds = np.random.SeedSequence(draw_seed(self.random_state)).generate_state(5)
        module_seed, noise_seed, order_seed, split_seed, self._noise_seed = map(int, seeds)
        self.latent_dim_ = self.latent_dim or max(n_features - 1, 1)
        if self.latent_dim_ > SobolEngine.MAXDIM:
            raise ValueError(
                f"latent_dim must be at most {SobolEngine.MAXDIM}, got {self.latent_dim_} for "
                f"{n_features} features."
            )
        self.alpha_ = self._mask_weight(float(np.mean(~np.isnan(values))))

        n_held_out = min(round(self.validation_fraction * n_rows), n_rows - 1, MAX_HELD_OUT)
        early_stopping = self.early_stopping and n_rows >= MIN_ROWS_TO_HOLD_OUT and n_held_out >= 1
        params = {
            "module": self._module_class,
            "module__n_features": n_features,
            "module__latent_dim": self.latent_dim_,
            "module__hidden_dims": hidden_dims,
            "module__decoder": self.decoder,
            "module__observation_scale": self.observation_scale,
            "module__seed": module_seed,
            "criterion__alpha": self.alpha_,
            "n_importance_samples": self.n_importance_samples,
            "seed": noise_seed,
            "optimizer": torch.optim.Adam,
            "lr": self.learning_rate,
            "max_epochs": -(-self.max_iter // STEPS_PER_EPOCH),
            "batch_size": self.batch_size,
            "iterator_train": RandomBatches,
            "iterator_train__n_steps": self.max_iter,
            "iterator_train__steps_per_epoch": STEPS_PER_EPOCH,
            "iterator_train__seed": order_seed,
            "iterator_valid": SequentialBatches,
            "iterator_valid__batch_size": MAX_HELD_OUT,
            "train_split": HoldOut(n_held_out, split_seed) if early_stopping else None,
            "callbacks": self._make_callbacks(early_stopping),
            "device": device,
            "precision": self._choose_precision(device),
            # One is for the progress bar; more prints skorch's table of losses as well.
            "verbose": max(0, self.verbose - 1),
        }
        net = self._make_net(params)
        # Not fit, which would initialise once more.
        net.partial_fit(self._rows(values))
        self.net_ = net
        self.n_iter_ = net.n_steps
        self.history_ = net.history
        losses = [
            epoch.get("valid_loss" if early_stopping else "train_loss") for epoch in net.history
        ]
        kept = dict(net.callbacks_)["early_stopping"].best_epoch_ if early_stopping else len(losses)
        # A callback may have ended training before anything was recorded.
        self.lower_bound_ = -losses[kept - 1] if losses[kept - 1] is not None else np.nan

    def _values_of(self, X: ArrayLike) -> FloatArray:
        check_is_fitted(self)
        return self._modelled_values(*self._validate_data(X, reset=False))

    def _impute(self, values: FloatArray) -> FloatArray:
        imputed = np.empty_like(values)
        for chunk, samples in self._iterate_samples(values, self._shared_noise()):
            imputed[chunk] = self._to_data_units(expectation(samples.log_w, samples.x_mean))
        return imputed

    def _make_net(self, params: dict[str, Any]) -> ImputationNet:
        net_params = self.net_params or {}
        optimizer = net_params.get("optimizer", torch.optim.Adam)
        others = {"optimizer__foreach", "optimizer__differentiable"} & set(net_params)
        if optimizer in (torch.optim.Adam, torch.optim.AdamW) and not others:
            params["optimizer__fused"] = True
        owned = {name.partition("__")[0] for name in params} - {"optimizer"}
        for name in net_params:
            if name.partition("__")[0] in owned and not name.startswith("callbacks__"):
                raise ValueError(
                    f"net_params must not hold {name!r}, which {type(self).__name__} sets itself."
                )
        try:
            return ImputationNet(**params | net_params).initialize()
        except (TypeError, ValueError) as error:
            if not any(name.rpartition("__")[2] in str(error) for name in net_params):
                raise
            raise ValueError(
                f"net_params must hold parameters of a skorch net, got {net_params!r} ({error})."
            ) from error

    def _make_callbacks(self, early_stopping: bool) -> list[Any]:
        callbacks = list(self.callbacks or [])
        for item in callbacks:
            callback = _callback_of(item)
            if not isinstance(callback, Callback) and not (
                isinstance(callback, type) and issubclass(callback, Callback)
            ):
                raise ValueError(
                    "callbacks must be a list of skorch callbacks or of (name, callback) pairs, "
                    f"got {item!r} in it."
                )
        has_schedule = any(isinstance(item, LRScheduler) for item in map(_callback_of, callbacks))
        if self.learning_rate_schedule == "cosine" and not has_schedule:
            schedule = LRScheduler(CosineAnnealingLR, T_max=self.max_iter, step_every="batch")
            callbacks.append(("learning_rate_schedule", schedule))
        if early_stopping:
            stopping = EarlyStopping(
                patience=-(-self.n_iter_no_change // STEPS_PER_EPOCH),
                threshold=self.tol,
                threshold_mode="abs",
                load_best=True,
            )
            callbacks.append(("early_stopping", stopping))
        if self.verbose:
            callbacks.append(("progress_bar", ProgressBar(self.max_iter, type(self).__name__)))
        return callbacks

    def _check_hidden_dims(self) -> tuple[int, ...]:
        widths = np.atleast_1d(np.asarray(self.hidden_dims))
        if widths.ndim != 1 or widths.dtype.kind not in "iu" or (widths < 1).any():
            raise ValueError(
                "hidden_dims must be an int or a non-empty sequence of ints, each at least 1, "
                f"got {self.hidden_dims!r}."
            )
        return tuple(int(width) for width in widths)

    def _choose_device(self) -> str:
        if self.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device must be 'cpu' or 'auto' where torch finds no GPU, got 'cuda'.")
        return self.device

    def _choose_precision(self, device: str) -> torch.dtype:
        if self.precision != "auto":
            return getattr(torch, self.precision)
        if device == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float32
        # Older releases of torch cannot tell.
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        return torch.bfloat16 if capabilities.get("amx_bf16") else torch.float32

    def _location_and_scale(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        if self.scaling is None:
            if np.nanmax(np.abs(values)) > LARGEST_VALUE:
                raise ValueError(
                    "scaling must be 'observed' for data as large as these: without it, values "
                    f"must lie within {LARGEST_VALUE:g} of 0, got {np.nanmax(np.abs(values)):g}."
                )
            return np.zeros(values.shape[1]), np.ones(values.shape[1])
        # It passes over NaN, and takes 1 for the scale of a constant feature.
        scaler = StandardScaler().fit(values)
        return scaler.mean_, scaler.scale_

    def _rows(self, values: FloatArray) -> MaskedRows:
        scaled = values - self._center
        scaled /= self._scale
        np.clip(scaled, -LARGEST_VALUE, LARGEST_VALUE, out=scaled)
        x = np.nan_to_num(scaled, copy=False).astype(np.float32)
        mask = (~np.isnan(values)).astype(np.float32)
        return MaskedRows(torch.from_numpy(x), torch.from_numpy(mask))

    def _to_data_units(self, scaled: FloatArray) -> FloatArray:
        return self._clip(scaled.astype(np.float64) * self._scale + self._center)

    @property
    def _round_size(self) -> int:
        if self.latent_dim_ > MOST_DIMENSIONS:
            return self.n_imputation_samples
        return max(LEAST_ROUND, -(-self.n_imputation_samples // ROUNDS))

    def _shared_noise(self, round_size: int | None = None) -> Callable[[int], Sequence[Tensor]]:
        # The same for all rows, so that what is imputed in one row depends neither on
        # its neighbours nor on their order.
        noise = quasi_normal(self.n_imputation_samples, self.latent_dim_, self._noise_seed)
        noise = noise.to(dtype=torch.float32, device=self._device).unsqueeze(1)
        rounds = noise.split(round_size or self._round_size)
        return lambda n_rows: rounds

    def _iterate_samples(
        self,
        values: FloatArray,
        draw_rounds: Callable[[int], Sequence[Tensor]],
        alpha: float | None = None,
    ) -> Iterator[tuple[slice, WeightedSamples]]:
        widest = max(len(parameter) for parameter in self._module.parameters())
        kind = torch.device(self._device).type
        # Layers compute one round at a time; what they give is kept of all samples.
        kept = self.n_imputation_samples * values.shape[1]
        n_rows = min(MOST_ROWS[kind], ELEMENTS[kind] // max(self._round_size * widest, kept))
        return iterate_samples(
            self._module,
            self._rows(values),
            draw_rounds,
            self.alpha_ if alpha is None else alpha,
            chunk_size=max(1, n_rows // ROWS_ALIKE) * ROWS_ALIKE,
        )

    @property
    def _module(self) -> Any:
        # Compiled, it would be compiled anew for the shapes of imputation.
        return getattr(self.net_.module_, "_orig_mod", self.net_.module_)

    @property
    def _device(self) -> str:
        # Asked of the net, which moves when a GPU's imputer is loaded where there is none.
        return str(self.net_.device)


def _callback_of(item: Any) -> Any:
    """Take the callback itself from what may be a pair of name and callback."""
    return item[1] if isinstance(item, tuple) and len(item) == 2 else item


def expectation(log_w: Tensor, quantity: Tensor) -> NDArray[Any]:
    """Average over samples by their self-normalised weights (eq. 20)."""
    # Rounded from double precision for the reason given in ``adaptive_importance_sampling``.
    weights = normalized_weights(log_w.double()).unsqueeze(-1)
    return (weights * quantity).sum(0).to(log_w.dtype).cpu().numpy()
