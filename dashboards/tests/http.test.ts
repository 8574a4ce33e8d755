import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { call, callJson, onSignedOut, query, setCsrfToken } from "../src/api/http";
import { errorAt, errorsByField, fieldOf, problemFrom, type Problem } from "../src/api/problem";
import { matchPath } from "../src/router";

let sent: { path: string; init: RequestInit }[];
let answer: () => Response | Error;
const signedOut = vi.fn();

beforeEach(() => {
  sent = [];
  signedOut.mockClear();
  onSignedOut(signedOut);
  setCsrfToken("token");
  vi.stubGlobal("fetch", (path: string, init: RequestInit) => {
    sent.push({ path, init });
    const given = answer();
    return given instanceof Error ? Promise.reject(given) : Promise.resolve(given);
  });
});

afterEach(() => {
  vi.unstubAllGlobals();
});

const refusal = (status: number, body: unknown = {}) =>
  new Response(JSON.stringify(body), { status });
const caught = (promise: Promise<unknown>) =>
  promise.then(
    () => Promise.reject(new Error("nothing was raised")),
    (error: Problem) => error,
  );

describe("call", () => {
  test("a change carries the CSRF token and its key, a read neither", async () => {
    answer = () => new Response("{}");
    await callJson("/v1/jobs", { method: "POST", json: { a: 1 }, idempotencyKey: "k" });
    expect(sent[0]?.init.headers).toMatchObject({
      "X-CSRF-Token": "token",
      "Idempotency-Key": "k",
    });
    expect(sent[0]?.init.body).toBe('{"a":1}');
    await callJson("/v1/jobs");
    expect(sent[1]?.init.headers).toEqual({ Accept: "application/json" });
  });

  test("a refusal is raised as the problem that it states", async () => {
    const errors = [{ pointer: "/resources/cpu_millis", detail: "too many" }];
    answer = () => refusal(422, { code: "invalid", title: "No", detail: "Not so", errors });
    const problem = await caught(call("/v1/jobs"));
    expect(problem).toMatchObject({ status: 422, code: "invalid", message: "Not so", errors });
  });

  test("a refusal that is no JSON still says its status", async () => {
    answer = () => new Response("<h1>Bad gateway</h1>", { status: 502 });
    expect(await caught(call("/v1/jobs"))).toMatchObject({ status: 502, code: "http_502" });
  });

  test("a platform that is away is said to be away", async () => {
    answer = () => new TypeError("Failed to fetch");
    expect(await caught(call("/v1/jobs"))).toMatchObject({ status: 0, code: "unreachable" });
  });

  test("a 401 ends the session, but for one who signs in", async () => {
    answer = () => refusal(401);
    await caught(call("/v1/sessions", { method: "POST", signingIn: true }));
    expect(signedOut).not.toHaveBeenCalled();
    await caught(call("/v1/jobs"));
    expect(signedOut).toHaveBeenCalledOnce();
  });

  test("no content is null", async () => {
    answer = () => new Response(null, { status: 204 });
    expect(await callJson("/v1/sessions/current", { method: "DELETE" })).toBeNull();
  });
});

test("queries leave out what is not given", () => {
  expect(query("/v1/jobs", { state: "running", name: "", cursor: null, limit: 5 })).toBe(
    "/v1/jobs?state=running&limit=5",
  );
  expect(query("/v1/jobs", {})).toBe("/v1/jobs");
});

describe("problems", () => {
  test.each([
    ["/resources/cpu_millis", "resources/cpu_millis"],
    ["#/resources/cpu_millis", "resources/cpu_millis"],
    ["/body/resources/cpu_millis", "resources/cpu_millis"],
    ["/body", ""],
    ["/body_mass", "body_mass"],
    ["", ""],
  ])("%j points to the field %j", (pointer, field) => {
    expect(fieldOf(pointer)).toBe(field);
  });

  test("errors are found at their field and at the field that holds it", () => {
    const errors = [
      { pointer: "/name", detail: "Too long." },
      { pointer: "/name", detail: "No NUL." },
      { pointer: "/tasks/3/input", detail: "Both given." },
    ];
    const byField = errorsByField(problemFrom(422, { errors }, null));
    expect(errorAt(byField, "name")).toBe("Too long. No NUL.");
    expect(errorAt(byField, "tasks")).toBe("Both given.");
    expect(errorAt(byField, "task")).toBeNull();
    expect(errorsByField(null)).toEqual({});
  });

  test("a wait is kept where it is told in seconds", () => {
    expect(problemFrom(429, {}, "7").retryAfterS).toBe(7);
    expect(problemFrom(429, {}, "Wed, 21 Oct 2015 07:28:00 GMT").retryAfterS).toBeNull();
    expect(problemFrom(429, null, null).retryAfterS).toBeNull();
  });
});

describe("matchPath", () => {
  test("reads parameters and forgives a last slash", () => {
    expect(matchPath("/jobs/:id", "/jobs/job_1/")).toEqual({ id: "job_1" });
    expect(matchPath("/", "/")).toEqual({});
  });

  test.each(["/jobs", "/jobs/", "/jobs/a/b", "/nodes/a", "/jobs/%E0%A4%A"])(
    "%s is no job",
    (path) => {
      expect(matchPath("/jobs/:id", path)).toBeNull();
    },
  );
});
