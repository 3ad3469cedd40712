"""The estimator that deep generative imputers share."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, NamedTuple, Self, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import EarlyStopping, GradientNormClipping
from torch import nn
from torch.quasirandom import SobolEngine

from gnr_sklearn._auxiliary import AuxiliaryVariable
from gnr_sklearn._data_parallel import check_same_rows, own_shard
from gnr_sklearn._deep import EARLY_STOPPING, STEPS_PER_EPOCH
from gnr_sklearn._sampling import SamplingImputer
from gnr_sklearn._sklearn import Interval, StrOptions, fit_context
from gnr_sklearn._types import FloatArray
from gnr_sklearn._validation import (
    DIRECTION_NAMES,
    DIRECTIONS,
    check_side_info,
    column_names,
    feature_directions,
    layer_widths,
)
from gnr_sklearn.nn.networks import DecoderName, EncoderName, ObservationScale
from gnr_sklearn.nn.parallel import Shard
from gnr_sklearn.nn.processor import has_bfloat16_units
from gnr_sklearn.nn.rows import HoldOut, MaskedRows, SequentialBatches
from gnr_sklearn.nn.training import ImputationNet, RatingNoise, StepwiseNet

__all__ = ["VAEImputer"]

# The bound of held-out rows is computed once an epoch: this many rows tell it well
# enough, and their number must not make a fit on many rows slower.
MAX_HELD_OUT = 1000

# The bound of a row or two says too little to stop by.
MIN_ROWS_TO_HOLD_OUT = 20

# After a fit so many of its rows are looked at. Samples that are worth fewer than this, or a latent
# variable whose mean varies less between rows, where its prior has variance 1, are warned of.
ROWS_TO_LOOK_AT = 200
MIN_SAMPLE_SIZE = 3.0
MIN_VARIANCE = 0.01

# Dimensions of z by default. In wide tables more of them cost accuracy or gained none (see the
# benchmarks' notes), and 160 samples find their way about in so many.
MAX_LATENT_DIMS = 20

# Adam's first steps are as long as later ones, whatever the gradient. Where an encoder sums over
# cells, and features share weights, they add up to a posterior that all of training does not mend.
WARMUP_STEPS = 50

# Adam's weight decay, twice the factor of the sum of squares, on the curved part of a decoder. With
# fewer rows than these it grows as their inverse cube: what bends there is mostly noise.
CURVE_DECAY = 0.006
ROWS_FOR_CURVES = 1000

# Precision of what biases of features deviate by from what is common to them, in units of the net:
# weights deviate by less, and the user says by how much.
BIAS_PRECISION = 20.0

# Products of a step from which on bfloat16 saves more than it takes to convert to it, on processors
# with AMX and on GPUs, which smaller ones leave idle for the most part. Besides, oneDNN keeps some
# megabytes of code for each shape of a product in bfloat16.
MIN_PRODUCTS = {"cpu": 1e8, "cuda": 1e9}

# Largest norm of a step's gradient, for a weight of the mask of at most 1; those of ordinary steps
# are below. Where the scale of a feature that is nearly constant has become small, one value far
# from the others makes a gradient a thousand times as large, after which Adam takes next to no
# steps for a while.
MAX_GRADIENT_NORM = 100.0

# Standard deviation of the noise on ratings in training, in parts of their range (eq. 21).
RATING_NOISE = 0.1


class Seeds(NamedTuple):
    """Seeds of a fit, one for each stream of random numbers."""

    module: int
    noise: int
    order: int
    split: int
    imputation: int
    prior: int
    direction: int
    regressions: int
    alpha: int


@dataclass(kw_only=True, eq=False, repr=False)
class VAEImputer(SamplingImputer):
    """A deep generative model of data and mask, trained by importance weighting.

    A subclass says which torch module to train, with which parameters, and how much the mask
    counts.
    """

    latent_dim: int | None = None
    hidden_dims: int | Sequence[int] = (128, 128)
    encoder: EncoderName = "zero"
    embedding_dim: int = 20
    code_dim: int = 50
    decoder: DecoderName = "mlp"
    observation_scale: ObservationScale = "shared"
    n_importance_samples: int = 20
    max_iter: int = 1000
    early_stopping: bool = True
    validation_fraction: float = 0.1
    n_iter_no_change: int = 500
    tol: float = 1e-3
    loading_penalty: float = 1000.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    data_parallel: bool = False

    # What may be said of which values go missing, and what that becomes.
    _allowed_directions: ClassVar[Mapping[str, float]] = DIRECTIONS

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **SamplingImputer._parameter_constraints,
        "latent_dim": [Interval(Integral, 1, None, closed="left"), None],
        "hidden_dims": ["array-like", Interval(Integral, 1, None, closed="left")],
        "encoder": [StrOptions(set(get_args(EncoderName)))],
        "embedding_dim": [Interval(Integral, 1, None, closed="left")],
        "code_dim": [Interval(Integral, 1, None, closed="left")],
        "decoder": [StrOptions(set(get_args(DecoderName)))],
        "observation_scale": [StrOptions(set(get_args(ObservationScale)))],
        "n_importance_samples": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "loading_penalty": [Interval(Real, 0, None, closed="left")],
        "precision": [StrOptions({"auto", "float32", "bfloat16"})],
        "data_parallel": ["boolean"],
    }

    _parameter_docs: ClassVar[str] = """
        latent_dim : int or None, default=None
            Size of the latent variable z; None for the number of features less one, at least 1 and
            at most 20: further dimensions are hardly ever identified, and need more samples to
            integrate over.
        hidden_dims : int or sequence of int, default=(128, 128)
            Widths of the hidden layers of the encoder and of each decoder.
        encoder : {"zero", "permutation_invariant"}, default="zero"
            What the encoder sees of a row: its values with 0 for what is missing, or the set of
            its observed cells, to which a missing one adds nothing.
        embedding_dim : int, default=20
            Size of the embedding of a feature in the permutation-invariant encoder.
        code_dim : int, default=50
            Size of the code of a row in that encoder.
        decoder : {"mlp", "linear", "curved"}, default={default}
            Whether the decoders have hidden layers, are affine in z, or affine plus a network with
            one hidden layer, of the first of the widths, whose output has a penalty, a larger one
            with fewer than 1000 rows: affine where there are no data, and curved where data ask for
            it. With a linear decoder the data model is factor analysis.
        observation_scale : {"shared", "feature", "heteroscedastic"}, default={default}
            Scale of x given z, the standard deviation of a Gaussian: one number, one for each
            feature, or a network's function of z.
        n_importance_samples : int, default={default}
            Samples of z for each row in training.
        max_iter : int, default={default}
            Optimisation steps at most. What a fit costs does not depend on the number of
            rows. Gradients are clipped to a norm of 100, times `alpha` if that is above 1, which
            those of ordinary steps do not reach; a GradientNormClipping in `callbacks` replaces
            that, and ``net_params={"callbacks__gradient_norm_clipping": None}`` leaves them as they
            are.
        early_stopping : bool, default={default}
            Whether to hold out rows, stop when their bound no longer improves, and keep the
            parameters with the best bound, up to `tol`. With fewer than 20 rows none are held
            out.
        validation_fraction : float, default=0.1
            Fraction of the rows to hold out, at most 1000 rows.
        n_iter_no_change : int, default=500
            Stop after this many steps without improvement, rounded up to hundreds.
        tol : float, default=1e-3
            Least improvement of the held-out bound that counts, in nats for one row.
        learning_rate_schedule : {"cosine", "constant"}, default="cosine"
            Whether the learning rate decays to 0 at `max_iter`, along half a period of a cosine,
            or stays constant. With decay, about half the steps suffice. With the
            permutation-invariant encoder it warms up over the first 50 steps. An LRScheduler in
            `callbacks` replaces the schedule.
        device : {"cpu", "cuda", "auto"}, default="cpu"
            Where to train and impute; "auto" takes a GPU where there is one. There the kernels of a
            training step are launched at once, as a CUDA graph, which calls no hooks of the module;
            ``net_params={"cuda_graph": False}`` launches them one by one.
        loading_penalty : float, default=1000.0
            Precision of the normal distribution, around what is common to features, of the weights
            that a feature has in the decoders. Where features have nothing in common, because
            `scaling` is "observed" or None and there is no `feature_info`, it has no effect.
        precision : {"auto", "float32", "bfloat16"}, default="auto"
            Floating-point format of the decoders in training. Parameters, the encoder,
            log-densities and all of imputation use float32, whose imputations are within 1e-4
            standard deviations of those in float64, but for few where one sample outweighs all
            others, as with a large `alpha`. "auto" uses bfloat16 where the decoders are large
            enough to benefit, on a processor with AMX or a GPU with matrix units for it.
        data_parallel : bool, default=False
            Whether the processes of torch's default process group, which ``torchrun`` starts and
            ``torch.distributed.init_process_group`` joins, train together: each takes its part of
            every batch, and gradients are averaged. Up to rounding the result is that of one
            process. In all of them `fit` has to be called with the same X, parameters and int as
            `random_state`; on GPUs, each with its own by ``torch.cuda.set_device``.
        """

    _attribute_docs: ClassVar[str] = """
        latent_dim_ : int
            Size of the latent variable.
        alpha_ : float
            Weight of the mask term; 0 without one.
        lower_bound_ : float
            The objective of training, the mean over rows of the bound: that of the held-out
            rows at the parameters kept with early stopping, else the average over the last
            epoch. It holds the trained alpha and scaled data; to compare imputers, use
            `score`.
        """

    _net_class = ImputationNet

    # Not where a fit is a part of another. Without a type, which would make it a parameter.
    _warns = True

    @property
    @abstractmethod
    def _module_class(self) -> type[nn.Module]:
        """Class of the torch module."""

    def _module_params(self, values: FloatArray) -> dict[str, Any]:
        """Parameters of the torch module that not all models have."""
        return {}

    def _before_training(self, values: FloatArray, seed: int) -> None:
        """Decide what the module's parameters rest on; most arguments have been checked."""
        return

    def _after_training(self, values: FloatArray, side: FloatArray, seed: int) -> None:
        """Learn what rests on the trained net; `side` is the side information, checked."""
        return

    def _parameter_groups(self, n_rows: int) -> list[tuple[str, dict[str, float]]]:
        """Patterns of names of what the optimizer treats in another way, and how."""
        curve_decay = CURVE_DECAY * max(1.0, ROWS_FOR_CURVES / n_rows) ** 3
        return [
            ("*.curve.weight", {"weight_decay": curve_decay}),
            ("*.own_weight", {"weight_decay": self.loading_penalty / n_rows}),
            ("*.own_bias", {"weight_decay": BIAS_PRECISION / n_rows}),
        ]

    @property
    def _warmup_steps(self) -> int:
        return WARMUP_STEPS if self.encoder == "permutation_invariant" else 0

    @property
    def _prior_imputer(self) -> Any | None:
        """An imputer whose completed rows belong to the auxiliary variable."""
        return None

    def _mask_weight(self, values: FloatArray, side: FloatArray, seed: int) -> float:
        """Choose the weight of the mask term, alpha in eq. 18."""
        return float(self._models_mask)

    # A prior is checked as well, which its user configured.
    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: None = None, side_info: ArrayLike | None = None) -> Self:
        """Learn from the observed values and from where they are.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with missing values.
        y : None
            Ignored, present for scikit-learn's interface.
        side_info : array-like of shape (n_samples, n_side_features) or None, default=None
            Complete numbers that are known of each row beside X and are not imputed: the
            auxiliary variable u of Chen et al. (2023), a Gaussian given z that the decoders see
            beside z, and the encoder does not. Given here, all other methods need those of their
            rows too, in the same order of columns, and the score is that of u as well, in
            standard units. In a Pipeline it is passed on by metadata routing.

        Returns
        -------
        self : object
            The fitted imputer.

        Raises
        ------
        ValueError
            If X has infinite values, has no observed value, or is not a numeric table, if side_info
            has missing values or another number of rows, or if the training diverges.
        """
        return self._learn(X, lambda values: self._fit(values, side_info))

    @fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X: ArrayLike, y: None = None, side_info: ArrayLike | None = None) -> Self:
        """Learn from a part of the rows, after those of the calls before.

        For tables that do not fit into memory, or that grow. Each call takes one pass over its
        rows, in steps of `batch_size`; where there are fewer of them than `max_iter` asks for, go
        over the table again. With ``learning_rate_schedule="cosine"`` the learning rate has decayed
        after `max_iter` steps of all calls to a hundredth of `learning_rate`, at which it stays. No
        rows are held out, and scikit-learn's callbacks are told nothing; skorch's see each call as
        a training.

        The first call fixes everything that is not trained, so its rows must be representative:
        draw them at random. It fixes the units of the net, the categories, which features are
        dropped as empty, which have missing values and so a mechanism by which they are lost, what
        a prior that is an imputer has learned, the direction of a mechanism that is not known, and
        the alpha that "auto" chooses; later changes of parameters of the net have no effect.
        Regressions (``prior="forest"``) are fitted again in each call, to 10,000 rows at most,
        drawn from those of all calls, which the imputer keeps. After `fit` training goes on from
        what was fitted. Penalties are those of a table with as many rows as the first call.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows with missing values.
        y : None
            Ignored, present for scikit-learn's interface.
        side_info : array-like of shape (n_samples, n_side_features) or None, default=None
            As in `fit`, of these rows; in all calls or in none.

        Returns
        -------
        self : object
            The imputer, fitted so far.

        Raises
        ------
        ValueError
            As in `fit`, if a feature has its first observed values after the first call, or with a
            `checkpoint`. The imputer is then as it was before the call.

        Examples
        --------
        >>> import numpy as np
        >>> from gnr_sklearn import MIWAEImputer
        >>> X = np.random.RandomState(0).normal(size=(1000, 1)) + [[0.0, 1.0]]
        >>> X[::4, 0] = np.nan
        >>> imputer = MIWAEImputer(learning_rate=0.01, random_state=0)
        >>> for part in np.array_split(X, 4):
        ...     imputer = imputer.partial_fit(part)
        >>> imputer.n_iter_, imputer.transform(X).shape
        (8, (1000, 2))
        """
        return self._learn_part(X, lambda values: self._fit_part(values, side_info))

    def fit_transform(
        self, X: ArrayLike, y: None = None, side_info: ArrayLike | None = None
    ) -> FloatArray:
        """Fit to X and fill in its missing values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with missing values.
        y : None
            Ignored, present for scikit-learn's interface.
        side_info : array-like of shape (n_samples, n_side_features) or None, default=None
            As in `fit`.

        Returns
        -------
        X_imputed : ndarray of shape (n_samples, n_features_out)
            See :meth:`transform`.
        """
        return self.fit(X, y, side_info).transform(X, side_info)

    def _fit(self, values: FloatArray, side_info: ArrayLike | None = None) -> None:
        seeds = self._fit_seeds()
        side = check_side_info(side_info, len(values))
        self._side_names = column_names(side_info)
        self._check_shared(values, side)
        n_rows, n_held_out = len(values), 0
        if self.early_stopping and n_rows >= MIN_ROWS_TO_HOLD_OUT:
            n_held_out = max(1, round(self.validation_fraction * n_rows))
            n_held_out = min(n_held_out, n_rows - 1, MAX_HELD_OUT)
        self._find_constants(values)
        net = self._new_net(values, side, seeds, n_held_out)
        self._train(net, self._rows(values, side))
        epochs = self.history_
        if n_held_out:
            # None where `net_params` takes it out; no epochs if a callback ended training early.
            stopping = dict(self.net_.callbacks_).get(EARLY_STOPPING)
            epochs = epochs[: getattr(stopping, "best_epoch_", None)] or epochs
        self.lower_bound_ = _last_bound(epochs, "valid_loss" if n_held_out else "train_loss")
        self._warn_of_divergence(self.history_[0], epochs[-1])
        self._warn_of_degeneracy(values, side)
        self._after_training(values, side, seeds.regressions)

    def _fit_part(self, values: FloatArray, side_info: ArrayLike | None = None) -> None:
        net = self._net_to_go_on()
        if net is None:
            self._find_constants(values)
            side = check_side_info(side_info, len(values))
            self._side_names = column_names(side_info)
        else:
            self._forget_constants(values)
            side = self._auxiliary.check(side_info, len(values))
        self._check_shared(values, side)
        if net is None:
            net = self._new_net(values, side, self._fit_seeds(), n_held_out=0)
        seed = self._train_part(net, self._rows(values, side))
        self.lower_bound_ = _last_bound(self.history_, "train_loss")
        self._after_training(values, side, seed)

    def _fit_seeds(self) -> Seeds:
        return Seeds(*self._draw_seeds(len(Seeds._fields)))

    def _new_net(
        self, values: FloatArray, side: FloatArray, seeds: Seeds, n_held_out: int
    ) -> StepwiseNet:
        """Decide all that goes before training, and make the net."""
        n_rows, n_features = values.shape
        self._fit_limits(values)
        hidden_dims = layer_widths(self.hidden_dims)
        self._noise_seed = seeds.imputation
        self._auxiliary = AuxiliaryVariable(
            side, self._side_names, self._prior_imputer, seeds.prior
        )
        self._fit_units(values)
        self.latent_dim_ = self.latent_dim or min(max(n_features - 1, 1), MAX_LATENT_DIMS)
        largest = SobolEngine.MAXDIM - n_features * self._samples_values
        if self.latent_dim_ > largest:
            raise ValueError(
                f"latent_dim must be at most {largest}, got {self.latent_dim_} for {n_features} "
                "features."
            )
        self._before_training(values, seeds.direction)
        self.alpha_ = self._mask_weight(values, side, seeds.alpha)
        limits = self._units.limits
        module_params = {
            "n_features": n_features,
            "latent_dim": self.latent_dim_,
            "hidden_dims": hidden_dims,
            "encoder": self.encoder,
            "embedding_dim": self.embedding_dim,
            "code_dim": self.code_dim,
            "decoder": self.decoder,
            "observation_scale": self.observation_scale,
            "auxiliary_dim": self._auxiliary.dimension(len(self._discrete.view_owner)),
            "seed": seeds.module,
            "feature_info": self._known_of_features(),
            "mean_limits": limits,
            "discrete": self._discrete_of_net(values),
            **self._module_params(values),
        }
        params = {
            "module": self._module_class,
            **{f"module__{name}": value for name, value in module_params.items()},
            "criterion__alpha": self.alpha_,
            "n_importance_samples": self.n_importance_samples,
            "seed": seeds.noise,
            "iterator_valid": SequentialBatches,
            "iterator_valid__batch_size": MAX_HELD_OUT,
            "train_split": HoldOut(n_held_out, seeds.split) if n_held_out else None,
            "value_noise": RatingNoise(RATING_NOISE, limits[1]) if limits else None,
            "shard": self._shard(),
            "optimizer__param_groups": self._parameter_groups(n_rows),
        }
        net = self._make_net(params, seeds.order, self._own_callbacks(n_held_out > 0))
        net.set_params(precision=self._choose_precision(net, min(self.batch_size, n_rows)))
        self._auxiliary.fit(self._numeric_view(values)[0])
        return net

    def _named_directions(self, signs: FloatArray) -> NDArray[Any]:
        """Return "above", "below" or None for each feature of X, of the signs of the modelled."""
        names = np.full(self.n_features_in_, None, dtype=object)
        names[~self._is_empty_feature] = [DIRECTION_NAMES[sign] if sign else None for sign in signs]
        return names

    def _warn_of_unused_direction(self, setting: str) -> None:
        """Warn where a user says which values go missing, and the model cannot know."""
        direction = getattr(self, "missing_direction", None)
        feature_directions(direction, self._names, 0.0, self._allowed_directions)
        if direction is not None and self._warns:
            warnings.warn(
                f"missing_direction={direction!r} has no effect with {setting}.",
                UserWarning,
                stacklevel=2,
            )

    def _warn_of_divergence(self, first_epoch: dict[str, Any], last_epoch: dict[str, Any]) -> None:
        """Warn where training led away from the data."""
        of_steps = (step["train_loss"] for step in first_epoch["batches"] if "train_loss" in step)
        first, last = next(of_steps, np.inf), last_epoch.get("train_loss", -np.inf)
        if last - first > max(abs(first), 1.0) and self._warns:
            warnings.warn(
                f"The lower bound of the last epoch, {-last:.3g}, is far below that of the first "
                f"step, {-first:.3g}: training has diverged; lower learning_rate, or limit the "
                "gradient with skorch's GradientNormClipping in callbacks.",
                ConvergenceWarning,
                stacklevel=2,
            )

    def _warn_of_degeneracy(self, values: FloatArray, side: FloatArray) -> None:
        """Warn where imputed values rest on few samples, or on nothing that tells rows apart."""
        incomplete = np.flatnonzero(np.isnan(values).any(axis=1))
        looked_at = incomplete[:: max(1, len(incomplete) // ROWS_TO_LOOK_AT)]
        if len(looked_at) < MIN_ROWS_TO_HOLD_OUT or not self._warns:
            return
        sizes = self._sample_sizes(self._rows(values[looked_at], side[looked_at]))
        if np.median(sizes) < MIN_SAMPLE_SIZE < self.n_imputation_samples:
            warnings.warn(
                f"The {self.n_imputation_samples} samples that impute a row are worth "
                f"{np.median(sizes):.1f} in the median row (effective_sample_size), and another "
                "random_state gives other values; raise n_imputation_samples, or lower alpha or "
                "latent_dim.",
                ConvergenceWarning,
                stacklevel=2,
            )
        if self._posterior_means(values[looked_at]).var(axis=0).max() < MIN_VARIANCE:
            warnings.warn(
                "The latent variable is nearly the same for all rows (posterior collapse, see "
                "encode), so that values are imputed without regard to the others of their row: "
                "either columns have nothing to do with one another, or training failed; raise "
                "max_iter or lower learning_rate.",
                ConvergenceWarning,
                stacklevel=2,
            )

    def _shard(self) -> Shard | None:
        """Return the part of each batch that is trained on in this process."""
        return own_shard(self.batch_size, self.random_state) if self.data_parallel else None

    def _check_shared(self, values: FloatArray, side: FloatArray) -> None:
        """Refuse to train with others on other rows."""
        shard = self._shard()
        if shard is not None:
            check_same_rows(shard, values, side)

    def _train_part(self, net: StepwiseNet, rows: MaskedRows) -> int:
        net.set_params(shard=self._shard())
        return super()._train_part(net, rows)

    def _own_callbacks(self, early_stopping: bool) -> list[Any]:
        callbacks: list[Any] = []
        if not self._user_has(GradientNormClipping):
            largest = MAX_GRADIENT_NORM * max(1.0, self.alpha_)
            callbacks.append(("gradient_norm_clipping", GradientNormClipping(largest)))
        if early_stopping:
            stopping = EarlyStopping(
                patience=-(-self.n_iter_no_change // STEPS_PER_EPOCH),
                threshold=self.tol,
                threshold_mode="abs",
                load_best=True,
            )
            callbacks.append((EARLY_STOPPING, stopping))
        return callbacks

    def _choose_precision(self, net: StepwiseNet, n_rows: int) -> str:
        """Return what the decoders compute with in training on batches of so many rows."""
        if self.precision != "auto":
            return self.precision
        device = torch.device(net.device).type
        weights = sum(
            parameter.numel()
            for name, parameter in net.module_.named_parameters()
            if not name.startswith("encoder.")
        )
        if n_rows * self.n_importance_samples * weights < MIN_PRODUCTS[device]:
            return "float32"
        if device == "cuda":
            has_units = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            has_units = has_bfloat16_units()
        return "bfloat16" if has_units else "float32"


def _last_bound(epochs: Sequence[dict[str, Any]], loss: str) -> float:
    """Return the last bound on record; NaN where training ended before there was one."""
    return next((-epoch[loss] for epoch in reversed(epochs) if loss in epoch), np.nan)
