"""What a trained latent variable model says of rows, by weighted samples of the variable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from operator import attrgetter
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from gnr_sklearn._deep import masked_rows
from gnr_sklearn._representation import RepresentingImputer
from gnr_sklearn._sklearn import Interval
from gnr_sklearn._types import FloatArray
from gnr_sklearn._validation import RandomStateLike, check_count, draw_seed
from gnr_sklearn.nn.adaptive import WeightedSamples, map_samples, samples_to_linearize
from gnr_sklearn.nn.bounds import (
    importance_weighted_bound,
    normalized_weights,
    quasi_normal,
    truncated_weights,
)
from gnr_sklearn.nn.likelihoods import Mixed
from gnr_sklearn.nn.rows import ROWS_ALIKE, MaskedRows, map_chunks, whole_chunk

__all__ = ["SamplingImputer", "expectation"]

# Samples for imputation come in rounds of about this size, and in so many of them at most, of which
# all but the first adapt to the row: more, smaller ones adapt further, but from too few samples, or
# in too many dimensions, nothing can be learned.
ROUND_SIZE, ROUNDS = 32, 4
MAX_DIMENSIONS = 50

# Rows are imputed in chunks whose largest layer has so many outputs, two and a half megabytes
# on a CPU and 256 on a GPU.
ELEMENTS = {"cpu": 5 * 2**17, "cuda": 2**26}
MAX_ROWS = {"cpu": 128, "cuda": 2**16}

# In a permutation-invariant encoder a row takes a code for each of its observed cells; on a GPU,
# for all of its cells.
ENCODED_ROWS = 4096


@dataclass(kw_only=True, eq=False, repr=False)
class SamplingImputer(RepresentingImputer):
    """An imputer that averages over samples of a latent variable, weighted for each row.

    A subclass trains the net.
    """

    n_imputation_samples: int = 160

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **RepresentingImputer._parameter_constraints,
        "n_imputation_samples": [Interval(Integral, 1, None, closed="left")],
    }

    _parameter_docs: ClassVar[str] = """
        n_imputation_samples : int, default=160
            Samples of z for each row in imputation and scoring. For imputation they are drawn
            in up to four rounds of some 32 or more, which adapt to the row: the first comes from
            the encoder, and so do all samples where there are fewer than 48, or than 2.5 for each
            dimension of z and one more, or where z, with missing values that are sampled with it,
            has more than 50 dimensions.
        """

    _models_mask: ClassVar[bool] = True
    _samples_values: ClassVar[bool] = False

    def transform(self, X: ArrayLike, side_info: ArrayLike | None = None) -> FloatArray:
        """Fill in the missing values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with the features of `fit`.
        side_info : array-like of shape (n_samples, n_side_features) or None, default=None
            As in `fit`.

        Returns
        -------
        X_imputed : ndarray of shape (n_samples, n_features_out)
            X with its observed values unchanged and no missing ones; float32 for float32
            input, else float64. For a data frame with categories, an array of objects, or a data
            frame if ``set_output`` asks for one, with integers rounded.
        """
        check_is_fitted(self)
        table = self._validate_data(X, reset=False)
        values = self._modelled_values(table)
        side = self._auxiliary.check(side_info, len(values))
        return self._assemble(table, self._completed(values, self._impute, side))

    def score_samples(self, X: ArrayLike, side_info: ArrayLike | None = None) -> FloatArray:
        r"""Lower bound of the log-likelihood of each row and its mask.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with missing values.
        side_info : array-like of shape (n_samples, n_side_features) or None, default=None
            As in `fit`.

        Returns
        -------
        bound : ndarray of shape (n_samples,)
            :math:`\log \frac 1L \sum_l \omega_l \le \log p(x^{obs}, m)` in expectation,
            in nats, as a density in the units of X; of categories, a probability.

        Notes
        -----
        All samples are drawn by the encoder: those that adapt to the row would make the bound one
        in the limit only.

        In :class:`GNRImputer` the mask term counts fully (alpha = 1), whatever alpha it was trained
        with. With another alpha the sum is no bound of a likelihood, and since log p(m | z)
        is never positive the smallest alpha would look best. Training at alpha = 1 maximises
        this very bound: it compares models, such as latent sizes and decoders, but among
        alphas it tends to choose 1, whichever imputes best. At alpha = 0 the mask decoder is
        not trained, and the bound is that of a random one.

        In :class:`MIWAEImputer` there is no mask term.

        Examples
        --------
        >>> import numpy as np
        >>> from gnr_sklearn import MIWAEImputer
        >>> X = np.random.RandomState(0).normal(size=(200, 1)) + [[0.0, 1.0]]
        >>> X[::4, 0] = np.nan
        >>> imputer = MIWAEImputer(max_iter=50, random_state=0).fit(X)
        >>> imputer.score_samples(X[:3]).shape
        (3,)
        """
        values, rows = self._rows_of(X, side_info)
        one_round = self._shared_noise(self.n_imputation_samples)

        def of_samples(samples: WeightedSamples, part: MaskedRows) -> Tensor:
            # Rounded for the same reason as in ``expectation``.
            return importance_weighted_bound(samples.log_w.double()).float()

        bound = self._map_samples(of_samples, rows, one_round, alpha=1.0)
        # From the density of scaled values to that of the user's.
        without = np.isnan(values) | self._discrete.is_discrete
        return bound + np.where(without, 0.0, self._units.log_derivative(values)).sum(axis=1)

    def score(self, X: ArrayLike, y: None = None, side_info: ArrayLike | None = None) -> float:
        """Mean over rows of the lower bound of log p(x_obs, m), at alpha = 1.

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
        bound : float
            See :meth:`score_samples`; higher is better.

        Examples
        --------
        >>> import numpy as np
        >>> from gnr_sklearn import MIWAEImputer
        >>> X = np.random.RandomState(0).normal(size=(200, 1)) + [[0.0, 1.0]]
        >>> X[::4, 0] = np.nan
        >>> imputer = MIWAEImputer(max_iter=50, random_state=0).fit(X)
        >>> bool(imputer.score(X) == imputer.score_samples(X).mean())
        True
        """
        return float(self.score_samples(X, side_info).mean())

    @available_if(attrgetter("_models_mask"))
    def predict_mask_proba(self, X: ArrayLike, side_info: ArrayLike | None = None) -> FloatArray:
        """Probability that each value is observed, given the row and its mask.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with missing values.
        side_info : array-like of shape (n_samples, n_side_features) or None, default=None
            As in `fit`.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_features)
            The mean of P(m = 1 | z) over the samples of z that impute the row. In a model where
            values decide it is P(m = 1 | x) of an observed value, and of a missing one that of a
            value with what is known of its row, before it is lost; of :class:`NotMIWAEImputer` and
            :class:`PSMVAEImputer`, the mean over the samples of x. It is 0 for features that
            had no observed value in `fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from gnr_sklearn import GNRImputer
        >>> X = np.random.RandomState(0).normal(size=(200, 1)) + [[0.0, 1.0]]
        >>> X[X[:, 0] > 0.5, 0] = np.nan
        >>> imputer = GNRImputer(missing_direction="above", max_iter=300, random_state=0).fit(X)
        >>> proba = imputer.predict_mask_proba([[-1.0, 0.0], [0.4, 1.4]])
        >>> bool(proba[0, 0] > proba[1, 0])  # large values go missing
        True
        """
        # The weights of a row sum to 1 only up to rounding.
        return np.clip(self._expected_of_mask(X, side_info, torch.sigmoid), 0.0, 1.0)

    def _expected_of_mask(
        self,
        X: ArrayLike,
        side_info: ArrayLike | None,
        of_logits: Callable[[Tensor], Tensor],
    ) -> FloatArray:
        """Average a function of the log-odds of being observed, given each row and its mask."""
        _, rows = self._rows_of(X, side_info)
        result = np.zeros((len(rows), self.n_features_in_))
        modelled = np.flatnonzero(~self._is_empty_feature)

        def of_samples(samples: WeightedSamples, part: MaskedRows) -> Tensor:
            logits = samples.mask_logits
            if logits is None:
                logits = self._module.mask_logits(part.x, part.mask, samples.x_given_z)
            return expectation(samples.log_w, of_logits(logits.double()))

        result[:, modelled] = self._map_samples(of_samples, rows)
        return result

    def effective_sample_size(self, X: ArrayLike, side_info: ArrayLike | None = None) -> FloatArray:
        r"""Count the equally weighted samples that those of each row are worth.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with missing values.
        side_info : array-like of shape (n_samples, n_side_features) or None, default=None
            As in `fit`.

        Returns
        -------
        size : ndarray of shape (n_samples,)
            :math:`1 / \sum_l w_l^2` with the weights that `transform` uses before they are
            truncated, from 1 to `n_imputation_samples`, for each category of a mixture. Where it is
            below ten or so, more samples give another imputation.

        Examples
        --------
        >>> import numpy as np
        >>> from gnr_sklearn import MIWAEImputer
        >>> X = np.random.RandomState(0).normal(size=(200, 1)) + [[0.0, 1.0]]
        >>> X[::4, 0] = np.nan
        >>> imputer = MIWAEImputer(max_iter=50, random_state=0).fit(X)
        >>> bool(imputer.effective_sample_size(X).min() > 10)
        True
        """
        return self._sample_sizes(self._rows_of(X, side_info)[1])

    def encode(self, X: ArrayLike, side_info: ArrayLike | None = None) -> FloatArray:
        """Mean of the variational posterior q(z | x_obs), or q(z | x_obs, m).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with missing values.
        side_info : array-like of shape (n_samples, n_side_features) or None, default=None
            As in `fit`.

        Returns
        -------
        z : ndarray of shape (n_samples, `latent_dim_`)

        Examples
        --------
        >>> import numpy as np
        >>> from gnr_sklearn import MIWAEImputer
        >>> X = np.random.RandomState(0).normal(size=(200, 1)) + [[0.0, 1.0]]
        >>> X[::4, 0] = np.nan
        >>> imputer = MIWAEImputer(max_iter=50, random_state=0).fit(X)
        >>> imputer.encode(X).shape
        (200, 1)
        """
        values = self._values_of(X)
        self._auxiliary.check(side_info, len(values))
        self._check_curves(self._units.curves, values)
        return self._posterior_means(values)

    def sample(
        self,
        X: ArrayLike,
        n_draws: int = 5,
        random_state: RandomStateLike = None,
        side_info: ArrayLike | None = None,
    ) -> FloatArray:
        """Draw multiple imputations by sampling importance resampling.

        For each row and draw, one of `n_imputation_samples` samples of z is chosen in
        proportion to its weight in `transform`, and the missing values are drawn from p(x | z).
        Where missing values are sampled with z, the weight rests on them: then they are the draw,
        and each draw has samples of its own.
        At alpha = 1 and with many samples these are draws from the fitted model; with a large alpha
        the weights may gather on few samples (see :meth:`effective_sample_size`), and then draws
        differ by little more than the noise of p(x | z).
        The parameters of the model are held fixed, so that the uncertainty about them is not
        in the draws.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with missing values.
        n_draws : int, default=5
            Number of completed data sets.
        random_state : int, RandomState or Generator instance or None, default=None
            Controls the draws. Pass an int for reproducible results; with None each call draws
            fresh entropy.
        side_info : array-like of shape (n_samples, n_side_features) or None, default=None
            As in `fit`.

        Returns
        -------
        draws : ndarray of shape (n_draws, n_samples, n_features_out)
            Completed data sets, each with the columns that `transform` returns.

        Examples
        --------
        >>> import numpy as np
        >>> from gnr_sklearn import MIWAEImputer
        >>> X = np.random.RandomState(0).normal(size=(200, 1)) + [[0.0, 1.0]]
        >>> X[::4, 0] = np.nan
        >>> imputer = MIWAEImputer(max_iter=50, random_state=0).fit(X)
        >>> draws = imputer.sample(X, n_draws=5, random_state=0)
        >>> draws.shape, bool((draws[:, 1] == X[1]).all())  # what is observed stays
        ((5, 200, 2), True)
        """
        check_is_fitted(self)
        n_draws = check_count(n_draws, "n_draws", 1)
        check_count(self.n_imputation_samples, "n_imputation_samples", 1)
        table = self._validate_data(X, reset=False)
        values = self._modelled_values(table)
        side = self._auxiliary.check(side_info, len(values))
        completed = np.repeat(values[np.newaxis], n_draws, axis=0)
        has_missing = np.flatnonzero(np.isnan(values).any(axis=1))
        if len(has_missing):
            generator = torch.Generator(self._device).manual_seed(draw_seed(random_state))
            draws = self._draw(values[has_missing], side[has_missing], n_draws, generator)
            completed[:, has_missing] = self._finished(_checked(draws))
        return np.stack([self._assemble(table, draw, as_array=True) for draw in completed])

    def _draw(
        self, values: FloatArray, side: FloatArray, n_draws: int, generator: torch.Generator
    ) -> FloatArray:
        """Draw rows, (n_draws, n_rows, n_features), in data units."""
        # Where missing values are among what is sampled, draws from the same samples would often
        # be the same.
        n_at_once = 1 if self._samples_values else n_draws

        def independent_noise(n_rows: int) -> Sequence[Tensor]:
            shape = (self.n_imputation_samples, n_rows, self._module.noise_dim)
            noise = torch.randn(
                shape, generator=generator, dtype=torch.float32, device=self._device
            )
            return noise.split(self._round_size)

        def of_samples(samples: WeightedSamples, part: MaskedRows) -> Tensor:
            return samples.draw(n_at_once, generator).transpose(0, 1)

        rows = self._rows(values, side)
        parts = [
            self._map_samples(of_samples, rows, independent_noise).swapaxes(0, 1)
            for _ in range(0, n_draws, n_at_once)
        ]
        draws = self._to_data_units(np.concatenate(parts))
        return self._adjusted(draws, values, side, generator)

    def _sample_sizes(self, rows: MaskedRows) -> FloatArray:
        def of_samples(samples: WeightedSamples, part: MaskedRows) -> Tensor:
            weights = normalized_weights(samples.log_w.double())
            return (1.0 / weights.square().sum(0)).float()

        return self._map_samples(of_samples, rows)

    def _posterior_means(self, values: FloatArray) -> FloatArray:
        # The encoder sees nothing of the auxiliary variable.
        rows = self._masked_rows(values, None)
        z = np.empty((len(rows), self.latent_dim_))

        def encode(filled: MaskedRows, n_rows: int) -> Tensor:
            mean, _ = self._module.encoder(filled.x, filled.mask)
            return mean[:n_rows]

        size = min(ENCODED_ROWS, whole_chunk(len(rows) + ROWS_ALIKE - 1))
        for chunk, mean in map_chunks(encode, rows, size, torch.device(self._device)):
            z[chunk] = mean.cpu().numpy()
        return z

    def _impute(self, values: FloatArray, side: FloatArray | None = None) -> FloatArray:
        expectations = _checked(self._expectations(values, side))
        return self._finished(self._discrete.decide(expectations))

    def _expectations(self, values: FloatArray, side: FloatArray | None = None) -> FloatArray:
        """Return the wide form of rows: expectations in the units of the data, and chances."""
        return self._expectations_in_both_units(values, side)[0]

    def _expectations_in_both_units(
        self, values: FloatArray, side: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return the wide form of rows in the units of the data, and in those of the net.

        On a curve, the expectation of the one is not the value of the expectation of the other.
        """
        rows = self._rows(values, np.empty((len(values), 0)) if side is None else side)
        numbers = self._discrete.numbers
        units = self._units.select(numbers)
        curved = units.curved
        on_curve = units.select(curved)

        def of_samples(samples: WeightedSamples, part: MaskedRows) -> Tensor:
            x = samples.x_given_z
            if not len(curved):
                return expectation(samples.log_w, x.mean)
            of_numbers = x.numbers if isinstance(x, Mixed) else x
            of_curved = type(of_numbers)(*(part[..., curved] for part in of_numbers))
            in_data_units = torch.from_numpy(on_curve.expectation(of_curved))
            both = torch.cat([x.mean.double().cpu(), in_data_units], dim=-1)
            return expectation(samples.log_w.double().cpu(), both)

        wide = self._map_samples(of_samples, rows)
        if len(curved):
            wide = _rounded(wide)
        wide, in_data_units = np.split(wide, [wide.shape[1] - len(curved)], axis=1)
        result = self._wide_in_data_units(wide)
        result[:, curved] = in_data_units
        result = self._within_bounds(result)
        plain = np.setdiff1d(np.arange(len(numbers)), curved)
        wide[:, plain] = units.select(plain).transform(result[:, plain])
        return result, wide

    def _adjusted(
        self, draws: FloatArray, values: FloatArray, side: FloatArray, generator: torch.Generator
    ) -> FloatArray:
        """Change draws by what else is known of the values that are missing."""
        return draws

    def _auxiliary_of(self, values: FloatArray, side: FloatArray) -> FloatArray | None:
        """Return the auxiliary variable of rows."""
        if self._auxiliary.imputer is None:
            return self._auxiliary.transform(values, side, self._units)
        view, owner = self._numeric_view(values)
        return self._auxiliary.transform(view, side, self._view_units(owner))

    def _rows_of(self, X: ArrayLike, side_info: ArrayLike | None) -> tuple[FloatArray, MaskedRows]:
        """Return the values of X as given, and the rows that the net sees."""
        values = self._values_of(X)
        return values, self._rows(values, self._auxiliary.check(side_info, len(values)))

    def _rows(self, values: FloatArray, side: FloatArray) -> MaskedRows:
        """Return rows as the net sees them."""
        self._check_curves(self._units.curves, values)
        u = self._auxiliary_of(values, side)
        return self._masked_rows(values, u)

    def _masked_rows(self, values: FloatArray, u: FloatArray | None) -> MaskedRows:
        return masked_rows(self._units.transform(values), ~np.isnan(values), u)

    @property
    def _round_size(self) -> int:
        n_samples = self.n_imputation_samples
        if self._module.noise_dim > MAX_DIMENSIONS:
            return n_samples
        needed = samples_to_linearize(self._module.latent_dim)
        n_rounds = min(ROUNDS, (n_samples + ROUND_SIZE // 2) // ROUND_SIZE, n_samples // needed)
        return -(-n_samples // max(1, n_rounds))

    def _shared_noise(self, round_size: int | None = None) -> Callable[[int], Sequence[Tensor]]:
        # The same for all rows, so that what is imputed in one row depends neither on
        # its neighbours nor on their order.
        n_samples = check_count(self.n_imputation_samples, "n_imputation_samples", 1)
        noise = quasi_normal(n_samples, self._module.noise_dim, self._noise_seed)
        noise = noise.to(dtype=torch.float32, device=self._device).unsqueeze(1)
        rounds = noise.split(round_size or self._round_size)
        return lambda n_rows: rounds

    def _map_samples(
        self,
        function: Callable[[WeightedSamples, MaskedRows], Tensor],
        rows: MaskedRows,
        draw_rounds: Callable[[int], Sequence[Tensor]] | None = None,
        alpha: float | None = None,
    ) -> NDArray[Any]:
        """Compute a table with a row for each row from their weighted samples."""
        draw_rounds = draw_rounds or self._shared_noise()
        widest = max(len(parameter) for parameter in self._module.parameters())
        kind = torch.device(self._device).type
        # Layers compute one round at a time; what they give is kept of all samples.
        kept = self.n_imputation_samples * self._module.width
        most = self._module.terms_per_noise * max(self._round_size * widest, kept)
        n_rows = min(MAX_ROWS[kind], ELEMENTS[kind] // most)
        parts = map_samples(
            function,
            self._module,
            rows,
            draw_rounds,
            self.alpha_ if alpha is None else alpha,
            chunk_size=whole_chunk(n_rows),
        )
        table = np.empty(0)
        for chunk, part in parts:
            if chunk.start == 0:
                table = np.empty((len(rows), *part.shape[1:]))
            table[chunk] = part.cpu().numpy()
        return table


def expectation(log_w: Tensor, quantity: Tensor) -> Tensor:
    """Average over samples by their truncated, self-normalised weights (eq. 20)."""
    # Rounded from double precision for the reason given in ``adaptive_importance_sampling``.
    weights = truncated_weights(log_w.double()).unsqueeze(-1)
    return (weights * quantity).sum(0).to(log_w.dtype)


def _rounded(table: FloatArray) -> FloatArray:
    """Round to the digits of single precision, but not to its range."""
    mantissa, exponent = np.frexp(table)
    return np.ldexp(np.rint(np.ldexp(mantissa, 24)), exponent - 24)


def _checked(imputed: FloatArray) -> FloatArray:
    """Refuse what no imputed value may be."""
    if not np.isfinite(imputed).all():
        raise ValueError(
            "The net gives values that are not finite, because its training has diverged; fit with "
            "a lower learning_rate."
        )
    return imputed
