/** Every job that one may see, by state and name, newest first. */

import { useState } from "react";
import { listJobs } from "../api/endpoints";
import { asProblem, type Problem } from "../api/problem";
import { JOB_STATES, type Job } from "../api/types";
import { useLoaded } from "../live/hooks";
import { Link, useChoose, useSearch, useTitle } from "../router";
import { maySubmit, useSession } from "../session";
import { JobTable } from "../ui/JobTable";
import { Empty, Loading, Panel, ProblemNotice } from "../ui/Panel";

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
  const first = useLoaded(`${state} ${name}`, () => listJobs({ state, name }), {
    wakes: (event) => event.kind.startsWith("job."),
    idleMs: 10_000,
  });
  const [older, setOlder] = useState<{ items: Job[]; cursor: string | null } | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  if (!first.data) {
    return first.problem ? (
      <ProblemNotice problem={first.problem} retry={first.refresh} />
    ) : (
      <Loading rows={6} label="Loading the jobs" />
    );
  }
  const seen = new Set(first.data.items.map((job) => job.id));
  const jobs = [...first.data.items, ...(older?.items ?? []).filter((job) => !seen.has(job.id))];
  const cursor = older ? older.cursor : first.data.next_cursor;
  const more = async () => {
    try {
      const page = await listJobs({ state, name, cursor });
      setOlder({
        items: [...(older?.items ?? first.data?.items ?? []), ...page.items],
        cursor: page.next_cursor,
      });
      setProblem(null);
    } catch (error) {
      setProblem(asProblem(error));
    }
  };
  const wrong = problem ?? first.problem;
  return (
    <>
      {wrong && <ProblemNotice problem={wrong} retry={first.refresh} />}
      {jobs.length === 0 ? (
        <Empty title={state || name ? "No job is like that" : "No job yet"} />
      ) : (
        <JobTable jobs={jobs} />
      )}
      {cursor && (
        <button type="button" className="button more" onClick={() => void more()}>
          Older jobs
        </button>
      )}
    </>
  );
}
