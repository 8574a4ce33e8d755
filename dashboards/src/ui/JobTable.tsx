/** Jobs as table rows: what each is, how far it came, what it cost, how long it took. */

import type { Job } from "../api/types";
import { lossPhrase } from "../format/loss";
import { between, formatDuration } from "../format/time";
import { useNow } from "../live/hooks";
import { Link } from "../router";
import { Age, Credits, Dash, Meter } from "./Figures";
import { State } from "./State";
import { Table, type Column } from "./Table";

const ENDS: ReadonlySet<string> = new Set(["succeeded", "failed", "cancelled", "expired"]);

export const hasEnded = (job: Job) => ENDS.has(job.state);

/** What the job owes by now: its cost once settled, what has accrued until then. */
export const costSoFar = (job: Job) =>
  (hasEnded(job) ? job.cost_micros : job.accrued_micros) ?? job.cost_micros ?? 0;

export function TaskProgress({ job }: { job: Job }) {
  const { succeeded, failed, cancelled, placed, queued } = job.tasks;
  const label = `${succeeded} of ${job.task_count} tasks succeeded, ${placed} placed, ${queued} queued, ${failed} failed, ${cancelled} cancelled`;
  return (
    <span className="capacity">
      <Meter
        label={label}
        total={job.task_count}
        parts={[
          { className: "meter-good", value: succeeded },
          { className: "meter-bad", value: failed },
          { className: "meter-busy", value: placed },
        ]}
      />
      <span className="figure">
        {succeeded + failed + cancelled} <span className="unit">of {job.task_count}</span>
      </span>
    </span>
  );
}

const COLUMNS: readonly Column[] = [
  { label: "Job" },
  { label: "State" },
  { label: "Tasks ended", className: "col-capacity" },
  { label: "Cost", className: "num" },
  { label: "Start after", className: "num wide-only" },
  { label: "Ran for", className: "num wide-only" },
  { label: "Submitted", className: "num mid-only" },
];

export function JobTable({ jobs }: { jobs: readonly Job[] }) {
  return (
    <div className="scroll">
      <Table columns={COLUMNS} className="jobs-table">
        <tbody>
          {jobs.map((job) => (
            <JobRow key={job.id} job={job} />
          ))}
        </tbody>
      </Table>
    </div>
  );
}

/** Why it ended badly, or why it still waits: in a word, and in a sentence. */
export function reasonOf(job: Job): { why: string | null; detail: string | null } {
  if (job.state === "succeeded") return { why: null, detail: null };
  if (hasEnded(job)) {
    return { why: job.end_reason?.replaceAll("_", " ") ?? null, detail: job.end_detail };
  }
  const loss = job.state === "queued" ? job.demand?.last_loss : null;
  if (!loss) return { why: null, detail: null };
  return { why: lossPhrase(loss), detail: job.demand?.last_loss_detail ?? null };
}

function JobRow({ job }: { job: Job }) {
  const now = useNow();
  const { why, detail } = reasonOf(job);
  const waited = between(job.created_at, job.started_at);
  const ran = job.started_at
    ? (job.ended_at ? Date.parse(job.ended_at) : now) - Date.parse(job.started_at)
    : null;
  return (
    <tr>
      <th scope="row">
        <Link href={`/jobs/${job.id}`}>{job.name || job.id}</Link>{" "}
        <span className="muted">{job.kind}</span>
      </th>
      <td>
        <State state={job.state} title={detail ?? why} />
        {why && (
          <span className="muted mid-only" title={detail ?? undefined}>
            {" "}
            {why}
          </span>
        )}
      </td>
      <td>
        <TaskProgress job={job} />
      </td>
      <td className="num">
        <Credits micros={costSoFar(job)} />
      </td>
      <td className="num wide-only">{waited === null ? <Dash /> : formatDuration(waited)}</td>
      <td className="num wide-only">{ran === null ? <Dash /> : formatDuration(ran)}</td>
      <td className="num mid-only">
        <Age at={job.created_at} />
      </td>
    </tr>
  );
}
