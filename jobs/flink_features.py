"""Books, trades and prices -> status, candles, labels, features and tops, by instrument.

Submitted by ``quicksilver jobs submit features``.
"""

from pyflink.datastream import StreamExecutionEnvironment

from jobs import flink
from quicksilver.streaming.instruments import FeatureMachine
from quicksilver.topics import BOOKS, PRICE, TRADES

NAME = "features"


def build(env: StreamExecutionEnvironment, settings: flink.FlinkSettings) -> None:
    """Describe the job."""
    events = flink.read(env, settings, NAME, [BOOKS, TRADES, PRICE])
    flink.write(flink.run_machine(events, NAME, FeatureMachine), settings, NAME)


if __name__ == "__main__":
    flink.run(NAME, build)
