"""Events of all instruments -> frontiers, by their producers' universe; what is computed comes from topic universes.

Submitted by ``quicksilver jobs submit portfolio``.
"""

from pyflink.datastream import StreamExecutionEnvironment

from jobs import flink
from quicksilver.streaming.portfolio import PortfolioMachine
from quicksilver.topics import BOOKS, PRICE, TRADES, UNIVERSES

NAME = "portfolio"


def build(env: StreamExecutionEnvironment, settings: flink.FlinkSettings) -> None:
    """Describe the job."""
    events = flink.read(env, settings, NAME, [BOOKS, TRADES, PRICE, UNIVERSES], by="u")
    flink.write(flink.run_machine(events, NAME, PortfolioMachine, flink.by_universe), settings, NAME)


if __name__ == "__main__":
    flink.run(NAME, build)
