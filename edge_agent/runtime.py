"""The agent's shell: carries out the core's effects with the real clock, disk, network, children.

One thread owns everything; others only post to its loop. In each turn the effects of all events
are gathered, then journaled in one commit, then sent and acted upon: what the control plane hears
of an end is on disk before.
"""

import logging
import signal
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

from edge_agent import status
from edge_agent.addresses import parse_address
from edge_agent.artifacts import ArtifactCache, Transfer
from edge_agent.config import AgentConfig
from edge_agent.core import (
    AgentCore,
    Deliver,
    Effect,
    Forget,
    Identity,
    Outcome,
    Resend,
    Send,
    Start,
    Stop,
)
from edge_agent.device import LocalDevice
from edge_agent.executors.metering import PowerModel
from edge_agent.executors.pool import Pool
from edge_agent.executors.process import Workplace
from edge_agent.exits import AgentError, Exit
from edge_agent.identity import Enrolment, StateDir
from edge_agent.journal import Journal
from edge_agent.link import Link, client_context
from edge_agent.loop import Loop
from edge_agent.renewal import Renewal
from edge_agent.runner import Runner
from edge_agent.wire import CONTROL_STATE, WireError, decode, down_topic, encode, up_topic
from edge_agent.wire.topics import parse_topic
from edge_agent.workers import Workers

HOUSEKEEPING_MS = 10_000
STOP_WAIT_MS = 3_000  # for killed children to be gone
FAREWELL_S = 2.0
CHILDREN_PER_CORE_MAX = 4
CHILDREN_MIN = 8
_log = logging.getLogger("souk.agent")


def unix_ms() -> int:
    """The time in Unix milliseconds."""
    return time.time_ns() // 1_000_000


class AgentRuntime:
    """One running agent."""

    def __init__(
        self,
        *,
        config: AgentConfig,
        state: StateDir,
        enrolment: Enrolment,
        device: LocalDevice,
        reload: Callable[[], AgentConfig],
    ) -> None:
        self._state, self._enrolment, self._device = state, enrolment, device
        self._reload = reload
        random = Random()  # noqa: S311 jitter, not secrets
        self._loop = Loop()
        self._journal = Journal(state.journal)
        identity = Identity(node=enrolment.node_id, boot=self._journal.next_boot())
        self._core = AgentCore(
            identity=identity,
            device=device,
            history=self._journal,
            random=random,
            restored=self._journal.restore(),
            now=unix_ms(),
        )
        workers = Workers()
        self._cache = ArtifactCache(
            state.artifacts,
            bytes_max=config.share.disk_bytes,
            loop=self._loop,
            workers=workers,
            transfer=cache(lambda: _make_transfer(state)),
        )
        self._cache.base_url = enrolment.artifacts_url
        self._pool = Pool(
            self._loop,
            Workplace(
                compiled=state.compiled, scratch=state.scratch, niceness=config.agent.niceness
            ),
            idle_s=config.agent.idle_children_s,
            children_max=max(CHILDREN_PER_CORE_MAX * device.cores, CHILDREN_MIN),
        )
        model = PowerModel(
            idle_milliwatts=device.idle_milliwatts,
            max_milliwatts=device.max_milliwatts,
            cores=device.cores,
        )
        self._runner = Runner(
            pool=self._pool, cache=self._cache, model=model, events=self, now=unix_ms
        )
        self._link = Link(
            node=enrolment.node_id,
            address=parse_address(enrolment.mqtt_url, scheme="mqtts", port=8883),
            context=lambda: client_context(ca=state.ca, credentials=state.credentials),
            will=self._will,
            subscriptions=[down_topic(enrolment.node_id, "#"), CONTROL_STATE],
            events=self,
            loop=self._loop,
            random=random,
            now=unix_ms,
        )
        self._renewal = Renewal(state, enrolment, loop=self._loop, workers=workers, random=random)
        self._effects: list[Effect] = []
        self._stop_at: int | None = None  # when running work is stopped for good
        self._give_up_at: int | None = None
        self._housekeeping_at = 0
        self._signals: list[int] = []
        self._is_open = device.opening(unix_ms()).open_now
        self._grace_ms = config.agent.stop_grace_s * 1000

    # ------------------------------------------------------------ the loop

    def run(self) -> Exit:
        """Work until told to stop; returns the exit code."""
        self._handle_signals()
        _log.info("node %s, boot %d", self._enrolment.node_id, self._core.identity.boot)
        try:
            while not self._turn():
                pass
            self._say_farewell()
        finally:
            self._pool.close()
            status.write(self._state.status, self._picture(running=False))
            self._journal.close()
            self._loop.close()
        return Exit.REVOKED if self._renewal.revoked else Exit.OK

    def _turn(self) -> bool:
        """Sleep until something happens, act on it; True when the agent has ended its work."""
        self._loop.run_once(self._sleep_s())
        now = unix_ms()
        self._on_signals(now)
        self._pool.tick()
        self._link.tick(now)
        self._renewal.tick(now)
        self._effects += self._core.tick(now)
        if now >= self._housekeeping_at:
            self._keep_house(now)
        self._carry_out()
        return self._is_over(now)

    def _sleep_s(self) -> float:
        now = unix_ms()
        times = [
            self._core.next_wake(now),
            self._link.next_wake(),
            self._renewal.next_wake(),
            self._housekeeping_at,
            self._stop_at,
            self._give_up_at,
        ]
        soonest = min(at for at in times if at is not None)
        sleep_s = max(soonest - now, 0) / 1000
        pool_at = self._pool.next_wake()
        if pool_at is not None:
            sleep_s = min(sleep_s, max(pool_at - time.monotonic(), 0))
        return sleep_s

    def _carry_out(self) -> None:
        """Journal, then send and act; again while acting makes new effects."""
        while self._effects:
            effects, self._effects = self._effects, []
            payloads = self._write_journal(effects)
            for effect in effects:
                match effect:
                    case Send(envelope=envelope, retain=retain, qos=qos):
                        topic = up_topic(envelope.node, envelope.type)
                        self._link.publish(topic, encode(envelope), qos=qos, retain=retain)
                    case Deliver():
                        self._publish_report(payloads.pop(0))
                    case Resend(keys=keys):
                        for payload in self._journal.payloads(keys):
                            self._publish_report(payload)
                    case Start(work=work):
                        self._runner.start(work)
                    case Stop(attempt=attempt, fence=fence):
                        self._runner.stop(attempt, fence)
                    case Forget():
                        pass  # done with the journal's other writes

    def _write_journal(self, effects: list[Effect]) -> list[bytes]:
        if not any(isinstance(effect, Deliver | Forget) for effect in effects):
            return []
        payloads = []
        self._journal.begin()
        for effect in effects:
            if isinstance(effect, Deliver):
                payloads.append(self._journal.keep(effect.envelope, effect.reports))
            elif isinstance(effect, Forget):
                self._journal.forget(effect.keys, effect.attempts)
        self._journal.commit()
        return payloads

    def _publish_report(self, payload: bytes) -> None:
        topic = up_topic(self._enrolment.node_id, "attempt")
        self._link.publish(topic, payload, qos=1, retain=False)

    # ------------------------------------------------------------ events of the link

    def link_up(self) -> None:
        """Connected: the last death of ours no longer holds; then introduce the node."""
        death = up_topic(self._enrolment.node_id, "death")
        self._link.publish(death, b"", qos=1, retain=True)
        self._housekeeping_at = 0  # so that the status file says so
        self._effects += self._core.connected(unix_ms())

    def link_down(self) -> None:
        """The connection is gone."""
        self._effects += self._core.disconnected(unix_ms())

    def message(self, topic: str, payload: bytes) -> None:
        """A message from the server: decoded and checked, or counted, logged and dropped."""
        try:
            envelope = decode(payload)
        except WireError as error:
            self._drop("garbage", topic, str(error))
            return
        parsed = parse_topic(topic)
        if topic != CONTROL_STATE and (
            parsed is None
            or parsed != (self._enrolment.node_id, "down", envelope.type)
            or envelope.node != self._enrolment.node_id
        ):
            self._drop("misdirected", topic, f"{envelope.type} for {envelope.node[:60]!r}")
            return
        self._effects += self._core.receive(envelope.data, unix_ms())
        if self._core.config.artifacts_url:
            self._cache.base_url = self._core.config.artifacts_url

    def _drop(self, name: str, topic: str, why: str) -> None:
        self._core.counters.add(name)
        _log.warning("dropped a message on %s: %s", topic[:200], why[:300])

    # ------------------------------------------------------------ events of the runner

    def started(self, attempt: str, fence: int) -> None:
        """A task's code runs."""
        self._effects += self._core.started(attempt, fence, unix_ms())

    def ended(self, attempt: str, fence: int, outcome: Outcome) -> None:
        """A task is over."""
        _log.debug("attempt %s ended: %s %s", attempt, outcome.state, outcome.reason)
        self._effects += self._core.ended(attempt, fence, outcome, unix_ms())

    # ------------------------------------------------------------ housekeeping and the end

    def _keep_house(self, now: int) -> None:
        self._housekeeping_at = now + HOUSEKEEPING_MS
        given_up = self._journal.trim(now)
        if given_up:
            _log.error(
                "gave up %d unacknowledged messages: %s", len(given_up), self._journal.dropped
            )
            self._core.dropped(given_up)
        is_open = self._device.opening(now).open_now
        if is_open != self._is_open:
            self._is_open = is_open
            self._effects += self._core.owner_changed(now)
        status.write(self._state.status, self._picture(running=True))

    def _picture(self, *, running: bool) -> status.Picture:
        return status.Picture(
            node=self._enrolment.node_id,
            boot=self._core.identity.boot,
            running=running,
            connected=self._link.is_up,
            link_error=self._link.last_error,
            certificate_expires_at=self._renewal.enrolment.expires_at,
            attempts=len(self._core.leases.live),
            children=len(self._pool.pids),
            unacknowledged=self._core.unacknowledged,
            draining=self._core.draining,
            cache_bytes=self._cache.size_bytes,
            counters=self._core.counters.counts | {f"lost_{k}": v for k, v in self._drops()},
            at=unix_ms(),
        )

    def _drops(self) -> list[tuple[str, int]]:
        return [*self._journal.dropped.items(), ("publishes", self._link.refused_publishes)]

    def _will(self) -> tuple[str, bytes]:
        envelope = self._core.will(unix_ms())
        return up_topic(envelope.node, envelope.type), encode(envelope)

    def _handle_signals(self) -> None:
        self._loop.wake_on_signals()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda received, _frame: self._signals.append(received))

    def _on_signals(self, now: int) -> None:
        while self._signals:
            received = self._signals.pop(0)
            if received == signal.SIGHUP:
                self._take_new_config(now)
            elif self._stop_at is None:
                _log.info("stopping: running work has %d ms to end", self._grace_ms)
                self._core.draining = True
                self._stop_at = now + self._grace_ms
            else:
                self._stop_at = now  # asked twice: at once
        if self._renewal.revoked and self._stop_at is None:
            self._stop_at = now

    def _take_new_config(self, now: int) -> None:
        try:
            self._device.configure(self._reload())
        except (AgentError, ValueError) as error:
            _log.error("the configuration is not valid and the old one stays: %s", error)
            return
        _log.info("took the changed configuration")
        self._effects += self._core.owner_changed(now)

    def _is_over(self, now: int) -> bool:
        if self._stop_at is None:
            return False
        if self._give_up_at is not None:
            return not self._core.leases.live or now >= self._give_up_at
        if not self._core.leases.live or now >= self._stop_at:
            self._give_up_at = now + STOP_WAIT_MS
            self._stop_at = now
            detail = "the agent was told to stop"
            self._effects += self._core.retire("drained", detail, now)
            self._carry_out()
            self._stop_at = self._give_up_at
            return not self._core.leases.live
        return False

    def _say_farewell(self) -> None:
        farewell = self._core.farewell(unix_ms())
        last = farewell.pop() if farewell and isinstance(farewell[-1], Send) else None
        self._effects += farewell
        self._carry_out()
        if isinstance(last, Send):
            topic = up_topic(last.envelope.node, last.envelope.type)
            self._link.close(topic, encode(last.envelope), timeout_s=FAREWELL_S)


def _make_transfer(state: StateDir) -> Transfer:
    """Loaded with the first artifact: HTTP costs 2 MB that an idle agent does without."""
    from edge_agent.https import verified_context
    from edge_agent.transfer import Transfer as HttpsTransfer

    return HttpsTransfer(lambda: verified_context(state.ca.read_text(encoding="utf-8")))


def make_device(config: AgentConfig, state: StateDir, path: Path | None = None) -> LocalDevice:
    """The device as configured, with its runtimes and its calibration."""
    from edge_agent.calibration import cached_calibration
    from edge_agent.runtimes import installed

    return LocalDevice(
        config,
        state_dir=state.path,
        runtimes=installed(config.runtimes),
        calibration=cached_calibration(state.calibration),
    )
