"""An ensemble at work on one instrument: feature vectors in, its predictions and scores out.

It decides when its *lead* does (``lead_of``): the member of the finest granularity. Of every other member it takes the
last decision, as long as that is not older than the member's own granularity. A member that has no such decision, or
whose inputs were out of its range, says nothing then, and the others decide without it. Members are not judged for
themselves: what counts is what they add at the times at which the ensemble decides.
"""

import msgspec

from quicksilver.labels import LabelConfig, LabelQueue
from quicksilver.learning.ensemble_config import lead_of
from quicksilver.models.card import Card, EnsembleCard
from quicksilver.models.combining import Combiner, Recent, Said
from quicksilver.models.input_rows import InputState, SharedRows, fell_silent
from quicksilver.models.judged import Judged, Waiting
from quicksilver.models.member import MemberAtWork, MemberState
from quicksilver.models.score import PrequentialScore
from quicksilver.records import Features, Label, Prediction, Score


class _Saved(msgspec.Struct):
    inputs: list[InputState]
    members: list[MemberState]
    last_ns: int
    labels: bytes
    score: PrequentialScore
    waiting: list[tuple[int, Waiting[Said]]]
    recent: Recent


class EnsemblePredictor:
    """Applies an ensemble's card to one instrument's feature vectors, and judges it by what came.

    Raises:
        ValueError: the card, or that of a member, cannot be used.
    """

    def __init__(self, card: EnsembleCard, venue: str, symbol: str) -> None:
        self.card = card
        self._combiner = Combiner(card)
        self._members = [_member(card, one, venue, symbol) for one in card.members]
        configs = [one.config for one in card.members]
        self._lead = lead_of(configs)
        lead = configs[self._lead]
        self._every_ns = lead.every_ns
        self._inputs = SharedRows(configs)
        self._last_ns = 0
        labels = LabelConfig((lead.horizon_ns,), lead.fee_bps)
        self._labels = LabelQueue(venue, symbol, labels)
        self._judged = Judged[Said](
            card.name, card.version, labels, lead.every_ns, confidence=card.config.confidence_with(lead)
        )

    @property
    def waits(self) -> bool:
        """Whether any of its predictions waits for its outcome."""
        return bool(self._judged.waiting)

    def take(self, row: Features, deciding: bool = True) -> list[Score | Prediction]:
        """Return the scores of what is known now, and what is predicted if this is a time to decide.

        Who is not ``deciding`` any more predicts nothing; its members go on, for it may come back.
        """
        if row.mid is None:
            return []
        if fell_silent(self._last_ns, row.ts_event_ns, self._every_ns):
            self._forget_waiting()
        self._last_ns = row.ts_event_ns
        known = self._labels.on_price(row.ts_event_ns, row.ts_recv_ns, row.mid)
        outcomes = [score for label in known if (score := self._judge(label)) is not None]
        if not self._hear(row, row.mid) or not deciding:
            return [*outcomes]
        said = tuple(member.in_force(row.ts_event_ns) for member in self._members)
        probabilities = self._combiner.combined(said)
        if isinstance(probabilities, str):
            return [*outcomes, self._judged.flagged(row, 0, self.card.members[self._lead].prior, probabilities)]
        self._labels.on_features(row.seq, row.ts_event_ns, row.mid)
        entry = Waiting(said, self._judged.scores[0].baseline(), probabilities, row.spread_bps)
        return [*outcomes, self._judged.predicted(row, 0, entry)]

    def rehearse(self) -> None:
        """Ask each member's model once, and change nothing: what a decision costs."""
        for member in self._members:
            member.rehearse()

    def _judge(self, label: Label) -> Score | None:
        """Score the decision that the label belongs to, and only then learn from it."""
        judged = self._judged.judge(label, 0)
        if judged is None:
            return None
        entry, score = judged
        self._combiner.learn(label.ts_known_ns, entry.inputs, entry.baseline, label.direction)
        return score

    def _hear(self, row: Features, mid: float) -> bool:
        """Let the members take a row; returns whether it is a time to decide."""
        for member, breaks in zip(self._members, self._inputs.breaks(row.ts_event_ns), strict=True):
            if breaks:
                member.forget_waiting()
            member.on_price(row, mid)
        taken = self._inputs.take(row)
        for member, inputs in zip(self._members, taken, strict=True):
            if inputs is not None:
                member.decide(row, mid, inputs)
        return taken[self._lead] is not None

    def gap(self) -> None:
        """Forget what no longer belongs together; how the members did of late stays."""
        for member in self._members:
            member.gap()
        self._inputs.gap()
        self._last_ns = 0
        self._forget_waiting()

    def _forget_waiting(self) -> None:
        self._labels.gap()
        self._judged.waiting.clear()

    def dump(self) -> bytes:
        """Return the state."""
        waiting = [(seq, entry) for (seq, _), entry in self._judged.waiting.items()]
        return msgspec.msgpack.encode(
            _Saved(
                self._inputs.state(), [member.state() for member in self._members], self._last_ns,
                self._labels.dump(), self._judged.scores[0], waiting, self._combiner.recent,
            )
        )  # fmt: skip

    def load(self, data: bytes) -> None:
        """Take over a dumped state."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        for member, state in zip(self._members, saved.members, strict=True):
            member.restore(state)
        self._inputs.restore(saved.inputs)
        self._last_ns = saved.last_ns
        self._labels.load(saved.labels)
        self._judged.scores = [saved.score]
        self._judged.waiting = {(seq, 0): entry for seq, entry in saved.waiting}
        self._combiner.recent = saved.recent


def _member(ensemble: EnsembleCard, card: Card, venue: str, symbol: str) -> MemberAtWork:
    try:
        return MemberAtWork(card, venue, symbol)
    except ValueError as error:
        raise ValueError(f"{ensemble.name} {ensemble.version} cannot be used: member {error}") from error
