"""Every query about deliveries: what is due, what became of it, and what is listed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, and_, delete, func, not_, or_, select, update

from app.db.engine import opened
from app.db.notify_tables import DeliveryTable, TargetTable
from app.errors import DeliveryNotFound
from app.notifications import (
    PASSED_AFTER,
    Backlog,
    Delivery,
    DeliveryFilter,
    DeliveryState,
)

WAITING = DeliveryTable.state == DeliveryState.WAITING.value
DEAD = DeliveryTable.state == DeliveryState.DEAD.value


class DeliveryRepository:
    """Deliveries as rows. Blocking; raises StoreError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # ── for the workers ──────────────────────────────────────────────────────────────────

    def due(self, target_id: int, now: float, limit: int) -> list[Delivery]:
        """What may be sent to a target now, oldest first.

        For each camera that is the oldest message, and those that have failed often enough for
        later ones to pass them. A message that still collects events holds up no other.
        """
        mine = and_(DeliveryTable.target_id == target_id, WAITING)
        collecting = and_(DeliveryTable.failures == 0, DeliveryTable.due_ts > now)
        blocking = and_(mine, DeliveryTable.failures < PASSED_AFTER, not_(collecting))
        heads = select(func.min(DeliveryTable.delivery_id)).where(blocking)
        first = DeliveryTable.delivery_id.in_(heads.group_by(DeliveryTable.stream_id))
        passed = DeliveryTable.failures >= PASSED_AFTER
        wanted = select(DeliveryTable).where(mine, or_(first, passed), DeliveryTable.due_ts <= now)
        return self._all(wanted.order_by(DeliveryTable.delivery_id).limit(limit))

    def next_due(self, target_id: int, after: float) -> float | None:
        """When the next message of a target may become due; None if none waits."""
        with opened(self._engine) as session:
            mine = and_(DeliveryTable.target_id == target_id, WAITING)
            later = select(func.min(DeliveryTable.due_ts)).where(mine, DeliveryTable.due_ts > after)
            return session.scalar(later)

    def sent(self, delivery_id: int, now: float, answer: str) -> None:
        self._finish(delivery_id, DeliveryState.SENT, now, answer)

    def failed(self, delivery_id: int, due_ts: float, answer: str) -> None:
        """Count a failed attempt; the next one is due at ``due_ts``."""
        self._update(delivery_id, failures=DeliveryTable.failures + 1, due_ts=due_ts, answer=answer)

    def give_up(self, delivery_id: int, now: float, answer: str) -> None:
        """List as dead."""
        self._finish(
            delivery_id, DeliveryState.DEAD, now, answer, failures=DeliveryTable.failures + 1
        )

    def wake(self, target_id: int, now: float) -> None:
        """Make everything due that waits after a failure: the target answers again."""
        with opened(self._engine) as session:
            session.execute(
                update(DeliveryTable)
                .where(DeliveryTable.target_id == target_id, WAITING, DeliveryTable.failures > 0)
                .values(due_ts=now)
            )

    def tidy(self, now: float, keep_s: float, max_waiting: int) -> int:
        """Remove what was finished long ago, and give up the oldest of too many that wait.

        Returns how many were given up.
        """
        given_up = 0
        with opened(self._engine) as session:
            old = DeliveryTable.finished_ts < now - keep_s
            session.execute(delete(DeliveryTable).where(old))
            counts = select(DeliveryTable.target_id, func.count()).where(WAITING)
            for target_id, count in session.execute(counts.group_by(DeliveryTable.target_id)):
                if count <= max_waiting:
                    continue
                mine = and_(DeliveryTable.target_id == target_id, WAITING)
                oldest = select(DeliveryTable.delivery_id).where(mine)
                oldest = oldest.order_by(DeliveryTable.delivery_id).limit(count - max_waiting)
                session.execute(
                    update(DeliveryTable)
                    .where(DeliveryTable.delivery_id.in_(oldest))
                    .values(
                        state=DeliveryState.DEAD.value,
                        finished_ts=now,
                        answer="too many messages were waiting for this target",
                    )
                )
                given_up += count - max_waiting
        return given_up

    # ── for people ───────────────────────────────────────────────────────────────────────

    def page(self, wanted: DeliveryFilter, limit: int, cursor: int | None = None) -> list[Delivery]:
        """Deliveries, newest first, with smaller numbers than the cursor."""
        query = select(DeliveryTable).where(*_conditions(wanted))
        if cursor is not None:
            query = query.where(DeliveryTable.delivery_id < cursor)
        return self._all(query.order_by(DeliveryTable.delivery_id.desc()).limit(limit))

    def get(self, delivery_id: int) -> Delivery:
        """Raises DeliveryNotFound."""
        found = self._all(select(DeliveryTable).where(DeliveryTable.delivery_id == delivery_id))
        if not found:
            raise DeliveryNotFound(delivery_id=delivery_id)
        return found[0]

    def send_again(self, wanted: DeliveryFilter, now: float, delivery_id: int | None = None) -> int:
        """Let dead deliveries wait again, as if they were new; returns how many that were."""
        conditions = [*_conditions(wanted), DEAD]
        if delivery_id is not None:
            conditions.append(DeliveryTable.delivery_id == delivery_id)
        with opened(self._engine) as session:
            result: Any = session.execute(
                update(DeliveryTable)
                .where(*conditions)
                .values(
                    state=DeliveryState.WAITING.value,
                    failures=0,
                    created_ts=now,
                    due_ts=now,
                    finished_ts=None,
                )
            )
            return int(result.rowcount)

    def backlog(self, now: float) -> list[Backlog]:
        """What waits and what is dead, by kind of target."""
        with opened(self._engine) as session:
            rows = session.execute(
                select(
                    TargetTable.kind,
                    DeliveryTable.state,
                    func.count(),
                    func.min(DeliveryTable.created_ts),
                )
                .join(TargetTable, TargetTable.target_id == DeliveryTable.target_id)
                .where(or_(WAITING, DEAD))
                .group_by(TargetTable.kind, DeliveryTable.state)
            ).all()
        found = {(kind, state): (count, oldest) for kind, state, count, oldest in rows}
        waiting, dead = DeliveryState.WAITING.value, DeliveryState.DEAD.value
        backlogs = []
        for kind in sorted({kind for kind, _ in found}):
            count, oldest = found.get((kind, waiting), (0, now))
            given_up = found.get((kind, dead), (0, now))[0]
            backlogs.append(Backlog(kind, count, given_up, max(0.0, now - oldest)))
        return backlogs

    # ── helpers ──────────────────────────────────────────────────────────────────────────

    def _finish(
        self, delivery_id: int, state: DeliveryState, now: float, answer: str, **more: Any
    ) -> None:
        self._update(delivery_id, state=state.value, finished_ts=now, answer=answer, **more)

    def _update(self, delivery_id: int, **values: Any) -> None:
        with opened(self._engine) as session:
            mine = DeliveryTable.delivery_id == delivery_id
            session.execute(update(DeliveryTable).where(mine).values(**values))

    def _all(self, query: Any) -> list[Delivery]:
        with opened(self._engine) as session:
            return [_delivery(row) for row in session.scalars(query)]


def _conditions(wanted: DeliveryFilter) -> Sequence[Any]:
    conditions: list[Any] = []
    if wanted.state is not None:
        conditions.append(DeliveryTable.state == wanted.state.value)
    if wanted.target_id is not None:
        conditions.append(DeliveryTable.target_id == wanted.target_id)
    if wanted.stream_id is not None:
        conditions.append(DeliveryTable.stream_id == wanted.stream_id)
    return conditions


def _delivery(row: DeliveryTable) -> Delivery:
    return Delivery(
        row.delivery_id,
        row.message_id,
        row.target_id,
        row.route_id,
        row.stream_id,
        tuple(row.event_ids),
        DeliveryState(row.state),
        row.failures,
        row.created_ts,
        row.due_ts,
        row.finished_ts,
        row.answer,
    )
