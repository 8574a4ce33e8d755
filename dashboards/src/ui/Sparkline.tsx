/** A step line of a price over time: a price holds until the next one is set. */

import type { PricePoint } from "../live/overview";

const WIDTH = 200;
const HEIGHT = 36;
const INSET = 3;

/** SVG path of the steps, from ``from`` to ``to`` (ms). Flat prices run through the middle. */
export function stepPath(points: readonly PricePoint[], from: number, to: number): string {
  if (points.length === 0 || to <= from) return "";
  const prices = points.map((point) => point.priceMicros);
  const low = Math.min(...prices);
  const high = Math.max(...prices);
  const x = (at: number) => round((Math.max(0, at - from) / (to - from)) * WIDTH);
  const y = (price: number) =>
    high === low
      ? HEIGHT / 2
      : round(INSET + (1 - (price - low) / (high - low)) * (HEIGHT - 2 * INSET));
  const [first, ...rest] = points;
  const steps = rest.map((point) => `H${x(point.at)}V${y(point.priceMicros)}`).join("");
  return `M${x(first?.at ?? from)} ${y(first?.priceMicros ?? 0)}${steps}H${WIDTH}`;
}

const round = (value: number) => Math.round(value * 10) / 10;

export function Sparkline({
  points,
  from,
  to,
  label,
}: {
  points: readonly PricePoint[];
  from: number;
  to: number;
  label: string;
}) {
  const path = stepPath(points, from, to);
  const start = /^M([\d.]+)/.exec(path)?.[1] ?? "0";
  return (
    <svg
      className="sparkline"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      {path && <path className="sparkline-area" d={`${path}V${HEIGHT}H${start}Z`} />}
      {path && <path className="sparkline-line" d={path} vectorEffect="non-scaling-stroke" />}
    </svg>
  );
}
