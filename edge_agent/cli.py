"""``souk-agent``: enrol a device, run its agent, look at it, examine what it needs."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict

from edge_agent import __version__
from edge_agent.config import AgentConfig, ConfigError, find_config, load_config, state_dir
from edge_agent.exits import AgentError, Exit, table
from edge_agent.identity import StateDir


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], Exit] = arguments.command
    try:
        return command(arguments)
    except AgentError as error:
        print(f"souk-agent: {error}", file=sys.stderr)
        return error.exit_code
    except ConfigError as error:
        print(f"souk-agent: {error}", file=sys.stderr)
        return Exit.CONFIG


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="souk-agent",
        description="Offers this device's spare capacity on a souk market and runs what is leased.",
        epilog=f"exit codes:\n{table()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"souk-agent {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", metavar="FILE", help="the owner's settings (TOML)")
    common.add_argument("--state-dir", metavar="DIR", help="identity, journal and cache")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    enrol = commands.add_parser("enrol", parents=[common], help="join a platform with a token")
    enrol.add_argument("--server", required=True, metavar="URL", help="https://host:port")
    enrol.add_argument("--token", metavar="TOKEN", help="or in SOUK_JOIN_TOKEN")
    enrol.add_argument("--name", default=platform.node() or "device", help="shown to people")
    enrol.add_argument("--force", action="store_true", help="replace an identity that is there")
    enrol.set_defaults(command=_enrol)

    run = commands.add_parser("run", parents=[common], help="offer capacity and run work")
    run.add_argument("--log-json", action="store_true", help="log lines as JSON")
    run.set_defaults(command=_run)

    status = commands.add_parser("status", parents=[common], help="what the agent is doing")
    doctor = commands.add_parser("doctor", parents=[common], help="check all that it needs")
    for sub, command in ((status, _status), (doctor, _doctor)):
        sub.add_argument("-o", "--output", choices=("table", "json"), default="table")
        sub.set_defaults(command=command)
    return parser


def _open(arguments: argparse.Namespace) -> tuple[AgentConfig, StateDir]:
    config = load_config(find_config(arguments.config, os.environ))
    return config, StateDir(state_dir(config, arguments.state_dir, os.environ))


def _enrol(arguments: argparse.Namespace) -> Exit:
    from edge_agent.enrol import enrol

    _, state = _open(arguments)
    token = arguments.token or os.environ.get("SOUK_JOIN_TOKEN", "")
    state.make()
    held = None if arguments.force else state.enrolment()
    if held is not None:
        print(f"already enrolled as {held.node_id} at {held.server} (--force to enrol anew)")
        return Exit.OK
    lock = state.lock()
    try:
        enrolment = enrol(state, server=arguments.server, token=token, name=arguments.name)
    finally:
        os.close(lock)
    print(f"enrolled as {enrolment.node_id}; start the agent with: souk-agent run")
    return Exit.OK


def _run(arguments: argparse.Namespace) -> Exit:
    import sqlite3

    from edge_agent import logs
    from edge_agent.journal import JournalError
    from edge_agent.runtime import AgentRuntime, make_device

    config, state = _open(arguments)
    logs.set_up(level=config.agent.log_level, as_json=arguments.log_json)
    state.make()
    enrolment = state.enrolment()
    if enrolment is None:
        raise AgentError(Exit.NOT_ENROLLED, f"no identity in {state.path}: souk-agent enrol first")
    lock = state.lock()
    try:
        runtime = AgentRuntime(
            config=config,
            state=state,
            enrolment=enrolment,
            device=make_device(config, state),
            reload=lambda: _open(arguments)[0],
        )
        return runtime.run()
    except (JournalError, sqlite3.Error) as error:  # a full disk, a file that was taken away
        raise AgentError(Exit.STATE_DIR, f"the journal cannot be used: {error}") from None
    finally:
        os.close(lock)


def _status(arguments: argparse.Namespace) -> Exit:
    import time

    from edge_agent import status

    _, state = _open(arguments)
    picture, pid = status.read(state.status), state.holder()
    if picture is None:
        raise AgentError(Exit.NOT_RUNNING, f"no agent has run with {state.path}")
    if arguments.output == "json":
        print(json.dumps(asdict(picture) | {"pid": pid}))
    else:
        print(status.describe(picture, pid=pid, now=time.time_ns() // 1_000_000))
    return Exit.OK if pid is not None else Exit.NOT_RUNNING


def _doctor(arguments: argparse.Namespace) -> Exit:
    from edge_agent.doctor import Patient, examine

    config, state = _open(arguments)
    results = examine(Patient(config=config, state=state))
    if arguments.output == "json":
        print(json.dumps({"checks": [asdict(result) for result in results]}))
    else:
        for result in results:
            print(f"{result.verdict:<8} {result.name:<16} {result.found}")
            if result.advice:
                print(f"{'':<25} → {result.advice}")
    return Exit.DOCTOR if any(r.verdict == "failed" for r in results) else Exit.OK


def entry() -> None:
    """The console script."""
    sys.exit(main())
