"""A vendor that does not give up: deliveries at a rate, doubled, reordered, repeated until acknowledged."""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Mapping, Sequence

import attrs

from tests.support.deliveries import signature

OWNERS: Mapping[str, Sequence[str]] = {
    "org-a": ("1001", "1002"),
    "org-b": ("2001", "1002"),  # 1002 is held by two organisations
    "org-c": ("3001",),
}
NOBODYS = "9009"
LEAD_SHARE = 0.05
ODD_SHARE = 0.02  # of a kind that nobody has mapped: it is counted, and a count tells of every double


@attrs.define
class History:
    """What was sent and what was acknowledged, per happening; times are monotonic."""

    sent: dict[str, tuple[str, bool]] = attrs.field(factory=dict)  # key -> (page, is it a lead)
    acked: set[str] = attrs.field(factory=set)
    acks: list[float] = attrs.field(factory=list)
    refusals: dict[int, int] = attrs.field(factory=dict)
    tries: int = 0

    def pages_of(self, org_id: str) -> set[str]:
        """The pages an org owns."""
        return set(OWNERS[org_id])

    def owed(self, org_id: str) -> set[str]:
        """Keys of acknowledged happenings on pages of this org."""
        return {key for key in self.acked if self.sent[key][0] in OWNERS[org_id]}

    def owed_leads(self, org_id: str) -> set[str]:
        """Those of them that are leads, by lead id."""
        return {key.partition(":")[2] for key in self.owed(org_id) if self.sent[key][1]}

    def owed_comments(self, org_id: str) -> set[str]:
        """Those of them that are comments, by the vendor's id."""
        return {comment_id_of(key) for key in self.owed(org_id) if kind_of(key) == "comment"}

    def possible_comments(self, org_id: str) -> set[str]:
        """Ids of all comments that were sent for pages of this org, acknowledged or not."""
        return {comment_id_of(key) for key in self.possible(org_id, "comment")}

    def possible(self, org_id: str, kind: str) -> set[str]:
        """Keys of all happenings of a kind that were sent for pages of this org, acknowledged or not."""
        return {
            key for key, (page, _) in self.sent.items() if kind_of(key) == kind and page in OWNERS[org_id]
        }

    def possible_leads(self, org_id: str) -> set[str]:
        """Ids of all leads that were sent for pages of this org, acknowledged or not."""
        return {key.partition(":")[2] for key in self.possible(org_id, "lead")}


def kind_of(key: str) -> str:
    """`lead`, `comment` or `odd`."""
    return key.partition(":")[0]


def comment_id_of(key: str) -> str:
    """The vendor's id of a comment."""
    return f"5_{key.partition(':')[2]}"


@attrs.frozen
class Parcel:
    """One delivery: its bytes and the keys of what it holds."""

    body: bytes
    keys: tuple[str, ...]


def entry_of(key: str, page: str) -> str:
    """The delivery entry of one happening, which follows from its key and page alone."""
    kind, _, number = key.partition(":")
    if kind == "lead":
        field = "leadgen"
        value = f'{{"leadgen_id":"{number}","form_id":"77","page_id":"{page}","created_time":1764000000}}'
    elif kind == "odd":
        field, value = "novelty", f'{{"id":"{number}"}}'
    else:
        field = "feed"
        ids = f'"post_id":"{page}_5","comment_id":"5_{number}","parent_id":"{page}_5"'
        value = f'{{"item":"comment","verb":"add",{ids},"created_time":1764000000,"message":"h\\u00e4llo"}}'
    return f'{{"id":"{page}","time":1764000000,"changes":[{{"field":"{field}","value":{value}}}]}}'


def body_of(entries: Sequence[str]) -> bytes:
    """A delivery."""
    return f'{{"object":"page","entry":[{",".join(entries)}]}}'.encode()


class Author:
    """Writes deliveries: mostly comments, some leads, pages of several owners mixed in one body."""

    def __init__(self, dice: random.Random, history: History) -> None:
        self.dice = dice
        self.history = history
        self.numbers = itertools.count(10_000_000_000_000_000)
        self.pages = [*dict.fromkeys(itertools.chain(*OWNERS.values())), NOBODYS]

    def parcel(self, changes: int) -> Parcel:
        """A fresh delivery of so many changes."""
        keys = []
        for _ in range(changes):
            drawn = self.dice.random()
            kind = "lead" if drawn < LEAD_SHARE else "odd" if drawn < LEAD_SHARE + ODD_SHARE else "comment"
            key = f"{kind}:{next(self.numbers)}"
            self.history.sent[key] = (self.dice.choice(self.pages), kind == "lead")
            keys.append(key)
        return Parcel(body_of([entry_of(key, self.history.sent[key][0]) for key in keys]), tuple(keys))


class Sender:
    """Sends parcels over keep-alive connections until each is acknowledged with a 200."""

    def __init__(self, port: int, secret: str, history: History, *, torn: float = 0.0) -> None:
        """`torn` is the share of bodies that arrive in two pieces."""
        self.torn = torn
        self.port = port
        self.secret = secret
        self.history = history
        self.queue: asyncio.Queue[Parcel] = asyncio.Queue()
        self.open = 0

    async def worker(self) -> None:
        """One connection's life, many times over."""
        reader: asyncio.StreamReader | None = None
        writer: asyncio.StreamWriter | None = None
        while True:
            parcel = await self.queue.get()
            while True:
                try:
                    if reader is None or writer is None:
                        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    status = await asyncio.wait_for(self._post(reader, writer, parcel), 10)
                except (OSError, TimeoutError, asyncio.IncompleteReadError):
                    status = 0
                    if writer is not None:
                        writer.close()
                    reader = writer = None
                if self._recorded(parcel, status):
                    break
                await asyncio.sleep(0.05)
            self.queue.task_done()

    def _recorded(self, parcel: Parcel, status: int) -> bool:
        self.history.tries += 1
        if status != 200:
            self.history.refusals[status] = self.history.refusals.get(status, 0) + 1
            return False
        self.history.acked.update(parcel.keys)
        self.history.acks.append(time.monotonic())
        return True

    async def _write(self, writer: asyncio.StreamWriter, head: bytes, body: bytes) -> None:
        if random.random() >= self.torn:
            writer.write(head + body)
            return
        writer.write(head + body[: len(body) // 2])
        await writer.drain()
        await asyncio.sleep(0.01)
        if writer.is_closing():  # uvloop would raise something else
            raise ConnectionResetError
        writer.write(body[len(body) // 2 :])

    async def _post(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, parcel: Parcel) -> int:
        head = (
            "POST /connect/webhook/facebook HTTP/1.1\r\nhost: chaos\r\ncontent-type: application/json\r\n"
            f"x-hub-signature-256: {signature(parcel.body, self.secret)}\r\n"
            f"content-length: {len(parcel.body)}\r\n\r\n"
        )
        await self._write(writer, head.encode(), parcel.body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if length:
            await reader.readexactly(int(length))
        return int(answer[9:12])


async def deliver_at(
    rate: float, is_over: Callable[[], bool], author: Author, sender: Sender, dice: random.Random
) -> None:
    """`rate` changes per second until it is over, some deliveries sent twice, some later than written."""
    started, written = time.monotonic(), 0
    late: list[Parcel] = []
    while not is_over():
        while written < (time.monotonic() - started) * rate:
            size = dice.choice((1, 1, 2, 3, 8))
            parcel = author.parcel(size)
            written += size
            if dice.random() < 0.1:
                late.append(parcel)
                continue
            sender.queue.put_nowait(parcel)
            if dice.random() < 0.1:
                sender.queue.put_nowait(parcel)
        if late and dice.random() < 0.3:
            sender.queue.put_nowait(late.pop(dice.randrange(len(late))))
        await asyncio.sleep(0.005)
    for parcel in late:
        sender.queue.put_nowait(parcel)
    await sender.queue.join()
