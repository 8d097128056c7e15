"""Settings: one typed object a process, refused with a clear message."""

from pathlib import Path

import pytest

from services.binding.settings import BindingSettings
from services.settlement.settings import SettlementSettings
from shared.runtime.lifecycle import read_settings

GOOD = {"GONGJI_DATABASE_URL": "postgresql://x", "GONGJI_AMQP_URL": "amqp://x"}


def test_they_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each field is a GONGJI_ variable."""
    for name, value in {**GOOD, "GONGJI_BATCH_MAX": "7"}.items():
        monkeypatch.setenv(name, value)

    settings = read_settings(SettlementSettings)

    assert (settings.database_url, settings.batch_max) == ("postgresql://x", 7)


def test_they_come_from_secret_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A url with a password in it need not be in the environment."""
    (tmp_path / "gongji_database_url").write_text("postgresql://secret", encoding="utf-8")
    monkeypatch.setenv("GONGJI_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("GONGJI_AMQP_URL", "amqp://x")

    assert read_settings(SettlementSettings).database_url == "postgresql://secret"


def test_what_is_missing_or_wrong_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Every variable at once, never its value, and the process ends with 2."""
    monkeypatch.setenv("GONGJI_AMQP_URL", "amqp://x")
    monkeypatch.setenv("GONGJI_BATCH_MAX", "hunter2")

    with pytest.raises(SystemExit) as ended:
        read_settings(SettlementSettings)

    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "GONGJI_DATABASE_URL: Field required" in said
    assert "GONGJI_BATCH_MAX: Input should be a valid integer" in said
    assert "hunter2" not in said


def test_a_key_file_must_exist(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The binding service does not start without its keys."""
    monkeypatch.setenv("GONGJI_DATABASE_URL", "postgresql://x")
    for name in ("JWT_PUBLIC_KEY", "KEY_RING"):
        monkeypatch.setenv(f"GONGJI_{name}_FILE", "/nowhere/key")

    with pytest.raises(SystemExit):
        read_settings(BindingSettings)

    assert "GONGJI_KEY_RING_FILE: Path does not point to a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, "GONGJI_JWT_PUBLIC_KEY_FILE, GONGJI_JWKS_URL or GONGJI_JWKS_FILE: one must be given. See"),
        ({"GONGJI_JWKS_URL": "https://id/keys", "GONGJI_JWKS_FILE": "{file}"}, "GONGJI_JWKS_FILE: give one of them"),
        ({"GONGJI_JWKS_URL": "http://id.example/keys"}, "GONGJI_JWKS_URL: String should match pattern"),
        ({"GONGJI_JWKS_URL": "file:///etc/passwd"}, "GONGJI_JWKS_URL: String should match pattern"),
        (
            {"GONGJI_JWKS_URL": "https://id/keys", "GONGJI_JWKS_REFRESH_S": "50000"},
            "at least twice GONGJI_JWKS_REFRESH_S",
        ),
        ({"GONGJI_JWT_LEEWAY_S": "31"}, "GONGJI_JWT_LEEWAY_S: Input should be less than or equal to 30"),
    ],
    ids=["no key", "two sets", "keys in the clear", "no http", "keys that are stale at once", "too much leeway"],
)
def test_tokens_can_be_checked_and_checked_well(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    given: dict[str, str],
    complaint: str,
) -> None:
    """Without a key there is no service, and what is wrong between settings is said as well."""
    file = tmp_path / "key"
    file.touch()
    needed = {
        "GONGJI_DATABASE_URL": "postgresql://x",
        "GONGJI_KEY_RING_FILE": "{file}",
    }
    for name, value in {**needed, **given}.items():
        monkeypatch.setenv(name, value.format(file=file))

    with pytest.raises(SystemExit):
        read_settings(BindingSettings)

    assert complaint in capsys.readouterr().err
