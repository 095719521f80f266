"""Run as a program: prints the version of a card of each type in the zoo, one JSON object."""

import json

import msgspec

from quicksilver.learning.datasets import frame_of
from quicksilver.learning.histories import HistoryBuilder
from quicksilver.learning.training import trained
from quicksilver.learning.zoo import ZOO
from tests.quicksilver.learning.test_predictor import CONFIG, rows


def versions() -> dict[str, str]:
    found = {}
    history = HistoryBuilder(CONFIG.features).take_all(rows(800)).histories()
    for name, kind in ZOO.items():
        if name == "deeplob":  # it needs PyTorch, which need not be there
            continue
        target = "direction" if kind.direction is not None else "return"
        config = msgspec.structs.replace(CONFIG, type=name, target=target)
        found[name] = trained(name, frame_of(history, config), config, "code").version
    return found


if __name__ == "__main__":
    print(json.dumps(versions()))  # noqa: T201
