"""What bytes say by h11, a parser of another make; and requests to be changed until they say it badly."""

import re

import h11

from tests.http.echo import HOST, Asked

POST = b"POST /a HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

GOOD = [
    b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n",
    POST + b"Content-Length: 3\r\n\r\nabc",
    CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
    CHUNKED + b"3;ext=1\r\nabc\r\na\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
    POST + b"Content-Length: 21\r\n\r\nGET /b HTTP/1.1\r\n\r\n\r\n",
    b"HEAD /a?b=c HTTP/1.1\r\n" + HOST + b"Connection: keep-alive\r\n\r\n",
]
PIECES = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b",", b";", b"0", b"1", b"f", b"\0", b"\x0b", b"\xff", b"+", b"-", b"_",
    b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"content-length:3\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n", b"transfer-encoding:\tchunked\r\n", b"Transfer-Encoding: \x0bchunked\r\n",
    b"Host: b\r\n", b"Connection: close\r\n", b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"Expect: 100-continue\r\n",
    b"0\r\n\r\n", b"3\r\nabc\r\n", b"GET /b HTTP/1.1\r\n", b" HTTP/1.0", b"chunked", b"Content-Length", b"\r\n\r\n",
]  # fmt: skip

MORE_SPACES = re.compile(rb"(?:GET|HEAD|POST)(?:  +[^ ]| [^ \r\n]+  +HTTP/)")
"""httptools lets more than one space pass on either side of a target, as RFC 9112 §3 allows, and h11 does not.

They change neither the target nor what follows. httptools does not tell where a request's line began, so to refuse
them would take a second parser of lines beside it.
"""


def as_h11_reads(data: bytes) -> list[Asked]:
    """The whole requests in `data`, up to the first that h11 refuses."""
    found: list[Asked] = []
    keep_alive = True
    try:
        while keep_alive:
            connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
            connection.receive_data(data.lstrip(b"\r\n"))  # RFC 9112 §2.2; h11 refuses empty lines in between
            head = connection.next_event()
            if not isinstance(head, h11.Request):
                break
            body = b""
            while isinstance(event := connection.next_event(), h11.Data):
                body += bytes(event.data)
            if not isinstance(event, h11.EndOfMessage):
                break
            found.append((bytes(head.method), re.split(rb"[?#]", bytes(head.target))[0], body))
            keep_alive = connection.our_state is not h11.MUST_CLOSE
            data = connection.trailing_data[0]
    except h11.RemoteProtocolError:
        pass
    return found
