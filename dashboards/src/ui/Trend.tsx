/** A small chart of one measure over time: lines, a spread, both axes labelled, values on hover. */

import {
  rangeOf,
  runsWithout,
  type Range,
  type TrendPoint,
  type TrendSpread,
} from "../live/trends";
import { formatClock } from "../format/time";
import { useNow } from "../live/hooks";

const WIDTH = 300;
const HEIGHT = 80;
const INSET = 3;

export interface TrendLine {
  name: string;
  /** Its colour and dash, as a class; lines of one chart also differ in form. */
  className: string;
  points: readonly TrendPoint[];
}

export interface TrendProps {
  title: string;
  unit: string;
  lines: readonly TrendLine[];
  spread?: readonly TrendSpread[];
  range?: Partial<Range>;
  /** Lines break over longer pauses; by default they do not. */
  pauseMs?: number;
  from: number;
  to: number;
  format: (value: number) => string;
  empty: string;
}

type Place = (value: number) => number;

const round = (value: number) => Math.round(value * 10) / 10;

export function linePath(points: readonly TrendPoint[], x: Place, y: Place): string {
  const [first, ...rest] = points;
  if (!first) return "";
  // A line of no length is drawn as a dot, by its round ends.
  const tail = rest.length ? rest : [first];
  return `M${x(first.at)} ${y(first.value)}${tail.map((p) => `L${x(p.at)} ${y(p.value)}`).join("")}`;
}

export function spreadPath(points: readonly TrendSpread[], x: Place, y: Place): string {
  const high = points.map((point) => `${x(point.at)} ${y(point.high)}`);
  const low = points.map((point) => `${x(point.at)} ${y(point.low)}`).reverse();
  return points.length ? `M${[...high, ...low].join("L")}Z` : "";
}

export function Trend(props: TrendProps) {
  const { title, unit, lines, spread = [], from, to, format, pauseMs = Infinity } = props;
  const values = [
    ...lines.flatMap((line) => line.points.map((point) => point.value)),
    ...spread.flatMap((point) => [point.low, point.high]),
  ];
  const shown = values.length > 0;
  const range = rangeOf(shown ? values : [0, 1], props.range);
  const x = (at: number) =>
    round(Math.min(1, Math.max(0, (at - from) / Math.max(1, to - from))) * WIDTH);
  const y = (value: number) =>
    round(
      INSET +
        (1 - (value - range.low) / Math.max(1e-12, range.high - range.low)) * (HEIGHT - 2 * INSET),
    );
  return (
    <figure className="trend">
      <figcaption>
        <span className="trend-title">{title}</span> <span className="unit">{unit}</span>
        <TrendKey lines={lines} spread={spread} format={format} />
      </figcaption>
      <div className="trend-plot">
        <span className="trend-y" aria-hidden="true">
          <span>{shown && format(range.high)}</span>
          <span>{shown && format(range.low)}</span>
        </span>
        <svg
          className="trend-svg"
          viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
          preserveAspectRatio="none"
          role="img"
          aria-label={describe(props)}
        >
          {runsWithout(spread, pauseMs).map((run) => (
            <path key={run[0]?.at} className="trend-spread" d={spreadPath(run, x, y)} />
          ))}
          {lines.flatMap((line) =>
            runsWithout(line.points, pauseMs).map((run) => (
              <path
                key={`${line.name} ${run[0]?.at}`}
                className={`trend-line ${line.className} ${run.length === 1 ? "trend-dots" : ""}`}
                d={linePath(run, x, y)}
                vectorEffect="non-scaling-stroke"
              />
            )),
          )}
          <Hovers {...props} x={x} />
        </svg>
        {!shown && <p className="trend-empty">{props.empty}</p>}
      </div>
      <TrendTimes from={from} to={to} />
    </figure>
  );
}

/** Each line's mark, name and last value. */
function TrendKey({
  lines,
  spread,
  format,
}: Required<Pick<TrendProps, "lines" | "spread" | "format">>) {
  return (
    <span className="trend-key">
      {lines.map((line) => {
        const last = line.points.at(-1);
        return (
          <span key={line.name}>
            <svg className="trend-mark" viewBox="0 0 14 8" aria-hidden="true">
              <path className={`trend-line ${line.className}`} d="M1 4H13" />
            </svg>
            {line.name} {last && <b>{format(last.value)}</b>}
          </span>
        );
      })}
      {spread.length > 0 && (
        <span>
          <span className="trend-mark trend-mark-spread" /> P10 to P90
        </span>
      )}
    </span>
  );
}

function TrendTimes({ from, to }: { from: number; to: number }) {
  const now = useNow();
  return (
    <div className="trend-x" aria-hidden="true">
      <span>{formatClock(new Date(from).toISOString(), now)}</span>
      <span>{formatClock(new Date(to).toISOString(), now)}</span>
    </div>
  );
}

/** A strip over each time that was measured, which tells its values. */
function Hovers({ lines, spread = [], from, to, format, x }: TrendProps & { x: Place }) {
  const times = [
    ...new Set([...lines.flatMap((l) => l.points.map((p) => p.at)), ...spread.map((p) => p.at)]),
  ]
    .filter((at) => at >= from && at <= to)
    .sort((a, b) => a - b);
  return times.map((at, index) => {
    const start = index ? (x(at) + x(times[index - 1] ?? at)) / 2 : 0;
    const end = index < times.length - 1 ? (x(at) + x(times[index + 1] ?? at)) / 2 : WIDTH;
    const between = spread.find((point) => point.at === at);
    const told = lines.flatMap((line) => {
      const point = line.points.find((one) => one.at === at);
      return point ? `${line.name} ${format(point.value)}` : [];
    });
    if (between) told.push(`P10 ${format(between.low)}, P90 ${format(between.high)}`);
    return (
      <rect
        key={at}
        className="trend-hover"
        x={start}
        y={0}
        width={Math.max(0, end - start)}
        height={HEIGHT}
      >
        <title>{`${formatClock(new Date(at).toISOString(), to)}: ${told.join(", ")}`}</title>
      </rect>
    );
  });
}

function describe({ title, unit, lines, format, empty }: TrendProps): string {
  const told = lines.flatMap((line) => {
    const values = line.points.map((point) => point.value);
    const last = values.at(-1);
    return last === undefined
      ? []
      : `${line.name} now ${format(last)}, from ${format(Math.min(...values))} to ${format(Math.max(...values))}`;
  });
  return `${title}, ${unit}: ${told.join("; ") || empty}`;
}
