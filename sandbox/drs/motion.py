"""The parts of a source server's record that move with time: lag, backlog, elapsed replication, last seen.

They are different on every describe, as at AWS, and cost next to nothing: one small table per answer, from which every
healthy server takes the row that its phase and the moment point at.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

HEALTHY_LAG_SECONDS = 30
STALLED_LAG_SECONDS = 2 * 3600
_BACKLOG_BYTES_PER_SECOND = 1 << 20
_STEPS_PER_SECOND = 4
_PHASE_STRIDE = 7  # coprime to the table's 31 rows, so that neighbours differ
_ROWS = HEALTHY_LAG_SECONDS + 1

# DisconnectSourceServer nullifies the lag (botocore's model); nothing replicates or is seen in these states.
FROZEN_STATES = frozenset({"DISCONNECTED", "STOPPED"})

Moving = tuple[bytes, bytes, bytes, bytes]


@dataclass(slots=True)
class Replication:
    """How one machine replicates. An original and its extensions share it: what moves one moves the others.

    `since` (epoch seconds) is when `state` began. `lag_seconds` overrides the lag: that of a stalled server grows from
    it, any other keeps it. `version` tells the holders of cached records that they are stale.
    """

    state: str
    since: float
    phase: int
    lag_seconds: int | None = None
    version: int = 0

    @property
    def frozen(self) -> bool:
        """Whether no part of the record moves."""
        return self.state in FROZEN_STATES

    def change(self, now: float, *, state: str | None = None, lag_seconds: int | None = None) -> None:
        """Enter `state` (None: stay in it) with `lag_seconds` as the lag's override (None: the state's usual lag)."""
        self.state = state or self.state
        self.since = now
        self.lag_seconds = lag_seconds
        self.version += 1


class Pulse:
    """What moves, at one moment."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._step = int(now * _STEPS_PER_SECOND)
        self._rows = [_lag_backlog_seen(lag, now) for lag in range(_ROWS)]

    def moving(self, replication: Replication, added_at: float) -> Moving:
        """Return lag, backlog in bytes, elapsed replication and last seen, in the order of a record's JSON."""
        lag, backlog, seen = self._row(replication)
        return lag, backlog, b"PT%dM" % ((self._now - added_at) // 60), seen

    def _row(self, replication: Replication) -> tuple[bytes, bytes, bytes]:
        index = (replication.phase * _PHASE_STRIDE + self._step) % _ROWS
        if replication.state == "STALLED":
            start = STALLED_LAG_SECONDS if replication.lag_seconds is None else replication.lag_seconds
            lag = start + int(self._now - replication.since)
        elif replication.lag_seconds is not None:
            lag = replication.lag_seconds
        else:
            return self._rows[index]
        seen = self._rows[index][2]
        return duration(lag).encode(), b"%d" % (lag * _BACKLOG_BYTES_PER_SECOND), seen


def _lag_backlog_seen(lag: int, now: float) -> tuple[bytes, bytes, bytes]:
    return duration(lag).encode(), b"%d" % (lag * _BACKLOG_BYTES_PER_SECOND), timestamp(now - lag).encode()


def duration(seconds: int) -> str:
    """Return `seconds` as an ISO 8601 duration, e.g. `PT2H5S`."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [f"{amount}{unit}" for amount, unit in ((hours, "H"), (minutes, "M"), (rest, "S")) if amount]
    return "PT" + ("".join(parts) or "0S")


def timestamp(epoch: float) -> str:
    """Return `epoch` seconds as the model's ISO8601DatetimeString, to the millisecond."""
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
