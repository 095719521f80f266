"""Prices of all instruments -> frontiers, by universe.

It reads events, not features: only then is it known that nothing of a moment is still to come, and prices can be taken
in the order in which their producer saw them. Submitted by ``quicksilver jobs submit portfolio``.
"""

from pyflink.common import Types
from pyflink.datastream import StreamExecutionEnvironment

from jobs import flink
from jobs.keyed import message_of
from quicksilver.streaming.portfolio import SAMPLES, PortfolioMachine, SampleMachine
from quicksilver.topics import BOOKS, PRICE, TRADES

NAME = "portfolio"


def build(env: StreamExecutionEnvironment, settings: flink.FlinkSettings) -> None:
    """Describe the job."""
    events = flink.read(env, settings, NAME, [BOOKS, TRADES, PRICE])
    made = flink.run_machine(events, f"{NAME}-samples", SampleMachine)
    samples = made.filter(lambda one: message_of(one).topic == SAMPLES)
    letters = made.filter(lambda one: message_of(one).topic != SAMPLES)
    universes = samples.key_by(lambda one: message_of(one).key, Types.STRING())
    flink.write(flink.run_machine(universes, NAME, PortfolioMachine, message_of), settings, NAME)
    flink.write(letters, settings, f"{NAME}-letters")


if __name__ == "__main__":
    flink.run(NAME, build)
