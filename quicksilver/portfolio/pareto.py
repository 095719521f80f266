"""Which portfolios none beats."""

import numpy as np
from numpy.typing import NDArray

from quicksilver.events import FloatArray


def efficient(risks: FloatArray, means: FloatArray) -> NDArray[np.int64]:
    """Return the indices of the portfolios that no calmer one equals in mean, by rising risk and rising mean."""
    order = np.lexsort((-means, risks))
    rising = means[order]
    best = np.concatenate([[-np.inf], np.maximum.accumulate(rising)[:-1]])
    return order[rising > best]
