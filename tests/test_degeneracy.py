"""Fits that went wrong without an error say so."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback

from gnr_sklearn import GNRImputer, MIWAEImputer, NotMIWAEImputer, PSMVAEImputer
from tests.contract import make_data, paper_gnr

NET = {"hidden_dims": 8, "max_iter": 60, "random_state": 0}


def messages(imputer, table):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        imputer.fit(table)
    return [str(warning.message) for warning in caught if warning.category is ConvergenceWarning]


class Collapse(Callback):
    """Makes the encoder blind."""

    def on_train_end(self, net, **kwargs):
        with torch.no_grad():
            for parameter in net.module_.encoder.parameters():
                parameter.mul_(1e-3)


@pytest.mark.parametrize(
    "imputer",
    [
        MIWAEImputer(**NET),
        PSMVAEImputer(**NET, n_components=2),
        GNRImputer(**NET, prior=None),
        paper_gnr(**NET | {"alpha": "auto"}, encoder="permutation_invariant"),
    ],
)
def test_a_fit_that_went_well_is_silent(imputer):
    assert messages(imputer, make_data(300)) == []


def test_a_latent_variable_that_collapsed():
    (message,) = messages(MIWAEImputer(**NET, callbacks=[Collapse()]), make_data(300))
    assert message.startswith(
        "The latent variable is nearly the same for all rows (posterior collapse, see encode)"
    )


def test_weights_that_gather():
    imputer = paper_gnr(**NET | {"max_iter": 300}, alpha=1e5)
    table = make_data(300)
    (message,) = messages(imputer, table)
    assert "samples that impute a row are worth" in message
    assert "raise n_imputation_samples, or lower alpha" in message
    incomplete = table[np.isnan(table).any(axis=1)]
    assert np.median(imputer.effective_sample_size(incomplete)) < 3
    # Few samples cannot be worth many.
    assert messages(imputer.set_params(n_imputation_samples=2), table) == []


def test_nothing_is_looked_at_where_nothing_is_imputed():
    table = np.nan_to_num(make_data(300))
    assert messages(MIWAEImputer(**NET, callbacks=[Collapse()]), table) == []


def test_training_that_diverged():
    imputer = MIWAEImputer(**NET | {"max_iter": 100}, learning_rate=100.0)
    first, *others = messages(imputer, make_data(300))
    assert first.startswith("The lower bound of the last epoch, -")
    assert "lower learning_rate" in first
    assert not any("lower bound" in other for other in others)


def test_a_net_that_gives_no_numbers():
    """Its loss is finite to the end, so that training does not stop."""
    table = make_data(60)
    imputer = NotMIWAEImputer(**NET, learning_rate=1e8).fit(table)
    with pytest.raises(ValueError, match="values that are not finite, because its training"):
        imputer.transform(table)
