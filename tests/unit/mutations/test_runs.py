"""A planted bug counts as noticed where a test has failed, and only there."""

from pathlib import Path

import pytest

from tests.mutations.runs import Run, Verdict, run

FIXTURE = "import pytest\n\n@pytest.fixture\ndef server():\n    raise OSError('no port is free')\n\n"
FILES = {
    "passes": ("def test_it():\n    pass\n", Verdict.PASSED),
    "fails": ("def test_it():\n    raise OSError('away')\n", Verdict.FAILED),
    "its fixture fails": (FIXTURE + "def test_it(server):\n    pass\n", Verdict.ERROR),
    "its fixture fails after it": (
        "import pytest\n\n@pytest.fixture\ndef server():\n    yield\n    assert False\n\ndef test_it(server):\n    pass\n",
        Verdict.ERROR,
    ),
    "cannot be read": ("import nothing_of_this_name\n", Verdict.ERROR),
    "is not there": ("def test_another():\n    pass\n", Verdict.ERROR),
    "is left out": ("import pytest\n\ndef test_it():\n    pytest.skip('not here')\n", Verdict.ERROR),
    "has no end": ("import time\n\ndef test_it():\n    time.sleep(60)\n", Verdict.ERROR),
}


def run_alone(directory: Path, text: str, timeout_s: float) -> Run:
    (directory / "test_one.py").write_text(text)
    return run(["test_one.py::test_it"], directory, "--numprocesses=0", timeout_s=timeout_s)


@pytest.mark.parametrize("file", FILES)
def test_what_a_run_says_of_the_bug(tmp_path: Path, file: str) -> None:
    """Pytest ends with 1 where a test fails and where a fixture does."""
    text, verdict = FILES[file]

    ended = run_alone(tmp_path, text, 5 if file == "has no end" else 60)

    assert ended.verdict is verdict


def test_what_did_not_pass_is_named(tmp_path: Path) -> None:
    """With what was said."""
    text, _ = FILES["fails"]

    ended = run_alone(tmp_path, text, 60)

    assert ended.not_passed == ("test_one::test_it",)
    assert "away" in ended.said
