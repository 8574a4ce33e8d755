/** What the market says to a request that has not been submitted, asked again as it changes. */

import { useEffect, useState } from "react";
import { planJob } from "../../api/endpoints";
import { asProblem, type Problem } from "../../api/problem";
import type { JobPlan } from "../../api/types";

const SETTLE_MS = 350;

export interface Planned {
  plan: JobPlan | null;
  problem: Problem | null;
  /** The plan shown is for exactly this request. */
  current: boolean;
}

/** ``body``: the request as JSON text; null while it is not complete. */
export function usePlan(body: string | null): Planned {
  const [held, setHeld] = useState<{
    body: string | null;
    plan: JobPlan | null;
    problem: Problem | null;
  }>({ body: null, plan: null, problem: null });
  useEffect(() => {
    if (body === null) return;
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const plan = await planJob(JSON.parse(body), abort.signal);
        if (!abort.signal.aborted) setHeld({ body, plan, problem: null });
      } catch (error) {
        if (!abort.signal.aborted) setHeld({ body, plan: null, problem: asProblem(error) });
      }
    }, SETTLE_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [body]);
  const current = body !== null && held.body === body;
  return {
    plan: held.plan,
    problem: current ? held.problem : null,
    current,
  };
}
