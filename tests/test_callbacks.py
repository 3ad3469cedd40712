"""scikit-learn's own callbacks, from fits to the epochs of a net."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from skorch.callbacks import Callback

from gnr_sklearn import GAINImputer, GNRImputer, MeanImputer, MFImputer, MIWAEImputer
from gnr_sklearn._callbacks import begin_fit, end_fit
from tests.contract import TINY, make_data

callback = pytest.importorskip("sklearn.callback", reason="came with scikit-learn 1.9")

NET = TINY | {"max_iter": 250}


class Recorder:
    """Notes what it is told of, and asks for an end after some epochs."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.told = []
        self.errors = []

    def setup(self, estimator, context):
        self.told.append("setup")

    def teardown(self, estimator, context):
        self.told.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None):
        self.told.append(("begin", context.task_name, context.task_id))
        assert context.task_name != "fit" or X is not None

    def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
        self.told.append(("end", context.task_name, context.task_id))
        if context.task_name == "epoch":
            filled = fitted_estimator.transform(make_data())
            self.errors.append(float(np.isnan(filled).sum()))
            assert len(fitted_estimator.history_) == context.task_id + 1
            assert fitted_estimator.history_[-1, "train_loss"] is not None
        else:
            assert X is not None
        return self.stop_after is not None and context.task_id + 1 == self.stop_after


def epochs(n):
    return [(when, "epoch", i) for i in range(n) for when in ("begin", "end")]


def of_fit(tasks):
    return ["setup", ("begin", "fit", 0), *tasks, ("end", "fit", 0), "teardown"]


@pytest.mark.parametrize(
    "imputer",
    [MIWAEImputer(**NET), GNRImputer(**NET, missing_direction="above", prior=None)],
    ids=["MIWAE", "GNR"],
)
def test_epochs_are_tasks_of_a_fit(imputer):
    X = make_data()
    plain = clone(imputer).fit_transform(X)
    recorder = Recorder()
    fitted = clone(imputer).set_callbacks(recorder)
    assert_array_equal(fitted.fit_transform(X), plain)
    assert recorder.told == of_fit(epochs(3))
    assert recorder.errors == [0.0, 0.0, 0.0]
    # Nothing of them stays in what was fitted.
    again = pickle.loads(pickle.dumps(fitted.net_))
    assert "epoch_tasks" not in dict(again.callbacks_)
    assert not hasattr(fitted, "_callback_fit_ctx")
    assert "set_callbacks" in dir(imputer)


def test_a_callback_ends_training():
    X = make_data()
    recorder = Recorder(stop_after=2)
    imputer = MIWAEImputer(**NET).set_callbacks(recorder).fit(X)
    assert imputer.n_iter_ == 200
    assert recorder.told == of_fit(epochs(2))
    assert not np.isnan(imputer.transform(X)).any()


def test_a_task_is_ended_before_another_callback_ends_training():
    class Stop(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    recorder = Recorder()
    imputer = MIWAEImputer(**NET, callbacks=[Stop()]).set_callbacks(recorder).fit(make_data())
    assert imputer.n_iter_ == 100
    assert recorder.told == of_fit(epochs(1))


@pytest.mark.parametrize("imputer", [MeanImputer(), MFImputer(embedding_dim=1)])
def test_other_imputers_have_one_task(imputer):
    recorder = Recorder()
    clone(imputer).set_callbacks(recorder).fit(make_data())
    assert recorder.told == of_fit([])


def test_gain_has_epochs_too():
    recorder = Recorder()
    GAINImputer(max_iter=150, random_state=0).set_callbacks(recorder).fit(make_data())
    assert recorder.told == of_fit(epochs(2))


def test_callbacks_are_torn_down_when_a_fit_fails():
    class Fail(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise RuntimeError("on purpose")

    X = make_data()
    imputer = MIWAEImputer(**NET).fit(X)
    expected = imputer.transform(X)
    recorder = Recorder()
    imputer.set_callbacks(recorder).set_params(callbacks=[Fail()])
    with pytest.raises(RuntimeError, match="on purpose"):
        imputer.fit(X)
    assert recorder.told[-1] == "teardown"
    assert recorder.told.count("teardown") == recorder.told.count("setup") == 1
    # It is still what it was before.
    assert_array_equal(imputer.transform(X), expected)
    assert not hasattr(imputer, "_callback_fit_ctx")


class Propagated(Recorder):
    """One that goes to steps of a pipeline, as progress bars do."""

    max_propagation_depth = None

    def on_fit_task_end(self, estimator, context):
        self.told.append(("end", context.task_name, context.task_id))


def test_callbacks_reach_an_imputer_in_a_grid_search():
    X = make_data()
    y = np.arange(len(X))
    pipeline = Pipeline([("impute", MIWAEImputer(**NET)), ("fit", LinearRegression())])
    recorder = Propagated()
    search = GridSearchCV(pipeline, {"impute__latent_dim": [1, 2]}, cv=2)
    with pytest.warns(UserWarning, match="does not support callbacks"):
        search.set_callbacks(recorder).fit(X, y)
    # Two settings, each with two folds, and once more with the better one.
    assert sum(told[:2] == ("end", "epoch") for told in recorder.told) == 3 * (2 * 2 + 1)
    assert recorder.told.count("setup") == recorder.told.count("teardown") == 1


def test_progress_bar_of_scikit_learn(capsys):
    pytest.importorskip("rich")
    MIWAEImputer(**NET).set_callbacks(callback.ProgressBar()).fit(make_data())
    assert "MIWAEImputer" in capsys.readouterr().out


def test_without_callbacks_in_scikit_learn():
    """As before its release 1.9."""
    assert begin_fit(object(), None, 3) is None
    end_fit(None, object(), None)
