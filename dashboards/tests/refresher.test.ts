import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Refresher } from "../src/live/refresher";

let loads: number;
let finish: (() => void) | null;

beforeEach(() => {
  vi.useFakeTimers();
  loads = 0;
  finish = null;
});

afterEach(() => {
  vi.useRealTimers();
});

const quick = () => {
  loads += 1;
  return Promise.resolve();
};
const slow = () => {
  loads += 1;
  return new Promise<void>((resolve) => void (finish = resolve));
};

test("a burst of wishes is one load now and one after the gap", async () => {
  const refresher = new Refresher(quick, 1_000, 0);
  refresher.request();
  await vi.advanceTimersByTimeAsync(0);
  for (let wish = 0; wish < 50; wish += 1) refresher.request();
  await vi.advanceTimersByTimeAsync(999);
  expect(loads).toBe(1);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(loads).toBe(2);
});

test("two loads never run at the same time, and a wish during one is kept", async () => {
  const refresher = new Refresher(slow, 100, 0);
  refresher.request();
  await vi.advanceTimersByTimeAsync(0);
  refresher.request();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(loads).toBe(1);
  finish?.();
  await vi.advanceTimersByTimeAsync(100);
  expect(loads).toBe(2);
});

test("without any wish it loads again after the idle time, until it is stopped", async () => {
  const refresher = new Refresher(quick, 100, 5_000);
  refresher.request();
  await vi.advanceTimersByTimeAsync(15_050);
  expect(loads).toBe(4);
  refresher.stop();
  refresher.request();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(loads).toBe(4);
});
