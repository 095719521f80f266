"""The trained predictors at work on one instrument, by name and version; replaced while it runs."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, Protocol

import msgspec
from msgspec.structs import replace

from quicksilver.models.card import AnyCard, Deployment, EnsembleCard, require_sound
from quicksilver.models.ensemble import EnsemblePredictor
from quicksilver.models.predictor import Predictor
from quicksilver.records import Features, Prediction, Role, Score


class LivePredictor(Protocol):
    """What a card becomes: feature vectors of one instrument in, predictions and scores out."""

    @property
    def waits(self) -> bool:
        """Whether any of its predictions waits for its outcome."""

    def take(self, row: Features, deciding: bool = True) -> list[Score | Prediction]:
        """Return the scores of what is known now, and what is predicted if this is a time to decide.

        Who is not ``deciding`` any more predicts nothing.
        """

    def rehearse(self) -> None:
        """Ask each of its models once, and change nothing: what a decision costs."""

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


class _Leaving(msgspec.Struct):
    role: Role
    card: AnyCard
    state: bytes


class _Saved(msgspec.Struct):
    deployment: Deployment
    states: dict[str, bytes]
    leaving: list[_Leaving] = []


class _AtWork(NamedTuple):
    role: Role
    card: AnyCard
    predictor: LivePredictor


class _Named:
    """One name's versions: those at work, and those that only wait for the outcomes of what they have predicted."""

    def __init__(self, deployment: Deployment, having: Mapping[str, LivePredictor]) -> None:
        self.deployment = deployment
        self.at_work = [_AtWork(role, card, having[card.version]) for role, card in deployment.roles()]
        self.leaving: list[_AtWork] = []

    @property
    def all(self) -> list[_AtWork]:
        return [*self.at_work, *self.leaving]

    def leave(self, some: Iterable[_AtWork]) -> None:
        """Let those of some versions go on that are not at work any more, until nothing of theirs waits."""
        staying = {card.version for _, card, _ in self.at_work}
        self.leaving = [one for one in some if one.card.version not in staying and one.predictor.waits]

    def saved(self) -> _Saved:
        return _Saved(
            self.deployment,
            {card.version: predictor.dump() for _, card, predictor in self.at_work},
            [_Leaving(role, card, predictor.dump()) for role, card, predictor in self.leaving],
        )


class Deployed:
    """What an instrument's deployments say: each version gets every feature vector, in a defined order.

    By name; the live version first, then the shadows by version, then those that have been replaced: these predict
    nothing more, and go once the outcomes of all that they have predicted are known.
    """

    def __init__(self) -> None:
        self._names: dict[str, _Named] = {}

    def versions(self, name: str) -> list[str]:
        """Return the versions at work under a name."""
        return [card.version for _, card, _ in self._names[name].at_work] if name in self._names else []

    def names(self) -> list[str]:
        """Return the names at work, sorted."""
        return [name for name, named in self._names.items() if named.at_work]

    def adopt(self, deployment: Deployment, ready: Mapping[str, LivePredictor] | None = None) -> None:
        """Work as a deployment says from the next feature vector on.

        A version that stays keeps its state, whatever its role was, and so does one that comes back before it has gone.
        A new one begins cold: it predicts after as many decisions as it needs moves, and its score starts from nothing.
        ``ready`` is what ``built`` made before of the same deployment and the same ``versions``; without it that is
        done here.

        Raises:
            ValueError: a card cannot be used; then everything stays as it was.
        """
        before = self._names[deployment.name].all if deployment.name in self._names else []
        old = {card.version: predictor for _, card, predictor in before}
        named = _Named(deployment, {**(built(deployment, old) if ready is None else ready), **old})
        named.leave(before)
        self._names = dict(sorted({**self._names, deployment.name: named}.items()))
        self._let_go()

    def _let_go(self) -> None:
        """Give up names of which nothing is left."""
        self._names = {name: named for name, named in self._names.items() if named.at_work or named.leaving}

    def take(self, row: Features) -> list[Score | Prediction]:
        """Return what every version makes of a feature vector, with its role."""
        found, left = list[Score | Prediction](), False
        for named in self._names.values():
            for role, _, predictor in named.at_work:
                found += [replace(record, role=role) for record in predictor.take(row)]
            if named.leaving:
                for role, _, predictor in named.leaving:
                    found += [replace(record, role=role) for record in predictor.take(row, deciding=False)]
                named.leave(named.leaving)
                left = True
        if left:
            self._let_go()
        return found

    def gap(self) -> None:
        """Forget moves, and predictions whose outcome cannot be known; scores stay."""
        for named in self._names.values():
            named.leaving = []
            for _, _, predictor in named.at_work:
                predictor.gap()
        self._let_go()

    def dump(self) -> bytes:
        """Return the state, with the cards."""
        return msgspec.msgpack.encode([named.saved() for named in self._names.values()])

    def load(self, data: bytes) -> None:
        """Take over a dumped state.

        Raises:
            ValueError: a card in it cannot be used.
        """
        self._names = {}
        for saved in msgspec.msgpack.decode(data, type=list[_Saved]):
            deployment = saved.deployment
            named = _Named(deployment, built(deployment))
            for _, card, predictor in named.at_work:
                predictor.load(saved.states[card.version])
            for one in saved.leaving:
                predictor = predictor_of(one.card, deployment.venue, deployment.symbol)
                predictor.load(one.state)
                named.leaving.append(_AtWork(one.role, one.card, predictor))
            self._names[deployment.name] = named
