/** The steps from submission to end, with the time that each took. */

import { getJobEvents } from "../../api/endpoints";
import type { Job, SoukEvent } from "../../api/types";
import { formatDuration } from "../../format/time";
import { useLive, useLoaded, useNow } from "../../live/hooks";
import { eventSentence, MOVES } from "../../live/sentence";
import { Clock } from "../../ui/Figures";
import { hasEnded } from "../../ui/JobTable";
import { Panel } from "../../ui/Panel";
import { toneOf } from "../../ui/State";
import { concerns } from "./JobPage";

export interface Step {
  label: string;
  at: string | null;
  /** Time since the step before that happened; null where either has not. */
  tookMs: number | null;
}

/** Submitted, matched, started, ended; steps that a finished job never reached are left out. */
export function stepsOf(job: Job): Step[] {
  const ended = hasEnded(job);
  const wanted: [string, string | null][] = [
    ["submitted", job.created_at],
    ["matched", job.matched_at],
    ["started", job.started_at],
    [ended ? job.state : "ended", job.ended_at],
  ];
  let before: string | null = null;
  const steps: Step[] = [];
  for (const [label, at] of wanted) {
    if (!at && ended) continue;
    const tookMs = at && before ? Date.parse(at) - Date.parse(before) : null;
    steps.push({ label, at, tookMs });
    before = at ?? before;
  }
  return steps;
}

export function TimelinePanel({ job }: { job: Job }) {
  const now = useNow();
  const steps = stepsOf(job);
  const last = steps.findLast((step) => step.at !== null);
  const waiting = steps.find((step) => step.at === null);
  const tone = (step: Step, at: number) =>
    step.at === null ? "idle" : at === steps.length - 1 ? toneOf(job.state) : "good";
  return (
    <Panel title="Timeline">
      <ol className="steps">
        {steps.map((step, at) => (
          <li
            key={step.label}
            className={`step tone-${tone(step, at)} ${step.at ? "" : "step-open"}`}
          >
            <span className="step-label">{step.label}</span>
            {step.at ? (
              <Clock at={step.at} />
            ) : (
              <span className="muted">
                {step === waiting && last?.at
                  ? `waiting ${formatDuration(Math.max(0, now - Date.parse(last.at)))}`
                  : "not yet"}
              </span>
            )}
            {step.tookMs !== null && (
              <span className="step-took">+ {formatDuration(step.tookMs)}</span>
            )}
          </li>
        ))}
      </ol>
      <JobEvents job={job} />
    </Panel>
  );
}

function JobEvents({ job }: { job: Job }) {
  const { data } = useLoaded(`events ${job.id}`, () => getJobEvents(job.id), {
    wakes: (event: SoukEvent) => concerns(event, job.id),
  });
  const { overview } = useLive();
  if (!data || data.items.length === 0) return null;
  const moves = data.items.filter((event) => MOVES.has(event.kind));
  return (
    <>
      {moves.length > 0 && (
        <ol className="events job-moves" aria-label="How the market moved it">
          {moves.map((event) => (
            <li key={event.id}>
              <Clock at={event.at} />
              <span>{eventSentence(event, overview)}</span>
            </li>
          ))}
        </ol>
      )}
      <details className="job-events">
        <summary>
          {data.items.length} {data.items.length === 1 ? "event" : "events"} on record
        </summary>
        <ol className="events">
          {data.items.map((event) => (
            <li key={event.id}>
              <Clock at={event.at} />
              <span>{eventSentence(event, overview)}</span>
              <span className="muted">{event.kind}</span>
            </li>
          ))}
        </ol>
      </details>
    </>
  );
}
