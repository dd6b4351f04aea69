"""The real `opensips-cli` and other clients of management against `ws-sip`, over each way that it listens.

usage: management.py WS-SIP OPENSIPS-CLI
"""

import asyncio
import atexit
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from check import run, same, short

WS_SIP, CLI = sys.argv[1:]
PATIENCE = 30  # seconds for one exchange, on a loaded machine

HOME = Path(tempfile.mkdtemp(prefix="ws-sip-management-"))
FIFO, SOCKET = HOME / "fifo", HOME / "socket"


class Program:
    """A `ws-sip`, and what it says of where it listens."""

    def __init__(self, *words):
        self.process = subprocess.Popen([WS_SIP, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        atexit.register(self.process.kill)
        self.lines = {}
        for line in self.process.stdout:
            what, place = line.rstrip("\n").split(" on ")
            kind, address = place.split(":", 1)
            self.lines[kind] = address
            if kind == "http" or kind == "udp":  # the last one that it says
                return
        raise AssertionError(f"{words} said only {self.lines}")

    def cpu(self):
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        same(self.process.wait(PATIENCE), 0, "exit status")


# The names of the original's modules, and all that is left out of an example.
CONFIGURATION = HOME / "ws-sip.cfg"
CONFIGURATION.write_text(
    f"""
...
mpath=/path/to/modules
loadmodule "proto_ws.so"
loadmodule "mi_fifo.so"
socket=ws:127.0.0.1:0     # any port
modparam("proto_ws", "require_origin", no)
modparam("mi_fifo", "fifo_name", "{FIFO}")
modparam("mi_fifo", "reply_dir", "{HOME}")
modparam("mi_datagram", "socket_name", "{SOCKET}")
modparam("httpd", "ip", "127.0.0.1")
modparam("httpd", "port", 0)
...
""")
MAIN = Program("-f", str(CONFIGURATION))
UDP = Program("--socket", "ws:127.0.0.1:0", "--mi-datagram", "udp:127.0.0.1:0")
URL = f"http://{MAIN.lines['http']}"
UDP_IP, UDP_PORT = UDP.lines["udp"].split(":")

WAYS = {
    "fifo": ["communication_type=fifo", f"fifo_file={FIFO}", f"fifo_reply_dir={HOME}"],
    "datagram over a Unix socket": ["communication_type=datagram", f"datagram_unix_socket={SOCKET}",
                                    f"datagram_timeout={PATIENCE}"],
    "datagram over UDP": ["communication_type=datagram", f"datagram_ip={UDP_IP}", f"datagram_port={UDP_PORT}",
                          f"datagram_timeout={PATIENCE}"],
    "http": ["communication_type=http", f"url={URL}/mi"],
}


async def cli(way, *words):
    """Runs a command; returns what it prints, its errors without their colours, and its exit status."""
    options = [word for option in WAYS[way] for word in ("-o", option)]
    process = await asyncio.create_subprocess_exec(
        CLI, *options, "-x", "mi", *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "HOME": str(HOME)})
    try:
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    except TimeoutError:
        process.kill()
        raise AssertionError(f"{way}: {words} got no answer") from None
    return out.decode(), re.sub(r"\x1b\[[0-9;]*m", "", err.decode()), process.returncode


async def prints(way, words, expected):
    same(await cli(way, *words.split()), (json.dumps(expected, indent=4) + "\n", "", 0), f"{way}: {words}")


async def fails(way, words, error):
    same(await cli(way, *words.split()), ("", f"ERROR: {error}\n", 255), f"{way}: {words}")


def switches(way):
    async def check():
        await prints(way, "ws_trace off", "OK")
        await prints(way, "ws_trace", {"WS tracing": "off"})
        await prints(way, "ws_trace on", "OK")
        await prints(way, "ws:trace", {"WS tracing": "on"})
        await prints(way, "ws:trace OFF", "OK")
        await prints(way, "ws_trace trace_mode=on", "OK")
        await prints(way, "ws_trace", {"WS tracing": "on"})

    check.__doc__ = f"opensips-cli switches tracing by {way}"
    return check


def refusals(way):
    async def check():
        failed = "command 'ws_trace' returned: Error executing command: "
        await asyncio.gather(
            fails(way, "ws_trace bad", f"{failed}500: Bad parameter value (trace_mode should be 'on' or 'off')"),
            fails(way, "ws_trace once", f"{failed}500: Bad parameter value (trace_mode should be 'on' or 'off')"),
            fails(way, "ws_trace on extra", f"{failed}-32602: Invalid params (Too few or too many parameters)"),
            fails(way, "ws_trace foo=on", f"{failed}-32602: Invalid params (Named parameters do not match)"),
            fails(way, "nosuch", "no command 'nosuch' in module 'mi'"),
            fails(way, "ws_close 99", "command 'ws_close' returned: Error executing command: 404: No such flow"),
        )

    check.__doc__ = f"opensips-cli shows each refusal by {way}"
    return check


async def other_commands():
    """which, help, version and statistics as opensips-cli asks for them"""
    commands = json.loads((await cli("http", "which"))[0])
    for name in ("which", "help", "version", "ws_trace", "ws:trace", "ws_list", "get_statistics"):
        if name not in commands:
            raise AssertionError(f"{name} is not among {commands}")
    await prints("fifo", "which ws_trace", [[], ["trace_mode"]])
    await prints("http", "help ws_trace", {"Help": "not available for this command", "Exported by": "proto_ws"})
    await prints("fifo", "get_statistics transport:closed accept_failures",
                 {"transport:closed": 0, "transport:accept_failures": 0})
    await prints("http", "get_statistics statistics=transport:closed", {"transport:closed": 0})


async def flows():
    """a flow is listed, pinged and closed"""
    async with connect(f"ws://{MAIN.lines['ws']}/", subprotocols=["sip"], compression=None, proxy=None) as ws:
        await ws.send("\r\n\r\n")
        same(await asyncio.wait_for(ws.recv(), PATIENCE), "\r\n", "answer to a keepalive")
        out, _, _ = await cli("fifo", "ws_list")
        [flow] = json.loads(out)["Flows"]
        host, port = ws.local_address
        same((flow["Peer"], flow["Local"], flow["Opened by"], flow["Messages in"], flow["Bytes in"]),
             (f"{host}:{port}", MAIN.lines["ws"], "peer", 1, 4), "the flow")
        await prints("http", f"ws_ping {flow['Flow']}", "OK")
        await prints("fifo", f"ws_close flow={flow['Flow']}", "OK")
        try:
            await asyncio.wait_for(ws.recv(), PATIENCE)
            raise AssertionError("it was not closed")
        except ConnectionClosed as closed:
            same((closed.rcvd.code, closed.rcvd.reason), (1000, "closed by management"), "the Close frame")
    deadline = time.monotonic() + PATIENCE
    while json.loads((await cli("datagram over a Unix socket", "ws_list"))[0])["Flows"]:
        if time.monotonic() > deadline:
            raise AssertionError("the flow is still listed")


def post(body, expected_status=200):
    request = urllib.request.Request(f"{URL}/mi", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        same(response.status, expected_status, "status")
        return response.read().decode()


async def metrics():
    """GET /metrics is text that Prometheus reads"""
    with urllib.request.urlopen(f"{URL}/metrics", timeout=PATIENCE) as response:
        text = response.read().decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    same(families["ws_sip_transport_opened"].type, "counter", "type of a counter")
    same(families["ws_sip_transport_flows"].type, "gauge", "type of a gauge")
    if families["ws_sip_transport_accepted"].samples[0].value < 1:
        raise AssertionError(text)
    for group in ("proxy_requests", "mi_requests"):
        families[f"ws_sip_{group}"]


def datagram(way, request):
    """Sends a datagram, returns the answer."""
    if way == "udp":
        client, address = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), (UDP_IP, int(UDP_PORT))
    else:
        client, address = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), str(SOCKET)
        client.bind(str(HOME / "client"))
    try:
        client.settimeout(PATIENCE)
        client.sendto(request, address)
        return client.recv(65536).decode()
    finally:
        client.close()
        (HOME / "client").unlink(missing_ok=True)


async def malformed():
    """batches, malformed and oversized requests are answered, and hurt nothing"""
    version = b'{"jsonrpc":"2.0","method":"version","id":1}'
    for ask in (post, lambda body: datagram("udp", body), lambda body: datagram("unix", body)):
        same(json.loads(ask(b"[]"))["error"]["code"], -32600, "empty batch")
        same(len(json.loads(ask(b"[" + version + b"," + version + b"]"))), 2, "answers to a batch of two")
        same(json.loads(ask(b"[[[[[[1]]]]]]"))[0]["error"]["code"], -32600, "arrays in arrays")
        same(json.loads(ask(b"[" * 30000))["error"]["code"], -32700, "a tower of brackets")
        same(json.loads(ask(b"{nonsense"))["error"]["code"], -32700, "no JSON")
        same(json.loads(ask(b"\xff\xfe"))["error"]["code"], -32700, "no text")
    same(post(b'{"jsonrpc":"2.0","method":"version"}', 202), "", "answer to a notification")
    try:
        post(b" " * 70000)
        raise AssertionError("70,000 bytes were taken")
    except urllib.error.HTTPError as refused:
        same(refused.code, 413, "status for 70,000 bytes")
    await asyncio.gather(*(prints(way, "ws_trace off", "OK") for way in WAYS))


async def nobody_reads():
    """a reply FIFO that nobody reads, silent connections and probes hold nothing up"""
    os.mkfifo(HOME / "unread")
    request = ':unread:{"jsonrpc": "2.0", "id": "1", "method": "which"}'
    for _ in range(100):
        FIFO.open("w").close()
        with FIFO.open("w") as fifo:
            fifo.write(request)
    with FIFO.open("w") as fifo:
        fifo.write(":unread:" + "x" * 100000)
    host, port = MAIN.lines["http"].split(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(20)]
    datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    datagrams.sendto(b'{"jsonrpc":"2.0","method":"which","id":1}', str(SOCKET))
    async with connect(f"ws://{MAIN.lines['ws']}/", subprotocols=["sip"], compression=None, proxy=None) as ws:
        await ws.send("\r\n\r\n")
        same(await asyncio.wait_for(ws.recv(), PATIENCE), "\r\n", "answer to a keepalive")
    await asyncio.gather(*(prints(way, "ws_trace on", "OK") for way in WAYS))
    for connection in silent:
        connection.close()


async def quiet():
    """it takes no processor time when nothing is asked"""
    for _ in range(200):
        FIFO.open("w").close()
    deadline = time.monotonic() + PATIENCE
    while True:
        before = MAIN.cpu()
        await asyncio.sleep(1)
        used = MAIN.cpu() - before
        # What earlier checks left waiting is given up after some seconds.
        if used <= 0.02:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"{used} s of processor time in a second without a request")


async def removed():
    """the FIFO and the Unix socket go with the program, and it starts where a killed one was"""
    MAIN.stop()
    same((FIFO.exists(), SOCKET.exists()), (False, False), "FIFO and socket after the end")
    killed = Program("-f", str(CONFIGURATION))
    killed.process.kill()
    killed.process.wait()
    same((FIFO.exists(), SOCKET.exists()), (True, True), "FIFO and socket after a kill")
    again = Program("-f", str(CONFIGURATION))
    await prints("fifo", "ws_trace", {"WS tracing": "off"})
    second = subprocess.run([WS_SIP, "-f", CONFIGURATION], capture_output=True, text=True, timeout=PATIENCE)
    same(second.returncode, 1, "status of a second program")
    if "another program serves it" not in second.stderr:
        raise AssertionError(short(second.stderr))
    await prints("datagram over a Unix socket", "ws_trace", {"WS tracing": "off"})
    again.stop()
    UDP.stop()


try:
    run([check(way) for way in WAYS for check in (switches, refusals)]
        + [other_commands, flows, metrics, malformed, nobody_reads, quiet, removed])
finally:
    shutil.rmtree(HOME, ignore_errors=True)
