"""What an institution's user may do at the broker, as regular expressions, and what the documents say of it."""

import re
from pathlib import Path

import pytest

from shared.domain.enrolment import InstitutionKind
from shared.messages.catalogue import CATALOGUE
from shared.rabbit.access import Access

DEPLOY = Path("docs/deploy.md").read_text(encoding="utf-8")


def topics(kind: InstitutionKind) -> str:
    return Access("clinic", "H1", kind).topic_permissions[0]["write"]


@pytest.mark.parametrize("kind", InstitutionKind)
def test_an_institution_publishes_what_its_kind_may_send(kind: InstitutionKind) -> None:
    """Each operation with a region, and no other key."""
    allowed = {operation for operation in CATALOGUE if re.search(topics(kind), f"{operation}.130100")}

    assert allowed == {operation for operation, wire in CATALOGUE.items() if kind in wire.senders}


@pytest.mark.parametrize(
    "key", ["settle", "settle.13", "settle.130100.x", "x.settle.130100", "resettle.130100", "#", "*.*"]
)
def test_no_other_key_is_open(key: str) -> None:
    assert re.search(topics(InstitutionKind.HOSPITAL), key) is None


@pytest.mark.parametrize(
    ("queue", "mine"),
    [
        ("reply.clinic.answers", True),
        ("results.clinic", True),
        ("reply.clinic", False),
        ("reply.clinic.north.answers", False),
        ("reply.clinics.answers", False),
        ("results.clinic.north", False),
        ("gongji.settlement", False),
        ("gongji.dead", False),
    ],
)
def test_a_user_reads_its_own_queues_alone(queue: str, *, mine: bool) -> None:
    found = re.search(Access("clinic", "H1", InstitutionKind.HOSPITAL).permissions["read"], queue)

    assert bool(found) is mine


def test_the_documents_say_the_same() -> None:
    """docs/deploy.md tells how to do it by hand."""
    access = Access("hospital_1", "hospital_1", InstitutionKind.HOSPITAL)
    said = [access.permissions["configure"], access.permissions["write"], access.permissions["read"]]
    said += [access.topic_permissions[0]["write"], access.reply_queue, access.results_queue, access.results_key]

    assert [pattern for pattern in said if pattern not in DEPLOY] == []
    assert topics(InstitutionKind.AGENCY) == r"^(cancel|credit|lookup|transfer)\.[0-9]{6}$"
