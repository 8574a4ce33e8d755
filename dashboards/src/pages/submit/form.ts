/** What the form holds as people type it, and the request that it means. */

import { parseCredits } from "../../format/money";

export interface JobForm {
  name: string;
  kind: "wasm" | "onnx";
  module: string;
  model: string;
  env: string;
  work: "one" | "array" | "lines";
  count: string;
  args: string;
  input: "none" | "text" | "json";
  inputText: string;
  cores: string;
  memoryMib: string;
  limitCredits: string;
  budgetCredits: string;
  slots: string;
  cell: string;
  cellOnly: boolean;
  labels: string;
  arch: string;
  maxRunS: string;
  maxTotalS: string;
  attempts: string;
  latencyMs: string;
  deadlineS: string;
  topUp: boolean;
}

export const EMPTY_FORM: JobForm = {
  name: "",
  kind: "wasm",
  module: "",
  model: "",
  env: "",
  work: "one",
  count: "10",
  args: "",
  input: "none",
  inputText: "",
  cores: "1",
  memoryMib: "128",
  limitCredits: "0.1",
  budgetCredits: "",
  slots: "",
  cell: "",
  cellOnly: false,
  labels: "",
  arch: "",
  maxRunS: "60",
  maxTotalS: "3600",
  attempts: "5",
  latencyMs: "",
  deadlineS: "",
  topUp: false,
};

export interface FormReading {
  request: Record<string, unknown>;
  /** Detail by the pointer of the request's field, as the platform names it. */
  errors: Record<string, string>;
  /** What must be given before anything can be asked of the market. */
  missing: string | null;
}

type Errors = Record<string, string>;

/** The request that ``form`` means, with what is wrong in it. */
export function readForm(form: JobForm): FormReading {
  const errors: Errors = {};
  const request: Record<string, unknown> = {
    name: form.name.trim(),
    kind: form.kind,
    ...code(form, errors),
    ...work(form, errors),
    resources: {
      cpu_millis: scaled(form.cores, 1_000, "resources/cpu_millis", errors),
      memory_bytes: scaled(form.memoryMib, 2 ** 20, "resources/memory_bytes", errors),
    },
    ...money(form, errors),
    ...place(form, errors),
    retry: { attempts_max: whole(form.attempts, "retry/attempts_max", errors) },
    limits: {
      max_run_s: seconds(form.maxRunS, "limits/max_run_s", errors),
      max_total_s: seconds(form.maxTotalS, "limits/max_total_s", errors),
    },
  };
  if (form.slots.trim()) request.slots_max = whole(form.slots, "slots_max", errors);
  const needs = qos(form, errors);
  if (Object.keys(needs).length) request.qos = needs;
  return { request, errors, missing: missingOf(form) };
}

function missingOf(form: JobForm): string | null {
  if (form.kind === "wasm" && !form.module.trim()) return "Choose a WASM module.";
  if (form.kind === "onnx" && !form.model.trim()) return "Choose an ONNX model.";
  if (form.kind === "onnx" && form.input === "none") return "Give the model its inputs.";
  return null;
}

function code(form: JobForm, errors: Errors): Record<string, unknown> {
  if (form.kind === "onnx") return { onnx: { model: form.model.trim() } };
  const env = pairs(form.env, "\n", "wasm/env", errors);
  const module = form.module.trim();
  if (module && !/^sha256:[0-9a-f]{64}$/.test(module)) {
    errors["wasm/module"] = "A digest is sha256: and 64 hexadecimal digits.";
  }
  return { wasm: { module, ...(Object.keys(env).length ? { env } : {}) } };
}

function work(form: JobForm, errors: Errors): Record<string, unknown> {
  const args = form.args.split("\n").filter((line) => line !== "");
  const withArgs = args.length ? { args } : {};
  if (form.work === "lines") {
    const lines = form.inputText.split("\n").filter((line) => line.trim() !== "");
    if (lines.length === 0) errors.tasks = "Give at least one line: each is one task's input.";
    const json = form.kind === "onnx";
    const tasks = lines.map((line, at) => ({
      ...withArgs,
      input: json ? { json: parsed(line, `tasks/${at}/input/json`, errors) } : { text: line },
    }));
    return { tasks };
  }
  const at = form.work === "array" ? "array" : "tasks/0";
  const input = inputOf(form, `${at}/input`, errors);
  const task = { ...withArgs, ...(input ? { input } : {}) };
  if (form.work === "one") return { tasks: [task] };
  return { array: { count: whole(form.count, "array/count", errors), ...task } };
}

function inputOf(form: JobForm, at: string, errors: Errors): Record<string, unknown> | null {
  if (form.input === "none") return null;
  if (form.input === "text") return { text: form.inputText };
  return { json: parsed(form.inputText, `${at}/json`, errors) };
}

function parsed(text: string, at: string, errors: Errors): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    errors[at] = `This is not JSON: ${error instanceof Error ? error.message : String(error)}`;
    return null;
  }
}

function money(form: JobForm, errors: Errors): Record<string, unknown> {
  const limit = parseCredits(form.limitCredits);
  if (limit === null || limit === 0) {
    errors.limit_price_micros_per_hour = "An amount of credits above 0, as 0.1.";
  }
  if (!form.budgetCredits.trim()) return { limit_price_micros_per_hour: limit };
  const budget = parseCredits(form.budgetCredits);
  if (budget === null) errors.budget_micros = "An amount of credits, as 0.25.";
  return { limit_price_micros_per_hour: limit, budget_micros: budget };
}

function place(form: JobForm, errors: Errors): Record<string, unknown> {
  const labels = pairs(form.labels, ",", "constraints/labels", errors);
  const arch = form.arch
    .split(",")
    .map((one) => one.trim())
    .filter(Boolean);
  const constraints = {
    ...(Object.keys(labels).length ? { labels } : {}),
    ...(arch.length ? { arch } : {}),
    ...(form.cellOnly && form.cell ? { cell_only: true } : {}),
  };
  return {
    ...(form.cell ? { cell: form.cell } : {}),
    ...(Object.keys(constraints).length ? { constraints } : {}),
  };
}

function qos(form: JobForm, errors: Errors): Record<string, unknown> {
  const needs: Record<string, unknown> = {};
  if (form.latencyMs.trim()) {
    needs.latency_ms_max = whole(form.latencyMs, "qos/latency_ms_max", errors);
  }
  if (form.deadlineS.trim()) needs.deadline_s = seconds(form.deadlineS, "qos/deadline_s", errors);
  if (!form.topUp) return needs;
  if (Object.keys(needs).length === 0) {
    errors["qos/top_up"] = "Give a deadline or a latency: without one it can never fall behind.";
  }
  return { ...needs, top_up: true };
}

/** `a=1, b=2` → `{a: "1", b: "2"}`. */
function pairs(
  text: string,
  separator: string,
  at: string,
  errors: Errors,
): Record<string, string> {
  const found: Record<string, string> = {};
  for (const part of text
    .split(separator)
    .map((one) => one.trim())
    .filter(Boolean)) {
    const equals = part.indexOf("=");
    if (equals < 1) errors[at] = `“${part}” is no name=value.`;
    else found[part.slice(0, equals).trim()] = part.slice(equals + 1).trim();
  }
  return found;
}

function whole(text: string, at: string, errors: Errors): number | null {
  const value = /^\s*\d{1,15}\s*$/.test(text) ? Number(text) : null;
  if (value === null || value < 1) errors[at] = "A whole number of at least 1.";
  return value;
}

function seconds(text: string, at: string, errors: Errors): number | null {
  const value = /^\s*\d{1,9}(\.\d{1,3})?\s*$/.test(text) ? Number(text) : null;
  if (value === null || value <= 0) errors[at] = "A number of seconds above 0.";
  return value;
}

/** A decimal number of ``unit`` base units, to the nearest whole one. */
function scaled(text: string, unit: number, at: string, errors: Errors): number | null {
  const value = /^\s*\d{1,9}(\.\d{1,6})?\s*$/.test(text) ? Math.round(Number(text) * unit) : null;
  if (value === null || value < 1) errors[at] = "A number above 0.";
  return value;
}
