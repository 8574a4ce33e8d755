import { describe, expect, test } from "vitest";
import { sseParser } from "../src/live/sse";

const STREAM = ': hello\n\nid: 7\nevent: job.running\ndata: {"a":1}\n\ndata: x\ndata: y\n\n';

describe("sseParser", () => {
  test("messages have their id, kind and lines", () => {
    expect(sseParser()(STREAM)).toEqual([
      { id: "7", event: "job.running", data: '{"a":1}' },
      { id: "7", event: "message", data: "x\ny" },
    ]);
  });

  test("any cut into chunks gives the same messages", () => {
    for (const text of [STREAM, STREAM.replaceAll("\n", "\r\n")]) {
      for (let cut = 1; cut < text.length; cut += 1) {
        const parse = sseParser();
        const messages = [...parse(text.slice(0, cut)), ...parse(text.slice(cut))];
        expect(messages, `cut at ${cut}`).toHaveLength(2);
        expect(messages[1]).toEqual({ id: "7", event: "message", data: "x\ny" });
      }
    }
  });

  test("comments alone make no message", () => {
    expect(sseParser()(": beat\n\n: beat\n\n")).toEqual([]);
  });

  test("an event without an end is given up", () => {
    const parse = sseParser();
    expect(() => parse(`data: ${"x".repeat(4_000_001)}`)).toThrow();
  });
});
