/** What a pick has changed, and why. */

import { type PickOf, type PickRow, spoken, weightOf } from "./portfolio";
import type { Frontier, Pick } from "./records";

const MINUTE_NS = 60e9;
const RISK_SHARE = 0.5; // of a move that min variance, which reads risks alone, has made too: then risks drive it
const SMALL = 0.001; // of a weight: not worth a word
const READ_NOTHING = ["equal_weight", "current"]; // of the market

/** What of a universe's configuration a frontier tells, and what it is called when it has changed. */
const SETTINGS = {
  costs: "costs", hold: "costs", band: "costs", cash: "the return of cash", aversion: "aversion to risk", period_ns: "the period",
  risk: "the measure of risk", estimators: "estimators", halflife: "estimators", window: "estimators",
} as const satisfies { [name in keyof Frontier]?: string };

export type Setting = keyof typeof SETTINGS;

/** `why` is what drove it; where nothing moved, what there is to say of that. */
export interface Changed {
  sinceNs: number;
  turnover: number;
  moves: [asset: string, change: number][];
  why: string;
}

/**
 * What a pick has changed within the last minute (or period, if that is longer; since the row before, if that is older),
 * the largest first, and what drove it.
 */
export function changed(rows: PickRow[], pickOf: PickOf): Changed | null {
  const now = rows.at(-1);
  if (!now) return null;
  const since = now.ts_event_ns - Math.max(MINUTE_NS, now.period_ns);
  const before = rows.find((row) => row.ts_event_ns >= since && row !== now) ?? rows.at(-2); // of days, over a weekend
  if (!before) return null;
  const moves = difference(before, pickOf(before), now, pickOf(now));
  const turnover = moves.reduce((sum, [, change]) => sum + Math.abs(change), 0);
  const calm = difference(before, calmest(before), now, calmest(now)).reduce((sum, [, change]) => sum + Math.abs(change), 0);
  return {
    sinceNs: before.ts_event_ns, turnover, why: driver(before, now, pickOf, turnover, calm),
    moves: moves.filter(([, change]) => Math.abs(change) >= SMALL),
  };
}

function difference(before: PickRow, was: Pick | undefined, now: PickRow, is: Pick | undefined): [string, number][] {
  const assets = [...new Set([...now.assets, ...before.assets])];
  return assets
    .map((asset): [string, number] => [asset, weightOf(now, is, asset) - weightOf(before, was, asset)])
    .sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
}

/** The pick that reads risks alone: of variance, or of what else the risk is. */
function calmest(row: PickRow): Pick | undefined {
  const name = Object.keys(row.picks).find((one) => one.startsWith("min_"));
  return name === undefined ? undefined : row.picks[name];
}

/** What drove it: what has certainly changed first; then what the pick reads, by which of that has moved the calmest pick. */
function driver(
  before: PickRow, now: PickRow, pickOf: PickOf, turnover: number, calm: number,
): string {
  const told = [...asSet(before, now), ...assetsOf(before, now)].join(", ");
  const [was, is] = [pickOf(before), pickOf(now)];
  if (turnover < SMALL) return [told && `though ${told}`, is?.wanted && spoken(is.note)].filter(Boolean).join("; ");
  if (told) return told;
  const name = nameOf(now, is);
  if (name.endsWith("_fallback") !== nameOf(before, was).endsWith("_fallback")) {
    return name.endsWith("_fallback") ? spoken(is?.note) : "a mean is above cash again";
  }
  if (is?.wanted) return spoken(is.note);
  if (was?.wanted) return "a trade is worth it now";
  if (READ_NOTHING.includes(name)) return "";
  const onlyRisk = is === calmest(now) || name === "risk_parity";
  return onlyRisk || calm >= RISK_SHARE * turnover ? "risks changed" : "expected returns changed";
}

/** What the user has set otherwise; of rows from before it was told nothing is known. */
function asSet(before: PickRow, now: PickRow): string[] {
  const [was, is] = [before.constraints, now.constraints];
  const rules = (one: typeof was) => ({ ...one, current: null });
  const names = (Object.keys(SETTINGS) as Setting[])
    .filter((name) => differ(before[name], now[name]))
    .map((name) => SETTINGS[name]);
  const of: string[] = was && is && differ(rules(was), rules(is)) ? ["constraints"] : [];
  const held = was && is && differ(was.current, is.current) ? ["what is held"] : [];
  return [...new Set([...of, ...held, ...names])].map((name) => `${name} changed`);
}

function differ(one: unknown, other: unknown): boolean {
  return one != null && other != null && JSON.stringify(one) !== JSON.stringify(other);
}

function assetsOf(before: PickRow, now: PickRow): string[] {
  const joined = now.assets.filter((asset) => !before.assets.includes(asset));
  const left = before.assets.filter((asset) => !now.assets.includes(asset));
  return [...joined.map((one) => `${one} joined`), ...left.map((one) => `${one} left`)];
}

function nameOf(row: PickRow, pick: Pick | undefined): string {
  return Object.keys(row.picks).find((name) => row.picks[name] === pick) ?? "";
}
