/** From an unknown visitor to a page: who is here, then which page the address names. */

import { useCallback, useEffect, useMemo, useState } from "react";
import { getSession, signOut } from "./api/endpoints";
import { abandonCalls, onSignedOut, setCsrfToken } from "./api/http";
import { asProblem, type Problem } from "./api/problem";
import type { Account, Session } from "./api/types";
import { LiveContext } from "./live/hooks";
import { LiveStore } from "./live/store";
import { JobPage } from "./pages/job/JobPage";
import { JobsPage } from "./pages/JobsPage";
import { MarketPage } from "./pages/market/MarketPage";
import { PoliciesPage } from "./pages/market/PoliciesPage";
import { RoundPage } from "./pages/market/RoundPage";
import { RoundsPage } from "./pages/market/RoundsPage";
import { NodePage } from "./pages/NodePage";
import { NodesPage } from "./pages/NodesPage";
import { NotFoundPage } from "./pages/NotFoundPage";
import { OverviewPage } from "./pages/overview/OverviewPage";
import { SignInPage } from "./pages/SignInPage";
import { SubmitPage } from "./pages/submit/SubmitPage";
import { matchPath, usePath } from "./router";
import { mayHaveSession, rememberVisit, SessionContext } from "./session";
import { Shell } from "./Shell";
import { Loading, ProblemNotice } from "./ui/Panel";

type Visit =
  | { is: "unknown" }
  | { is: "unreachable"; problem: Problem }
  | { is: "signed-out"; because: string | null }
  | { is: "signed-in"; account: Account };

const SESSION_ENDED = "Your session has ended. Sign in to go on where you were.";

export function App() {
  const [visit, setVisit] = useState<Visit>({ is: "unknown" });
  const enter = useCallback((session: Session) => {
    rememberVisit(true);
    setCsrfToken(session.csrf_token);
    setVisit({ is: "signed-in", account: session.account });
  }, []);
  const leave = useCallback((because: string | null) => {
    rememberVisit(false);
    setVisit({ is: "signed-out", because });
  }, []);
  const goOut = useCallback(() => {
    // First nothing more is asked for in this session's name, then it is ended.
    setVisit({ is: "unknown" });
    abandonCalls();
    signOut().then(
      () => leave(null),
      () => leave("The platform was not reached: this browser may still be signed in."),
    );
  }, [leave]);
  const ask = useCallback(async () => {
    try {
      enter(await getSession());
    } catch (error) {
      const problem = asProblem(error);
      const known = problem.status === 401 || problem.status === 404;
      if (known) leave(null);
      else setVisit({ is: "unreachable", problem });
    }
  }, [enter, leave]);
  useEffect(() => {
    onSignedOut(() => leave(SESSION_ENDED));
    if (mayHaveSession()) void ask();
    else leave(null);
  }, [ask, leave]);

  if (visit.is === "unknown") return <Loading rows={1} label="Looking for your session" />;
  if (visit.is === "signed-out") return <SignInPage because={visit.because} onSignedIn={enter} />;
  if (visit.is === "unreachable") {
    return (
      <main className="alone">
        <ProblemNotice problem={visit.problem} retry={() => void ask()} />
      </main>
    );
  }
  return <SignedIn account={visit.account} onLeft={leave} onSignOut={goOut} />;
}

function SignedIn({
  account,
  onLeft,
  onSignOut,
}: {
  account: Account;
  onSignOut: () => void;
  onLeft: (because: string | null) => void;
}) {
  const [store, setStore] = useState<LiveStore | null>(null);
  useEffect(() => {
    // One store for each person: another account must never see what this one loaded.
    const live = new LiveStore(() => onLeft(SESSION_ENDED));
    setStore(live);
    return live.start();
  }, [account.id, onLeft]);
  const session = useMemo(() => ({ account, signOut: onSignOut }), [account, onSignOut]);
  if (!store) return null;
  return (
    <SessionContext value={session}>
      <LiveContext value={store}>
        <Shell>
          <CurrentPage />
        </Shell>
      </LiveContext>
    </SessionContext>
  );
}

function CurrentPage() {
  const path = usePath();
  if (matchPath("/", path)) return <OverviewPage />;
  if (matchPath("/jobs", path)) return <JobsPage />;
  if (matchPath("/jobs/new", path)) return <SubmitPage />;
  const job = matchPath("/jobs/:id", path);
  if (job) return <JobPage key={job.id} id={job.id ?? ""} />;
  if (matchPath("/nodes", path)) return <NodesPage />;
  const node = matchPath("/nodes/:id", path);
  if (node) return <NodePage key={node.id} id={node.id ?? ""} />;
  if (matchPath("/market", path)) return <MarketPage />;
  if (matchPath("/market/rounds", path)) return <RoundsPage />;
  const round = matchPath("/market/rounds/:id", path);
  if (round) return <RoundPage key={round.id} id={round.id ?? ""} />;
  if (matchPath("/market/policies", path)) return <PoliciesPage />;
  return <NotFoundPage path={path} />;
}
