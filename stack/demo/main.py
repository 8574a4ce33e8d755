"""The demo from start to end: platform, cast, fleet, work, summary."""

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import NoReturn

from rich.console import Console

from broker.home import default_home
from client.client import Client
from client.config import Target, find_local
from client.errors import SoukError
from client.resources import Job
from stack import up as platform
from stack.demo import cast as casting
from stack.demo import summary as figures
from stack.demo import work as working
from stack.demo.show import Show, describe
from stack.fleet import Fleet, FleetFailed
from stack.home import Home

FAILED, INTERRUPTED = 1, 130
FLEET_FOLDER = "fleet"
MEND_EVERY_S = 1.0


def main(argv: Sequence[str]) -> int:
    """Run the demo; returns the exit code (1 when something was not as it should be)."""
    options = _parser().parse_args(list(argv))
    show = Show(Console(file=sys.stderr if options.json else None, highlight=False))
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with ExitStack() as cleanup:
            return _run(options, show, cleanup)
    except (platform.UpFailed, FleetFailed, SoukError) as error:
        show.console.print(f"souk demo: {error}", style="bold red", markup=False)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="souk demo",
        description="Start the platform with six devices in two cells, two owners and three "
        "tenants; run a mixed workload; show what happened. Stays up until Ctrl-C.",
    )
    parser.add_argument("--exit", action="store_true", help="end after the summary")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    return parser


def _run(options: argparse.Namespace, show: Show, cleanup: ExitStack) -> int:
    home = Home(default_home())
    target = _bring_platform_up(home, show, cleanup)
    souk = cleanup.enter_context(Client(target=target))
    show.say("cells, owners, tenants and their purses")
    cast = casting.gather(souk, home)
    fleet = Fleet(directory=home.root / FLEET_FOLDER, logs=home.logs, members=casting.members())
    cleanup.callback(fleet.stop)
    show.say(f"{len(fleet.members)} devices in {len(casting.PLACES)} cells")
    state = home.read_state()
    enrolled = casting.bring_fleet_up(
        souk, fleet, cast, server=state.agent_url, mqtt_url=state.mqtt_url
    )
    show.say(
        f"all devices are online ({enrolled} newly enrolled)"
        if enrolled
        else "all devices are online"
    )
    tenants = {
        name: cleanup.enter_context(Client(target.url, api_key=key))
        for name, key in cast.keys.items()
    }
    found, picture = _trade(souk, tenants, cast, show)
    if options.json:
        print(json.dumps(found.document(), indent=2))
    else:
        show.summary(found, picture=picture)
    if not options.exit:
        _stay(home, target, fleet, show)
    return 0 if found.ok else FAILED


def _bring_platform_up(home: Home, show: Show, cleanup: ExitStack) -> Target:
    """Start the platform unless it runs already; what we started we also stop."""
    try:
        show.say("starting the platform")
        state = platform.up_detached(_starting_lines(show))
        cleanup.callback(_bring_platform_down, show)
    except platform.AlreadyRunning as running:
        state = running.state
    show.say(f"the platform runs at {state.api_url}")
    target = find_local(home.root)
    if target is None or not target.api_key:
        raise platform.UpFailed(f"there is no operator's key in {home.root / 'credentials'}")
    return target


def _starting_lines(show: Show) -> Callable[[str], None]:
    """Say the lines of a start up to its end; what `up` says then, we say in our own words."""
    over = False

    def report(line: str) -> None:
        nonlocal over
        over = over or not line.strip() or line.startswith("souk is up")
        if not over:
            show.say(line.strip())

    return report


def _bring_platform_down(show: Show) -> None:
    show.say("stopping the platform; nothing is lost")
    platform.down()


def _trade(
    souk: Client, tenants: Mapping[str, Client], cast: casting.Cast, show: Show
) -> tuple[figures.Summary, str]:
    """Submit, watch, judge."""
    nodes = {node.id: node.name for node in souk.nodes.list()}
    names: dict[str, str] = {}
    first_end_s = 0.0

    def on_change(jobs: Mapping[str, Job]) -> None:
        nonlocal first_end_s
        if not first_end_s and any(job.ended for job in jobs.values()):
            first_end_s = time.monotonic() - show.began
        if show.console.is_terminal:
            show.board(jobs, list(souk.nodes.list()))

    def name(each: working.Submitted) -> None:
        names[each.job.id] = f"{each.tenant}'s {each.job.name}"

    with _ticker(souk, show, names, nodes), show.live():
        submitted = working.submit_all(tenants, on_submit=name)
        show.say(f"{len(submitted)} jobs submitted by {len(tenants)} tenants")
        jobs = working.wait_for_all(tenants, submitted, on_change=on_change)
    outcomes = working.judge(tenants, submitted, jobs)
    seconds = time.monotonic() - show.began
    found = figures.gather(souk, cast, outcomes, first_end_s=first_end_s, seconds=seconds)
    return found, working.picture(outcomes)


@contextmanager
def _ticker(
    souk: Client, show: Show, jobs: Mapping[str, str], nodes: Mapping[str, str]
) -> Iterator[None]:
    """Print events as they come, from a thread of its own."""
    over = threading.Event()

    def follow() -> None:
        with suppress(SoukError, RuntimeError):  # the connection ends with the demo
            for event in souk.events.follow():
                if over.is_set():
                    return
                if text := describe(event, jobs, nodes):
                    show.say(text)

    threading.Thread(target=follow, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _stay(home: Home, target: Target, fleet: Fleet, show: Show) -> None:
    """Keep everything running until Ctrl-C; a device that ends is started again."""
    key_file = home.root / "credentials" / "operator.json"
    show.console.print(
        f"\nThe market goes on at {target.url}\n"
        f"  sign in with the API key in {key_file}\n"
        "  try `souk node list`, `souk job list`, `souk job explain last` in another window\n"
        "  Ctrl-C ends it; nothing is lost, the next `souk demo` goes on from here\n",
        markup=False,
    )
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(MEND_EVERY_S)
            for member, code in fleet.ended():
                show.say(f"{member.name} ended with {code}, starting it again")
            fleet.start()


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
