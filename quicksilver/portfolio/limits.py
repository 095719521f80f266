"""The least and most of each number of a live universe."""

from quicksilver.errors import InputError
from quicksilver.portfolio.config import PortfolioConfig

LIMITS: dict[str, tuple[float, float]] = {
    "halflife": (0.1, 1e9), "min_observations": (2, 1e9), "window": (2, 1e6), "hold": (1, 1e9), "leave": (1, 1e9),
    "stale": (0, 1e9), "cash": (-1.0, 1.0), "aversion": (1e-9, 1e9), "band": (0.0, 10.0), "resamples": (0, 1e4),
    "seed": (0, 2**63 - 1), "n_portfolios": (1, 1e6), "n_cloud": (1, 1e5), "n_frontier": (2, 1e4),
}  # fmt: skip
"""The least and most of each number: beyond it means nothing, or takes more memory than there is."""
MOST_SHOWN = 40  # digits


def require_within_limits(config: PortfolioConfig) -> None:
    """Make sure that each number of a universe is within ``LIMITS``.

    Raises:
        InputError: one is not.
    """
    for name, (least, most) in LIMITS.items():
        value = getattr(config, name)
        if not least <= value <= most:
            raise InputError(f"{name} = {_shown(value)}: give {least:g} to {most:g}")


def _shown(value: float) -> str:
    """A number that may be too large to be one."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
