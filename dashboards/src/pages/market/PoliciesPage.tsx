/** Versions of the policy, which one is in force, and how shadows do beside it. */

import {
  activatePolicy,
  endShadow,
  getComparison,
  listPolicies,
  startShadow,
} from "../../api/endpoints";
import type { Policy } from "../../api/types";
import { compact } from "../../format/units";
import { useDeed, useLive, useLoaded, type Deed } from "../../live/hooks";
import { useTitle } from "../../router";
import { useSession } from "../../session";
import { Age, Clock, Id } from "../../ui/Figures";
import { Empty, Panel, Pending, ProblemNotice } from "../../ui/Panel";
import { State } from "../../ui/State";
import { Table, type Column } from "../../ui/Table";
import { FigureTable } from "./FigureTable";
import { MarketTabs } from "./MarketTabs";

const LOOK_MS = 10_000;
const WEIGHTS = [
  ["cost", "weight_cost"],
  ["QoS", "weight_qos"],
  ["energy", "weight_energy"],
  ["fairness", "weight_fairness"],
] as const;

const COLUMNS: readonly Column[] = [
  { label: "Version" },
  { label: "Role" },
  { label: "Mechanism", className: "mid-only" },
  { label: "Payment", className: "mid-only" },
  ...WEIGHTS.map(([label]) => ({
    label,
    className: "num wide-only",
    title: "Weight in the score",
  })),
  { label: "Target", className: "num wide-only", title: "Share of the capacity in use" },
  { label: "Made", className: "num wide-only" },
];

const STEERING: Column = { label: "Changes", unseen: true };

/** The version that rounds go by: the one activated last; a shadow is started, not in force. */
export function inForce(policies: readonly Policy[]): Policy | null {
  const rank = (policy: Policy) => `${policy.activated_at} ${policy.id}`;
  const activated = policies.filter((policy) => policy.activated_at !== null && !policy.shadow);
  return activated.toSorted((a, b) => rank(b).localeCompare(rank(a)))[0] ?? null;
}

export function PoliciesPage() {
  const loaded = useLoaded("policies", listPolicies, { idleMs: LOOK_MS });
  const { data, refresh } = loaded;
  useTitle("Policies");
  const live = inForce(data?.items ?? []);
  const shadows = (data?.items ?? []).filter((policy) => policy.shadow);
  return (
    <div className="page">
      <MarketTabs />
      <Pending loaded={loaded} rows={6} label="Loading the policies" />
      {data && <VersionsPanel policies={data.items} live={live} onChange={refresh} />}
      {data && shadows.length === 0 && (
        <Panel title="Shadow">
          <Empty title="No version runs as a shadow">
            <p>
              A shadow clears every round beside the version in force. Nothing of it is applied: it
              shows what would come of a change.
            </p>
          </Empty>
        </Panel>
      )}
      {shadows.map((policy) => (
        <ShadowPanel key={policy.id} policy={policy} live={live} />
      ))}
    </div>
  );
}

function VersionsPanel({
  policies,
  live,
  onChange,
}: {
  policies: readonly Policy[];
  live: Policy | null;
  onChange: () => void;
}) {
  const { account } = useSession();
  const { problem, run } = useDeed(onChange);
  const steer = account.role === "operator";
  return (
    <Panel title="Versions" note="newest first">
      {problem && <ProblemNotice problem={problem} />}
      <div className="scroll">
        <Table columns={steer ? [...COLUMNS, STEERING] : COLUMNS} className="policies-table">
          <tbody>
            {policies.map((policy) => (
              <tr key={policy.id}>
                <th scope="row">
                  {policy.name}{" "}
                  <span className="wide-only">
                    <Id id={policy.id} />
                  </span>
                </th>
                <td>
                  <Roles policy={policy} live={live} />
                </td>
                <PolicyCells policy={policy} />
                {steer && (
                  <td>
                    <Steer policy={policy} live={live} run={run} />
                  </td>
                )}
              </tr>
            ))}
          </tbody>
        </Table>
      </div>
    </Panel>
  );
}

function Roles({ policy, live }: { policy: Policy; live: Policy | null }) {
  const force = policy.id === live?.id;
  return (
    <span className="policy-roles">
      {force && <State state="in force" title={policy.activated_at} />}
      {policy.shadow && <State state="shadow" />}
      {!force && !policy.shadow && (
        <span className="muted">{policy.activated_at ? "was in force" : "not used yet"}</span>
      )}
    </span>
  );
}

function PolicyCells({ policy: { body, created_at: made } }: { policy: Policy }) {
  const { overview } = useLive();
  return (
    <>
      <td className="mid-only">
        {body.mechanism ?? (
          <span title="The policy names none: the platform's setting">
            {overview?.control.mechanism ?? "–"}
          </span>
        )}
      </td>
      <td className="mid-only">{body.payment.replaceAll("_", " ")}</td>
      {WEIGHTS.map(([label, name]) => (
        <td key={label} className="num wide-only">
          {compact(body[name], 3)}
        </td>
      ))}
      <td className="num wide-only">{compact(body.utilisation_target * 100, 1)} %</td>
      <td className="num wide-only">
        <Age at={made} />
      </td>
    </>
  );
}

function Steer({ policy, live, run }: { policy: Policy; live: Policy | null; run: Deed["run"] }) {
  if (policy.id === live?.id) return null;
  const activate = () => {
    const sure = `Put ${policy.name} in force? Every cell goes by it from its next round on.`;
    if (window.confirm(sure)) run(() => activatePolicy(policy.id));
  };
  const shadow = () => run(() => (policy.shadow ? endShadow(policy.id) : startShadow(policy.id)));
  return (
    <div className="policy-steer">
      <button type="button" className="button" onClick={shadow}>
        {policy.shadow ? "End shadow" : "Run as shadow"}
        <span className="visually-hidden"> {policy.name}</span>
      </button>
      <button type="button" className="button" onClick={activate}>
        Put in force<span className="visually-hidden"> {policy.name}</span>
      </button>
    </div>
  );
}

function ShadowPanel({ policy, live }: { policy: Policy; live: Policy | null }) {
  const loaded = useLoaded(`shadow ${policy.id}`, () => getComparison(policy.id), {
    idleMs: LOOK_MS,
  });
  const { data } = loaded;
  return (
    <Panel
      title={`${policy.name} beside ${live?.name ?? "the version in force"}`}
      note={
        data && (
          <>
            means over {data.rounds.toLocaleString("en-US")} rounds that both cleared since{" "}
            <Clock at={data.since} />, by the score in force
          </>
        )
      }
    >
      <Pending loaded={loaded} rows={6} label="Loading the comparison" />
      {data?.rounds === 0 && (
        <Empty title="No round has been cleared by both yet">
          <p>The shadow takes part in each round from now on.</p>
        </Empty>
      )}
      {data && data.rounds > 0 && (
        <FigureTable figures={data.items} caption={`${policy.name} beside the version in force`} />
      )}
    </Panel>
  );
}
