"""permessage-deflate between PyPI's `websockets` and our programs, both ways, and `ws-sip`.

usage: deflate.py ECHO-SERVER ECHO-CLIENT WS-SIP
"""

import asyncio
import contextlib
import random
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory as Offer
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory as Accepts

from check import run, same

ECHO_SERVER, ECHO_CLIENT, WS_SIP = sys.argv[1:]
NOISE = random.Random(1)
WORDS = [NOISE.choice(["REGISTER", "sip:alice@example.com", "Grüße", "你好", "\r\n", "Via: SIP/2.0/WS "]) for _ in range(20_000)]
MESSAGES = [
    "", "x", "x" * 125, "x" * 126, "x" * 65_535, "x" * 65_536, "".join(WORDS), "".join(WORDS[:300]), "".join(WORDS[:300]),
    b"", bytes(100), bytes(1 << 20), NOISE.randbytes(127), NOISE.randbytes(70_000),
]


@contextlib.asynccontextmanager
async def program(*words):
    """Runs a server of ours; yields the address in its first line."""
    process = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE)
    try:
        line = (await process.stdout.readline()).decode().strip()
        yield line.split()[-1].removeprefix("ws:")
        same(process.returncode, None, f"exit status of {words[0]}")
    finally:
        process.kill()
        await process.wait()


def agreed(ws):
    """The parameters: server's and client's takeover, server's and client's window bits, or None."""
    if not ws.protocol.extensions:
        return None
    (extension,) = ws.protocol.extensions
    local = (not extension.local_no_context_takeover, extension.local_max_window_bits)
    remote = (not extension.remote_no_context_takeover, extension.remote_max_window_bits)
    server, client = (remote, local) if ws.protocol.side.name == "CLIENT" else (local, remote)
    return server[0], client[0], server[1], client[1]


async def echoed(ws):
    for message in MESSAGES:
        await ws.send(message)
        echo = await ws.recv()
        if echo != message:
            raise AssertionError(f"the echo of {len(message)} {type(message).__name__} differs")
    await ws.send(["frag", "", "men", "ted" * 1000])
    same(await ws.recv(), "fragmen" + "ted" * 1000, "echo")
    await (await ws.ping(b"between"))


# What the client asks for, and what it gets.
OFFERS = [
    (Offer(), (True, True, 15, 15)),
    (Offer(client_max_window_bits=True), (True, True, 15, 15)),
    (Offer(client_max_window_bits=9), (True, True, 15, 9)),
    (Offer(server_max_window_bits=9), (True, True, 9, 15)),
    (Offer(server_max_window_bits=12, client_max_window_bits=11), (True, True, 12, 11)),
    (Offer(server_no_context_takeover=True), (False, True, 15, 15)),
    (Offer(client_no_context_takeover=True), (True, False, 15, 15)),
    (Offer(server_no_context_takeover=True, client_no_context_takeover=True, server_max_window_bits=10),
     (False, False, 10, 15)),
]


async def their_clients():
    """their client against our server, with each choice of parameters"""
    async with program(ECHO_SERVER, "--listen", "127.0.0.1:0", "--deflate") as address:
        for offer, expected in OFFERS:
            async with connect(f"ws://{address}/", extensions=[offer], compression=None, max_size=None, proxy=None) as ws:
                same(agreed(ws), expected, "parameters")
                await echoed(ws)
        async with connect(f"ws://{address}/", compression=None, max_size=None, proxy=None) as ws:
            same(agreed(ws), None, "parameters")
            await echoed(ws)


async def their_client_without():
    """our server declines when it was not told to compress"""
    async with program(ECHO_SERVER, "--listen", "127.0.0.1:0") as address:
        async with connect(f"ws://{address}/", max_size=None, proxy=None) as ws:
            same(agreed(ws), None, "parameters")
            await echoed(ws)


# What the server wants, and what comes of it.
ACCEPTED = [
    (Accepts(), (True, True, 15, 15)),
    (Accepts(server_max_window_bits=9), (True, True, 9, 15)),
    (Accepts(client_max_window_bits=9), (True, True, 15, 9)),
    (Accepts(server_no_context_takeover=True), (False, True, 15, 15)),
    (Accepts(client_no_context_takeover=True), (True, False, 15, 15)),
    (Accepts(client_no_context_takeover=True, server_no_context_takeover=True, client_max_window_bits=10), (False, False, 15, 10)),
]


async def their_servers():
    """our client against their server, with each choice of parameters"""
    for accepts, expected in ACCEPTED:
        failures = []

        async def handler(ws, expected=expected, failures=failures):
            try:
                same(agreed(ws), expected, "parameters")
                await echoed(ws)
            except Exception as error:
                failures.append(error)
                raise

        async with serve(handler, "127.0.0.1", 0, extensions=[accepts], compression=None, max_size=None) as server:
            port = server.sockets[0].getsockname()[1]
            client = await asyncio.create_subprocess_exec(ECHO_CLIENT, f"ws://127.0.0.1:{port}/", "--deflate")
            same(await client.wait(), 0, "exit status of the client")
        if failures:
            raise failures[0]


async def sip():
    """`ws-sip` answers OPTIONS over a compressed connection, once it was told to compress"""
    request = "\r\n".join([
        "OPTIONS sip:example.com SIP/2.0", "Via: SIP/2.0/WS x.invalid;branch=z9hG4bK1", "Max-Forwards: 70",
        "From: <sip:alice@example.com>;tag=a", "To: <sip:example.com>", "Call-ID: 1", "CSeq: 1 OPTIONS",
        "Contact: <sip:alice@x.invalid;transport=ws>", "Content-Length: 0", "", ""])
    for setting, expected in [("yes", (False, False, 15, 15)), ("no", None)]:
        words = ["--socket", "ws:127.0.0.1:0", "--require-origin", "no", "--ws-compression", setting]
        async with program(WS_SIP, *words) as address:
            async with connect(f"ws://{address}/", subprotocols=["sip"], proxy=None) as ws:
                same(agreed(ws), expected, "parameters")
                for _ in range(3):
                    await ws.send(request)
                    answer = await ws.recv()
                    same(answer.split("\r\n")[0], "SIP/2.0 200 OK", "answer")


run([their_clients, their_client_without, their_servers, sip])
