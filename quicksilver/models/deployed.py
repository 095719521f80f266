"""The trained predictors at work on one instrument, by name and version; replaced while it runs."""

from collections.abc import Collection, Mapping
from typing import Protocol

import msgspec
from msgspec.structs import replace

from quicksilver.models.card import AnyCard, Deployment, EnsembleCard, require_sound
from quicksilver.models.ensemble import EnsemblePredictor
from quicksilver.models.predictor import Predictor
from quicksilver.records import Features, Prediction, Role, Score


class LivePredictor(Protocol):
    """What a card becomes: feature vectors of one instrument in, predictions and scores out."""

    def take(self, row: Features) -> list[Score | Prediction]:
        """Return the scores of what is known now, and what is predicted if this is a time to decide."""

    def gap(self) -> None:
        """Forget what no longer belongs together."""

    def dump(self) -> bytes:
        """Return the state, without the card."""

    def load(self, data: bytes) -> None:
        """Take over a dumped state."""


def predictor_of(card: AnyCard, venue: str, symbol: str) -> LivePredictor:
    """Return a card's predictor at work on an instrument, which has seen nothing yet.

    Raises:
        ValueError: the card is damaged, of another version, or cannot be used.
    """
    require_sound(card)
    if isinstance(card, EnsembleCard):
        return EnsemblePredictor(card, venue, symbol)
    return Predictor(card, venue, symbol)


def built(deployment: Deployment, having: Collection[str] = ()) -> dict[str, LivePredictor]:
    """Return new predictors by version, of those versions that are not among ``having``; all cards are looked at.

    This is what takes time of an adoption, and it touches nothing else, so that another thread may do it.

    Raises:
        ValueError: a version stands there twice, is another predictor's, or its card cannot be used.
    """
    found: dict[str, LivePredictor] = {}
    seen: set[str] = set()
    for _, card in deployment.roles():
        if card.name != deployment.name:
            raise ValueError(f"{card.name} {card.version} cannot be deployed as {deployment.name}")
        if card.version in seen:
            raise ValueError(f"{card.name} {card.version} is deployed twice: a version has one role")
        seen.add(card.version)
        if card.version in having:
            require_sound(card)  # it will be saved beside the state of the predictor that is at work
        else:
            found[card.version] = predictor_of(card, deployment.venue, deployment.symbol)
    return found


class _Saved(msgspec.Struct):
    deployment: Deployment
    states: dict[str, bytes]


class _Named:
    """One name's versions."""

    def __init__(self, deployment: Deployment, predictors: Mapping[str, LivePredictor]) -> None:
        self.deployment = deployment
        self.at_work: list[tuple[Role, str, LivePredictor]] = [
            (role, card.version, predictors[card.version]) for role, card in deployment.roles()
        ]

    @property
    def predictors(self) -> dict[str, LivePredictor]:
        return {version: predictor for _, version, predictor in self.at_work}


class Deployed:
    """What an instrument's deployments say: each version gets every feature vector, in a defined order.

    By name; the live version first, then the shadows by version.
    """

    def __init__(self) -> None:
        self._names: dict[str, _Named] = {}

    def versions(self, name: str) -> list[str]:
        """Return the versions at work under a name."""
        return [version for _, version, _ in self._names[name].at_work] if name in self._names else []

    def names(self) -> list[str]:
        """Return the names at work, sorted."""
        return list(self._names)

    def adopt(self, deployment: Deployment, ready: Mapping[str, LivePredictor] | None = None) -> None:
        """Work as a deployment says from the next feature vector on.

        A version that stays keeps its state, whatever its role was. A new one begins cold: it predicts after as many
        decisions as it needs moves, and its score starts from nothing. ``ready`` is what ``built`` made before of the
        same deployment and the same ``versions``; without it that is done here.

        Raises:
            ValueError: a card cannot be used; then everything stays as it was.
        """
        old = self._names[deployment.name].predictors if deployment.name in self._names else {}
        have = {**(built(deployment, old) if ready is None else ready), **old}
        if deployment.roles():
            self._names[deployment.name] = _Named(deployment, have)
            self._names = dict(sorted(self._names.items()))
        else:
            self._names.pop(deployment.name, None)

    def take(self, row: Features) -> list[Score | Prediction]:
        """Return what every version makes of a feature vector, with its role."""
        return [
            replace(record, role=role)
            for named in self._names.values()
            for role, _, predictor in named.at_work
            for record in predictor.take(row)
        ]

    def gap(self) -> None:
        """Forget moves, and predictions whose outcome cannot be known; scores stay."""
        for named in self._names.values():
            for _, _, predictor in named.at_work:
                predictor.gap()

    def dump(self) -> bytes:
        """Return the state, with the cards."""
        return msgspec.msgpack.encode(
            [
                _Saved(named.deployment, {version: one.dump() for version, one in named.predictors.items()})
                for named in self._names.values()
            ]
        )

    def load(self, data: bytes) -> None:
        """Take over a dumped state.

        Raises:
            ValueError: a card in it cannot be used.
        """
        self._names = {}
        for saved in msgspec.msgpack.decode(data, type=list[_Saved]):
            self.adopt(saved.deployment)
            for version, predictor in self._names[saved.deployment.name].predictors.items():
                predictor.load(saved.states[version])
