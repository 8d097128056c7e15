"""The `gongji` command."""

import asyncio
import sys
from collections.abc import Callable

import typer

from cli import (
    acts,
    audit,
    clearing,
    dead,
    demo,
    explain,
    institution,
    keys,
    policy,
    reconcile_file,
    requests,
    rollover,
    stack,
)
from cli.environment import NotReachable
from cli.speech import NO_ANSWER, USAGE, complain
from deploy.devstack.failure import StackFailed
from shared.postgres.migrate import MigrationRefused
from shared.postgres.trouble import UNUSABLE
from shared.rabbit.client import NoAnswer, NotRouted, NotTaken
from shared.rabbit.connection import BrokerError
from shared.rabbit.publisher import PublishFailed
from shared.telemetry.logging import configure_logging

app = typer.Typer(
    name="gongji",
    help="Settlement of family mutual aid (家庭共济): run it, ask it, prove it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "The stack": (stack.up, stack.down, stack.env, stack.token, stack.migrate, demo.demo, demo.play),
    "Requests": (
        requests.settle,
        requests.quote,
        requests.refund,
        requests.cancel,
        requests.credit,
        requests.transfer,
        requests.lookup,
        requests.reconcile,
        reconcile_file.reconcile_file,
    ),
    "Proof": (explain.explain, audit.audit, acts.acts, clearing.clearing),
}
for panel, commands in PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.command(rich_help_panel="Operation")(rollover.rollover)
app.add_typer(policy.app, name="policy", rich_help_panel="Operation")
app.add_typer(institution.app, name="institution", rich_help_panel="Operation")
app.add_typer(keys.app, name="keys", rich_help_panel="Operation")
app.add_typer(dead.app, name="dead", rich_help_panel="Operation")


def main() -> None:
    """Runs a command; what went wrong is one sentence, with an exit code that says which kind it was."""
    # What a command prints is for other programs too: nothing else may come between.
    configure_logging("WARNING", service="gongji", stream=sys.stderr)
    try:
        app()
    except NotReachable as error:
        complain(str(error))
        sys.exit(USAGE)
    except (NoAnswer, NotRouted, NotTaken, StackFailed, MigrationRefused) as error:
        complain(str(error))
        sys.exit(NO_ANSWER)
    except PublishFailed as error:
        complain(f"the broker does not say whether it has what was sent: {error}")
        sys.exit(NO_ANSWER)
    except (*BrokerError, *UNUSABLE) as error:
        complain(f"cannot reach the servers: {type(error).__name__}: {error}")
        sys.exit(NO_ANSWER)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)


if __name__ == "__main__":
    main()
