/** What would happen if the form were submitted now. */

import type { ReactNode } from "react";
import { formatDuration } from "../../format/time";
import { formatShare } from "../../format/units";
import { useLive } from "../../live/hooks";
import { Fact } from "../../ui/Fact";
import { Credits } from "../../ui/Figures";
import { Empty, Loading, Notice, Panel, ProblemNotice } from "../../ui/Panel";
import { RuledOutList } from "../../ui/RuledOutList";
import type { Planned } from "./usePlan";

export function PlanPanel({ planned, missing }: { planned: Planned; missing: string | null }) {
  return (
    <Panel
      title="Plan"
      note="before anything is spent"
      className={planned.current ? "" : "plan-stale"}
    >
      <PlanBody planned={planned} missing={missing} />
    </Panel>
  );
}

function PlanBody({ planned, missing }: { planned: Planned; missing: string | null }) {
  const { overview } = useLive();
  const { plan, problem } = planned;
  if (missing) return <Empty title={missing}>The plan then shows price, chance and start.</Empty>;
  if (problem) return <ProblemNotice problem={problem} />;
  if (!plan) return <Loading rows={5} label="Asking the market" />;
  const cell = overview?.cells.find((one) => one.id === plan.cell_id)?.name ?? plan.cell_id;
  // Where no node fits there is no price: the range would be from nothing to the limit.
  const fits = plan.candidates > 0;
  const range = fits ? plan.price_micros_per_hour : null;
  const start = plan.start_ms;
  const cost = fits ? plan.cost_micros : null;
  return (
    <>
      {!plan.serviceable && (
        <Notice tone="bad" title="No node could ever serve this">
          <p>Every known node is ruled out by what the job asks.</p>
        </Notice>
      )}
      {plan.serviceable && (
        <dl className="facts plan-facts">
          <Fact label="Chance to be served now">
            <span className="plan-chance">{formatShare(plan.chance)}</span>{" "}
            <span className="muted">
              {plan.candidates} {plan.candidates === 1 ? "node fits" : "nodes fit"}
              {cell && `, from ${cell}`}
            </span>
          </Fact>
          <Fact label="Starts within">
            {start?.p50 != null && start.p90 != null ? (
              <>
                {formatDuration(start.p50)} <span className="unit">p50</span> ·{" "}
                {formatDuration(start.p90)} <span className="unit">p90</span>
              </>
            ) : (
              <span className="muted">nobody could serve it at this moment</span>
            )}
          </Fact>
          {range && (
            <Fact label="Price">
              <Three low={range.low} likely={range.likely} high={range.high} per="slot·h" />
            </Fact>
          )}
          {!range && plan.no_price && (
            <Fact label="Price">
              <span className="muted">{plan.no_price}</span>
            </Fact>
          )}
          {cost && (
            <Fact label="Cost">
              <Three low={cost.low} likely={cost.likely} high={cost.high} />
            </Fact>
          )}
          <Fact label="Hold: set aside until it ends">
            <Credits micros={plan.hold_micros} />
          </Fact>
        </dl>
      )}
      {plan.reasons.length > 0 && (
        <>
          <h3>
            {plan.reasons.some((reason) => reason.count) ? "Nodes ruled out" : "At this moment"}
          </h3>
          <RuledOutList items={plan.reasons} />
        </>
      )}
    </>
  );
}

function Three({
  low,
  likely,
  high,
  per,
}: {
  low: number;
  likely: number;
  high: number;
  per?: string;
}): ReactNode {
  return (
    <>
      <Credits micros={likely} {...(per ? { per } : {})} />{" "}
      <span className="muted">
        likely; <Credits micros={low} /> to <Credits micros={high} />
      </span>
    </>
  );
}
