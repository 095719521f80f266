"""A TOML file of predictors, of ensembles of them, and of when they are trained anew."""

from typing import Any, TypeVar

import msgspec

from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.ensemble_config import EnsembleConfig
from quicksilver.learning.retraining_config import RetrainingConfig
from quicksilver.spans import require_name

T = TypeVar("T")
BOM = b"\xef\xbb\xbf"  # which editors of Windows put before a text


class Predictors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole file: ``[predictors.NAME]``, ``[ensembles.NAME]``, and ``[retraining]`` of all of them."""

    predictors: dict[str, PredictorConfig] = {}
    ensembles: dict[str, EnsembleConfig] = {}
    retraining: RetrainingConfig | None = None

    def __post_init__(self) -> None:
        if not self.predictors:
            raise ValueError("there is no predictor in it: add a table [predictors.NAME]")
        for name in (*self.predictors, *self.ensembles):
            try:
                require_name(name)
            except InputError as error:
                raise ValueError(str(error)) from error
        both = self.predictors.keys() & self.ensembles.keys()
        if both:
            raise ValueError(f"{min(both)} is the name of a predictor and of an ensemble: give each its own")
        for name, ensemble in self.ensembles.items():
            try:
                ensemble.of(self.predictors)
            except ValueError as error:
                raise ValueError(f"ensemble {name}: {error}") from error


class _Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole file before its tables are looked at, so that what is wrong with one says whose it is."""

    predictors: dict[str, dict[str, Any]] = {}
    ensembles: dict[str, dict[str, Any]] = {}
    retraining: RetrainingConfig | None = None


def decoded(toml: bytes, kind: type[T], name: str) -> T:
    """Return what TOML says as a ``kind``; ``name`` is the file's, for what is wrong with it.

    Raises:
        InputError: it is no TOML, or no such.
    """
    try:
        return msgspec.toml.decode(toml.removeprefix(BOM), type=kind)
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: no TOML file: it is no text, from byte {error.start:,} on") from error
    except RecursionError as error:
        raise InputError(f"{name}: no such TOML file: its tables or lists are nested too deeply") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise InputError(f"{name}: {error}") from error


def read_predictors(toml: bytes, name: str) -> Predictors:
    """Return what a TOML file says; ``name`` is the file's, for what is wrong with it.

    Raises:
        InputError: it is no such file, or a value cannot be used.
    """
    tables = decoded(toml, _Tables, name)
    predictors = {
        one: _of(table, PredictorConfig, f"{name}: predictor {one}") for one, table in tables.predictors.items()
    }
    ensembles = {one: _of(table, EnsembleConfig, f"{name}: ensemble {one}") for one, table in tables.ensembles.items()}
    try:
        return Predictors(predictors, ensembles, tables.retraining)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error


def _of(table: dict[str, Any], kind: type[T], whose: str) -> T:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{whose}: {error}") from error
