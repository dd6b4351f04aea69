"""The clients of PyPI's `websockets` against an `echo_server` of ours.

usage: echo_clients.py PLAIN-URL STRICT-URL

PLAIN-URL is served with default settings; STRICT-URL with `--require-origin --allow-origin http://good.example
--subprotocol sip --subprotocol chat --max-message-len 65536`.
"""

import asyncio
import os
import random
import sys
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode
from websockets.uri import parse_uri

from check import run, same

PLAIN, STRICT = sys.argv[1:]
GOOD = "http://good.example"
MIB = 1 << 20
BOUNDARIES = [0, 1, 125, 126, 127, 65535, 65536, 65537, 1 * MIB]


def plain(**options):
    return connect(PLAIN, max_size=None, proxy=None, **options)


def strict(**options):
    return connect(STRICT, max_size=None, proxy=None, compression=None, **options)


async def echoed(ws, message):
    await ws.send(message)
    same(await ws.recv(), message, "echo")


async def text():
    """text of every length class, 1 MiB included"""
    async with plain() as ws:
        for length in BOUNDARIES:
            await echoed(ws, "x" * length)
        await echoed(ws, "Grüße, 你好 👋 " * 1000)


async def binary():
    """binary of every length class, 1 MiB included"""
    noise = random.Random(1)
    async with plain() as ws:
        for length in BOUNDARIES:
            await echoed(ws, noise.randbytes(length))


async def without_compression_offer():
    """a client that offers no extension"""
    async with plain(compression=None) as ws:
        await echoed(ws, "plain")


async def fragmented():
    """fragmented messages, empty fragments among them"""
    async with plain() as ws:
        await ws.send(["frag", "", "men", "ted"])
        same(await ws.recv(), "fragmented", "echo")
        parts = [bytes([i % 256]) * 1000 for i in range(1000)]
        await ws.send(parts)
        same(await ws.recv(), b"".join(parts), "echo")


async def pipelined():
    """2000 messages sent before any echo is read"""
    async with plain() as ws:
        messages = [f"message {i} ".ljust(i % 700, "#") for i in range(2000)]

        async def read():
            return [await ws.recv() for _ in messages]

        reader = asyncio.create_task(read())
        for message in messages:
            await ws.send(message)
        same(await reader, messages, "echoes")


async def pings():
    """Pings are answered, also between messages in flight"""
    async with plain() as ws:
        for payload in (b"", b"ping", bytes(range(125))):
            await (await ws.ping(payload))
        await ws.send("before")
        pong = await ws.ping(b"between")
        await ws.send("after")
        same([await ws.recv(), await ws.recv()], ["before", "after"], "echoes")
        await pong


async def close_codes():
    """every status code that may be sent is answered with the same one"""
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1014, 3000, 3999, 4000, 4999):
        for reason in ("", "Grüße", "r" * 123):
            async with plain() as ws:
                await ws.close(code, reason)
                same(ws.protocol.close_rcvd.code, code, "answer to the Close")


async def many_at_once():
    """200 connections at once"""

    async def one(i):
        async with plain() as ws:
            await echoed(ws, f"connection {i}")

    await asyncio.gather(*(one(i) for i in range(200)))


def frame(opcode, data, *, fin=True, reserved=0, mask=True):
    """A frame of at most 65535 bytes, which need not keep to the rules."""
    head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
    bit = 0x80 if mask else 0
    head += bytes([bit | len(data)]) if len(data) < 126 else bytes([bit | 126]) + len(data).to_bytes(2, "big")
    if not mask:
        return head + data
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(data))


class Raw:
    """A client that can break the rules: frames go out as they are given."""

    async def __aenter__(self):
        uri = urlsplit(PLAIN)
        self.reader, self.writer = await asyncio.open_connection(uri.hostname, uri.port)
        self.protocol = ClientProtocol(parse_uri(PLAIN), max_size=None)
        self.protocol.send_request(self.protocol.connect())
        self.flush()
        (response,) = await self.events(1)
        same(response.status_code, 101, "handshake")
        return self

    async def __aexit__(self, *_):
        self.writer.close()

    def flush(self):
        for data in self.protocol.data_to_send():
            if data:
                self.writer.write(data)

    def send(self, opcode, data=b"", **flags):
        self.writer.write(frame(opcode, data, **flags))

    async def events(self, count):
        """At least `count` events, or all before the end of the stream."""
        events = []
        while len(events) < count and (data := await self.reader.read(65536)):
            self.protocol.receive_data(data)
            events += self.protocol.events_received()
        return events

    async def closed_with(self, code):
        """The server sends nothing but this Close and then ends the TCP connection."""
        events = await self.events(sys.maxsize)
        same([event.opcode for event in events], [Opcode.CLOSE], "frames before the end")
        same(int.from_bytes(events[0].data[:2], "big"), code, "status code")


# What violates the protocol, and the status code that it gets (RFC 6455, sections 5 to 8).
VIOLATIONS = [
    ("an unmasked frame", 1002, [(Opcode.TEXT, b"bare", {"mask": False})]),
    ("a reserved bit", 1002, [(Opcode.TEXT, b"rsv", {"reserved": 4})]),
    ("a reserved bit in a Ping", 1002, [(Opcode.PING, b"", {"reserved": 1})]),
    ("a continuation without a start", 1002, [(Opcode.CONT, b"lost", {})]),
    ("a message inside a message", 1002, [(Opcode.TEXT, b"a", {"fin": False}), (Opcode.TEXT, b"b", {})]),
    ("a fragmented Ping", 1002, [(Opcode.PING, b"", {"fin": False})]),
    ("a Ping of 126 bytes", 1002, [(Opcode.PING, bytes(126), {})]),
    ("a Close of one byte", 1002, [(Opcode.CLOSE, b"\x03", {})]),
    ("a Close with 1005", 1002, [(Opcode.CLOSE, (1005).to_bytes(2, "big"), {})]),
    ("a Close with 999", 1002, [(Opcode.CLOSE, (999).to_bytes(2, "big"), {})]),
    ("a Close with 5000", 1002, [(Opcode.CLOSE, (5000).to_bytes(2, "big"), {})]),
    ("a reason that is not UTF-8", 1007, [(Opcode.CLOSE, b"\x03\xe8\xff", {})]),
    ("text that is not UTF-8", 1007, [(Opcode.TEXT, b"ok \xc0\xaf", {})]),
    ("text cut inside a code point", 1007, [(Opcode.TEXT, "é".encode()[:1], {})]),
    ("a surrogate over two fragments", 1007, [(Opcode.TEXT, b"\xed", {"fin": False}), (Opcode.CONT, b"\xa0\x80", {})]),
]


async def violations():
    """every violation fails the connection with its status code, and with nothing else before"""
    for name, code, frames in VIOLATIONS:
        async with Raw() as raw:
            for opcode, data, options in frames:
                raw.send(opcode, data, **options)
            try:
                await raw.closed_with(code)
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from None


async def split_code_point():
    """a code point split over fragments, a Ping in between"""
    euro = "€".encode()
    async with Raw() as raw:
        raw.send(Opcode.TEXT, euro[:1], fin=False)
        raw.send(Opcode.PING, b"between")
        raw.send(Opcode.CONT, euro[1:])
        pong, echo = await raw.events(2)
        same((pong.opcode, pong.data), (Opcode.PONG, b"between"), "first answer")
        same((echo.opcode, echo.data), (Opcode.TEXT, euro), "echo")


async def close_without_code():
    """a Close without a status code is answered, then the server ends the TCP connection"""
    async with Raw() as raw:
        raw.send(Opcode.CLOSE)
        events = await raw.events(sys.maxsize)
        same([event.opcode for event in events], [Opcode.CLOSE], "frames before the end")
        if events[0].data not in (b"", (1000).to_bytes(2, "big")):
            raise AssertionError(f"answer to the empty Close: {events[0].data!r}")


async def byte_by_byte():
    """a message that arrives one byte at a time"""
    async with Raw() as raw:
        data = "dribbled: Grüße".encode()
        for byte in frame(Opcode.TEXT, data):
            raw.writer.write(bytes([byte]))
            await raw.writer.drain()
        (echo,) = await raw.events(1)
        same(echo.data, data, "echo")


async def origin():
    """a missing or foreign Origin gets 403, the allowed one is served"""
    for wrong in (None, "http://evil.example", "https://good.example", "http://good.example:81", "null"):
        try:
            async with strict(origin=wrong):
                raise AssertionError(f"Origin {wrong} was let in")
        except InvalidStatus as refused:
            same(refused.response.status_code, 403, f"answer to the Origin {wrong}")
    async with strict(origin=GOOD, subprotocols=["sip"]) as ws:
        await echoed(ws, "let in")


async def subprotocol():
    """a subprotocol that both sides know is agreed on"""
    for offered in (["sip"], ["chat"], ["other", "chat"], ["unknown", "sip", "chat"]):
        async with strict(origin=GOOD, subprotocols=offered) as ws:
            if ws.subprotocol not in ("sip", "chat") or ws.subprotocol not in offered:
                raise AssertionError(f"offered {offered}, agreed on {ws.subprotocol}")
            await echoed(ws, ws.subprotocol)


async def too_large():
    """a message over the limit gets 1009, one at the limit passes, fragmented or not"""
    async with strict(origin=GOOD, subprotocols=["sip"]) as ws:
        await echoed(ws, b"m" * 65536)
        await ws.send([b"m" * 32768] * 2)
        same(len(await ws.recv()), 65536, "echo")
    for message in (b"m" * 65537, [b"m" * 32768, b"m" * 32768, b"m"]):
        async with strict(origin=GOOD, subprotocols=["sip"]) as ws:
            try:
                await ws.send(message)
                await ws.recv()
            except ConnectionClosed:
                pass
            await ws.wait_closed()
            same(ws.protocol.close_rcvd and ws.protocol.close_rcvd.code, 1009, "status code")


run([text, binary, without_compression_offer, fragmented, pipelined, pings, close_codes, many_at_once, violations,
     split_code_point, close_without_code, byte_by_byte, origin, subprotocol, too_large])
