/** Quantities for people: resource amounts with their units, bytes, shares, energies. */

interface ResourceFormat {
  label: string;
  unit: string;
  /** Base units in one priced unit, as the market quotes them. */
  pricedUnit: number;
  pricedPer: string;
}

const KNOWN: Record<string, ResourceFormat> = {
  cpu_millis: { label: "CPU", unit: "cores", pricedUnit: 1_000, pricedPer: "core·h" },
  memory_bytes: { label: "Memory", unit: "GiB", pricedUnit: 2 ** 30, pricedPer: "GiB·h" },
  accelerator_millis: {
    label: "Accelerator",
    unit: "accelerators",
    pricedUnit: 1_000,
    pricedPer: "accelerator·h",
  },
  bandwidth_kbps: { label: "Bandwidth", unit: "Mbit/s", pricedUnit: 1_000, pricedPer: "Mbit/s·h" },
};

export const RESOURCE_ORDER = Object.keys(KNOWN);

export function resourceFormat(resource: string): ResourceFormat {
  return KNOWN[resource] ?? { label: resource, unit: resource, pricedUnit: 1, pricedPer: "unit·h" };
}

/** A number with at most ``digits`` decimals and no idle zeros. */
export function compact(value: number, digits = 2): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: digits });
}

/** A number to ``figures`` of its digits, however small it is. */
export function significant(value: number, figures = 4): string {
  return value === 0 ? "0" : value.toLocaleString("en-US", { maximumSignificantDigits: figures });
}

/** Amount in priced units without the unit: `1500` cpu_millis → `"1.5"`. */
export function amount(resource: string, units: number): string {
  const value = units / resourceFormat(resource).pricedUnit;
  return compact(value, value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

/** Known resources first and in the market's order, then the rest by name. */
export function orderedResources(names: Iterable<string>): string[] {
  const rank = (name: string) => {
    const at = RESOURCE_ORDER.indexOf(name);
    return at < 0 ? RESOURCE_ORDER.length : at;
  };
  return [...new Set(names)].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${compact(value, unit === 0 || value >= 100 ? 0 : 1)} ${units[unit]}`;
}

/** `0.4567` → `"46 %"`; a share that is not quite all or nothing never looks like it. */
export function formatShare(share: number): string {
  const percent = share * 100;
  if (percent > 0 && percent < 1) return "<1 %";
  if (percent < 100 && percent > 99) return ">99 %";
  return `${Math.round(percent)} %`;
}

export function formatEnergy(millijoules: number): string {
  if (millijoules < 1_000) return `${compact(millijoules, 0)} mJ`;
  if (millijoules < 1_000_000) return `${compact(millijoules / 1_000, 1)} J`;
  return `${compact(millijoules / 1_000_000, 1)} kJ`;
}

/** Ids for narrow columns: type and the last six, which differ where UUIDv7 prefixes do not. */
export function shortId(id: string): string {
  const split = id.indexOf("_");
  return split < 0 || id.length - split < 12 ? id : `${id.slice(0, split + 1)}…${id.slice(-6)}`;
}
