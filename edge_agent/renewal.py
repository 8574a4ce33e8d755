"""Keeps the certificate fresh: asks at the time that the platform named, again until it works."""

import logging
from random import Random

from edge_agent.exits import AgentError, Exit
from edge_agent.identity import Enrolment, StateDir
from edge_agent.loop import Loop
from edge_agent.workers import Workers

RETRY_FIRST_MS = 15_000
RETRY_MAX_MS = 600_000
SPREAD_MS = 30_000  # a fleet that enrolled together does not renew together
_log = logging.getLogger("souk.renewal")


class Renewal:
    """Renews in a worker thread; the next connection shows the new certificate."""

    def __init__(
        self,
        state: StateDir,
        enrolment: Enrolment,
        *,
        loop: Loop,
        workers: Workers,
        random: Random,
    ) -> None:
        self.enrolment = enrolment
        self.revoked = False
        self._state, self._loop, self._workers, self._random = state, loop, workers, random
        self._failures = 0
        self._at: int | None = enrolment.renew_after_ms()

    def tick(self, now: int) -> None:
        """Ask when it is time to."""
        if self._at is not None and now >= self._at:
            self._at = None
            self._workers.submit(lambda: self._renew(now))

    def next_wake(self) -> int | None:
        """When ``tick`` is due."""
        return self._at

    def _renew(self, now: int) -> None:
        from edge_agent.enrol import renew  # with HTTP, which an idle agent does without

        try:
            fresh = renew(self._state, self.enrolment, now=now)
        except AgentError as failure:
            error = failure
            self._loop.post(lambda: self._failed(error, now))
        except (OSError, ValueError) as failure:
            broken = AgentError(Exit.STATE_DIR, f"the credentials cannot be used: {failure}")
            self._loop.post(lambda: self._failed(broken, now))
        else:
            self._loop.post(lambda: self._renewed(fresh))

    def _renewed(self, fresh: Enrolment) -> None:
        self.enrolment, self._failures = fresh, 0
        self._at = fresh.renew_after_ms() + self._random.randrange(SPREAD_MS)
        _log.info("certificate renewed, good until %s", fresh.expires_at)

    def _failed(self, error: AgentError, now: int) -> None:
        if error.exit_code is Exit.REVOKED:
            _log.error("this node is revoked: %s", error)
            self.revoked = True
            return
        delay = min(RETRY_FIRST_MS << min(self._failures, 10), RETRY_MAX_MS)
        self._failures += 1
        self._at = now + self._random.randint(delay // 2, delay)
        _log.warning("certificate not renewed: %s", error)
