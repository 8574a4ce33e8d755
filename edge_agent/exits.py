"""The exit codes of ``souk-agent``, each with what to do about it."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes; stable, so that service managers and scripts may rely on them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CONFIG = 10
    NOT_ENROLLED = 11
    STATE_DIR = 12
    ALREADY_RUNNING = 13
    NO_SERVER = 20
    CA_MISMATCH = 21
    REFUSED = 22
    REVOKED = 23
    NOT_RUNNING = 30
    DOCTOR = 31


HELP: dict[Exit, str] = {
    Exit.OK: "all is well",
    Exit.FAILED: "an error that the agent did not foresee; the log has it",
    Exit.USAGE: "the command line is wrong; see souk-agent --help",
    Exit.CONFIG: "the configuration is not valid; the message names the setting and what it takes",
    Exit.NOT_ENROLLED: "no identity in the state directory; run souk-agent enrol first",
    Exit.STATE_DIR: "the state directory cannot be used; check its owner and the free space",
    Exit.ALREADY_RUNNING: "another agent uses this state directory; give each its own",
    Exit.NO_SERVER: "the server does not answer; check the address and the network",
    Exit.CA_MISMATCH: "the server's CA is not the one that the token names: a wrong address, or "
    "somebody in between; ask the operator for a new token",
    Exit.REFUSED: "the server refused the enrolment; the message says why (an expired, used up or "
    "unknown token)",
    Exit.REVOKED: "the server accepts this node no more; enrol again with --force and a new token",
    Exit.NOT_RUNNING: "no agent runs with this state directory",
    Exit.DOCTOR: "at least one check of souk-agent doctor failed; each says what to do",
}


class AgentError(Exception):
    """An end with an exit code and a sentence for people."""

    def __init__(self, exit_code: Exit, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def table() -> str:
    """The codes with their help, as printed by ``souk-agent --help``."""
    return "\n".join(f"  {code.value:>3}  {help_text}" for code, help_text in HELP.items())
