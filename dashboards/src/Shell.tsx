/** What stands around every page: where one is, how live the data is, who one is. */

import type { ReactNode } from "react";
import { useLive, useNow } from "./live/hooks";
import { describeConnection } from "./live/status";
import { Link, matchPath, usePath } from "./router";
import { maySeeNodes, maySubmit, useSession } from "./session";
import { ThemeToggle } from "./theme";
import { Boundary } from "./ui/Boundary";

export function Shell({ children }: { children: ReactNode }) {
  const path = usePath();
  const { account, signOut } = useSession();
  const links = [
    { href: "/", label: "Overview", here: matchPath("/", path) !== null },
    { href: "/jobs", label: "Jobs", here: path.startsWith("/jobs") && path !== "/jobs/new" },
    ...(maySeeNodes(account)
      ? [{ href: "/nodes", label: "Nodes", here: path.startsWith("/nodes") }]
      : []),
    { href: "/market", label: "Market", here: path.startsWith("/market") },
    ...(maySubmit(account)
      ? [{ href: "/jobs/new", label: "Submit a job", here: path === "/jobs/new" }]
      : []),
  ];
  return (
    <>
      <a className="skip" href="#content">
        Skip to content
      </a>
      <header className="bar">
        <Link className="mark" href="/" aria-label="souk, overview">
          <img src="/favicon.svg" alt="" width="20" height="20" />
          souk
        </Link>
        <nav aria-label="Pages">
          {links.map((link) => (
            <Link key={link.href} href={link.href} aria-current={link.here ? "page" : undefined}>
              {link.label}
            </Link>
          ))}
        </nav>
        <ConnectionStatus />
        <div className="bar-person">
          <span className="bar-account" title={account.id}>
            {account.name} <span className="muted">{account.role}</span>
          </span>
          <ThemeToggle />
          <button type="button" className="button button-quiet" onClick={signOut}>
            Sign out
          </button>
        </div>
      </header>
      <main id="content" tabIndex={-1}>
        <Boundary key={path}>{children}</Boundary>
      </main>
    </>
  );
}

function ConnectionStatus() {
  const { connection, loadedAt, problem } = useLive();
  const now = useNow();
  const status = describeConnection({ connection, loadedAt, problem, now });
  return (
    <div className={`connection tone-${status.tone}`} role="status" title={status.detail}>
      <span className="connection-dot" aria-hidden="true" />
      <span className="connection-word">{status.word}</span>
      {status.age && <span className="connection-age">{status.age}</span>}
    </div>
  );
}
