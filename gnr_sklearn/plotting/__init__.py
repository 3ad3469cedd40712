"""Displays: pictures in scikit-learn's convention. matplotlib is imported when one is drawn.

Two that one may look for here are scikit-learn's own: how well chances of being observed are
calibrated, ``CalibrationDisplay.from_predictions(mask.ravel(), proba.ravel())``, and what an error
does as alpha changes, Figure 6 of Chen et al. (CIKM 2023), ``ValidationCurveDisplay.from_estimator(
imputer, X, None, param_name="alpha", param_range=[0.01, 1, 100], scoring=scorer)`` with a scorer of
:mod:`gnr_sklearn.metrics`.
"""

from gnr_sklearn.plotting._draws import DrawSpreadDisplay
from gnr_sklearn.plotting._imputed import ImputedValuesDisplay
from gnr_sklearn.plotting._latent import LatentSpaceDisplay
from gnr_sklearn.plotting._mask import MaskProbabilityDisplay
from gnr_sklearn.plotting._patterns import MissingPatternDisplay
from gnr_sklearn.plotting._ratings import RatingDistributionDisplay
from gnr_sklearn.plotting._sensitivity import SensitivityDisplay
from gnr_sklearn.plotting._training import TrainingDisplay

__all__ = [
    "DrawSpreadDisplay",
    "ImputedValuesDisplay",
    "LatentSpaceDisplay",
    "MaskProbabilityDisplay",
    "MissingPatternDisplay",
    "RatingDistributionDisplay",
    "SensitivityDisplay",
    "TrainingDisplay",
]
