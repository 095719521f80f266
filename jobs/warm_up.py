"""Compile every kernel by running a little of everything, so that nobody waits for it later."""

import sys

import numpy as np

from producers.exchanges.kraken import KrakenParser
from producers.exchanges.venue import venues
from producers.frames import Frame
from producers.fuzz.samples import session
from producers.simulator.frames import frames
from producers.simulator.listings import LISTINGS
from producers.simulator.orderflow import Market
from quicksilver.config import PipelineConfig
from quicksilver.events import Price
from quicksilver.pipeline import Pipeline
from quicksilver.portfolio.choosing import Chooser
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.constraints import Constraints
from quicksilver.portfolio.risks import NAMES


def warm_up() -> None:
    """Run each parser and each kernel of the pipeline once; what is compiled is kept beside the source."""
    for name, venue in venues().items():
        parser = venue.parser(name)
        for frame in session(name, 1_700_000_000_000_000_000):
            parser.parse(frame)
    pipeline = Pipeline(PipelineConfig(portfolios=(PortfolioConfig(min_observations=2, n_portfolios=2_000),)))
    simulated = KrakenParser("sim")
    for ts_ns, payload in frames(Market(1, 1_700_000_000_000_000_000), list(LISTINGS), 100, 1_500):
        for event in simulated.parse(Frame("sim", "s", "recv", ts_ns, payload)):
            pipeline.step(event)
    pipeline.step(Price("csv", "A-B", 1, 1_700_000_000_000_000_000, 0, 1.0))
    _choose()


def _choose() -> None:
    """Choose portfolios by each risk, with all kinds of constraints: else the first frontier would wait for them."""
    rng, assets = np.random.default_rng(1), ["A-USD", "B-USD", "C-USD"]
    returns = rng.normal(1e-4, 1e-3, (40, len(assets)))
    held = {"A-USD": 0.5, "B-USD": 0.5}
    for constraints in (Constraints(), Constraints(cap=0.8, turnover=0.9, current=held), Constraints(most_assets=2)):
        for risk in NAMES:
            config = PortfolioConfig(constraints=constraints, risk=risk, window=30, n_portfolios=2_000, n_frontier=5)
            chooser = Chooser(config, assets)
            for i, row in enumerate(returns):
                chooser.returned(row)
                if i > 30:
                    chooser.choose(returns[:i].mean(axis=0), np.cov(returns[:i].T))


if __name__ == "__main__":
    try:
        warm_up()
    except KeyboardInterrupt:
        sys.exit(130)
