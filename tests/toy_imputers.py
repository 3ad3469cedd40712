"""Imputers that use all that the base class gives, for tests of it."""

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import sklearn

from gnr_sklearn._base import BaseImputer, BoundedImputer, MixedImputer
from gnr_sklearn._sklearn import Interval, StrOptions


@dataclass(kw_only=True, eq=False, repr=False)
class ToyImputer(BaseImputer):
    """Impute one number, and forget what was observed.

    Parameters
    ----------
    {parameter_docs}

    Attributes
    ----------
    {attribute_docs}
    """

    fraction: float = 0.5
    n_rounds: int = 1
    mode: str = "a"
    names: Any = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseImputer._parameter_constraints,
        "fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_rounds": [Interval(Integral, 1, None, closed="left")],
        "mode": [StrOptions({"a", "b"})],
        "names": ["array-like", dict, None],
    }

    _parameter_docs: ClassVar[str] = """
        fraction : float, default=0.5
            What is imputed.
        """

    _attribute_docs: ClassVar[str] = """
        validation_skipped_ : bool
            Whether scikit-learn would have validated parameters inside `fit`.
        """

    def _fit(self, values):
        self.validation_skipped_ = sklearn.get_config()["skip_parameter_validation"]
        self.values_fitted_ = values

    def partial_fit(self, X):
        return self._learn_part(X, self._fit)

    def _impute(self, values):
        self.values_imputed_ = values
        return np.full_like(values, self.fraction)


@dataclass(kw_only=True, eq=False, repr=False)
class BoundedToyImputer(BoundedImputer, ToyImputer):
    """Impute the same number everywhere, within bounds."""

    def _fit(self, values):
        self._fit_limits(values)

    def _impute(self, values):
        return self._clip(super()._impute(values))


@dataclass(kw_only=True, eq=False, repr=False)
class MixedToyImputer(MixedImputer, ToyImputer):
    """Impute one number, and the category of one code in the second column."""

    kind: str | None = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **MixedImputer._parameter_constraints,
        **ToyImputer._parameter_constraints,
        "kind": [str, None],
    }

    def _asked_kinds(self, names):
        return {} if self.kind is None else {1: self.kind}


@dataclass(kw_only=True, eq=False, repr=False)
class BoundedMixedToyImputer(BoundedToyImputer, MixedToyImputer):
    """Impute one number within bounds, and the category of one code in the second column."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **MixedToyImputer._parameter_constraints,
        **BoundedToyImputer._parameter_constraints,
    }
