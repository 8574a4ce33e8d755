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
/** Tenants buy from a cell; its devices are the business of those who own and run them. */
export const maySeeNodes = ({ role }: Account) => role !== "tenant";
export const maySteerNode = (account: Account, ownerId: string) =>
  account.role === "operator" || (account.role === "owner" && account.id === ownerId);

// The cookie itself is out of reach of scripts. That there may be one is remembered, so that a
// first visit does not begin with a refused request.
const VISIT = "souk.visit";

export function rememberVisit(signedIn: boolean): void {
  try {
    if (signedIn) localStorage.setItem(VISIT, "1");
    else localStorage.removeItem(VISIT);
  } catch {
    // Without storage every visit asks the platform.
  }
}

export function mayHaveSession(): boolean {
  try {
    return localStorage.getItem(VISIT) !== null;
  } catch {
    return true;
  }
}
