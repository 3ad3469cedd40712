"""What a net sees of a table, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnr_sklearn._base import MixedImputer
from gnr_sklearn._columns import DISCRETE, KINDS, ColumnKind, distributions_of_columns
from gnr_sklearn._curves import CURVED, Curves, OwnCurve
from gnr_sklearn._deep import DeepImputer
from gnr_sklearn._sklearn import StrOptions
from gnr_sklearn._types import BoolArray, FloatArray
from gnr_sklearn._units import SHARED_SCALINGS, Scaling, Units, fit_units
from gnr_sklearn._validation import (
    check_feature_info,
    feature_limits,
    fitted_scaler,
    observed_mean_and_std,
    varies,
)
from gnr_sklearn.nn.categories import DiscreteFeature

__all__ = ["LIKELIHOOD_OF_COLUMNS", "RepresentingImputer"]


# What is documented of `likelihood` in all imputers that take it.
LIKELIHOOD_OF_COLUMNS = """\
            Distribution of x given z. "auto" goes by the types of a data frame: numbers are
            "gaussian"; true and false are "bernoulli"; strings and categories are "categorical",
            with a probability each; ordered categories of pandas are "ordinal", by an
            adjacent-category logit model. Levels that are not observed in `fit` are never imputed.
            A dict sets it for single columns, by their names or places:
            ``{"country": "categorical", 3: "ordinal"}``. Text is "ordinal" only if it says in which
            order, as an ordered category or a polars Enum. In a dict, numbers may also be normal
            after a transformation: "log_normal" (positive numbers), by the logarithm; "count"
            (whole numbers from 0 on), by log(1 + x), with imputed values rounded; "bounded", by the
            logit of their position between the column's `min_value` and `max_value`, which must be
            given.
            Numbers are imputed by their expectation, categories by the most probable one, and
            ordered categories by the median."""


@dataclass(kw_only=True, eq=False, repr=False)
class RepresentingImputer(MixedImputer, DeepImputer):
    """An imputer whose net sees numbers in units of its own, and levels in place of categories.

    A subclass calls :meth:`_fit_units` before it trains.
    """

    likelihood: str | dict[Any, str] = "auto"
    scaling: Scaling = "observed"
    feature_info: ArrayLike | None = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **MixedImputer._parameter_constraints,
        **DeepImputer._parameter_constraints,
        "likelihood": [StrOptions({"auto"}), dict],
        "scaling": [StrOptions({"observed", "shared", "ratings"}), None],
        "feature_info": ["array-like", None],
    }

    _parameter_docs: ClassVar[str] = f"""
        likelihood : "auto" or dict, default="auto"
{LIKELIHOOD_OF_COLUMNS}
        scaling : {{"observed", "shared", "ratings"}} or None, default="observed"
            Whether to centre and scale each feature by the mean and standard deviation of its
            observed values, or to take the data as they are. The starting point of the encoder is 0
            in place of what is missing, so that None suits data where 0 is a sensible value. With
            "observed" a feature of which all observed values are the same is imputed by that value.
            "shared" says that all features are measured in the same way, as ratings of items by
            users are: they have one mean and one standard deviation, a process by which values go
            missing that is the same for all, and weights in the decoders that deviate, under
            `loading_penalty`, from what is common to them. "ratings" says that as well, and curves
            the scale by eq. 21 of Chen et al. (2023), with noise in training and a mean of x given
            z that lies within the curve, from 0 to 1, on which the highest rating is 1. The lowest
            and the highest are `min_value` and `max_value`, or the ones observed.
        feature_info : array-like of shape (n_features, n_info) or None, default=None
            Complete numbers that are known of each feature, such as the kind of an item, in the
            order of the features, which the index of a frame must name if it has names: weights
            in the decoders, and embeddings in the permutation-invariant encoder, are linear
            functions of them and a deviation under `loading_penalty`.
        """

    def _find_constants(self, values: FloatArray) -> None:
        """Find features of one observed value, which have no unit and nothing to learn."""
        least = np.nanmin(values, axis=0)
        found = np.flatnonzero(
            ~varies(*observed_mean_and_std(values)) & ~self._discrete.is_discrete
        )
        is_own_unit = self.scaling == "observed"
        self._constants = {int(j): float(least[j]) for j in found} if is_own_unit else {}

    def _forget_constants(self, values: FloatArray) -> None:
        """Forget those that more rows contradict."""
        if not self._constants:
            return
        together = np.vstack([values[:, list(self._constants)], list(self._constants.values())])
        changes = varies(*observed_mean_and_std(together))
        known = zip(self._constants.items(), changes, strict=True)
        self._constants = {j: value for (j, value), is_new in known if not is_new}

    def _fit_units(
        self, values: FloatArray, own_curves: Mapping[int, OwnCurve] = MappingProxyType({})
    ) -> None:
        """Learn the units of the observed values; the user's bounds are known.

        Curves of modelled features that nobody has asked for are given.
        """
        self._check_distributions()
        curves = self._fit_curves(values, own_curves)
        self._units = fit_units(values, self.scaling, self._lowest, self._highest, curves)
        self._feature_info = self._check_feature_info()

    def _asked_kinds(self, names: list[Any]) -> Mapping[int, ColumnKind]:
        given = distributions_of_columns(self.likelihood, names)
        return {place: KINDS[name] for place, name in given.items()}

    @property
    def _shares_scale(self) -> bool:
        return self.scaling in SHARED_SCALINGS

    def _check_distributions(self) -> None:
        """Refuse settings that have no meaning for categories, or for a curve of a feature."""
        if self._shares_scale and (self._discrete or self._curved_features()):
            raise ValueError(
                "scaling must be 'observed' or None for data with categories, or with a likelihood "
                f"of single columns, got {self.scaling!r}."
            )

    def _check_feature_info(self) -> FloatArray | None:
        """Check what is known of features, and return that of the modelled ones."""
        if self.feature_info is None:
            return None
        info = check_feature_info(self.feature_info, self._names)
        return info[~self._is_empty_feature]

    def _known_of_features(self) -> FloatArray | None:
        """Return what weights of features rest on, a 1 and standardised numbers."""
        if self._feature_info is None and not self._shares_scale:
            return None
        ones = np.ones((len(self._units.scale), 1))
        info = ones[:, :0] if self._feature_info is None else self._feature_info
        if info.shape[1]:
            info = fitted_scaler(info).transform(info)
        return np.hstack([ones, info]).astype(np.float32)

    def _curved_features(self) -> dict[int, str]:
        """Return the distributions of modelled features that are normal on a curve."""
        given = distributions_of_columns(self.likelihood, self._names)
        kept = np.flatnonzero(~self._is_empty_feature).tolist()
        return {kept.index(j): name for j, name in given.items() if name in CURVED and j in kept}

    def _likelihood_of_features(self) -> NDArray[Any]:
        """Return the name of the distribution of each feature of X, None for those left out."""
        names = np.full(self.n_features_in_, None, dtype=object)
        modelled = np.flatnonzero(~self._is_empty_feature)
        names[modelled] = "gaussian"
        for place, column in enumerate(self._columns.columns if self._columns is not None else ()):
            if column.kind in DISCRETE:
                names[place] = next(name for name, kind in KINDS.items() if kind == column.kind)
        for place, name in (self._units.curves.kinds if self._units.curves else {}).items():
            names[modelled[place]] = name
        return names

    def _rounded_features(self) -> BoolArray:
        is_rounded = super()._rounded_features()
        given = distributions_of_columns(self.likelihood, self._names)
        is_rounded[[place for place, name in given.items() if name == "count"]] = True
        return is_rounded

    def _fit_curves(self, values: FloatArray, own_curves: Mapping[int, OwnCurve]) -> Curves | None:
        kinds = self._curved_features() | {j: curve.kind for j, curve in own_curves.items()}
        floors = {feature: curve.floor for feature, curve in own_curves.items()}
        if not kinds:
            return None
        # The ends of a curve are the user's, and no whole numbers within them.
        lowest, highest = feature_limits(self.min_value, self.max_value, self._names)
        modelled = ~self._is_empty_feature
        curves = Curves(kinds, lowest[modelled], highest[modelled], floors)
        self._check_curves(curves, values)
        return curves

    def _check_curves(self, curves: Curves | None, values: FloatArray) -> None:
        if curves is not None:
            names = np.array(self._names, dtype=object)[~self._is_empty_feature]
            curves.check(values, names)

    def _levels_of_net(self) -> dict[int, FloatArray]:
        """Return the levels of each discrete feature in the units of the net."""
        return {
            feature: self._units.select(np.array([feature])).transform(
                np.arange(n_levels, dtype=np.float64)[:, np.newaxis]
            )[:, 0]
            for feature, n_levels in self._discrete.levels.items()
        }

    def _discrete_of_net(self, values: FloatArray) -> list[DiscreteFeature]:
        """Describe discrete features as a net wants them."""
        described = []
        for feature, levels in self._levels_of_net().items():
            counts = self._discrete.counts_of(feature, values)
            shares = counts / counts.sum()
            is_ordered = feature in self._discrete.ordered
            described.append(DiscreteFeature(feature, levels.tolist(), shares.tolist(), is_ordered))
        return described

    def _numeric_view(self, values: FloatArray) -> tuple[FloatArray, NDArray[np.intp]]:
        """Return values as numbers about which a normal distribution says something."""
        if self._units.curves is not None:
            values = self._units.curves.transform(values)
        return self._discrete.numeric_view(values)

    def _view_units(self, owner: NDArray[np.intp]) -> Units:
        """Return the units of that view, in which zeros and ones stay what they are."""
        plain = np.isin(owner, self._discrete.unordered)
        center = np.where(plain, 0.0, self._units.center[owner])
        return Units(
            center, np.where(plain, 1.0, self._units.scale[owner]), self._units.rating_range
        )

    def _to_data_units(self, scaled: FloatArray) -> FloatArray:
        return self._clip(self._units.inverse_transform(scaled))

    def _wide_in_data_units(self, wide: FloatArray) -> FloatArray:
        """Return the wide form with its numbers in the units of the data."""
        numbers = self._discrete.numbers
        in_data_units = self._units.select(numbers).inverse_transform(wide[:, : len(numbers)])
        return np.hstack([in_data_units, wide[:, len(numbers) :]])

    def _within_bounds(self, wide: FloatArray) -> FloatArray:
        numbers = self._discrete.numbers
        parts = wide[:, : len(numbers)]
        clipped = np.clip(parts, self._lowest[numbers], self._highest[numbers])
        return np.hstack([clipped, wide[:, len(numbers) :]])

    def _finished(self, values: FloatArray) -> FloatArray:
        """Put in place what can be no other number: constants, codes and counts."""
        for feature, value in self._constants.items():
            values[..., feature] = np.clip(value, self._lowest[feature], self._highest[feature])
        rounded = self._units.curves.rounded if self._units.curves is not None else []
        values[..., rounded] = np.round(values[..., rounded])
        return self._discrete.snap(values)
