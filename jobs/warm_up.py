"""Compile every kernel by running a little of everything, so that nobody waits for it later."""

import sys

from producers.exchanges.bitstamp import BitstampParser
from producers.exchanges.coinbase import CoinbaseParser
from producers.exchanges.kraken import KrakenParser
from producers.frames import Frame
from producers.simulator.engine import frames
from producers.simulator.listings import LISTINGS
from producers.simulator.orderflow import Market
from quicksilver.config import PipelineConfig
from quicksilver.events import Price
from quicksilver.pipeline import Pipeline
from quicksilver.portfolio.stage import PortfolioConfig

_COINBASE = (
    b'{"channel":"l2_data","timestamp":"2026-01-01T00:00:00Z","sequence_num":0,"events":[{"type":"snapshot",'
    b'"product_id":"BTC-USD","updates":[{"side":"bid","price_level":"1","new_quantity":"1"}]}]}'
)
_BITSTAMP = b'{"event":"data","channel":"diff_order_book_btcusd","data":{"microtimestamp":"1","bids":[["1","2"]]}}'


def warm_up() -> None:
    """Run each parser and each kernel of the pipeline once; what is compiled is kept beside the source."""
    CoinbaseParser().parse(Frame("coinbase", "c", "recv", 0, _COINBASE))
    BitstampParser().parse(Frame("bitstamp", "b", "recv", 0, _BITSTAMP))
    pipeline = Pipeline(PipelineConfig(portfolio=PortfolioConfig(min_observations=2, n_portfolios=2_000)))
    parser = KrakenParser("sim")
    for ts_ns, payload in frames(Market(1, 1_700_000_000_000_000_000), list(LISTINGS), 100, 1_500):
        for event in parser.parse(Frame("sim", "s", "recv", ts_ns, payload)):
            pipeline.step(event)
    pipeline.step(Price("csv", "A-B", 1, 1_700_000_000_000_000_000, 0, 1.0))


if __name__ == "__main__":
    try:
        warm_up()
    except KeyboardInterrupt:
        sys.exit(130)
