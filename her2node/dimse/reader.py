"""Reading from a peer: through one bounded buffer, and never waiting for ever.

A peer that is silent, or that trickles, inside a PDU is cut off: every 64 KiB of a PDU, or the PDU if it is shorter,
must come within the network timeout (a single wait may add as much again). What a peer claims as a length never makes
anything grow: the large buffer is borrowed from a pool while data flows and given back when the peer rests.
"""

from __future__ import annotations

import mmap
import select
import socket
import ssl
import threading
import time

from her2node.dimse.reception import ConnectionLost

LARGE = 262_144
_SMALL = 2048
_SPARE = 4
_STRETCH = 65_536
_REST_AFTER = 1.0
_WHOLE_STEP = 16_384


class BufferPool:
    """Large buffers for associations on which data flows. A few idle ones are kept."""

    def __init__(self) -> None:
        self._spare: list[memoryview] = []
        self._lock = threading.Lock()

    def take(self) -> memoryview:
        with self._lock:
            if self._spare:
                return self._spare.pop()
        return memoryview(mmap.mmap(-1, LARGE))  # unlike the allocator's memory, it goes back to the system

    def give(self, buffer: memoryview) -> None:
        with self._lock:
            if len(self._spare) < _SPARE:
                self._spare.append(buffer)


class Reader:
    """Buffered reading of one connection. Raises ConnectionLost."""

    def __init__(self, connection: socket.socket, pool: BufferPool, network_timeout: float) -> None:
        self._connection = connection
        self._pool = pool
        self._timeout = network_timeout
        self._small = self._buffer = memoryview(bytearray(_SMALL))
        self._start = self._end = 0
        self._deadline = 0.0
        self._stretch = 0
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        connection.settimeout(network_timeout)

    def wait(self, seconds: float) -> bool:
        """Wait between PDUs until the peer sends something, at most ``seconds``. The buffer goes back after a while."""
        if self._start < self._end or self._pending():
            return True
        if self._poll.poll(min(seconds, _REST_AFTER) * 1000):
            return True
        self.rest()
        return bool(self._poll.poll(max(seconds - _REST_AFTER, 0) * 1000))

    def rest(self) -> None:
        """Give the large buffer back, if there is one and nothing is in it."""
        if self._buffer is not self._small and self._start == self._end:
            self._pool.give(self._buffer)
            self._buffer, self._start, self._end = self._small, 0, 0

    def close(self) -> None:
        """Give the buffer back whatever is in it."""
        self._start = self._end = 0
        self.rest()

    def begin_pdu(self) -> None:
        """From here on the peer may not be silent."""
        self._deadline = time.monotonic() + self._timeout
        self._stretch = 0

    def expect_data(self) -> None:
        """P-DATA comes: borrow a large buffer."""
        if self._buffer is self._small:
            large = self._pool.take()
            kept = self._end - self._start
            large[:kept] = self._buffer[self._start : self._end]
            self._buffer, self._start, self._end = large, 0, kept

    def take(self, count: int) -> memoryview:
        """Exactly ``count`` bytes, fewer than the small buffer holds. The view is valid until the next call."""
        while self._end - self._start < count:
            self._fill()
        view = self._buffer[self._start : self._start + count]
        self._start += count
        return view

    def some(self, limit: int) -> memoryview:
        """Between 1 and ``limit`` bytes. The view is valid until the next call."""
        if self._start == self._end:
            self._fill()
        view = self._buffer[self._start : min(self._end, self._start + limit)]
        self._start += len(view)
        return view

    def whole(self, count: int) -> bytearray:
        """Exactly ``count`` bytes as a value of their own, which grows only as they come."""
        value = bytearray()
        while len(value) < count:
            value += self.some(min(count - len(value), _WHOLE_STEP))
        return value

    def drain(self, seconds: float, *, say_so: bool) -> None:
        """Read and forget until the peer closes, at most ``seconds``. A close over unread data would cut off our own
        last words. ``say_so`` tells the peer that nothing more comes; after a release it knows (PS3.8 9.2.3)."""
        deadline = time.monotonic() + seconds
        try:
            if say_so:
                self._connection.shutdown(socket.SHUT_WR)
            while (left := deadline - time.monotonic()) > 0:
                self._connection.settimeout(left)
                if not self._connection.recv_into(self._small):
                    return
        except (OSError, ValueError):
            return

    def _pending(self) -> bool:
        return isinstance(self._connection, ssl.SSLSocket) and self._connection.pending() > 0

    def _fill(self) -> None:
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == len(self._buffer):
            self._compact()
        if time.monotonic() > self._deadline:
            raise ConnectionLost("trickling")
        try:
            count = self._connection.recv_into(self._buffer[self._end :])
        except TimeoutError as error:
            raise ConnectionLost("silent inside a PDU") from error
        except (OSError, ValueError) as error:
            raise ConnectionLost(type(error).__name__) from error
        if not count:
            raise ConnectionLost("closed")
        self._end += count
        self._stretch += count
        if self._stretch >= _STRETCH:
            self.begin_pdu()

    def _compact(self) -> None:
        kept = self._end - self._start
        self._buffer[:kept] = bytes(self._buffer[self._start : self._end])
        self._start, self._end = 0, kept
