#!/usr/bin/env python3
"""Turn the installed (Python 2) autobahntestsuite 25.10.1 into Python 3 code.

Run by setup.sh with the Python of the new virtual environment.
Two steps:
  1. lib2to3 (or its PyPI fork, fissix) for the syntax: print, except, raise,
     has_key, xrange, implicit relative imports.
  2. the rules below for what 2to3 cannot know: which strings are octets on the
     wire, integer division, indexing of octets, and text files for reports.
Every rule says how often it must match (the generic ones: in all case files
together); any other count stops the conversion, so that a changed package cannot
be converted wrongly without notice.
No case is left out, changed in what it sends, or changed in what it accepts:
selfcheck.py proves that against the unconverted package's digest.
"""
import ast
import collections
import importlib.util
import os
import re
import sys

# Modules that wstest imports; the rest of the package (WAMP, wsperf, test
# database) is never imported by it and stays as it is.
TOP = ["__init__", "_version", "broadcast", "caseset", "choosereactor", "echo",
       "fuzzing", "interfaces", "massconnect", "report", "serializer",
       "spectemplate", "testee", "wstest"]

FIXERS = ["except", "has_key", "import", "numliterals", "print", "raise", "xrange"]

NAMES = r"(?:self\.)?(?:ping_)?(?:payload|PAYLOAD\d?)"
ASCII_STR = r'''(?:"[^"\n]*"|'[^'\n]*')'''


# Rules for every file of the case folder, with the number of matches in all of
# them together. payload = "...", PAYLOAD1 = '...', sendFrame(payload = "...").
GENERIC = [
    # a payload with an octet above 0x7f in its source text (which is UTF-8)
    (r'(?<![\w.])(%s[ ]*=[ ]*)("[^"\n]*[^\x00-\x7f][^"\n]*")' % NAMES, r'\1\2.encode("utf-8")', 4),
    (r'(?<![\w.])(%s[ ]*=[ ]*)(["\'])(?![^"\n]*[^\x00-\x7f])' % NAMES, r'\1b\2', 127),
    # fragments = ["..", ".."], pings = [..]
    (r'^(\s*(?:self\.)?(?:fragments|pings) = )(\[.*\])$',
     lambda m: m.group(1) + re.sub(ASCII_STR, lambda s: "b" + s.group(0), m.group(2)), 10),
    # expected events with an empty payload
    (r'\(("message"|"pong"), ""', r'(\1, b""', 3),
    (r"(?<![\w\"'])''\.join\(", r"b''.join(", 9),
    (r'reasonUtf8 = "a"', 'reasonUtf8 = b"a"', 1),
    # hex for descriptions is text
    (r'(binascii\.(?:b2a_hex|hexlify)\([\w.\[\]:]+\))', r'\1.decode("ascii")', 23),
    # one octet of a payload as octets, not as a number
    (r'(PAYLOAD\[)(\d+)\]', lambda m: "%s%s:%d]" % (m.group(1), m.group(2), int(m.group(2)) + 1), 4),
    # classes made at run time: Case is a new-style class already
    (r'\(object, Case, \)', '(Case, )', 6),
]


def case_rules(name):
    """Rules for one file of the case folder: (regex, replacement, count)."""
    if name in ("__init__.py", "case.py"):
        return []
    extra = {
        "case6_2_1.py": [(r'% \(PAYLOAD, ', '% (PAYLOAD.decode("utf-8"), ', 1)],
        "case6_2_2.py": [(r'% \(PAYLOAD1, ', '% (PAYLOAD1.decode("utf-8"), ', 1),
                         (r', PAYLOAD2, ', ', PAYLOAD2.decode("utf-8"), ', 1)],
        "case6_2_3.py": [(r'% \(PAYLOAD, ', '% (PAYLOAD.decode("utf-8"), ', 1)],
        "case6_2_4.py": [(r'% \(PAYLOAD, ', '% (PAYLOAD.decode("utf-8"), ', 1)],
        "case9_9_1.py": [(r'import implements\n', 'import implementer\n', 1),
                         (r'class FrameProducer:', '@implementer(interfaces.IPushProducer)\nclass FrameProducer:', 1),
                         (r'   implements\(interfaces\.IPushProducer\)\n', '', 1)],
        "case10_1_1.py": [(r'len\(self\.payload\) / self', 'len(self.payload) // self', 1)],
        "case12_x_x.py": [(r"msg = ''", "msg = payload[:0]", 1)],
    }
    rules = [(p, r, None) for p, r, _ in GENERIC] + extra.get(name, [])
    if name == "case6_x_x.py":
        rules.append((r'(?s)(def createUtf8TestSequences\(\):\n.*?)(?=\ndef )', utf8_table, 1))
    return rules


def utf8_table(m):
    """createUtf8TestSequences(): every literal there is octets, but for titles."""
    head, body = m.group(1).split('"""', 2)[0], m.group(1).split('"""', 2)
    doc, text = '"""' + body[1] + '"""', body[2]
    out = []
    for line in text.split("\n"):
        code, sep, note = line.partition(" #") if " #" in line else (line, "", "")
        if re.match(r'\s*vs = \[', code) or code.lstrip().startswith("#"):
            pass                                   # title of a group, comment
        else:
            code = re.sub("(?<!b)" + ASCII_STR, lambda s: "b" + s.group(0), code)
            code = re.sub(r'\bchr\((\w+)\)', r'bytes([\1])', code)
        out.append(code + sep + note)
    return head + doc + "\n".join(out)


FILES = {
    "fuzzing.py": [
        # logs: octets to text
        (r'binascii\.b2a_hex\(data\[:maxlen\]\) \+', 'binascii.b2a_hex(data[:maxlen]).decode("ascii") +', 1),
        (r'dd = binascii\.b2a_hex\(data\)', 'dd = binascii.b2a_hex(data).decode("ascii")', 1),
        (r'dd = data\[:maxlen\] \+ ellipses', 'dd = data[:maxlen] + ellipses.encode("ascii")', 1),
        (r"p = ''\.join\(payload\)", "p = b''.join(payload)", 1),
        (r'binascii\.b2a_hex\(frameHeader\.mask\)', 'binascii.b2a_hex(frameHeader.mask).decode("ascii")', 2),
        (r'mmask = binascii\.b2a_hex\(t\[6\]\)', 'mmask = binascii.b2a_hex(t[6].encode("ascii")).decode("ascii")', 1),
        # Python 2 decoded UTF-8 surrogates; keep it so (only logs and reports see it)
        (r"errors = 'replace' if replace else 'strict'", "errors = 'replace' if replace else 'surrogatepass'", 1),
        # case results go into JSON: no octets there
        (r'"localCloseReason": self\.localCloseReason', '"localCloseReason": asText(self.localCloseReason)', 1),
        (r"self\.http_request_data if", "asText(self.http_request_data) if", 1),
        (r"self\.http_response_data if", "asText(self.http_response_data) if", 1),
        (r'(?m)^def asciiLogData', 'def asText(data):\n   return data.decode("utf8", "replace") if isinstance(data, bytes) else data\n\n\n\ndef asciiLogData', 1),
        # messages of the control connection
        (r'self\.sendMessage\(json\.dumps\(len\(self\.factory\.specCases\)\)\)', 'self.sendMessage(json.dumps(len(self.factory.specCases)).encode("utf8"))', 1),
        (r"(?s)self\.sendMessage\(json\.dumps\(\{(.*?)\}\)\)", r"self.sendMessage(json.dumps({\1}).encode('utf8'))", 2),
        (r'json\.loads\(msg\)', 'json.loads(msg.decode("utf8"))', 1),
        (r'payload = spec\.get\("payload", ""\)', 'payload = spec.get("payload", "").encode("utf8")', 1),
        (r'log\.msg\("Pong received: " \+ payload\)', 'log.msg("Pong received: " + repr(payload))', 1),
        # reports are text files
        (r"(open\(os\.path\.join\(outdir, report_filename\), 'w')\)", r"\1, encoding = 'utf8', errors = 'surrogatepass')", 4),
        (r'(f\.write\()(\(.*% \(c\[0\], case\[c\[0\]\], c\[1\]\)\))\.encode\("utf-8"\)\)', r'\1\2)', 1),
        (r"ll\.encode\('utf8'\)", "ll", 1),
        (r"putChild\('cwd'", "putChild(b'cwd'", 1),
        # listen on the host named in the spec's URL only
        (r'listenWS\(factory, sslContext\)', 'listenWS(factory, sslContext, interface = factory.host)', 1),
        (r'reactor\.listenSSL\(webport, web, sslContext\)', 'reactor.listenSSL(webport, web, sslContext, interface = factory.host)', 1),
        (r'reactor\.listenTCP\(webport, web\)', 'reactor.listenTCP(webport, web, interface = factory.host)', 1),
    ],
    "caseset.py": [(r"\.replace\('\.', '\\\.'\)", r".replace('.', '\\\\.')", 3)],
    "testee.py": [(r'listenWS\(factory, sslContext\)', 'listenWS(factory, sslContext, interface = factory.host)', 1)],
    "echo.py": [(r'listenWS\(factory, sslContext\)', 'listenWS(factory, sslContext, interface = factory.host)', 1)],
    "broadcast.py": [(r'listenWS\(factory, sslContext\)', 'listenWS(factory, sslContext, interface = factory.host)', 1),
                     (r'self\.broadcast\("tick %d"', 'self.broadcast(b"tick %d"', 1),
                     (r'(self\.sendMessage\()("hello from %s\[%d\]" % \(socket\.gethostname\(\), os\.getpid\(\)\))\)', r'\1(\2).encode("utf8"))', 1)],
    "massconnect.py": [(r'time\.clock\(\)', 'time.perf_counter()', 2)],
    # the serializer mode needs old WAMP test modules; load them only when asked for
    "serializer.py": [(r'from autobahn\.wamp\.test\.test_serializer import generate_test_messages\n', '', 1),
                      (r'(?m)^(def start\(.*\):\n)', r'\1   from autobahn.wamp.test.test_serializer import generate_test_messages\n', 1)],
}

AUTOBAHN = {
    "websocket/protocol.py": [
        # repeated payloads (cases 7.1.6 and 9.*)
        (r'range\(payload_len / len\(payload\)\)', 'range(payload_len // len(payload))', 1),
        # a close reason already found invalid is decoded all the same, as Python 2 did
        (r"reasonRaw\.decode\('utf8'\)", "reasonRaw.decode('utf8', 'surrogatepass')", 1),
    ],
}


def apply(path, rules, base, seen):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for pattern, repl, want in rules:
        text, n = re.subn(pattern, repl, text, flags=re.M)
        seen[pattern] += n
        if want is not None and n != want:
            sys.exit("convert: %s: %r matched %d times, expected %d" % (os.path.relpath(path, base), pattern, n, want))
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    ast.parse(text, path)


def main():
    try:
        from lib2to3 import refactor
        fixes = "lib2to3.fixes.fix_"
    except ImportError:
        from fissix import refactor
        fixes = "fissix.fixes.fix_"
    base = os.path.dirname(importlib.util.find_spec("autobahntestsuite").origin)
    autobahn = os.path.dirname(importlib.util.find_spec("autobahn").origin)
    case = os.path.join(base, "case")
    files = [os.path.join(base, n + ".py") for n in TOP]
    files += [os.path.join(case, n) for n in sorted(os.listdir(case)) if n.endswith(".py")]
    tool = refactor.RefactoringTool([fixes + f for f in FIXERS], {}, [])
    for path in files:
        with open(path, encoding="utf-8") as f:
            text = f.read()
        if "\r" in text or not text.endswith("\n"):
            text = text.replace("\r\n", "\n") + "\n"
        tree = tool.refactor_string(text, path)
        with open(path, "w", encoding="utf-8") as f:
            f.write(str(tree))
    seen = collections.Counter()
    for path in files:
        name = os.path.basename(path)
        rules = case_rules(name) if os.path.dirname(path) == case else FILES.get(name, [])
        apply(path, rules, base, seen)
    for pattern, _, want in GENERIC:
        if seen[pattern] != want:
            sys.exit("convert: %r matched %d times in all cases, expected %d" % (pattern, seen[pattern], want))
    for name, rules in AUTOBAHN.items():
        apply(os.path.join(autobahn, name), rules, autobahn, seen)
    print("converted %d files of autobahntestsuite, %d of autobahn" % (len(files), len(AUTOBAHN)))


if __name__ == "__main__":
    main()
