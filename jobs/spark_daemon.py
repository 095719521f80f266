"""Spark's Python daemon, from which workers are forked, without the archives that Spark puts on their path.

Before each task a worker calls ``importlib.invalidate_caches``, which up to Python 3.12 reads the directory of every
archive on the path anew: Spark's core jar has 5,000 entries, which is 0.15 s a task. All that a worker imports of
them is installed beside this code. See ``spark.python.daemon.module`` in ``PythonWorkerFactory.scala``.
"""

import sys
from pathlib import Path


def without_archives(path: list[str]) -> list[str]:
    """Return a module path without jars and zips.

    >>> without_archives(["/spark/python/lib/pyspark.zip", "/spark/jars/spark-core_2.12.jar", "/here"])
    ['/here']
    """
    return [entry for entry in path if Path(entry).suffix not in {".jar", ".zip"}]


if __name__ == "__main__":
    sys.path[:] = without_archives(sys.path)
    sys.path_importer_cache.clear()
    from pyspark.daemon import manager

    manager()  # type: ignore[no-untyped-call]
