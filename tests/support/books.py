"""A small family's books without a database: mother and father pay for the patient, she for him as well."""

from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

from services.settlement.batch import Batch
from services.settlement.incoming import RequestName
from services.settlement.journal import Journal
from services.settlement.model import Decision, Facts, Movement, Original, Resolution, Returned, StoredDecision, Undo
from shared.domain.accounts import Account
from shared.domain.ids import PersonKey
from tests.support.builders import NOW, PATIENT, PROVINCE, batch, binding, enrolment, policy

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
    movements: dict[RequestName, Movement] = field(default_factory=dict)
    left: dict[RequestName, tuple[Returned, ...]] = field(default_factory=dict)
    returned: dict[RequestName, tuple[Returned, ...]] = field(default_factory=dict)
    refunds: dict[RequestName, RequestName] = field(default_factory=dict)
    cancelled: set[RequestName] = field(default_factory=set)

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
            originals={name: self.original(name) for name in self.stored},
            cancelled=set(self.cancelled),
        )
        return Batch(Journal(opened.now, dict(self.accounts)), opened.book, facts)

    def original(self, name: RequestName) -> Original:
        return Original(
            name,
            self.stored[name],
            movement=self.movements.get(name),
            left=self.left.get(name, ()),
            returned=self.returned.get(name, ()),
            refunds=self.refunds.get(name),
        )

    def write(self, resolution: Resolution) -> None:
        verdict, incoming = resolution.verdict, resolution.incoming
        if not isinstance(verdict, Decision) or incoming.is_inquiry:
            return
        for entry in verdict.entries:
            self.accounts[entry.person] = self.accounts[entry.person].plus(entry)
            if entry.binding_id:
                self.used[entry.binding_id] += entry.contra_fen
        movement = resolution.movement
        self.stored[incoming.name] = StoredDecision(
            incoming.operation,
            incoming.request.content(),
            resolution.answer.text,
            movement.movement_id if movement else None,
            NOW,
        )
        if movement:
            self.movements[incoming.name] = movement
            if movement.kind == "settlement":
                self.left[incoming.name] = tuple(
                    Returned(
                        entry.person,
                        Account(-entry.current_year_fen, -entry.prior_years_fen, -entry.wallet_fen),
                    )
                    for entry in movement.entries
                )
        if original := incoming.original:
            self.refunds[incoming.name] = original
        if verdict.undo:
            self.undo(incoming.name, verdict.undo)

    def undo(self, by: RequestName, undo: Undo) -> None:
        """What a refund or a cancel leaves of its original."""
        self.returned[by] = undo.returned
        if undo.cancels:
            self.cancelled.add(undo.name)
        if undo.blocks:
            self.stored[undo.name] = StoredDecision("blocked", "{}", "{}")
        settlement = undo.name if undo.name in self.left else self.refunds.get(undo.name)
        back = {each.person: each.parts for each in undo.returned}
        if settlement and back:
            self.left[settlement] = tuple(
                Returned(each.person, less(each.parts, back[each.person])) if each.person in back else each
                for each in self.left[settlement]
            )


def less(parts: Account, back: Account) -> Account:
    return Account(
        parts.current_year_fen - back.current_year_fen,
        parts.prior_years_fen - back.prior_years_fen,
        parts.wallet_fen - back.wallet_fen,
    )
