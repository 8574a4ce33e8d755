/** One job: where it stands and why, what ran where, what came of it, what it costs. */

import { useEffect, useState } from "react";
import { cancelJob, getAttempts, getExplanation, getJob } from "../../api/endpoints";
import type { Job, SoukEvent } from "../../api/types";
import { useDeed, useLoaded } from "../../live/hooks";
import { Link, useTitle } from "../../router";
import { useSession } from "../../session";
import { Id } from "../../ui/Figures";
import { hasEnded } from "../../ui/JobTable";
import { Notice, Pending, ProblemNotice } from "../../ui/Panel";
import { State } from "../../ui/State";
import { AttemptsPanel } from "./AttemptsPanel";
import { CostPanel } from "./CostPanel";
import { ExplainPanel } from "./ExplainPanel";
import { LogsPanel } from "./LogsPanel";
import { TasksPanel } from "./TasksPanel";
import { TimelinePanel } from "./TimelinePanel";

export function concerns(event: SoukEvent, jobId: string): boolean {
  return event.subject_id === jobId || event.data.job_id === jobId;
}

export function JobPage({ id }: { id: string }) {
  const wakes = (event: SoukEvent) => concerns(event, id);
  const [still, setStill] = useState(false);
  const idleMs = still ? 0 : 2_000;
  const job = useLoaded(`job ${id}`, () => getJob(id), { wakes, idleMs });
  const attempts = useLoaded(`attempts ${id}`, () => getAttempts(id), { wakes, idleMs });
  const explanation = useLoaded(`explain ${id}`, () => getExplanation(id), { wakes, idleMs });
  useEffect(() => {
    // Nothing more will come of a job that has ended, nor of one that is not there.
    setStill(job.data ? hasEnded(job.data) : job.problem?.status === 404);
  }, [job.data, job.problem]);
  useTitle(job.data?.name || "Job");
  const pending = <Pending loaded={job} rows={8} label="Loading the job" />;
  if (!job.data) return pending;
  const named = [...(attempts.data?.items ?? []), ...(explanation.data?.candidates ?? [])];
  const names = new Map(named.map((one) => [one.node_id, one.node_name]));
  return (
    <div className="page">
      <JobHead job={job.data} onChange={job.refresh} />
      {pending}
      <JobEnd job={job.data} />
      <div className={`job-columns ${job.data.started_at ? "" : "job-waits"}`}>
        <div className="job-main">
          <TimelinePanel job={job.data} />
          <AttemptsPanel job={job.data} loaded={attempts} />
          <TasksPanel job={job.data} wakes={wakes} idleMs={idleMs} />
          <LogsPanel job={job.data} wakes={wakes} />
        </div>
        <div className="job-side">
          <CostPanel job={job.data} leases={explanation.data?.leases ?? []} names={names} />
          <ExplainPanel loaded={explanation} limit={job.data.limit_price_micros_per_hour} />
        </div>
      </div>
    </div>
  );
}

function JobHead({ job, onChange }: { job: Job; onChange: () => void }) {
  const { account } = useSession();
  const { problem, run } = useDeed(onChange);
  const mayCancel =
    !hasEnded(job) && (account.role === "operator" || account.id === job.account_id);
  const cancel = () => {
    const sure = `Cancel ${job.name || job.id}? Running tasks stop; what ran is charged.`;
    if (window.confirm(sure)) run(() => cancelJob(job.id));
  };
  return (
    <header className="page-head">
      <p className="crumbs">
        <Link href="/jobs">Jobs</Link> / {job.kind}
      </p>
      <h1>{job.name || job.id}</h1>
      <State state={job.state} />
      <Id id={job.id} whole />
      {mayCancel && (
        <button type="button" className="button button-danger" onClick={cancel}>
          Cancel job
        </button>
      )}
      {problem && <ProblemNotice problem={problem} />}
    </header>
  );
}

/** Why it did not succeed, in words, where that is so. */
function JobEnd({ job }: { job: Job }) {
  if (!hasEnded(job) || job.state === "succeeded") return null;
  return (
    <Notice
      tone={job.state === "cancelled" ? "idle" : "bad"}
      title={`This job ${job.state === "failed" ? "failed" : `was ${job.state}`}: ${(job.end_reason ?? "no reason given").replaceAll("_", " ")}`}
    >
      {job.end_detail && <p>{job.end_detail}</p>}
    </Notice>
  );
}
