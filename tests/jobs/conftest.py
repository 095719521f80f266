"""What tests of several jobs share: a process whose Java stays."""

from collections.abc import Iterator

import pytest

from tests.jobs.one_java import OneJava


@pytest.fixture(scope="session")
def one_java() -> Iterator[OneJava]:
    """Commands on Spark without connectors."""
    made = OneJava()
    yield made
    made.close()
