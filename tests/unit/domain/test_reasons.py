"""Every reason and its sentences. Contract: `reason_text`, and every code that it names."""

import re

import pytest

from shared.domain.reasons import TEXTS, Reason

SETTLEMENT = [
    "malformed",
    "sender_mismatch",
    "reply_queue_not_allowed",
    "request_conflict",
    "request_cancelled",
    "institution_unknown",
    "institution_suspended",
    "institution_not_allowed",
    "person_unknown",
    "credential_mismatch",
    "person_not_insured",
    "expense_not_covered",
    "mutual_aid_not_requested",
    "region_not_connected",
    "payer_not_eligible",
    "payer_account_frozen",
    "expense_not_shared",
    "authorised_limit_exceeded",
    "payer_balance_zero",
    "richest_payer_insufficient",
    "kinship_account_only",
    "no_binding",
    "own_balance_insufficient",
    "person_not_employee",
]
BINDING = [
    "self_binding",
    "payer_unknown",
    "beneficiary_unknown",
    "payer_not_employee",
    "payer_not_active",
    "beneficiary_not_insured",
    "relation_not_allowed",
    "region_not_connected",
    "already_bound",
    "member_limit_reached",
    "relation_limit_reached",
    "payer_limit_reached",
    "bound_too_recently",
    "unauthenticated",
    "forbidden",
    "not_found",
    "invalid",
    "rate_limited",
]


@pytest.mark.parametrize("code", [*SETTLEMENT, *sorted(set(BINDING) - set(SETTLEMENT))])
def test_code_of_the_contract_exists(code: str) -> None:
    """A code is never renamed."""
    assert Reason(code).value == code


def test_every_reason_has_its_texts() -> None:
    """No reason without sentences, no sentences without a reason."""
    assert set(TEXTS) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_code_is_lower_case_words(reason: Reason) -> None:
    """Codes are plain words: they become labels and routing keys."""
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", reason)


@pytest.mark.parametrize("reason", Reason)
def test_chinese_text_is_one_sentence_that_can_be_read_out(reason: Reason) -> None:
    """One sentence: it ends with a full stop, has no other, and no Latin letter or digit in it."""
    chinese = TEXTS[reason].chinese

    assert chinese.endswith("。")
    assert chinese.count("。") == 1
    assert not re.search(r"[A-Za-z0-9_{}%\s]", chinese)
    assert not re.search(r"[,.;:!?()]", chinese), "Chinese text has Chinese punctuation"


@pytest.mark.parametrize("reason", Reason)
def test_english_text_is_a_sentence(reason: Reason) -> None:
    """A capital in front, a full stop behind, plain ASCII, and not the code itself."""
    english = TEXTS[reason].english

    assert english[0].isupper()
    assert english.endswith(".")
    assert english.isascii()
    assert reason not in english or "_" not in reason


@pytest.mark.parametrize("language", [0, 1], ids=["Chinese", "English"])
def test_no_two_reasons_say_the_same(language: int) -> None:
    """Who reads the sentence can tell the reasons apart."""
    assert len({text[language] for text in TEXTS.values()}) == len(TEXTS)


def test_credential_refusal_says_the_rule() -> None:
    """Money may be shared, cards may not."""
    assert "钱可以共济，卡不能共用" in TEXTS[Reason.CREDENTIAL_MISMATCH].chinese


def test_kinship_refusal_tells_the_two_apart() -> None:
    """People confuse a kinship account with mutual aid, so the refusal says so."""
    chinese = TEXTS[Reason.KINSHIP_ACCOUNT_ONLY].chinese

    assert "亲情账户" in chinese
    assert "共济" in chinese


def test_a_transfer_between_strangers_says_that_a_kinship_account_does_not_help() -> None:
    """It is no relation to give by."""
    assert "亲情账户" in TEXTS[Reason.NOT_RELATED].chinese
    assert "kinship account" in TEXTS[Reason.NOT_RELATED].english
