"""The demo from the platform's start to the summary: cast, fleet, work."""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime

from rich.console import Console

from broker.home import default_home
from client.client import Client
from client.config import Target, find_local
from client.errors import SoukError
from client.resources import Job
from stack.demo import cast as casting
from stack.demo import summary as figures
from stack.demo import work as working
from stack.demo.show import Show, describe
from stack.demo_workloads.mix import Work
from stack.detached import Start, UpFailed, api_answers, is_running
from stack.fleet import Fleet, FleetFailed
from stack.home import Home, State

FAILED = 1
FLEET_FOLDER = "fleet"
MEND_EVERY_S = 1.0


def play(
    options: argparse.Namespace, cleanup: ExitStack, *, start: Start | None, began: float
) -> int:
    """Show the market on a platform that ``start`` brings up, or that runs already (None).

    Returns the exit code; ``began`` is the moment that times are counted from.
    """
    console = Console(file=sys.stderr if options.json else None, highlight=False)
    show = Show(console, began=began)
    try:
        return _run(options, cleanup, start, show)
    except (UpFailed, FleetFailed, SoukError) as error:
        show.console.print(f"souk demo: {error}", style="bold red", markup=False)
        return FAILED


def _run(options: argparse.Namespace, cleanup: ExitStack, start: Start | None, show: Show) -> int:
    home = Home(default_home())
    rise = None if start is None else _Rise(start, show)
    target = _target(home, show)
    souk = cleanup.enter_context(Client(target=target))
    fleet = Fleet(directory=home.root / FLEET_FOLDER, logs=home.logs, members=casting.members())
    cleanup.callback(fleet.stop)
    began, state = datetime.now(UTC), home.read_state()
    fleet.move(server=state.agent_url, mqtt_url=state.mqtt_url)
    fleet.start_enrolled()  # of an earlier run; they come up while we look at the rest
    show.say("cells, owners, tenants and their purses")
    cast = casting.gather(souk, home)
    tenants = {
        name: cleanup.enter_context(Client(target.url, api_key=key))
        for name, key in cast.keys.items()
    }
    works = _bring_market_up(souk, fleet, cast, tenants, state, began, show)
    found, picture = _trade(souk, tenants, cast, works, rise, show)
    if options.json:
        print(json.dumps(found.document(), indent=2))
    else:
        show.summary(found, picture=picture)
    if not options.exit:
        _stay(home, target, fleet, show)
    return 0 if found.ok else FAILED


class _Rise:
    """The platform's start: waited for as far as the API, and followed on from there.

    What comes up behind the API is needed by the first round, not by accounts and devices.
    """

    def __init__(self, start: Start, show: Show) -> None:
        self._start, self._report = start, _starting_lines(show)
        self._failure: UpFailed | None = None
        show.say("starting the platform")
        start.wait(self._report, api_answers)
        threading.Thread(target=self._follow, daemon=True).start()

    def check(self) -> None:
        """Raises ``UpFailed`` if something did not come up: no job would end then."""
        if self._failure is not None:
            raise self._failure

    def _follow(self) -> None:
        try:
            self._start.wait(self._report, is_running)
        except UpFailed as failure:
            self._failure = failure


def _starting_lines(show: Show) -> Callable[[str], None]:
    """Say the lines of a start up to its end; what `up` says then, we say in our own words."""
    over = False

    def report(line: str) -> None:
        nonlocal over
        over = over or not line.strip() or line.startswith("souk is up")
        if not over:
            show.say(line.strip())

    return report


def _target(home: Home, show: Show) -> Target:
    """The platform's address and the operator's key. Raises ``UpFailed``."""
    target = find_local(home.root)
    if target is None or not target.api_key:
        raise UpFailed(f"there is no operator's key in {home.root / 'credentials'}")
    show.say(f"the platform answers at {target.url}")
    return target


def _bring_market_up(
    souk: Client,
    fleet: Fleet,
    cast: casting.Cast,
    tenants: Mapping[str, Client],
    state: State,
    began: datetime,
    show: Show,
) -> dict[str, list[Work]]:
    """Start the devices; while they come online the tenants upload. Returns what these want."""
    show.say(f"{len(fleet.members)} devices in {len(casting.PLACES)} cells")
    enrolled = casting.start_fleet(
        souk, fleet, cast, server=state.agent_url, mqtt_url=state.mqtt_url
    )
    works = working.prepare_all(tenants)
    casting.await_fleet(souk, fleet, since=began)
    newly = f" ({enrolled} newly enrolled)" if enrolled else ""
    show.say(f"all devices are online{newly}")
    return works


def _trade(
    souk: Client,
    tenants: Mapping[str, Client],
    cast: casting.Cast,
    works: Mapping[str, Sequence[Work]],
    rise: _Rise | None,
    show: Show,
) -> tuple[figures.Summary, str]:
    """Submit, watch, judge."""
    nodes = {node.id: node.name for node in souk.nodes.list()}
    names: dict[str, str] = {}
    first_end_s = 0.0

    def on_change(jobs: Mapping[str, Job]) -> None:
        nonlocal first_end_s
        if rise is not None:
            rise.check()
        if not first_end_s and any(job.ended for job in jobs.values()):
            first_end_s = time.monotonic() - show.began
        if show.console.is_terminal:
            show.board(jobs, list(souk.nodes.list()))

    def name(each: working.Submitted) -> None:
        names[each.job.id] = f"{each.tenant}'s {each.job.name}"

    with _ticker(souk, show, names, nodes), show.live():
        submitted = working.submit_all(tenants, works, on_submit=name)
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
    """Keep everything running until Ctrl-C or `down`; a device that ends is started again."""
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
            if home.read_state().supervisor is None:
                show.say("the platform was stopped; its devices end with it")
                return
            for member, code in fleet.ended():
                show.say(f"{member.name} ended with {code}, starting it again")
            fleet.start()
