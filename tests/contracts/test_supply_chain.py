"""What is installed is what is locked, to the byte; what is known against it is told; what a release is made of can be listed."""

import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy import advisories, bootstrap
from tests.support.compose import ROOT
from tests.support.ports import free_port

UV = Path(sys.executable).with_name("uv")
LOCK = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ADR = (ROOT / "docs" / "adr" / "0014-dependencies.md").read_text(encoding="utf-8")


@contextmanager
def server(answer: Callable[[str, bytes], bytes]) -> Iterator[str]:
    """A server whose answer to a path and a body this function gives."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answer(self.path, self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_POST = do_GET  # noqa: N815 the library's words

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{serving.server_port}"
        finally:
            serving.shutdown()
            thread.join()


# ---- locked, to the byte ----


def test_every_package_is_locked_with_its_hashes() -> None:
    """From the index, never from a branch or a folder; but our own."""
    packages = [package for package in LOCK["package"] if package["name"] != "gongji"]
    files = [file for package in packages for file in [*package.get("wheels", ()), package.get("sdist")] if file]

    assert len(packages) > 100
    assert {tuple(package["source"]) for package in packages} == {("registry",)}
    assert all(package.get("wheels") or package.get("sdist") for package in packages)
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"]) for file in files)


def test_a_package_with_other_bytes_is_not_installed(tmp_path: Path) -> None:
    """uv, told as deploy/bootstrap.py tells it, believes the lock, not the index: the same version, announced with its new hash."""
    offered = {"wheel": wheel(b"honest = True\n")}
    (tmp_path / "pyproject.toml").write_text(
        "[project]\nname = 'x'\nversion = '1'\nrequires-python = '>=3.11'\ndependencies = ['pay']\n"
    )

    def answer(path: str, _: bytes) -> bytes:
        if path.endswith(".whl"):
            return offered["wheel"]
        digest = hashlib.sha256(offered["wheel"]).hexdigest()
        return f'<a href="/pay-1.0-py3-none-any.whl#sha256={digest}">pay-1.0-py3-none-any.whl</a>'.encode()

    with server(answer) as url:
        environment = {"PATH": os.environ["PATH"], "UV_PYTHON": sys.executable, "UV_DEFAULT_INDEX": url}

        def uv(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [UV, *words, "--no-cache"],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )

        done = [uv("lock"), uv("sync", "--locked")]
        offered["wheel"] = wheel(b"honest = False\n")
        other = uv("sync", "--locked", "--reinstall")

    assert [each.returncode for each in done] == [0, 0], [each.stderr for each in done]
    assert other.returncode != 0
    assert "hash mismatch" in other.stderr.lower()


def wheel(code: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("pay.py", code)
        archive.writestr("pay-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: pay\nVersion: 1.0\n")
        archive.writestr(
            "pay-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("pay-1.0.dist-info/RECORD", "")
    return packed.getvalue()


@pytest.mark.parametrize("forged", [False, True], ids=["the locked one", "another one"])
def test_uv_itself_is_taken_only_if_it_is_the_locked_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, forged: bool
) -> None:
    """The index announces a hash that fits what it gives; uv.lock has the last word."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("uv-1.0.data/scripts/uv", b"#!/bin/sh\n")
    name = f"uv-1.0-py3-none-manylinux_2_17_{platform.machine()}.whl"
    digest = hashlib.sha256(packed.getvalue()).hexdigest()

    def answer(path: str, _: bytes) -> bytes:
        if path.endswith(".whl"):
            return packed.getvalue()
        return json.dumps(
            {"files": [{"filename": name, "url": f"{url}/{name}", "hashes": {"sha256": digest}}]}
        ).encode()

    with server(answer) as url:
        monkeypatch.setenv("UV_DEFAULT_INDEX", url)
        locked = {name: f"sha256:{'0' * 64 if forged else digest}"}
        if forged:
            with pytest.raises(SystemExit, match=r"is not the one in uv\.lock"):
                bootstrap.fetch("1.0", locked, tmp_path / "uv")
        else:
            bootstrap.fetch("1.0", locked, tmp_path / "uv")

    assert (tmp_path / "uv").exists() is not forged


def test_the_lock_knows_uv_for_this_kind_of_machine() -> None:
    """Where a fresh machine begins."""
    version, hashes = bootstrap.locked_uv()

    assert f"uv=={version}" in PROJECT["dependency-groups"]["supply-chain"]
    assert any("manylinux" in name and platform.machine() in name for name in hashes)


def test_another_uv_on_the_path_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be any, and would fetch the locked one's way of building from the index, whose bytes nothing holds."""
    version, hashes = bootstrap.locked_uv()
    fetched: list[tuple[str, dict[str, str], Path]] = []
    monkeypatch.setattr(bootstrap, "TOOLS", tmp_path / "tools")
    monkeypatch.setattr(bootstrap, "fetch", lambda *asked: fetched.append(asked))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    uv = tmp_path / "uv"

    found = []
    for said in ("uv 0.0.1 (somewhere)", "", f"uv {version} (x86_64-unknown-linux-gnu)"):
        uv.write_text(f"#!/bin/sh\necho '{said}'\n")
        uv.chmod(0o755)
        found.append(bootstrap.find_uv())

    ours = tmp_path / "tools" / f"uv-{version}"
    assert found == [ours, ours, uv]
    assert fetched == [(version, hashes, ours)] * 2


def test_what_is_run_to_build_is_locked() -> None:
    """Each is a part of the very uv that uv.lock has by its hash, so that nothing is fetched to build with."""
    version, _ = bootstrap.locked_uv()

    assert PROJECT["build-system"]["requires"] == [f"uv_build=={version}"]
    assert PROJECT["build-system"]["build-backend"] == "uv_build"


def test_the_wheel_is_built_without_an_index(tmp_path: Path) -> None:
    """With nothing fetched now or earlier; it has the services and their SQL, and no secret that lies in the tree."""
    for each in ("pyproject.toml", "README.md", "LICENSE"):
        (tmp_path / each).write_bytes((ROOT / each).read_bytes())
    for module in PROJECT["tool"]["uv"]["build-backend"]["module-name"]:
        shutil.copytree(ROOT / module, tmp_path / module, ignore=shutil.ignore_patterns("__pycache__", "secrets"))
    secret = tmp_path / "deploy" / "secrets" / "jwt_private_key"
    secret.parent.mkdir()
    secret.write_text("secret")

    done = subprocess.run(
        [UV, "build", "--offline", "--no-cache", "--out-dir", tmp_path / "dist"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "UV_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    (built,) = (tmp_path / "dist").glob("*.whl")
    (source,) = (tmp_path / "dist").glob("*.tar.gz")
    with zipfile.ZipFile(built) as packed, tarfile.open(source) as unbuilt:
        names, sources = packed.namelist(), unbuilt.getnames()
    wanted = {
        str(file.relative_to(ROOT))
        for pattern in ("services/**/*.py", "services/**/*.sql", "shared/**/*.sql", "shared/**/*.yaml", "cli/**/*.sql")
        for file in ROOT.glob(pattern)
    }
    assert wanted <= set(names)
    assert not [name for name in names + sources if "secrets" in name]


# ---- what is known against it ----


@pytest.mark.parametrize("known", [False, True], ids=["nothing is known", "something is known"])
def test_an_advisory_against_a_locked_package_fails_the_check(
    capsys: pytest.CaptureFixture[str], *, known: bool
) -> None:
    """It is named, with the version that mends it."""
    advisory = {
        "id": "GHSA-0000-0000-0001",
        "affected": [
            {
                "package": {"name": "pyjwt", "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}],
            }
        ],
    }

    def answer(_: str, body: bytes) -> bytes:
        about = json.loads(body)["package"]["name"]
        return json.dumps({"vulns": [advisory]} if known and about == "pyjwt" else {}).encode()

    with server(answer) as url:
        code = advisories.main({"here": ("--vulnerability-service", "osv", "--osv-url", url)})

    said = capsys.readouterr().out
    assert code == (1 if known else 0)
    assert ("GHSA-0000-0000-0001, mended in 99.0" in said) is known
    assert re.search(rf"here: {int(known)} advisories against 1\d\d locked packages", said)


def test_where_no_index_answers_it_is_said_that_nothing_was_checked(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither one that is not there, nor one that knows no package, is a clean bill."""
    nobody = f"http://127.0.0.1:{free_port()}"

    code = advisories.main({"nobody": ("--vulnerability-service", "osv", "--osv-url", nobody)})

    assert code == 0
    assert "NOTHING WAS CHECKED: no index of advisories answers (nobody)" in capsys.readouterr().out


def test_what_an_index_does_not_know_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """pip-audit counts it as good."""
    report = {
        "dependencies": [
            {"name": "good", "version": "1", "vulns": []},
            {"name": "bad", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": []}]},
            {"name": "odd", "skip_reason": "Dependency not found on PyPI and could not be audited: odd (3)"},
        ]
    }

    code = advisories.tell("here", advisories.Answer.read(json.dumps(report)))

    said = capsys.readouterr().out
    assert code == 1
    assert "bad 2: PYSEC-1, mended in nothing yet" in said
    assert "NOT CHECKED: odd" in said
    assert "1 advisories against 2 locked packages" in said


def test_a_pip_audit_that_fails_is_not_a_clean_bill(tmp_path: Path) -> None:
    """Only nobody being there is excused."""
    with pytest.raises(RuntimeError, match="pip-audit failed"):
        advisories.ask(tmp_path / "missing.txt", ("--vulnerability-service", "osv"))


# ---- what a release is made of ----


def test_what_a_release_is_made_of_is_listed(tmp_path: Path) -> None:
    """CycloneDX, of what an image installs that has every extra, each with its hashes; the command of `make sbom`."""
    (command,) = re.findall(r"^\t@\$\(RUN\)uv (export .*cyclonedx.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    words = command.replace("sbom.cdx.json", str(tmp_path / "sbom.json")).split()

    done = subprocess.run([UV, *words], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    listed = json.loads((tmp_path / "sbom.json").read_text())
    components = {each["name"]: each for each in listed["components"]}
    extras = [each for extra in PROJECT["project"]["optional-dependencies"].values() for each in extra]
    direct = {re.match(r"[a-z0-9-]+", each)[0] for each in [*PROJECT["project"]["dependencies"], *extras]}  # type: ignore[index]
    assert listed["bomFormat"] == "CycloneDX"
    assert direct <= components.keys()
    assert not {"pytest", "pip-audit", "celery"} & components.keys()
    assert all(file["hashes"] for each in components.values() for file in each["externalReferences"])


def test_every_direct_dependency_is_argued_for() -> None:
    """In ADR 14, by its name; and nothing there that is gone."""
    groups = [each for group in PROJECT["dependency-groups"].values() for each in group if isinstance(each, str)]
    wanted = {re.split(r"[\[>=<]", each)[0].strip() for each in [*PROJECT["project"]["dependencies"], *groups]}
    wanted |= {each.partition("==")[0] for each in PROJECT["build-system"]["requires"]}

    argued = {name for row in re.findall(r"^\| (.+?) \|", ADR, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)}

    assert argued == wanted
