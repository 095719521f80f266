/** Universes of portfolios: the newest frontier of each, and its picks over time. */

import type { Setting } from "./changes";
import type { Frontier, Pick } from "./records";

const KEPT_ROWS = 900;
const BREAK_PERIODS = 5; // a longer silence is a gap in a chart

type Part<T, K extends keyof T> = { [P in K]: T[P] }; // TypeScript's own is called Pick, as our record

/** What is kept of a frontier that is not the newest: a row of `history?picks_only=true`. */
export type PickRow = Part<Frontier, "seq" | "ts_event_ns" | "assets" | "picks" | "state" | "constraints" | Setting>;

export type PickOf = (row: PickRow) => Pick | undefined;

const PICK_NAMES: Record<string, string> = {
  min_variance: "min variance", max_sharpe: "max Sharpe", max_utility: "max utility", risk_parity: "risk parity",
  equal_weight: "equal weight", current: "current holdings",
};

export function pickName(name: string): string {
  const fallback = name.endsWith("_fallback");
  const bare = fallback ? name.slice(0, -"_fallback".length) : name;
  return (PICK_NAMES[bare] ?? bare.replaceAll("_", " ")) + (fallback ? " (fallback)" : "");
}

/** A pick's note for people: picks by the names that the page has for them. */
export function spoken(note: string | undefined): string {
  return (note ?? "").replace(/\b(?:min|max|risk|equal)_[a-z_]+/g, pickName);
}

/** When what a frontier says was computed, if it ever was. */
export function computedNs(one: Frontier): number | null {
  if (one.ts_computed_ns) return one.ts_computed_ns;
  return one.state === "WAITING" ? null : one.ts_event_ns;
}

export class Universe {
  frontier: Frontier | null = null;
  rows: PickRow[] = [];
  historyAsked = false;

  take(rows: Frontier[]): void {
    for (const row of rows) {
      this.frontier = row;
      this.add(row);
    }
  }

  private add(row: Frontier): void {
    if (row.state === "WAITING") return; // its weights are those of the last good tick, which is there
    const { frontier, frontier_weights, cloud, correlation, ...kept } = row; // which are large
    const ts_event_ns = row.ts_event_ns;
    const last = this.rows.at(-1);
    if (last && last.ts_event_ns >= ts_event_ns) this.rows = this.rows.filter((one) => one.ts_event_ns < ts_event_ns);
    this.rows.push(kept);
    if (this.rows.length > KEPT_ROWS) this.rows.shift();
  }

  /** Put stored rows before those that came live. */
  addHistory(rows: PickRow[]): void {
    const known = new Set(this.rows.map((one) => one.ts_event_ns));
    const fresh = rows.filter((one) => !known.has(one.ts_event_ns) && one.state !== "WAITING");
    this.rows = [...fresh, ...this.rows].sort((a, b) => a.ts_event_ns - b.ts_event_ns).slice(-KEPT_ROWS);
  }
}

export class Portfolios {
  all = new Map<string, Universe>();
  private chosen = "";
  private followed = "max_sharpe";

  take(name: string, rows: Frontier[]): void {
    let one = this.all.get(name);
    if (!one) this.all.set(name, (one = new Universe()));
    one.take(rows);
  }

  get names(): string[] {
    return [...this.all.keys()].sort();
  }

  get name(): string {
    return this.all.has(this.chosen) ? this.chosen : (this.names[0] ?? "");
  }

  get current(): Universe | undefined {
    return this.all.get(this.name);
  }

  choose(name: string): void {
    this.chosen = name;
  }

  follow(pick: string): void {
    this.followed = pick.replace(/_fallback$/, "");
  }

  /** The pick that charts follow, under the name that it has now. */
  pickIn(picks: Record<string, Pick>): string {
    const names = Object.keys(picks);
    const fallback = `${this.followed}_fallback`;
    return [this.followed, fallback].find((name) => names.includes(name)) ?? names[0] ?? "";
  }

  /** The same pick of another row, in which it may be a fallback. */
  pickOf(row: PickRow): Pick | undefined {
    return row.picks[this.followed] ?? row.picks[`${this.followed}_fallback`];
  }
}

export function weightOf(row: PickRow, pick: Pick | undefined, asset: string): number {
  const at = row.assets.indexOf(asset);
  return at < 0 ? 0 : (pick?.weights[at] ?? 0);
}

/** The assets of rows by their mean weight, the largest first. */
export function byWeight(rows: PickRow[], pickOf: PickOf): string[] {
  const sums = new Map<string, number>();
  for (const row of rows) {
    const weights = pickOf(row)?.weights ?? [];
    row.assets.forEach((asset, i) => sums.set(asset, (sums.get(asset) ?? 0) + (weights[i] ?? 0)));
  }
  return [...sums].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).map(([asset]) => asset);
}

export type Stacked = [number[], ...(number | null)[][]];

/** Times in seconds, and for each asset the sum of the weights up to it; the last is of all others. Null where a gap is. */
export function stack(rows: PickRow[], assets: string[], pickOf: PickOf): Stacked {
  const times: number[] = [];
  const sums: (number | null)[][] = [...assets, "others"].map(() => []);
  let before: PickRow | null = null;
  for (const row of rows) {
    const pick = pickOf(row);
    if (before && row.ts_event_ns - before.ts_event_ns > BREAK_PERIODS * row.period_ns) {
      times.push((before.ts_event_ns + row.period_ns) / 1e9);
      for (const one of sums) one.push(null);
    }
    times.push(row.ts_event_ns / 1e9);
    let sum = 0;
    assets.forEach((asset, i) => sums[i]?.push(pick ? (sum += weightOf(row, pick, asset)) : null));
    const total = pick?.weights.reduce((all, one) => all + one, 0);
    sums.at(-1)?.push(total ?? null);
    before = row;
  }
  return [times, ...sums];
}

const RISKS: Record<string, string> = {
  variance: "standard deviation, bps a period", "semi-variance": "semi-deviation, bps a period",
  cvar: "mean loss of the worst 5 %, bps a period", "max-drawdown": "deepest fall within the window, bps",
};

/** What a frontier's risk is, and its unit. */
export function riskOf(frontier: Frontier): string {
  return RISKS[frontier.risk ?? "variance"] ?? `${frontier.risk}, bps`;
}

/** Index of the point of a line of rising risk that is nearest to a risk. */
export function nearest(line: [number, number][], risk: number): number {
  let best = 0;
  line.forEach((point, i) => {
    if (Math.abs(point[0] - risk) < Math.abs((line[best]?.[0] ?? Infinity) - risk)) best = i;
  });
  return best;
}
