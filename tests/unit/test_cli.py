"""What the command says of itself."""

from cli import audit, explain
from cli.speech import FIELDS, OUTCOMES, STATES
from services.binding.model import TransferState
from services.settlement.model import Contra, MovementKind
from services.settlement.records import WhyNot
from shared.messages.catalogue import CATALOGUE
from shared.messages.envelope import Outcome


def test_every_invariant_has_a_chinese_name() -> None:
    """And no name is left over."""
    assert set(audit.CHINESE) == {*audit.INVARIANTS, audit.HEADS}


def test_every_outcome_and_every_amount_has_a_chinese_name() -> None:
    """Whatever an answer may carry can be shown."""
    amounts = {name for wire in CATALOGUE.values() for name in wire.answer.model_fields if name.endswith("_fen")}

    assert set(OUTCOMES) == set(Outcome)
    assert set(TransferState) <= set(STATES)
    assert amounts <= set(FIELDS)


def test_every_reason_not_to_decide_again_has_its_words() -> None:
    """In both languages."""
    assert set(explain.WHY_NOT) == set(WhyNot)


def test_whatever_moves_has_its_words() -> None:
    """Every contra account, and every kind of movement that undoes an earlier one."""
    assert set(explain.CONTRAS) == set(Contra)
    assert set(explain.KINDS) == {kind for kind in MovementKind if kind == "refund" or kind.endswith("_reversal")}
