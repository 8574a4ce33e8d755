/** An address that names no page. */

import { Link, useTitle } from "../router";
import { Empty } from "../ui/Panel";

export function NotFoundPage({ path }: { path: string }) {
  useTitle("No such page");
  return (
    <Empty title="There is no such page">
      <p>
        <code>{path}</code> names nothing here. Go to the <Link href="/">overview</Link> or to the{" "}
        <Link href="/jobs">jobs</Link>.
      </p>
    </Empty>
  );
}
