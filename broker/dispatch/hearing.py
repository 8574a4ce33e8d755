"""Whether ingest hears devices: only then does a device's silence mean anything."""

import time

from broker.mqtt import Arrived
from edge_agent.wire import ControlState, WireError, decode


class Ingest:
    """Whether ingest hears devices, by its retained word on the MQTT server."""

    def __init__(self) -> None:
        self._since: float | None = None

    def message(self, arrived: Arrived) -> None:
        try:
            state = decode(arrived.payload).data
        except WireError:
            return
        if isinstance(state, ControlState):
            online = state.online
            if online and self._since is None:
                self._since = time.monotonic()
            elif not online:
                self._since = None

    def lost(self) -> None:
        self._since = None

    def listening_s(self) -> float:
        """For how long ingest has been there, as far as we have seen."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since
