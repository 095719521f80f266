"""Books, trades and prices -> status, candles, labels, features, tops and, if asked for, full books, by instrument.

Submitted by ``quicksilver jobs submit features``.
"""

from functools import partial

from pyflink.datastream import StreamExecutionEnvironment

from jobs import flink
from quicksilver.config import PipelineConfig
from quicksilver.streaming.instruments import FeatureMachine
from quicksilver.topics import BOOKS, PRICE, TRADES

NAME = "features"


def build(env: StreamExecutionEnvironment, settings: flink.FlinkSettings) -> None:
    """Describe the job."""
    events = flink.read(env, settings, NAME, [BOOKS, TRADES, PRICE])
    machine = partial(FeatureMachine, config=settings.of(PipelineConfig()))
    flink.write(flink.run_machine(events, NAME, machine), settings, NAME)


if __name__ == "__main__":
    flink.run(NAME, build)
