"""Events of all instruments -> frontiers, by universe.

Submitted by ``quicksilver jobs submit portfolio``.
"""

from pyflink.datastream import StreamExecutionEnvironment

from jobs import flink
from quicksilver.streaming.portfolio import PortfolioMachine
from quicksilver.topics import BOOKS, PRICE, TRADES

NAME = "portfolio"


def build(env: StreamExecutionEnvironment, settings: flink.FlinkSettings) -> None:
    """Describe the job."""
    events = flink.read(env, settings, NAME, [BOOKS, TRADES, PRICE], by="u")
    flink.write(flink.run_machine(events, NAME, PortfolioMachine, flink.by_universe), settings, NAME)


if __name__ == "__main__":
    flink.run(NAME, build)
