"""What every imputer returned when it was last looked at: a change of it has to be meant.

Run with ``UPDATE_GOLDEN=1`` to write the file anew, and say in CHANGELOG.md why.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import BayesianRidge
from sklearn.tree import DecisionTreeRegressor

from gnr_sklearn import MeanImputer, MFImputer, MICEImputer
from gnr_sklearn._vae import VAEImputer
from tests.contract import IMPUTERS, SMALL_NET, imputer_id, make_data

PATH = Path(__file__).with_name("golden.json")
DIGITS = 4


def imputed_by(imputer):
    """Values in place of the missing ones, in standard deviations of what is observed."""
    table = make_data(30)
    each = clone(imputer)
    if isinstance(each, VAEImputer):
        each.set_params(max_iter=SMALL_NET["max_iter"])  # enough that what is trained shows
    if "precision" in each.get_params():
        each.set_params(precision="float32")
    if isinstance(getattr(each, "prior", None), DecisionTreeRegressor):
        # A single tree splits elsewhere for a last bit.
        each.set_params(prior=BayesianRidge())
    missing = np.isnan(table)
    scaled = (each.fit_transform(table) - np.nanmean(table, axis=0)) / np.nanstd(table, axis=0)
    return scaled[missing]


def tolerance(imputer):
    """How far values may be from those on file, in these standard deviations.

    Between processors sums round in different ways, which training makes more of, and releases of
    scikit-learn grow other trees.
    """
    return 1e-3 if isinstance(imputer, MeanImputer | MICEImputer | MFImputer) else 0.1


@pytest.mark.parametrize("number", range(len(IMPUTERS)), ids=[*map(imputer_id, IMPUTERS)])
def test_imputations_are_those_on_file(number):
    imputer = IMPUTERS[number]
    found = imputed_by(imputer)
    kept = json.loads(PATH.read_text()) if PATH.exists() else {}
    name = f"{number} {imputer_id(imputer)}"
    if os.environ.get("UPDATE_GOLDEN"):
        kept[name] = np.round(found, DIGITS).tolist()
        PATH.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    np.testing.assert_allclose(found, kept[name], atol=tolerance(imputer), rtol=0)


def test_no_imputer_is_left_over_on_file():
    names = {f"{number} {imputer_id(imputer)}" for number, imputer in enumerate(IMPUTERS)}
    assert set(json.loads(PATH.read_text())) == names
