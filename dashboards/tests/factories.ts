/** Shapes of the contract with only what a test is about stated. */

import type {
  Attempt,
  Job,
  Node,
  Overview,
  PriceRow,
  Round,
  SoukEvent,
  Statistic,
} from "../src/api/types";

export const AT = "2026-01-02T03:04:05Z";

export function makeJob(over: Partial<Job> = {}): Job {
  return {
    id: "job_1",
    name: "sum",
    kind: "wasm",
    state: "queued",
    account_id: "acct_1",
    cell_id: null,
    task_count: 1,
    tasks: { queued: 1, placed: 0, succeeded: 0, failed: 0, cancelled: 0 },
    limit_price_micros_per_hour: 100_000,
    hold_micros: 2_000,
    cost_micros: null,
    accrued_micros: 0,
    end_reason: null,
    end_detail: null,
    created_at: AT,
    matched_at: null,
    started_at: null,
    ended_at: null,
    expires_at: null,
    ...over,
  };
}

export function makeNode(over: Partial<Node> = {}): Node {
  return {
    id: "node_1",
    name: "crane",
    owner_id: "acct_2",
    owner_name: "dora",
    cell_id: "cell_1",
    cell_name: "harbour",
    state: "online",
    state_reason: null,
    arch: "x86_64",
    cpu_count: 4,
    agent_version: "0.1.0",
    runtimes: {},
    labels: {},
    capacity: { cpu_millis: 2_000 },
    leased: { cpu_millis: 500 },
    free: { cpu_millis: 1_500 },
    measured: null,
    reliability: null,
    speed: null,
    last_seen_at: AT,
    enrolled_at: AT,
    certificate_expires_at: null,
    version: 1,
    ...over,
  };
}

export function makeAttempt(over: Partial<Attempt> = {}): Attempt {
  return {
    id: "attempt_1",
    task_index: 0,
    number: 1,
    node_id: "node_1",
    node_name: "crane",
    lease_id: "lease_1",
    state: "running",
    reason: null,
    detail: null,
    exit_code: null,
    wall_ms: null,
    cpu_ms: null,
    memory_peak_bytes: null,
    bytes_in: null,
    bytes_out: null,
    energy_millijoules: null,
    chargeable_ms: null,
    assigned_at: AT,
    accepted_at: null,
    started_at: null,
    ended_at: null,
    ...over,
  };
}

export function makePrice(over: Partial<PriceRow> = {}): PriceRow {
  return {
    cell_id: "cell_1",
    cell_name: "harbour",
    resource: "cpu_millis",
    price_micros: 20_000,
    utilisation: 0.5,
    at: AT,
    ...over,
  };
}

export function makeRound(over: Partial<Round> = {}): Round {
  return {
    id: "round_1",
    cell_id: "cell_1",
    policy_id: "policy_default",
    mechanism: "hierarchical",
    bid_count: 1,
    ask_count: 1,
    slots_asked: 2,
    slots_applied: 1,
    slots_sent_up: 1,
    welfare: 0.9,
    bound: 1,
    gap: 0.1,
    timings_ms: { clear: 4 },
    created_at: AT,
    ...over,
  };
}

export function makeStatistic(over: Partial<Statistic> = {}): Statistic {
  return {
    cell_id: "cell_1",
    cell_name: "harbour",
    resource: "cpu_millis",
    at: AT,
    rounds: 3,
    price_p10_micros: 10,
    price_p50_micros: 20,
    price_p90_micros: 30,
    fill_rate: 0.5,
    depth_free: 2_000,
    depth_asked: 1_000,
    demands: 4,
    share_forwarded: 0.25,
    ...over,
  };
}

export function makeOverview(over: Partial<Overview> = {}): Overview {
  return {
    cells: [],
    nodes: [],
    jobs: { by_state: {}, recent: [] },
    balances: [],
    invariants: null,
    prices: [],
    latency: null,
    control: { version: "0.1.0", mechanism: "greedy" },
    ...over,
  };
}

export function makeEvent(kind: string, over: Partial<SoukEvent> = {}): SoukEvent {
  return { id: "1", at: AT, kind, subject_id: "job_1", data: {}, ...over };
}
