import { describe, expect, test } from "vitest";
import { EMPTY_FORM, readForm, type JobForm } from "../src/pages/submit/form";

const MODULE = `sha256:${"ab".repeat(32)}`;
const read = (over: Partial<JobForm>) => readForm({ ...EMPTY_FORM, module: MODULE, ...over });

describe("readForm", () => {
  test("the untouched form with a module is a whole request", () => {
    const { request, errors, missing } = read({});
    expect(missing).toBeNull();
    expect(errors).toEqual({});
    expect(request).toEqual({
      name: "",
      kind: "wasm",
      wasm: { module: MODULE },
      tasks: [{}],
      resources: { cpu_millis: 1_000, memory_bytes: 134_217_728 },
      limit_price_micros_per_hour: 100_000,
      retry: { attempts_max: 5 },
      limits: { max_run_s: 60, max_total_s: 3_600 },
    });
  });

  test("an array passes its arguments on, one for each line", () => {
    const { request } = read({ work: "array", count: "40", args: "--index\n{index}\n" });
    expect(request.array).toEqual({ count: 40, args: ["--index", "{index}"] });
    expect(request.tasks).toBeUndefined();
  });

  test("each line is one task", () => {
    const { request } = read({ work: "lines", inputText: "one\n\ntwo\n" });
    expect(request.tasks).toEqual([{ input: { text: "one" } }, { input: { text: "two" } }]);
  });

  test("a model takes JSON, in one task or one a line", () => {
    const model = { kind: "onnx", model: "model_1", input: "json" } as const;
    const one = read({ ...model, inputText: '{"x": [1]}' });
    expect(one.request).toMatchObject({
      onnx: { model: "model_1" },
      tasks: [{ input: { json: { x: [1] } } }],
    });
    const lines = read({ ...model, work: "lines", inputText: '{"x": 1}\n{"x": 2' });
    expect(Object.keys(lines.errors)).toEqual(["tasks/1/input/json"]);
  });

  test("place, money and limits are given only where they are asked for", () => {
    const { request } = read({
      cell: "cell_1",
      cellOnly: true,
      labels: "gpu=yes, site = roof",
      arch: "aarch64",
      budgetCredits: "0.25",
      slots: "4",
      latencyMs: "20",
      cores: "0.25",
    });
    expect(request).toMatchObject({
      cell: "cell_1",
      constraints: { labels: { gpu: "yes", site: "roof" }, arch: ["aarch64"], cell_only: true },
      budget_micros: 250_000,
      slots_max: 4,
      qos: { latency_ms_max: 20 },
      resources: { cpu_millis: 250 },
    });
  });

  test("a deadline and the choice to top up are needs of quality", () => {
    const { request, errors } = read({ deadlineS: "90", topUp: true });
    expect(errors).toEqual({});
    expect(request.qos).toEqual({ deadline_s: 90, top_up: true });
  });

  test.each<[string, Partial<JobForm>]>([
    ["qos/top_up", { topUp: true }],
    ["qos/deadline_s", { deadlineS: "soon" }],
    ["wasm/module", { module: "sum.wasm" }],
    ["resources/cpu_millis", { cores: "0" }],
    ["resources/memory_bytes", { memoryMib: "much" }],
    ["limit_price_micros_per_hour", { limitCredits: "0" }],
    ["budget_micros", { budgetCredits: "-1" }],
    ["array/count", { work: "array", count: "1.5" }],
    ["array/input/json", { work: "array", input: "json", inputText: "{" }],
    ["tasks", { work: "lines", inputText: " \n" }],
    ["constraints/labels", { labels: "gpu" }],
    ["slots_max", { slots: "0" }],
    ["limits/max_run_s", { maxRunS: "" }],
    ["retry/attempts_max", { attempts: "none" }],
  ])("a wrong %s is said at its field", (field, over) => {
    expect(Object.keys(read(over).errors)).toEqual([field]);
  });

  test("says what is missing before the market is asked", () => {
    expect(read({ module: "" }).missing).toMatch(/module/);
    expect(read({ kind: "onnx", model: "" }).missing).toMatch(/model/);
    expect(read({ kind: "onnx", model: "m", input: "none" }).missing).toMatch(/inputs/);
  });
});
