"""What a diagnosis says: both languages of every sentence, and a sentence for everything that can be seen."""

import re
from string import Formatter

import pytest

from services.binding import phrases
from services.binding.api.diagnosis import preferred
from services.binding.diagnosis import CHECK_OF
from services.binding.phrases import ADVICE, RULES, Check, Language, say
from shared.domain import words
from shared.domain.enrolment import EnrolmentStatus, Insurance
from shared.domain.mutual_aid import CANDIDATE_GUARDS, PATIENT_GUARDS, RICHEST_GUARDS
from shared.domain.policy import ExpenseType, Funds
from shared.domain.reasons import Reason, Text

SAID = {**vars(phrases), **vars(words)}
TABLES = {name: table for name, table in SAID.items() if name.isupper() and isinstance(table, dict)}
WORDS = {"RAN_OUT", "ENDED"} | {f"{name}.{key}" for name in TABLES.keys() - {"RULES", "ADVICE"} for key in TABLES[name]}
TEXTS: dict[str, Text] = {name: text for name, text in SAID.items() if isinstance(text, Text)} | {
    f"{name}.{key}": text for name, table in TABLES.items() for key, text in table.items()
}
SENTENCES = sorted(TEXTS.keys() - WORDS)


def places(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_both_languages_are_there_and_have_the_same_places(name: str) -> None:
    chinese, english = TEXTS[name]

    assert chinese
    assert english
    assert places(chinese) == places(english)


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_each_language_is_written_in_its_own_letters(name: str) -> None:
    """Chinese has no Latin letter and no Latin punctuation outside the places to fill in; English is plain ASCII."""
    chinese = re.sub(r"\{[a-z_]+\}", "", TEXTS[name].chinese)

    assert not re.search(r"[A-Za-z\s,.;:!?()]", chinese)
    assert TEXTS[name].english.isascii()


@pytest.mark.parametrize("name", SENTENCES)
def test_a_sentence_ends(name: str) -> None:
    assert TEXTS[name].chinese.endswith("。")
    assert TEXTS[name].english.endswith(".")


def test_no_two_texts_say_the_same() -> None:
    for language in Language:
        assert len({language.of(text) for text in TEXTS.values()}) == len(TEXTS)


def test_every_guard_of_the_rule_is_told_as_a_check() -> None:
    """But for the credential, which only the till sees."""
    reasons = {guard.reason for guards in (PATIENT_GUARDS, CANDIDATE_GUARDS, RICHEST_GUARDS) for guard in guards}

    assert reasons - {Reason.CREDENTIAL_MISMATCH} == CHECK_OF.keys()


def test_every_check_has_its_rule_and_what_to_do() -> None:
    """A patient who pays alone needs no advice."""
    assert set(RULES) == set(Check)
    assert set(ADVICE) == set(Check) - {Check.OWN_MONEY_SUFFICES}


def test_every_word_of_the_domain_can_be_said() -> None:
    assert set(words.STATUS) == set(EnrolmentStatus)
    assert set(words.INSURANCE) == set(Insurance)
    assert set(words.EXPENSES) == set(ExpenseType)
    assert set(words.FUNDS) == set(Funds)


def test_words_are_filled_in_in_the_same_language() -> None:
    phrase = say(
        phrases.ENROLLED, insurance=words.INSURANCE[Insurance.RESIDENT], status=words.STATUS[EnrolmentStatus.ACTIVE]
    )

    assert phrase.read(Language.CHINESE) == "居民医保，正常参保。"
    assert phrase.read(Language.ENGLISH) == "Insured as a resident, active."


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "zh-CN"),
        ("", "zh-CN"),
        ("en", "en"),
        ("en-GB,en;q=0.9", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("en;q=0.9, zh;q=0.5", "en"),
        ("zh;q=0.5 , EN-us ; q=0.8", "en"),
        ("en;q=0.5,zh;q=0.5", "zh-CN"),
        ("en;q=0", "zh-CN"),
        ("en;q=much", "zh-CN"),
        ("de,fr;q=0.5", "zh-CN"),
        ("*", "zh-CN"),
    ],
)
def test_english_is_spoken_where_it_is_preferred(header: str | None, language: str) -> None:
    assert preferred(header) == language
