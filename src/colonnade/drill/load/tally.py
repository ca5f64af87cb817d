"""Counts of a run that another process can look at while it goes on, without the generator waiting for anybody.

Three numbers in memory that both share: writing them is an assignment, so nothing is measured differently because
somebody watches. For people to look at; what is judged is the ledger.
Read next: `apart`, which hands it to the child.
"""

import mmap
import os
import struct
from dataclasses import dataclass

from colonnade.drill.load.ledger import Operation, Outcome

_NUMBERS = struct.Struct("=QQQ")


@dataclass(frozen=True, slots=True)
class Counts:
    """Of the operations that are over."""

    ended: int = 0
    failed: int = 0
    unknown: int = 0


class Tally:
    """One writer, any number of readers; a reader may see one number newer than another."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._view = mmap.mmap(descriptor, _NUMBERS.size)
        self._counts = dict.fromkeys(Outcome, 0)

    @staticmethod
    def make() -> "Tally":
        """A new one, all zero. Its memory goes with the last process that holds the descriptor."""
        descriptor = os.memfd_create("tally")
        os.truncate(descriptor, _NUMBERS.size)
        return Tally(descriptor)

    def count(self, operation: Operation) -> None:
        counts = self._counts
        counts[operation.outcome] += 1
        _NUMBERS.pack_into(self._view, 0, sum(counts.values()), counts[Outcome.FAILED], counts[Outcome.UNKNOWN])

    def read(self) -> Counts:
        return Counts(*_NUMBERS.unpack_from(self._view, 0))

    def close(self) -> None:
        """Let go of the descriptor; what was counted can still be read."""
        os.close(self.descriptor)
