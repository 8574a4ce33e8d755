/** Rounds of the cells with how near to their bound they came, and those of the levels above. */

import { listCellRounds, listUpperRounds } from "../../api/endpoints";
import type { Round, UpperRound } from "../../api/types";
import { formatGap, formatScore } from "../../format/score";
import { formatDuration } from "../../format/time";
import { formatBytes, formatShare, shortId } from "../../format/units";
import { useLive, useLoaded, usePages } from "../../live/hooks";
import { Link, useSearch, useTitle } from "../../router";
import { Age } from "../../ui/Figures";
import { Empty, Panel, Pending } from "../../ui/Panel";
import { Table, type Column } from "../../ui/Table";
import { CellChoice } from "./CellChoice";
import { MarketTabs } from "./MarketTabs";

const LOOK_MS = 3_000;

export function RoundsPage() {
  const cell = useSearch().get("cell") ?? "";
  useTitle("Rounds");
  return (
    <div className="page">
      <MarketTabs />
      <Panel
        title="Rounds"
        note="in which somebody bid, newest first"
        actions={<CellChoice value={cell} all />}
      >
        <CellRounds key={cell} cell={cell} />
      </Panel>
      <UpperRounds />
    </div>
  );
}

function CellRounds({ cell }: { cell: string }) {
  const loaded = usePages(`rounds ${cell}`, (cursor) => listCellRounds(cell, cursor), {
    idleMs: LOOK_MS,
  });
  const { data: rounds, more } = loaded;
  return (
    <>
      <Pending loaded={loaded} rows={8} label="Loading the rounds" />
      {rounds?.length === 0 && (
        <Empty title="Nobody has bid yet">
          <p>A cell clears a round as soon as somebody bids there.</p>
        </Empty>
      )}
      {rounds && rounds.length > 0 && <RoundTable rounds={rounds} />}
      {more && (
        <button type="button" className="button more" onClick={more}>
          Older rounds
        </button>
      )}
    </>
  );
}

const COLUMNS: readonly Column[] = [
  { label: "Cleared" },
  { label: "Cell" },
  { label: "Mechanism", className: "mid-only" },
  { label: "Bids", className: "num wide-only" },
  { label: "Asks", className: "num wide-only", title: "Offers that it could sell of" },
  { label: "Slots sold", className: "num" },
  { label: "Sent up", className: "num mid-only", title: "Slots not served here" },
  { label: "Welfare", className: "num mid-only", title: "In score, summed over the slots sold" },
  { label: "Bound", className: "num wide-only", title: "No plan can have more, in score" },
  { label: "Gap", className: "num", title: "The share of the bound that it may have missed" },
  { label: "Took", className: "num wide-only" },
];

function RoundTable({ rounds }: { rounds: readonly Round[] }) {
  const { overview } = useLive();
  const names = new Map(overview?.cells.map((cell) => [cell.id, cell.name]));
  return (
    <div className="scroll">
      <Table columns={COLUMNS} className="rounds-table">
        <tbody>
          {rounds.map((round) => (
            <tr key={round.id}>
              <th scope="row">
                <Link href={`/market/rounds/${round.id}`}>
                  <Age at={round.created_at} />
                </Link>
              </th>
              <td>{names.get(round.cell_id) ?? shortId(round.cell_id)}</td>
              <td className="mid-only">{round.mechanism}</td>
              <td className="num wide-only">{round.bid_count}</td>
              <td className="num wide-only">{round.ask_count}</td>
              <td className="num">
                {round.slots_applied} <span className="unit">of {round.slots_asked}</span>
              </td>
              <td className="num mid-only">{round.slots_sent_up}</td>
              <td className="num mid-only">{formatScore(round.welfare)}</td>
              <td className="num wide-only">{formatScore(round.bound)}</td>
              <td className="num">{formatGap(round)}</td>
              <td className="num wide-only">{formatDuration(round.timings_ms.clear ?? 0)}</td>
            </tr>
          ))}
        </tbody>
      </Table>
    </div>
  );
}

const UPPER_COLUMNS: readonly Column[] = [
  { label: "Cleared" },
  { label: "Level" },
  { label: "Jobs handed down", className: "num" },
  { label: "Slots", className: "num" },
  { label: "Cells", className: "num mid-only", title: "Whose supply curves it saw" },
  {
    label: "Steps",
    className: "num wide-only",
    title: "Of the supply curves: capacity at a price",
  },
  { label: "Curves", className: "num wide-only", title: "Size of the supply curves" },
  { label: "Took", className: "num mid-only" },
];

function UpperRounds() {
  const loaded = useLoaded("upper rounds", listUpperRounds, { idleMs: LOOK_MS });
  const { data } = loaded;
  return (
    <Panel title="Rounds of the levels above" note="what cells could not serve, newest first">
      <Pending loaded={loaded} rows={4} label="Loading the rounds of the levels above" />
      {data?.items.length === 0 && (
        <Empty title="Nothing was sent up yet">
          <p>What a cell cannot serve goes to its region or the root, which looks in all cells.</p>
        </Empty>
      )}
      {data && data.items.length > 0 && (
        <div className="scroll scroll-tall" role="group" aria-label="Rounds above" tabIndex={0}>
          <Table columns={UPPER_COLUMNS} className="rounds-table">
            <tbody>
              {data.items.map((round) => (
                <UpperRow key={round.id} round={round} />
              ))}
            </tbody>
          </Table>
        </div>
      )}
      {data && data.items.length > 0 && <Taken rounds={data.items} />}
    </Panel>
  );
}

function UpperRow({ round }: { round: UpperRound }) {
  return (
    <tr>
      <th scope="row">
        <Age at={round.created_at} />
      </th>
      <td>{round.place_name}</td>
      <td className="num">
        {round.bids_handed_down} <span className="unit">of {round.bid_count}</span>
      </td>
      <td className="num">
        {round.slots_handed_down} <span className="unit">of {round.slots_asked}</span>
      </td>
      <td className="num mid-only">{round.cell_count}</td>
      <td className="num wide-only">{round.step_count}</td>
      <td className="num wide-only">{formatBytes(round.bytes_up)}</td>
      <td className="num mid-only">{formatDuration(round.timings_ms.clear ?? 0)}</td>
    </tr>
  );
}

function Taken({ rounds }: { rounds: readonly UpperRound[] }) {
  const asked = rounds.reduce((sum, round) => sum + round.slots_asked, 0);
  const taken = rounds.reduce((sum, round) => sum + round.slots_handed_down, 0);
  const span = rounds.length === 1 ? "round" : `${rounds.length} rounds`;
  return (
    <p className="panel-foot muted">
      {asked > 0 ? formatShare(taken / asked) : "None"} of the slots sent up in the last {span}{" "}
      found room in another cell.
    </p>
  );
}
