"""Run as a program: our training on a real Spark, and Spark's own logistic regression of the same examples."""

import math

import msgspec
import numpy as np
from msgspec.structs import replace
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession

from jobs.spark import session
from jobs.spark_tables import schema_of
from jobs.training_frames import trained_on
from quicksilver.models.online import MODEL_FEATURES
from quicksilver.models.trained import Z_LIMIT, TrainedModel
from quicksilver.models.training import TrainConfig
from quicksilver.records import Direction, Features, Label, Model
from quicksilver.tables import TABLES

SECOND = 1_000_000_000
N = 1_200
CONFIG = TrainConfig(folds=3)


def rows() -> tuple[list[Features], list[Label]]:
    """Two instruments; the first has enough examples. Features between decisions have no label."""
    rng = np.random.default_rng(9)
    features, labels = [], []
    for symbol, n in (("A-USD", N), ("B-USD", 100)):
        values = rng.normal(size=(2 * n, len(MODEL_FEATURES)))
        for i, row in enumerate(values.tolist()):
            known = dict(zip(MODEL_FEATURES, row, strict=True))
            if i % 11 == 0:
                known["vpin"] = None
            ts = i * SECOND // 2  # spans FULL_WEIGHT horizons, so that the penalty is what the config says
            vector = (known.get(name) for name in Features.__struct_fields__[5:])
            features.append(Features("v", symbol, i + 1, ts, ts, *vector))
            if i % 2 == 0:
                move = row[0] + rng.normal()
                direction: Direction = 1 if move > 0.8 else -1 if move < -0.8 else 0
                labels.append(Label("v", symbol, i + 1, ts, ts, SECOND, ts + SECOND + 1, 1.0, 1.0, move, direction))
    return features, labels


def frame(spark: SparkSession, topic: str, records: list[Features] | list[Label], partitions: int) -> DataFrame:
    mixed = [TABLES[topic].row(records[i]) for i in np.random.default_rng(partitions).permutation(len(records))]
    return spark.createDataFrame(mixed, schema_of(TABLES[topic])).repartition(partitions)


def sparks_own(spark: SparkSession, model: Model, features: list[Features], labels: list[Label]) -> dict[str, float]:
    """Compare with Spark's own: its coefficients applied by ``TrainedModel``, and its probabilities with ours."""
    ours, head = TrainedModel(model), model.heads[0]
    direction = {(one.symbol, one.seq): one.direction for one in labels}
    known = [one for one in features if one.symbol == model.symbol and (one.symbol, one.seq) in direction]
    z = np.nan_to_num((np.array([ours.inputs(one) for one in known]) - head.means) / head.scales)
    z = np.clip(z, -Z_LIMIT, Z_LIMIT)
    examples = [
        (float(direction[one.symbol, one.seq] + 1), Vectors.dense(row)) for one, row in zip(known, z, strict=True)
    ]
    examples += [(float(label), Vectors.dense(np.zeros(z.shape[1]))) for label in range(3)]
    data = spark.createDataFrame(examples, ["label", "features"])
    fitted = LogisticRegression(
        family="multinomial", regParam=CONFIG.penalty, standardization=False, tol=1e-12, maxIter=1000
    ).fit(data)
    theirs = np.array([row["probability"].toArray() for row in fitted.transform(data).collect()])[: len(known)]
    weights, intercepts = fitted.coefficientMatrix.toArray().tolist(), fitted.interceptVector.toArray().tolist()
    copied = TrainedModel(replace(model, heads=[replace(head, weights=weights, intercepts=intercepts)]))
    applied = np.array([copied.predict(SECOND, copied.inputs(one)) for one in known])
    mine = np.array([ours.predict(SECOND, ours.inputs(one)) for one in known])
    return {"applied": float(np.abs(applied - theirs).max()), "fitted": float(np.abs(mine - theirs).max())}


def main() -> None:
    features, labels = rows()
    with session("test", "local[2]", conf={"spark.sql.shuffle.partitions": "3"}) as spark:
        found = [
            trained_on(frame(spark, "features", features, n), frame(spark, "labels", labels, n), CONFIG) for n in (1, 5)
        ]
        (model,), too_few = found[0]
        difference = sparks_own(spark, model, features, labels)
    (head,) = model.heads
    assert math.isfinite(head.log_loss)
    told = {"same": found[0] == found[1], "too_few": too_few, "n_train": head.n_train, **difference}
    print(msgspec.json.encode({**told, "gain": head.accuracy - head.baseline_accuracy}).decode())  # noqa: T201


if __name__ == "__main__":
    main()
