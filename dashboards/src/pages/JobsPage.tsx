/** Every job that one may see, by state and name, newest first. */

import { listJobs } from "../api/endpoints";
import { JOB_STATES } from "../api/types";
import { usePages } from "../live/hooks";
import { Link, useChoose, useSearch, useTitle } from "../router";
import { maySubmit, useSession } from "../session";
import { JobTable } from "../ui/JobTable";
import { Empty, Panel, Pending } from "../ui/Panel";

export function JobsPage() {
  const search = useSearch();
  const { account } = useSession();
  const state = search.get("state") ?? "";
  const name = search.get("name") ?? "";
  useTitle("Jobs");
  const choose = useChoose();
  return (
    <Panel
      title="Jobs"
      whole
      actions={maySubmit(account) && <Link href="/jobs/new">Submit a job</Link>}
    >
      <div className="filters" role="search">
        <label>
          State{" "}
          <select value={state} onChange={(event) => choose({ state: event.target.value })}>
            <option value="">all</option>
            {JOB_STATES.map((choice) => (
              <option key={choice}>{choice}</option>
            ))}
          </select>
        </label>
        <form
          key={name}
          onSubmit={(event) => {
            event.preventDefault();
            choose({ name: String(new FormData(event.currentTarget).get("name") ?? "") });
          }}
        >
          <label>
            Name <input name="name" type="search" defaultValue={name} />
          </label>
        </form>
      </div>
      <JobList key={`${state} ${name}`} state={state} name={name} />
    </Panel>
  );
}

function JobList({ state, name }: { state: string; name: string }) {
  const loaded = usePages(`${state} ${name}`, (cursor) => listJobs({ state, name, cursor }), {
    wakes: (event) => event.kind.startsWith("job."),
    idleMs: 10_000,
  });
  const { data: jobs, more } = loaded;
  return (
    <>
      <Pending loaded={loaded} rows={6} label="Loading the jobs" />
      {jobs?.length === 0 && <Empty title={state || name ? "No job is like that" : "No job yet"} />}
      {jobs && jobs.length > 0 && <JobTable jobs={jobs} />}
      {more && (
        <button type="button" className="button more" onClick={more}>
          Older jobs
        </button>
      )}
    </>
  );
}
