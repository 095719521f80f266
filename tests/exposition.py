"""What a scrape says, read by Prometheus' own parser."""

from collections.abc import Callable
from typing import TypeAlias

from prometheus_client.parser import text_string_to_metric_families

Samples: TypeAlias = Callable[..., float]


def samples(text: str) -> Samples:
    """Return how to look a sample up by its name and all of its labels."""
    found = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    def value(name: str, /, **labels: str) -> float:
        return found[name, tuple(sorted(labels.items()))]

    return value
