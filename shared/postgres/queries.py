"""SQL lives in files: `-- name: a_query`, a comment that says what it is for, then one statement."""

import re
from importlib import resources

NAME = re.compile(r"^-- name: ([a-z][a-z0-9_]*)$", re.MULTILINE)


def load_queries(package: str, file: str) -> dict[str, str]:
    """The statements of one .sql file by name.

    Raises ValueError where a name is used twice or text stands before the first name.
    """
    text = resources.files(package).joinpath(file).read_text(encoding="utf-8")
    header, *parts = NAME.split(text)
    if any(line and not line.startswith("--") for line in header.splitlines()):
        raise ValueError(f"{package}/{file}: there is SQL before the first `-- name:`")
    queries: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if name in queries:
            raise ValueError(f"{package}/{file}: two queries are named {name}")
        queries[name] = body.strip().removesuffix(";")
    return queries
