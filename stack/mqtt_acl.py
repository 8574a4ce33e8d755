"""Who may write and read which MQTT topic: one rule, in Python and as a mosquitto ACL file.

A node (certificate CN ``node_…``) writes its own ``up/`` and reads its own ``down/`` and the
control topics. The platform (CN ``souk-platform``) may do everything; a revoked node may do
nothing.
"""

from collections.abc import Iterable

from broker.services.pki import NODE_CN_PREFIX, PLATFORM_CN

ROOT = "souk/v1"
CONTROL = f"{ROOT}/control/"
SHARED = "$share/"


def own(node: str, direction: str) -> str:
    """Prefix of the topics of ``node`` in ``direction``, which is ``up`` or ``down``."""
    return f"{ROOT}/n/{node}/{direction}/"


def may_write(identity: str, topic: str) -> bool:
    """Whether ``identity`` may publish to ``topic``."""
    if identity == PLATFORM_CN:
        return True
    return is_node(identity) and topic.startswith(own(identity, "up"))


def may_read(identity: str, topic_filter: str) -> bool:
    """Whether ``identity`` may subscribe to ``topic_filter`` (a wildcard only under its own)."""
    if identity == PLATFORM_CN:
        return True
    allowed = (own(identity, "down"), CONTROL)
    return is_node(identity) and topic_filter.startswith(allowed)


def is_node(identity: str) -> bool:
    """Whether ``identity`` is the CN of a node; refuses what an ACL would read as a wildcard."""
    return identity.startswith(NODE_CN_PREFIX) and identity.isidentifier()


def mosquitto_nodes_acl(revoked: Iterable[str] = ()) -> str:
    """ACL file of the listener for devices. Denials stand first: they are per user."""
    denied = "".join(f"user {node}\ntopic deny #\n\n" for node in sorted(filter(is_node, revoked)))
    return f"{denied}pattern write {own('%u', 'up')}#\npattern read {own('%u', 'down')}#\n" + (
        f"pattern read {CONTROL}#\n"
    )


def mosquitto_platform_acl() -> str:
    """ACL file of the platform's listener."""
    return f"user {PLATFORM_CN}\ntopic readwrite #\ntopic read $SYS/#\n"
