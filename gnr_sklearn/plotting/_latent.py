"""The latent space of a generative imputer, in two dimensions."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import gaussian_kde
from sklearn.decomposition import PCA
from sklearn.utils import check_array, column_or_1d

from gnr_sklearn._sklearn import check_matplotlib_support
from gnr_sklearn._types import FloatArray
from gnr_sklearn._validation import (
    DataFrameLike,
    gaps_as_nan,
    number_that_marks,
    read_table,
    side_info_for,
)
from gnr_sklearn.plotting._tables import (
    new_axes,
    require_method,
    settings_of_points,
    spread_out,
)

__all__ = ["LatentSpaceDisplay"]

GRID = 60
# Of fewer points, or of points on a line, there is no density in the plane.
MIN_POINTS = 5
MAX_GROUPS = 10


class LatentSpaceDisplay:
    """Where rows lie in the latent space, and how dense they are there, group by group.

    This is Figure 4 of Chen et al. (CIKM 2023). Of more than two dimensions the first two principal
    components are shown. With groups by the number of missing values it tells whether the latent
    variable has learned of the mask; with those by something that is known of the rows, of that.

    It is recommended to use :meth:`from_estimator` or :meth:`from_predictions` to create one; all
    parameters are stored as attributes.

    Parameters
    ----------
    points : ndarray of shape (n_samples, 2)
        Places of the rows.
    groups : ndarray of shape (n_samples,)
        What each row is drawn as.
    axis_labels : tuple of str
        Names of the two dimensions.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure with the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn.plotting import LatentSpaceDisplay
    >>> z = np.random.default_rng(0).normal(size=(30, 3))
    >>> display = LatentSpaceDisplay.from_predictions(z, z[:, 0] > 0)
    >>> display.points.shape, display.axis_labels[0].split(",")[0]
    ((30, 2), 'component 1')
    """

    def __init__(
        self, points: FloatArray, groups: NDArray[Any], axis_labels: tuple[str, str]
    ) -> None:
        self.points = points
        self.groups = groups
        self.axis_labels = axis_labels

    def plot(self, ax: Any = None, *, scatter_kwargs: dict[str, Any] | None = None) -> Self:
        """Draw a point for each row, and lines of equal density for each group.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None for a new figure.
        scatter_kwargs : dict or None, default=None
            Keywords for matplotlib's ``scatter``, such as ``{"s": 4}``.

        Returns
        -------
        display : LatentSpaceDisplay
            Itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        ax = new_axes(ax)
        (left, bottom), (right, top) = self.points.min(axis=0), self.points.max(axis=0)
        grid = np.meshgrid(np.linspace(left, right, GRID), np.linspace(bottom, top, GRID))
        for number, group in enumerate(np.unique(self.groups)):
            points = self.points[self.groups == group]
            colour = f"C{number % MAX_GROUPS}"
            settings = {"s": 8, "alpha": 0.5, "color": colour, "label": str(group)}
            ax.scatter(*points.T, **settings_of_points(settings, scatter_kwargs))
            if len(points) >= MIN_POINTS and np.linalg.matrix_rank(np.cov(points.T)) == 2:
                density = gaussian_kde(points.T)(np.stack(grid).reshape(2, -1))
                ax.contour(*grid, density.reshape(GRID, GRID), 4, colors=colour, linewidths=0.8)
        ax.set(xlabel=self.axis_labels[0], ylabel=self.axis_labels[1])
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_predictions(
        cls,
        z: ArrayLike,
        groups: ArrayLike,
        *,
        ax: Any = None,
        scatter_kwargs: dict[str, Any] | None = None,
    ) -> LatentSpaceDisplay:
        """Show places in a latent space.

        Parameters
        ----------
        z : array-like of shape (n_samples, latent_dim)
            What ``encode`` returns.
        groups : array-like of shape (n_samples,)
            What each row is drawn as, with at most ten different values.
        ax, scatter_kwargs
            As in :meth:`plot`.

        Returns
        -------
        display : LatentSpaceDisplay
            With the picture drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If an argument is not as described.
        """
        check_matplotlib_support(f"{cls.__name__}.from_predictions")
        places = check_array(z, dtype=np.float64, ensure_min_samples=2, input_name="z")
        kinds = gaps_as_nan(column_or_1d(groups))
        if any(kind is None or kind != kind for kind in kinds.tolist()):
            raise ValueError(
                "groups must name the group of each row, got missing values; give them a name too."
            )
        if len(kinds) != len(places) or len(np.unique(kinds)) > MAX_GROUPS:
            raise ValueError(
                f"groups must have one value for each of the {len(places)} rows and at most "
                f"{MAX_GROUPS} different ones, got {len(kinds)} values of which "
                f"{len(np.unique(kinds))} differ."
            )
        labels = ("dimension 1", "dimension 2")
        if places.shape[1] == 1:
            places = np.column_stack([places, spread_out(len(places))])
            labels = ("dimension 1", "no dimension")
        elif places.shape[1] > 2:
            component = PCA(2, svd_solver="full").fit(places)
            shares = component.explained_variance_ratio_
            labels = (
                f"component 1, {shares[0]:.0%} of the variance",
                f"component 2, {shares[1]:.0%} of the variance",
            )
            places = np.asarray(component.set_output(transform="default").transform(places))
        return cls(places, kinds, labels).plot(ax, scatter_kwargs=scatter_kwargs)

    @classmethod
    def from_estimator(
        cls,
        imputer: Any,
        X: ArrayLike | DataFrameLike,
        groups: ArrayLike | None = None,
        *,
        side_info: ArrayLike | None = None,
        ax: Any = None,
        scatter_kwargs: dict[str, Any] | None = None,
    ) -> LatentSpaceDisplay:
        """Show where a fitted imputer puts rows.

        Parameters
        ----------
        imputer : fitted imputer with ``encode``
            Such as :class:`~gnr_sklearn.GNRImputer`.
        X : array-like or DataFrame of shape (n_samples, n_features)
            The rows.
        groups : array-like of shape (n_samples,) or None, default=None
            What each row is drawn as, with at most ten different values; None for whether more
            of it is missing than of the median row.
        side_info : array-like of shape (n_samples, n_side_features) or None, default=None
            What is known of each row, if the imputer was fitted with it.
        ax, scatter_kwargs
            As in :meth:`plot`.

        Returns
        -------
        display : LatentSpaceDisplay
            With the picture drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If the imputer has no latent space.
        ValueError
            If an argument is not as described.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        require_method(imputer, "encode")
        values = read_table(X, "X", number_that_marks(imputer))
        given = side_info_for(imputer, side_info, len(values))
        if groups is None:
            n_missing = np.isnan(values).sum(axis=1)
            median = int(np.median(n_missing))
            more, less = f"more than {median} missing", f"at most {median} missing"
            groups = np.where(n_missing > median, more, less)
        z = imputer.encode(X, **given)
        return cls.from_predictions(z, groups, ax=ax, scatter_kwargs=scatter_kwargs)
