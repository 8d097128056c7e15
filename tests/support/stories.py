"""The examples of docs/rules.md, played by the pure rules of both services: no database, no broker. Stories speak in yuan."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

import yaml

from services.binding import model, rules
from services.settlement.batch import Batch
from services.settlement.journal import Journal
from services.settlement.model import Facts, Institution, Transfer
from shared.domain.accounts import EMPTY, Account
from shared.domain.enrolment import EnrolmentStatus, InstitutionKind, Insurance
from shared.domain.ids import PersonKey
from shared.domain.mutual_aid import Binding
from shared.domain.policy import NewPolicy, PolicyBook, PolicyVersion
from shared.domain.regions import province_of
from shared.domain.relations import Relation
from shared.domain.times import SHANGHAI, shanghai_date, shanghai_year
from shared.messages.settle import SettleRequest
from tests.support import seen
from tests.support.builders import answered, cancel, credit, quote, refund, settle, transfer

Said = dict[str, Any]
EXAMPLE = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BEGINS = "2026-11-22 10:00"
# What the document calls the money fields of an answer.
MONEY = {"own": "own_account_fen", "wallet": "wallet_fen", "mutual_aid": "mutual_aid_fen", "cash": "cash_fen"}
BILL = ("expense_type", "care_region", "use_own_account", "use_mutual_aid", "require_full")
INSTITUTIONS = {kind.value: Institution(kind, suspended=False, amqp_user=None) for kind in InstitutionKind}


def examples(document: str) -> list[str]:
    """The text of every example in a document."""
    return EXAMPLE.findall(document)


def told(example: str) -> tuple[list[Said], Said]:
    """What each step of an example is said to lead to, and who is said to have what in the end."""
    said = yaml.safe_load(example)
    steps = said["story"]
    return [step.get("then", {}) if isinstance(step, dict) else {} for step in steps], said.get("left", {})


def played(example: str) -> tuple[list[Said], Said]:
    """What each step of an example does lead to, and who has what in the end."""
    said = yaml.safe_load(example)
    story = Story(said["people"], said.get("policy", {}))
    happened = [story.play(step) for step in said["story"]]
    return happened, {person_id: story.left(person_id) for person_id in said.get("left", {})}


def fen(yuan: float) -> int:
    return round(yuan * 100)


def moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=SHANGHAI)


def given(what: Said) -> Said:
    """Only what is there: a story leaves out what is nothing."""
    return {name: value for name, value in what.items() if value}


class Story:
    """A few people in memory, living from step to step; a step is a sentence with what belongs to it."""

    def __init__(self, people: dict[str, Said], policies: dict[str, Said]) -> None:
        self.now = moment(BEGINS)
        self.people = {person_id: person(person_id, said) for person_id, said in people.items()}
        self.accounts = {
            self.people[person_id].key: Account(
                *(fen(said.get(part, 0)) for part in ("this_year", "earlier_years", "wallet"))
            )
            for person_id, said in people.items()
        }
        self.versions: list[PolicyVersion] = []
        self.bindings: list[model.Binding] = []
        self.linked: set[PersonKey] = set()
        self.used_fen: dict[int, dict[UUID, int]] = {}
        self.gifts: list[tuple[Transfer, model.TransferState]] = []
        self.requests = 0
        self.bills: dict[str, SettleRequest] = {}
        self.moved: list[seen.Moved] = []
        self.facts = Facts()
        for code, fields in policies.items():
            self.put(code, fields)

    # ---- one step ----

    def play(self, step: str | Said) -> Said:
        """What a step leads to; nothing, where nothing is to be said of it."""
        said = {step: None} if isinstance(step, str) else step
        ((sentence, what),) = [(key, value) for key, value in said.items() if key != "then"]
        for pattern, act in SENTENCES:
            if match := re.fullmatch(pattern, sentence):
                return act(self, what, *match.groups()) or {}
        raise ValueError(f"no story can tell: {sentence}")

    def left(self, person_id: str) -> Said:
        account = self.accounts.get(self.people[person_id].key, EMPTY)
        names = ("this_year", "earlier_years", "wallet")
        parts = (account.current_year_fen, account.prior_years_fen, account.wallet_fen)
        return given({name: part / 100 for name, part in zip(names, parts, strict=True)})

    # ---- who is who ----

    @property
    def today(self) -> date:
        return shanghai_date(self.now)

    @property
    def book(self) -> PolicyBook:
        return PolicyBook.of(self.versions)

    def put(self, code: str, fields: Said) -> None:
        """A policy as an operator puts it: effective today if no date is given."""
        policy = NewPolicy.model_validate({"effective_from": self.today, **fields})
        number = 1 + sum(version.code == code for version in self.versions)
        self.versions.append(PolicyVersion(code, number, policy))

    def hear(self, said: Said, person_id: str) -> Said:
        """What the enrolment feed says, and why bindings end by it."""
        before = self.people[person_id]
        after = replace(person(person_id, said), account_frozen=before.account_frozen)
        self.people[person_id] = after
        sides = {
            "payer_id": rules.why_payer_stops(before, after),
            "beneficiary_id": rules.why_beneficiary_stops(before, after),
        }
        ended = []
        for number, binding in enumerate(self.bindings):
            for side, cause in sides.items():
                if cause and getattr(binding, side) == person_id and not binding.is_over_by(self.today):
                    self.bindings[number] = binding.ended(self.today, self.now, cause)
                    ended.append(str(cause))
        return given({"ended": ended})

    def freeze(self, _: None, person_id: str) -> None:
        self.people[person_id] = replace(self.people[person_id], account_frozen=True)

    def link(self, _: None, __: str, shown_id: str) -> None:
        self.linked.add(self.people[shown_id].key)

    # ---- bindings ----

    def bind(self, what: str | Said, payer_id: str, beneficiary_id: str) -> Said:
        said: Said = {"relation": what} if isinstance(what, str) else what
        payer, beneficiary = self.people.get(payer_id), self.people.get(beneficiary_id)
        limit = said.get("annual_limit")
        proposal = model.Proposal(
            payer_id=payer_id,
            beneficiary_id=beneficiary_id,
            relation=Relation(said["relation"]),
            valid_from=date.fromisoformat(said.get("valid_from", self.today.isoformat())),
            valid_until=date.fromisoformat(said["valid_until"]) if "valid_until" in said else None,
            annual_limit_fen=fen(limit) if limit else None,
            wallet=said.get("wallet", False),
            auto_accept=said.get("auto_accept", False),
        )
        position = model.BindingPosition(
            today=self.today,
            payer=payer,
            beneficiary=beneficiary,
            payer_policy=self.policy_of(payer),
            beneficiary_policy=self.policy_of(beneficiary),
            of_payer=tuple(each for each in self.bindings if each.payer_id == payer_id),
            of_beneficiary=tuple(each for each in self.bindings if each.beneficiary_id == beneficiary_id),
        )
        if refused := rules.refuse_binding(proposal, position):
            return {"refused": list(map(str, refused))}
        assert payer
        assert beneficiary
        self.bindings.append(self.made(proposal, payer, beneficiary))
        return {}

    def made(self, proposal: model.Proposal, payer: model.Person, beneficiary: model.Person) -> model.Binding:
        return model.Binding(
            province=payer.province,
            row_id=UUID(int=len(self.bindings) + 1),
            payer_id=payer.person_id,
            beneficiary_province=beneficiary.province,
            beneficiary_id=beneficiary.person_id,
            relation=proposal.relation,
            valid_from=proposal.valid_from,
            valid_until=proposal.valid_until,
            annual_limit_fen=proposal.annual_limit_fen,
            wallet=proposal.wallet,
            auto_accept=proposal.auto_accept,
            bound_at=self.now,
            ended_at=None,
            end_cause=None,
        )

    def unbind(self, _: None, payer_id: str, beneficiary_id: str) -> Said:
        for number, binding in enumerate(self.bindings):
            if (binding.payer_id, binding.beneficiary_id) == (payer_id, beneficiary_id) and not binding.ended_at:
                if refused := rules.refuse_end(binding, self.today, self.policy_of(self.people[payer_id])):
                    return {"refused": list(map(str, refused))}
                self.bindings[number] = binding.ended(self.today, self.now, "asked_by_member")
                return {}
        raise ValueError(f"{payer_id} has not bound {beneficiary_id}")

    def policy_of(self, known: model.Person | None) -> PolicyVersion:
        return self.book.on(known.region_code if known else "", self.today)

    # ---- money ----

    def bill(self, what: float | Said, kind: str, person_id: str) -> Said:
        said = what if isinstance(what, dict) else {"yuan": what}
        known = self.people.get(person_id)
        fields = {name: str(said[name]) if name == "care_region" else said[name] for name in BILL if name in said}
        request = (settle if kind == "bill" else quote)(
            request_id=self.request_id(),
            institution_id=said.get("at", "hospital"),
            person_id=person_id,
            insured_region=known.region_code if known else "130100",
            credential={"type": "01", "person_id": said.get("shows_code_of", person_id)},
            amount_fen=fen(said["yuan"]),
            **fields,
        )
        if kind == "bill":
            self.bills[person_id] = request
        batch = self.batch()
        answer = answered(batch, request)
        self.keep(batch)
        if kind == "bill":
            self.moved.append(seen.Moved(model.PaymentKind.SETTLEMENT, person_id, request.institution_id, answer))
        paid = {name: answer[field] / 100 for name, field in MONEY.items()}
        return {"outcome": answer["outcome"]} | given(paid | {"payer": answer["payer_id"], "reason": answer["reason"]})

    def undo(self, yuan: float | None, kind: str, person_id: str) -> Said:
        """Gives back what that person's last bill took, all of it or so much; or undoes the bill."""
        bill = self.bills.get(person_id)
        fields: Said = {
            "request_id": self.request_id(),
            "institution_id": bill.institution_id if bill else "hospital",
            "insured_region": bill.insured_region if bill else "130100",
            "original_request_id": bill.request_id if bill else "R-0",
        }
        batch = self.batch()
        if kind == "refund":
            answer = answered(batch, refund(**fields, amount_fen=fen(yuan) if yuan else None))
        else:
            answer = answered(batch, cancel(**fields))
        self.keep(batch)
        self.moved.append(seen.Moved(model.PaymentKind.REFUND, person_id, fields["institution_id"], answer))
        money = {name: (answer.get(field) or 0) / 100 for name, field in MONEY.items()}
        more = {"payer": answer["payer_id"], "reason": answer["reason"], "effect": answer.get("effect")}
        return {"outcome": answer["outcome"]} | given(money | more)

    def contribute(self, yuan: float, person_id: str) -> Said:
        """This year's, from the agency."""
        region = self.people[person_id].region_code
        request = credit(
            request_id=self.request_id(),
            institution_id="agency",
            insured_region=region,
            person_id=person_id,
            amount_fen=fen(yuan),
        )
        batch = self.batch()
        answer = answered(batch, request)
        self.keep(batch)
        return {"outcome": answer["outcome"]} | given({"reason": answer["reason"]})

    def give(self, yuan: float, giver_id: str, receiver_id: str) -> Said:
        request = transfer(
            request_id=self.request_id(),
            institution_id="agency",
            insured_region=self.people[giver_id].region_code,
            from_person_id=giver_id,
            to_person_id=receiver_id,
            to_insured_region=self.people[receiver_id].region_code,
            amount_fen=fen(yuan),
        )
        batch = self.batch()
        answer = answered(batch, request)
        self.keep(batch)
        for made in batch.made.values():
            self.gifts.append((made, model.TransferState.PENDING))
            if made.accepted:
                self.close(len(self.gifts) - 1, made)
        accept_by = answer["accept_by"] and datetime.fromisoformat(answer["accept_by"]).astimezone(SHANGHAI)
        return {"outcome": answer["outcome"]} | given(
            {"accept_by": accept_by and accept_by.strftime("%Y-%m-%d %H:%M"), "reason": answer["reason"]}
        )

    def accept(self, _: None, receiver_id: str) -> Said:
        number = max(n for n, (gift, _) in enumerate(self.gifts) if gift.receiver.person_id == receiver_id)
        gift, state = self.gifts[number]
        asked = model.Transfer(
            province=gift.province,
            row_id=gift.transfer_id,
            from_person_id=gift.giver.person_id,
            to_province=gift.receiver.province,
            to_person_id=receiver_id,
            amount_fen=gift.amount_fen,
            state=state,
            made_at=gift.made_at,
            accept_by=gift.accept_by,
            accepted_at=None,
            returned_at=None,
        )
        if refused := rules.refuse_acceptance(asked, self.people.get(receiver_id), self.now):
            return {"refused": list(map(str, refused))}
        self.close(number, replace(gift, accepted=True))
        return {}

    def close(self, number: int, gift: Transfer) -> None:
        """The gift arrives if it was accepted, else it returns."""
        batch = self.batch()
        batch.close(gift)
        self.keep(batch)
        state = model.TransferState.ACCEPTED if gift.accepted else model.TransferState.RETURNED
        self.gifts[number] = (gift, state)

    def turn(self, text: str) -> None:
        """Time goes on: money grows a year older, and what nobody has accepted returns."""
        before, self.now = self.now, moment(text)
        year = shanghai_year(self.now)
        self.accounts = {key: account.as_of(year, shanghai_year(before)) for key, account in self.accounts.items()}
        for number, (gift, state) in enumerate(self.gifts):
            if state is model.TransferState.PENDING and gift.accept_by <= self.now:
                self.close(number, gift)

    # ---- what the worker reads and writes ----

    def batch(self) -> Batch:
        bindings: dict[PersonKey, tuple[Binding, ...]] = {}
        for each in self.bindings:
            if each.is_considered_on(self.today):
                key = PersonKey(each.beneficiary_province, each.beneficiary_id)
                valid = replace(each.authority, wallet=each.wallet, auto_accept=each.auto_accept)
                bindings[key] = (*bindings.get(key, ()), valid)
        facts = Facts(
            institutions=INSTITUTIONS,
            enrolments={each.key: each.enrolment for each in self.people.values()},
            bindings=bindings,
            kinship_linked=self.linked,
            used_fen=self.used_fen.setdefault(shanghai_year(self.now), {}),
            stored=self.facts.stored,
            originals=self.facts.originals,
            cancelled=self.facts.cancelled,
            transfers_today=Counter(gift.giver for gift, _ in self.gifts if shanghai_date(gift.made_at) == self.today),
        )
        return Batch(Journal(self.now, dict(self.accounts)), self.book, facts)

    def keep(self, batch: Batch) -> None:
        self.accounts = dict(batch.accounts)
        for name in batch.facts.stored:
            batch.original(name)
        self.facts = batch.facts

    def request_id(self) -> str:
        self.requests += 1
        return f"R-{self.requests}"


def person(person_id: str, said: Said) -> model.Person:
    """{employee: 130100} or {resident: 130100}, and a status if it is not active."""
    insurance = Insurance.EMPLOYEE if "employee" in said else Insurance.RESIDENT
    region = str(said[insurance])
    return model.Person(
        province=province_of(region),
        person_id=person_id,
        region_code=region,
        insurance=insurance,
        status=EnrolmentStatus(said.get("status", "active")),
        account_frozen=False,
        name_sealed=b"",
        id_number_sealed=b"",
    )


# The sentences that a story may have, and who acts on them: the story, what is said, and the words in brackets.
SENTENCES: tuple[tuple[str, Callable[..., Said | None]], ...] = (
    (r"(bill|quote) for (\w+)", Story.bill),
    (r"(\w+) binds (\w+)", Story.bind),
    (r"(\w+) unbinds (\w+)", Story.unbind),
    (r"(\w+) may show the code of (\w+)", Story.link),
    (r"(refund|cancel) of (\w+)'s bill", Story.undo),
    (r"contribution to (\w+)", Story.contribute),
    (r"(\w+) gives (\w+)", Story.give),
    (r"(\w+) accepts", Story.accept),
    (r"(\w+) lists payments", lambda story, _, who: {"items": list(seen.payments(story.moved, who))}),
    (r"(\w+) lists bindings", lambda story, _, who: {"items": list(seen.bindings(story.bindings, who))}),
    (r"feed about (\w+)", lambda story, said, person_id: story.hear(said, person_id)),
    (r"account of (\w+) is frozen", Story.freeze),
    (r"policy of ([0-9]+)", lambda story, said, code: story.put(code, said)),
    (r"it is now", Story.turn),
)
