"""What the ledger does with each kind of transfer, and what it refuses."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from db.engine import SessionFactory
from db.invariants import invariants
from db.ledger import (
    AlreadyResolved,
    HoldMismatch,
    InsufficientFunds,
    KeyReused,
    NewTransfer,
    hold_of_job,
    post_transfers,
)
from db.tables import ESCROW, ISSUANCE, PLATFORM, TransferKind
from tests.factories import NOW, deposit, make_account


def balance(session: Session, account_id: str) -> tuple[int, int]:
    row = session.execute(
        text("SELECT posted_micros, held_micros FROM balances WHERE account_id = :id"),
        {"id": account_id},
    ).one()
    return row.posted_micros, row.held_micros


def hold(session: Session, account_id: str, amount: int, *, job_id: str = "job_1") -> str:
    transfer = hold_of_job(job_id=job_id, account_id=account_id, amount_micros=amount)
    return post_transfers(session, [transfer], now=NOW)[transfer.key]


def charge(account_id: str, hold_id: str, amount: int, **fields: str) -> NewTransfer:
    return NewTransfer(
        key=fields.get("key", f"charge:{hold_id}"),
        kind=TransferKind.CHARGE if amount else TransferKind.RELEASE,
        debit_id=account_id,
        credit_id=ESCROW,
        amount_micros=amount,
        resolves=hold_id,
        job_id=fields.get("job_id"),
    )


def test_a_hold_reserves_and_moves_nothing(session: Session) -> None:
    tenant = make_account(session, funds_micros=100).id
    hold(session, tenant, 60)
    assert balance(session, tenant) == (100, 60)
    assert balance(session, ESCROW) == (0, 0)
    assert balance(session, ISSUANCE) == (-100, 0)


def test_a_charge_posts_a_part_and_frees_the_rest(session: Session) -> None:
    tenant = make_account(session, funds_micros=100).id
    held = hold(session, tenant, 60)
    post_transfers(session, [charge(tenant, held, 25)], now=NOW)
    assert balance(session, tenant) == (75, 0)
    assert balance(session, ESCROW) == (25, 0)


def test_a_release_frees_everything(session: Session) -> None:
    tenant = make_account(session, funds_micros=100).id
    post_transfers(session, [charge(tenant, hold(session, tenant, 60), 0)], now=NOW)
    assert balance(session, tenant) == (100, 0)


def test_a_settlement_is_one_statement(session: Session) -> None:
    tenant, owner = make_account(session, funds_micros=100).id, make_account(session).id
    held = hold(session, tenant, 60)
    payout = NewTransfer(
        key="payout", kind=TransferKind.PAYOUT, debit_id=ESCROW, credit_id=owner, amount_micros=39
    )
    fee = NewTransfer(
        key="fee", kind=TransferKind.FEE, debit_id=ESCROW, credit_id=PLATFORM, amount_micros=1
    )
    post_transfers(session, [fee, payout, charge(tenant, held, 40)], now=NOW)
    assert [balance(session, each) for each in (tenant, owner, PLATFORM, ESCROW)] == [
        (60, 0),
        (39, 0),
        (1, 0),
        (0, 0),
    ]


def test_too_little_says_how_much_is_missing(session: Session) -> None:
    tenant = make_account(session, funds_micros=100).id
    hold(session, tenant, 60)
    with pytest.raises(InsufficientFunds) as refused:
        hold(session, tenant, 45, job_id="job_2")  # 100 - 60 = 40 are free: 5 are missing
    assert (refused.value.account_id, refused.value.missing_micros) == (tenant, 5)


def test_the_same_key_moves_once(session: Session) -> None:
    tenant = make_account(session, funds_micros=100).id
    assert hold(session, tenant, 60) == hold(session, tenant, 60)
    assert balance(session, tenant) == (100, 60)


def test_the_same_key_for_another_movement_is_refused(session: Session) -> None:
    tenant = make_account(session, funds_micros=100).id
    hold(session, tenant, 60)
    with pytest.raises(KeyReused):
        hold(session, tenant, 50)


def test_a_hold_is_resolved_once(session: Session) -> None:
    tenant = make_account(session, funds_micros=100).id
    held = hold(session, tenant, 60)
    post_transfers(session, [charge(tenant, held, 25)], now=NOW)
    with pytest.raises(AlreadyResolved):
        post_transfers(session, [charge(tenant, held, 0, key="again")], now=NOW)


def test_a_charge_over_its_hold_is_refused(session: Session) -> None:
    tenant = make_account(session, funds_micros=100).id
    with pytest.raises(HoldMismatch):
        post_transfers(session, [charge(tenant, hold(session, tenant, 60), 61)], now=NOW)


def test_a_charge_of_anothers_hold_is_refused(session: Session) -> None:
    tenant, other = (make_account(session, funds_micros=100).id for _ in range(2))
    with pytest.raises(HoldMismatch):
        post_transfers(session, [charge(other, hold(session, tenant, 60), 10)], now=NOW)


def test_resolving_what_is_no_hold_is_refused(session: Session) -> None:
    tenant = make_account(session, funds_micros=100).id
    held = hold(session, tenant, 60)
    posted = post_transfers(session, [charge(tenant, held, 25)], now=NOW)[f"charge:{held}"]
    with pytest.raises(HoldMismatch):
        post_transfers(session, [charge(tenant, posted, 5)], now=NOW)


@pytest.mark.parametrize(
    ("kind", "debit", "credit"),
    [
        (TransferKind.DEPOSIT, PLATFORM, ESCROW),
        (TransferKind.WITHDRAWAL, PLATFORM, ESCROW),
        (TransferKind.PAYOUT, ISSUANCE, PLATFORM),
        (TransferKind.FEE, ESCROW, ISSUANCE),
        (TransferKind.HOLD, ISSUANCE, PLATFORM),
    ],
)
def test_a_kind_moves_between_its_own_sides_alone(
    session: Session, kind: TransferKind, debit: str, credit: str
) -> None:
    transfer = NewTransfer(
        key="wrong", kind=kind, debit_id=debit, credit_id=credit, amount_micros=1
    )
    with pytest.raises(DBAPIError, match="ck_transfers_sides"):
        post_transfers(session, [transfer], now=NOW)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE transfers SET amount_micros = 1",
        "DELETE FROM transfers",
        "TRUNCATE transfers CASCADE",
        "UPDATE balances SET posted_micros = 1000000",
        "DELETE FROM balances",
        "DELETE FROM audit_log",
    ],
)
def test_history_is_not_rewritten(session: Session, statement: str) -> None:
    make_account(session, funds_micros=100)
    with pytest.raises(DBAPIError, match="rows are only inserted"):
        session.execute(text(statement))


def test_invariants_hold_and_name_what_breaks(sessions: SessionFactory) -> None:
    with sessions() as session:
        tenant = make_account(session, funds_micros=100).id
        hold(session, tenant, 60)
        session.commit()
        assert [each.name for each in invariants(session) if not each.ok] == []
        session.execute(text("ALTER TABLE balances DISABLE TRIGGER USER"))
        session.execute(
            text("UPDATE balances SET posted_micros = 101, held_micros = 0 WHERE account_id = :id"),
            {"id": tenant},
        )
        assert {each.name for each in invariants(session) if not each.ok} == {
            "balances_sum_to_zero",
            "balances_agree_with_transfers",
            "held_equals_open_holds",
        }


def test_two_transactions_cannot_spend_the_same_credit(sessions: SessionFactory) -> None:
    """The second waits for the first one's lock and then finds too little."""
    import threading

    with sessions() as session:
        tenant = make_account(session, funds_micros=100).id
        session.commit()
    outcome: list[str] = []

    def spend() -> None:
        with sessions() as second:
            try:
                hold(second, tenant, 60, job_id="job_b")
                second.commit()
                outcome.append("held")
            except InsufficientFunds as refused:
                outcome.append(f"{refused.missing_micros} missing")

    with sessions() as first:
        hold(first, tenant, 60, job_id="job_a")
        other = threading.Thread(target=spend)
        other.start()
        while not first.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar():
            pass  # until the other waits for our row
        first.commit()
        other.join()
    assert outcome == ["20 missing"]


def test_a_deposit_needs_no_funds_and_a_withdrawal_does(session: Session) -> None:
    owner = make_account(session).id
    deposit(session, owner, 10)
    withdrawal = NewTransfer(
        key="out",
        kind=TransferKind.WITHDRAWAL,
        debit_id=owner,
        credit_id=ISSUANCE,
        amount_micros=11,
    )
    with pytest.raises(InsufficientFunds):
        post_transfers(session, [withdrawal], now=NOW)
