"""`python -m tests.mutations`: plants each bug of the catalogue in a copy of the project and sees whether its test notices."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.mutations.catalogue import MUTATIONS, Mutation
from tests.mutations.runs import Verdict, copied, run

# As many as tests are run at a time without any bug.
AT_A_TIME = 2
TEST_TIMEOUT_S = 600.0

console = Console(highlight=False)


def main(only: Annotated[str | None, typer.Option(help="Those whose name has this in it.")] = None) -> None:
    """Exit 1 if a bug goes unnoticed, or if a test does not pass without any."""
    chosen = [each for each in MUTATIONS if only is None or only in each.name]
    if not _pass_without_any(chosen):
        raise typer.Exit(1)
    with ThreadPoolExecutor(AT_A_TIME) as several:
        noticed = sum(several.map(_is_noticed, chosen))
    console.print(f"{noticed} of {len(chosen)} bugs are noticed")
    raise typer.Exit(0 if noticed == len(chosen) else 1)


def planted(mutation: Mutation, directory: Path) -> None:
    """Changes the copy in `directory`. Raises ValueError where the place is not there just once."""
    file = directory / mutation.file
    text = file.read_text(encoding="utf-8")
    if text.count(mutation.before) != 1:
        raise ValueError(f"{mutation.name}: {mutation.file} has its place {text.count(mutation.before)} times")
    file.write_text(text.replace(mutation.before, mutation.after), encoding="utf-8")


def _pass_without_any(chosen: Sequence[Mutation]) -> bool:
    """Whether the tests hold of the project as it is; else it says nothing that they do not hold of another."""
    tests = list(dict.fromkeys(each.caught_by for each in chosen))
    began_s = time.monotonic()
    with copied() as directory:
        control = run(tests, directory, f"--numprocesses={AT_A_TIME}", timeout_s=TEST_TIMEOUT_S * len(tests))
    passed = control.verdict is Verdict.PASSED
    said = "[green]pass[/]" if passed else f"[red]do not pass ({control.verdict})[/]"
    console.print(f"{len(tests)} tests {said} without any bug after {time.monotonic() - began_s:3.0f} s")
    if not passed:
        console.print("\n".join([*control.not_passed, control.said[-4_000:]]), markup=False)
    return passed


def _is_noticed(mutation: Mutation) -> bool:
    began_s = time.monotonic()
    with copied() as directory:
        planted(mutation, directory)
        ended = run([mutation.caught_by], directory, "-x", "--numprocesses=0", timeout_s=TEST_TIMEOUT_S)
    noticed = ended.verdict is Verdict.FAILED
    said = "[green]noticed[/]" if noticed else f"[red]not noticed ({ended.verdict})[/]"
    console.print(f"{said} after {time.monotonic() - began_s:3.0f} s: {mutation.name}", soft_wrap=True)
    if not noticed:
        console.print(ended.said[-2_000:], markup=False)
    return noticed


if __name__ == "__main__":
    typer.run(main)
