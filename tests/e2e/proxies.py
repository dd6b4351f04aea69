"""Our clients through Debian's tinyproxy (CONNECT) and microsocks (SOCKS 5), to PyPI's `websockets`.

usage: proxies.py ECHO-CLIENT DIRECTORY    (with ca.pem, certificate.pem and key.pem, for localhost)
"""

import asyncio
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from websockets.asyncio.server import serve

from check import run, same

ECHO_CLIENT, DIRECTORY = sys.argv[1:]
PATIENCE = 30  # seconds for one step, on a loaded machine
HOME = tempfile.TemporaryDirectory(prefix="ws-proxies-")
STARTED = []


def listening(*words, config=None):
    """Starts a proxy on a free port, which stands for PORT in its words and its file; returns the port."""
    for _ in range(5):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        file = Path(HOME.name) / f"{words[0]}-{port}.conf"
        file.write_text((config or "").replace("PORT", port))
        process = subprocess.Popen([word.replace("PORT", port).replace("FILE", str(file)) for word in words],
                                   stdin=subprocess.DEVNULL)
        STARTED.append(process)
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", int(port)), 1).close()
                return port
            except OSError:
                time.sleep(0.02)
    raise AssertionError(f"{words[0]} does not start")


TINYPROXY = "Port PORT\nListen 127.0.0.1\nTimeout 60\nLogLevel Error\nMaxClients 10\n"


def tinyproxy(further=""):
    return listening("tinyproxy", "-d", "-c", "FILE", config=TINYPROXY + further)


async def client(url, *flags):
    process = await asyncio.create_subprocess_exec(
        ECHO_CLIENT, url, *flags, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE)
    _, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
    return process.returncode, errors.decode()


async def through(proxy):
    """Through the proxy to a plain server and to one with TLS, by name and by address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{DIRECTORY}/certificate.pem", f"{DIRECTORY}/key.pem")
    for scheme, options in [("ws", {}), ("wss", {"ssl": context})]:
        seen = []

        async def handler(ws, seen=seen):
            for message in ("", "through", "x" * 100_000, bytes(1 << 20)):
                await ws.send(message)
                same(await ws.recv() == message, True, "the same comes back")
            seen.append(ws.remote_address)

        async with serve(handler, "127.0.0.1", 0, max_size=None, **options) as server:
            port = server.sockets[0].getsockname()[1]
            for host in ("localhost", "127.0.0.1"):
                result = await client(f"{scheme}://{host}:{port}/", "--proxy", proxy, "--tls-ca", f"{DIRECTORY}/ca.pem")
                same(result[0], 0, f"exit status, with {result[1]!r}")
        same(len(seen), 2, "connections")


async def fails(proxy, *mentioned):
    status, errors = await client("ws://127.0.0.1:1/", "--proxy", proxy)
    same(status, 1, "exit status")
    for word in mentioned:
        if word not in errors:
            raise AssertionError(f"{errors!r} does not mention {word!r}")


async def connect():
    """tinyproxy, with CONNECT, and what it refuses"""
    await through(f"http://127.0.0.1:{tinyproxy()}")
    # Nobody listens on port 1.
    await fails(f"http://127.0.0.1:{tinyproxy()}", "the proxy answered 5")
    await fails(f"http://127.0.0.1:{tinyproxy('ConnectPort 443')}", "the proxy answered 403")


async def connect_with_login():
    """tinyproxy, with user and password"""
    port = tinyproxy("BasicAuth alice secret")
    await through(f"http://alice:secret@127.0.0.1:{port}")
    await fails(f"http://127.0.0.1:{port}", "the proxy answered 407")
    await fails(f"http://alice:wrong@127.0.0.1:{port}", "the proxy answered 40")


async def socks():
    """microsocks, without and with user and password"""
    port = listening("microsocks", "-i", "127.0.0.1", "-p", "PORT")
    await through(f"socks5://127.0.0.1:{port}")
    await fails(f"socks5://127.0.0.1:{port}", "the proxy refused with code 5")
    port = listening("microsocks", "-i", "127.0.0.1", "-p", "PORT", "-u", "alice", "-P", "secret")
    await through(f"socks5://alice:secret@127.0.0.1:{port}")
    await fails(f"socks5://127.0.0.1:{port}", "no way to log in")
    await fails(f"socks5://alice:wrong@127.0.0.1:{port}", "did not take user and password")


async def another_protocol():
    """a proxy that speaks another protocol"""
    await fails(f"http://127.0.0.1:{listening('microsocks', '-i', '127.0.0.1', '-p', 'PORT')}", "proxy")


try:
    run([connect, connect_with_login, socks, another_protocol])
finally:
    for process in STARTED:
        process.kill()
    HOME.cleanup()
