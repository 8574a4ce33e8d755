"""The exit codes of the command line; ``docs/cli.md`` shows this table."""

from enum import IntEnum

from ..errors import (
    ApiError,
    ConfigError,
    Forbidden,
    InsufficientFunds,
    JobNotSucceeded,
    NoSuchName,
    NotAuthenticated,
    NotFound,
    RateLimited,
    ServerError,
    SoukError,
    Unreachable,
    WaitTimeout,
)


class ExitCode(IntEnum):
    """What a command ended with; scripts may rely on the numbers."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    DENIED = 4
    NOT_FOUND = 5
    REFUSED = 6
    FUNDS = 7
    JOB = 8
    TIMEOUT = 9
    SERVER = 10
    INTERRUPTED = 130


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "Done.",
    ExitCode.FAILED: "Something went wrong on this side: a file, a setting, a failed check.",
    ExitCode.USAGE: "The command line is not understood; see `--help`.",
    ExitCode.UNREACHABLE: "The platform does not answer, or no address is known.",
    ExitCode.DENIED: "The key is missing, wrong, expired, or may not do this.",
    ExitCode.NOT_FOUND: "There is no such thing, or not for this key.",
    ExitCode.REFUSED: "The platform refused the request; the message says which field and why.",
    ExitCode.FUNDS: "The purse does not cover what the job may cost.",
    ExitCode.JOB: "The job that was waited for failed, was cancelled or expired.",
    ExitCode.TIMEOUT: "The time given for waiting is over (the job goes on), or too many requests.",
    ExitCode.SERVER: "The platform failed; the message has the trace id to look for in its logs.",
    ExitCode.INTERRUPTED: "Interrupted by Ctrl-C.",
}

# The first class that fits counts, so a more particular one stands before its parent.
_BY_ERROR: tuple[tuple[type[SoukError], ExitCode], ...] = (
    (ConfigError, ExitCode.FAILED),
    (Unreachable, ExitCode.UNREACHABLE),
    (JobNotSucceeded, ExitCode.JOB),
    (WaitTimeout, ExitCode.TIMEOUT),
    (RateLimited, ExitCode.TIMEOUT),
    (NotAuthenticated, ExitCode.DENIED),
    (Forbidden, ExitCode.DENIED),
    (NotFound, ExitCode.NOT_FOUND),
    (NoSuchName, ExitCode.NOT_FOUND),
    (InsufficientFunds, ExitCode.FUNDS),
    (ServerError, ExitCode.SERVER),
    (ApiError, ExitCode.REFUSED),
)

_ADVICE: dict[ExitCode, str] = {
    ExitCode.DENIED: "Give another key by SOUK_API_KEY or --context; `souk doctor` shows which is "
    "used.",
    ExitCode.FUNDS: "Ask the operator for a deposit, or lower --limit-price, --max-run or "
    "--budget.",
}


def exit_code_of(error: SoukError) -> ExitCode:
    """The exit code for an error."""
    for kind, code in _BY_ERROR:
        if isinstance(error, kind):
            return code
    return ExitCode.FAILED


def describe(error: SoukError) -> str:
    """The error as the command line says it: a sentence, what to do, and where to look further."""
    lines = [str(error)]
    if advice := _ADVICE.get(exit_code_of(error)):
        lines.append(advice)
    if isinstance(error, ServerError) and error.trace_id:
        lines.append(f"Its trace id is {error.trace_id}.")
    return "\n".join(lines)
