/** The REST contract's shapes. Money is integer micros, times RFC 3339 UTC, quantities base units. */

export type Role = "operator" | "owner" | "tenant" | "viewer";
export type Quantities = Record<string, number>;

export interface Balance {
  posted_micros: number;
  held_micros: number;
  available_micros: number;
}

export interface Account {
  id: string;
  name: string;
  role: Role;
  fair_weight: number;
  disabled: boolean;
  created_at: string;
  balance: Balance;
}

export interface Session {
  account: Account;
  csrf_token: string;
}

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

export interface CellPrice {
  price_micros: number;
  utilisation: number;
}

export interface Cell {
  id: string;
  name: string;
  level: string;
  parent_id: string | null;
  nodes: { online: number; offline: number; total: number };
  capacity: { total: Quantities; leased: Quantities; free: Quantities };
  prices: Record<string, CellPrice>;
}

export interface Measured {
  cpu_free_millis?: number | null;
  memory_free_bytes?: number | null;
  disk_free_bytes?: number | null;
  load_1m_milli?: number | null;
  battery_percent?: number | null;
  on_battery?: boolean | null;
  temperature_millicelsius?: number | null;
}

export const NODE_STATES = [
  "enrolled",
  "online",
  "offline",
  "draining",
  "quarantined",
  "revoked",
] as const;
export type NodeState = (typeof NODE_STATES)[number];

export interface Node {
  id: string;
  name: string;
  owner_id: string;
  owner_name: string;
  cell_id: string;
  cell_name: string;
  state: NodeState;
  state_reason: string | null;
  arch: string;
  cpu_count: number;
  agent_version: string;
  runtimes: Record<string, unknown>;
  labels: Record<string, string>;
  capacity: Quantities;
  leased: Quantities;
  free: Quantities;
  measured: Measured | null;
  reliability: number | null;
  speed: number | null;
  last_seen_at: string | null;
  enrolled_at: string;
  certificate_expires_at: string | null;
  version: number;
}

/** In the order in which a job may go through them. */
export const JOB_STATES = [
  "queued",
  "matched",
  "running",
  "succeeded",
  "failed",
  "cancelled",
  "expired",
] as const;
export type JobState = (typeof JOB_STATES)[number];

export interface TaskCounts {
  queued: number;
  placed: number;
  succeeded: number;
  failed: number;
  cancelled: number;
}

export interface Demand {
  state: string;
  count_open: number;
  rounds: number;
  last_loss: string | null;
  last_loss_detail: string | null;
  /** What it bids for a slot: the job's limit price, or less once work of it has moved. */
  limit_micros_per_hour?: number;
}

export interface Job {
  id: string;
  name: string;
  kind: string;
  state: JobState;
  account_id: string;
  cell_id: string | null;
  task_count: number;
  tasks: TaskCounts;
  limit_price_micros_per_hour: number;
  hold_micros: number;
  cost_micros: number | null;
  accrued_micros: number | null;
  end_reason: string | null;
  end_detail: string | null;
  spec?: Record<string, unknown>;
  created_at: string;
  matched_at: string | null;
  started_at: string | null;
  ended_at: string | null;
  expires_at: string | null;
  demand?: Demand | null;
}

export interface Task {
  id: string;
  index: number;
  state: keyof TaskCounts;
  attempts: number;
  exit_code: number | null;
  end_reason: string | null;
  end_detail: string | null;
  result_digest: string | null;
  result_bytes: number | null;
  ended_at: string | null;
}

export interface Attempt {
  id: string;
  task_index: number;
  number: number;
  node_id: string;
  node_name: string;
  lease_id: string;
  state: string;
  reason: string | null;
  detail: string | null;
  exit_code: number | null;
  wall_ms: number | null;
  cpu_ms: number | null;
  memory_peak_bytes: number | null;
  bytes_in: number | null;
  bytes_out: number | null;
  energy_millijoules: number | null;
  chargeable_ms: number | null;
  assigned_at: string;
  accepted_at: string | null;
  started_at: string | null;
  ended_at: string | null;
}

export interface RoundOutcome {
  round_id: string;
  created_at: string;
  mechanism: string;
  slots_asked: number;
  slots_won: number;
  loss: string | null;
  detail: string | null;
}

export interface RuledOut {
  constraint: string;
  count: number;
  detail: string;
}

export interface Candidate {
  node_id: string;
  node_name: string;
  terms: { cost: number; qos: number; energy: number; fairness: number };
  score: number;
  rate_micros_per_hour: number;
}

export interface Lease {
  id: string;
  job_id: string;
  node_id: string;
  cell_id: string;
  state: string;
  state_reason: string | null;
  slots: number;
  resources: Quantities;
  rate_micros_per_hour: number;
  starts_at: string;
  ends_at: string;
  ended_at: string | null;
  charge_micros: number | null;
}

/** What an owner sells of a node; ``reserve`` is micros per priced unit and hour. */
export interface Offer {
  id: string;
  node_id: string;
  state: string;
  capacity: Quantities;
  reserve: Quantities;
}

export interface Explanation {
  job_id: string;
  state: JobState;
  summary: string;
  demand: Demand | null;
  rounds: RoundOutcome[];
  ruled_out: RuledOut[];
  candidates: Candidate[];
  price_to_win_micros_per_hour: number | null;
  leases: Lease[];
}

export interface LogItem {
  task_index: number;
  attempt: number;
  node_id: string;
  log_tail: string;
}

export interface SoukEvent {
  id: string;
  at: string;
  kind: string;
  subject_id: string;
  data: Record<string, unknown>;
}

export interface PriceRow {
  cell_id: string;
  cell_name: string;
  resource: string;
  price_micros: number;
  utilisation: number;
  at: string;
}

export interface Round {
  id: string;
  cell_id: string;
  policy_id: string;
  mechanism: string;
  bid_count: number;
  ask_count: number;
  slots_asked: number;
  slots_applied: number;
  slots_sent_up: number;
  welfare: number;
  bound: number;
  gap: number;
  timings_ms: Record<string, number>;
  created_at: string;
}

/** What became of one bid in a round. */
export interface Outcome {
  demand_id: string;
  job_id: string;
  slots_asked: number;
  slots_won: number;
  loss: string | null;
  detail: string;
}

/** Figures of one plan by name; ``live`` and ``shadow`` of the same round, by the same score. */
export interface RoundDetail extends Round {
  slots_matched: number;
  slots_refused: number;
  budget_ms: number;
  outcomes: Outcome[];
  shadow: {
    policy_id: string;
    live: Record<string, number>;
    shadow: Record<string, number>;
  } | null;
}

/** One clearing of a region or the root: what cells sent up, and what other cells took. */
export interface UpperRound {
  id: string;
  place: string;
  place_name: string;
  bid_count: number;
  bids_handed_down: number;
  slots_asked: number;
  slots_handed_down: number;
  cell_count: number;
  step_count: number;
  bytes_up: number;
  timings_ms: Record<string, number>;
  created_at: string;
}

/** Orders of one resource at one price: asks per priced unit, bids per slot, both for an hour. */
export interface BookLevel {
  resource: string;
  price_micros: number;
  units: number;
  orders: number;
}

export interface Book {
  asks: BookLevel[];
  bids: BookLevel[];
}

export interface PolicyBody {
  mechanism?: string;
  payment: string;
  weight_cost: number;
  weight_qos: number;
  weight_energy: number;
  weight_fairness: number;
  utilisation_target: number;
  parameters: Record<string, number>;
}

export interface Policy {
  id: string;
  name: string;
  body: PolicyBody;
  created_at: string;
  activated_at: string | null;
  shadow: boolean;
}

/** Means over the rounds that a shadow policy cleared beside the live one. */
export interface Comparison {
  policy_id: string;
  since: string;
  rounds: number;
  items: { name: string; live: number; shadow: number; change: number | null }[];
}

/** One cell and resource over a step of time; null where there was nothing to measure. */
export interface Statistic {
  cell_id: string;
  cell_name: string;
  resource: string;
  at: string;
  rounds: number;
  price_p10_micros: number | null;
  price_p50_micros: number | null;
  price_p90_micros: number | null;
  fill_rate: number | null;
  depth_free: number | null;
  depth_asked: number | null;
  demands: number;
  share_forwarded: number | null;
}

export interface Invariant {
  name: string;
  ok: boolean;
  detail: string;
}

export interface AccountBalance {
  account_id: string;
  name: string;
  role: string;
  posted_micros: number;
  held_micros: number;
}

export interface Overview {
  cells: Cell[];
  nodes: Node[];
  jobs: { by_state: Partial<Record<JobState, number>>; recent: Job[] };
  balances: AccountBalance[];
  invariants: { ok: boolean; items: Invariant[] } | null;
  prices: PriceRow[];
  latency: { submit_to_start_ms: { p50: number | null; p99: number | null; count: number } } | null;
  control: { version: string; mechanism: string };
}

export interface Range3 {
  low: number;
  likely: number;
  high: number;
}

export interface JobPlan {
  serviceable: boolean;
  reasons: RuledOut[];
  candidates: number;
  price_micros_per_hour: Range3 | null;
  cost_micros: Range3 | null;
  /** Why no price up to the limit can win; empty where one can. */
  no_price?: string;
  hold_micros: number;
  chance: number;
  start_ms: { p50: number | null; p90: number | null } | null;
  cell_id: string | null;
}

export interface Artifact {
  digest: string;
  size_bytes: number;
  name: string | null;
  created_at: string;
}

export interface Tensor {
  name: string;
  dtype: string;
  shape: (number | string | null)[];
}

export interface Model {
  id: string;
  name: string;
  digest: string;
  inputs: Tensor[];
  outputs: Tensor[];
  parameter_count: number | null;
  created_at: string;
}
