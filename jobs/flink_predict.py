"""Features, labels and data states -> predictions and scores, by instrument; deployed predictors come from their topic.

Submitted by ``quicksilver jobs submit predict``.
"""

from pyflink.datastream import StreamExecutionEnvironment

from jobs import flink
from quicksilver.streaming.predictions import PredictionMachine
from quicksilver.topics import DEPLOYMENTS, FEATURES, LABELS, STATUS

NAME = "predict"


def build(env: StreamExecutionEnvironment, settings: flink.FlinkSettings) -> None:
    """Describe the job."""
    records = flink.read(env, settings, NAME, [FEATURES, LABELS, STATUS, DEPLOYMENTS])
    flink.write(flink.run_machine(records, NAME, PredictionMachine, flink.by_instrument), settings, NAME)


if __name__ == "__main__":
    flink.run(NAME, build)
