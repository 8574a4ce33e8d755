/** Jobs by state, and the last ones. */

import { JOB_STATES, type Overview } from "../../api/types";
import { Link } from "../../router";
import { maySubmit, useSession } from "../../session";
import { JobTable } from "../../ui/JobTable";
import { Empty, Panel } from "../../ui/Panel";
import { StateShape, toneOf } from "../../ui/State";

export function JobsPanel({ jobs }: { jobs: Overview["jobs"] }) {
  const { account } = useSession();
  return (
    <Panel title="Jobs" actions={<Link href="/jobs">All jobs</Link>}>
      <ul className="job-states">
        {JOB_STATES.map((state) => {
          const count = jobs.by_state[state] ?? 0;
          return (
            <li key={state}>
              <Link
                href={`/jobs?state=${state}`}
                className={count ? `tone-${toneOf(state)}` : "muted"}
              >
                <StateShape state={state} />
                <b>{count.toLocaleString("en-US")}</b> {state}
              </Link>
            </li>
          );
        })}
      </ul>
      {jobs.recent.length === 0 ? (
        <Empty title="No job yet">
          {maySubmit(account) ? (
            <p>
              <Link href="/jobs/new">Submit the first one</Link>, or run{" "}
              <code>souk job submit</code>.
            </p>
          ) : (
            <p>Jobs are shown here as tenants submit them.</p>
          )}
        </Empty>
      ) : (
        <JobTable jobs={jobs.recent} />
      )}
    </Panel>
  );
}
