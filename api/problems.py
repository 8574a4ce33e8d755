"""Every error code that the API answers with: what it means and what to do.

``type`` of a problem is ``/problems/<code>`` on this server, where this text is shown to people.
"""

from dataclasses import dataclass

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of problem; ``meaning`` is for the person who reads the page."""

    status: int
    title: str
    meaning: str
    retryable: bool = False


CATALOGUE: dict[str, Problem] = {
    "malformed_request": Problem(
        400,
        "The request cannot be read",
        "The body is not valid JSON, or the address holds characters that no resource has.",
    ),
    "unauthenticated": Problem(
        401,
        "Nobody known is asking",
        "Show an API key (Authorization: Bearer souk_…) or sign in. It may be revoked or expired.",
    ),
    "wrong_credentials": Problem(
        401, "Name or password is wrong", "Check both, or ask an operator for a new password."
    ),
    "account_disabled": Problem(
        401, "The account is disabled", "An operator disabled this account; ask one to enable it."
    ),
    "bad_token": Problem(
        401,
        "The join token is not valid",
        "A join token is used up, revoked or expired, or was copied wrongly. Ask for a new one.",
    ),
    "bad_renewal": Problem(
        401,
        "The renewal is not valid",
        "A certificate is renewed by the key that was enrolled, within the grace time after its "
        "expiry. Otherwise enrol anew with a join token.",
    ),
    "grant_invalid": Problem(
        401,
        "The grant is not valid",
        "A node's grant for artifacts ends with its work. The next order carries a new one.",
    ),
    "insufficient_funds": Problem(
        402,
        "The purse has too little",
        "The most that a job may cost is held when it is submitted. Deposit credits, or lower the "
        "limit price, the run time or the number of tasks.",
    ),
    "forbidden": Problem(403, "Not allowed", "The role of your account does not allow this."),
    "missing_scope": Problem(
        403, "The key may not do this", "Use a key with the scope that is named."
    ),
    "csrf_failed": Problem(
        403,
        "The browser session was not confirmed",
        "A change from a browser session needs the header X-CSRF-Token with the session's token.",
    ),
    "node_revoked": Problem(
        403, "The node was revoked", "A revoked node cannot come back; enrol it with a new key."
    ),
    "not_found": Problem(
        404, "There is no such thing", "It is not there, or it is not yours to see."
    ),
    "unknown_artifact": Problem(
        404, "The artifact is not known", "Upload it first: POST /v1/artifacts."
    ),
    "artifact_gone": Problem(
        404, "The artifact's bytes are gone", "The store no longer has them; upload them again."
    ),
    "snapshot_gone": Problem(
        404,
        "The round's snapshot is gone",
        "Nobody bid in it, or it is older than snapshots are kept: SOUK_SNAPSHOTS_KEEP_H.",
    ),
    "result_not_ready": Problem(
        404, "There is no result yet", "The task has not ended, or it ended without a result.", True
    ),
    "method_not_allowed": Problem(
        405, "The method is not allowed", "The header Allow lists the methods of this address."
    ),
    "conflict": Problem(
        409, "The present state does not allow it", "Read the resource again and decide anew.", True
    ),
    "name_taken": Problem(409, "The name is taken", "Choose another name."),
    "root_exists": Problem(409, "There is a root already", "The tree of cells has one root."),
    "node_state": Problem(
        409, "The node's state does not allow it", "See docs/lifecycle.md for what may follow what."
    ),
    "offer_state": Problem(
        409, "The offer was withdrawn", "The node's agent makes a new one when it starts."
    ),
    "job_ended": Problem(409, "The job has ended", "What has ended cannot be changed."),
    "idempotency_in_flight": Problem(
        409,
        "The same request is under way",
        "A request with this Idempotency-Key is being worked on. Ask again for its answer.",
        True,
    ),
    "stale_version": Problem(
        412,
        "It was changed meanwhile",
        "If-Match names a version that is gone. Read the resource again and repeat the change.",
    ),
    "too_large": Problem(413, "The body is too large", "See the limits in docs/settings.md."),
    "range_not_satisfiable": Problem(
        416, "No such range", "The header Content-Range says how long the artifact is."
    ),
    "validation": Problem(
        422, "Some fields are not valid", "Each entry of errors points at a field and says why."
    ),
    "invalid": Problem(
        422, "The fields contradict each other or a rule", "The detail says which and why."
    ),
    "unserviceable": Problem(
        422,
        "No known node could ever run it",
        "The errors count which constraint rules out how many nodes. Loosen one of them.",
    ),
    "digest_mismatch": Problem(
        422, "The bytes have another digest", "The upload was damaged, or the digest is wrong."
    ),
    "model_invalid": Problem(
        422, "Not an ONNX model that can be run", "Check it with onnx.checker and upload it again."
    ),
    "bad_csr": Problem(
        422,
        "Not a certificate request that is signed",
        "A CSR in PEM with an EC P-256 or Ed25519 key is needed.",
    ),
    "idempotency_mismatch": Problem(
        422,
        "The Idempotency-Key was used otherwise",
        "The same key came with another request before. Use a new key for a new request.",
    ),
    "rate_limited": Problem(
        429, "Too many requests", "Wait for the seconds in Retry-After, then go on.", True
    ),
    "internal": Problem(
        500,
        "Something broke on our side",
        "It is logged under the trace_id. The request may be repeated with its Idempotency-Key.",
        True,
    ),
    "unavailable": Problem(
        503,
        "The platform is not ready",
        "The database cannot be reached just now. Ask again in a moment.",
        True,
    ),
    "outcome_unknown": Problem(
        503,
        "It is not known whether it happened",
        "The database was lost at the last step. Repeat the request with its Idempotency-Key.",
        True,
    ),
}

BY_STATUS = {
    400: "malformed_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    412: "stale_version",
    413: "too_large",
    416: "range_not_satisfiable",
    422: "validation",
    429: "rate_limited",
    500: "internal",
    503: "unavailable",
}


def type_of(code: str) -> str:
    """The ``type`` of a problem: a path that this server resolves."""
    return f"/problems/{code}"
