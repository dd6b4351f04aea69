"""The server of PyPI's `websockets`, and servers that misbehave, against an `echo_client` of ours.

usage: echo_servers.py ECHO-CLIENT
"""

import asyncio
import base64
import contextlib
import hashlib
import random
import sys

from websockets.asyncio.server import serve

from check import run, same

CLIENT = sys.argv[1]
MIB = 1 << 20
BOUNDARIES = [0, 1, 125, 126, 127, 65535, 65536, 65537, 1 * MIB]


async def client(url, *flags):
    """Runs the client until it ends; returns its exit status and what it wrote to standard error."""
    process = await asyncio.create_subprocess_exec(
        CLIENT, url, *flags, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE)
    try:
        _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode, errors.decode()


async def served(handler, *flags, path="/", **options):
    """What becomes of the client when `handler` serves it. A handler that fails, fails the check."""
    failures = []

    async def guarded(ws):
        try:
            await handler(ws)
        except Exception as error:
            failures.append(error)
            raise

    async with serve(guarded, "127.0.0.1", 0, max_size=None, **options) as server:
        port = server.sockets[0].getsockname()[1]
        result = await client(f"ws://127.0.0.1:{port}{path}", *flags)
    if failures:
        raise failures[0]
    return result


@contextlib.asynccontextmanager
async def raw_server(answer):
    """A TCP server: `answer(request head)` is all that it sends. Yields the URL.

    It ends its sending, and closes once the client does: earlier, the client's answers would meet a reset."""

    async def handler(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(answer(await reader.readuntil(b"\r\n\r\n")))
            writer.write_eof()
            while await reader.read(65536):
                pass
        writer.close()

    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def is_clean(result):
    same(result[0], 0, f"exit status, with {result[1]!r} on standard error")


def is_failure(result, *mentioned):
    same(result[0], 1, f"exit status, with {result[1]!r} on standard error")
    for word in mentioned:
        if word not in result[1]:
            raise AssertionError(f"standard error does not mention {word!r}: {result[1]!r}")
    if "panicked" in result[1] or not result[1].strip():
        raise AssertionError(f"no reason on standard error: {result[1]!r}")


async def echoes():
    """text, binary and fragmented messages of every length class come back"""
    noise = random.Random(2)

    async def handler(ws):
        for length in BOUNDARIES:
            for message in ("x" * length, noise.randbytes(length)):
                await ws.send(message)
                same(await ws.recv(), message, "echo")
        await ws.send(["Grüße, ", "", "你好", " 👋"])
        same(await ws.recv(), "Grüße, 你好 👋", "echo")

    is_clean(await served(handler))


async def pipelined():
    """2000 messages sent before any echo is read"""

    async def handler(ws):
        messages = [f"message {i} ".ljust(i % 700, "#") for i in range(2000)]

        async def read():
            return [await ws.recv() for _ in messages]

        reader = asyncio.create_task(read())
        for message in messages:
            await ws.send(message)
        same(await reader, messages, "echoes")

    is_clean(await served(handler))


async def pings():
    """Pings are answered"""

    async def handler(ws):
        for payload in (b"", b"ping", bytes(range(125))):
            await (await ws.ping(payload))

    is_clean(await served(handler))


async def close_codes():
    """each status code of the server is a clean close, answered with the same one"""
    for code in (1000, 1001, 1011, 3000, 4999):
        closed = []

        async def handler(ws):
            await ws.close(code, "Grüße")
            closed.append(ws.protocol.close_rcvd.code)

        is_clean(await served(handler))
        same(closed, [code], "answer to the Close")


async def request():
    """path, query, Host, Origin and subprotocols arrive as they were given"""
    seen = []

    async def handler(ws):
        headers = ws.request.headers
        seen.extend([ws.request.path, headers["Origin"], ws.subprotocol, headers["Host"] == "127.0.0.1:%d" % ws.local_address[1]])

    is_clean(await served(handler, "--subprotocol", "sip", "--origin", "http://good.example", path="/a/b?c=d%20e",
                          subprotocols=["sip"]))
    same(seen, ["/a/b?c=d%20e", "http://good.example", "sip", True], "what arrived")


async def refused():
    """a refusal ends with status 1 and names the HTTP status"""
    for status in (401, 403, 404, 503):
        is_failure(await served(lambda ws: None, process_request=lambda ws, _: ws.respond(status, "no\n")), str(status))


async def vanished():
    """a server that is gone without a Close is a failure"""

    async def handler(ws):
        await ws.send("last words")
        await ws.recv()
        ws.transport.abort()

    is_failure(await served(handler))


async def nobody():
    """nobody listening is a failure"""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    is_failure(await client(f"ws://127.0.0.1:{port}/"))


async def too_large():
    """a message over --max-message-len gets 1009 and ends with status 1"""
    closed = []

    async def handler(ws):
        await ws.send(b"m" * 1024)
        same(len(await ws.recv()), 1024, "echo")
        await ws.send(b"m" * 1025)
        await ws.wait_closed()
        closed.append(ws.protocol.close_rcvd and ws.protocol.close_rcvd.code)

    is_failure(await served(handler, "--max-message-len", "1024", compression=None))
    same(closed, [1009], "status code")


GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept(head, change=lambda key: key):
    key = next(line.split(b":", 1)[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
    return base64.b64encode(hashlib.sha1(change(key) + GUID).digest())


def switching(head, *more, upgrade=b"websocket", connection=b"Upgrade", **options):
    lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: " + upgrade, b"Connection: " + connection,
             b"Sec-WebSocket-Accept: " + accept(head, **options), *more]
    return b"\r\n".join(lines) + b"\r\n\r\n"


# Answers to the opening handshake with which a client must fail (RFC 6455, section 4.1).
BAD_ANSWERS = {
    "an accept value for another key": lambda head: switching(head, change=bytes.lower),
    "no Upgrade": lambda head: switching(head, upgrade=b"h2c"),
    "no Connection: Upgrade": lambda head: switching(head, connection=b"keep-alive"),
    "a subprotocol that was not asked for": lambda head: switching(head, b"Sec-WebSocket-Protocol: chat"),
    "an extension that was not offered": lambda head: switching(head, b"Sec-WebSocket-Extensions: x-other"),
    "no HTTP at all": lambda head: b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "an end inside the head": lambda head: switching(head)[:-10],
    "nothing": lambda head: b"",
}


async def bad_answers():
    """every bad answer to the opening handshake ends with status 1 and a reason"""
    for name, answer in BAD_ANSWERS.items():
        async with raw_server(answer) as url:
            try:
                is_failure(await client(url))
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from None


async def glued():
    """frames in the same segment as the 101 are not lost"""
    farewell = b"\x89\x04ping" + b"\x81\x05hello" + b"\x88\x02\x03\xe8"
    async with raw_server(lambda head: switching(head) + farewell) as url:
        is_clean(await client(url))


async def masked_server():
    """a server that masks its frames is failed"""
    async with raw_server(lambda head: switching(head) + b"\x81\x81\0\0\0\0x") as url:
        is_failure(await client(url))


run([echoes, pipelined, pings, close_codes, request, refused, vanished, nobody, too_large, bad_answers, glued, masked_server])
