/** A state as a shape, a colour and its word: told apart without seeing colour. */

export type Tone = "good" | "busy" | "wait" | "bad" | "idle";
type Shape = "dot" | "ring" | "half" | "check" | "cross" | "dash" | "clock";

const LOOKS: Record<string, readonly [Tone, Shape]> = {
  queued: ["wait", "ring"],
  matched: ["wait", "half"],
  running: ["busy", "dot"],
  succeeded: ["good", "check"],
  failed: ["bad", "cross"],
  cancelled: ["idle", "dash"],
  expired: ["bad", "clock"],
  placed: ["busy", "dot"],
  assigned: ["wait", "ring"],
  accepted: ["wait", "half"],
  unknown: ["wait", "clock"],
  lost: ["bad", "cross"],
  "in force": ["good", "check"],
  shadow: ["busy", "half"],
  active: ["busy", "dot"],
  released: ["idle", "dash"],
  enrolled: ["wait", "ring"],
  online: ["good", "dot"],
  offline: ["bad", "ring"],
  draining: ["wait", "half"],
  quarantined: ["bad", "cross"],
  revoked: ["bad", "cross"],
};

const PATHS: Record<Shape, React.ReactNode> = {
  dot: <circle cx="6" cy="6" r="4" fill="currentColor" />,
  ring: <circle cx="6" cy="6" r="3.5" />,
  half: (
    <>
      <circle cx="6" cy="6" r="3.5" />
      <path d="M6 2.5a3.5 3.5 0 0 0 0 7z" fill="currentColor" />
    </>
  ),
  check: <path d="M2 6.5 5 9.5 10.5 3" />,
  cross: <path d="m2.5 2.5 7 7m0-7-7 7" />,
  dash: <path d="M2 6h8" />,
  clock: (
    <>
      <circle cx="6" cy="6" r="4.5" />
      <path d="M6 3.5V6l2 1.5" />
    </>
  ),
};

export function toneOf(state: string): Tone {
  return LOOKS[state]?.[0] ?? "idle";
}

export function StateShape({ state }: { state: string }) {
  const [tone, shape] = LOOKS[state] ?? ["idle", "ring"];
  return (
    <svg className={`shape tone-${tone}`} viewBox="0 0 12 12" aria-hidden="true">
      {PATHS[shape]}
    </svg>
  );
}

export function State({ state, title }: { state: string; title?: string | null }) {
  return (
    <span className={`state tone-${toneOf(state)}`} title={title ?? undefined}>
      <StateShape state={state} />
      {state}
    </span>
  );
}
