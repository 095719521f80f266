"""Features and labels on Spark -> trained models: each instrument and horizon is one task.

However many cores there are: the sums of a fit that is spread over workers would depend on how its rows are, and the
same data would give other models.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark import cloudpickle

from quicksilver import codec
from quicksilver.errors import InputError
from quicksilver.models.training import Examples, TrainConfig, Trained, digest, model_of, train
from quicksilver.records import Model, ModelHead

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

RESULT = (
    "venue string, symbol string, horizon_ns bigint, head binary, digest string, first bigint, last bigint, why string"
)
JOIN = ["venue", "symbol", "seq", "ts_event_ns"]

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # type: ignore[no-untyped-call]  # workers on other machines are sent the core, and this with the task


def trained_on(
    features: "DataFrame", labels: "DataFrame", config: TrainConfig, horizons_ns: Sequence[int] = ()
) -> tuple[list[Model], list[str]]:
    """Return a model of each instrument that has enough examples, and a sentence for each horizon that has not.

    The frames have the columns of their tables.
    """
    if horizons_ns:
        labels = labels.where(labels["horizon_ns"].isin(list(horizons_ns)))
    outcomes = labels.select(*JOIN, "horizon_ns", "ts_known_ns", "direction")
    examples = outcomes.join(features.select(*JOIN, *config.features), JOIN)

    def fit(group: "pd.DataFrame") -> "pd.DataFrame":
        """Fit one instrument and horizon; runs on a Spark worker."""
        return _fit(group, config)

    rows = examples.groupBy("venue", "symbol", "horizon_ns").applyInPandas(fit, RESULT).collect()
    rows.sort(key=lambda row: (row["venue"], row["symbol"], row["horizon_ns"]))
    found: dict[tuple[str, str], list[Trained]] = {}
    for row in rows:
        if not row["why"]:
            head = codec.decode(ModelHead, bytes(row["head"]))
            one = Trained(head, row["digest"], row["first"], row["last"])
            found.setdefault((row["venue"], row["symbol"]), []).append(one)
    too_few = [f"{row['venue']}:{row['symbol']}: {row['why']}" for row in rows if row["why"]]
    return [model_of(*key, trained, config) for key, trained in found.items()], too_few


def _fit(group: "pd.DataFrame", config: TrainConfig) -> "pd.DataFrame":
    """One instrument's and horizon's examples to one row of ``RESULT``."""
    import pandas as pd

    first = group.iloc[0]
    horizon_ns = int(first["horizon_ns"])
    examples = Examples(
        group[list(config.features)].to_numpy("float64"), group["ts_event_ns"].to_numpy("int64"),
        group["ts_known_ns"].to_numpy("int64"), group["direction"].to_numpy("int64"),
    ).in_order(group["seq"].to_numpy("int64"))  # fmt: skip
    head, why = b"", ""
    try:
        head = codec.encode(train(examples, horizon_ns, config))
    except InputError as error:
        why = str(error)
    row = (
        first["venue"], first["symbol"], horizon_ns, head, digest(examples, horizon_ns, config),
        int(examples.ts_ns[0]), int(examples.ts_ns[-1]), why,
    )  # fmt: skip
    return pd.DataFrame([row], columns=[column.split()[0] for column in RESULT.split(", ")])
