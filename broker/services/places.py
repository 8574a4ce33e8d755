"""How far places are from one another, as the latency that a task would see."""

from collections.abc import Sequence
from math import asin, cos, radians, sin, sqrt

import numpy as np

from db.control.rounds import CellRow
from market.snapshot import Floats

LATENCY_IN_CELL_MS = 1.0
LATENCY_UNKNOWN_MS = 20.0  # between places of which one has no coordinates
LATENCY_HOP_MS = 4.0  # leaving one access network and entering another, there and back
FIBRE_KM_PER_MS = 100.0  # there and back: light in glass makes 200 km in a millisecond
DETOUR = 1.5  # cables do not follow great circles
EARTH_RADIUS_KM = 6_371.0


def zone_latencies(cells: Sequence[CellRow]) -> Floats:
    """(Z, Z) milliseconds there and back between places, symmetric."""
    found = np.full((len(cells), len(cells)), LATENCY_IN_CELL_MS)
    for i, one in enumerate(cells):
        for j, other in enumerate(cells[:i]):
            found[i, j] = found[j, i] = latency_ms(one, other)
    return found


def latency_ms(one: CellRow, other: CellRow) -> float:
    """An estimate from the distance over the ground; unknown places get a middling figure."""
    if one.latitude is None or one.longitude is None:
        return LATENCY_UNKNOWN_MS
    if other.latitude is None or other.longitude is None:
        return LATENCY_UNKNOWN_MS
    km = distance_km((one.latitude, one.longitude), (other.latitude, other.longitude))
    return LATENCY_IN_CELL_MS + LATENCY_HOP_MS + km * DETOUR / FIBRE_KM_PER_MS


def distance_km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Great-circle distance of (latitude, longitude) in degrees, by the haversine formula."""
    lat1, lon1, lat2, lon2 = map(radians, (*one, *other))
    chord = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(chord)))
