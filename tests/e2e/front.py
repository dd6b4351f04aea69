"""`ws-sip` behind Debian's HAProxy: PROXY headers of both versions, before WebSocket and before TLS, and X-Forwarded-For.

usage: front.py WS-SIP DIRECTORY    (with ca.pem, certificate.pem and key.pem, for localhost)
"""

import asyncio
import json
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from websockets.asyncio.client import connect

from check import run, same

WS_SIP, DIRECTORY = sys.argv[1:]
PATIENCE = 30  # seconds for one step, on a loaded machine
HOME = tempfile.TemporaryDirectory(prefix="ws-sip-front-")
STARTED = []


def start(*words, **options):
    process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, **options)
    STARTED.append(process)
    return process


class WsSip:
    """A `ws-sip` with a plain and a TLS listener, behind what `setting` says."""

    def __init__(self, *setting):
        self.process = start(
            WS_SIP, "--socket", "ws:127.0.0.1:0", "--socket", "wss:127.0.0.1:0", "--require-origin", "no",
            "--mi-http", "127.0.0.1:0", "--tls-certificate", f"{DIRECTORY}/certificate.pem", "--tls-private-key",
            f"{DIRECTORY}/key.pem", *setting, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline
        self.plain, self.secure, self.management = (line().strip().rsplit(":", 1)[1] for _ in range(3))

    def peers(self):
        request = {"jsonrpc": "2.0", "id": 1, "method": "ws_list"}
        url = f"http://127.0.0.1:{self.management}/mi"
        with urllib.request.urlopen(url, json.dumps(request).encode(), PATIENCE) as answer:
            return sorted(flow["Peer"] for flow in json.load(answer)["result"]["Flows"])


def haproxy(mode, target, *server):
    """Passes a port's connections on to `target`; returns the port. Another is tried where somebody took it meanwhile."""
    for _ in range(5):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        file = Path(HOME.name) / f"haproxy-{port}.cfg"
        forwarded = "option forwardfor" if mode == "http" else ""
        file.write_text("\n".join([
            "defaults", f"  mode {mode}", f"  {forwarded}", "  timeout connect 30s", "  timeout client 60s",
            "  timeout server 60s", "  timeout tunnel 60s", "frontend front", f"  bind 127.0.0.1:{port}",
            "  default_backend back", "backend back", f"  server ws-sip 127.0.0.1:{target} {' '.join(server)}", ""]))
        process = start("haproxy", "-db", "-f", file)
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            try:
                # HAProxy tells what it was told of this one, too: nothing.
                socket.create_connection(("127.0.0.1", port), 1).close()
                return port
            except OSError:
                time.sleep(0.02)
    raise AssertionError("haproxy does not start")


async def is_known(program, url, context=None, with_port=True):
    """Who connects is who is listed."""
    async with connect(url, subprotocols=["sip"], ssl=context, proxy=None) as ws:
        address, port = ws.local_address[:2]
        expected = f"{address}:{port if with_port else 0}"
        deadline = time.monotonic() + PATIENCE
        while program.peers() != [expected]:
            if time.monotonic() > deadline:
                same(program.peers(), [expected], "peers")
            await asyncio.sleep(0.02)
    while program.peers():
        await asyncio.sleep(0.02)


async def proxy_protocol():
    """PROXY headers of version 1 and 2 name the client, over ws and wss"""
    program = WsSip("--proxy-protocol-from", "127.0.0.1")
    for version in ("send-proxy", "send-proxy-v2", "send-proxy-v2-ssl"):
        await is_known(program, f"ws://127.0.0.1:{haproxy('tcp', program.plain, version)}/")
        context = ssl.create_default_context(cafile=f"{DIRECTORY}/ca.pem")
        await is_known(program, f"wss://localhost:{haproxy('tcp', program.secure, version)}/", context)


async def health_checks():
    """HAProxy's own health checks, which name nobody, find it alive"""
    program = WsSip("--proxy-protocol-from", "127.0.0.1")
    port = haproxy("tcp", program.plain, "send-proxy-v2", "check-send-proxy", "check", "inter", "50ms")
    await is_known(program, f"ws://127.0.0.1:{port}/")


async def forwarded_for():
    """X-Forwarded-For names the client, from a proxy that is to be believed alone"""
    program = WsSip("--forwarded-for-from", "127.0.0.1")
    await is_known(program, f"ws://127.0.0.1:{haproxy('http', program.plain)}/", with_port=False)
    program = WsSip("--forwarded-for-from", "10.0.0.1")
    port = haproxy("http", program.plain)
    async with connect(f"ws://127.0.0.1:{port}/", subprotocols=["sip"], proxy=None) as ws:
        (peer,) = program.peers()
        same(peer.endswith(":0") or peer == "%s:%d" % ws.local_address[:2], False, "believed whoever said so")


try:
    run([proxy_protocol, health_checks, forwarded_for])
finally:
    for process in STARTED:
        process.kill()
    HOME.cleanup()
