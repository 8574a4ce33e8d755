/** The whole market at one look, live. */

import { useLive, useLiveStore } from "../../live/hooks";
import { useTitle } from "../../router";
import { Loading, ProblemNotice } from "../../ui/Panel";
import { CellsPanel } from "./CellsPanel";
import { EventsPanel } from "./EventsPanel";
import { JobsPanel } from "./JobsPanel";
import { KeyFigures } from "./KeyFigures";
import { LedgerPanel } from "./LedgerPanel";
import { MarketPanel } from "./MarketPanel";
import { PricesPanel } from "./PricesPanel";

export function OverviewPage() {
  const { overview, problem, series, feed } = useLive();
  const store = useLiveStore();
  useTitle("Overview");
  if (!overview) {
    return problem ? (
      <ProblemNotice problem={problem} retry={store.refresh} />
    ) : (
      <Loading rows={8} label="Loading the overview" />
    );
  }
  return (
    <div className="overview">
      <h1 className="visually-hidden">Overview</h1>
      {problem && <ProblemNotice problem={problem} retry={store.refresh} />}
      <KeyFigures overview={overview} />
      <div className="overview-columns">
        <div className="overview-main">
          <CellsPanel cells={overview.cells} nodes={overview.nodes} />
          <MarketPanel />
          <JobsPanel jobs={overview.jobs} />
        </div>
        <div className="overview-side">
          <PricesPanel prices={overview.prices} series={series} />
          <LedgerPanel balances={overview.balances} invariants={overview.invariants} />
          <EventsPanel feed={feed} />
        </div>
      </div>
    </div>
  );
}
