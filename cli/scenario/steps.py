"""Playing a scenario's steps one by one: what was asked, what was answered, why, and whether that was listed."""

from dataclasses import dataclass, field
from typing import Any

from cli.requests import difference_in_words, totals_in_words
from cli.scenario.parts import (
    AcceptStep,
    Bill,
    BillStep,
    BindStep,
    CancelStep,
    DiagnoseStep,
    Earlier,
    EndStep,
    EnrolStep,
    LookupStep,
    ReconcileStep,
    RefundStep,
    Step,
    TransferStep,
)
from cli.scenario.preparation import bind
from cli.scenario.stage import NotAsListed, Stage
from cli.speech import EFFECTS, OUTCOMES, STATES
from shared.domain.money import yuan
from shared.domain.reasons import TEXTS, Reason
from shared.domain.relations import KINSHIP
from shared.domain.roles import Role
from shared.domain.times import shanghai_date, system_clock
from shared.domain.words import END_CAUSES, EXPENSES, INSURANCE, STATUS
from shared.messages.lookup import LookupRequest
from shared.messages.reconcile import ReconcileRequest
from shared.messages.settle import SettleRequest
from shared.messages.transfer import TransferRequest
from shared.messages.undo import CancelRequest, RefundRequest


@dataclass(frozen=True, slots=True)
class Played:
    """A step in the words of its audience; `seen` is what came of it, under the names that it expects."""

    step: Step
    asked: str
    answer: str
    seen: dict[str, Any]
    why: list[str] = field(default_factory=list)

    @property
    def differences(self) -> list[str]:
        return self.step.expect.differences(self.seen)


async def play(stage: Stage, step: Step) -> Played:
    """Does what the step says and sees what comes of it. Raises NotAsListed."""
    match step:
        case BindStep() | EndStep() | AcceptStep() | DiagnoseStep() | EnrolStep():
            return await _called(stage, step)
        case _:
            return await _sent(stage, step)


# ---- over the broker ----


async def _sent(
    stage: Stage, step: BillStep | RefundStep | CancelStep | LookupStep | ReconcileStep | TransferStep
) -> Played:
    match step:
        case BillStep():
            return await _settle(stage, step)
        case RefundStep():
            return await _refund(stage, step)
        case CancelStep():
            return await _cancel(stage, step)
        case LookupStep():
            return await _lookup(stage, step)
        case ReconcileStep():
            return await _reconcile(stage, step)
        case TransferStep():
            return await _transfer(stage, step)


async def _settle(stage: Stage, step: BillStep) -> Played:
    bill = step.ask
    request = {
        **stage.common(bill.request_id, bill.institution, stage.region_of(bill.person)),
        "person_id": stage.unique(bill.person),
        "credential": {"type": "01", "person_id": stage.unique(bill.credential_of or bill.person)},
        "expense_type": bill.expense_type,
        "amount_fen": bill.amount_fen,
        "care_region": stage.scenario.institutions[bill.institution].region_code,
    }
    answer = await stage.ask(SettleRequest.model_validate(request))
    asked = f"{bill.institution} · {bill.person} · {_money(stage, bill.amount_fen)} · {_expense(stage, bill)}"
    lost = ""
    if bill.answer_lost:
        # It was awaited so that the lookup cannot come first; the till knows nothing of it.
        answer = await _looked_up(stage, bill)
        lost = stage.say("none came; looked up: ", "未收到，查询得知：")
    seen = {**answer, "payer": stage.known_as(answer["payer_id"])}
    return Played(step, asked, lost + _outcome(stage, seen), seen, _reasons(stage, answer["reason"]))


async def _looked_up(stage: Stage, bill: Bill) -> dict[str, Any]:
    """The stored answer to a bill. Raises NotAsListed where there is none: a rejected bill is not stored."""
    earlier = Earlier(
        request_id=f"{bill.request_id}-lookup",
        institution=bill.institution,
        person=bill.person,
        original=bill.request_id,
    )
    found = await stage.ask(LookupRequest.model_validate(_of_earlier(stage, earlier)))
    if not found.get("original"):
        raise NotAsListed(f"{found['request_id']}: {found['outcome']} {found['reason'] or ''}")
    original: dict[str, Any] = found["original"]
    return original


async def _refund(stage: Stage, step: RefundStep) -> Played:
    refund = step.refund
    request = {**_of_earlier(stage, refund), "amount_fen": refund.amount_fen}
    answer = await stage.ask(RefundRequest.model_validate(request))
    amount = (
        stage.say("all that is left", "全部余额") if refund.amount_fen is None else _money(stage, refund.amount_fen)
    )
    asked = stage.say("refund", "退费") + f" · {refund.institution} · {refund.original} · {amount}"
    return _returned(stage, step, asked, answer)


async def _cancel(stage: Stage, step: CancelStep) -> Played:
    answer = await stage.ask(CancelRequest.model_validate(_of_earlier(stage, step.cancel)))
    asked = stage.say("cancel", "冲正") + f" · {step.cancel.institution} · {step.cancel.original}"
    return _returned(stage, step, asked, answer)


async def _lookup(stage: Stage, step: LookupStep) -> Played:
    answer = await stage.ask(LookupRequest.model_validate(_of_earlier(stage, step.lookup)))
    original = answer.get("original")
    seen = {**answer, "original": original["outcome"] if original else None}
    asked = stage.say("look up", "查询") + f" · {step.lookup.institution} · {step.lookup.original}"
    parts = [_word(stage, answer)]
    if original:
        parts.append(stage.say(original["outcome"], OUTCOMES[original["outcome"]]))
    if answer["cancelled"]:
        parts.append(stage.say("cancelled", "已冲正"))
    if answer["refunded_fen"]:
        parts.append(stage.say("returned ", "已退回 ") + yuan(answer["refunded_fen"]))
    return Played(step, asked, " · ".join(parts), seen, _reasons(stage, answer["reason"]))


async def _reconcile(stage: Stage, step: ReconcileStep) -> Played:
    """Today's book of an institution that this run alone has made. Playing over midnight in Shanghai would split it."""
    day, today = step.reconcile, shanghai_date(system_clock())
    book = day.model_dump(exclude={"request_id", "institution"})
    for line in book["lines"] or ():
        line["request_id"] = stage.unique(line["request_id"])
    region = stage.scenario.institutions[day.institution].region_code
    request = {**stage.common(day.request_id, day.institution, region), "date": today, **book}
    answer = await stage.ask(ReconcileRequest.model_validate(request))
    found = {stage.known_as(each["request_id"]): each for each in answer.get("differences") or ()}
    seen = {**answer, "wrong_lines": {name: each["kind"] for name, each in found.items()}}
    asked = stage.say("reconcile", "对账") + f" · {day.institution} · {today} · {totals_in_words(book, stage.say)}"
    why = [f"{name}: {difference_in_words(each, stage.say)}" for name, each in found.items()]
    reply = _word(stage, answer)
    if answer["outcome"] == "differs":
        reply += f" · {stage.say('here', '本方')} {totals_in_words(answer['ours'], stage.say)}"
    return Played(step, asked, reply, seen, [*_reasons(stage, answer["reason"]), *why])


def _of_earlier(stage: Stage, part: Earlier) -> dict[str, Any]:
    common = stage.common(part.request_id, part.institution, stage.region_of(part.person))
    return {**common, "original_request_id": stage.unique(part.original)}


async def _transfer(stage: Stage, step: TransferStep) -> Played:
    gift = step.transfer
    request = {
        **stage.common(gift.request_id, gift.institution, stage.region_of(gift.giver)),
        "from_person_id": stage.unique(gift.giver),
        "to_person_id": stage.unique(gift.receiver),
        "to_insured_region": stage.region_of(gift.receiver),
        "amount_fen": gift.amount_fen,
    }
    answer = await stage.ask(TransferRequest.model_validate(request))
    wallet = stage.say("into the wallet", "转入医保钱包")
    asked = f"{gift.institution} · {gift.giver} → {gift.receiver} · {_money(stage, gift.amount_fen)} · {wallet}"
    return Played(step, asked, _word(stage, answer), answer, _reasons(stage, answer["reason"]))


# ---- over HTTP ----


async def _called(stage: Stage, step: BindStep | EndStep | AcceptStep | DiagnoseStep | EnrolStep) -> Played:
    match step:
        case BindStep():
            return await _bind(stage, step)
        case EndStep():
            return await _end(stage, step)
        case AcceptStep():
            return await _accept(stage, step)
        case DiagnoseStep():
            return await _diagnose(stage, step)
        case EnrolStep():
            return await _enrol(stage, step)


async def _bind(stage: Stage, step: BindStep) -> Played:
    reasons = await bind(stage, step.bind)
    relation = stage.say(step.bind.relation, KINSHIP[step.bind.relation].chinese)
    asked = stage.say("bind", "建立共济关系") + f" · {step.bind.payer} → {step.bind.beneficiary} · {relation}"
    return _permitted(stage, step, asked, reasons)


async def _end(stage: Stage, step: EndStep) -> Played:
    """The counter ends the binding that there is."""
    binding = await _binding(stage, step.end.payer, step.end.beneficiary)
    path = f"/v1/bindings/{binding['binding_id']}/end"
    reasons = (await stage.call(Role.CLERK, "POST", path)).get("reasons", [])
    asked = stage.say("end the binding", "解除共济关系") + f" · {step.end.payer} → {step.end.beneficiary}"
    return _permitted(stage, step, asked, reasons)


async def _accept(stage: Stage, step: AcceptStep) -> Played:
    """The receiver's own phone: look what is on its way, take it."""
    receiver = step.accept.receiver
    query = {"to_person_id": stage.unique(receiver)}
    given = await stage.call(Role.MEMBER, "GET", "/v1/transfers", member=receiver, **query)
    answer: dict[str, Any] = {}
    for each in given["items"]:
        if each["state"] == "pending":
            path = f"/v1/transfers/{each['transfer_id']}/accept"
            answer = await stage.call(Role.MEMBER, "POST", path, member=receiver)
    state = answer.get("state", "refused" if answer else "nothing to accept")
    asked = stage.say("accept the transfer", "接收转账") + f" · {receiver}"
    told = stage.say(state, STATES[state])
    return Played(step, asked, f"[cyan]{told}[/]", {"state": state}, _reasons(stage, *answer.get("reasons", [])))


async def _diagnose(stage: Stage, step: DiagnoseStep) -> Played:
    """Asked by an operator; the service answers in the audience's language."""
    pair = {"payer_id": step.diagnose.payer, "beneficiary_id": step.diagnose.beneficiary}
    query = {name: stage.unique(person) for name, person in pair.items()}
    found = await stage.call(Role.OPERATOR, "GET", "/v1/diagnosis", **query)
    failed = next((check for check in found["checks"] if not check["passed"]), None)
    seen = {
        "possible": found["possible"],
        "reason": found["reason"],
        "failed": failed["check"] if failed else None,
    }
    asked = stage.say("why can we not share?", "为什么不能共济？")
    asked += f" · {step.diagnose.payer} → {step.diagnose.beneficiary}"
    answer = stage.say("possible", "可以共济") if found["possible"] else stage.say("not possible", "不能共济")
    why = [f"{failed['check']}: {failed['value']}", failed["rule"], f"→ {failed['advice']}"] if failed else []
    return Played(step, asked, f"[cyan]{answer}[/]", seen, why)


async def _enrol(stage: Stage, step: EnrolStep) -> Played:
    """The feed says something new of a person; what it ends is seen in their bindings as payer."""
    changed = step.enrol.model_dump(include={"insurance", "status"}, exclude_none=True)
    person = stage.scenario.persons[step.enrol.person].model_copy(update=changed)
    path = f"/v1/persons/{stage.unique(step.enrol.person)}"
    await stage.do(Role.FEED, "PUT", path, person.model_dump())
    bindings = await _bindings(stage, step.enrol.person)
    ended = {
        stage.known_as(each["beneficiary_id"]): each["end_cause"] for each in bindings if each["end_cause"] is not None
    }
    insured = stage.say(
        f"{person.insurance}, {person.status}",
        f"{INSURANCE[person.insurance].chinese}，{STATUS[person.status].chinese}",
    )
    asked = f"{stage.say('enrolment feed', '参保信息变更')} · {step.enrol.person} · {insured}"
    told = [
        f"{step.enrol.person} → {beneficiary} " + stage.say(cause, f"（{END_CAUSES[cause].chinese}）")
        for beneficiary, cause in ended.items()
    ]
    answer = stage.say("ended: ", "已终止：") + ", ".join(told) if told else stage.say("noted", "已登记")
    return Played(step, asked, f"[cyan]{answer}[/]", {"ended": ended})


async def _bindings(stage: Stage, payer: str) -> list[dict[str, Any]]:
    listed = await stage.call(Role.CLERK, "GET", "/v1/bindings", payer_id=stage.unique(payer))
    items: list[dict[str, Any]] = listed["items"]
    return items


async def _binding(stage: Stage, payer: str, beneficiary: str) -> dict[str, Any]:
    """The latest binding of the two; one without an id where there is none."""
    between = [each for each in await _bindings(stage, payer) if each["beneficiary_id"] == stage.unique(beneficiary)]
    return between[-1] if between else {"binding_id": "none"}


# ---- in words ----


def _permitted(stage: Stage, step: BindStep | EndStep, asked: str, reasons: list[str]) -> Played:
    answer = stage.say("refused", "不予办理") if reasons else stage.say("done", "已办理")
    return Played(step, asked, f"[cyan]{answer}[/]", {"refused": reasons}, _reasons(stage, *reasons))


def _returned(stage: Stage, step: RefundStep | CancelStep, asked: str, answer: dict[str, Any]) -> Played:
    """Mutual aid first, as it is given back."""
    say, seen = stage.say, {**answer, "payer": stage.known_as(answer.get("payer_id"))}
    parts = [_word(stage, answer)]
    if effect := answer.get("effect"):
        parts.append(say(effect, EFFECTS[effect]))
    if answer["mutual_aid_fen"]:
        parts.append(f"{seen['payer']} {say('gets back ', '收回 ')}{yuan(answer['mutual_aid_fen'])}")
    if answer["wallet_fen"]:
        parts.append(say("to the wallet ", "退回医保钱包 ") + yuan(answer["wallet_fen"]))
    if answer["own_account_fen"]:
        parts.append(say("to the own account ", "退回本人账户 ") + yuan(answer["own_account_fen"]))
    return Played(step, asked, " · ".join(parts), seen, _reasons(stage, answer["reason"]))


def _reasons(stage: Stage, *reasons: str | None) -> list[str]:
    texts = [(reason, TEXTS[Reason(reason)]) for reason in reasons if reason]
    return [f"{reason}: {stage.say(text.english, text.chinese)}" for reason, text in texts]


def _money(stage: Stage, amount_fen: int) -> str:
    return f"{yuan(amount_fen)} {stage.say('yuan', '元')}"


def _expense(stage: Stage, bill: Bill) -> str:
    return stage.say(bill.expense_type, EXPENSES[bill.expense_type].chinese)


def _word(stage: Stage, answer: dict[str, Any]) -> str:
    """The outcome of an answer."""
    outcome = answer["outcome"]
    return f"[cyan]{stage.say(outcome, OUTCOMES[outcome])}[/]"


def _outcome(stage: Stage, seen: dict[str, Any]) -> str:
    say = stage.say
    parts = [_word(stage, seen)]
    if seen["own_account_fen"]:
        parts.append(say("own account ", "本人账户 ") + yuan(seen["own_account_fen"]))
    if seen["wallet_fen"]:
        parts.append(say("wallet ", "医保钱包 ") + yuan(seen["wallet_fen"]))
    if seen["mutual_aid_fen"]:
        parts.append(f"{seen['payer']} {say('pays ', '共济支付 ')}{yuan(seen['mutual_aid_fen'])}")
    if seen["cash_fen"]:
        parts.append(say("cash ", "现金 ") + yuan(seen["cash_fen"]))
    if seen["replayed"]:
        parts.append(say("(sent again, nothing moved)", "（重发，未再扣款）"))
    return " · ".join(parts)
