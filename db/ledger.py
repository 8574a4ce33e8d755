"""The ledger: transfers are posted in one statement, a trigger keeps the balances.

LedgerError
├── InsufficientFunds   the debit side has too little; says how much is missing
├── HoldMismatch        a charge or release does not fit the hold that it resolves
├── AlreadyResolved     the hold was resolved before, under another key
└── KeyReused           the key is on record for another movement
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from db.engine import dump_json
from db.errors import StorageError, constraint_of
from db.ids import new_id
from db.tables import ESCROW, TransferKind

_MISFIT = "SK001"  # SQLSTATEs that the trigger raises
_SHORT = "SK002"


class LedgerError(StorageError):
    """Base of what the ledger refuses; nothing of the statement was posted."""

    code = "ledger"


class InsufficientFunds(LedgerError):
    """``missing_micros`` more are needed on ``account_id``."""

    code = "insufficient_funds"

    def __init__(self, *, account_id: str, missing_micros: int) -> None:
        super().__init__(f"{missing_micros} micros are missing on {account_id}; deposit them first")
        self.account_id = account_id
        self.missing_micros = missing_micros


class HoldMismatch(LedgerError):
    """What is to be resolved is not a hold of these sides, or is smaller."""

    code = "hold_mismatch"


class AlreadyResolved(LedgerError):
    """A hold is resolved once."""

    code = "already_resolved"


class KeyReused(LedgerError):
    """The same key names another movement on record."""

    code = "transfer_key_reused"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTransfer:
    """A movement to post; ``key`` makes it happen once, however often it is asked for."""

    key: str
    kind: TransferKind
    debit_id: str
    credit_id: str
    amount_micros: int
    resolves: str | None = None
    job_id: str | None = None
    lease_id: str | None = None
    note: str = ""
    id: str = ""  # "": a new one


def hold_of_job(*, job_id: str, account_id: str, amount_micros: int, id: str = "") -> NewTransfer:
    """The hold that a job is submitted with."""
    return NewTransfer(
        key=f"hold:{job_id}",
        kind=TransferKind.HOLD,
        debit_id=account_id,
        credit_id=ESCROW,
        amount_micros=amount_micros,
        job_id=job_id,
        id=id,
    )


_INSERT = text("""
    INSERT INTO transfers (id, key, kind, debit_id, credit_id, amount_micros, resolves, job_id,
        lease_id, note, created_at)
    SELECT t.id, t.key, t.kind, t.debit_id, t.credit_id, t.amount_micros, t.resolves, t.job_id,
        t.lease_id, t.note, :now
    FROM jsonb_to_recordset(CAST(:transfers AS jsonb))
        AS t (id text, key text, kind text, debit_id text, credit_id text, amount_micros bigint,
            resolves text, job_id text, lease_id text, note text)
    ON CONFLICT (key) DO NOTHING
    RETURNING key, id
""")
_RECORDED = text("""
    SELECT key, id, kind, debit_id, credit_id, amount_micros, resolves
    FROM transfers WHERE key = ANY(:keys)
""")


def post_transfers(
    session: Session, transfers: Sequence[NewTransfer], *, now: dt.datetime
) -> dict[str, str]:
    """Post what is not yet on record, all or nothing; return the transfers' ids by key.

    Keys must differ among ``transfers``. A key on record with the same movement is left as it is.
    Locks the balances concerned in id order until the transaction's end, so it comes late in one.
    Raises ``InsufficientFunds``, ``HoldMismatch``, ``AlreadyResolved``, ``KeyReused``; the
    transaction is then to be rolled back.
    """
    if not transfers:
        return {}
    document = dump_json(
        [each if each.id else replace(each, id=new_id("transfer", now)) for each in transfers]
    )
    try:
        rows = session.execute(_INSERT, {"transfers": document, "now": now}).all()
    except DBAPIError as error:
        raise _refusal(error) or error from error
    posted: dict[str, str] = {row.key: row.id for row in rows}
    if len(posted) < len(transfers):
        posted |= _on_record(session, [t for t in transfers if t.key not in posted])
    return posted


def _on_record(session: Session, transfers: Sequence[NewTransfer]) -> dict[str, str]:
    rows = {
        row.key: row
        for row in session.execute(_RECORDED, {"keys": [transfer.key for transfer in transfers]})
    }
    for transfer in transfers:
        row = rows[transfer.key]
        recorded = (row.kind, row.debit_id, row.credit_id, row.amount_micros, row.resolves)
        asked = (
            transfer.kind,
            transfer.debit_id,
            transfer.credit_id,
            transfer.amount_micros,
            transfer.resolves,
        )
        if recorded != asked:
            raise KeyReused(f"the key {transfer.key!r} is on record for another movement")
    return {key: row.id for key, row in rows.items()}


def _refusal(error: DBAPIError) -> LedgerError | None:
    """The ledger's word for an error of the database; None: not a refusal of the ledger."""
    cause = error.orig
    if not isinstance(cause, psycopg.Error):
        return None
    if cause.sqlstate == _SHORT:
        account_id, _, missing = (cause.diag.message_detail or "").partition(" ")
        return InsufficientFunds(account_id=account_id, missing_micros=int(missing))
    if cause.sqlstate == _MISFIT:
        return HoldMismatch(str(cause.diag.message_primary))
    if constraint_of(error) == "uq_transfers_resolves":
        return AlreadyResolved("the hold was resolved before")
    return None
