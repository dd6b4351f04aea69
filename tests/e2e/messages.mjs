// What the scripts here read of SIP messages.

/** The values of a header field, in order, lines and lists alike. */
export function values(message, name) {
  const head = message.split("\r\n\r\n", 1)[0].split("\r\n").slice(1);
  return head.filter((line) => line.toLowerCase().startsWith(`${name.toLowerCase()}:`))
    .flatMap((line) => line.slice(name.length + 1).split(/,(?=\s*<)/).map((value) => value.trim()));
}
