"""The query loader."""

from pathlib import Path

import pytest

from shared.postgres.queries import load_queries


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # A name of its own each time: Python remembers what it has imported.
    folder = tmp_path / tmp_path.name
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_queries_are_found_by_name(package: Path) -> None:
    """Each with its comment, without the semicolon."""
    (package / "a.sql").write_text("-- About.\n\n-- name: one\n-- Says one.\nSELECT 1;\n\n-- name: two\nSELECT 2;\n")

    assert load_queries(package.name, "a.sql") == {"one": "-- Says one.\nSELECT 1", "two": "SELECT 2"}


def test_a_name_used_twice_is_refused(package: Path) -> None:
    """The second would silently win."""
    (package / "b.sql").write_text("-- name: one\nSELECT 1;\n-- name: one\nSELECT 2;\n")

    with pytest.raises(ValueError, match="two queries are named one"):
        load_queries(package.name, "b.sql")


def test_sql_without_a_name_is_refused(package: Path) -> None:
    """It would be lost."""
    (package / "c.sql").write_text("SELECT 1;\n-- name: one\nSELECT 1;\n")

    with pytest.raises(ValueError, match="before the first"):
        load_queries(package.name, "c.sql")
