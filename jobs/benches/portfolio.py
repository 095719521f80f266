"""The live frontier beside numpy's draw-and-evaluate, and beside the bare matrix product that bounds it."""

import numpy as np

from jobs.benches.measure import Row, rate_row, seconds
from quicksilver.portfolio.bank import PortfolioBank, draw
from quicksilver.portfolio.picks import pareto, picks

N, ASSETS = 100_000, 30


def rows() -> list[Row]:
    """Return the frontier's rows."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(ASSETS, ASSETS)) * 1e-4
    covariance, mean = mix @ mix.T / ASSETS, rng.normal(size=ASSETS) * 1e-6
    bank, single = PortfolioBank(N, ASSETS, 1), draw(N, ASSETS, 1)
    covariance_32, out = covariance.astype(np.float32), np.empty((N, ASSETS), np.float32)

    def update() -> None:
        """Evaluate the bank and pick from it, as at each update of a frontier."""
        means, risks = bank.evaluate(mean, covariance)
        pareto(means, risks, 40)
        picks(mean, covariance)

    def numpy_double() -> None:
        """Draw as many portfolios and evaluate them in float64, as numpy alone would."""
        weights = rng.dirichlet(np.ones(ASSETS), N)
        np.sqrt(np.einsum("ij,ij->i", weights @ covariance, weights))
        weights @ mean

    def product() -> None:
        """Do the one matrix product without which no evaluation is possible, in float32."""
        np.dot(single, covariance_32, out=out)

    ours, double, bare = seconds(update, numpy_double, product)
    name = f"frontier update, {N:,} x {ASSETS} ({ours * 1e3:.1f} ms)"
    return [
        rate_row(name, "M portfolios/s", N / ours / 1e6, "numpy float64 draw and evaluate", N / double / 1e6),
        rate_row(name, "M portfolios/s", N / ours / 1e6, "bare float32 matrix product", N / bare / 1e6),
    ]
