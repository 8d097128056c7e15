"""A whole stack from outside: the `gongji` command in a state directory of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

GONGJI = Path(sys.executable).with_name("gongji")


class Stack:
    """A stack that was started with `gongji up`, and how to talk to it."""

    def __init__(self, directory: Path, **more: str) -> None:
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/root"),
            "LANG": "C.UTF-8",
            # A copy of the project is tested with its own code, not with what is installed.
            **{name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ},
            "GONGJI_STATE_DIR": str(directory),
            **more,
        }

    def done(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """One command, however it ends."""
        return subprocess.run(
            [GONGJI, *words], env={**self.environment, **more}, capture_output=True, text=True, check=False, timeout=120
        )

    def run(self, *words: str, code: int = 0, **more: str) -> str:
        """One command; its stdout. Fails the test if it ends with another exit code."""
        done = self.done(*words, **more)
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if code == 0 else done.stdout + done.stderr

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", code=code))

    def pid(self, name: str) -> int:
        pids = {process["name"]: process["pid"] for process in self.json("env")["processes"]}
        pid: int = pids[name]
        return pid

    def call(self, role: str, method: str, path: str, body: Any = None) -> httpx.Response:
        token = self.run("token", "--role", role).strip()
        url = self.json("env")["GONGJI_BINDING_URL"]
        return httpx.request(method, url + path, json=body, headers={"Authorization": f"Bearer {token}"})
