"""Options that many commands share."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
Lang = Annotated[str | None, typer.Option("--lang", help="zh or en; else the terminal's language.")]
