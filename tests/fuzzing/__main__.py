"""`python -m tests.fuzzing --minutes 30`: the message parser's properties, with one seed after the other until the time is up."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

PROJECT = Path(__file__).resolve().parents[2]
PARSER = "tests/property/test_parser.py"

PYTEST = (sys.executable, "-m", "pytest", PARSER, "-q", "-n0", "--hypothesis-profile=thorough", "--timeout=1800")

console = Console(highlight=False)


def main(
    minutes: Annotated[float, typer.Option(help="How long; the round that is under way is finished.", min=0.1)] = 30.0,
    seed: Annotated[int | None, typer.Option(help="The first round's; else the time.")] = None,
) -> None:
    """Exit 1 as soon as a property does not hold, with the example that shows it and how to play it again."""
    first = seed if seed is not None else int(time.time())
    began_s, rounds = time.monotonic(), 0
    while time.monotonic() - began_s < 60 * minutes:
        played = first + rounds
        done = subprocess.run(
            [*PYTEST, f"--randomly-seed={played}"],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            console.print(done.stdout[-8_000:], markup=False)
            console.print(f"[red]play it again: make fuzz SEED={played} MINUTES=0.1[/]")
            raise typer.Exit(1)
        rounds += 1
    console.print(
        f"nothing found in {rounds} rounds, {(time.monotonic() - began_s) / 60:.0f} minutes, seeds from {first}"
    )


if __name__ == "__main__":
    typer.run(main)
