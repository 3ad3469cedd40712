"""Rows and models that are small enough for exact answers."""

import numpy as np
import torch
from scipy.stats import norm

from gnr_sklearn.nn.bounds import importance_weighted_bound, log_weights, quasi_normal
from gnr_sklearn.nn.models import GNR


def factor_data(n_rows=600, noise=0.5, seed=0):
    """One factor behind five columns, and behind whether the first two are missing."""
    rng = np.random.RandomState(seed)
    z = rng.normal(size=(n_rows, 1))
    complete = z + noise * rng.normal(size=(n_rows, 5)) + np.array([10.0, -3.0, 0.0, 1.0, 5.0])
    X = complete.copy()
    X[:, :2][rng.uniform(size=(n_rows, 2)) < norm.cdf(4 * z)] = np.nan
    return complete, X


def record_compiled(monkeypatch):
    """Have ``torch.compile`` note the class of each module that is called as it returned it."""
    calls = []

    class Compiled(torch.nn.Module):
        def __init__(self, module):
            super().__init__()
            self._orig_mod = module
            self.noise_dim = getattr(module, "noise_dim", None)  # not all have one

        def forward(self, *args, **kwargs):
            calls.append(type(self._orig_mod))
            return self._orig_mod(*args, **kwargs)

    monkeypatch.setattr(torch, "compile", lambda module, **params: Compiled(module))
    return calls


def make_rows(n_rows, n_features):
    """Make rows with holes and their mask; the first is complete, the second has no value."""
    rng = np.random.RandomState(0)
    mask = rng.uniform(size=(n_rows, n_features)) < 0.6
    mask[0] = True
    mask[1] = False
    x = rng.normal(size=mask.shape) * mask
    return torch.from_numpy(x), torch.from_numpy(mask.astype(float))


def make_model(n_features, latent_dim, model_class=GNR, **params):
    """Make a model whose encoder covers any posterior, being a little wider than the prior.

    That makes importance sampling with many samples exact; that the proposal differs from prior
    and posterior, and from row to row, makes a test see every term.
    """
    model = model_class(n_features, latent_dim, hidden_dims=(8,), seed=3, **params).double()
    head = model.encoder.network[-1]
    with torch.no_grad():
        head.weight *= 0.1
        head.bias[latent_dim:] = 0.2
    return model


def terms_at(model, rows, n_samples, seed=0, **known):
    """Compute the terms of a model at quasi-random samples that all rows share."""
    noise = quasi_normal(n_samples, model.noise_dim, seed).unsqueeze(1)
    with torch.no_grad():
        return model(*rows, noise, **known)


def bound_of(terms, alpha=1.0):
    """Compute the bound of each row."""
    return importance_weighted_bound(log_weights(terms, alpha)).numpy()
