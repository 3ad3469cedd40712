"""Numbers that the paper reports, to stand beside what is measured here.

J. Chen, Y. Xu, P. Wang, Y. Yang, "Deep Generative Imputation Model for Missing Not At Random
Data", CIKM 2023.
"""

# Table 1: RMSE on columns that are drawn from a normal distribution, means of five runs.
TABLE1: dict[str, dict[str, float]] = {
    "MIWAE": {
        "20%": 1.06,
        "80%": 1.45,
        "100%": 1.71,
        "*, 100%": 1.7,
        "and 20% MCAR, 80%": 1.27,
    },
    "not-MIWAE": {
        "20%": 0.94,
        "80%": 1.26,
        "100%": 1.33,
        "*, 100%": 1.38,
        "and 20% MCAR, 80%": 1.16,
    },
    "PSMVAE": {
        "20%": 0.98,
        "80%": 1.17,
        "100%": 1.39,
        "*, 100%": 1.31,
        "and 20% MCAR, 80%": 1.25,
    },
    "GNR": {
        "20%": 0.87,
        "80%": 0.91,
        "100%": 1.14,
        "*, 100%": 1.15,
        "and 20% MCAR, 80%": 1.04,
    },
    "mean": {
        "20%": 1.05,
        "80%": 1.45,
        "100%": 1.71,
        "*, 100%": 1.71,
        "and 20% MCAR, 80%": 1.26,
    },
    "MICE": {
        "20%": 1.05,
        "80%": 1.45,
        "100%": 1.71,
        "*, 100%": 1.71,
        "and 20% MCAR, 80%": 1.29,
    },
    "MissForest": {
        "20%": 1.11,
        "80%": 1.49,
        "100%": 1.74,
        "*, 100%": 1.76,
        "and 20% MCAR, 80%": 1.36,
    },
}

# Table 2: RMSE at 20, 80 and 100% self-masking, means of five runs.
TABLE2: dict[str, dict[str, tuple[float, float, float]]] = {
    "wine_white": {
        "MIWAE": (1.04, 1.25, 1.55),
        "not-MIWAE": (0.91, 1.04, 1.18),
        "PSMVAE": (0.94, 1.09, 1.21),
        "GNR": (0.87, 0.93, 1.02),
        "mean": (1.32, 1.59, 1.74),
        "MICE": (1.05, 1.21, 1.41),
        "MissForest": (0.82, 1.15, 1.63),
    },
    "abalone": {
        "MIWAE": (0.63, 0.44, 0.80),
        "not-MIWAE": (0.52, 0.43, 0.94),
        "PSMVAE": (0.45, 0.47, 0.74),
        "GNR": (0.33, 0.41, 0.47),
        "mean": (1.05, 1.39, 1.69),
        "MICE": (0.54, 0.58, 0.61),
        "MissForest": (0.53, 0.55, 1.32),
    },
    "banknote": {
        "MIWAE": (0.36, 0.81, 1.26),
        "not-MIWAE": (0.31, 0.46, 1.06),
        "PSMVAE": (0.33, 0.43, 0.97),
        "GNR": (0.30, 0.40, 0.72),
        "mean": (1.12, 1.46, 1.73),
        "MICE": (0.69, 0.98, 1.41),
        "MissForest": (0.35, 0.74, 1.28),
    },
    "yeast": {
        "MIWAE": (1.07, 1.51, 1.73),
        "not-MIWAE": (0.97, 1.28, 1.52),
        "PSMVAE": (0.99, 1.14, 1.28),
        "GNR": (0.84, 0.87, 0.98),
        "mean": (1.13, 1.52, 1.73),
        "MICE": (1.04, 1.42, 1.76),
        "MissForest": (1.05, 1.43, 1.71),
    },
    "wine_red": {
        "MIWAE": (0.98, 1.24, 1.62),
        "not-MIWAE": (0.90, 1.07, 1.25),
        "PSMVAE": (0.92, 1.19, 1.21),
        "GNR": (0.84, 1.04, 1.14),
        "mean": (1.41, 1.68, 1.84),
        "MICE": (0.94, 1.16, 1.68),
        "MissForest": (0.81, 1.09, 1.64),
    },
    "concrete": {
        "MIWAE": (0.43, 1.25, 1.70),
        "not-MIWAE": (0.42, 0.81, 1.32),
        "PSMVAE": (0.56, 0.79, 1.15),
        "GNR": (0.40, 0.69, 1.06),
        "mean": (1.15, 1.60, 1.85),
        "MICE": (0.51, 0.74, 1.69),
        "MissForest": (0.32, 0.78, 1.76),
    },
}

# Table 3: accuracy of the reconstructed mask over the columns with missing values.
TABLE3: dict[str, dict[str, tuple[float, float, float]]] = {
    "wine_white": {
        "not-MIWAE": (0.8423, 0.6849, 0.7852),
        "GNR": (0.9354, 0.9337, 0.9642),
    },
    "abalone": {
        "not-MIWAE": (0.8226, 0.7443, 0.8353),
        "GNR": (0.8779, 0.8882, 0.9814),
    },
    "banknote": {
        "not-MIWAE": (0.8312, 0.7585, 0.7248),
        "GNR": (0.8479, 0.9102, 0.9344),
    },
    "yeast": {
        "not-MIWAE": (0.8336, 0.5634, 0.5327),
        "GNR": (0.9462, 0.8976, 0.929),
    },
    "wine_red": {
        "not-MIWAE": (0.8619, 0.7324, 0.8353),
        "GNR": (0.8877, 0.9516, 0.9512),
    },
    "concrete": {
        "not-MIWAE": (0.8461, 0.7075, 0.7616),
        "GNR": (0.9533, 0.9648, 0.9687),
    },
}

# RMSE at 100% self-masking of not-MIWAE whose decoder is that of probabilistic PCA, the sign of the
# slopes known: N. B. Ipsen, P.-A. Mattei, J. Frellsen, "not-MIWAE", ICLR 2021, Table 1. Its yeast
# seems to have had another number of columns (see ``protocols.YEAST_OF_SEVEN``).
NOT_MIWAE_PPCA: dict[str, float] = {
    "banknote": 0.57,
    "concrete": 1.31,
    "wine_red": 1.13,
    "wine_white": 0.99,
    "yeast without pox": 0.77,
}

# Table 4: mean squared error on Coat.
TABLE4: dict[str, float] = {
    "MIWAE": 1.38,
    "not-MIWAE": 1.29,
    "PSMVAE": 1.21,
    "GNR": 1.11,
    "MF": 1.28,
    "MF-IPS": 1.33,
    "MF-SNIPS": 1.23,
    "MF-DR": 1.31,
    "MF-DR-JL": 1.22,
    "MF-CVIB": 1.24,
    "GAIN": 1.23,
}
