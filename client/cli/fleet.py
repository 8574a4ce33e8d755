"""``souk node``, ``souk cell`` and ``souk offer``: what is for sale and where."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..resources import Cell, Node, Offer
from ..units import format_ago, format_bytes, format_credits, format_resource
from .group import make_group
from .options import ROWS_DEFAULT, ContextName, Limit, Output, OutputFormat, State, Watch, connect
from .output import Column, details, present, show_list, show_one

if TYPE_CHECKING:
    from rich.console import RenderableType

nodes = make_group("Devices: list, inspect, drain, revoke.")
cells = make_group("Places that have a market of their own.")
offers = make_group("What owners sell.")

NodeName = Annotated[str, typer.Argument(metavar="NODE", help="Its id or name.")]
CellName = Annotated[str, typer.Argument(metavar="CELL", help="Its id or name.")]
InCell = Annotated[str, typer.Option("--cell", help="Only those of this cell (id or name).")]

_NODES: tuple[Column[Node], ...] = (
    Column(title="ID", read=lambda node: node.id),
    Column(title="NAME", read=lambda node: node.name),
    Column(title="CELL", read=lambda node: node.cell_name or node.cell_id or ""),
    Column(title="OWNER", read=lambda node: node.owner_name or node.owner_id),
    Column(title="STATE", read=lambda node: node.state),
    Column(title="FREE", read=lambda node: quantities(node.free)),
    Column(title="LEASED", read=lambda node: quantities(node.leased) or "nothing"),
    Column(title="SEEN", read=lambda node: format_ago(node.last_seen_at), right=True),
)
_CELLS: tuple[Column[Cell], ...] = (
    Column(title="ID", read=lambda cell: cell.id),
    Column(title="NAME", read=lambda cell: cell.name),
    Column(title="LEVEL", read=lambda cell: cell.level),
    Column(title="ONLINE", read=lambda cell: f"{cell.nodes.online}/{cell.nodes.total}", right=True),
    Column(title="FREE", read=lambda cell: quantities(cell.capacity.get("free", {}))),
    Column(title="PRICES/H", read=lambda cell: _prices(cell)),
)
_OFFERS: tuple[Column[Offer], ...] = (
    Column(title="ID", read=lambda offer: offer.id),
    Column(title="NODE", read=lambda offer: offer.node_id),
    Column(title="STATE", read=lambda offer: offer.state),
    Column(title="CAPACITY", read=lambda offer: quantities(offer.capacity)),
    Column(title="RESERVE/H", read=lambda offer: money(offer.reserve)),
)


def quantities(units: Mapping[str, int]) -> str:
    """``{"cpu_millis": 1500}`` → ``"1.5 cores"``."""
    return ", ".join(format_resource(name, count) for name, count in units.items() if count)


def money(micros: Mapping[str, int]) -> str:
    """``{"cpu_millis": 20000}`` → ``"cpu 0.02"``: credits per priced unit and hour."""
    return ", ".join(
        f"{name.partition('_')[0]} {format_credits(price)}" for name, price in micros.items()
    )


@nodes.command("list")
def list_nodes(
    cell: InCell = "",
    state: State = "",
    limit: Limit = ROWS_DEFAULT,
    watch: Watch = False,
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """List nodes with what they have free and when they were last heard."""
    from .names import cell_id

    with connect(context) as souk:
        wanted = cell_id(souk, cell) if cell else None
        show_list(
            lambda: souk.nodes.list(cell_id=wanted, state=state or None, limit=limit),
            _NODES,
            output=output,
            watch=watch,
            empty="No nodes. Admit one: souk token create --help",
        )


@nodes.command("show")
def show_node(
    node: NodeName,
    watch: Watch = False,
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Show one node."""
    from .names import node_id

    with connect(context) as souk:
        found_id = node_id(souk, node)
        present(
            lambda: souk.nodes.get(found_id),
            render=_node_details,
            document=lambda found: found.raw,
            output=output,
            watch=watch,
        )


@nodes.command()
def drain(node: NodeName, output: Output = OutputFormat.TABLE, context: ContextName = "") -> None:
    """Stop selling a node's capacity; what runs there may finish."""
    _set_draining(node, True, output, context)


@nodes.command()
def undrain(node: NodeName, output: Output = OutputFormat.TABLE, context: ContextName = "") -> None:
    """Sell a drained node's capacity again."""
    _set_draining(node, False, output, context)


@nodes.command()
def revoke(
    node: NodeName,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    context: ContextName = "",
) -> None:
    """Cut a node off for good: its certificate is withdrawn, its work goes elsewhere."""
    from .names import node_id

    with connect(context) as souk:
        found_id = node_id(souk, node)
        if not yes:
            typer.confirm(f"Revoke {found_id}? It must enrol anew to come back.", abort=True)
        souk.nodes.revoke(found_id)
    typer.echo(f"{found_id} is revoked")


@cells.command("list")
def list_cells(
    limit: Limit = ROWS_DEFAULT,
    watch: Watch = False,
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """List cells with their free capacity and prices."""
    with connect(context) as souk:
        show_list(
            lambda: souk.cells.list(limit=limit),
            _CELLS,
            output=output,
            watch=watch,
            empty="No cells. Make one: souk cell create NAME",
        )


@cells.command("show")
def show_cell(
    cell: CellName, output: Output = OutputFormat.TABLE, context: ContextName = ""
) -> None:
    """Show one cell."""
    from .names import cell_id

    with connect(context) as souk:
        _present_cell(souk.cells.get(cell_id(souk, cell)), output)


@cells.command("create")
def create_cell(
    name: Annotated[str, typer.Argument(help="Its name.")],
    level: Annotated[str, typer.Option("--level", help="cell, region or root.")] = "cell",
    parent: Annotated[str, typer.Option("--parent", help="The region it is in (id or name).")] = "",
    latitude: Annotated[float | None, typer.Option("--latitude", help="Degrees north.")] = None,
    longitude: Annotated[float | None, typer.Option("--longitude", help="Degrees east.")] = None,
    carbon: Annotated[
        float | None, typer.Option("--carbon", help="Grams of CO₂ per kWh of its power.")
    ] = None,
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Make a cell."""
    from .names import cell_id

    with connect(context) as souk:
        cell = souk.cells.create(
            name,
            level=level,
            parent_id=cell_id(souk, parent) if parent else None,
            latitude=latitude,
            longitude=longitude,
            carbon_g_per_kwh=carbon,
        )
        _present_cell(cell, output)


@offers.command("list")
def list_offers(
    cell: InCell = "",
    node: Annotated[str, typer.Option("--node", help="Only of this node (id or name).")] = "",
    state: State = "",
    limit: Limit = ROWS_DEFAULT,
    watch: Watch = False,
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """List offers with their capacity and reserve prices."""
    from .names import cell_id, node_id

    with connect(context) as souk:
        in_cell = cell_id(souk, cell) if cell else None
        of_node = node_id(souk, node) if node else None
        show_list(
            lambda: souk.offers.list(
                cell_id=in_cell, node_id=of_node, state=state or None, limit=limit
            ),
            _OFFERS,
            output=output,
            watch=watch,
            empty="No offers.",
        )


@offers.command("show")
def show_offer(
    offer: Annotated[str, typer.Argument(metavar="OFFER", help="Its id.")],
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Show one offer."""
    with connect(context) as souk:
        found = souk.offers.get(offer)
        show_one(found, _offer_details, output=output)


def _set_draining(node: str, draining: bool, output: OutputFormat, context: str) -> None:
    from .names import node_id

    with connect(context) as souk:
        found = souk.nodes.drain(node_id(souk, node), draining=draining)
        show_one(found, _node_details, output=output)


def _present_cell(cell: Cell, output: OutputFormat) -> None:
    show_one(cell, _cell_details, output=output)


def _node_details(node: Node) -> "RenderableType":
    return details(
        {
            "Node": node.id,
            "Name": node.name,
            "State": node.state,
            "Why": node.state_reason or "",
            "Owner": node.owner_name or node.owner_id,
            "Cell": node.cell_name or node.cell_id or "",
            "Machine": f"{node.cpu_count} cores, {node.arch}" if node.arch else "",
            "Runtimes": ", ".join(f"{name} {version}" for name, version in node.runtimes.items()),
            "Labels": ", ".join(f"{key}={value}" for key, value in node.labels.items()),
            "Offered": quantities(node.capacity),
            "Leased": quantities(node.leased),
            "Free": quantities(node.free),
            "Measured": _measured(node.measured),
            "Reliability": "" if node.reliability is None else f"{node.reliability:.3f}",
            "Speed": "" if node.speed is None else f"{node.speed:.2f} × reference core",
            "Agent": node.agent_version,
            "Seen": f"{format_ago(node.last_seen_at)} ago" if node.last_seen_at else "never",
            "Certificate": f"until {node.certificate_expires_at:%Y-%m-%d %H:%M} UTC"
            if node.certificate_expires_at
            else "",
        }
    )


def _cell_details(cell: Cell) -> "RenderableType":
    place = "" if cell.latitude is None else f"{cell.latitude}° N, {cell.longitude}° E"
    carbon = "" if cell.carbon_g_per_kwh is None else f"{cell.carbon_g_per_kwh:g} g CO₂ per kWh"
    return details(
        {
            "Cell": cell.id,
            "Name": cell.name,
            "Level": cell.level,
            "Parent": cell.parent_id or "",
            "Place": place,
            "Power": carbon,
            "Nodes": f"{cell.nodes.online} of {cell.nodes.total} online",
            "Offered": quantities(cell.capacity.get("total", {})),
            "Leased": quantities(cell.capacity.get("leased", {})),
            "Free": quantities(cell.capacity.get("free", {})),
            "Prices/h": _prices(cell),
        }
    )


def _offer_details(offer: Offer) -> "RenderableType":
    return details(
        {
            "Offer": offer.id,
            "Node": offer.node_id,
            "State": offer.state,
            "Capacity": quantities(offer.capacity),
            "Reserve/h": money(offer.reserve),
            "Serves": ", ".join(offer.accepts) or "everyone",
            "Refuses": ", ".join(offer.refuses),
            "Closes": f"{offer.closes_at:%Y-%m-%d %H:%M} UTC" if offer.closes_at else "",
        }
    )


def _prices(cell: Cell) -> str:
    return money({name: price.price_micros for name, price in cell.prices.items()})


def _measured(measured: Mapping[str, Any]) -> str:
    said = []
    if (cpu := measured.get("cpu_free_millis")) is not None:
        said.append(f"{cpu / 1000:g} cores free")
    if (memory := measured.get("memory_free_bytes")) is not None:
        said.append(f"{format_bytes(memory)} free")
    if (load := measured.get("load_1m_milli")) is not None:
        said.append(f"load {load / 1000:.2f}")
    if (battery := measured.get("battery_percent")) is not None:
        said.append(f"battery {battery} %")
    if (heat := measured.get("temperature_millicelsius")) is not None:
        said.append(f"{heat / 1000:.0f} °C")
    return ", ".join(said)
