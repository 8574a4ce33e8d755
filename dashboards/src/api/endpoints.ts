/** The calls that the dashboard makes, each under its name in the REST reference. */

import { call, callJson, query } from "./http";
import type * as T from "./types";

const id = encodeURIComponent;

export const getSession = () => callJson<T.Session>("/v1/sessions/current", { signingIn: true });
export const signIn = (credentials: { name: string; password: string } | { api_key: string }) =>
  callJson<T.Session>("/v1/sessions", { method: "POST", json: credentials, signingIn: true });
export const signOut = () => call("/v1/sessions/current", { method: "DELETE", signingIn: true });

export const getOverview = (signal?: AbortSignal) =>
  callJson<T.Overview>("/v1/overview", signal ? { signal } : {});
export const getPriceHistory = (cellId: string, resource: string, from: string) =>
  callJson<T.Page<T.PriceRow>>(
    query("/v1/market/prices/history", { cell_id: cellId, resource, from, limit: 200 }),
  );

export const listRounds = () =>
  callJson<T.Page<T.Round>>("/v1/market/rounds?with_bids=true&limit=300");
export const listCellRounds = (cell: string, cursor: string | null, limit = 50) =>
  callJson<T.Page<T.Round>>(
    query("/v1/market/rounds", { cell_id: cell, with_bids: true, limit, cursor }),
  );
export const getRound = (round: string) =>
  callJson<T.RoundDetail>(`/v1/market/rounds/${id(round)}`);
export const listUpperRounds = () =>
  callJson<T.Page<T.UpperRound>>("/v1/market/upper-rounds?limit=50");
export const getBook = (cellId: string) =>
  callJson<T.Book>(query("/v1/market/book", { cell_id: cellId }));
export const getTrends = (cellId: string, from: string, stepS: number) =>
  callJson<{ items: T.Statistic[] }>(
    query("/v1/market/statistics", { cell_id: cellId, from, step_s: stepS }),
  );

export const listPolicies = () => callJson<T.Page<T.Policy>>("/v1/policies?limit=100");
export const getComparison = (policy: string) =>
  callJson<T.Comparison>(`/v1/policies/${id(policy)}/shadow`);
export const activatePolicy = (policy: string) =>
  callJson<T.Policy>(`/v1/policies/${id(policy)}/activate`, { method: "POST" });
export const startShadow = (policy: string) =>
  callJson<T.Policy>(`/v1/policies/${id(policy)}/shadow`, { method: "POST" });
export const endShadow = (policy: string) =>
  call(`/v1/policies/${id(policy)}/shadow`, { method: "DELETE" });

/** The longest step that there is, so that all since ``from`` is in one (or two) of it. */
export const getStatistics = (from: string) =>
  callJson<{ items: T.Statistic[] }>(query("/v1/market/statistics", { from, step_s: 31 * 86_400 }));

export const listJobs = (filter: { state?: string; name?: string; cursor?: string | null }) =>
  callJson<T.Page<T.Job>>(query("/v1/jobs", { ...filter, limit: 50 }));
export const getJob = (job: string) => callJson<T.Job>(`/v1/jobs/${id(job)}`);
export const getAttempts = (job: string) =>
  callJson<T.Page<T.Attempt>>(`/v1/jobs/${id(job)}/attempts?limit=200`);
export const getTasks = (job: string, state: string, cursor: string | null = null) =>
  callJson<T.Page<T.Task>>(query(`/v1/jobs/${id(job)}/tasks`, { state, cursor, limit: 100 }));
export const getExplanation = (job: string) =>
  callJson<T.Explanation>(`/v1/jobs/${id(job)}/explain`);
export const getLogs = (job: string) => callJson<T.Page<T.LogItem>>(`/v1/jobs/${id(job)}/logs`);
export const getJobEvents = (job: string) =>
  callJson<T.Page<T.SoukEvent>>(`/v1/jobs/${id(job)}/events?limit=100`);
export const cancelJob = (job: string) =>
  callJson<T.Job>(`/v1/jobs/${id(job)}/cancel`, { method: "POST" });
export const resultPath = (job: string, index: number) =>
  `/v1/jobs/${id(job)}/tasks/${index}/result`;

export const planJob = (request: unknown, signal: AbortSignal) =>
  callJson<T.JobPlan>("/v1/jobs/plan", { method: "POST", json: request, signal });
export const submitJob = (request: unknown, idempotencyKey: string) =>
  callJson<T.Job>("/v1/jobs", { method: "POST", json: request, idempotencyKey });

export const listCells = () => callJson<T.Page<T.Cell>>("/v1/cells?limit=500");
export const listArtifacts = () => callJson<T.Page<T.Artifact>>("/v1/artifacts?limit=100");
export const listModels = () => callJson<T.Page<T.Model>>("/v1/models?limit=100");
export const uploadArtifact = (file: File) =>
  callJson<T.Artifact>(query("/v1/artifacts", { name: file.name }), {
    method: "POST",
    body: file,
    headers: { "Content-Type": "application/octet-stream" },
  });
export const registerModel = (name: string, digest: string, idempotencyKey: string) =>
  callJson<T.Model>("/v1/models", { method: "POST", json: { name, digest }, idempotencyKey });

export const listNodes = (cursor: string | null) =>
  callJson<T.Page<T.Node>>(query("/v1/nodes", { cursor, limit: 200 }));
export const listLeases = (node: string) =>
  callJson<T.Page<T.Lease>>(query("/v1/leases", { node_id: node, state: "active", limit: 100 }));
export const listOffers = (node: string) =>
  callJson<T.Page<T.Offer>>(query("/v1/offers", { node_id: node, limit: 10 }));
export const getNode = (node: string) => call(`/v1/nodes/${id(node)}`);
export const patchNode = (node: string, etag: string | null, change: { draining: boolean }) =>
  callJson<T.Node>(`/v1/nodes/${id(node)}`, {
    method: "PATCH",
    json: change,
    headers: etag ? { "If-Match": etag } : {},
  });
