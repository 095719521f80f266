"""Marks of tests that need programs from outside: without them they are skipped, with the remedy."""

import shutil

import pytest

from setup.tools import GET_JAVA, GET_MAVEN, jdk

REMEDIES = {"java": GET_JAVA, "javac": GET_JAVA, "mvn": GET_MAVEN}


def needs_tools(*names: str) -> pytest.MarkDecorator:
    """Return the mark of tests that need these programs: ``java``, ``javac`` or ``mvn``."""
    missing = [name for name in names if (shutil.which(name) if name == "mvn" else jdk(name)) is None]
    remedies = dict.fromkeys(REMEDIES[name] for name in names)
    return pytest.mark.skipif(bool(missing), reason=f"needs {' and '.join(names)}: {', '.join(remedies)}")
