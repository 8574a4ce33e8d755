/** What just happened, newest first. */

import type { SoukEvent } from "../../api/types";
import { shortId } from "../../format/units";
import { eventHref, eventSentence } from "../../live/sentence";
import { Link } from "../../router";
import { Clock } from "../../ui/Figures";
import { Empty, Panel } from "../../ui/Panel";

const SHOWN_MAX = 14;

export function EventsPanel({ feed }: { feed: readonly SoukEvent[] }) {
  return (
    <Panel title="Events" note="since this page was opened">
      {feed.length === 0 ? (
        <Empty title="Nothing has happened yet" />
      ) : (
        <ol className="events">
          {feed.slice(0, SHOWN_MAX).map((event) => (
            <li key={event.id}>
              <Clock at={event.at} />
              <span>{eventSentence(event)}</span>
              <Subject event={event} />
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}

function Subject({ event }: { event: SoukEvent }) {
  const href = eventHref(event);
  const name = typeof event.data.name === "string" && event.data.name;
  const label = name || shortId(event.subject_id);
  if (!href) return <span className="muted">{label}</span>;
  return <Link href={href}>{label}</Link>;
}
