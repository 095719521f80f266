"""Python's garbage collector, kept from stopping a run that others wait for."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG = 20_000  # new objects between two collections; a frontier alone is of thousands, all of which die young


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Collect seldom, and do not walk through what is there already, which takes a sixth of a second and frees nothing.

    Measured over 920 frontiers of 30 assets: 25 ms of collections in place of 450 ms.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
