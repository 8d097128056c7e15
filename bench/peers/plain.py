"""One settlement the plain way: a transaction a message, a statement a step. What the peers in Python have in common.

No I/O: `Plain.settlement` yields the name of a query with its parameters, is sent the rows, and returns the
answer, so that each peer adds only its driver. The rule is the worker's own, and so is everything that is written.
"""

import re
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import orjson

from services.settlement.answers import answer as answer_of
from services.settlement.incoming import Incoming, Sender
from services.settlement.model import (
    Decision,
    Entry,
    Institution,
    MovementKind,
    Position,
    StoredDecision,
    Written,
    decision_id,
)
from services.settlement.records import record_of
from services.settlement.rules import asks_relatives, decide
from shared.domain.accounts import EMPTY, Account
from shared.domain.enrolment import EndCause, Enrolment, InstitutionKind, InstitutionStatus, enrolment_of
from shared.domain.ids import PersonKey, earliest_id
from shared.domain.mutual_aid import Binding, Candidate, candidate_of
from shared.domain.policy import PolicyBook
from shared.domain.times import Clock, shanghai_date, shanghai_year, system_clock, year_start
from shared.messages.settle import SettleRequest
from shared.postgres.authority import AUTHORITY, EVERY_PROVINCE
from shared.postgres.queries import load_queries
from shared.rabbit.topology import RESULTS

SQL = load_queries("bench.peers", "plain.sql")
# A colon that is not part of a cast.
PARAMETER = re.compile(r"(?<!:):([a-z_]+)")

Row = Mapping[str, Any]
Parameters = dict[str, Any]
Step = tuple[str, Parameters]
Settlement = Generator[Step, Sequence[Row], Written]


class NotPlain(Exception):
    """A settlement that these peers cannot do: the bench asks for none."""


@dataclass(frozen=True, slots=True)
class Addressed:
    """An answer and where it goes."""

    exchange: str
    routing_key: str
    type: str
    body: bytes


def addressed(answer: Written, reply_to: str | None) -> Addressed:
    """To the sender's reply queue where there is one, else to the institution's results."""
    operation = answer.operation or "unknown"
    exchange, key = ("", reply_to) if reply_to else (RESULTS, f"{operation}.{answer.outcome}.{answer.institution_id}")
    return Addressed(exchange, key, f"{operation}.result", answer.text.encode())


def numbered(statement: str) -> tuple[str, tuple[str, ...]]:
    """A statement with $1, $2, ... for its parameters, and their names in that order."""
    names = tuple(dict.fromkeys(PARAMETER.findall(statement)))
    return PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", statement), names


def formatted(statement: str) -> str:
    """A statement with its parameters as Python's DB-API writes them."""
    return PARAMETER.sub(r"%(\1)s", statement)


@dataclass(slots=True)
class Plain:
    """Settles bills one at a time; keeps the policies between them."""

    clock: Clock = system_clock
    _book: PolicyBook = field(default_factory=PolicyBook.of)
    _book_epoch: int = 0

    def settlement(self, request: SettleRequest, sender: Sender) -> Settlement:
        """Everything that is asked and written within one transaction. Raises NotPlain."""
        incoming = Incoming(request, sender)
        province = incoming.name.province
        yield "authority", {"authority": AUTHORITY, "every_province": EVERY_PROVINCE, "province": province}
        position = yield from self._position(incoming)
        verdict = decide(request, position)
        if not isinstance(verdict, Decision):
            return answer_of(incoming, verdict, None, position.now)
        new_id = decision_id(incoming.name, position.now)
        answer = answer_of(incoming, verdict, new_id if verdict.moves_money else None, position.now)
        locked = tuple(sorted(position.balances))
        common = {**incoming.name._asdict(), "decision_id": new_id, "now": position.now}
        for entry in verdict.entries:
            yield "take", _taken(entry)
            yield "enter", {**_entered(entry), **common}
        yield "name", {name: value for name, value in common.items() if name != "now"}
        written = {
            "operation": incoming.operation.value,
            "outcome": verdict.outcome.value,
            "reason": verdict.reason.value if verdict.reason else None,
            "moved": verdict.moves_money,
            "request": request.content(),
            "record": orjson.dumps(record_of(verdict, position, locked), default=str).decode(),
            "answer": answer.text,
        }
        yield "decide", {**common, **written}
        yield "page", {"province": province, "ids": [new_id]}
        return answer

    def _position(self, incoming: Incoming) -> Generator[Step, Sequence[Row], Position]:
        """What the bill is decided by, the accounts of whoever may pay locked."""
        name, request = incoming.name, incoming.request
        assert isinstance(request, SettleRequest)
        stored = yield "stored", name._asdict()
        (institution,) = yield "institution", {"institution_id": name.institution_id}
        if institution["epoch"] != self._book_epoch:
            policies = yield "policies", {}
            self._book, self._book_epoch = PolicyBook.of_rows(policies), institution["epoch"]
        now = self.clock()
        today, key = shanghai_date(now), PersonKey(name.province, request.person_id)
        patients = yield "patient", key._asdict()
        if patients and patients[0]["awaiting"]:
            raise NotPlain("a transfer is on its way to the patient")
        patient = _enrolment(patients[0]) if patients else None
        bindings = yield "bindings", {**key._asdict(), "today": today}
        payers = {row["payer_id"] for row in bindings if row["payer_province"] == key.province}
        rows = yield "lock_accounts", {"province": key.province, "people": sorted({key.person_id, *payers})}
        if any(row["balances_year"] != shanghai_year(now) for row in rows):
            raise NotPlain("balances are of an earlier year")
        balances = {PersonKey(key.province, row["person_id"]): _account(row) for row in rows}
        account = balances.get(key, EMPTY)
        candidates = []
        for row in bindings if asks_relatives(request, patient, account) else ():
            candidate = self._candidate(row, key, patient, today, balances)
            if candidate.limit_left_fen is not None:
                since = earliest_id(year_start(shanghai_year(now)))
                (used,) = yield "used_this_year", {**_of_binding(row), "since": since}
                candidate = replace(candidate, used_fen=used["used_fen"])
            candidates.append(candidate)
        return Position(
            now=now,
            sender=incoming.sender,
            authenticate_senders=False,
            institution=_institution(institution) if institution["kind"] else None,
            stored=_stored(stored[0]) if stored else None,
            cancelled=bool(stored) and stored[0]["cancelled"],
            patient=patient,
            patient_key=key,
            account=account,
            policy=self._book.on(patient.region_code, today) if patient else None,
            candidates=tuple(candidates),
            kinship_linked=bool(patients) and patients[0]["kinship_linked"],
            balances=balances,
        )

    def _candidate(
        self,
        row: Row,
        patient_key: PersonKey,
        patient: Enrolment | None,
        today: date,
        balances: Mapping[PersonKey, Account],
    ) -> Candidate:
        payer = PersonKey(row["payer_province"], row["payer_id"])
        closed = EndCause(row["closed_cause"]) if row["closed_cause"] else None
        return candidate_of(
            Binding(row["binding_id"], payer, row["bound_at"], row["annual_limit_fen"], closed=closed),
            _enrolment(row) if row["region_code"] else None,
            patient_key,
            patient,
            self._book,
            today,
            account=balances.get(payer, EMPTY),
            used_fen=0,
        )


def run(settlement: Settlement, execute: Callable[[str, Parameters], Sequence[Row]]) -> Written:
    """The answer to a bill, each query run by a driver that blocks."""
    try:
        step = next(settlement)
        while True:
            step = settlement.send(execute(*step))
    except StopIteration as done:
        return _returned(done)


async def run_async(settlement: Settlement, execute: Callable[[str, Parameters], Awaitable[Sequence[Row]]]) -> Written:
    """The answer to a bill, each query run by a driver that is awaited."""
    try:
        step = next(settlement)
        while True:
            step = settlement.send(await execute(*step))
    except StopIteration as done:
        return _returned(done)


def _returned(done: StopIteration) -> Written:
    answer: Written = done.value
    return answer


def _taken(entry: Entry) -> Parameters:
    return {
        **entry.person._asdict(),
        "current_year_fen": entry.current_year_fen,
        "prior_years_fen": entry.prior_years_fen,
        "wallet_fen": entry.wallet_fen,
    }


def _entered(entry: Entry) -> Parameters:
    return {
        **_taken(entry),
        "kind": MovementKind.SETTLEMENT.value,
        "binding_id": entry.binding_id,
        "contra": entry.contra.value,
        "contra_fen": entry.contra_fen,
        "insured_region": entry.insured_region,
        "care_region": entry.care_region,
    }


def _of_binding(row: Row) -> Parameters:
    return {"province": row["payer_province"], "payer_id": row["payer_id"], "binding_id": row["binding_id"]}


def _enrolment(row: Row) -> Enrolment:
    return enrolment_of(row["region_code"], row["insurance"], row["status"], row["account_frozen"])


def _account(row: Row) -> Account:
    return Account(row["current_year_fen"], row["prior_years_fen"], row["wallet_fen"])


def _institution(row: Row) -> Institution:
    return Institution(InstitutionKind(row["kind"]), row["status"] == InstitutionStatus.SUSPENDED, row["amqp_user"])


def _stored(row: Row) -> StoredDecision:
    return StoredDecision(row["operation"], row["request"], row["answer"], row["movement_id"], row["decided_at"])
