/** A search's rows as api/search.py gives them, and what the table and the heat map take of them. */

import { fixed, moment, UNKNOWN } from "../format";

export interface Interval {
  value: number;
  low: number;
  high: number;
  mean_low: number;
  mean_high: number;
}

export interface Row {
  id: string;
  type: string;
  granularity: string;
  horizon: string;
  datasetinputs: number;
  features: string[];
  minutes_back: number;
  instruments: string[];
  n: number;
  folds: number;
  of_folds: number;
  start_ns: number | null;
  end_ns: number | null;
  seconds: number;
  why: string;
  warned: string[];
  percent_correct: Interval | null;
  percent_majority: Interval | null;
  percent_better: Interval | null;
  profit_bps: Interval | null;
  balanced_accuracy: Interval | null;
  matthews: Interval | null;
  log_loss: Interval | null;
  brier: Interval | null;
  sharpe_daily: number | null;
  deflated: number | null;
  few: boolean; // too little has judged it: it is not ranked among the others
}

export interface SearchState {
  name: string;
  done: number;
  total: number;
  failed: number;
  running: boolean;
  eta_s: number | null;
}

export interface SearchTable {
  state: SearchState;
  tried: number;
  verdict: string;
  rows: Row[];
}

export type Value = number | string | null;

/** An axis of the grid: how it reads, and what it is sorted by. */
export interface Axis {
  name: string;
  text: (row: Row) => string;
  order: (row: Row) => number | string;
}

const UNITS: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600 };

/** Seconds of a span as a configuration writes it: 250ms, 5s, 1m, 1h. */
export function seconds(span: string): number {
  const found = /^([\d.]+)(ms|s|m|h)$/.exec(span);
  return found ? Number(found[1]) * (UNITS[found[2] ?? ""] ?? NaN) : NaN;
}

const features = (row: Row): string => row.features.join(" ") || "none";
const instruments = (row: Row): string => row.instruments.join(" ");

export const AXES: Axis[] = [
  { name: "type", text: (row) => row.type, order: (row) => row.type },
  { name: "granularity", text: (row) => row.granularity, order: (row) => seconds(row.granularity) },
  { name: "ahead", text: (row) => row.horizon, order: (row) => seconds(row.horizon) },
  { name: "moves", text: (row) => String(row.datasetinputs), order: (row) => row.datasetinputs },
  { name: "features", text: features, order: features },
  {
    name: "minutes back", text: (row) => (row.minutes_back ? String(row.minutes_back) : "all"),
    order: (row) => row.minutes_back || Infinity,
  },
  { name: "instruments", text: instruments, order: instruments },
];

/** What is measured: `pivot` is where it is neither good nor bad, `lower` whether less is better. */
export interface Measure {
  name: string;
  decimals: number;
  of: (row: Row) => number | null;
  interval?: (row: Row) => Interval | null;
  pivot?: number;
  lower?: boolean;
}

function measured(name: string, decimals: number, interval: (row: Row) => Interval | null, more: Partial<Measure> = {}): Measure {
  return { name, decimals, interval, of: (row) => interval(row)?.value ?? null, ...more };
}

export const MEASURES: Measure[] = [
  measured("% correct", 1, (row) => row.percent_correct),
  measured("% better", 1, (row) => row.percent_better, { pivot: 0 }),
  measured("bps after costs", 2, (row) => row.profit_bps, { pivot: 0 }),
  { name: "deflated", decimals: 3, of: (row) => row.deflated },
  measured("Matthews", 3, (row) => row.matthews, { pivot: 0 }),
  measured("log-loss", 3, (row) => row.log_loss, { lower: true }),
];

/** What a row is compared with others by: nothing of one that too little has judged, which luck alone may have made. */
export function ranked(measure: Measure, row: Row): number | null {
  return row.few ? null : measure.of(row);
}

/** The rows in which every word of the filter stands somewhere. */
export function filtered(rows: Row[], filter: string): Row[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return rows;
  return rows.filter((row) => {
    const text = [...AXES.map((axis) => axis.text(row)), row.why].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** Rows by a value, those without one last whichever way; equal ones stay as they were. */
export function sorted(rows: Row[], by: (row: Row) => Value, descending: boolean): Row[] {
  const sign = descending ? -1 : 1;
  return rows.map((row) => [by(row), row] as const).sort(([a], [b]) => {
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    return a < b ? -sign : a > b ? sign : 0;
  }).map(([, row]) => row);
}

export const PICKS = ["median", "best", "worst"] as const;
export type Pick = (typeof PICKS)[number];

export interface Cell {
  x: string;
  y: string;
  value: number;
  n: number;
}

/** A cell for each pair of values of two axes that has scores: the median, best or worst of them. */
export function cells(rows: Row[], x: Axis, y: Axis, measure: Measure, pick: Pick): Cell[] {
  const groups = new Map<string, { x: string; y: string; values: number[] }>();
  for (const row of rows) {
    const value = ranked(measure, row);
    if (value === null) continue;
    const key = JSON.stringify([x.text(row), y.text(row)]);
    const group = groups.get(key) ?? { x: x.text(row), y: y.text(row), values: [] };
    groups.set(key, group);
    group.values.push(value);
  }
  return [...groups.values()].map(({ x, y, values }) => {
    values.sort((a, b) => (measure.lower ? a - b : b - a)); // the best first
    return { x, y, value: picked(values, pick), n: values.length };
  });
}

function picked(bestFirst: number[], pick: Pick): number {
  if (pick === "best") return bestFirst[0] ?? NaN;
  if (pick === "worst") return bestFirst.at(-1) ?? NaN;
  const middle = (bestFirst.length - 1) / 2;
  return ((bestFirst[Math.floor(middle)] ?? NaN) + (bestFirst[Math.ceil(middle)] ?? NaN)) / 2;
}

/** The values of an axis, in its order. */
export function domain(rows: Row[], axis: Axis): string[] {
  return [...new Set(sorted(rows, axis.order, false).map(axis.text))];
}

/** A value with its interval, as 51.2 [49.0, 53.1]. */
export function withInterval(measure: Measure, row: Row): [string, string] {
  const value = measure.of(row);
  const interval = row.sharpe_daily === 0 && measure.of(row) === 0 ? undefined : measure.interval?.(row); // of no trades
  const text = value === null ? (row.why ? UNKNOWN : row.sharpe_daily ? "too few" : "no trades") : fixed(value, measure.decimals);
  return [text, interval ? `[${fixed(interval.low, measure.decimals)}, ${fixed(interval.high, measure.decimals)}]` : ""];
}

/** The later periods that have judged it, as `6 of 8`: it had too little to learn from before the others. */
export function periods(row: Row): string {
  return `${row.folds} of ${row.of_folds}${row.few ? ", too few" : ""}`;
}

/** A moment of its decisions to the minute, UTC, as 2017-11-03 04:05. */
export function minute(ns: number | null): string {
  return ns === null ? UNKNOWN : moment(ns).slice(0, -3);
}

/** How far a search is, in words. */
export function stateText(state: SearchState): string {
  const done = `${state.done.toLocaleString("en")} of ${state.total.toLocaleString("en")}`;
  const failed = state.failed ? `, ${state.failed.toLocaleString("en")} without scores` : "";
  if (state.done >= state.total) return `all ${state.total.toLocaleString("en")} done${failed}`;
  if (!state.running) return `${done}${failed}, stopped: the same command goes on with it`;
  return `${done}${failed}, ETA ${state.eta_s === null ? "not known yet" : duration(state.eta_s)}`;
}

/** Seconds as 0:42, 12:05 or 1:02:03. */
export function duration(total: number): string {
  const whole = Math.round(total);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (part: number): string => String(part).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
