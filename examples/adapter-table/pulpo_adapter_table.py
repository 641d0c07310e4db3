import asyncio
import sqlite3
import threading
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta

import attrs

import pulpo_core as core

SCHEMA = """CREATE TABLE IF NOT EXISTS jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT, state TEXT, priority INTEGER, at REAL, attempts INTEGER DEFAULT 0,
  token INTEGER, uid TEXT, body BLOB, reason TEXT, error TEXT)"""
PUBLISH = """INSERT INTO jobs (state, priority, at, uid, body)
  VALUES (iif(:at > :now, 'delayed', 'ready'), :priority, :at, :uid, :body)"""
TAKE = """UPDATE jobs SET state = 'reserved', at = :until, attempts = attempts + 1, token = random()
  WHERE id IN (SELECT id FROM jobs WHERE state = 'ready' ORDER BY priority, id LIMIT :limit) RETURNING *"""
HELD = " WHERE id = :id AND token = :token AND state = 'reserved'"
SETTLE = {
    core.Ack: "DELETE FROM jobs" + HELD,
    core.Retry: "UPDATE jobs SET state = 'delayed', at = :at" + HELD,
    core.Release: "UPDATE jobs SET state = 'ready', attempts = attempts - 1" + HELD,
    core.Bury: "UPDATE jobs SET state = 'buried', at = :now, reason = :reason, error = :error" + HELD,
}
BURIED = "SELECT * FROM jobs WHERE state = 'buried' ORDER BY at, id LIMIT :limit"
KICK = "UPDATE jobs SET state = 'ready', attempts = 0 WHERE id = :id AND state = 'buried'"


def transaction(method):
    """Do *method* in a thread, since databases block, and in one transaction, after what is due by now."""

    def work(self, *arguments, **options):
        with self.lock, self.database:
            self.database.execute("BEGIN IMMEDIATE")
            self.run("UPDATE jobs SET state = 'ready' WHERE state IN ('delayed', 'reserved') AND at <= :now")
            return method(self, *arguments, **options)

    async def call(self, *arguments, **options):
        try:
            return await asyncio.to_thread(work, self, *arguments, **options)
        except sqlite3.Error as error:
            raise core.Unavailable(f"{self.url}: {error}") from error

    return call


def for_each(method):
    return transaction(lambda self, batch: [method(self, each) for each in batch])


class TableQueue:
    def __init__(self, url, database, capabilities, clock):
        self.url, self.database, self.capabilities, self.clock = url, database, capabilities, clock
        self.lease = capabilities.lease.total_seconds()
        self.lock, self.interrupted = threading.Lock(), asyncio.Event()

    def close(self):
        with self.lock:
            self.database.close()

    def run(self, statement, **values):
        now = self.clock.now().timestamp()
        return self.database.execute(statement, {"now": now, "until": now + self.lease, **values})

    async def receive(self, limit, wait):
        deadline = self.clock.monotonic() + min(wait, self.capabilities.max_wait).total_seconds()
        while not self.interrupted.is_set():
            since = self.clock.monotonic()
            rows = await self.take(limit)
            if rows or since >= deadline:
                return [self.delivery(row, core.Lease(since + self.lease)) for row in rows]
            await self.clock.wait(self.interrupted, min(0.05, deadline - since))
        return []

    @transaction
    def take(self, limit):
        return sorted(self.run(TAKE, limit=limit), key=lambda row: (row["priority"], row["id"]))

    def delivery(self, row, lease):
        return core.Delivery(lease=lease, receipt=dict(row), attempt=row["attempts"], **told(row))

    def interrupt(self):
        self.interrupted.set()

    @for_each
    def settle(self, item):
        held, kind, values = item.delivery.receipt, type(item.settlement), attrs.asdict(item.settlement, recurse=False)
        if held is None or item.follow_ups:
            return core.Unsupported("a table settles what it handed out, and publishes nothing beside it")
        values["at"] = (self.clock.now() + values.get("delay", timedelta())).timestamp()
        if held.get("settled") is not kind and not self.run(SETTLE[kind], **held | values).rowcount:
            return core.LeaseLost(f"message {item.delivery.id} is not held by this delivery")
        held["settled"] = kind
        return None

    @for_each
    def extend(self, delivery):
        deadline = self.clock.monotonic() + self.lease
        if self.run("UPDATE jobs SET at = :until" + HELD, **delivery.receipt).rowcount:
            return deadline
        return core.LeaseLost(f"message {delivery.id} is not held by this delivery")

    @for_each
    def publish(self, envelope):
        if envelope.group is not None:
            return core.Unsupported("a table keeps no groups")
        at = envelope.not_before.timestamp() if envelope.not_before else 0
        return str(self.run(PUBLISH, at=at, **attrs.asdict(envelope, recurse=False)).lastrowid)

    @transaction
    def stats(self):
        counted = self.run("SELECT state, count(*) FROM jobs GROUP BY state")
        return core.QueueStats(**{"ready": 0, "delayed": 0, "reserved": 0, "buried": 0} | dict(counted))

    @transaction
    def buried(self, *, limit=1000):
        records = [self.record(row) for row in self.run(BURIED, limit=limit + 1)]
        more = len(records) > limit
        return core.Page(records=records[:limit], partial=more, note="there are more" if more else "")

    def record(self, row):
        why = {name: row[name] for name in ("attempts", "reason", "error")}
        why["buried_at"] = datetime.fromtimestamp(row["at"], UTC)
        return core.Record(state=core.State.BURIED, **why, **told(row))

    @transaction
    def kick(self, ids=None, *, limit=None):
        buried = [str(row["id"]) for row in self.run(BURIED, limit=-1)]
        if missing := {*(ids or ())} - {*buried}:
            raise core.MessageNotFound(f"{', '.join(missing)}: not buried here; nothing was kicked")
        return sum(self.run(KICK, id=each).rowcount for each in (buried[:limit] if ids is None else ids))

    @for_each
    def delete(self, name):
        if self.run("DELETE FROM jobs WHERE id = :id AND state <> 'reserved'", id=name).rowcount:
            return None
        if self.run("SELECT 1 FROM jobs WHERE id = :id", id=name).fetchone():
            return core.AdapterError(f"message {name} is being handled", temporary=True)
        return core.MessageNotFound(f"there is no message {name}")

    @transaction
    def purge(self, states):
        if not states <= self.capabilities.purge_states:
            raise core.Unsupported("only what is ready, delayed or buried can be purged")
        return sum(self.run("DELETE FROM jobs WHERE state = :state", state=each).rowcount for each in states)

    async def refuse(self, *_):
        raise core.Unsupported("a table can neither be peeked at nor be paused")

    peek = pause = resume = refuse


def told(row):
    envelope = core.Envelope(body=row["body"], priority=row["priority"], uid=row["uid"] or f"table:{row['id']}")
    return {"id": str(row["id"]), "envelope": envelope}


class TableAdapter:
    scheme = "table"
    capabilities = core.Capabilities(peek=frozenset(), durability="power failure")

    def open(self, url, *, clock, jitter):
        path, parameters = read(url)
        return opened(url, path, attrs.evolve(self.capabilities, **parameters), clock)

    async def create(self, url, options):
        path, _ = read(url)
        sqlite3.connect(path).execute(SCHEMA).connection.close()
        return f"table jobs is in {path}"


def read(url):
    parts = core.parse_url(url)
    if parts.netloc or not parts.path.strip("/"):
        raise core.InvalidURL(f"{url!r} does not name a database; expected table:///FILE")
    return parts.path, core.read_parameters(parts, {"lease": core.duration})


@asynccontextmanager
async def opened(url, path, capabilities, clock):
    try:
        database = sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None, check_same_thread=False)
    except sqlite3.OperationalError as error:
        raise core.QueueNotFound(f"{url}: {error}; create it with `pulpo queue create`") from error
    database.row_factory = sqlite3.Row
    with closing(TableQueue(url, database, capabilities, clock)) as queue:
        yield queue
