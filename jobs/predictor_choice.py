"""Which predictors and ensembles of a file a command is about: those that ``--only`` names."""

from collections.abc import Sequence
from typing import NamedTuple

from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.config_file import Predictors
from quicksilver.learning.ensemble_config import EnsembleConfig


class Chosen(NamedTuple):
    """Predictors and ensembles, by name, in the order of their file."""

    predictors: dict[str, PredictorConfig]
    ensembles: dict[str, EnsembleConfig]


def chosen(file: Predictors, only: Sequence[str]) -> Chosen:
    """Return the predictors and ensembles that are named, all without ``only``.

    Raises:
        InputError: there is none of that name.
    """
    there = [*file.predictors, *file.ensembles]
    for name in only:
        if name not in there:
            raise InputError(f"--only {name}: no such predictor in the file; there is {', '.join(there)}")
    wanted = only or there
    return Chosen(
        {name: one for name, one in file.predictors.items() if name in wanted},
        {name: one for name, one in file.ensembles.items() if name in wanted},
    )


def chosen_with_members(file: Predictors, only: Sequence[str]) -> Chosen:
    """Return the same, and the predictors of which the ensembles are made, whether they are named or not.

    Raises:
        InputError: there is none of that name.
    """
    predictors, ensembles = chosen(file, only)
    wanted = predictors.keys() | {member.predictor for one in ensembles.values() for member in one.members}
    return Chosen({name: one for name, one in file.predictors.items() if name in wanted}, ensembles)
