"""Deciding many requests in one batch is deciding them one after the other."""

from collections.abc import Sequence
from uuid import UUID

from hypothesis import event, given
from hypothesis import strategies as st

from services.settlement.incoming import Incoming
from services.settlement.model import Resolution
from shared.domain.accounts import Account
from shared.messages.credit import CreditRequest
from shared.messages.envelope import Request
from shared.messages.settle import SettleAnswer
from shared.messages.undo import CancelAnswer, CancelRequest, RefundAnswer
from tests.support.books import FAMILY, Books
from tests.support.builders import (
    cancel,
    credit,
    lookup,
    quote,
    refund,
    settle,
)
from tests.support.reading import read, said_again

PEOPLE = st.sampled_from([key.person_id for key in FAMILY] + ["stranger"])
FEN = st.integers(1, 20)
# Few names, so that they come again: with the same content, with other content, for other operations.
NAMES = st.sampled_from(["R-1", "R-2", "R-3", "R-4", "R-5", "R-6"])
LATER_NAMES = st.sampled_from(["U-1", "U-2", "U-3", "U-4"])

SETTLES = st.builds(
    settle,
    request_id=NAMES,
    person_id=PEOPLE,
    amount_fen=FEN,
    use_own_account=st.booleans(),
    require_full=st.booleans(),
)
CREDITS = st.builds(
    credit,
    request_id=NAMES,
    person_id=PEOPLE,
    amount_fen=FEN,
    fund=st.sampled_from(["current_year", "prior_years"]),
    institution_id=st.sampled_from(["agency-1", "hospital-1"]),
)
QUOTES = st.builds(quote, request_id=NAMES, person_id=PEOPLE, amount_fen=FEN)
LOOKUPS = st.builds(lookup, original_request_id=NAMES)
REFUNDS = st.builds(
    refund, request_id=NAMES | LATER_NAMES, original_request_id=NAMES, amount_fen=st.none() | st.integers(1, 15)
)
CANCELS = st.builds(cancel, request_id=LATER_NAMES, original_request_id=NAMES)
SEQUENCES = st.lists(
    SETTLES | SETTLES | SETTLES | CREDITS | QUOTES | LOOKUPS | REFUNDS | REFUNDS | CANCELS, max_size=25
)
ACCOUNTS = st.fixed_dictionaries(
    {key: st.builds(Account, *[st.integers(0, 40)] * 2, st.integers(0, 10)) for key in FAMILY}
)
LIMITS = st.none() | st.integers(0, 40)


def at_once(books: Books, requests: Sequence[Request]) -> list[Resolution]:
    together = books.batch()
    return [together.decide(Incoming(request)) for request in requests]


def one_by_one(books: Books, requests: Sequence[Request]) -> list[Resolution]:
    resolutions = []
    for request in requests:
        resolutions.append(books.batch().decide(Incoming(request)))
        books.write(resolutions[-1])
    return resolutions


BOOKS = st.builds(Books, ACCOUNTS, st.tuples(LIMITS, LIMITS, LIMITS), st.integers(0, 5))


@given(BOOKS, SEQUENCES)
def test_one_batch_equals_batches_of_one(books: Books, requests: list[Request]) -> None:
    """Every answer is the same, ids included, and so are the books afterwards."""
    together = at_once(books, requests)
    apart = one_by_one(books, requests)

    assert [each.answer for each in together] == [each.answer for each in apart]
    assert [each.verdict for each in together] == [each.verdict for each in apart]
    assert [each.movement for each in together] == [each.movement for each in apart]


@given(BOOKS, SEQUENCES, st.integers(1, 7))
def test_where_batches_are_cut_does_not_matter(books: Books, requests: list[Request], size: int) -> None:
    """Any cutting of the sequence into batches gives the answers of one batch."""
    together = [each.answer for each in at_once(books, requests)]

    in_pieces = []
    for start in range(0, len(requests), size):
        resolutions = at_once(books, requests[start : start + size])
        in_pieces += [each.answer for each in resolutions]
        for resolution in resolutions:
            books.write(resolution)

    assert in_pieces == together


@given(BOOKS, SEQUENCES)
def test_money_is_conserved_over_the_sequence(books: Books, requests: list[Request]) -> None:
    """What is in the accounts is what was there and was credited, less what the answers say accounts paid and got back."""
    work = books.batch()
    before = sum(account.personal_fen + account.wallet_fen for account in work.accounts.values())

    credited = paid = 0
    settled: set[str | None] = set()
    for request in requests:
        answer = read(work.decide(Incoming(request)).answer)
        event(f"{answer.operation} {answer.outcome} {answer.reason}")
        if answer.replayed:
            event("replayed")
        elif isinstance(answer, RefundAnswer):
            paid -= answer.amount_fen or 0
        elif isinstance(answer, CancelAnswer) and isinstance(request, CancelRequest):
            # A cancelled settlement gives back; a cancelled refund takes again.
            sign = -1 if request.original_request_id in settled else 1
            paid += sign * (answer.amount_fen or 0)
        elif isinstance(request, CreditRequest) and answer.outcome == "credited":
            credited += request.amount_fen
        elif isinstance(answer, SettleAnswer) and answer.settlement_id:
            settled.add(answer.request_id)
            paid += (answer.own_account_fen or 0) + (answer.wallet_fen or 0) + (answer.mutual_aid_fen or 0)

    after = sum(account.personal_fen + account.wallet_fen for account in work.accounts.values())
    assert after == before + credited - paid


@given(BOOKS, SEQUENCES)
def test_no_balance_is_ever_negative(books: Books, requests: list[Request]) -> None:
    """After each request of the sequence every part of every account is 0 or more."""
    work = books.batch()

    for request in requests:
        work.decide(Incoming(request))
        for account in work.accounts.values():
            assert min(account.current_year_fen, account.prior_years_fen, account.wallet_fen) >= 0


@given(BOOKS, SEQUENCES)
def test_no_binding_gives_more_than_its_limit(books: Books, requests: list[Request]) -> None:
    """What was used through each binding in the year stays within its limit."""
    one_by_one(books, requests)

    for number, limit in enumerate(books.limits, 1):
        assert limit is None or books.used[UUID(int=number)] <= limit


@given(BOOKS, SEQUENCES)
def test_a_name_has_one_decision(books: Books, requests: list[Request]) -> None:
    """Sent again at the end, each request gets the answer that it got first, unless it was cancelled."""
    work = books.batch()
    first, cancelled = {}, set()
    for request in requests:
        answer = read(work.decide(Incoming(request)).answer)
        if isinstance(request, CancelRequest) and answer.outcome == "cancelled":
            cancelled.add(request.original_request_id)
        if request.operation not in ("quote", "lookup") and answer.outcome != "rejected" and not answer.replayed:
            first[Incoming(request).name] = (request, answer)
    accounts = dict(work.accounts)

    again = {name: read(work.decide(Incoming(request)).answer) for name, (request, _) in first.items()}

    for name, (_, answer) in first.items():
        if name.institution_id == "hospital-1" and name.request_id in cancelled:
            assert again[name].reason == "request_cancelled"
        else:
            assert again[name] == said_again(answer)
    assert work.accounts == accounts
