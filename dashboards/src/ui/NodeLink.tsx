/** A device by its name, with its page for those who may see it. */

import { shortId } from "../format/units";
import { Link } from "../router";
import { maySeeNodes, useSession } from "../session";

export function NodeLink({ id, name }: { id: string; name: string | undefined }) {
  const { account } = useSession();
  const shown = name || shortId(id);
  return maySeeNodes(account) ? <Link href={`/nodes/${id}`}>{shown}</Link> : <>{shown}</>;
}
