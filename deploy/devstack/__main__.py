"""`python -m deploy.devstack`: the supervisor in the foreground."""

import argparse
import sys
from pathlib import Path

from deploy.devstack.stack import SERVERS_ONLY, gongji, started_with
from deploy.devstack.supervisor import PROJECT, Options, supervise


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy.devstack", description=__doc__)
    parser.add_argument("--workers", type=int, default=1, help="settlement workers to run")
    parser.add_argument("--servers-only", action="store_true", help="run none of the services")
    parser.add_argument("--state", type=Path, default=PROJECT / ".local", help="state directory")
    parser.add_argument("--pg", metavar="VERSION", help="Debian's PostgreSQL of this version")
    parser.add_argument("--owner", type=int, metavar="PID", help="stop when this process ends")
    parser.add_argument("--tls", action="store_true", help="servers that speak TLS only")
    parser.add_argument(
        "--postgres",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=lambda said: tuple(said.split("=", 1)),
        help="a setting of PostgreSQL, in place of the usual one",
    )
    arguments = parser.parse_args()
    options = Options(
        arguments.state,
        pg=arguments.pg,
        owner_pid=arguments.owner,
        tls=arguments.tls,
        postgres=dict(arguments.postgres),
        started_with=started_with(sys.argv[1:]),
    )
    return supervise(options, SERVERS_ONLY if arguments.servers_only else gongji(arguments.workers))


if __name__ == "__main__":
    sys.exit(main())
