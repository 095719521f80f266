"""Compile every kernel by running a little of everything, so that nobody waits for it later."""

import sys

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
from quicksilver.portfolio.config import PortfolioConfig


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


if __name__ == "__main__":
    try:
        warm_up()
    except KeyboardInterrupt:
        sys.exit(130)
