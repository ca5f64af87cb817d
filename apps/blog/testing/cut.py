"""A TCP relay that can be cut at the worst moment: after a COMMIT has reached the server, before its answer returns."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class Relay:
    """Forwards every connection to `target_port`.

    After `drop_next_answer_to(b"COMMIT")` the next request that contains those bytes is forwarded, its answer is
    awaited and thrown away, and the connection is cut.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.dropped = 0
        self._trigger: bytes | None = None
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def drop_next_answer_to(self, request: bytes) -> None:
        with self._lock:
            self._trigger = request

    def cut_all(self) -> None:
        """Hang up on everybody, as a dying server does; new connections are still accepted."""
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for each in sockets:
            _hang_up(each)

    def close(self) -> None:
        _hang_up(self._listener)
        self._acceptor.join(5)
        self.cut_all()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
            except OSError:
                _hang_up(client)
                continue
            server.settimeout(None)
            with self._lock:
                self._sockets += [client, server]
            for source, sink, is_request in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=(source, sink, is_request), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_request: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if is_request and self._is_triggered(data):
                    # Whoever reads the answers from `sink` must not forward this one: close the way back first.
                    source.shutdown(socket.SHUT_WR)
                    sink.sendall(data)
                    continue
                sink.sendall(data)
        _hang_up(source)
        _hang_up(sink)

    def _is_triggered(self, data: bytes) -> bool:
        with self._lock:
            if self._trigger is None or self._trigger not in data:
                return False
            self._trigger = None
            self.dropped += 1
            return True


def _hang_up(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()


@contextlib.contextmanager
def relay_to(port: int) -> Iterator[Relay]:
    relay = Relay(port)
    try:
        yield relay
    finally:
        relay.close()
