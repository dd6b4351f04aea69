"""Real receivers of HEP take what `ws-sip` traces of a call between two SIP clients over WebSocket.

usage: tracing.py WS-SIP sngrep|kamailio
"""

import asyncio
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import urllib.request
from pathlib import Path

import pyte
from websockets.asyncio.client import connect

from check import run, same, short

WS_SIP, RECEIVER = sys.argv[1:]
PATIENCE = 30  # seconds for one step, on a loaded machine
HERE = Path(__file__).resolve().parent
HOME = Path(tempfile.mkdtemp(prefix="ws-sip-tracing-"))
STARTED = []


def start(*words, **options):
    process = subprocess.Popen([str(word) for word in words], **options)
    STARTED.append(process)
    return process


def free_port():
    """A UDP port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        return datagrams.getsockname()[1]


def until(what, ready):
    """Waits for what other programs bring about; returns what `ready` does."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = ready()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: it did not happen")
        time.sleep(0.05)


class WsSip:
    """A `ws-sip` that traces all to a port."""

    def __init__(self, port):
        self.process = start(
            WS_SIP, "--socket", "ws:127.0.0.1:0", "--mi-http", "127.0.0.1:0", "--require-origin", "no",
            "--hep-id", f"[receiver] 127.0.0.1:{port};transport=udp", "--trace-destination", "receiver",
            "--trace-on", "yes", "--trace-sip", "yes", "--hep-capture-id", "2001",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip().removeprefix("listening on ws:")
        self.management = self.process.stdout.readline().strip().removeprefix("management on http:")

    def statistics(self):
        """What was sent to the receiver, and what was dropped."""
        request = {"jsonrpc": "2.0", "id": 1, "method": "get_statistics", "params": ["trace:"]}
        with urllib.request.urlopen(f"http://{self.management}/mi", json.dumps(request).encode(), PATIENCE) as answer:
            return json.load(answer)["result"]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        same(self.process.wait(PATIENCE), 0, "exit status of ws-sip")


class Phone:
    """A SIP client over WebSocket that keeps what it sent and received."""

    def __init__(self, name):
        self.name = name
        self.messages = []  # (direction, message)

    async def open(self, address):
        self.ws = await connect(f"ws://{address}/", subprotocols=["sip"])
        self.address = "%s:%d" % self.ws.local_address[:2]

    async def send(self, message):
        self.messages.append(("out", message))
        await self.ws.send(message)

    async def receive(self, start_line):
        message = await asyncio.wait_for(self.ws.recv(), PATIENCE)
        self.messages.append(("in", message))
        if not message.startswith(start_line):
            raise AssertionError(f"{self.name} expected {start_line}, got {short(message)}")
        return message

    def request(self, method, uri, to, call_id, cseq, *fields):
        return "\r\n".join([
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/WS {self.name}.invalid;branch=z9hG4bK{call_id}{cseq}{method}",
            "Max-Forwards: 70",
            f"From: <sip:{self.name}@example.com>;tag={self.name}",
            f"To: {to}",
            f"Call-ID: {call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:{self.name}@{self.name}.invalid;transport=ws>",
            *fields, "Content-Length: 0", "", ""])

    async def register(self):
        aor = f"<sip:{self.name}@example.com>"
        await self.send(self.request("REGISTER", "sip:example.com", aor, f"register-{self.name}", 1, "Expires: 600"))
        await self.receive("SIP/2.0 200")

    async def answer(self, request, status):
        kept = [line for line in request.split("\r\n")
                if re.match(r"(Via|Record-Route|From|To|Call-ID|CSeq):", line, re.IGNORECASE)]
        kept = [f"{line};tag={self.name}" if line.startswith("To:") and ";tag=" not in line else line for line in kept]
        contact = f"Contact: <sip:{self.name}@{self.name}.invalid;transport=ws>"
        await self.send("\r\n".join([f"SIP/2.0 {status}", *kept, contact, "Content-Length: 0", "", ""]))


def field(message, name):
    return [line.split(":", 1)[1].strip() for line in message.split("\r\n") if line.lower().startswith(f"{name}:")]


async def call(address):
    """Alice and Bob register, Alice calls Bob, and Bob hangs up."""
    alice, bob = Phone("alice"), Phone("bob")
    await alice.open(address)
    await bob.open(address)
    await alice.register()
    await bob.register()
    await alice.send(alice.request("INVITE", "sip:bob@example.com", "<sip:bob@example.com>", "the-call", 1))
    invite = await bob.receive("INVITE ")
    await bob.answer(invite, "180 Ringing")
    answers = [await alice.receive("SIP/2.0 100")]
    answers.append(await alice.receive("SIP/2.0 180"))
    await bob.answer(invite, "200 OK")
    accepted = await alice.receive("SIP/2.0 200")
    routes = [f"Route: {route}" for route in reversed(field(accepted, "record-route"))]
    target = field(accepted, "contact")[0].strip("<>")
    await alice.send(alice.request("ACK", target, field(accepted, "to")[0], "the-call", 1, *routes))
    await bob.receive("ACK ")
    routes = [f"Route: {route}" for route in field(invite, "record-route")]
    target = field(invite, "contact")[0].strip("<>")
    await bob.send(bob.request("BYE", target, field(invite, "from")[0], "the-call", 7, *routes))
    bye = await alice.receive("BYE ")
    await alice.answer(bye, "200 OK")
    await bob.receive("SIP/2.0 200")
    await alice.ws.close()
    await bob.ws.close()
    return alice, bob


# ---- sngrep --------------------------------------------------------------------------------------------------------


class Sngrep:
    """sngrep, and what is on its screen."""

    def __init__(self, port):
        self.screen = pyte.Screen(160, 40)
        self.lock = threading.Lock()
        terminal, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
        self.process = start("sngrep", "-F", "-L", f"udp:127.0.0.1:{port}", stdin=inner, stdout=inner, stderr=inner,
                             env={**os.environ, "TERM": "linux", "LC_ALL": "C.UTF-8", "HOME": str(HOME)})
        os.close(inner)
        self.terminal = terminal
        threading.Thread(target=self.read, args=(pyte.ByteStream(self.screen),), daemon=True).start()

    def read(self, stream):
        while True:
            try:
                data = os.read(self.terminal, 65536)
            except OSError:  # the program ended
                return
            with self.lock:
                stream.feed(data)

    def lines(self):
        with self.lock:
            return [line.rstrip() for line in self.screen.display]

    def shows(self, *patterns):
        """Waits until each pattern matches a line."""
        try:
            until("sngrep", lambda: all(any(re.search(pattern, line) for line in self.lines()) for pattern in patterns))
        except AssertionError:
            raise AssertionError("sngrep shows:\n" + "\n".join(self.lines())) from None

    def press(self, keys):
        os.write(self.terminal, keys)


async def sngrep_lists_the_dialogs():
    """sngrep lists the dialogs, with their states and addresses, and shows the call"""
    port = free_port()
    sngrep = Sngrep(port)
    sngrep.shows(rf"Current Mode: Online \[L:{port}\]")
    program = WsSip(port)
    alice, bob = await call(program.address)
    # Each message of the call passes twice: from one of them to the proxy, and from there to the other.
    sngrep.shows(
        r"Dialogs: 3\b",
        rf"REGISTER +alice@example\.com +alice@example\.com +2 +{alice.address} +{program.address}",
        rf"REGISTER +bob@example\.com +bob@example\.com +2 +{bob.address} +{program.address}",
        rf"INVITE +alice@example\.com +bob@example\.com +13 +{alice.address} +{program.address} +COMPLETED")
    for _ in range(3):
        sngrep.press(b"\x1b[B")
    sngrep.press(b"\r")
    sngrep.shows("Call flow for the-call", r"INVITE sip:bob@example\.com SIP/2\.0", rf"{alice.address} .*{program.address}",
                 "180 Ringing", r"\bBYE\b")
    same(program.statistics()["trace:dropped"], 0, "dropped records")
    program.stop()


# ---- Kamailio ------------------------------------------------------------------------------------------------------

COLUMNS = """date micro_ts method correlation_id reply_reason ruri ruri_user ruri_domain from_user from_domain from_tag to_user
to_domain to_tag pid_user contact_user auth_user callid callid_aleg via_1 via_1_branch cseq diversion reason content_type
auth user_agent source_ip source_port destination_ip destination_port contact_ip contact_port originator_ip
originator_port expires proto family rtp_stat type node custom_field1 custom_field2 custom_field3 msg""".split()


class Kamailio:
    """Debian's Kamailio, which stores what its sipcapture module gets in an SQLite file."""

    def __init__(self):
        self.file = HOME / "capture.sqlite"
        with sqlite3.connect(self.file) as database:
            # Kamailio does not wait for a lock, so a look at the rows must never keep it from adding one.
            same(database.execute("PRAGMA journal_mode = WAL").fetchone(), ("wal",), "journal mode")
            columns = ", ".join(f'"{name}"' for name in COLUMNS)
            database.execute(f"CREATE TABLE sip_capture (id INTEGER PRIMARY KEY, {columns})")
            database.execute("CREATE TABLE version (table_name, table_version)")
        template = (HERE / "sipcapture.cfg").read_text()
        for _ in range(5):
            self.port = free_port()
            config = HOME / "kamailio.cfg"
            config.write_text(template.replace("PORT", str(self.port)).replace("DATABASE", str(self.file)))
            self.process = start("kamailio", "-f", config, "-w", HOME, "-Y", HOME, "-DD", "-E", "-m", "32", "-M", "4",
                                 stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            if any(line.rstrip().endswith("ready") for line in self.process.stderr):
                break
        else:
            raise AssertionError("kamailio does not start")
        # What it says of records that are no SIP is nobody's, but it must not wait for a reader.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def rows(self):
        with sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=PATIENCE) as database:
            database.row_factory = sqlite3.Row
            return database.execute("SELECT * FROM sip_capture ORDER BY id").fetchall()


async def kamailio_stores_the_messages():
    """Kamailio's sipcapture stores each SIP message as it was, with its addresses and its connection's number"""
    kamailio = Kamailio()
    program = WsSip(kamailio.port)
    alice, bob = await call(program.address)
    expected = sorted((phone.address, program.address, message) if direction == "out" else
                      (program.address, phone.address, message)
                      for phone in (alice, bob) for direction, message in phone.messages)
    rows = until("the rows of all messages", lambda: len(rows := kamailio.rows()) >= len(expected) and rows)
    found = sorted((f"{row['source_ip']}:{row['source_port']}", f"{row['destination_ip']}:{row['destination_port']}",
                    row["msg"].decode()) for row in rows)
    same(found, expected, "what is stored")
    numbers = {}
    for row in rows:
        same(row["node"], "capture:2001", "node")
        peer = next(port for port in (row["source_port"], row["destination_port"])
                    if not program.address.endswith(f":{port}"))
        numbers.setdefault(peer, set()).add(row["correlation_id"])
    same(sorted(len(of_one) for of_one in numbers.values()), [1, 1], "numbers of the two connections")
    same(len(set.union(*numbers.values())), 2, "numbers in all")
    same(program.statistics()["trace:dropped"], 0, "dropped records")
    program.stop()


try:
    run([sngrep_lists_the_dialogs if RECEIVER == "sngrep" else kamailio_stores_the_messages])
finally:
    for process in STARTED:
        process.kill()
    shutil.rmtree(HOME, ignore_errors=True)
