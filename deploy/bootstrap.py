"""Makes .venv from uv.lock with nothing but python3: finds uv, or fetches it from PyPI, then syncs.

Only the standard library, and no pip: a fresh Debian has neither pip nor venv. uv.lock says which uv, by its hash, and uv takes no
package whose hash is not the one in uv.lock. Our own package is built by a part of uv itself.
"""

import hashlib
import io
import json
import os
import platform
import shutil
import stat
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
TOOLS = PROJECT / ".local" / "tools"
PYTHON_MIN = (3, 11)
SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"


def main() -> None:
    if sys.version_info < PYTHON_MIN:
        sys.exit(f"Python {'.'.join(map(str, PYTHON_MIN))} or later is needed; this is {platform.python_version()}")
    command = [str(find_uv()), "sync", "--locked", "--quiet", *sys.argv[1:]]
    environment = os.environ | {"UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"}
    sys.exit(subprocess.run(command, cwd=PROJECT, env=environment, check=False).returncode)  # noqa: S603 our own uv


def find_uv() -> Path:
    """The locked version of uv: on the PATH, fetched earlier, or fetched now. Another one would fetch what to build with."""
    version, hashes = locked_uv()
    if (found := shutil.which("uv")) and version_of(found) == version:
        return Path(found)
    uv = TOOLS / f"uv-{version}"
    if not uv.exists():
        print(f"fetching uv {version} from PyPI", file=sys.stderr, flush=True)  # noqa: T201 progress
        fetch(version, hashes, uv)
    return uv


def version_of(uv: str) -> str | None:
    """As it says itself: "uv 0.13.9 (x86_64-unknown-linux-gnu)"."""
    said = subprocess.run([uv, "--version"], capture_output=True, text=True, check=False).stdout.split()  # noqa: S603 the user's own uv
    return said[1] if len(said) > 1 else None


def locked_uv(lock: Path = PROJECT / "uv.lock") -> tuple[str, dict[str, str]]:
    """The version of uv that is locked, and the hash of each of its wheels by its file's name."""
    packages = tomllib.loads(lock.read_text(encoding="utf-8"))["package"]
    (uv,) = (package for package in packages if package["name"] == "uv")
    return uv["version"], {wheel["url"].rpartition("/")[2]: wheel["hash"] for wheel in uv["wheels"]}


def fetch(version: str, hashes: dict[str, str], destination: Path) -> None:
    """The uv binary out of its wheel, if the wheel is the one that is locked."""
    # The simple index is what mirrors have too.
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple"
    listing = urllib.request.Request(f"{index.rstrip('/')}/uv/", headers={"Accept": SIMPLE_JSON})  # noqa: S310
    with urllib.request.urlopen(listing, timeout=60) as response:  # noqa: S310 https, or the user's own index
        files = json.load(response)["files"]
    machine = platform.machine()
    wheels = [
        file
        for file in files
        if file["filename"].startswith(f"uv-{version}-py3-none-manylinux")
        and file["filename"].endswith(f"_{machine}.whl")
    ]
    if not wheels:
        sys.exit(f"{index} has no uv {version} for {machine}: install uv (https://docs.astral.sh/uv) and try again")
    with urllib.request.urlopen(wheels[0]["url"], timeout=300) as response:  # noqa: S310 from the index's answer
        wheel = response.read()
    if f"sha256:{hashlib.sha256(wheel).hexdigest()}" != hashes.get(wheels[0]["filename"]):
        sys.exit(f"the uv that {index} gives is not the one in uv.lock, and was not used: try another index")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/scripts/uv"))
        destination.parent.mkdir(parents=True, exist_ok=True)
        unfinished = destination.with_suffix(".part")
        unfinished.write_bytes(archive.read(name))
    unfinished.chmod(unfinished.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    unfinished.rename(destination)


if __name__ == "__main__":
    main()
