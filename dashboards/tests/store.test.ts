import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LiveStore } from "../src/live/store";
import { makeEvent, makeJob, makeOverview } from "./factories";

let stream: ReadableStreamDefaultController<Uint8Array>;
let overviews: number;
let stop: () => void;
let store: LiveStore;

const say = (text: string) => stream.enqueue(new TextEncoder().encode(text));
const event = (id: number, kind: string) =>
  `id: ${id}\nevent: ${kind}\ndata: ${JSON.stringify(makeEvent(kind, { id: String(id) }))}\n\n`;

beforeEach(async () => {
  vi.useFakeTimers();
  overviews = 0;
  vi.stubGlobal("document", { hidden: false, addEventListener() {}, removeEventListener() {} });
  vi.stubGlobal("fetch", (path: string) => {
    if (path === "/v1/events") {
      const body = new ReadableStream<Uint8Array>({ start: (given) => void (stream = given) });
      return Promise.resolve(new Response(body));
    }
    overviews += 1;
    const jobs = { by_state: { queued: 1 }, recent: [makeJob()] };
    return Promise.resolve(new Response(JSON.stringify(makeOverview({ jobs }))));
  });
  store = new LiveStore(() => {});
  stop = store.start();
  await vi.advanceTimersByTimeAsync(0);
});

afterEach(() => {
  stop();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("an event is shown soon, and asks for an exact load", async () => {
  expect(store.get().overview?.jobs.recent[0]?.state).toBe("queued");
  say(event(1, "job.running"));
  await vi.advanceTimersByTimeAsync(100);
  expect(store.get().overview?.jobs.recent[0]?.state).toBe("running");
  expect(overviews).toBe(1);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(overviews).toBe(2);
});

test("a thousand events are drawn together and loaded once, and the feed is bounded", async () => {
  let drawn = 0;
  store.subscribe(() => (drawn += 1));
  for (let id = 1; id <= 1_000; id += 1) say(event(id, "lease.created"));
  await vi.advanceTimersByTimeAsync(100);
  expect(store.get().feed).toHaveLength(60);
  expect(store.get().feed[0]?.id).toBe("1000");
  expect(drawn).toBeLessThan(5);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(overviews).toBe(2);
});

test("what is no event changes nothing", async () => {
  say("data: {broken\n\n");
  await vi.advanceTimersByTimeAsync(100);
  expect(store.get().feed).toEqual([]);
});
