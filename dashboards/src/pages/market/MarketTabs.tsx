/** The pages of the market, and which of them this is. */

import { Link, usePath } from "../../router";

const TABS = [
  { href: "/market", label: "Cells" },
  { href: "/market/rounds", label: "Rounds" },
  { href: "/market/policies", label: "Policies" },
];

export function MarketTabs() {
  const path = usePath();
  return (
    <header className="market-head">
      <h1>Market</h1>
      <nav className="tabs" aria-label="Market">
        {TABS.map(({ href, label }) => (
          <Link
            key={href}
            href={href}
            aria-current={path.replace(/(.)\/$/, "$1") === href ? "page" : undefined}
          >
            {label}
          </Link>
        ))}
      </nav>
    </header>
  );
}
