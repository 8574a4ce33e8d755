/** What just happened, newest first. */

import type { SoukEvent } from "../../api/types";
import { useLive } from "../../live/hooks";
import { eventHref, eventSentence, eventSubject, isNews } from "../../live/sentence";
import { Link } from "../../router";
import { Clock } from "../../ui/Figures";
import { Empty, Panel } from "../../ui/Panel";

const SHOWN_MAX = 14;

export function EventsPanel({ feed }: { feed: readonly SoukEvent[] }) {
  const told = feed.filter(isNews);
  const { overview } = useLive();
  return (
    <Panel title="Events" note="since this page was opened">
      {told.length === 0 ? (
        <Empty title="Nothing has happened yet" />
      ) : (
        <ol className="events">
          {told.slice(0, SHOWN_MAX).map((event) => (
            <li key={event.id}>
              <Clock at={event.at} />
              <span>{eventSentence(event, overview)}</span>
              <Subject event={event} />
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}

function Subject({ event }: { event: SoukEvent }) {
  const { overview } = useLive();
  const href = eventHref(event);
  const label = eventSubject(event, overview);
  if (!href) return <span className="muted">{label}</span>;
  return <Link href={href}>{label}</Link>;
}
