"""TLS between PyPI's `websockets` and our programs, both ways.

usage: wss.py ECHO-SERVER ECHO-CLIENT DIRECTORY    (with ca.pem, certificate.pem and key.pem, for localhost)
"""

import asyncio
import contextlib
import random
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosedOK

from check import run, same

ECHO_SERVER, ECHO_CLIENT, DIRECTORY = sys.argv[1:]
CA, CERTIFICATE, KEY = (f"{DIRECTORY}/{name}.pem" for name in ("ca", "certificate", "key"))
NOISE = random.Random(1)
MESSAGES = ["", "x", "Grüße, 你好 👋 " * 5000, b"", NOISE.randbytes(16_384), NOISE.randbytes(1 << 20)]


@contextlib.asynccontextmanager
async def our_server(*flags):
    process = await asyncio.create_subprocess_exec(
        ECHO_SERVER, "--listen", "127.0.0.1:0", "--tls-cert", CERTIFICATE, "--tls-key", KEY, *flags,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE)
    try:
        port = (await process.stdout.readline()).decode().strip().rsplit(":", 1)[1]
        yield f"wss://localhost:{port}/"
        same(process.returncode, None, "exit status of the server")
    finally:
        process.kill()
        await process.wait()


def trusting(**versions):
    context = ssl.create_default_context(cafile=CA)
    for name, value in versions.items():
        setattr(context, name, value)
    return context


async def echoed(ws):
    for message in MESSAGES:
        await ws.send(message)
        echo = await ws.recv()
        if echo != message:
            raise AssertionError(f"the echo of {len(message)} {type(message).__name__} differs")
    await ws.send(["frag", "", "mented"])
    same(await ws.recv(), "fragmented", "echo")
    await (await ws.ping(b"between"))


async def their_clients():
    """their client against our server: TLS 1.2 and 1.3, with and without compression, pipelined"""
    v12, v13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    for flags in ([], ["--deflate"]):
        async with our_server(*flags) as url:
            for context in (trusting(maximum_version=v12), trusting(minimum_version=v13)):
                async with connect(url, ssl=context, max_size=None, proxy=None) as ws:
                    await echoed(ws)
                    messages = [f"message {i} ".ljust(i % 700, "#") for i in range(1000)]

                    async def read(ws=ws, messages=messages):
                        return [await ws.recv() for _ in messages]

                    reader = asyncio.create_task(read())
                    for message in messages:
                        await ws.send(message)
                    same(await reader, messages, "echoes")


async def many_clients():
    """50 connections at once"""
    async with our_server() as url:

        async def one(i):
            async with connect(url, ssl=trusting(), proxy=None) as ws:
                await ws.send(f"connection {i}")
                same(await ws.recv(), f"connection {i}", "echo")

        await asyncio.gather(*(one(i) for i in range(50)))


async def plain_client():
    """a client that speaks no TLS is cut off, and the next one is served"""
    async with our_server() as url:
        reader, writer = await asyncio.open_connection("localhost", int(url.rstrip("/").rsplit(":", 1)[1]))
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asyncio.wait_for(reader.read(), 30)
        writer.close()
        async with connect(url, ssl=trusting(), proxy=None) as ws:
            await echoed(ws)


async def their_server():
    """our client against their server; one that it does not trust it refuses"""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    failures = []

    async def handler(ws):
        try:
            await echoed(ws)
        except ConnectionClosedOK as closed:
            failures.append(closed)

    async with serve(handler, "127.0.0.1", 0, ssl=context, max_size=None) as server:
        port = server.sockets[0].getsockname()[1]
        for flags, host, expected in [(["--tls-ca", CA], "localhost", 0), (["--tls-ca", CA, "--deflate"], "127.0.0.1", 0),
                                      ([], "localhost", 1)]:
            client = await asyncio.create_subprocess_exec(
                ECHO_CLIENT, f"wss://{host}:{port}/", *flags, stderr=asyncio.subprocess.PIPE)
            _, errors = await client.communicate()
            same(client.returncode, expected, f"exit status, with {errors.decode()!r} on standard error")
    same(len(failures), 0, "failures")


run([their_clients, many_clients, plain_client, their_server])
