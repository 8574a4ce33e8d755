/** Why a bid was not served, in words: one phrase for each reason that the market gives. */

const PHRASES: Readonly<Record<string, string>> = {
  no_ask: "nothing is offered in its cell",
  constraint: "no node has what it asks for",
  not_admitted: "every fitting owner refuses it",
  too_large: "larger than any node",
  latency: "every fitting node is too far away",
  reliability: "every fitting node is too unreliable",
  speed: "every fitting node is too slow",
  deadline: "too late on every fitting node",
  limit_below_reserve: "its limit is under every reserve",
  no_capacity: "no room now",
  outbid: "outbid",
  count: "room for a part only",
};

/** Reasons of a newer platform are shown by their names. */
export const lossPhrase = (loss: string): string => PHRASES[loss] ?? loss.replaceAll("_", " ");
