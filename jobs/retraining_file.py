"""The TOML file that says which predictors are trained anew, and when."""

from pathlib import Path

from quicksilver.errors import InputError
from quicksilver.learning.config_file import Predictors, read_predictors
from quicksilver.learning.retraining_config import RetrainingConfig


def read_retraining(path: Path) -> tuple[Predictors, RetrainingConfig]:
    """Return a file's predictors, and when they are trained anew.

    Raises:
        InputError: it cannot be read, or has no table ``[retraining]``.
    """
    try:
        found = read_predictors(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if found.retraining is None:
        raise InputError(f'{path}: there is no table [retraining]: add one with every = "6h", drift = true, or both')
    return found, found.retraining
