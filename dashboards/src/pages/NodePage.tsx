/** One device: what it offers, what of it is leased, what it measured, and how to drain it. */

import { getNode, listLeases, listOffers, patchNode } from "../api/endpoints";
import type { Node } from "../api/types";
import {
  amount,
  compact,
  formatBytes,
  formatShare,
  orderedResources,
  resourceFormat,
  shortId,
} from "../format/units";
import { useDeed, useLive, useLoaded } from "../live/hooks";
import { Link, useTitle } from "../router";
import { maySteerNode, useSession } from "../session";
import { Fact } from "../ui/Fact";
import { Age, Clock, Credits, Id } from "../ui/Figures";
import { busyCores, CapacityBar, condition, sellable } from "../ui/NodeRow";
import { Empty, Panel, Pending, ProblemNotice } from "../ui/Panel";
import { State } from "../ui/State";

async function loadNode(id: string): Promise<{ node: Node; etag: string | null }> {
  const response = await getNode(id);
  return { node: (await response.json()) as Node, etag: response.headers.get("etag") };
}

export function NodePage({ id }: { id: string }) {
  const { account } = useSession();
  const loaded = useLoaded(id, () => loadNode(id), {
    wakes: (event) => event.subject_id === id || event.kind.startsWith("lease."),
    idleMs: 3_000,
  });
  const { data, refresh } = loaded;
  const drain = useDeed(refresh);
  useTitle(data?.node.name ?? "Node");
  const pending = <Pending loaded={loaded} rows={6} label="Loading the node" />;
  if (!data) return pending;
  const { node, etag } = data;
  const draining = node.state === "draining";
  return (
    <div className="page">
      <header className="page-head">
        <p className="crumbs">
          <Link href="/nodes">Nodes</Link> / {node.cell_name}
        </p>
        <h1>{node.name || node.id}</h1>
        <State state={node.state} />
        {node.state_reason && <span className="muted">{node.state_reason}</span>}
        <Id id={node.id} whole />
        {maySteerNode(account, node.owner_id) && node.state !== "revoked" && (
          <button
            type="button"
            className="button"
            onClick={() => drain.run(() => patchNode(id, etag, { draining: !draining }))}
          >
            {draining ? "Take new work again" : "Drain: take nothing new"}
          </button>
        )}
      </header>
      {drain.problem ? <ProblemNotice problem={drain.problem} /> : pending}
      <div className="page-columns">
        <CapacityPanel node={node} />
        <MeasuredPanel node={node} />
        <AboutPanel node={node} />
        <LeasesPanel node={node} />
      </div>
    </div>
  );
}

function CapacityPanel({ node }: { node: Node }) {
  const offers = useLoaded(`offers ${node.id}`, () => listOffers(node.id), { idleMs: 15_000 });
  const open = offers.data?.items.find((offer) => offer.state === "open");
  return (
    <Panel title="Offered capacity" note="leased is sold, used or not">
      <dl className="facts">
        {orderedResources(Object.keys(node.capacity)).map((resource) => {
          const total = node.capacity[resource] ?? 0;
          const leased = node.leased[resource] ?? 0;
          const { label, unit, pricedPer } = resourceFormat(resource);
          const asks = open?.reserve[resource];
          return (
            <Fact key={resource} label={label}>
              <CapacityBar resource={resource} leased={leased} total={total} />
              {amount(resource, leased)} <span className="unit">leased,</span>{" "}
              {amount(resource, sellable(node, resource))} <span className="unit">free of</span>{" "}
              {amount(resource, total)} <span className="unit">{unit}</span>
              {asks !== undefined && (
                <div>
                  <span className="unit">sold from</span> <Credits micros={asks} per={pricedPer} />
                </div>
              )}
            </Fact>
          );
        })}
      </dl>
      {offers.data && !open && (
        <p className="panel-foot muted">It has no open offer: nothing of it is for sale.</p>
      )}
      {offers.problem && <ProblemNotice problem={offers.problem} retry={offers.refresh} />}
    </Panel>
  );
}

function MeasuredPanel({ node }: { node: Node }) {
  const busy = busyCores(node);
  const {
    memory_free_bytes: memory,
    disk_free_bytes: disk,
    load_1m_milli: load,
  } = node.measured ?? {};
  return (
    <Panel title="Measured on the device" note="whoever uses it">
      <dl className="facts">
        <Fact label="Last seen">
          <Age at={node.last_seen_at} />
        </Fact>
        {busy !== null && (
          <Fact label="CPU busy">
            {compact(busy, 2)} <span className="unit">of {node.cpu_count} cores</span>
          </Fact>
        )}
        {typeof load === "number" && <Fact label="Load, 1 min">{compact(load / 1_000)}</Fact>}
        {typeof memory === "number" && <Fact label="Memory free">{formatBytes(memory)}</Fact>}
        {typeof disk === "number" && <Fact label="Disk free">{formatBytes(disk)}</Fact>}
        {condition(node) && <Fact label="Condition">{condition(node)}</Fact>}
        {node.reliability !== null && (
          <Fact label="Reliability">{formatShare(node.reliability)}</Fact>
        )}
        {node.speed !== null && (
          <Fact label="Speed of a core">
            {compact(node.speed)} <span className="unit">× reference core</span>
          </Fact>
        )}
      </dl>
    </Panel>
  );
}

function LeasesPanel({ node }: { node: Node }) {
  const loaded = useLoaded(`leases ${node.id}`, () => listLeases(node.id), {
    wakes: (event) => event.kind.startsWith("lease."),
    idleMs: 5_000,
  });
  const { overview } = useLive();
  const names = new Map(overview?.jobs.recent.map((job) => [job.id, job.name]));
  const { data } = loaded;
  const leases = data?.items ?? [];
  return (
    <Panel title="Leases now">
      {!data && <Pending loaded={loaded} rows={1} label="Loading the leases" />}
      {data && leases.length === 0 && <Empty title="Nothing of it is leased" />}
      {leases.length > 0 && (
        <ul className="leases panel-text">
          {leases.map((lease) => (
            <li key={lease.id}>
              <Link href={`/jobs/${lease.job_id}`}>
                {names.get(lease.job_id) || shortId(lease.job_id)}
              </Link>
              <span>
                {lease.slots} {lease.slots === 1 ? "slot" : "slots"}
              </span>
              <Credits micros={lease.rate_micros_per_hour} per="slot·h" />
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function AboutPanel({ node }: { node: Node }) {
  const labels = Object.entries(node.labels);
  return (
    <Panel title="Device">
      <dl className="facts">
        <Fact label="Owner">{node.owner_name}</Fact>
        <Fact label="Cell">{node.cell_name}</Fact>
        <Fact label="Architecture">{node.arch || "unknown"}</Fact>
        <Fact label="Runtimes">{Object.keys(node.runtimes).join(", ") || "none"}</Fact>
        <Fact label="Labels">
          {labels.length ? labels.map(([key, value]) => `${key}=${value}`).join(", ") : "none"}
        </Fact>
        <Fact label="Agent">{node.agent_version || "unknown"}</Fact>
        <Fact label="Enrolled">
          <Clock at={node.enrolled_at} />
        </Fact>
        {node.certificate_expires_at && (
          <Fact label="Certificate until">
            <Clock at={node.certificate_expires_at} />
          </Fact>
        )}
      </dl>
    </Panel>
  );
}
