// SIP messages as text: reading, writing, and the pieces of a header that a user agent looks at (RFC 3261, section 7).

// One-letter header names (RFC 3261, section 7.3.3, and the registry it started).
const COMPACT = {
  c: "content-type", e: "content-encoding", f: "from", i: "call-id", k: "supported", l: "content-length",
  m: "contact", o: "event", s: "subject", t: "to", u: "allow-events", v: "via",
};

// Headers whose comma-separated values mean the same as one line for each value.
const LISTS = new Set(["contact", "record-route", "require", "route", "service-route", "supported", "via"]);

/** A message that was read. `method` is set in a request, `status` in a response. */
export class Message {
  method = null;
  uri = null;
  status = null;
  reason = null;
  body = "";
  #headers = new Map();

  /** All values of a header, in order; an empty array when it is absent. */
  all(name) {
    return this.#headers.get(name.toLowerCase()) ?? [];
  }

  /** The first value of a header, or `undefined`. */
  get(name) {
    return this.all(name)[0];
  }

  /** The CSeq number. */
  get sequence() {
    return Number.parseInt(this.get("CSeq"), 10);
  }

  /** The method that a CSeq names: in a response, the method of its request. */
  get sequenceMethod() {
    return this.get("CSeq").split(/\s+/)[1];
  }

  /** The branch of the topmost Via: the transaction's name. */
  get branch() {
    return parameters(this.get("Via")).branch;
  }

  get fromTag() {
    return parseAddress(this.get("From")).parameters.tag;
  }

  get toTag() {
    return parseAddress(this.get("To")).parameters.tag;
  }

  add(name, value) {
    const list = LISTS.has(name) ? split(value, ",") : [value];
    this.#headers.set(name, [...this.all(name), ...list]);
  }
}

/** Reads one whole message; throws a `SyntaxError` when it is not one. */
export function parse(text) {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) throw new SyntaxError("no empty line after the headers");
  const [start, ...lines] = text.slice(0, end).replace(/\r\n[ \t]+/g, " ").split("\r\n");

  const message = new Message();
  const request = /^([!%'*+.\w`~-]+) (\S+) SIP\/2\.0$/.exec(start);
  const response = /^SIP\/2\.0 ([1-6]\d\d) (.*)$/.exec(start);
  if (request) [, message.method, message.uri] = request;
  else if (response) [message.status, message.reason] = [Number(response[1]), response[2]];
  else throw new SyntaxError(`bad start line: ${start}`);

  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon < 1) throw new SyntaxError(`bad header line: ${line}`);
    const name = line.slice(0, colon).trim().toLowerCase();
    message.add(COMPACT[name] ?? name, line.slice(colon + 1).trim());
  }
  for (const name of ["Via", "From", "To", "Call-ID", "CSeq"]) {
    if (!message.get(name)) throw new SyntaxError(`no ${name}`);
  }
  if (!/^\d+\s+\S+$/.test(message.get("CSeq"))) throw new SyntaxError("bad CSeq");

  message.body = cutBody(text.slice(end + 4), message.get("Content-Length"));
  return message;
}

// Content-Length counts octets of UTF-8; over WebSocket it may be absent, and then the body is all that follows.
function cutBody(body, length) {
  if (length === undefined) return body;
  const octets = new TextEncoder().encode(body);
  if (!/^\d+$/.test(length) || Number(length) > octets.length) throw new SyntaxError("Content-Length exceeds the body");
  return Number(length) === octets.length ? body : new TextDecoder().decode(octets.subarray(0, Number(length)));
}

/** Writes a message. `headers` is a list of `[name, value]`; those whose value is `undefined` are left out. */
export function format(start, headers, body = "") {
  const lines = headers.filter(([, value]) => value !== undefined).map(([name, value]) => `${name}: ${value}`);
  const length = new TextEncoder().encode(body).length;
  return [start, ...lines, `Content-Length: ${length}`, "", body].join("\r\n");
}

/** Splits at `separator`, but not inside a quoted string or angle brackets. */
export function split(value, separator) {
  const parts = [""];
  let quoted = false;
  let depth = 0;
  for (let i = 0; i < value.length; i++) {
    const c = value[i];
    if (quoted && c === "\\") {
      parts[parts.length - 1] += c + (value[++i] ?? "");
      continue;
    }
    if (c === '"') quoted = !quoted;
    else if (!quoted && c === "<") depth++;
    else if (!quoted && c === ">") depth--;
    if (c === separator && !quoted && depth === 0) parts.push("");
    else parts[parts.length - 1] += c;
  }
  return parts.map((part) => part.trim()).filter((part) => part !== "");
}

/** The parameters after the first `;` of a header value, names in lower case, quotes taken off. */
export function parameters(value) {
  const found = {};
  for (const part of split(value, ";").slice(1)) {
    const [, name, text = ""] = /^([^=\s]+)\s*=?\s*(.*)$/s.exec(part) ?? [];
    if (name) found[name.toLowerCase()] = text.replace(/^"(.*)"$/s, "$1");
  }
  return found;
}

/** Takes `"Name" <uri>;a=b` or `uri;a=b` apart. */
export function parseAddress(value) {
  const [address] = split(value, ";");
  const uri = /<([^>]*)>/.exec(address)?.[1] ?? address;
  return { uri, parameters: parameters(value) };
}

/** The user part of a SIP URI as a person would write it; the whole URI when there is none. */
export function userOf(uri) {
  const user = /^sips?:([^@:;?]*)(?::[^@]*)?@/i.exec(uri)?.[1];
  try {
    return user ? decodeURIComponent(user) : uri;
  } catch {
    return user; // a stray percent sign: shown as it came
  }
}

/** The URI of what somebody typed: a bare name belongs to `host`; `name@host` and whole URIs are taken as they are. */
export function toUri(typed, host) {
  if (/^sips?:\S+$/i.test(typed)) return typed;
  const at = typed.lastIndexOf("@");
  if (at < 1) return `sip:${encodeURIComponent(typed)}@${host}`;
  return `sip:${encodeURIComponent(typed.slice(0, at))}@${typed.slice(at + 1)}`;
}

/** Random text for tags, branches and names: 32 letters and digits alphabet, `length` of them. */
export function token(length = 16) {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  return Array.from(bytes, (byte) => "abcdefghijklmnopqrstuvwxyz234567"[byte & 31]).join("");
}

/** A random UUID; `crypto.randomUUID` exists in secure contexts only, and this page must also work without. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
