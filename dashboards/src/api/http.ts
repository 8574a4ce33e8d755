/** One way to call the platform: same origin, session cookie, CSRF header, problems as errors. */

import { problemFrom, unreachable } from "./problem";

const CALL_MS_MAX = 30_000;

let csrfToken = "";
let serverAheadMs = 0;
let signedOut: () => void = () => {};
let underway = new AbortController();

/** Give up every call that is under way: before the session that they are made in is ended. */
export function abandonCalls(): void {
  underway.abort();
  underway = new AbortController();
}

export function setCsrfToken(token: string): void {
  csrfToken = token;
}

/** Called when the platform says that the session is over. */
export function onSignedOut(listener: () => void): void {
  signedOut = listener;
}

/** The platform's time now, in ms: ages are told by its clock, not by the reader's. */
export function platformNow(): number {
  return Date.now() + serverAheadMs;
}

function learnClock(response: Response): void {
  const date = Date.parse(response.headers.get("date") ?? "");
  if (Number.isNaN(date)) return;
  // The header has whole seconds: a smaller difference is no knowledge.
  const ahead = date + 500 - Date.now();
  serverAheadMs = Math.abs(ahead) > 1_500 ? ahead : 0;
}

export interface CallOptions {
  method?: string;
  json?: unknown;
  body?: BodyInit;
  headers?: Record<string, string>;
  idempotencyKey?: string;
  signal?: AbortSignal;
  /** A 401 is an answer here and not the end of the session. */
  signingIn?: boolean;
}

/** The response, if it is a good one. Raises ``Problem``; an abort passes through. */
export async function call(path: string, options: CallOptions = {}): Promise<Response> {
  const { method = "GET", json, body, idempotencyKey, signal } = options;
  const headers: Record<string, string> = { Accept: "application/json", ...options.headers };
  if (json !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET" && csrfToken) headers["X-CSRF-Token"] = csrfToken;
  if (idempotencyKey) headers["Idempotency-Key"] = idempotencyKey;
  const init: RequestInit = { method, headers, credentials: "same-origin" };
  if (json !== undefined) init.body = JSON.stringify(json);
  else if (body !== undefined) init.body = body;
  // An upload may take long; everything else that hangs is an outage, and is shown as one.
  const limits = body === undefined ? [AbortSignal.timeout(CALL_MS_MAX)] : [];
  const own = options.signingIn ? [] : [underway.signal];
  init.signal = AbortSignal.any([...own, ...limits, ...(signal ? [signal] : [])]);
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw unreachable();
  }
  learnClock(response);
  if (response.ok) return response;
  if (response.status === 401 && !options.signingIn) signedOut();
  const answer: unknown = await response.json().catch(() => null);
  throw problemFrom(response.status, answer, response.headers.get("retry-after"));
}

export async function callJson<T>(path: string, options: CallOptions = {}): Promise<T> {
  const response = await call(path, options);
  return (response.status === 204 ? null : await response.json()) as T;
}

/** `query("/v1/jobs", {state: "running", cursor: null})` → `/v1/jobs?state=running`. */
export function query(path: string, parameters: Record<string, unknown>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") search.set(name, String(value));
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

/** A random key, even where the page has no secure context and thus no `crypto.randomUUID`. */
export function newIdempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
