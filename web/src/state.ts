/** All that the page knows; messages change it, panels read it once a frame. */

import type {
  Audit, BookTop, Candle, DataState, DeadLetter, Features, FeedStats, Frontier, Latency, Prediction, Score, Status, Trade,
} from "./records";
import type { Rows, Welcome } from "./protocol";
import type { Replay } from "./replay";
import { Portfolios } from "./portfolio";
import { inOrder, keyOf, Series } from "./series";

const PANELS = [
  "header", "candles", "ladder", "trades", "features", "frontier", "score", "latency", "feeds", "replay",
] as const;
export type Panel = (typeof PANELS)[number];

const KEPT_CANDLES = 600;
export const KEPT_SAMPLES = 120;
const KEPT_TRADES = 40;
export const STALE_MS = 10_000; // what the server calls stale, STALE_S of jobs/lives.py

const SIMULATED = "sim"; // the venue of simulated data, SIMULATED of jobs/live.py

/** What was told of a feed last, and when that was by the page's clock. */
export interface Feed {
  stats: FeedStats;
  toldMs: number;
}

/** One instrument's data. */
export class Instrument {
  state: DataState = "SYNCING";
  reason = "";
  heardMs = 0;
  top: BookTop | null = null;
  features: Features | null = null;
  audit: Audit | null = null;
  samples = new Map<string, (number | null)[]>();
  candles = new Map<number, Map<number, Candle>>();
  series = new Map<string, Series>();
  trades: Trade[] = [];
  nRows = 0;
  historyAsked = false;

  constructor(readonly venue: string, readonly symbol: string) {}

  /** Put stored candles before those that came live, which are newer unless a lost connection cut them short. */
  addHistory(rows: Candle[]): void {
    for (const row of rows) {
      const live = inner(this.candles, row.interval_ns);
      const known = live.get(row.ts_open_ns);
      if (!known || (row.closed && !known.closed)) live.set(row.ts_open_ns, row);
    }
    for (const [interval, candles] of this.candles) {
      this.candles.set(interval, new Map([...candles].sort((a, b) => a[0] - b[0])));
    }
  }

  /** Let go of what a snapshot repeats: after a reconnection it would stand twice. */
  startAnew(channel: string): void {
    if (channel === "trades") this.trades = [];
    if (channel === "scores") for (const one of this.series.values()) one.scores = [];
    if (channel === "features") this.samples.clear();
  }

  seriesOf(row: Prediction | Score): Series {
    const key = keyOf(row);
    let found = this.series.get(key);
    if (!found) this.series.set(key, (found = new Series(row)));
    return found;
  }

  /** The state to show: what the server says, unless nothing has come for a while. */
  shown(nowMs: number, live: boolean): DataState {
    if (this.state === "LIVE" && live && this.heardMs > 0 && nowMs - this.heardMs > STALE_MS) return "STALE";
    return this.state;
  }
}

function trim<K, V>(map: Map<K, V>, most: number): void {
  for (const key of map.keys()) {
    if (map.size <= most) return;
    map.delete(key);
  }
}

function inner<K, L, V>(map: Map<K, Map<L, V>>, key: K): Map<L, V> {
  let found = map.get(key);
  if (!found) map.set(key, (found = new Map()));
  return found;
}

export class State {
  source = "";
  detail = "";
  instruments = new Map<string, Instrument>();
  selected = "";
  private chosen = false;
  private following = "";
  portfolios = new Portfolios();
  latency = new Map<string, Latency>();
  replay: Replay | null = null; // what plays the recording, if that is the source
  feeds = new Map<string, Feed>();
  letters: { key: string; letter: DeadLetter }[] = [];
  private refused = new Map<string, number>();
  dirty = new Set<Panel>(PANELS); // at first all: a panel without data says so

  welcome(message: Welcome): void {
    this.source = message.source;
    this.detail = message.detail;
    for (const one of message.instruments) {
      const instrument = this.instrument(`${one.venue}:${one.symbol}`);
      instrument.state = one.state as DataState;
      instrument.reason = one.reason;
      instrument.historyAsked = false; // what passed while the connection was lost is in the store
    }
    for (const one of this.portfolios.all.values()) one.historyAsked = false;
    this.replay = null; // another process may have answered
    this.dirty.add("header").add("replay");
  }

  /** Whether a recording is played, whose data are as old as they are. */
  get recorded(): boolean {
    return this.source === "TAPE" || this.source === "CSV";
  }

  get nLetters(): number {
    return [...this.refused.values()].reduce((sum, n) => sum + n, 0);
  }

  /** What to call the source: a cluster carries whatever is published, and simulated data must never pass for real. */
  get sourceShown(): string {
    if (this.source !== "CLUSTER") return this.source;
    const simulated = [...this.instruments.values()].filter((one) => one.venue === SIMULATED).length;
    if (simulated === 0) return this.source;
    return simulated === this.instruments.size ? "SIMULATED" : "PARTLY SIMULATED";
  }

  get current(): Instrument | undefined {
    return this.instruments.get(this.selected);
  }

  /** The version and horizon that the charts follow: the chosen one, else what is live, else the online model's second. */
  get followed(): Series | undefined {
    const all = this.current?.series ?? new Map<string, Series>();
    const chosen = all.get(this.following);
    if (chosen) return chosen;
    const ordered = inOrder(all.values());
    const online = ordered.filter((one) => one.role === "online");
    return ordered.find((one) => one.role === "live") ?? online[1] ?? online[0] ?? ordered[0];
  }

  follow(key: string): void {
    this.following = key;
    this.dirty.add("candles").add("score");
  }

  /** Until the user chooses, show the instrument in which most happens. */
  selectBusiest(): void {
    if (this.chosen) return;
    const busiest = [...this.instruments].sort((a, b) => b[1].nRows - a[1].nRows)[0];
    if (busiest && busiest[1].nRows > 2 * (this.current?.nRows ?? 0)) this.show(busiest[0]);
  }

  select(key: string): void {
    this.chosen = true;
    this.show(key);
  }

  private show(key: string): void {
    this.selected = key;
    for (const panel of ["header", "candles", "ladder", "trades", "features", "score"] as const) this.dirty.add(panel);
  }

  private instrument(key: string): Instrument {
    let found = this.instruments.get(key);
    if (!found) {
      const at = key.indexOf(":");
      this.instruments.set(key, (found = new Instrument(key.slice(0, at), key.slice(at + 1))));
      if (!this.selected) this.selected = key;
      this.dirty.add("header");
    }
    return found;
  }

  take(message: Rows, nowMs: number): void {
    if (message.channel === "frontiers") return this.takeFrontier(message);
    if (message.channel === "latency") return this.takeLatency(message.rows as Latency[]);
    if (message.channel === "feeds") return this.takeFeed(message, nowMs);
    if (message.channel === "dead-letters") return this.takeLetters(message);
    const one = this.instrument(message.key);
    const selected = message.key === this.selected;
    one.nRows += message.rows.length;
    if (message.type === "snapshot") one.startAnew(message.channel);
    for (const row of message.rows) {
      const panel = this.takeRow(one, message.channel, row, nowMs);
      if (panel && (selected || panel === "header")) this.dirty.add(panel);
    }
  }

  private takeRow(one: Instrument, channel: string, row: unknown, nowMs: number): Panel | null {
    switch (channel) {
      case "tops":
        one.top = row as BookTop;
        one.heardMs = nowMs;
        return "ladder";
      case "candles":
        return this.takeCandle(one, row as Candle, nowMs);
      case "features":
        return this.takeFeatures(one, row as Features, nowMs);
      case "predictions": {
        const prediction = row as Prediction;
        one.seriesOf(prediction).predict(prediction);
        if (prediction.flag && one === this.current) this.dirty.add("score");
        return "candles";
      }
      case "scores":
        return this.takeScore(one, row as Score);
      case "trades":
        one.trades.unshift(row as Trade);
        one.trades.length = Math.min(one.trades.length, KEPT_TRADES);
        return "trades";
      case "audits":
        one.audit = row as Audit;
        return "feeds";
      case "status":
        one.state = (row as Status).state;
        one.reason = (row as Status).reason;
        return "header";
      default:
        return null;
    }
  }

  private takeCandle(one: Instrument, candle: Candle, nowMs: number): Panel {
    if (!one.candles.has(candle.interval_ns)) this.dirty.add("features"); // a file's are named by how far rows are apart
    const candles = inner(one.candles, candle.interval_ns);
    candles.set(candle.ts_open_ns, candle);
    trim(candles, KEPT_CANDLES);
    one.heardMs = nowMs;
    return "candles";
  }

  private takeFeatures(one: Instrument, row: Features, nowMs: number): Panel {
    one.features = row;
    one.heardMs = nowMs;
    for (const [name, value] of Object.entries(row)) {
      if (typeof value === "string") continue;
      const samples = one.samples.get(name) ?? [];
      samples.push(value);
      if (samples.length > KEPT_SAMPLES) samples.shift();
      one.samples.set(name, samples);
    }
    return "features";
  }

  private takeScore(one: Instrument, score: Score): Panel {
    one.seriesOf(score).judge(score);
    this.dirty.add("candles");
    return "score";
  }

  private takeFrontier(message: Rows): void {
    this.portfolios.take(message.key, message.rows as Frontier[]);
    this.dirty.add("frontier");
  }

  private takeLatency(rows: Latency[]): void {
    for (const row of rows) this.latency.set(row.hop, row);
    this.dirty.add("latency");
  }

  private takeFeed(message: Rows, nowMs: number): void {
    const last = message.rows.at(-1) as FeedStats | undefined;
    if (!last) return;
    const before = this.feeds.get(message.key)?.stats;
    const stats = { // of a second in which nothing came there is no latency: the one before stands
      ...last,
      latency_p50_us: last.latency_p50_us ?? before?.latency_p50_us ?? null,
      latency_p99_us: last.latency_p99_us ?? before?.latency_p99_us ?? null,
    };
    // A snapshot may be old: nobody reports any more. Of what comes live no two clocks need agree.
    const toldMs = message.type === "snapshot" ? Math.min(nowMs, stats.ts_event_ns / 1e6) : nowMs;
    this.feeds.set(message.key, { stats, toldMs });
    this.dirty.add("feeds");
  }

  takeReplay(replay: Replay): void {
    this.replay = replay;
    this.dirty.add("replay");
  }

  private takeLetters(message: Rows): void {
    const { key } = message;
    this.refused.set(key, message.seq);
    const known = message.type === "snapshot" ? this.letters.filter((one) => one.key !== key) : this.letters;
    const fresh = (message.rows as DeadLetter[]).map((letter) => ({ key, letter })).reverse();
    this.letters = [...fresh, ...known].slice(0, 5);
    this.dirty.add("latency");
  }
}
