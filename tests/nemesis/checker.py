"""Do the invariants of the contract hold of a history? It knows what was sent, what was answered, and the contract's words. Pure.

Nothing of the project is used here. What is asked of each answer by itself stands here; whether all of them together are what the
contract makes of what was asked, in replay.py; what those were told who only asked, in inquiries.py. The run asks besides for
`gongji audit`, and for every decision to be decided again by the service's own rule.
"""

import math
from collections.abc import Callable, Iterator
from itertools import islice

from tests.nemesis.books import ON_ITS_WAY, balances, decided
from tests.nemesis.history import NOT_KEPT, Answer, History
from tests.nemesis.inquiries import Cancels, answered_inquiries, looked_up_in_time, reconciled_in_time
from tests.nemesis.replay import explained

# More of the same says nothing new.
TOLD_MAX = 20
MONEY = ("own_account_fen", "wallet_fen", "mutual_aid_fen")


def violations(history: History) -> list[str]:
    """What must not be, in sentences; none, where everything holds."""
    return [
        *unanswered(history),
        *_told(history, one_decision, as_looked_up, adds_up, cancelled_for_good, authorised),
        *_told(history, accepted_for_good, reconciled, conserved, nothing_put_aside),
        *_told(history, answered_inquiries, looked_up_in_time, reconciled_in_time, explained),
    ]


def unanswered(history: History) -> list[str]:
    """What of it can be said of a run that did not come to its end, if it came so far that everybody was heard out."""
    return _told(history, answered, nothing_is_lost) if history.asked_again_s < math.inf else []


def _told(history: History, *checks: Callable[[History], Iterator[str]]) -> list[str]:
    return [f"{check.__name__}: {each}" for check in checks for each in islice(check(history), TOLD_MAX)]


def answered(history: History) -> Iterator[str]:
    """Invariant 5: every accepted request is answered once the faults are over."""
    for each in history.asked.values():
        if not each.heard:
            yield f"{each.operation} {each.name} was never answered"


def nothing_is_lost(history: History) -> Iterator[str]:
    """Invariants 3 and 5: what the broker has confirmed is answered though nobody asks again, so it was not acknowledged before."""
    for each in history.left_open():
        yield f"{each.operation} {each.name} was confirmed by the broker and not answered until it was asked again"


def one_decision(history: History) -> Iterator[str]:
    """Invariant 2: every answer under a name says the same, but for `replayed`, until it is cancelled."""
    begun = Cancels.of(history).begun
    for each in history.asked.values():
        if each.operation in NOT_KEPT:
            continue
        for heard in (heard for heard in each.heard if heard.answer["outcome"] == "rejected"):
            if heard.answer["reason"] != "request_cancelled":
                yield f"{each.operation} {each.name} was rejected: {heard.answer['reason']}"
            elif not any(sent_s < heard.came_s for sent_s in begun[each.name]):
                yield f"{each.operation} {each.name} was told that it is cancelled, and nobody had cancelled it"
        said = [heard.answer for heard in each.heard if heard.answer["outcome"] != "rejected"]
        different = {repr(same(answer)) for answer in said}
        if len(different) > 1:
            yield f"{each.operation} {each.name} was answered in {len(different)} ways: {sorted(different)}"


def as_looked_up(history: History) -> Iterator[str]:
    """What a lookup tells afterwards is what was answered."""
    for name, found in history.looked_up.items():
        each = history.asked[name]
        for heard in each.heard:
            if heard.answer["outcome"] != "rejected" and (
                not found["original"] or same(found["original"]) != same(heard.answer)
            ):
                yield f"{each.operation} {name}: answered {same(heard.answer)}, looked up {found['original']}"
        if found["outcome"] == "not_found" and not found["cancelled"]:
            yield f"{each.operation} {name} is not known and was not cancelled"


def adds_up(history: History) -> Iterator[str]:
    """own + wallet + mutual_aid + cash = amount; at most one payer, who is there exactly where mutual aid pays."""
    for each in history.decided("settle"):
        for answer in (heard.answer for heard in each.heard):
            if answer["outcome"] == "rejected":
                continue
            if sum(answer[part] for part in (*MONEY, "cash_fen")) != each.body["amount_fen"]:
                yield f"settle {each.name}: its parts are not its amount: {answer}"
            if bool(answer["payer_id"]) != bool(answer["mutual_aid_fen"]):
                yield f"settle {each.name}: mutual aid without a payer, or the other way round: {answer}"


def cancelled_for_good(history: History) -> Iterator[str]:
    """What is sent after a cancel was answered is rejected, whatever became of it before."""
    ended: dict[str, float] = {}
    for each in history.decided("cancel"):
        for heard in each.heard:
            if heard.answer["outcome"] == "cancelled":
                original = each.body["original_request_id"]
                ended[original] = min(ended.get(original, heard.came_s), heard.came_s)
    for name, ended_s in ended.items():
        for heard in history.asked[name].heard if name in history.asked else ():
            if heard.sent_s > ended_s and heard.answer["outcome"] != "rejected":
                yield f"{name} was cancelled and answered {heard.answer['outcome']} afterwards"


def authorised(history: History) -> Iterator[str]:
    """Invariant 4: nobody pays who was certainly not bound while the request was under way."""
    for each in history.decided("settle"):
        for heard in each.heard:
            answer = heard.answer
            if answer["outcome"] == "rejected" or answer["replayed"]:
                continue
            for period in history.unbound:
                if (
                    answer["payer_id"] == period.payer_id
                    and each.body["person_id"] == period.beneficiary_id
                    and period.from_s < each.sent_s
                    and heard.came_s < period.until_s
                ):
                    yield f"settle {each.name}: {period.payer_id} paid after the binding's end was answered"


def accepted_for_good(history: History) -> Iterator[str]:
    """A gift that was said to have arrived, or to have been accepted, is in the wallet, unless it was cancelled."""
    for each, answer in decided(history):
        if each.operation != "transfer" or answer["outcome"] not in ON_ITS_WAY:
            continue
        transfer_id = answer["transfer_id"]
        if history.looked_up[each.name]["cancelled"]:
            due = {"returned"}
        elif answer["outcome"] == "transferred" or transfer_id in history.accepted:
            due = {"accepted"}
        else:
            # Somebody whose yes was never answered may have said it all the same.
            due = {"pending", "accepted"}
        if (state := history.transfers.get(transfer_id)) not in due:
            yield f"transfer {each.name} is {state} and should be {' or '.join(sorted(due))}"


def reconciled(history: History) -> Iterator[str]:
    """The hospital's books of every day, kept from the answers alone, are the ledger's."""
    for date, answer in history.reconciled.items():
        if answer["outcome"] != "balanced":
            yield f"{date}: ours {answer['ours']}, theirs {answer['theirs']}"


def nothing_put_aside(history: History) -> Iterator[str]:
    """Everything that was sent can be read and decided, so nothing of it is a dead letter."""
    if history.dead_letters:
        yield f"{history.dead_letters} dead letters"


def conserved(history: History) -> Iterator[str]:
    """Invariant 1: everybody has what was paid in, less what the answers say was taken, plus what they say was given back."""
    expected = balances(history)
    for person_id, have in history.balances.items():
        if expected.get(person_id, (0, 0)) != have:
            yield f"{person_id} has {have} (personal, wallet) fen and should have {expected.get(person_id, (0, 0))}"


def same(answer: Answer) -> Answer:
    return {name: value for name, value in answer.items() if name != "replayed"}
