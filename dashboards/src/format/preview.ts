/** Bytes of any kind as something to read: JSON indented, text as it is, the rest as hex. */

export interface Preview {
  is: "JSON" | "text" | "bytes";
  text: string;
  cut: boolean;
}

const HEX_BYTES_MAX = 512;
const ROW = 16;

/** ``cut``: the bytes are only the beginning of the result. */
export function previewOf(bytes: Uint8Array, cut: boolean): Preview {
  const text = decode(bytes, cut);
  if (text === null) {
    return { is: "bytes", text: hexRows(bytes), cut: cut || bytes.length > HEX_BYTES_MAX };
  }
  if (!cut) {
    try {
      const value: unknown = JSON.parse(text);
      if (typeof value === "object" && value !== null) {
        return { is: "JSON", text: indented(value), cut };
      }
    } catch {
      // Most text is not JSON.
    }
  }
  return { is: "text", text, cut };
}

/** Indented, but for innermost lists: a row of a tensor is one line. */
function indented(value: unknown): string {
  return JSON.stringify(value, null, 2).replace(
    /\[\n\s*([^[\]{}]*?)\n\s*\]/g,
    (_list, items: string) => `[${items.replace(/\n\s*/g, " ")}]`,
  );
}

/** Null for what is no UTF-8 text. A cut may have split the last character. */
function decode(bytes: Uint8Array, cut: boolean): string | null {
  if (bytes.includes(0)) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: cut });
  } catch {
    return null;
  }
}

function hexRows(bytes: Uint8Array): string {
  const rows: string[] = [];
  for (let at = 0; at < Math.min(bytes.length, HEX_BYTES_MAX); at += ROW) {
    const row = [...bytes.subarray(at, at + ROW)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const shown = row.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : "."));
    rows.push(`${at.toString(16).padStart(4, "0")}  ${hex.padEnd(ROW * 3)} ${shown.join("")}`);
  }
  return rows.join("\n");
}
