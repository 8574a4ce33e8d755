/** A job by form: what it runs, what it needs, what it may cost; the plan first, then the deed. */

import { useRef, useState, type FormEvent } from "react";
import { submitJob } from "../../api/endpoints";
import { newIdempotencyKey } from "../../api/http";
import { asProblem, errorsByField, type Problem } from "../../api/problem";
import { navigate, useTitle } from "../../router";
import { maySubmit, useSession } from "../../session";
import { Empty, ProblemNotice } from "../../ui/Panel";
import { CodeFields } from "./CodeFields";
import { EMPTY_FORM, readForm, type JobForm } from "./form";
import { LimitFields, MarketFields, PlaceFields, QualityFields } from "./MarketFields";
import { PlanPanel } from "./PlanPanel";
import { usePlan } from "./usePlan";
import { WorkFields } from "./WorkFields";

export interface FieldsProps {
  form: JobForm;
  set: <K extends keyof JobForm>(field: K, value: JobForm[K]) => void;
  errors: Record<string, string>;
}

export function SubmitPage() {
  const { account } = useSession();
  useTitle("Submit a job");
  if (!maySubmit(account)) {
    return (
      <Empty title="This account cannot submit jobs">
        <p>Jobs are submitted by tenants. You are signed in as {account.role}.</p>
      </Empty>
    );
  }
  return <SubmitForm />;
}

function SubmitForm() {
  const [form, setForm] = useState<JobForm>(EMPTY_FORM);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const reading = readForm(form);
  const wrong = Object.keys(reading.errors).length > 0;
  const body = wrong || reading.missing ? null : JSON.stringify(reading.request);
  const planned = usePlan(body);
  const intent = useIntent(body);
  const set: FieldsProps["set"] = (field, value) => {
    setForm((before) => ({ ...before, [field]: value }));
    setProblem(null);
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!body || busy) return;
    setBusy(true);
    try {
      const job = await submitJob(JSON.parse(body), intent());
      navigate(`/jobs/${job.id}`);
    } catch (error) {
      setProblem(asProblem(error));
      setBusy(false);
    }
  };
  const refusal = problem ?? planned.problem;
  const errors = { ...errorsByField(refusal), ...reading.errors };
  const fields: FieldsProps = { form, set, errors };
  return (
    <form className="submit" onSubmit={(event) => void submit(event)} noValidate>
      <h1>Submit a job</h1>
      <div className="submit-columns">
        <div className="submit-fields">
          <CodeFields {...fields} />
          <WorkFields {...fields} />
          <MarketFields {...fields} likely={planned.current ? planned.plan : null} />
          <QualityFields {...fields} />
          <PlaceFields {...fields} />
          <LimitFields {...fields} />
        </div>
        <div className="submit-plan">
          <PlanPanel
            planned={planned}
            missing={reading.missing ?? (wrong ? "Mend the marked fields." : null)}
          />
          {problem && <ProblemNotice problem={problem} />}
          <button
            type="submit"
            className="button button-main"
            disabled={busy || !planned.current || !planned.plan?.serviceable}
          >
            {busy ? "Submitting…" : "Submit job"}
          </button>
        </div>
      </div>
    </form>
  );
}

/** One idempotency key for each different request: sent twice, a request makes one job. */
function useIntent(body: string | null): () => string {
  const held = useRef({ body: "", key: "" });
  return () => {
    if (held.current.body !== body) {
      held.current = { body: body ?? "", key: newIdempotencyKey() };
    }
    return held.current.key;
  };
}
