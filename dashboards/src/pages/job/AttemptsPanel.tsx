/** What ran where: each try of a task on a node, drawn over the job's time. */

import type { Attempt, Job, Page } from "../../api/types";
import { endWords } from "../../format/ends";
import { formatDuration } from "../../format/time";
import { formatBytes, formatEnergy } from "../../format/units";
import { useNow, type Loaded } from "../../live/hooks";
import { Dash } from "../../ui/Figures";
import { NodeLink } from "../../ui/NodeLink";
import { Empty, Panel, Pending } from "../../ui/Panel";
import { State, toneOf } from "../../ui/State";
import { Table, type Column } from "../../ui/Table";

const COLUMNS: readonly Column[] = [
  { label: "Task", className: "num" },
  { label: "Node" },
  { label: "State" },
  { label: "When", className: "col-span mid-only" },
  { label: "Wall", className: "num" },
  { label: "CPU", className: "num wide-only" },
  { label: "Memory peak", className: "num wide-only" },
  { label: "Energy", className: "num wide-only" },
];

export interface Span {
  waitFrom: number;
  runFrom: number;
  runTo: number;
}

/** Where an attempt lies in [``from``, ``to``] (ms), as shares of it: wait, then run. */
export function spanOf(attempt: Attempt, from: number, to: number): Span {
  const share = (at: number) => Math.min(1, Math.max(0, (at - from) / Math.max(1, to - from)));
  const end = attempt.ended_at ? Date.parse(attempt.ended_at) : to;
  const start = attempt.started_at ? Date.parse(attempt.started_at) : end;
  return {
    waitFrom: share(Date.parse(attempt.assigned_at)),
    runFrom: share(start),
    runTo: share(end),
  };
}

export function AttemptsPanel({ job, loaded }: { job: Job; loaded: Loaded<Page<Attempt>> }) {
  const now = useNow();
  const { data } = loaded;
  const from = Date.parse(job.matched_at ?? job.created_at);
  const to = job.ended_at ? Date.parse(job.ended_at) : Math.max(now, from + 1_000);
  const attempts = data?.items ?? [];
  return (
    <Panel
      title="Attempts"
      note={
        attempts.length > 0 &&
        `${attempts.length}${data?.next_cursor ? " newest" : ""} over ${formatDuration(to - from)}`
      }
    >
      {!data && <Pending loaded={loaded} label="Loading the attempts" />}
      {data && attempts.length === 0 && (
        <Empty title="Nothing has been sent to a node">
          <p>The explanation says what the job is waiting for.</p>
        </Empty>
      )}
      {attempts.length > 0 && (
        <div className="scroll scroll-tall">
          <Table columns={COLUMNS}>
            <tbody>
              {attempts.map((attempt) => (
                <AttemptRow key={attempt.id} attempt={attempt} from={from} to={to} />
              ))}
            </tbody>
          </Table>
        </div>
      )}
    </Panel>
  );
}

function AttemptRow({ attempt, from, to }: { attempt: Attempt; from: number; to: number }) {
  const used = (value: number | null, format: (value: number) => string) =>
    value === null || attempt.ended_at === null ? <Dash /> : format(value);
  return (
    <tr>
      <td className="num">
        {attempt.task_index}
        {attempt.number > 1 && <span className="muted"> try {attempt.number}</span>}
      </td>
      <th scope="row">
        <NodeLink id={attempt.node_id} name={attempt.node_name} />
      </th>
      <td>
        <State state={attempt.state} title={attempt.detail} />
        <span className="muted"> {endWords(attempt.reason, attempt.exit_code)}</span>
      </td>
      <td className="mid-only">
        <SpanBar span={spanOf(attempt, from, to)} state={attempt.state} />
      </td>
      <td className="num">{used(attempt.wall_ms, formatDuration)}</td>
      <td className="num wide-only">{used(attempt.cpu_ms, formatDuration)}</td>
      <td className="num wide-only">{used(attempt.memory_peak_bytes, formatBytes)}</td>
      <td className="num wide-only">{used(attempt.energy_millijoules, formatEnergy)}</td>
    </tr>
  );
}

function SpanBar({ span, state }: { span: Span; state: string }) {
  const x = (share: number) => share * 100;
  return (
    <svg
      className={`span-bar tone-${toneOf(state)}`}
      viewBox="0 0 100 10"
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      <rect
        className="span-wait"
        x={x(span.waitFrom)}
        y="4"
        height="2"
        width={x(span.runFrom - span.waitFrom)}
      />
      <rect
        className="span-run"
        x={Math.min(99, x(span.runFrom))}
        y="1"
        height="8"
        width={Math.max(1, x(span.runTo - span.runFrom))}
      />
    </svg>
  );
}
