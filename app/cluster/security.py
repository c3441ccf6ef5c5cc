"""Who may use the Ray cluster: its ports run any code that they are sent.

Within one host nothing is asked for, as Ray listens on it only for its own users. Beyond, Ray's
token authentication and TLS must be on, on every node. See Ray's documentation, "Token
authentication" and "TLS authentication".
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ray._raylet import AuthenticationMode, get_authentication_mode

from app import __version__
from app.cluster.reports import NodeFacts
from app.errors import SetupError

OPEN = (
    "The Ray node {node} takes commands from everybody who reaches it: {missing}. On every machine "
    "set RAY_AUTH_MODE=token, give it the cluster's token, set RAY_USE_TLS=1 with certificates, "
    "and run ray start again."
)


def has_token() -> bool:
    """Whether Ray asks for a token in this process' cluster."""
    return bool(get_authentication_mode() == AuthenticationMode.TOKEN)


def has_tls() -> bool:
    """Whether Ray encrypts what this process sends."""
    return os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true")


def check_node(name: str, facts: NodeFacts, hosts: int) -> None:
    """Refuse a node with another version, or one that is open beyond its host.

    Args:
        hosts: how many hosts the cluster has.

    Raises:
        SetupError: with what to do.
    """
    if facts.version != __version__:
        raise SetupError(
            reason=f"The Ray node {name} has Watchpost {facts.version}, and this is {__version__}. "
            "Install the same version on both, and run ray start again."
        )
    missing = [what for what, there in _guards(facts).items() if not there]
    if hosts > 1 and missing:
        raise SetupError(reason=OPEN.format(node=name, missing=", ".join(missing)))


def _guards(facts: NodeFacts) -> Mapping[str, bool]:
    return {"it asks for no token": facts.token, "it does not use TLS": facts.tls}
