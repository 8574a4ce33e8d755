"""The agent's decisions: every message and event in, effects out.

Each public method takes the time in Unix milliseconds and returns the effects to carry out in
order. Nothing here waits, reads a clock or touches the world but through the ``Device`` and
``History`` ports. ``next_wake`` says when ``tick`` has something to do.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random

from edge_agent.core.admission import refusal
from edge_agent.core.effects import Deliver, Effect, Forget, Resend, Send, Start, Stop
from edge_agent.core.leases import Leases
from edge_agent.core.model import (
    Counters,
    Device,
    History,
    Identity,
    Live,
    MessageKey,
    Outcome,
    Restored,
    Work,
)
from edge_agent.core.pulse import Pulse
from edge_agent.core.reports import Gathering, Unacknowledged
from edge_agent.wire import (
    Ack,
    Assign,
    AttemptReport,
    Cancel,
    Config,
    ControlState,
    Death,
    Drain,
    Envelope,
    Message,
    Rebirth,
    State,
    TaskOrder,
    Telemetry,
)
from edge_agent.wire.messages import AttemptRef

REPLAY_SPREAD_MS = 2_000  # a fleet that meets a new control plane does not speak all at once


class AgentCore:
    """One node's state. Not thread-safe: one shell owns it."""

    def __init__(
        self,
        *,
        identity: Identity,
        device: Device,
        history: History,
        random: Random,
        restored: Restored | None = None,
        now: int,
    ) -> None:
        self.identity = identity
        self.counters = Counters()
        self.draining = False
        self.connected_now = False
        self.leases = Leases()
        self.config = Config(heartbeat_ms=10_000)
        self._device = device
        self._history = history
        self._random = random
        self._seq = 0
        self._cut_off_at: int | None = now
        self._epoch: int | None = None
        self._control_online = True  # until it says otherwise
        self._gathering = Gathering()
        self._unacknowledged = Unacknowledged()
        self._pulse = Pulse(random=random)
        self._handlers: dict[type[Message], Callable[..., list[Effect]]] = {
            Assign: self._assign,
            Cancel: self._cancel,
            Ack: self._ack,
            Config: self._configure,
            Rebirth: self._rebirth,
            Drain: self._drain,
            ControlState: self._control_state,
        }
        self._restore(restored or Restored(), now)

    # ------------------------------------------------------------ events

    def receive(self, message: Message, now: int) -> list[Effect]:
        """A message of the control plane for this node."""
        handler = self._handlers.get(type(message))
        if handler is None:
            self.counters.add("unexpected_message")
            return []
        return self._finish(handler(message, now), now)

    def connected(self, now: int) -> list[Effect]:
        """The link is up: birth, state, and all that was not acknowledged."""
        self.connected_now = True
        self._cut_off_at = None
        self._unacknowledged.all_due(now)
        return self._finish(self._introduction(now), now)

    def disconnected(self, now: int) -> list[Effect]:
        """The link is down; work goes on until ``lost_after_ms``."""
        if self.connected_now:
            self.connected_now = False
            self._cut_off_at = now
        return []

    def started(self, attempt: str, fence: int, now: int) -> list[Effect]:
        """An executor has begun to run the attempt."""
        live = self._current(attempt, fence)
        if live is not None and live.stopping is None:
            live.state = "running"
            self._report(_status(live, now), now)
        return self._finish([], now)

    def ended(self, attempt: str, fence: int, outcome: Outcome, now: int) -> list[Effect]:
        """An executor is done with the attempt, by itself or because it was told to stop."""
        live = self._current(attempt, fence)
        if live is None:
            return self._finish([], now)
        lease = live.work.assign.lease
        self.leases.remove(attempt)
        if live.stopping is not None and outcome.state != "succeeded":
            outcome = replace(live.stopping, usage=outcome.usage, log_tail=outcome.log_tail)
        self._report(_end(live.work, outcome, now), now)
        return self._finish(self._fill(lease), now)

    def tick(self, now: int) -> list[Effect]:
        """Do what time asks for."""
        effects = self._stop_overdue(now)
        if self.connected_now:
            effects += self._beat(now)
            if self._control_online:
                effects += self._resend(now)
        return self._finish(effects, now)

    def owner_changed(self, now: int) -> list[Effect]:
        """The owner's terms have changed (configuration, hours): say so."""
        if not self.connected_now:
            return []
        return [self._send(self._device.offer(now), now), self._state(now)]

    def retire(self, reason: str, detail: str, now: int) -> list[Effect]:
        """The agent is told to end: nothing new, queued attempts fail, running ones are stopped."""
        self.draining = True
        effects: list[Effect] = []
        for attempt, live in list(self.leases.live.items()):
            outcome = Outcome(state="failed", reason=reason, detail=detail)
            effects += self._stop(attempt, live, outcome, now)
        return self._finish(effects, now, force=True)

    def farewell(self, now: int) -> list[Effect]:
        """The last words: what is still unsent, then a clean death."""
        effects = self._finish([], now, force=True)
        if self.connected_now:
            effects.append(self._send(Death(clean=True), now, retain=True))
        return effects

    def dropped(self, keys: Iterable[MessageKey]) -> None:
        """These messages are given up: they are not sent again."""
        for key in keys:
            self._unacknowledged.remove(key)

    def next_wake(self, now: int) -> int | None:
        """When ``tick`` is due, in Unix milliseconds."""
        times = [self._gathering.due, self.leases.next_limit(), self._lost_at()]
        if self.connected_now:
            times += self._pulse.times(now, self._cpu_reserved_share(now))
            if self._control_online:
                times.append(self._unacknowledged.next_at)
        return min((at for at in times if at is not None), default=None)

    @property
    def unacknowledged(self) -> int:
        """How many messages wait for the control plane's word."""
        return len(self._unacknowledged.due)

    def will(self, now: int) -> Envelope:
        """What the server says in our name when the link breaks: the death of this boot."""
        return self._envelope(Death(), now)

    # ------------------------------------------------------------ messages

    def _assign(self, assign: Assign, now: int) -> list[Effect]:
        ended = self._history.ended([order.attempt for order in assign.tasks])
        effects: list[Effect] = []
        orders = {order.attempt: order for order in sorted(assign.tasks, key=lambda o: o.fence)}
        fresh = [
            Work(assign=assign, order=order)
            for order in assign.tasks
            if orders[order.attempt] is order
            and self._is_new(order, ended.get(order.attempt), effects, now)
        ]
        if fresh:
            self._admit(replace(assign, tasks=tuple(w.order for w in fresh)), fresh, now)
        return effects + self._fill_all()

    def _is_new(
        self, order: TaskOrder, ended: AttemptReport | None, effects: list[Effect], now: int
    ) -> bool:
        """False for an attempt that is known already: its state is reported again, not run."""
        unsent = self._gathering.waiting.get(order.attempt)
        live = self.leases.live.get(order.attempt)
        held = unsent or ended
        known = live.work.fence if live else held.fence if held else -1
        if order.fence < known:
            self.counters.add("stale_orders")
            return False
        if order.fence == known:
            self.counters.add("repeated_orders")
            self._report(_status(live, now) if live else held, now)
            return False
        if live:  # a newer fence takes over: the old run is nobody's any more
            effects += self._abandon(order.attempt)
        return True

    def _admit(self, assign: Assign, fresh: list[Work], now: int) -> None:
        refused = refusal(
            assign,
            terms=self._device.terms(now),
            reserved=self.leases.reserved(without=assign.lease),
            draining=self.draining,
            now=now,
        )
        for work in fresh:
            if refused is None:
                self.leases.add(work)
                self._report(_status(self.leases.live[work.attempt], now), now)
            else:
                outcome = Outcome(state="failed", reason=refused.reason, detail=refused.detail)
                self._report(_end(work, outcome, now), now)
        self.counters.add("accepted" if refused is None else refused.reason, len(fresh))

    def _cancel(self, cancel: Cancel, now: int) -> list[Effect]:
        effects: list[Effect] = []
        missing = [attempt for attempt in cancel.attempts if attempt not in self.leases.live]
        for report in self._history.ended(missing).values():
            self._report(report, now)
        for attempt in cancel.attempts:
            if (live := self.leases.live.get(attempt)) is not None:
                outcome = Outcome(state="cancelled", reason=cancel.reason)
                effects += self._stop(attempt, live, outcome, now)
        return effects

    def _ack(self, ack: Ack, now: int) -> list[Effect]:
        keys = [MessageKey(ack.acked_boot, seq) for seq in ack.seqs]
        confirmed = [key for key in keys if self._unacknowledged.remove(key)]
        effects: list[Effect] = []
        for attempt in ack.stale:
            self.counters.add("stale_attempts")
            self._gathering.discard(attempt)
            effects += self._abandon(attempt)
        if confirmed or ack.stale:
            effects.append(Forget(keys=confirmed, attempts=ack.stale))
        return effects + (self._fill_all() if ack.stale else [])

    def _configure(self, config: Config, now: int) -> list[Effect]:
        self.config = config
        self._pulse.configure(config, now)
        return []

    def _rebirth(self, _message: Rebirth, now: int) -> list[Effect]:
        return self._introduction(now) if self.connected_now else []

    def _drain(self, drain: Drain, now: int) -> list[Effect]:
        self.draining = drain.on
        return [self._state(now)] if self.connected_now else []

    def _control_state(self, state: ControlState, now: int) -> list[Effect]:
        self._control_online = state.online
        if state.online and state.epoch != self._epoch:
            if self._epoch is not None:
                self._unacknowledged.all_due(now + self._random.randrange(REPLAY_SPREAD_MS))
            self._epoch = state.epoch
        return []

    # ------------------------------------------------------------ work

    def _current(self, attempt: str, fence: int) -> Live | None:
        live = self.leases.live.get(attempt)
        return live if live is not None and live.work.fence == fence else None

    def _fill(self, lease: str) -> list[Effect]:
        return [Start(work=live.work) for live in self.leases.startable(lease)]

    def _fill_all(self) -> list[Effect]:
        return [effect for lease in list(self.leases.queues) for effect in self._fill(lease)]

    def _abandon(self, attempt: str) -> list[Effect]:
        """Let go of an attempt without a report: it is somebody else's now."""
        live = self.leases.remove(attempt)
        if live is None or live.state == "accepted":
            return []
        return [Stop(attempt=attempt, fence=live.work.fence)]

    def _stop(self, attempt: str, live: Live, outcome: Outcome, now: int) -> list[Effect]:
        """End one attempt: at once when it only waits, else when its executor has let go."""
        if live.stopping is not None:
            return []
        if live.state == "accepted":
            self.leases.remove(attempt)
            self._report(_end(live.work, outcome, now), now)
            return []
        live.stopping = outcome
        return [Stop(attempt=attempt, fence=live.work.fence)]

    def _stop_overdue(self, now: int) -> list[Effect]:
        overdue = self.leases.pop_overdue(now)
        if (lost_at := self._lost_at()) is not None and now >= lost_at:
            overdue += [(attempt, "agent_lost") for attempt in self._lost_attempts(now)]
        effects: list[Effect] = []
        for attempt, reason in overdue:
            if (live := self.leases.live.get(attempt)) is not None:
                outcome = Outcome(state="failed", reason=reason, detail=_WHY_STOPPED[reason])
                effects += self._stop(attempt, live, outcome, now)
        return effects

    def _lost_at(self) -> int | None:
        if self._cut_off_at is None or (wait := self.leases.lost_after()) is None:
            return None
        return self._cut_off_at + wait

    def _lost_attempts(self, now: int) -> list[str]:
        cut_off_at = self._cut_off_at or 0
        return [
            attempt
            for attempt, live in self.leases.live.items()
            if 0 < live.work.assign.lost_after_ms <= now - cut_off_at and live.stopping is None
        ]

    # ------------------------------------------------------------ speaking

    def _introduction(self, now: int) -> list[Effect]:
        birth = replace(
            self._device.birth(now), offer=self._device.offer(now), running=self._running()
        )
        return [self._send(birth, now, retain=True), self._state(now)]

    def _beat(self, now: int) -> list[Effect]:
        effects: list[Effect] = []
        if self._pulse.telemetry_due(now):
            effects.append(self._send(Telemetry(readings=self._device.readings(now)), now, qos=0))
        if self._pulse.state_due(now, self._cpu_reserved_share(now)):
            effects.append(self._state(now))
        return effects

    def _resend(self, now: int) -> list[Effect]:
        effects: list[Effect] = []
        if outdated := self._unacknowledged.outdated(now, self.leases.live):
            self.dropped(outdated)
            effects.append(Forget(keys=outdated))
        if keys := self._unacknowledged.take(now):
            self.counters.add("resent_messages", len(keys))
            effects.append(Resend(keys=keys))
        return effects

    def _cpu_reserved_share(self, now: int) -> float:
        total = self._device.terms(now).cpu_millis
        return self.leases.reserved().cpu_millis / total if total else 0.0

    def _state(self, now: int) -> Effect:
        terms, sample = self._device.terms(now), self._device.sample(now)
        reserved = self.leases.reserved()
        memory_free = terms.memory_bytes - reserved.memory_bytes
        if sample.memory_available_bytes is not None:
            memory_free = min(memory_free, sample.memory_available_bytes)
        self._pulse.state_sent(now, self._cpu_reserved_share(now))
        state = State(
            cpu_free_millis=max(terms.cpu_millis - reserved.cpu_millis, 0),
            memory_free_bytes=max(memory_free, 0),
            disk_free_bytes=sample.disk_free_bytes,
            load_1m_milli=sample.load_1m_milli,
            running=self._running(),
            battery_percent=sample.battery_percent,
            on_battery=sample.on_battery,
            temperature_millicelsius=sample.temperature_millicelsius,
            draining=self.draining or not terms.open_now,
        )
        return self._send(state, now)

    def _running(self) -> tuple[AttemptRef, ...]:
        return tuple(
            AttemptRef(
                attempt=attempt,
                fence=live.work.fence,
                state="running" if live.state == "running" else "accepted",
            )
            for attempt, live in self.leases.live.items()
        )

    def _report(self, report: AttemptReport | None, now: int) -> None:
        if report is not None:
            self._gathering.add(report, now)

    def _finish(self, effects: list[Effect], now: int, *, force: bool = False) -> list[Effect]:
        """Append the reports that are due, so that they travel with what caused them."""
        for reports in self._gathering.take(now, force=force):
            envelope = self._envelope(reports, now)
            self._unacknowledged.add(MessageKey(envelope.boot, envelope.seq), now, reports)
            effects.append(Deliver(envelope=envelope, reports=reports))
        return effects

    def _send(self, message: Message, now: int, *, retain: bool = False, qos: int = 1) -> Send:
        return Send(envelope=self._envelope(message, now), retain=retain, qos=qos)

    def _envelope(self, message: Message, now: int) -> Envelope:
        self._seq += 1
        return Envelope(
            node=self.identity.node, boot=self.identity.boot, seq=self._seq, at=now, data=message
        )

    def _restore(self, restored: Restored, now: int) -> None:
        for key in restored.pending:
            self._unacknowledged.add(key, now)
        for attempt, fence in restored.interrupted:
            self._report(
                AttemptReport(
                    attempt=attempt,
                    fence=fence,
                    state="failed",
                    at=now,
                    reason="agent_restarted",
                    detail="the agent started again and the attempt's process ended with the old",
                ),
                now,
            )


_WHY_STOPPED = {
    "lease_expired": "the lease ended before the work did",
    "deadline": "the deadline passed before the work was done",
    "agent_lost": "the node was cut off for longer than the job allows",
}


def _status(live: Live, now: int) -> AttemptReport:
    return AttemptReport(
        attempt=live.work.attempt,
        fence=live.work.fence,
        state="running" if live.state == "running" else "accepted",
        at=now,
    )


def _end(work: Work, outcome: Outcome, now: int) -> AttemptReport:
    return AttemptReport(
        attempt=work.attempt,
        fence=work.fence,
        state=outcome.state,
        at=now,
        reason=outcome.reason,
        detail=outcome.detail,
        exit_code=outcome.exit_code,
        result_digest=outcome.result_digest,
        result_base64=outcome.result_base64,
        result_bytes=outcome.result_bytes,
        log_tail=outcome.log_tail,
        usage=outcome.usage,
    )
