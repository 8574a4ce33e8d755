import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Connection, retryDelay, type ConnectionState } from "../src/live/connection";
import { describeConnection } from "../src/live/status";
import { unreachable } from "../src/api/problem";

class Line {
  private controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  readonly headers: Record<string, string>;
  readonly response: Response;

  constructor(init: RequestInit) {
    this.headers = init.headers as Record<string, string>;
    const body = new ReadableStream<Uint8Array>({ start: (c) => void (this.controller = c) });
    init.signal?.addEventListener("abort", () => this.controller?.error(new Error("aborted")));
    this.response = new Response(body);
  }

  send(text: string) {
    this.controller?.enqueue(new TextEncoder().encode(text));
  }

  end() {
    this.controller?.close();
  }
}

describe("Connection", () => {
  let lines: Line[];
  let phases: string[];
  let got: string[];
  let answer: (init: RequestInit) => Response;
  let connection: Connection;
  const signedOut = vi.fn();

  beforeEach(() => {
    vi.useFakeTimers();
    lines = [];
    phases = [];
    got = [];
    signedOut.mockClear();
    answer = (init) => {
      const line = new Line(init);
      lines.push(line);
      return line.response;
    };
    vi.stubGlobal("fetch", (_url: string, init: RequestInit) =>
      Promise.resolve().then(() => answer(init)),
    );
    connection = new Connection(
      "/v1/events",
      (message) => got.push(message.data),
      (state: ConnectionState) => {
        if (phases.at(-1) !== state.phase) phases.push(state.phase);
      },
      signedOut,
    );
  });

  afterEach(() => {
    connection.close();
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  const settle = () => vi.advanceTimersByTimeAsync(0);

  test("is live once the platform has answered, and hands on what it says", async () => {
    connection.open();
    expect(connection.state.phase).toBe("connecting");
    await settle();
    lines[0]?.send("id: 4\ndata: one\n\n");
    await settle();
    expect(connection.state.phase).toBe("live");
    expect(got).toEqual(["one"]);
  });

  test("goes on after the last event when the line breaks", async () => {
    connection.open();
    await settle();
    lines[0]?.send("id: 4\ndata: one\n\n");
    await settle();
    lines[0]?.end();
    await settle();
    expect(connection.state.phase).toBe("reconnecting");
    await vi.advanceTimersByTimeAsync(500);
    expect(connection.state.phase).toBe("live");
    expect(lines[1]?.headers["Last-Event-ID"]).toBe("4");
  });

  test("a line that is silent for longer than two heartbeats is dead", async () => {
    connection.open();
    await settle();
    await vi.advanceTimersByTimeAsync(30_000);
    lines[0]?.send(": beat\n\n");
    await vi.advanceTimersByTimeAsync(34_000);
    expect(lines).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(phases.at(-1)).toBe("reconnecting");
    await vi.advanceTimersByTimeAsync(500);
    expect(lines).toHaveLength(2);
  });

  test("a platform that refuses is asked again, ever more slowly", async () => {
    let asked = 0;
    answer = () => {
      asked += 1;
      return new Response("", { status: 503 });
    };
    connection.open();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(phases).toEqual(["reconnecting"]);
    expect(asked).toBeGreaterThan(5);
    expect(asked).toBeLessThan(20);
  });

  test("a lost session ends it", async () => {
    answer = () => new Response("", { status: 401 });
    connection.open();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(signedOut).toHaveBeenCalledOnce();
  });

  test("paused, it holds no line and makes none until it is opened", async () => {
    connection.open();
    await settle();
    connection.pause();
    await vi.advanceTimersByTimeAsync(120_000);
    expect(lines).toHaveLength(1);
    expect(connection.state.phase).toBe("paused");
    connection.open();
    await settle();
    expect(connection.state.phase).toBe("live");
  });
});

test("waits between tries grow, are jittered and bounded", () => {
  expect(retryDelay(0, 0)).toBe(250);
  expect(retryDelay(0, 1)).toBe(500);
  expect(retryDelay(30, 1)).toBe(15_000);
});

describe("describeConnection", () => {
  const live: ConnectionState = { phase: "live", since: 0, heardAt: 0 };
  const facts = { connection: live, loadedAt: 100_000, problem: null, now: 101_000 };

  test("says live only of fresh data on an open line", () => {
    expect(describeConnection(facts)).toMatchObject({ word: "live", age: null, tone: "good" });
  });

  test.each([
    [{ now: 130_000 }, "behind", "data 30 s old"],
    [{ loadedAt: null }, "loading", null],
    [{ problem: unreachable() }, "out of date", "data 1 s old"],
    [{ connection: { ...live, phase: "reconnecting" as const } }, "reconnecting", "data 1 s old"],
    [{ connection: { ...live, phase: "paused" as const } }, "paused", "data 1 s old"],
  ])("%j is not live", (change, word, age) => {
    const words = describeConnection({ ...facts, ...change });
    expect(words).toMatchObject({ word, age });
    expect(words.tone).not.toBe("good");
  });
});
