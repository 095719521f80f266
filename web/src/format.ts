/** Numbers and times for people; unknown is an en dash. */

export const UNKNOWN = "–";

/** Decimals that tell the given prices apart: 64732.1 has one, 0.52165 five. */
export function decimalsOf(prices: number[]): number {
  let most = 0;
  for (const price of prices) {
    const text = String(Number(price.toPrecision(8))); // a mid may read 64033.649999999994, a file 264.07998657
    if (text.includes("e")) return 8;
    most = Math.max(most, (text.split(".")[1] ?? "").length);
  }
  return Math.min(most, 8);
}

/** A zero that rounding made of something less has no sign. */
function unsigned(text: string): string {
  return Number(text) === 0 ? text.replace("-", "") : text;
}

export function fixed(value: number | null | undefined, decimals: number): string {
  return value == null || !Number.isFinite(value) ? UNKNOWN : unsigned(value.toFixed(decimals));
}

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });

/** Four significant digits; from ten thousand on with K, M, B. */
export function short(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return UNKNOWN;
  const size = Math.abs(value);
  if (size >= 1e4) return compact.format(value);
  if (size === 0) return "0";
  if (size < 1e-4) return value.toExponential(1);
  return String(Number(value.toPrecision(4)));
}

/** A price in all the digits that an exchange quotes: no trader reads 64.03K. */
export function price(value: number | null | undefined): string {
  return value == null || !Number.isFinite(value) ? UNKNOWN : String(Number(value.toPrecision(8)));
}

export function percent(value: number, decimals = 1): string {
  return `${(value * 100).toFixed(decimals)} %`;
}

export function microseconds(value: number): string {
  if (Math.abs(value) >= 1e6) return `${(value / 1e6).toFixed(2)} s`;
  if (Math.abs(value) >= 1e5) return `${(value / 1e3).toFixed(0)} ms`;
  if (Math.abs(value) >= 1e3) return `${(value / 1e3).toFixed(1)} ms`;
  return `${value.toFixed(0)} µs`;
}

/** An age: 0.4 s, 12 s, 3 min, 2 h, 5 d. */
export function age(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(0)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(0)} h` : `${(seconds / 86400).toFixed(0)} d`;
}

/** Bytes as 512 B, 1.5 kB, 20 MB. */
export function bytes(value: number): string {
  let unit = 0;
  while (value >= 999.5 && unit < 5) [value, unit] = [value / 1000, unit + 1];
  return `${unit > 0 && value < 10 ? value.toFixed(1) : value.toFixed(0)} ${["B", "kB", "MB", "GB", "TB", "PB"][unit]}`;
}

/** A span of nanoseconds as 250 ms, 5 s, 1 min, 1 h, 1 d. */
export function span(ns: number): string {
  const seconds = ns / 1e9;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  for (const [unit, name] of [[86400, "d"], [3600, "h"], [60, "min"]] as const) {
    if (seconds >= unit && seconds % unit === 0) return `${seconds / unit} ${name}`;
  }
  return `${seconds} s`;
}

/** A moment as 2026-08-09 05:00:01, UTC. */
export function moment(ns: number): string {
  return new Date(ns / 1e6).toISOString().slice(0, 19).replace("T", " ");
}

export function clock(ns: number): string {
  return new Date(ns / 1e6).toISOString().slice(11, 19);
}
