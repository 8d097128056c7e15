"""A small family's books without a database: mother and father pay for the patient, she for him as well."""

from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

from services.settlement.batch import Batch
from services.settlement.journal import Journal
from services.settlement.model import Decision, Facts, RequestName, Resolution, StoredDecision
from shared.domain.accounts import Account
from shared.domain.ids import PersonKey
from tests.support.builders import PATIENT, PROVINCE, batch, binding, enrolment, policy

MOTHER, FATHER = PersonKey(PROVINCE, "mother"), PersonKey(PROVINCE, "father")
FAMILY = (PATIENT, MOTHER, FATHER)


@dataclass
class Books:
    """What the database keeps between batches: written from resolutions alone, as the worker's stores do."""

    accounts: dict[PersonKey, Account]
    limits: tuple[int | None, int | None, int | None]
    keep_fen: int
    used: Counter[UUID] = field(default_factory=Counter)
    stored: dict[RequestName, StoredDecision] = field(default_factory=dict)

    def batch(self) -> Batch:
        """A batch that has just read everything."""
        first, second, third = self.limits
        opened = batch(
            {PATIENT: enrolment(), MOTHER: enrolment("130200"), FATHER: enrolment()},
            self.accounts,
            [binding("mother", 1, limit=first), binding("father", 2, limit=second)],
            [policy("13", keep_fen=self.keep_fen)],
        )
        bindings = {**opened.facts.bindings, FATHER: (binding("mother", 3, limit=third),)}
        facts = Facts(
            stored=dict(self.stored),
            institutions=opened.facts.institutions,
            enrolments=opened.facts.enrolments,
            bindings=bindings,
            used_fen=dict(self.used),
        )
        return Batch(Journal(opened.now, dict(self.accounts)), opened.book, facts)

    def write(self, resolution: Resolution) -> None:
        verdict, incoming = resolution.verdict, resolution.incoming
        if not isinstance(verdict, Decision) or incoming.operation in ("quote", "lookup"):
            return
        for entry in verdict.entries:
            self.accounts[entry.person] = self.accounts[entry.person].plus(entry)
            if entry.binding_id:
                self.used[entry.binding_id] += entry.contra_fen
        self.stored[incoming.name] = StoredDecision(
            incoming.operation, incoming.request.content(), resolution.answer.model_dump_json()
        )
