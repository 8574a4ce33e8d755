/** Who is signed in, and what that role may do here. */

import { createContext, useContext } from "react";
import type { Account } from "./api/types";

export interface SessionFacts {
  account: Account;
  signOut: () => void;
}

export const SessionContext = createContext<SessionFacts | null>(null);

export function useSession(): SessionFacts {
  const session = useContext(SessionContext);
  if (!session) throw new Error("useSession outside of a signed-in page");
  return session;
}

export const maySubmit = ({ role }: Account) => role === "tenant" || role === "operator";
export const maySteerNode = (account: Account, ownerId: string) =>
  account.role === "operator" || (account.role === "owner" && account.id === ownerId);
