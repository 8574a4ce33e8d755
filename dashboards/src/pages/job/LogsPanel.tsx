/** The tails of what the tasks wrote to their standard error. */

import { getLogs } from "../../api/endpoints";
import type { Job, SoukEvent } from "../../api/types";
import { useLoaded } from "../../live/hooks";
import { Panel } from "../../ui/Panel";

export function LogsPanel({ job, wakes }: { job: Job; wakes: (event: SoukEvent) => boolean }) {
  const { data } = useLoaded(`logs ${job.id}`, () => getLogs(job.id), { wakes });
  const logs = (data?.items ?? []).filter((item) => item.log_tail);
  if (logs.length === 0) return null;
  return (
    <Panel title="Logs" note="the end of each attempt's standard error">
      {logs.map((item) => (
        <details key={`${item.task_index} ${item.attempt}`} open={logs.length === 1}>
          <summary>
            Task {item.task_index}, attempt {item.attempt}
          </summary>
          <pre className="result" tabIndex={0}>
            {item.log_tail}
          </pre>
        </details>
      ))}
    </Panel>
  );
}
