"""Nodes that a front must not use: why, and when they are asked again."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from app.pace import Backoff

logger = logging.getLogger(__name__)

ASK_FIRST_S, ASK_MAX_S = 1.0, 60.0


@dataclass(slots=True)
class _Refusal:
    why: str
    avoided: bool
    pace: Backoff = field(default_factory=lambda: Backoff(ASK_FIRST_S, ASK_MAX_S))
    due: float = 0.0


class Refusals:
    """Each is logged once, and again when its reason changes."""

    def __init__(self) -> None:
        self._of: dict[str, _Refusal] = {}

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why nodes are not used, by id."""
        return {node_id: refusal.why for node_id, refusal in self._of.items()}

    @property
    def avoided(self) -> set[str]:
        """Ids of nodes on which no stream may start, whatever Ray says."""
        return {node_id for node_id, refusal in self._of.items() if refusal.avoided}

    def add(self, node_id: str, name: str, why: str, *, avoided: bool) -> None:
        """Do not use a node for now.

        Args:
            avoided: streams that it does not run have to go elsewhere.
        """
        known = self._of.get(node_id)
        if known is None or known.why != why:
            logger.error("node %s is not used: %s", name, why)
        refusal = self._of[node_id] = known or _Refusal(why, avoided)
        refusal.why, refusal.avoided = why, avoided
        refusal.due = time.monotonic() + refusal.pace.next()

    def lift(self, node_id: str, name: str) -> None:
        """Use a node again."""
        if self._of.pop(node_id, None) is not None:
            logger.info("node %s is used now", name)

    def keep_only(self, node_ids: Iterable[str]) -> None:
        """Forget nodes that are gone."""
        for gone in set(self._of) - set(node_ids):
            del self._of[gone]

    def is_due(self, node_id: str) -> bool:
        """Whether a node may be asked now."""
        known = self._of.get(node_id)
        return known is None or time.monotonic() >= known.due
