"""A TCP relay that loses one message at the worst moment, say the answer to a COMMIT that was carried out."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from enum import Enum


class Loss(Enum):
    """Which message is lost. The connection is cut at that point, so the sender cannot tell one from the other."""

    REQUEST = "the server never sees it"
    ANSWER = "the server carries it out, and nobody hears of it"


class Relay:
    """Forwards every connection to `target_port`, until it is told to lose something."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.lost = 0
        self._planted: tuple[bytes, Loss] | None = None
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def plant(self, request: bytes, loss: Loss) -> None:
        """Lose the next message that contains `request`, or its answer; once."""
        with self._lock:
            self._planted = (request, loss)

    def cut_all(self) -> None:
        """Hang up on everybody, as a dying server does; new connections are still accepted."""
        with self._lock:
            hung_up, self._open = self._open, []
        for each in hung_up:
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
                self._open += [client, server]
            lose_answer = threading.Event()
            for pump in (self._pump_requests, self._pump_answers):
                threading.Thread(target=pump, args=(client, server, lose_answer), daemon=True).start()

    def _pump_requests(self, client: socket.socket, server: socket.socket, lose_answer: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                loss = self._planted_for(data)
                if loss is Loss.REQUEST:
                    break
                if loss is Loss.ANSWER:
                    lose_answer.set()
                server.sendall(data)
        _hang_up(client)
        _hang_up(server)

    @staticmethod
    def _pump_answers(client: socket.socket, server: socket.socket, lose_answer: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if lose_answer.is_set():
                    break
                client.sendall(data)
        _hang_up(client)
        _hang_up(server)

    def _planted_for(self, data: bytes) -> Loss | None:
        with self._lock:
            if self._planted is None or self._planted[0] not in data:
                return None
            loss, self._planted = self._planted[1], None
            self.lost += 1
            return loss


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
