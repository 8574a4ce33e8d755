/** The whole market at one look, live. */

import { useLive, useLiveStore } from "../../live/hooks";
import { useTitle } from "../../router";
import { Pending } from "../../ui/Panel";
import { CellsPanel } from "./CellsPanel";
import { EventsPanel } from "./EventsPanel";
import { JobsPanel } from "./JobsPanel";
import { KeyFigures } from "./KeyFigures";
import { LedgerPanel } from "./LedgerPanel";
import { MarketPanel } from "./MarketPanel";
import { PricesPanel } from "./PricesPanel";

export function OverviewPage() {
  const { overview, problem, series, feed } = useLive();
  const loaded = { data: overview, problem, refresh: useLiveStore().refresh };
  useTitle("Overview");
  const pending = <Pending loaded={loaded} rows={8} label="Loading the overview" />;
  if (!overview) return pending;
  return (
    <div className="overview">
      <h1 className="visually-hidden">Overview</h1>
      {pending}
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
