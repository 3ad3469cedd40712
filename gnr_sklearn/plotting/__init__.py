"""Displays: pictures in scikit-learn's convention. matplotlib is imported when one is drawn."""

from gnr_sklearn.plotting._imputed import ImputedValuesDisplay
from gnr_sklearn.plotting._mask import MaskProbabilityDisplay
from gnr_sklearn.plotting._patterns import MissingPatternDisplay
from gnr_sklearn.plotting._ratings import RatingDistributionDisplay
from gnr_sklearn.plotting._sensitivity import SensitivityDisplay

__all__ = [
    "ImputedValuesDisplay",
    "MaskProbabilityDisplay",
    "MissingPatternDisplay",
    "RatingDistributionDisplay",
    "SensitivityDisplay",
]
