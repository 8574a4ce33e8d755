/** The job's tasks and what came out of each. */

import { useState } from "react";
import { call } from "../../api/http";
import { getTasks, resultPath } from "../../api/endpoints";
import type { Job, SoukEvent, Task } from "../../api/types";
import { endWords } from "../../format/ends";
import { previewOf, type Preview } from "../../format/preview";
import { formatBytes } from "../../format/units";
import { useLoaded } from "../../live/hooks";
import { TaskProgress } from "../../ui/JobTable";
import { Empty, Panel, Pending } from "../../ui/Panel";
import { State } from "../../ui/State";
import { Table, type Column } from "../../ui/Table";

const STATES = ["queued", "placed", "succeeded", "failed", "cancelled"] as const;

const COLUMNS: readonly Column[] = [
  { label: "Task", className: "num" },
  { label: "State" },
  { label: "Attempts", className: "num" },
  { label: "Result" },
];

export function TasksPanel({
  job,
  wakes,
  idleMs,
}: {
  job: Job;
  wakes: (event: SoukEvent) => boolean;
  idleMs: number;
}) {
  const [state, setState] = useState("");
  const loaded = useLoaded(`tasks ${job.id} ${state}`, () => getTasks(job.id, state), {
    wakes,
    idleMs,
  });
  const { data } = loaded;
  // The only task's result is what one came for: it is shown without being asked for.
  const only = job.task_count === 1 && data?.items[0]?.result_digest ? data.items[0] : null;
  return (
    <Panel
      title="Tasks and results"
      note={<TaskProgress job={job} />}
      actions={
        job.task_count > 1 && (
          <select
            aria-label="Tasks to show"
            value={state}
            onChange={(event) => setState(event.target.value)}
          >
            <option value="">all {job.task_count}</option>
            {STATES.map((choice) => (
              <option key={choice} value={choice}>
                {choice} {job.tasks[choice]}
              </option>
            ))}
          </select>
        )
      }
    >
      {!data && <Pending loaded={loaded} label="Loading the tasks" />}
      {data && data.items.length === 0 && <Empty title="No task is like that" />}
      {data && data.items.length > 0 && (
        <div className="scroll scroll-tall">
          <Table columns={COLUMNS}>
            <tbody>
              {data.items.map((task) => (
                <TaskRow key={task.id} job={job} task={task} open={task === only} />
              ))}
            </tbody>
          </Table>
        </div>
      )}
      {data?.next_cursor && (
        <p className="panel-foot muted">
          The first {data.items.length} are shown; choose a state, or use{" "}
          <code>souk job show {job.id}</code> for all.
        </p>
      )}
    </Panel>
  );
}

function TaskRow({ job, task, open }: { job: Job; task: Task; open: boolean }) {
  const [chosen, setChosen] = useState<boolean | null>(null);
  const shown = chosen ?? open;
  const path = resultPath(job.id, task.index);
  return (
    <>
      <tr>
        <th scope="row" className="num">
          {task.index}
        </th>
        <td>
          <State state={task.state} title={task.end_detail} />
          <span className="muted"> {endWords(task.end_reason, task.exit_code)}</span>
        </td>
        <td className="num">{task.attempts}</td>
        <td>
          {task.result_digest ? (
            <span className="result-actions">
              <span className="figure">{formatBytes(task.result_bytes ?? 0)}</span>
              <button
                type="button"
                className="button button-quiet"
                aria-expanded={shown}
                onClick={() => setChosen(!shown)}
              >
                {shown ? "Hide" : "Preview"}
              </button>
              <a href={path} download={`${job.name || job.id}-${task.index}`}>
                Download
              </a>
            </span>
          ) : (
            <span className="muted">{task.end_detail || "–"}</span>
          )}
        </td>
      </tr>
      {shown && task.result_digest && (
        <tr>
          <td colSpan={4}>
            <Result path={path} digest={task.result_digest} />
          </td>
        </tr>
      )}
    </>
  );
}

const PREVIEW_BYTES_MAX = 64 * 1024;

/** The head of a body, without reading the rest of it. */
async function readHead(path: string): Promise<Preview> {
  const abort = new AbortController();
  const response = await call(path, { headers: { Accept: "*/*" }, signal: abort.signal });
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = response.body?.getReader();
  while (reader && length <= PREVIEW_BYTES_MAX) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    length += value.length;
  }
  await reader?.cancel();
  const bytes = new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
  return previewOf(bytes.subarray(0, PREVIEW_BYTES_MAX), length > PREVIEW_BYTES_MAX);
}

function Result({ path, digest }: { path: string; digest: string }) {
  const loaded = useLoaded(`${path} ${digest}`, () => readHead(path));
  const { data } = loaded;
  if (!data) return <Pending loaded={loaded} rows={2} label="Loading the result" />;
  return (
    <>
      <pre className="result" tabIndex={0}>
        {data.text || "(empty)"}
      </pre>
      <p className="muted result-note">
        {data.is} · {digest}
        {data.cut && " · only the beginning is shown"}
      </p>
    </>
  );
}
