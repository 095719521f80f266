"""A TOML file of predictors, of ensembles of them, and of when they are trained anew."""

import msgspec

from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.ensemble_config import EnsembleConfig
from quicksilver.learning.retraining_config import RetrainingConfig
from quicksilver.spans import require_name


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


def read_predictors(toml: bytes, name: str) -> Predictors:
    """Return what a TOML file says; ``name`` is the file's, for what is wrong with it.

    Raises:
        InputError: it is no such file, or a value cannot be used.
    """
    try:
        return msgspec.toml.decode(toml, type=Predictors)
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: no TOML file: it is no text, from byte {error.start:,} on") from error
    except msgspec.MsgspecError as error:
        raise InputError(f"{name}: {error}") from error
