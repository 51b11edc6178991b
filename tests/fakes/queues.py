"""Work queues and dead-letter queues in memory."""

from collections.abc import Iterable

from chalicelib.domain.dead_letters import DeadLetter, DeadLetterQueue, Received, work_of
from chalicelib.domain.work import WorkId, WorkMessage
from chalicelib.errors import (
    DrsActiveRegionsError,
)

from .. import factories


class FakeQueue:
    """Messages that wait. A test may reorder, repeat or drop them: it is a plain list."""

    def __init__(self) -> None:
        self.messages: list[WorkMessage] = []
        self.broken = False

    def send(self, messages: Iterable[WorkMessage]) -> None:
        some = list(messages)
        if self.broken:
            raise DrsActiveRegionsError(f"SQS refused {len(some)} of {len(some)} messages")
        self.messages += some

    def works(self) -> list[WorkId]:
        return [message.work for message in self.messages]


class FakeDeadLetters:
    """Dead letters by queue; those in hand are hidden until they are put back."""

    def __init__(self) -> None:
        self.letters: dict[DeadLetterQueue, list[Received]] = {queue: [] for queue in DeadLetterQueue}
        self.in_hand: list[Received] = []

    def receive(self, queue: DeadLetterQueue, most: int) -> list[Received]:
        free = [letter for letter in self.letters[queue] if letter not in self.in_hand][: min(most, 10)]
        self.in_hand += free
        return free

    def delete(self, queue: DeadLetterQueue, received: Received) -> None:
        self.letters[queue] = [letter for letter in self.letters[queue] if letter != received]

    def put_back(self, queue: DeadLetterQueue, received: Iterable[Received]) -> None:
        back = list(received)
        self.in_hand = [letter for letter in self.in_hand if letter not in back]

    def waiting(self, queue: DeadLetterQueue) -> int:
        return sum(letter not in self.in_hand for letter in self.letters[queue])

    def add(self, queue: DeadLetterQueue, body: str, reason: str = "it failed") -> Received:
        """Add a letter with such a body, and return it."""
        number = sum(map(len, self.letters.values()))
        work = work_of(body)
        letter = DeadLetter(
            message_id=f"letter-{number}",
            queue=queue,
            reason=reason,
            body=body,
            sent_at=factories.NOW,
            received=1,
            work=work.key if work else None,
        )
        self.letters[queue].append(Received(letter, f"receipt-{number}", body))
        return self.letters[queue][-1]
