"""Market data over time, by cell, resource and step: prices, fill, depth, demand sent elsewhere."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

STEPS_MAX = 500
ROWS_MAX = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """One cell, resource and step that begins at ``at``; None where nothing was there to measure.

    Prices are micros per priced unit and hour, depths base units (means over the step's rounds),
    ``fill_rate`` what was taken over what was asked for, ``share_forwarded`` of the demands that
    came to the cell in this step those that stand in another by now.
    """

    cell_id: str
    cell_name: str
    resource: str
    at: dt.datetime
    rounds: int
    price_p10_micros: float | None
    price_p50_micros: float | None
    price_p90_micros: float | None
    fill_rate: float | None
    depth_free: float | None
    depth_asked: float | None
    demands: int
    share_forwarded: float | None


# A price that did not move in a step is the last one before its end.
_STATISTICS = text("""
    WITH places AS (
        SELECT id, name FROM cells WHERE :cell_id = '' OR id = :cell_id
    ), cleared AS (
        SELECT r.cell_id, floor(extract(epoch FROM r.created_at) / :step)::bigint AS step,
            d.key AS resource, count(*) AS rounds, avg((d.value->>0)::float8) AS free,
            avg((d.value->>1)::float8) AS asked, sum((d.value->>1)::float8) AS asked_all,
            sum((d.value->>2)::float8) AS taken_all
        FROM places p JOIN rounds r ON r.cell_id = p.id AND r.created_at >= :since
        CROSS JOIN LATERAL jsonb_each(r.depth) d
        GROUP BY 1, 2, 3
    ), moved AS (
        SELECT m.cell_id, floor(extract(epoch FROM m.at) / :step)::bigint AS step, m.resource,
            percentile_cont(ARRAY[0.1, 0.5, 0.9]) WITHIN GROUP (ORDER BY m.price_micros) AS price
        FROM places p JOIN prices m ON m.cell_id = p.id AND m.at >= :since
        GROUP BY 1, 2, 3
    ), came AS (
        SELECT d.home_cell_id AS cell_id, floor(extract(epoch FROM j.created_at) / :step)::bigint
            AS step, count(*) AS demands,
            avg((d.cell_id <> d.home_cell_id)::int::float8) AS forwarded
        FROM jobs j JOIN demands d ON d.job_id = j.id JOIN places p ON p.id = d.home_cell_id
        WHERE j.created_at >= :since
        GROUP BY 1, 2
    )
    SELECT p.id AS cell_id, p.name AS cell_name, s.resource,
        to_timestamp((s.step * :step)::float8) AS at, coalesce(c.rounds, 0) AS rounds,
        coalesce(m.price[1], before.price) AS p10, coalesce(m.price[2], before.price) AS p50,
        coalesce(m.price[3], before.price) AS p90, c.taken_all / nullif(c.asked_all, 0) AS fill,
        c.free, c.asked, coalesce(d.demands, 0) AS demands, d.forwarded
    FROM (SELECT cell_id, step, resource FROM cleared
        UNION SELECT cell_id, step, resource FROM moved) s
    JOIN places p ON p.id = s.cell_id
    LEFT JOIN cleared c USING (cell_id, step, resource)
    LEFT JOIN moved m USING (cell_id, step, resource)
    LEFT JOIN came d USING (cell_id, step)
    LEFT JOIN LATERAL (SELECT b.price_micros AS price FROM prices b
        WHERE m.price IS NULL AND b.cell_id = s.cell_id AND b.resource = s.resource
            AND b.at < to_timestamp(((s.step + 1) * :step)::float8)
        ORDER BY b.at DESC LIMIT 1) before ON true
    ORDER BY s.step, p.name, s.resource LIMIT :most
""")


def read(
    session: Session, *, cell_id: str, since: dt.datetime, step_s: int, limit: int = ROWS_MAX
) -> list[Statistic]:
    """Steps of ``step_s`` seconds since ``since``, oldest first; ``cell_id`` "" is all cells."""
    values = {"cell_id": cell_id, "since": since, "step": step_s, "most": limit}
    return [
        Statistic(
            cell_id=row.cell_id,
            cell_name=row.cell_name,
            resource=row.resource,
            at=row.at,
            rounds=row.rounds,
            price_p10_micros=row.p10,
            price_p50_micros=row.p50,
            price_p90_micros=row.p90,
            fill_rate=row.fill,
            depth_free=row.free,
            depth_asked=row.asked,
            demands=row.demands,
            share_forwarded=row.forwarded,
        )
        for row in session.execute(_STATISTICS, values)
    ]
