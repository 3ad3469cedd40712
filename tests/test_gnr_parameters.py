"""Parameters of GNRImputer: what each configuration does, searches, and what is refused."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from gnr_sklearn import GAINImputer, GNRImputer
from gnr_sklearn.metrics import make_masked_cell_scorer
from gnr_sklearn.missingness import SelfMasking, ampute
from tests.contract import QUICK, paper_gnr
from tests.small_models import factor_data


@pytest.fixture(scope="module")
def wine():
    complete, target = load_wine(return_X_y=True)
    return complete, ampute(complete, SelfMasking(0.8), random_state=0), target


@pytest.mark.parametrize(("n_features", "expected"), [(1, 1), (2, 1), (5, 4), (21, 20), (22, 20)])
def test_default_latent_size(n_features, expected):
    X = np.random.RandomState(0).normal(size=(30, n_features))
    assert paper_gnr(**QUICK).fit(X).latent_dim_ == expected


@pytest.mark.parametrize("observation_scale", ["shared", "feature", "heteroscedastic"])
@pytest.mark.parametrize("decoder", ["mlp", "linear"])
@pytest.mark.parametrize("scaling", ["observed", None])
def test_every_configuration_imputes_and_draws(observation_scale, decoder, scaling):
    _, X = factor_data(60)
    imputer = paper_gnr(
        observation_scale=observation_scale, decoder=decoder, scaling=scaling, **QUICK
    ).fit(X)
    assert np.isfinite(imputer.transform(X)).all()
    assert np.isfinite(imputer.sample(X, 2, random_state=0)).all()
    assert np.isfinite(imputer.score(X))


def test_without_scaling_the_data_are_taken_as_they_are():
    _, X = factor_data(60)
    imputer = paper_gnr(scaling=None, **QUICK).fit(X)
    assert (imputer._units.center == 0).all()
    assert (imputer._units.scale == 1).all()


@pytest.mark.parametrize(
    ("name", "value"), [("precision", "float16"), ("learning_rate_schedule", "linear")]
)
def test_wrong_names(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of GNRImputer must be a str among"):
        paper_gnr(**{name: value}).fit(np.array([[1.0, np.nan], [2.0, 3.0]]))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha": -1}, "'alpha' parameter of GNRImputer must be"),
        ({"alpha": "other"}, "'alpha' parameter of GNRImputer must be"),
        ({"alpha": np.nan}, "'alpha' parameter of GNRImputer must be"),
        ({"latent_dim": 0}, "'latent_dim' parameter of GNRImputer must be"),
        ({"decoder": "quadratic"}, "'decoder' parameter of GNRImputer must be"),
        ({"observation_scale": "none"}, "'observation_scale' parameter of GNRImputer must be"),
        ({"scaling": "complete"}, "'scaling' parameter of GNRImputer must be"),
        ({"learning_rate": 0}, "'learning_rate' parameter of GNRImputer must be"),
        ({"hidden_dims": (16, 0)}, "hidden_dims must be an int or a non-empty sequence"),
        ({"hidden_dims": (16, 2.5)}, "hidden_dims must be an int or a non-empty sequence"),
        ({"hidden_dims": ()}, "hidden_dims must be an int or a non-empty sequence"),
        ({"min_value": [1, 2]}, "min_value must be None, a number, a sequence of 5"),
        ({"max_value": [1, 2, 3, 4, np.nan]}, "max_value must be None, a number, a sequence of 5"),
        ({"min_value": 2, "max_value": 1}, "min_value must not exceed max_value"),
        ({"net_params": {"no_such_option": 1}}, "net_params must hold .*no_such_option"),
        ({"net_params": {"optimizer": torch.optim.LBFGS}}, "net_params .*which LBFGS does not"),
        ({"net_params": {"optimizer__lr": 0.1}}, "must not hold 'optimizer__lr'"),
        ({"net_params": {"optimizer__param_groups": []}}, "must not hold 'optimizer__param_groups"),
        ({"net_params": {"callbacks__clipping": None}}, "net_params must .*no callback of 'callb"),
        (
            {"net_params": {"callbacks__clip__value": 1}},
            "net_params must .*; there are .*gradient_",
        ),
        ({"net_params": {"optimizer__other": 1}}, "net_params must hold .*optimizer__other"),
        ({"net_params": {"criterion__alpha": 2.0}}, "must not hold 'criterion__alpha'"),
        ({"net_params": {"module__latent_dim": 2}}, "must not hold 'module__latent_dim'"),
        ({"net_params": {"train_split": None}}, "must not hold 'train_split'"),
        ({"net_params": {"lr": 0.1}}, "must not hold 'lr'"),
        ({"latent_dim": 30_000}, "latent_dim must be at most"),
        ({"callbacks": [3]}, "callbacks must be a list of skorch callbacks"),
        ({"net_params": {"optimizer": "adam"}}, "net_params must hold parameters of a skorch net"),
        ({"net_params": {1: 1}}, "net_params must have names of parameters as its keys"),
        ({"net_params": {"optimizer__weight_decay": "a"}}, "net_params must hold parameters of"),
        ({"batch_size": True}, "'batch_size' parameter of GNRImputer must be"),
        ({"latent_dim": True}, "'latent_dim' parameter of GNRImputer must be"),
        ({"n_importance_samples": True}, "'n_importance_samples' parameter of GNRImputer must be"),
        ({"alpha": True}, "'alpha' parameter of GNRImputer must be"),
    ],
)
def test_wrong_parameters_are_named_before_training(params, message):
    class Fail(Callback):
        def on_train_begin(self, net, **kwargs):
            raise AssertionError("training has begun")

    _, X = factor_data(60)
    imputer = paper_gnr(**QUICK | {"callbacks": [Fail()]} | params)
    with pytest.raises(ValueError, match=message):
        imputer.fit(X)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"hidden_dims": ()}, "hidden_dims must be an int"),
        ({"min_value": 2, "max_value": 1}, "min_value must not exceed max_value"),
        ({"net_params": {"lr": 0.1}}, "must not hold 'lr'"),
        ({"latent_dim": 30_000}, "latent_dim must be at most"),
        ({"callbacks": [3]}, "callbacks must be a list of skorch callbacks"),
        ({"device": "gpu"}, "'device' parameter of GNRImputer must be"),
        ({"side_info": [3.0]}, "side_info must be a complete numeric"),
    ],
)
def test_wrong_parameters_are_named_before_a_direction_is_chosen(params, message, monkeypatch):
    def train(self, *args):
        raise AssertionError("training has begun")

    monkeypatch.setattr(GNRImputer, "_train", train)
    _, X = factor_data(60)
    side_info = params.get("side_info")
    imputer = GNRImputer(**QUICK | {k: v for k, v in params.items() if k != "side_info"})
    with pytest.raises(ValueError, match=message):
        imputer.fit(X, side_info=side_info)


def test_large_values_need_scaling():
    _, X = factor_data(60)
    with pytest.raises(ValueError, match="scaling must be 'observed' for data as large as these"):
        paper_gnr(scaling=None, **QUICK).fit(X * 1e7)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_device_without_a_gpu():
    _, X = factor_data(60)
    with pytest.raises(ValueError, match="device must be 'cpu' or 'auto'"):
        paper_gnr(device="cuda", **QUICK).fit(X)
    auto = paper_gnr(device="auto", **QUICK).fit(X)
    np.testing.assert_array_equal(auto.transform(X), paper_gnr(**QUICK).fit_transform(X))


def test_grid_search_over_a_pipeline(wine):
    _, X, target = wine
    pipeline = Pipeline(
        [
            ("impute", paper_gnr(**QUICK)),
            ("scale", StandardScaler()),
            ("model", LogisticRegression()),
        ]
    )
    grid = {"impute__alpha": [0.01, 1, 100], "impute__latent_dim": [2, 5]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, target)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    # Guessing the largest class would be right for 40%.
    assert search.best_score_ > 0.8
    assert (
        search.best_estimator_.named_steps["impute"].alpha_
        == (search.best_params_["impute__alpha"])
    )


def test_grid_search_over_a_regression_pipeline():
    complete, target = load_diabetes(return_X_y=True)
    X = ampute(complete, SelfMasking(1.0), random_state=0)
    pipeline = Pipeline([("impute", paper_gnr(**QUICK)), ("model", Ridge(alpha=0.1))])
    grid = {"impute__alpha": [0.01, 1, 100], "impute__latent_dim": [2, 5]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, target)
    assert search.best_score_ > 0.2


def test_grid_search_by_masked_cells(wine):
    _, X, _ = wine
    scorer = make_masked_cell_scorer(fraction=0.2, random_state=0)
    imputer = paper_gnr(**QUICK | {"learning_rate": 0.01, "max_iter": 200})
    search = GridSearchCV(imputer, {"alpha": [1.0, 1e6], "latent_dim": [2, 5]}, scoring=scorer)
    search.fit(X)
    # With a mask term that drowns the data term nothing is learned of the data.
    assert search.best_params_["alpha"] == 1.0


def test_grid_search_by_the_bound():
    _, X = factor_data()
    imputer = paper_gnr(**QUICK | {"learning_rate": 0.01, "max_iter": 200, "latent_dim": 1})
    search = GridSearchCV(imputer, {"alpha": [1e-3, 1.0]}, cv=2).fit(X)
    assert search.best_params_["alpha"] == 1.0


@pytest.mark.parametrize("imputer", [GNRImputer(max_iter=5), GAINImputer(max_iter=5)])
def test_gradients_may_be_switched_off(imputer):
    _, X = factor_data(60)
    expected = imputer.set_params(random_state=0).fit_transform(X)
    with torch.no_grad():
        np.testing.assert_array_equal(imputer.fit_transform(X), expected)
