"""Who takes part in the demo: cells, owners with their devices, tenants with their purses."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from client.client import Client
from client.errors import NotAuthenticated
from client.resources import Account, Cell
from client.units import MICROS_PER_CREDIT
from edge_agent.machine import cpu_count, memory_total_bytes
from stack.fleet import Fleet, Member, share_of_machine, wait_for
from stack.home import Home

OWNERS = ("alder-farm", "quay-works")
TENANTS = ("observatory", "newsroom", "post-office")
PURSE_MICROS = 20_000_000_000
ONLINE_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A cell of the demo: a site with its own electricity."""

    name: str
    latitude: float
    longitude: float
    carbon_g_per_kwh: int


# Invented sites: one with a brook and a turbine, one on the city's grid.
PLACES = (
    Place(name="orchard", latitude=47.26, longitude=11.39, carbon_g_per_kwh=30),
    Place(name="quay", latitude=53.54, longitude=9.99, carbon_g_per_kwh=380),
)
_DEVICES = (  # name, owner, cell, credits per core-hour, watts idle and at full load
    ("orchard-barn", "alder-farm", "orchard", 9, 2, 6),
    ("orchard-press", "alder-farm", "orchard", 10, 3, 9),
    ("orchard-kiosk", "quay-works", "orchard", 14, 4, 15),
    ("quay-crane", "quay-works", "quay", 12, 5, 18),
    ("quay-office", "quay-works", "quay", 16, 8, 35),
    ("quay-buoy", "alder-farm", "quay", 20, 1, 4),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """All who take part, ready to trade."""

    cells: Mapping[str, Cell]
    owners: Mapping[str, Account]
    tenants: Mapping[str, Account]
    keys: Mapping[str, str]  # of tenants, by name


def members() -> Sequence[Member]:
    """The six devices, each with a share of this machine."""
    cpu, memory = share_of_machine(
        len(_DEVICES), cores=cpu_count(), memory_bytes=memory_total_bytes()
    )
    places = {place.name: place for place in PLACES}
    return [
        Member(
            name=name,
            owner=owner,
            cell=cell,
            cpu_millis=cpu,
            memory_bytes=memory,
            cpu_micros_per_core_hour=price * MICROS_PER_CREDIT,
            memory_micros_per_gib_hour=MICROS_PER_CREDIT,
            idle_milliwatts=idle_w * 1000,
            max_milliwatts=full_w * 1000,
            carbon_g_per_kwh=places[cell].carbon_g_per_kwh,
            latitude=places[cell].latitude,
            longitude=places[cell].longitude,
            labels={"site": cell},
        )
        for name, owner, cell, price, idle_w, full_w in _DEVICES
    ]


def gather(souk: Client, home: Home) -> Cast:
    """Make the accounts and cells that are missing; fill the tenants' purses."""
    cells = {cell.name: cell for cell in souk.cells.list()}
    root = next((cell.id for cell in cells.values() if cell.level == "root"), None)
    for place in PLACES:
        if place.name not in cells:
            cells[place.name] = souk.cells.create(
                place.name,
                parent_id=root,
                latitude=place.latitude,
                longitude=place.longitude,
                carbon_g_per_kwh=place.carbon_g_per_kwh,
            )
    accounts = {account.name: account for account in souk.accounts.list()}
    for name, role in [(n, "owner") for n in OWNERS] + [(n, "tenant") for n in TENANTS]:
        if name not in accounts:
            accounts[name] = souk.accounts.create(name, role=role)
    tenants = {name: accounts[name] for name in TENANTS}
    for account in tenants.values():
        _fill_purse(souk, account)
    return Cast(
        cells=cells,
        owners={name: accounts[name] for name in OWNERS},
        tenants=tenants,
        keys={name: _key_of(souk, home, account) for name, account in tenants.items()},
    )


def bring_fleet_up(souk: Client, fleet: Fleet, cast: Cast, *, server: str, mqtt_url: str) -> int:
    """``start_fleet`` and ``await_fleet`` in one."""
    began = datetime.now(UTC)
    enrolled = start_fleet(souk, fleet, cast, server=server, mqtt_url=mqtt_url)
    await_fleet(souk, fleet, since=began)
    return enrolled


def start_fleet(souk: Client, fleet: Fleet, cast: Cast, *, server: str, mqtt_url: str) -> int:
    """Enrol the devices that the platform does not know, and start all.

    Returns how many enrolled. Raises ``FleetFailed``.
    """
    known = {node.id for node in souk.nodes.list() if node.state not in ("revoked", "quarantined")}
    new = [member for member in fleet.members if fleet.node_id(member) not in known]
    tokens = {
        member.name: souk.tokens.create(
            cell=cast.cells[member.cell].id, owner_id=cast.owners[member.owner].id
        ).token
        for member in new
    }
    fleet.enrol(tokens, server=server)
    fleet.move(server=server, mqtt_url=mqtt_url)
    fleet.start()
    return len(new)


def await_fleet(souk: Client, fleet: Fleet, *, since: datetime) -> None:
    """Wait until every device has been heard of after ``since``. Raises ``FleetFailed``."""
    wanted = {fleet.node_id(member) for member in fleet.members}

    def all_online() -> bool:  # now, that is: before the last stop does not count
        heard = (node for node in souk.nodes.list() if node.state == "online")
        return wanted <= {node.id for node in heard if (node.last_seen_at or since) > since}

    wait_for(
        all_online, fleet=fleet, timeout_s=ONLINE_TIMEOUT_S, what="not all devices came online"
    )


def _fill_purse(souk: Client, account: Account) -> None:
    missing = PURSE_MICROS - account.balance.available_micros
    if missing > 0:
        souk.accounts.deposit(account.id, amount_micros=missing, note="demo")


def _key_of(souk: Client, home: Home, account: Account) -> str:
    """The tenant's key, kept beside the operator's; made anew if it is not good any more."""
    path = home.root / "credentials" / f"{account.name}.json"
    held = _read_key(path)
    if held and _works(souk, held):
        return held
    key = souk.keys.create(name="demo", account_id=account.id).key
    document = {"account_id": account.id, "name": account.name, "api_key": key}
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file)
    return key


def _read_key(path: Path) -> str:
    try:
        return str(json.loads(path.read_text())["api_key"])
    except (OSError, ValueError, KeyError):
        return ""


def _works(souk: Client, key: str) -> bool:
    try:
        with Client(souk.target.url, api_key=key) as tenant:
            tenant.accounts.get("me")
    except NotAuthenticated:
        return False
    return True
