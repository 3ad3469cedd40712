"""GNR, the deep generative conjunction model for data missing not at random."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr
from sklearn import get_config
from sklearn.base import is_classifier, is_clusterer
from sklearn.utils import gen_batches
from torch import nn

from gnr_sklearn._chained import ChainedRegressions, default_forest
from gnr_sklearn._choices import (
    LARGEST_SHARE,
    choose_alpha,
    choose_blocks,
    choose_directions,
    choose_share,
)
from gnr_sklearn._columns import distributions_of_columns
from gnr_sklearn._curves import OwnCurve, curve_of_skewed
from gnr_sklearn._deep import MAX_VALUE
from gnr_sklearn._representation import LIKELIHOOD_OF_COLUMNS
from gnr_sklearn._reservoir import Reservoir, some_rows
from gnr_sklearn._sklearn import HasMethods, Interval, StrOptions
from gnr_sklearn._types import BoolArray, FloatArray
from gnr_sklearn._vae import VAEImputer
from gnr_sklearn._validation import DIRECTIONS_AND_BOTH, MissingDirection
from gnr_sklearn.nn.blocks import in_blocks
from gnr_sklearn.nn.models import GNR, ValueGNR
from gnr_sklearn.nn.networks import DecoderName, ObservationScale

__all__ = ["GNRImputer"]

# Regressions are learned from this many rows at most, so that a fit to many takes no longer.
ROWS_FOR_REGRESSIONS = 10_000

# Forests see so many columns at most, and of wider tables fewer rows, so that what they take grows
# with the number of columns and not with its square.
MAX_PREDICTORS = 20
MIN_ROWS_FOR_FORESTS = 2000
ROWS_OF_A_LEAF = 20

# The log-odds of ceilings are taken to differ between features by some 0.2.
CEILING_PRECISION = 20.0

# The part of a feature's observed values that, being the same, say nothing of a slope.
TIED = 0.25

# So many different values are few, if each comes several times on average: the last ones of such a
# feature may never be seen.
FEW_LEVELS, TIMES = 20, 5

# Rows that regressions complete at a time, so that memory stays bounded.
COMPLETED_ROWS = 2**14


@dataclass(kw_only=True, eq=False, repr=False)
class GNRImputer(VAEImputer):
    r"""Imputation by a deep generative model of the values and of why they are missing.

    Data and mask are two modalities of one latent variable,

    .. math::

        p(x, m) = \int p(z) \, p(u \mid z) \, p(x \mid u) \, p(m \mid u) \, dz \, du ,

    where m is 1 where a value is observed. By default the joint representation u is the complete
    row, of which x is what is seen, and each value decides itself whether it is seen
    (self-masking): by a probit step whose place, slope and height are learned. With
    ``mask_model="latent"`` data and mask are decoded side by side, as in [1]_. An encoder of the
    observed values is trained with the decoders by maximising the importance-weighted bound of
    :math:`\log p(x^{obs}, m)`. A missing value is imputed by its expectation given what is observed
    and which values are missing, so that a mechanism in which a value's being missing depends on
    the value itself (missing not at random) is taken into account.

    Parameters
    ----------
    {parameter_docs}

    Attributes
    ----------
    {attribute_docs}

    See Also
    --------
    MIWAEImputer : The model of the values alone.
    NotMIWAEImputer : Values that decide themselves whether they are seen, by sampling.
    PSMVAEImputer : A mixture of such models.
    MICEImputer : Chained linear regressions; fast, for data missing at random.
    MissForestImputer : Chained random forests; non-linear, for data missing at random.
    gnr_sklearn.sensitivity.sensitivity : What changes if values are lost in another way than
        assumed.

    Notes
    -----
    With log-weights

    .. math::

        \log \hat\omega_k = \log p(x^{obs} \mid z_k) + \alpha \log p(m \mid x^{obs}, z_k)
        + \log p(z_k) - \log q(z_k \mid x^{obs}), \qquad z_k \sim q(z \mid x^{obs})

    training maximises :math:`\log \frac 1K \sum_k \hat\omega_k` averaged over rows (eq. 15
    to 19 of [1]_), and a missing value is imputed by
    :math:`\sum_l \hat\omega_l E[x \mid z_l, m] / \sum_l \hat\omega_l` over L samples (eq. 20).

    **Values that decide.** With ``mask_model="value"``, :math:`u_j \mid z \sim N(\mu_j(z), s_j^2)`
    and

    .. math::

        P(m_j = 0 \mid u_j) = f_j + (c_j - f_j) \, \Phi(a_j u_j + b_j) ,

    so that u integrates out exactly, and no missing value is sampled. With
    :math:`r_j = \sqrt{1 + a_j^2 s_j^2}` and :math:`t_j = (a_j \mu_j + b_j) / r_j`, an observed
    cell adds :math:`\log N(x_j; \mu_j, s_j^2) + \alpha \log P(m_j = 1 \mid x_j)` to the
    log-weight and a missing one :math:`\alpha \log (f_j + (c_j - f_j) \Phi(t_j))`. Its expectation
    given z is that of the values which go missing,

    .. math::

        E[u_j \mid z, m_j = 0] = \mu_j + \frac{a_j s_j^2}{r_j} \,
        \frac{(c_j - f_j) \, \phi(t_j)}{f_j + (c_j - f_j) \, \Phi(t_j)} .

    With ``missing_direction="both"`` a second step of the same height and slope, but down, adds
    :math:`(c_j - f_j) \, \Phi(b_j' - a_j u_j)` to the chance, and terms of its own to numerator and
    denominator of the last fraction. The ceiling c says which part of the values beyond the
    threshold :math:`-b / a` is lost: a step of full height could only explain few missing values by
    starting late or being flat. The slope is learned, but for features of which a quarter of the
    observed values or more are the same; there it is three over the standard deviation of what is
    observed.

    **Skewed numbers.** Where small values are lost, the long tail to the right of incomes, counts
    or concentrations is seen whole, and :math:`\log u_j`, or :math:`\log (1 + u_j)`, is what is
    normal given z if observed values are more skewed than the upper half of a normal distribution,
    whose skewness is :math:`\sqrt 2 (4 - \pi) / (\pi - 2)^{3/2} \approx 1`, are all positive, or
    whole from 0 on, and have logarithms that are less skewed. So is what is never missing then. A
    normal distribution that is as wide as such a tail has small values that nobody has, far below
    0. Of large values that are lost the tail cannot be known, and of values missing at random
    logarithms tell no more: these stay as they are.

    **A direction that is not known** is chosen by what predicts the mask. Where a value decides
    itself whether it is seen, the other values of its row tell of its mask only what they tell of
    the value: an estimate of it, by regression on the rows where it is seen, has to predict the
    mask about as well as all of the row does, and the sign is the side. A linear model in which
    values decide has to do so too, next to one in which the mask depends on z alone. It must also
    reach the higher bound; this is not required where some columns with missing values, such as
    those of categories, are not asked about, because the two bounds then cannot be compared. Else
    values are taken to be missing at random, a = 0. Whether values decide is told of the table as a
    whole; a feature has a side of its own where that is clear, and else that of the table, but none
    where nothing predicts its mask, though much would if its values were lost as others are. Masks
    may have one cause, such as a patient's age. Then what predicts the masks of other features
    predicts a mask better than the estimate does, which adds nothing to it; values are missing at
    random, unless the model in which they decide predicts more than the other one. Where all
    columns are much the same or correlated alike, or there are but two, the causes cannot be told
    apart, and values are mostly taken to decide: say what you know. Where a feature with few levels
    has one of them and all values of another feature are missing, these were not asked for, as
    where a survey skips questions: if that is most of what is missing of a feature, the rest of it
    tells. Where no side is found, features lose values at both ends if a linear model in which they
    do predicts more of the masks than the one in which these depend on z, by two standard errors,
    and reaches the higher bound. All of this is told from 3000 rows at most.

    **What rows lack together.** Where a visit was missed, or a part of a study declined, one event
    makes many masks. Features are a block if ten rows or more, and no more than nine tenths of all,
    lack all of them, and hardly any other row lacks three quarters of them, or all but one.
    Features lead a block if they are missing with it alone, and are told to lose values on a side,
    or, where nothing is told of any, if the block has four features or fewer; the others follow. In
    a row that lacks the block, what follows is missing for sure, and says nothing; what leads says
    something of its value, but counts as one value in all. So a visit that was missed does not
    count as many large values, nor do two answers that are refused together count twice. A feature
    that is missing wherever another one is, and elsewhere too, follows that one, unless it is the
    value of the other one that tells so. So if a single feature is measured at each visit, and
    patients stop coming, only the first of those that a row lacks tells of its value. (That they
    stop because of the value before it, or because of this one, cannot be told apart where these
    are alike.) `predict_mask_proba` tells of values that are not missing for sure, and the score
    leaves out that those are.

    **Draws of small tables.** With a few hundred rows or fewer, noise is fitted so closely in the
    steps of the defaults that draws vary too little, while expectations do not suffer. Of a table
    of 178 rows and 13 columns of which 20% are missing at random, 90% intervals of draws cover 30%
    of the values, and 87% with ``early_stopping=True``: set it there for draws, pooled fits and
    `score`.

    **An alpha that is not known** is chosen by removing values. Three models, of 750 steps at most
    and without regressions, are fitted to three quarters of the rows, 3000 at most; of the others,
    500 at most, each observed value (of 50 features at most) is removed once, and counts by the
    odds :math:`P(m_j = 0 \mid \cdot) / P(m_j = 1 \mid \cdot)` that the model with alpha = 1 gives
    it. So weighted, errors of observed values estimate those of the missing ones, if that model is
    right and no value is sure to be lost.

    **Regressions.** With ``prior="forest"`` what is imputed is the mean of two estimates: the one
    above, and that of chained random forests which start from it. There, :math:`u_j` is normal
    around :math:`\beta_0 + \beta_1 g_j(u_{-j})`, with a forest g that is fitted to rows with
    expectations in place of what is missing, and is lost by the same process. Its predictions of
    observed values are out of bag. The latent variable extrapolates, where trees cannot; trees
    find what a smooth function of z does not. They are fitted to 10,000 rows at most, and have 500
    leaves at most; of tables of more than 20 columns both are fewer, in proportion, down to 2000
    and 100. The imputer, and a pickle of it, keeps these rows, for `partial_fit` to go on from.

    Where trees find nothing beside z, as where few factors make all values, they do harm. So three
    features at most are looked at, of 350 observed values or more, and 2000 rows: their forests'
    predictions, and what z says of them, from rows that are completed without knowledge of the
    value or of its being missing, are weighted by the likelihood. Where forests have less than a
    twentieth of the weight, they have less than half of what is imputed of numbers, in proportion.

    **Auxiliary variables.** With side information, or a `prior` that completes rows, the decoders
    also see a variable that is known of each row. Features that are part of it, and their
    masks, are generated from z alone; the decoders of the others see 0 for what is missing of them.
    The score is then that of this variable as well, in standard units, and cannot be compared
    between priors.

    The encoder's proposal has a diagonal covariance. So samples for imputation are drawn in rounds:
    the first by the encoder, the second from the Gaussian that the posterior would be if what
    decoders say were affine in z, as it is over the first samples by least squares [3]_, and each
    later one from a Gaussian that is fitted to the weighted samples before it. All are weighted as
    samples of the mixture of these proposals (adaptive multiple importance sampling [2]_), and
    weights are cut at :math:`\sqrt L` mean ones (truncated importance sampling [4]_). They
    estimate what eq. 20 does, where z has up to 20 dimensions or so mostly with a smaller error
    from 160 samples than otherwise from 1000.

    They come from one quasi-random set of normal numbers that all rows share: `transform` is
    deterministic, and a row's imputation depends neither on the other rows nor on their order
    (up to rounding, on a GPU, with more than one thread or with layers of fewer than 16 units).

    Whether values are missing at random cannot be determined from the data alone. The paper scales
    the complete data before it removes values, which tells the model the true means; a
    user's means come from what is observed. The paper's own model is
    ``GNRImputer(mask_model="latent", prior=None, decoder="mlp")``.

    References
    ----------
    .. [1] J. Chen, Y. Xu, P. Wang, Y. Yang, "Deep Generative Imputation Model for Missing
       Not At Random Data", CIKM 2023.
    .. [2] J.-M. Cornuet, J.-M. Marin, A. Mira, C. P. Robert, "Adaptive Multiple Importance
       Sampling", Scandinavian Journal of Statistics 39(4), 2012.
    .. [3] A. F. Garcia-Fernandez, L. Svensson, M. R. Morelande, S. Sarkka, "Posterior
       Linearization Filter: Principles and Implementation Using Sigma Points", IEEE Transactions
       on Signal Processing 63(20), 2015.
    .. [4] E. L. Ionides, "Truncated Importance Sampling", Journal of Computational and Graphical
       Statistics 17(2), 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from gnr_sklearn import GNRImputer
    >>> rng = np.random.RandomState(0)
    >>> X = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], size=500)
    >>> X[X[:, 0] > 0, 0] = np.nan
    >>> imputer = GNRImputer(missing_direction="above", max_iter=300, random_state=0)
    >>> X_imputed = imputer.fit_transform(X)
    >>> X_imputed.shape, int(np.isnan(X_imputed).sum())
    ((500, 2), 0)
    >>> bool(X_imputed[np.isnan(X)].min() > np.nanmean(X[:, 0]))
    True
    """

    alpha: float | Literal["auto"] = 1.0
    mask_model: Literal["value", "latent"] = "value"
    missing_direction: MissingDirection = None
    prior: Any = "forest"
    decoder: DecoderName = "curved"
    observation_scale: ObservationScale = "feature"
    n_importance_samples: int = 10
    max_iter: int = 3000
    learning_rate: float = 1e-2
    early_stopping: bool = False

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **VAEImputer._parameter_constraints,
        "alpha": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "mask_model": [StrOptions({"value", "latent"})],
        "likelihood": [StrOptions({"auto", "gaussian"}), dict],
        "missing_direction": [StrOptions(set(DIRECTIONS_AND_BOTH)), "array-like", dict, None],
        "prior": [
            StrOptions({"forest", "low_sparsity"}),
            HasMethods(["fit", "predict", "get_params"]),
            HasMethods(["fit", "transform", "get_params"]),
            None,
        ],
    }

    # By an imputer whose choices rest on this one; else they are looked for. Without an annotation,
    # which would make a parameter of it.
    _given_blocks = cast("NDArray[np.int8] | None", None)

    _allowed_directions: ClassVar[Mapping[str, float]] = DIRECTIONS_AND_BOTH

    _parameter_docs: ClassVar[str] = f"""
        alpha : float or "auto", default=1.0
            Weight of the mask term in the objective and in the importance weights (eq.
            18). At 1 the objective bounds a likelihood; at 0 the mask is ignored and its model is
            not trained, which suits data missing at random, and less than 1e-6 counts as 0; large
            values make the model explain the mask first. "auto" chooses among 0.01, 1 and 100 with
            ``mask_model="latent"``, as the paper does, and else among 0.01, 0.1 and 1, by how well
            it imputes observed values that are removed by the fitted process (see Notes).
        mask_model : {{"value", "latent"}}, default="value"
            What the mask depends on: each value itself, or the latent variable, which a mask
            decoder sees beside the data decoder as in the paper. With "value" the encoder "zero"
            sees the mask too.
        likelihood : {{"auto", "gaussian"}} or dict, default="auto"
{LIKELIHOOD_OF_COLUMNS}
            With ``mask_model="value"`` and ``scaling="observed"``, "auto" also chooses the
            logarithm, or that of 1 + x without rounding, for numbers whose small values go missing,
            as given or as chosen, if all observed ones are positive, or whole and not negative, and
            have a skewness of more than 1, and logarithms that are less skewed; beside them, also
            for numbers without missing values; but not where `min_value` is a number below 0.
            "gaussian" says that numbers are not transformed. `likelihood_` holds what was chosen.
        missing_direction : {{"above", "below", "both", "neither"}}, None, sequence or dict, \
default=None
            Which values go missing: large ("above"), small ("below"), or large and small ones
            ("both"), for all features, one entry each, or a dict by names or places of features, as
            in ``{{"income": "both"}}``. "neither" says that a feature's values have nothing to do
            with its being missing; None, and a feature that the dict leaves out, is left to be
            chosen from the data (see Notes). "both" goes with features that do not share a process
            (`scaling`).
            Used with ``mask_model="value"`` only; entries for features without missing values, or
            whose categories have no order, are ignored. What is missing with others (see Notes)
            counts once. What is imputed may lie beyond all values seen: if a number cannot be
            negative, say so by `min_value` or `likelihood`, and if what lies below a known limit is
            missing, such as one of detection, give it as `max_value`.
        prior : "forest", regressor, "low_sparsity", imputer or None, default="forest"
            "forest", or a regressor that is cloned for each feature with missing values: chained
            regressions that share in what is imputed (see Notes). A forest sees the 20 other
            columns that correlate most with its own, a regressor all of them. A feature without
            missing values in `fit` has none: what is missing of it later is imputed by z alone.
            Predictions out of sample are its ``oob_prediction_`` if it has ``oob_score=True``, else
            those of five folds.
            "low_sparsity", or an imputer: the auxiliary variable u of eq. 9 to 14, beside
            `side_info`, is the half of the features, rounded down, with the fewest missing
            values, categories left aside, or the row as the imputer completes it. The imputer is
            cloned and fitted to X as numbers, and must complete a row deterministically and
            independently of other rows. Because a completed row contains the observed values
            themselves, little can be learned about how far to trust the imputer: imputed values
            stay close to the prior's.
        decoder : {{"mlp", "linear", "curved"}}, default="curved"
            Whether the decoders have hidden layers, are affine in z, or affine plus a network with
            one hidden layer, of the first of the widths, whose output has a penalty, a larger one
            with fewer than 1000 rows: affine where there are no data, and curved where data ask for
            it. The mask decoder of ``mask_model="latent"`` is affine with "curved".
        """

    _attribute_docs: ClassVar[str] = """
        likelihood_ : ndarray of shape (`n_features_in_`,), dtype object
            The distribution of each feature, as given or as chosen; None for those left out.
        prior_ : estimator, ChainedRegressions or None
            The fitted imputer of `prior`, or the regressions.
        prior_share_ : float or None
            The share of the regressions in what is imputed of numbers, from 0 to 1/2; None without.
        missing_direction_ : ndarray of shape (`n_features_in_`,), dtype object
            "above", "below", "both", or None where values are taken to be missing at random: as
            given, or as chosen. None without ``mask_model="value"``, like the attributes below.
        missing_threshold_ : ndarray of shape (`n_features_in_`,)
            Where the step of P(missing | value) is, the upper one of "both", in units of the data;
            NaN for features without observed values or direction.
        missing_lower_threshold_ : ndarray of shape (`n_features_in_`,)
            Where the lower step of "both" is; NaN for other features.
        missing_slope_ : ndarray of shape (`n_features_in_`,)
            The slope a of the step, in one over units of the data: 1 / a is the standard deviation
            of the normal distribution whose distribution function the step is.
        missing_floor_ : ndarray of shape (`n_features_in_`,)
            P(missing) of values far from the threshold on the side where they are kept; of "both",
            between the two.
        missing_ceiling_ : ndarray of shape (`n_features_in_`,)
            P(missing) of values far from the threshold on the side where they are lost.
        missing_blocks_ : ndarray of int of shape (n_blocks, `n_features_in_`)
            What rows lack together (see Notes): in each block, 1 for features that lead it, 2 for
            those that follow, and 0 for others. The chances above are those of values that are not
            missing for sure.
        """

    @property
    def _module_class(self) -> type[nn.Module]:
        return ValueGNR if self.mask_model == "value" else GNR

    def _module_params(self, values: FloatArray) -> dict[str, Any]:
        missing = np.isnan(values)
        params: dict[str, Any] = {"blocks": self._blocks.tolist()}
        if self.prior == "low_sparsity":
            order = np.argsort(missing.sum(axis=0), kind="stable")
            numbers = order[~self._discrete.is_discrete[order]]
            params["auxiliary_features"] = tuple(sorted(numbers[: values.shape[1] // 2].tolist()))
        if self.mask_model == "value":
            not_in_block = ~in_blocks(self._blocks, missing)
            params["missing_fraction"] = missing.mean(axis=0, where=not_in_block).tolist()
            params["missing_direction"] = self._directions.tolist()
            params["shared_process"] = self._shares_scale
            if not self._shares_scale:
                counts = [_counts(column) for column in values.T]
                params["is_tied"] = [
                    bool(each.max(initial=0) >= TIED * max(each.sum(), 1)) for each in counts
                ]
                are_few = [len(each) <= min(FEW_LEVELS, each.sum() / TIMES) for each in counts]
                # Of categories that are ordered, levels that nobody has seen are none.
                params["has_few_levels"] = (are_few & ~self._discrete.is_discrete).tolist()
        return params

    def _parameter_groups(self, n_rows: int) -> list[tuple[str, dict[str, float]]]:
        ceilings = ("*.ceiling_deviation", {"weight_decay": CEILING_PRECISION / n_rows})
        return [*super()._parameter_groups(n_rows), ceilings]

    @property
    def _prior_imputer(self) -> Any | None:
        is_other = isinstance(self.prior, str | type) or hasattr(self.prior, "predict")
        return None if is_other else self.prior

    @property
    def _regressor(self) -> Any | None:
        if self.prior == "forest":
            return default_forest()
        return self.prior if hasattr(self.prior, "predict") else None

    def _before_training(self, values: FloatArray, seed: int) -> None:
        if isinstance(self.prior, type) or (
            hasattr(self.prior, "__sklearn_tags__")
            and (is_classifier(self.prior) or is_clusterer(self.prior))
        ):
            raise TypeError(
                f"prior must be an instance of a regressor or an imputer, got {self.prior!r}."
            )
        is_checked = not get_config()["skip_parameter_validation"]
        if is_checked and hasattr(self.prior, "_parameter_constraints"):
            # Else they are found to be wrong after training, when it is fitted.
            self.prior._validate_params()
        # Asked for by callbacks that impute in training.
        self.prior_: Any = None
        self.prior_share_: float | None = None
        self._reservoir: Reservoir | None = None
        self._blocks = choose_blocks(self, values, seed)
        if self.mask_model == "latent":
            self._warn_of_unused_direction('mask_model="latent"')
        else:
            # Refuse a wrong callback before any net is trained to choose a direction.
            self._user_callbacks()
            self._directions = choose_directions(self, values, seed)
            if own_curves := self._own_curves(values):
                self._fit_units(values, own_curves)
        self.likelihood_ = self._likelihood_of_features()

    def _own_curves(self, values: FloatArray) -> dict[int, OwnCurve]:
        """Return curves of skewed features whose small values are lost, and of what is beside them.

        A power of one is linear in another by their logarithms.
        """
        if self.likelihood == "gaussian" or self.scaling != "observed":
            return {}
        said = distributions_of_columns(self.likelihood, self._names)
        is_open = ~np.isin(np.flatnonzero(~self._is_empty_feature), list(said))
        # With a bound below 0 a user says that there are negative numbers.
        is_open &= ~self._discrete.is_discrete & ~((-np.inf < self._lowest) & (self._lowest < 0))

        def curves_of(features: BoolArray) -> dict[int, OwnCurve]:
            found = {int(j): curve_of_skewed(values[:, j]) for j in np.flatnonzero(features)}
            return {feature: curve for feature, curve in found.items() if curve is not None}

        curves = curves_of(is_open & (self._directions < 0))
        return curves | curves_of(is_open & ~np.isnan(values).any(axis=0)) if curves else {}

    def _after_training(self, values: FloatArray, side: FloatArray, seed: int) -> None:
        self._describe_process()
        self.prior_, self.prior_share_ = self._auxiliary.imputer, None
        regressor = self._regressor
        if regressor is None:
            return
        # Asked of the net: the parameter may have been set anew since it was made.
        process = getattr(self._module, "process", None)
        most_rows, most_predictors = ROWS_FOR_REGRESSIONS, None
        if self.prior == "forest":
            most_predictors = MAX_PREDICTORS
            most_rows = _rows_for_forests(values.shape[1])
            regressor.set_params(max_leaf_nodes=most_rows // ROWS_OF_A_LEAF)
        # Of all calls of partial_fit; where nothing was kept, of this one.
        kept = self._reservoir or Reservoir(ROWS_FOR_REGRESSIONS)
        self._reservoir = kept.updated_with((values, side), seed)
        values, side = self._reservoir.tables
        rows = some_rows(len(values), most_rows, seed)
        seen = values[rows]
        _, by_z = self._expectations_in_both_units(seen, side[rows])
        completed = self._completed_for_net(seen, by_z)
        regressions = ChainedRegressions(
            regressor,
            process,
            seed,
            self._discrete,
            self._levels_of_net(),
            most_predictors=most_predictors,
            blocks=self._blocks,
        )
        self.prior_ = regressions.fit(completed, ~np.isnan(seen))
        self.prior_share_ = choose_share(self, self.prior_, seen, side[rows], completed, seed)

    def _mask_weight(self, values: FloatArray, side: FloatArray, seed: int) -> float:
        if self.alpha != "auto":
            return float(self.alpha)
        return choose_alpha(self, values, side, seed)

    def _describe_process(self) -> None:
        """Set what is known of how values are lost, in units of the data."""
        names = "direction", "threshold", "lower_threshold", "slope", "floor", "ceiling", "blocks"
        for name in names:
            setattr(self, f"missing_{name}_", None)
        if not hasattr(self._module, "process"):
            return
        with torch.no_grad():
            slope, intercept, log_floor, log_rise, *lower = (
                part.double().cpu().numpy() for part in self._module.process.step().of_what_is_lost
            )
        floor, ceiling = np.exp(log_floor), np.exp(np.logaddexp(log_floor, log_rise))
        is_step = slope != 0
        constant = floor + np.exp(log_rise) * ndtr(intercept)
        with np.errstate(divide="ignore", invalid="ignore"):
            steps, lower_steps = np.where(is_step, -intercept / slope, np.nan), np.nan * slope
            if lower:
                is_both = self._directions == self._allowed_directions["both"]
                lower_steps = np.where(is_both, -lower[1] / lower[0], np.nan)
        threshold = self._units.inverse_transform(steps)
        in_data_units = {
            "missing_threshold_": threshold,
            "missing_lower_threshold_": self._units.inverse_transform(lower_steps),
            "missing_slope_": np.where(
                is_step, slope * np.exp(self._units.log_derivative(threshold)), 0
            ),
            "missing_floor_": np.where(is_step, floor, constant),
            "missing_ceiling_": np.where(is_step, ceiling, constant),
        }
        modelled = ~self._is_empty_feature
        self.missing_blocks_ = np.zeros((len(self._blocks), self.n_features_in_), dtype=np.int8)
        self.missing_blocks_[:, modelled] = self._blocks
        for name, of_modelled in in_data_units.items():
            of_all = np.full(self.n_features_in_, np.nan)
            of_all[modelled] = of_modelled
            setattr(self, name, of_all)
        self.missing_direction_ = self._named_directions(self._directions)

    def _expectations(self, values: FloatArray, side: FloatArray | None = None) -> FloatArray:
        return self._both_estimates(values, side)[1]

    @property
    def _sharing_regressions(self) -> ChainedRegressions | None:
        """The regressions, if they have a share in what is imputed."""
        shares = isinstance(self.prior_, ChainedRegressions) and (
            self.prior_share_ or self._discrete
        )
        return self.prior_ if shares else None

    def _both_estimates(
        self, values: FloatArray, side: FloatArray | None
    ) -> tuple[FloatArray, FloatArray]:
        """Return the wide form by z alone, and with the share of the regressions."""
        by_z, in_net_units = self._expectations_in_both_units(values, side)
        regressions = self._sharing_regressions
        if regressions is None:
            return by_z, by_z
        chained = self._chained(values, by_z, in_net_units, regressions)
        share = np.full(by_z.shape[1], LARGEST_SHARE)
        share[: len(self._discrete.numbers)] = self.prior_share_
        return by_z, (1.0 - share) * by_z + share * chained

    def _chained(
        self,
        values: FloatArray,
        by_z: FloatArray,
        in_net_units: FloatArray,
        regressions: ChainedRegressions,
    ) -> FloatArray:
        """Return what regressions make of the wide form that z completes, given in both units."""
        chained = np.empty_like(by_z)
        numbers = self._discrete.numbers
        curved = np.isin(numbers, self._units.curved)
        for chunk in gen_batches(len(values), COMPLETED_ROWS):
            missing = np.isnan(values[chunk])
            completed = self._completed_for_net(values[chunk], in_net_units[chunk])
            imputed, lost = regressions.impute(completed, ~missing)
            in_data_units = self._wide_in_data_units(imputed)
            for place in np.flatnonzero(curved):
                # On a curve, the expectation in units of the data is not that of the net's.
                feature = numbers[place]
                expected = by_z[chunk][missing[:, feature], place]
                if feature in lost:
                    units = self._units.select(np.array([feature]))
                    expected = units.expectation(lost[feature])[:, 0]
                in_data_units[missing[:, feature], place] = expected
            chained[chunk] = self._within_bounds(in_data_units)
        return chained

    def _completed_without(self, feature: int, values: FloatArray, side: FloatArray) -> FloatArray:
        """Complete the wide form without one feature, as if nobody knew its values nor its mask."""
        others = values.copy()
        others[:, feature] = np.nan
        with self._module.process.leaving_out(feature):
            _, in_net_units = self._expectations_in_both_units(others, side)
        return self._completed_for_net(others, in_net_units)

    def _adjusted(
        self, draws: FloatArray, values: FloatArray, side: FloatArray, generator: torch.Generator
    ) -> FloatArray:
        if self._sharing_regressions is None:
            return draws
        by_z, joined = self._both_estimates(values, side)
        numbers, curves = self._discrete.numbers, self._units.curves
        # In what numbers are moved: on their curves, so that they stay where these are.
        straight = draws.copy()
        table = np.zeros((2, *values.shape))
        table[..., numbers] = np.stack([by_z, joined])[..., : len(numbers)]
        if curves is not None:
            straight[..., numbers] = curves.transform(straight)[..., numbers]
            table = curves.transform(table)
        missing = np.isnan(values)
        straight += np.where(missing, table[1] - table[0], 0.0)
        adjusted = self._clip(straight if curves is None else curves.inverse_transform(straight))
        if self._units.rating_range is not None:
            adjusted = np.clip(adjusted, *self._units.rating_range)
        for feature in self._discrete.levels:
            lost = np.flatnonzero(missing[:, feature])
            cells = np.ix_(lost, self._discrete.columns_of(feature))
            uniform = torch.rand(
                (2, len(draws), len(lost)), generator=generator, device=generator.device
            )
            adjusted[:, lost, feature] = _moved_levels(
                np.rint(draws[:, lost, feature]).astype(np.intp),
                by_z[cells],
                joined[cells],
                uniform.cpu().numpy(),
            )
        return adjusted

    def _completed_for_net(self, values: FloatArray, imputed: FloatArray) -> FloatArray:
        """Complete the wide form, in the units of the net, and as far out as it sees them."""
        observed = self._discrete.widen(values)
        numbers = self._discrete.numbers
        parts = self._units.select(numbers).transform(observed[:, : len(numbers)])
        scaled = np.hstack([parts, observed[:, len(numbers) :]])
        completed = np.where(np.isnan(scaled), imputed, scaled)
        return np.clip(completed, -MAX_VALUE, MAX_VALUE)


def _counts(column: FloatArray) -> NDArray[np.intp]:
    """Count how often each of the observed values comes."""
    return np.unique(column[~np.isnan(column)], return_counts=True)[1]


def _moved_levels(
    drawn: NDArray[np.intp], chances: FloatArray, wanted: FloatArray, uniform: FloatArray
) -> NDArray[np.intp]:
    """Turn levels drawn with some probabilities into levels that have the wanted ones.

    As few as can be are moved (a maximal coupling): the others go on depending on what was drawn
    for the other values of their rows. Levels are (n_draws, n_rows), probabilities
    (n_rows, n_levels), uniform numbers (2, n_draws, n_rows).
    """
    rows = np.arange(len(chances))
    stays, place = uniform
    least = np.finfo(np.float64).tiny
    kept = np.minimum(wanted / np.maximum(chances, least), 1.0)[rows, drawn]
    # Where rounding leaves no level that gains, none is moved.
    gains = np.cumsum(np.maximum(wanted - chances, 0.0), axis=1)
    moved = (place[..., np.newaxis] * gains[:, -1:] >= gains[:, :-1]).sum(axis=-1)
    return np.where((stays < kept) | (gains[:, -1] == 0), drawn, moved)


def _rows_for_forests(n_features: int) -> int:
    """Return how many rows forests are fitted to at most."""
    of_wide = ROWS_FOR_REGRESSIONS * MAX_PREDICTORS // n_features
    return min(ROWS_FOR_REGRESSIONS, max(of_wide, MIN_ROWS_FOR_FORESTS))
