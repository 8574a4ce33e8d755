/** One round: how near to its bound it came, what became of each bid, what the shadow would do. */

import { getRound } from "../../api/endpoints";
import type { Outcome, RoundDetail } from "../../api/types";
import { lossPhrase } from "../../format/loss";
import { formatGap, formatScore } from "../../format/score";
import { formatDuration } from "../../format/time";
import { formatShare, shortId } from "../../format/units";
import { useLive, useLoaded } from "../../live/hooks";
import { shareOfBound } from "../../live/market";
import { Link, useTitle } from "../../router";
import { Fact } from "../../ui/Fact";
import { Age, Clock, Id, Meter } from "../../ui/Figures";
import { Empty, Panel, Pending } from "../../ui/Panel";
import { Table, type Column } from "../../ui/Table";
import { FigureTable } from "./FigureTable";

const NOTED =
  "A bid that loses again for the same reason is not always noted anew: its job says why it " +
  "waits. Tenants see their own bids.";

export function RoundPage({ id }: { id: string }) {
  const { overview } = useLive();
  const loaded = useLoaded(`round ${id}`, () => getRound(id));
  useTitle("Round");
  const { data } = loaded;
  if (!data) return <Pending loaded={loaded} rows={8} label="Loading the round" />;
  const cell = overview?.cells.find((one) => one.id === data.cell_id)?.name;
  return (
    <div className="page">
      <header className="page-head">
        <p className="crumbs">
          <Link href="/market/rounds">Rounds</Link> /{" "}
          <Link href={`/market?cell=${data.cell_id}`}>{cell ?? shortId(data.cell_id)}</Link>
        </p>
        <h1>
          Round of <Clock at={data.created_at} />
        </h1>
        <span className="muted">
          <Age at={data.created_at} />
        </span>
        <Id id={data.id} whole />
      </header>
      <div className="job-columns">
        <div className="job-main">
          <OutcomesPanel outcomes={data.outcomes} bids={data.bid_count} />
        </div>
        <div className="job-side">
          <ResultPanel round={data} />
          {data.shadow && <ShadowPanel shadow={data.shadow} />}
        </div>
      </div>
    </div>
  );
}

function ResultPanel({ round }: { round: RoundDetail }) {
  const { snapshot, pack, clear } = round.timings_ms;
  const times = [
    ["snapshot", snapshot],
    ["arrays", pack],
    ["clearing", clear],
  ].flatMap(([name, ms]) => (typeof ms === "number" ? `${name} ${formatDuration(ms)}` : []));
  return (
    <Panel title="Result">
      <dl className="facts">
        <Fact label="Welfare">
          {round.bound > 0 && (
            <Meter
              label={`${formatShare(shareOfBound(round))} of the certified bound`}
              total={1}
              parts={[{ className: "meter-leased", value: shareOfBound(round) }]}
            />
          )}
          {formatScore(round.welfare)} <span className="unit">score</span>
        </Fact>
        <Fact label="Certified bound">
          {formatScore(round.bound)} <span className="unit">score; no plan can have more</span>
        </Fact>
        <Fact label="Gap">
          {formatGap(round)}{" "}
          <span className="unit">{round.bound > 0 ? "of the bound missed" : "nothing to win"}</span>
        </Fact>
        <Fact label="Slots sold">
          {round.slots_applied} <span className="unit">of {round.slots_asked} asked for</span>
          {round.slots_refused > 0 && (
            <span className="unit">, {round.slots_refused} no longer free when leased</span>
          )}
        </Fact>
        <Fact label="Sent up">
          {round.slots_sent_up} <span className="unit">slots</span>
        </Fact>
        <Fact label="Bids on asks">
          {round.bid_count} <span className="unit">on</span> {round.ask_count}
        </Fact>
        <Fact label="Mechanism">
          {round.mechanism} <span className="unit">within {formatDuration(round.budget_ms)}</span>
        </Fact>
        <Fact label="Policy">
          <Link href="/market/policies">{shortId(round.policy_id)}</Link>
        </Fact>
        <Fact label="Times">{times.join(", ") || "–"}</Fact>
      </dl>
    </Panel>
  );
}

function ShadowPanel({ shadow }: { shadow: NonNullable<RoundDetail["shadow"]> }) {
  const figures = Object.entries(shadow.live).flatMap(([name, live]) => {
    const other = shadow.shadow[name];
    return other === undefined ? [] : { name, live, shadow: other };
  });
  return (
    <Panel title="Shadow policy" note="the same round, by the score in force">
      <FigureTable figures={figures} caption="The policy in force and its shadow in this round" />
    </Panel>
  );
}

const COLUMNS: readonly Column[] = [
  { label: "Job" },
  { label: "Slots won", className: "num" },
  { label: "Why" },
];

function OutcomesPanel({ outcomes, bids }: { outcomes: readonly Outcome[]; bids: number }) {
  return (
    <Panel title="What became of the bids" note={`${outcomes.length} of ${bids} noted`}>
      {outcomes.length === 0 ? (
        <Empty title={bids ? "Nothing new to tell of a bid that you may see" : "Nobody bid"}>
          {bids > 0 && <p>{NOTED}</p>}
        </Empty>
      ) : (
        <div className="scroll">
          <Table columns={COLUMNS}>
            <tbody>
              {outcomes.map((outcome) => (
                <OutcomeRow key={outcome.demand_id} outcome={outcome} />
              ))}
            </tbody>
          </Table>
        </div>
      )}
      {outcomes.length > 0 && outcomes.length < bids && <p className="panel-foot muted">{NOTED}</p>}
    </Panel>
  );
}

function OutcomeRow({ outcome }: { outcome: Outcome }) {
  const { overview } = useLive();
  const name = overview?.jobs.recent.find((job) => job.id === outcome.job_id)?.name;
  const all = outcome.slots_won >= outcome.slots_asked;
  return (
    <tr>
      <th scope="row">
        <Link href={`/jobs/${outcome.job_id}`}>{name || shortId(outcome.job_id)}</Link>
      </th>
      <td className="num">
        {outcome.slots_won} <span className="unit">of {outcome.slots_asked}</span>
      </td>
      <td>
        {outcome.loss && <b>{lossPhrase(outcome.loss)}: </b>}
        {outcome.detail || (all ? "won all that it asked for" : "")}
      </td>
    </tr>
  );
}
