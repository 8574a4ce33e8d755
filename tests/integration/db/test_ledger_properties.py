"""Any sequence of movements leaves the ledger true: compared with a model in plain integers."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from db.engine import make_engine
from db.invariants import invariants
from db.ledger import LedgerError, NewTransfer, post_transfers
from db.repositories.ledger import balances
from db.tables import ESCROW, ISSUANCE, PLATFORM, TransferKind
from tests.factories import NOW, make_account, number

PARTIES = 3
amounts = st.integers(1, 500)
parties = st.integers(0, PARTIES - 1)
places = st.integers(0, 11)
steps = st.one_of(
    st.tuples(st.just("deposit"), parties, amounts),
    st.tuples(st.just("withdraw"), parties, amounts),
    st.tuples(st.just("hold"), parties, amounts),
    st.tuples(st.just("charge"), places, amounts),
    st.tuples(st.just("release"), places, amounts),
    st.tuples(st.just("payout"), parties, amounts),
    st.tuples(st.just("fee"), parties, amounts),
    st.tuples(st.just("again"), places, amounts),
)


class Model:
    """What the ledger should say, kept in dictionaries."""

    def __init__(self, accounts: list[str]) -> None:
        self.accounts = accounts
        self.posted = dict.fromkeys([*accounts, ESCROW, PLATFORM, ISSUANCE], 0)
        self.held = dict.fromkeys(self.posted, 0)
        self.holds: list[tuple[str, str, int]] = []  # id, account, amount
        self.resolved: set[str] = set()
        self.history: list[NewTransfer] = []

    def transfer(self, step: tuple[str, int, int]) -> NewTransfer | None:
        """The movement that ``step`` asks for; None if it speaks of what is not there."""
        what, index, amount = step
        key = f"key:{number()}"
        match what:
            case "deposit":
                return self.move(key, TransferKind.DEPOSIT, ISSUANCE, self.accounts[index], amount)
            case "withdraw":
                account = self.accounts[index]
                return self.move(key, TransferKind.WITHDRAWAL, account, ISSUANCE, amount)
            case "hold":
                return self.move(key, TransferKind.HOLD, self.accounts[index], ESCROW, amount)
            case "payout":
                return self.move(key, TransferKind.PAYOUT, ESCROW, self.accounts[index], amount)
            case "fee":
                return self.move(key, TransferKind.FEE, ESCROW, PLATFORM, amount)
            case "again":
                return self.history[index % len(self.history)] if self.history else None
        if not self.holds:
            return None
        hold, account, _ = self.holds[index % len(self.holds)]
        kind = TransferKind.CHARGE if what == "charge" else TransferKind.RELEASE
        paid = amount if what == "charge" else 0
        return self.move(key, kind, account, ESCROW, paid, resolves=hold)

    def move(
        self,
        key: str,
        kind: TransferKind,
        debit: str,
        credit: str,
        amount: int,
        resolves: str | None = None,
    ) -> NewTransfer:
        return NewTransfer(
            key=key,
            kind=kind,
            debit_id=debit,
            credit_id=credit,
            amount_micros=amount,
            resolves=resolves,
        )

    def allowed(self, transfer: NewTransfer) -> bool:
        free = self.posted[transfer.debit_id] - self.held[transfer.debit_id]
        if transfer.resolves is not None:
            amount = next(amount for hold, _, amount in self.holds if hold == transfer.resolves)
            return transfer.resolves not in self.resolved and transfer.amount_micros <= amount
        return transfer.debit_id == ISSUANCE or transfer.amount_micros <= free

    def apply(self, transfer: NewTransfer, made: str) -> None:
        self.history.append(transfer)
        if transfer.kind is TransferKind.HOLD:
            self.holds.append((made, transfer.debit_id, transfer.amount_micros))
            self.held[transfer.debit_id] += transfer.amount_micros
            return
        if transfer.resolves is not None:
            self.resolved.add(transfer.resolves)
            amount = next(amount for hold, _, amount in self.holds if hold == transfer.resolves)
            self.held[transfer.debit_id] -= amount
        self.posted[transfer.debit_id] -= transfer.amount_micros
        self.posted[transfer.credit_id] += transfer.amount_micros


@pytest.fixture(scope="module")
def ledger(new_database: Callable[[], str]) -> Iterator[Engine]:
    made = make_engine(new_database())
    yield made
    made.dispose()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(steps, max_size=25))
def test_any_sequence_of_movements(ledger: Engine, sequence: list[tuple[str, int, int]]) -> None:
    """Σ balances = 0, held = Σ open holds, nobody overdrawn, each key once; as in the model."""
    with Session(ledger) as session:
        model = Model([make_account(session).id for _ in range(PARTIES)])
        for step in sequence:
            transfer = model.transfer(step)
            if transfer is None:
                continue
            repeated = transfer in model.history
            allowed = repeated or model.allowed(transfer)
            try:
                with session.begin_nested():
                    made = post_transfers(session, [transfer], now=NOW)[transfer.key]
            except LedgerError:
                assert not allowed, step
                continue
            assert allowed, step
            if not repeated:
                model.apply(transfer, made)
        found = {row.account_id: row for row in balances(session, view=None, limit=100)}
        assert {name: found[name].posted_micros for name in model.posted} == model.posted
        assert {name: found[name].held_micros for name in model.held} == model.held
        assert [each for each in invariants(session) if not each.ok] == []
        session.rollback()
