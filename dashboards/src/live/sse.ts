/** Server-sent events as they come in chunks: text in, whole messages out (WHATWG HTML § 9.2.6). */

export interface SseMessage {
  id: string;
  event: string;
  data: string;
}

const MESSAGE_CHARS_MAX = 4_000_000;

/** A parser with its own buffer: feed it chunks, it returns the messages that they completed. */
export function sseParser(): (chunk: string) => SseMessage[] {
  let buffer = "";
  let id = "";
  return (chunk) => {
    buffer += chunk;
    if (buffer.length > MESSAGE_CHARS_MAX) throw new Error("An event without an end");
    // A chunk may end between the two characters of one line end.
    const whole = buffer.endsWith("\r") ? buffer.slice(0, -1) : buffer;
    const blocks = whole.replace(/\r\n?/g, "\n").split("\n\n");
    buffer = (blocks.pop() ?? "") + buffer.slice(whole.length);
    const messages: SseMessage[] = [];
    for (const block of blocks) {
      const message = parseBlock(block, id);
      id = message.id;
      if (message.data) messages.push(message);
    }
    return messages;
  };
}

function parseBlock(block: string, lastId: string): SseMessage {
  const message: SseMessage = { id: lastId, event: "message", data: "" };
  const data: string[] = [];
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon === 0) continue; // a comment: the heartbeat
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") data.push(value);
    else if (field === "event") message.event = value;
    else if (field === "id" && !value.includes("\0")) message.id = value;
  }
  message.data = data.join("\n");
  return message;
}
