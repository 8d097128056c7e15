"""What is told to a person when the stack cannot do what was asked."""

from pathlib import Path

TAIL_BYTES = 16_384


class StackFailed(Exception):
    """The stack could not start or stop; the message says what was wrong and what to do."""


def last_lines(log: Path, count: int = 20) -> str:
    """The last lines of a log, or a note that there are none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        text = ""
    lines = text.splitlines()[-count:]
    return "\n".join(lines) if lines else "(nothing was logged)"
