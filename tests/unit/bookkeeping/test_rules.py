"""What is told of an entry and of a binding."""

from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from services.bookkeeping.model import Entry, Notice, Seal
from services.bookkeeping.rules import EVENTS, account_event, binding_event, routing_key
from shared.domain.ids import public_id
from shared.messages.event import EventName

AT = datetime(2026, 11, 24, 8, tzinfo=UTC)
ID, ORIGINAL, BINDING = UUID(int=1), UUID(int=2), UUID(int=3)
ENTRY = Entry(
    province=13,
    movement_id=ID,
    person_id="FATHER",
    kind="settlement",
    institution_id="H1",
    request_id="R1",
    binding_id=BINDING,
    current_year_fen=-100,
    prior_years_fen=-20,
    wallet_fen=0,
    original_id=None,
    original_province=13,
    insured_region="130200",
    care_region="130100",
    moved_at=AT,
)
SEAL = Seal(13, 7, (ID,), b"\x0f" * 32)


@pytest.mark.parametrize(("kind", "event"), EVENTS.items())
def test_an_event_is_routed_by_what_happened_and_where(kind: str, event: EventName) -> None:
    """Three words, the last the region in which the holder is insured."""
    told = account_event(replace(ENTRY, kind=kind), SEAL)

    assert (told.event, routing_key(told)) == (event, f"{event}.130200")
    assert routing_key(told).count(".") == 2


def test_an_event_has_the_same_id_each_time() -> None:
    """Of its movement and its person: both sides of one movement are two events."""
    assert account_event(ENTRY, SEAL).event_id == account_event(ENTRY, replace(SEAL, seal_no=8)).event_id
    assert account_event(ENTRY, SEAL).event_id != account_event(replace(ENTRY, person_id="CHILD"), SEAL).event_id


def test_what_undoes_names_its_original_where_it_is() -> None:
    """A transfer from another province bears that province's number."""
    taken = replace(ENTRY, kind="transfer_reversal", original_id=ORIGINAL, original_province=12)

    assert account_event(taken, SEAL).original_id == public_id(12, ORIGINAL)
    assert account_event(ENTRY, SEAL).original_id is None


def test_a_binding_is_routed_by_its_payers_province() -> None:
    """Across provinces too."""
    notice = Notice(12, 1, "binding.ended", AT, BINDING, "SON", 13, "MOTHER", date(2026, 1, 1), date(2026, 11, 24), "x")

    told = binding_event(notice)

    assert routing_key(told) == "binding.ended.120000"
    assert (told.payer_province, told.beneficiary_province) == ("12", "13")
