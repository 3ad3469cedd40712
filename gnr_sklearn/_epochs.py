"""How scikit-learn's callbacks are told of the epochs of a net."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skorch.callbacks import Callback

__all__ = ["EpochTasks"]

# Names of skorch's callbacks that write a loss into the history at the end of an epoch.
WRITE_LOSSES = ("train_loss", "valid_loss")


class EpochTasks(Callback):
    """Tells scikit-learn's callbacks of the epochs of a net, each of which is a task of a fit.

    A callback that asks for an end of training gets it, in the way that skorch's do.

    Parameters
    ----------
    imputer : estimator
        The imputer that is being fitted.
    context : sklearn.callback.CallbackContext
        That of the fit.
    fitted_attributes : callable
        Returns, given the net, what the imputer would have if training ended now.
    """

    def __init__(
        self, imputer: Any, context: Any, fitted_attributes: Callable[[Any], dict[str, Any]]
    ) -> None:
        self.imputer = imputer
        self.context = context
        self.fitted_attributes = fitted_attributes

    def insert_into(self, net: Any) -> None:
        """Take a place after the losses are known, and before another callback ends training."""
        names = [name for name, _ in net.callbacks_]
        place = max((names.index(name) + 1 for name in WRITE_LOSSES if name in names), default=0)
        net.callbacks_.insert(place, ("epoch_tasks", self))

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Begin a task."""
        self.task_ = self.context.subcontext(task_name="epoch")
        self.task_.call_on_fit_task_begin(estimator=self.imputer)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """End a task."""
        asks_for_end = self.task_.call_on_fit_task_end(
            estimator=self.imputer,
            reconstruction_attributes=lambda: self.fitted_attributes(net),
        )
        if asks_for_end:
            raise KeyboardInterrupt
