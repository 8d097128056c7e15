"""With which rights, and for how long at most, a program of the stack runs."""

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from deploy.devstack.failure import StackFailed

UNPRIVILEGED_ACCOUNT = "nobody"


@dataclass(frozen=True)
class Account:
    """An account other than root, with what it needs to reach the folders it works in."""

    uid: int
    gid: int
    passes_closed_folders: bool

    def setpriv_options(self) -> tuple[str, ...]:
        options = ("--reuid", str(self.uid), "--regid", str(self.gid), "--clear-groups")
        if not self.passes_closed_folders:
            return options
        # The securebit is for access(2), with which PostgreSQL looks for its own binary: without
        # it the kernel leaves out the capabilities of whoever is not root.
        return (
            *options,
            *("--inh-caps", "+dac_override"),
            *("--ambient-caps", "+dac_override"),
            *("--securebits", "+no_setuid_fixup"),
        )


def owner_instead_of_root(home: Path, *needed: Path) -> Account | None:
    """The account that owns `home`, given to an unprivileged one if root's; None if not root.

    `needed` are further paths the account must be able to reach. Other people's folders on the
    way keep their modes: where they are closed the account gets one capability instead.
    """
    if os.geteuid() != 0:
        return None
    if home.stat().st_uid == 0:
        entry = pwd.getpwnam(UNPRIVILEGED_ACCOUNT)
        os.chown(home, entry.pw_uid, entry.pw_gid)
    owner = home.stat()
    closed = not all(open_to_all(path) for path in (home, *needed))
    return Account(owner.st_uid, owner.st_gid, passes_closed_folders=closed)


def open_to_all(path: Path) -> bool:
    """Whether any account may pass through all the folders that lead to a path."""
    return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


def dying_with_parent(argv: tuple[str, ...], *, death_signal: str, account: Account | None) -> tuple[str, ...]:
    """The command line that runs a program so that it ends when its parent is killed."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        if account is not None:
            message = "setpriv is missing: install util-linux, or start the stack as another user"
            raise StackFailed(message)
        return argv
    options = account.setpriv_options() if account else ()
    return (setpriv, "--pdeathsig", death_signal, *options, "--", *argv)
