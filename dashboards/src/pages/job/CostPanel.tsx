/** What was set aside, what is owed, what went back. */

import type { Job, Lease } from "../../api/types";
import { Fact } from "../../ui/Fact";
import { Credits, Meter } from "../../ui/Figures";
import { costSoFar, hasEnded } from "../../ui/JobTable";
import { NodeLink } from "../../ui/NodeLink";
import { Panel } from "../../ui/Panel";
import { State } from "../../ui/State";

/** What it bids where that is less than its limit price, since work of it has moved. */
export function loweredBid({ demand, limit_price_micros_per_hour: limit }: Job): number | null {
  const bids = demand?.limit_micros_per_hour;
  return bids !== undefined && bids < limit ? bids : null;
}

export function CostPanel({
  job,
  leases,
  names,
}: {
  job: Job;
  leases: readonly Lease[];
  /** Names of nodes by id. */
  names: ReadonlyMap<string, string>;
}) {
  const ended = hasEnded(job);
  const settled = ended && job.cost_micros !== null;
  const cost = costSoFar(job);
  const bids = ended ? null : loweredBid(job);
  return (
    <Panel
      title="Cost"
      note={settled ? "settled" : ended ? "being settled" : "of leases that have ended so far"}
    >
      <p className="cost">
        <Credits micros={cost} />
      </p>
      <Meter
        label="Part of the hold that is owed"
        total={job.hold_micros}
        parts={[{ className: "meter-leased", value: cost }]}
      />
      <dl className="facts">
        <Fact label="Hold: the most it can cost">
          <Credits micros={job.hold_micros} />
        </Fact>
        {settled && (
          <Fact label="Went back to the purse">
            <Credits micros={job.hold_micros - cost} />
          </Fact>
        )}
        <Fact label="Limit for one slot">
          <Credits micros={job.limit_price_micros_per_hour} per="slot·h" />
        </Fact>
        {bids !== null && (
          <Fact label="Bids now">
            <Credits micros={bids} per="slot·h" />{" "}
            <span className="unit">so that what is left pays all open work</span>
          </Fact>
        )}
      </dl>
      {leases.length > 0 && (
        <details open={leases.length <= 4}>
          <summary>
            {leases.length} {leases.length === 1 ? "lease" : "leases"}
          </summary>
          <ul className="leases">
            {leases.map((lease) => (
              <li key={lease.id}>
                <State state={lease.state} title={lease.state_reason} />
                <span>
                  {lease.slots} {lease.slots === 1 ? "slot" : "slots"} on{" "}
                  <NodeLink id={lease.node_id} name={names.get(lease.node_id)} />
                </span>
                <Credits micros={lease.rate_micros_per_hour} per="slot·h" />
              </li>
            ))}
          </ul>
        </details>
      )}
    </Panel>
  );
}
