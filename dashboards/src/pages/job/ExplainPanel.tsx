/** Why it got what it got: what the rounds said, who could serve it, what ruled the rest out. */

import type { Candidate, Explanation, RoundOutcome } from "../../api/types";
import { lossPhrase } from "../../format/loss";
import { formatPrice } from "../../format/money";
import type { Loaded } from "../../live/hooks";
import { Link } from "../../router";
import { Clock, Credits, Meter } from "../../ui/Figures";
import { NodeLink } from "../../ui/NodeLink";
import { Panel, Pending } from "../../ui/Panel";
import { RuledOutList } from "../../ui/RuledOutList";
import { Table, type Column } from "../../ui/Table";

const TERMS = ["cost", "qos", "energy", "fairness"] as const;
const RUNS_MAX = 8;
const CANDIDATES_MAX = 8;
const COLUMNS: readonly Column[] = [
  { label: "Node" },
  ...TERMS.map((term) => ({ label: term === "qos" ? "QoS" : term, className: "num" })),
  { label: "Score", className: "num mid-only", title: "Weighted mean of the terms, times size" },
  { label: "cr/slot·h", className: "num" },
];

/** The limit that would have won; null where the job's own was enough, or it got all its work. */
export function winningLimit(explanation: Explanation, limit: number): number | null {
  const price = explanation.price_to_win_micros_per_hour;
  const served = explanation.state === "succeeded";
  return price !== null && price > limit && !served ? price : null;
}

export function ExplainPanel({
  loaded,
  limit,
}: {
  loaded: Loaded<Explanation>;
  /** The job's limit price: micros per slot and hour. */
  limit: number;
}) {
  const { data } = loaded;
  if (!data) {
    return (
      <Panel title="Explanation">
        <Pending loaded={loaded} label="Loading the explanation" />
      </Panel>
    );
  }
  const wins = winningLimit(data, limit);
  return (
    <Panel title="Explanation">
      <p className="explain-summary">{data.summary}</p>
      {wins !== null && (
        <p className="panel-text">
          It would have won at <Credits micros={wins} per="slot·h" />; its limit is{" "}
          <Credits micros={limit} per="slot·h" />.
        </p>
      )}
      {data.ruled_out.length > 0 && (
        <>
          <h3>Nodes ruled out</h3>
          <RuledOutList items={data.ruled_out} />
        </>
      )}
      {data.candidates.length > 0 && <Candidates candidates={data.candidates} />}
      {data.rounds.length > 0 && <Rounds rounds={data.rounds} />}
    </Panel>
  );
}

function Candidates({ candidates }: { candidates: readonly Candidate[] }) {
  const best = [...candidates].sort((a, b) => b.score - a.score).slice(0, CANDIDATES_MAX);
  return (
    <>
      <h3>
        Candidates{" "}
        <small className="muted">
          best {best.length} of {candidates.length}, terms from 0 (worst) to 1 (best)
        </small>
      </h3>
      <div className="scroll">
        <Table columns={COLUMNS} className="table-small">
          <tbody>
            {best.map((candidate) => (
              <tr key={candidate.node_id}>
                <th scope="row">
                  <NodeLink id={candidate.node_id} name={candidate.node_name} />
                </th>
                {TERMS.map((term) => (
                  <td key={term} className="num col-term">
                    {candidate.terms[term].toFixed(2)}
                    <Meter
                      total={1}
                      label={`${term} ${candidate.terms[term].toFixed(2)}`}
                      parts={[{ className: "meter-leased", value: candidate.terms[term] }]}
                    />
                  </td>
                ))}
                <td className="num mid-only">{candidate.score.toPrecision(3)}</td>
                <td className="num">{formatPrice(candidate.rate_micros_per_hour)}</td>
              </tr>
            ))}
          </tbody>
        </Table>
      </div>
    </>
  );
}

export interface RoundRun {
  newest: RoundOutcome;
  /** Rounds in a row that ended alike. */
  count: number;
}

/** Newest first; rounds in a row with the same outcome are told once. */
export function runsOf(rounds: readonly RoundOutcome[]): RoundRun[] {
  const runs: RoundRun[] = [];
  for (const round of rounds.toSorted((a, b) => b.created_at.localeCompare(a.created_at))) {
    const last = runs.at(-1);
    const alike =
      last?.newest.detail === round.detail &&
      last.newest.slots_won === round.slots_won &&
      last.newest.slots_asked === round.slots_asked;
    if (last && alike) last.count += 1;
    else runs.push({ newest: round, count: 1 });
  }
  return runs;
}

function Rounds({ rounds }: { rounds: readonly RoundOutcome[] }) {
  return (
    <>
      <h3>
        Rounds <small className="muted">last {rounds.length}</small>
      </h3>
      <ul className="rounds">
        {runsOf(rounds)
          .slice(0, RUNS_MAX)
          .map(({ newest, count }) => (
            <li key={newest.round_id}>
              <Link href={`/market/rounds/${newest.round_id}`}>
                <Clock at={newest.created_at} />
              </Link>
              <span className="figure">
                {newest.slots_won} <span className="unit">of {newest.slots_asked} slots</span>
              </span>
              <span>
                {newest.detail || lossPhrase(newest.loss ?? "") || "won"}
                {count > 1 && <span className="muted"> · {count} rounds alike</span>}
              </span>
            </li>
          ))}
      </ul>
    </>
  );
}
