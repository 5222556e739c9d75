"""The record of a confirmation, as the sweep's row in the ledger keeps it, and how far its retrainings are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from service.confirmations.contenders import Contender, Role, counted_retrainings
from service.confirmations.decisions import Decision
from service.confirmations.rules import ConfirmRule
from service.ledgers import Json, Sweep, Trial

__all__ = ["Confirmation", "RetrainingCounts"]


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """A confirmation of a sweep.

    Attributes:
        rule: how much is trained, and what a winner must show.
        digest: of the sweep, from which seeds and draws follow, see `sweep_digest`.
        measure: the score of an image on which the decision rests, such as `accuracy`.
        seeds: of the retrainings; the last is spare.
        contenders: the default, and the finalists in the order of the search.
        decision: None until it is made.
        test: the reading of the test images after the decision, see `read_test_scores`; None until then.
        deployed: id of the retraining whose model is to be deployed: the first seed's, never the best one's.
    """

    rule: ConfirmRule
    digest: str
    measure: str
    seeds: tuple[int, ...]
    contenders: tuple[Contender, ...]
    decision: Decision | None = None
    test: Json | None = None
    deployed: str | None = None

    @property
    def default(self) -> Contender:
        """The default recipe."""
        return next(contender for contender in self.contenders if contender.role is Role.DEFAULT)

    @property
    def finalists(self) -> tuple[Contender, ...]:
        """The finalists, best of the search first."""
        return tuple(contender for contender in self.contenders if contender.role is Role.FINALIST)

    @property
    def chosen(self) -> Contender | None:
        """The recipe to use, the winner's or the default's; None until the decision is made."""
        if self.decision is None:
            return None
        return self.contender(self.decision.recipe)

    def contender(self, identity: str) -> Contender:
        """Return the contender of an identity. Raises StopIteration if there is none."""
        return next(contender for contender in self.contenders if contender.identity == identity)

    def is_like(self, other: Confirmation) -> bool:
        """Return whether both retrain the same recipes and decide by the same rule."""
        return self.undecided() == other.undecided()

    def undecided(self) -> Confirmation:
        """Return the confirmation as it was before its decision."""
        return replace(self, decision=None, test=None, deployed=None)

    def as_json(self) -> Json:
        """Return the confirmation as JSON values."""
        rule = {name: value for name, value in asdict(self.rule).items() if name != "confidence"}
        return {
            "rule": rule,
            "digest": self.digest,
            "measure": self.measure,
            "seeds": list(self.seeds),
            "recipes": [contender.as_json() for contender in self.contenders],
            "decision": None if self.decision is None else self.decision.as_json(),
            "test": self.test,
            "deployed": self.deployed,
        }

    @classmethod
    def from_sweep(cls, sweep: Sweep) -> Self | None:
        """Return the confirmation in a sweep's row; None if none has begun."""
        return None if sweep.confirmation is None else cls.from_json(sweep.confirmation)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the confirmation that `as_json` gave. Raises KeyError, TypeError or ValueError for other values."""
        decision = values["decision"]
        return cls(
            rule=ConfirmRule(**values["rule"]),
            digest=values["digest"],
            measure=values["measure"],
            seeds=tuple(values["seeds"]),
            contenders=tuple(Contender.from_json(contender) for contender in values["recipes"]),
            decision=None if decision is None else Decision.from_json(decision),
            test=values["test"],
            deployed=values["deployed"],
        )


@dataclass(frozen=True, kw_only=True)
class RetrainingCounts:
    """Numbers of retrainings.

    finished: ended, the failed ones included. planned: in all, with the spare one if it has begun.
    """

    finished: int
    planned: int

    @classmethod
    def count(cls, confirmation: Confirmation, begun: Sequence[Trial]) -> Self:
        """Count the retrainings of a confirmation; begun: all of its sweep. Cancelled ones are trained again."""
        counted = counted_retrainings(confirmation.contenders, confirmation.seeds, begun)
        *common, spare = confirmation.seeds
        spares = sum(trial.seed == spare for trial in counted)
        finished = sum(trial.state.is_finished for trial in counted)
        return cls(finished=finished, planned=len(confirmation.contenders) * len(common) + spares)
