"""The documents say what the code does: settings, metrics and reasons, row by row."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from services.binding.model import Action
from shared.domain.reasons import TEXTS, Reason
from shared.domain.relations import KINSHIP

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = ROOT / "docs" / "operations.md"
INTEGRATORS = (ROOT / "docs" / "integrators.md", ROOT / "docs" / "integrators.zh-CN.md")

SETTINGS = {
    "settlement": "services.settlement.settings:SettlementSettings",
    "binding": "services.binding.settings:BindingSettings",
    "bookkeeping": "services.bookkeeping.settings:BookkeepingSettings",
    "migrate": "shared.postgres.__main__:MigrateSettings",
    "declare": "shared.rabbit.__main__:DeclareSettings",
}
METRIC = re.compile(r'"(gongji_[a-z_]+)"')
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def rows(document: Path, first_column: str) -> list[list[str]]:
    """The cells of the first table whose first column has this title."""
    lines = document.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_column} |"))
    found = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def settings_of(program: str) -> type[BaseSettings]:
    module, _, name = SETTINGS[program].partition(":")
    kind: type[BaseSettings] = getattr(import_module(module), name)
    return kind


def said(default: object) -> str:
    """A default as the table writes it."""
    if default is None:
        return "not set"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def read_settings() -> set[tuple[str, str, str]]:
    """Every setting of every program: its variable, the program, its default."""
    return {
        (f"GONGJI_{name.upper()}", program, "none" if field.is_required() else said(field.default))
        for program in SETTINGS
        for name, field in settings_of(program).model_fields.items()
    }


def documented_settings() -> set[tuple[str, str, str]]:
    return {
        (variable.strip("`"), program, default)
        for variable, programs, default, *_ in rows(OPERATIONS, "setting")
        for program in programs.split(", ")
    }


def test_every_setting_is_documented_with_its_default() -> None:
    missing = read_settings() - documented_settings()

    assert not missing


def test_every_documented_setting_exists() -> None:
    invented = documented_settings() - read_settings()

    assert not invented


def test_every_service_has_its_settings_checked() -> None:
    services = {file.parent.name for file in (ROOT / "services").glob("*/settings.py")}

    assert services <= SETTINGS.keys()


def test_every_metric_is_documented_and_every_documented_metric_exists() -> None:
    defined = {
        name
        for file in (ROOT / "services").glob("*/metrics.py")
        for name in METRIC.findall(file.read_text(encoding="utf-8"))
    }

    assert defined == {metric.strip("`") for metric, *_ in rows(OPERATIONS, "metric")}


def test_every_act_that_is_written_down_is_documented() -> None:
    documented = {name.strip("`") for names, *_ in rows(OPERATIONS, "action") for name in names.split(", ")}

    assert documented == set(Action)


@pytest.mark.parametrize("document", INTEGRATORS, ids=lambda file: file.name)
def test_every_reason_is_explained_in_the_words_of_the_code(document: Path) -> None:
    explained = {cells[0].strip("`"): set(cells[1:]) for cells in rows(document, "reason")}

    assert explained.keys() == {reason.value for reason in Reason}
    for reason, text in TEXTS.items():
        assert {text.chinese, text.english} <= explained[reason], reason


@pytest.mark.parametrize(("document", "title"), [(INTEGRATORS[0], "relation"), (INTEGRATORS[1], "关系")])
def test_every_relation_stands_beside_its_national_codes(document: Path, title: str) -> None:
    told = [
        (name.strip("`"), tuple(re.split(", |、", codes)), chinese, group.strip("`"))
        for name, codes, chinese, group in rows(document, title)
    ]

    assert told == [(name, each.codes, each.chinese, each.group) for name, each in KINSHIP.items()]


def test_every_link_between_documents_leads_somewhere() -> None:
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]

    broken = [
        (str(document.relative_to(ROOT)), target)
        for document in documents
        for target in LINK.findall(document.read_text(encoding="utf-8"))
        if "://" not in target and not (document.parent / target).exists()
    ]

    assert not broken
