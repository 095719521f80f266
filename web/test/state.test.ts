import { describe, expect, it } from "vitest";
import type { Rows } from "../src/protocol";
import { STALE_MS, State } from "../src/state";

const base = { venue: "kraken", symbol: "BTC-USD", ts_event_ns: 1, ts_recv_ns: 1 };
const rows = (channel: string, ...list: object[]): Rows => ({
  type: "delta", channel, key: "kraken:BTC-USD", seq: list.length, rows: list,
});

describe("State", () => {
  it("joins a score to its prediction by seq and horizon", () => {
    const state = new State();
    state.take(rows("predictions", { ...base, seq: 7, horizon_ns: 5, direction: 1 }), 0);
    state.take(rows("scores", { ...base, seq: 7, horizon_ns: 1, outcome: 0 }, { ...base, seq: 7, horizon_ns: 5, outcome: 1 }), 0);
    const series = [...(state.current?.series.values() ?? [])].find((one) => one.horizonNs === 5);
    expect(series?.calls.get(7)?.score?.outcome).toBe(1);
  });

  it("keeps the frontiers of each universe apart, and asks for their history again after a reconnection", () => {
    const state = new State();
    const frontier = { seq: 1, ts_event_ns: 1, period_ns: 1, assets: ["A"], picks: {} };
    state.take({ ...rows("frontiers", { ...frontier, universe: "a" }), key: "a" }, 0);
    state.take({ ...rows("frontiers", { ...frontier, universe: "b" }), key: "b" }, 0);
    expect(state.portfolios.names).toEqual(["a", "b"]);
    const first = state.portfolios.current;
    if (first) first.historyAsked = true;
    state.welcome({ type: "welcome", version: "", source: "LIVE", detail: "", instruments: [] });
    expect([first?.frontier?.universe, first?.historyAsked]).toEqual(["a", false]);
  });

  it("keeps a candle once, and puts history before it", () => {
    const state = new State();
    const candle = { ...base, interval_ns: 10, ts_open_ns: 20, close: 1 };
    state.take(rows("candles", candle, { ...candle, close: 2 }), 0);
    state.current?.addHistory([{ ...candle, ts_open_ns: 10, close: 0 }, { ...candle, close: 9 }] as never);
    expect([...(state.current?.candles.get(10)?.values() ?? [])].map((one) => one.close)).toEqual([0, 2]);
  });

  it("has a snapshot's features as the recent course, and once after a reconnection", () => {
    const state = new State();
    const snapshot = { ...rows("features", { ...base, mid: 1 }, { ...base, mid: 2 }), type: "snapshot" } as Rows;
    for (let i = 0; i < 2; i += 1) {
      state.take(snapshot, 0);
      state.take(rows("features", { ...base, mid: 3 }), 0);
      expect(state.current?.samples.get("mid")).toEqual([1, 2, 3]);
    }
  });

  it("shows a live instrument as stale after silence, a tape never", () => {
    const state = new State();
    state.take(rows("status", { ...base, state: "LIVE", reason: "" }), 0);
    state.take(rows("tops", { ...base, bids: [], asks: [] }), 1000);
    const one = state.current!;
    expect(STALE_MS).toBe(10_000); // as the server has it
    expect(one.shown(1000 + STALE_MS, true)).toBe("LIVE");
    expect(one.shown(1001 + STALE_MS, true)).toBe("STALE");
    expect(one.shown(1001 + STALE_MS, false)).toBe("LIVE");
  });

  it("says of a cluster that it is simulated, wholly or in part, as long as anything there is", () => {
    const state = new State();
    state.welcome({ type: "welcome", version: "", source: "CLUSTER", detail: "", instruments: [], channels: [] } as never);
    const of = (venue: string): void =>
      state.take({ ...rows("status", { ...base, venue, state: "LIVE", reason: "" }), key: `${venue}:BTC-USD` }, 0);
    expect(state.sourceShown).toBe("CLUSTER");
    of("sim");
    expect(state.sourceShown).toBe("SIMULATED");
    of("kraken");
    expect(state.sourceShown).toBe("PARTLY SIMULATED");
    state.source = "TAPE";
    expect(state.sourceShown).toBe("TAPE");
  });

  it("takes a snapshot for what it repeats: after a reconnection nothing stands twice", () => {
    const state = new State();
    const again = (channel: string, ...list: object[]): Rows => ({ ...rows(channel, ...list), type: "snapshot" });
    for (let i = 0; i < 2; i++) {
      state.take(again("trades", { ...base, seq: 1 }, { ...base, seq: 2 }), 0);
      state.take(again("scores", { ...base, seq: 1, horizon_ns: 5, n: 1 }), 0);
      state.take(again("dead-letters", { venue: "kraken", source: "a:1", reason: "x" }), 0);
      state.take({ ...again("dead-letters", { venue: "csv", source: "b:1", reason: "y" }), key: "csv:A-B", seq: 4 }, 0);
    }
    expect(state.current?.trades.map((one) => one.seq)).toEqual([2, 1]);
    expect([...(state.current?.series.values() ?? [])].map((one) => one.scores.map((score) => score.n))).toEqual([[1]]);
    expect(state.letters.map((one) => one.letter.source)).toEqual(["b:1", "a:1"]);
    expect(state.nLetters).toBe(5);
  });

  it("draws features again when the first candle tells how far a file's rows are apart", () => {
    const state = new State();
    state.take(rows("features", { ...base, mid: 2 }), 0);
    state.dirty.clear();
    state.take(rows("candles", { ...base, interval_ns: 10, ts_open_ns: 20, close: 1 }), 0);
    expect(state.dirty.has("features")).toBe(true);
    state.dirty.clear();
    state.take(rows("candles", { ...base, interval_ns: 10, ts_open_ns: 30, close: 1 }), 0);
    expect(state.dirty.has("features")).toBe(false);
  });

  it("lets a stored candle that is closed replace one that a lost connection cut short", () => {
    const state = new State();
    const candle = { ...base, interval_ns: 10, ts_open_ns: 20, close: 1, closed: false };
    state.take(rows("candles", candle), 0);
    state.current?.addHistory([{ ...candle, close: 3, closed: true }] as never);
    expect([...(state.current?.candles.get(10)?.values() ?? [])].map((one) => one.close)).toEqual([3]);
  });

  it("takes what came live as of now, and a snapshot as of when it was made", () => {
    const state = new State();
    const told = (type: "snapshot" | "delta", messages: number): void =>
      state.take({ ...rows("feeds", { ...base, ts_event_ns: 5_000e6, messages }), type }, 9_000);
    told("snapshot", 1);
    expect(state.feeds.get("kraken:BTC-USD")).toMatchObject({ toldMs: 5_000, stats: { messages: 1 } });
    told("delta", 2);
    expect(state.feeds.get("kraken:BTC-USD")).toMatchObject({ toldMs: 9_000, stats: { messages: 2 } });
    state.take(rows("feeds", { ...base, latency_p50_us: 7, latency_p99_us: 8 }), 9_001);
    state.take(rows("feeds", { ...base, latency_p50_us: null, latency_p99_us: null }), 9_002);
    expect(state.feeds.get("kraken:BTC-USD")?.stats).toMatchObject({ latency_p50_us: 7, latency_p99_us: 8 });
    expect(state.instruments.size).toBe(0); // a report is no instrument's word
  });

  it("keeps unknown feature values as unknown", () => {
    const state = new State();
    state.take(rows("features", { ...base, vpin: null, mid: 2 }), 0);
    expect(state.current?.samples.get("vpin")).toEqual([null]);
    expect(state.dirty.has("features")).toBe(true);
  });

  it("shows the busiest instrument until the user chooses", () => {
    const state = new State();
    state.take(rows("tops", {}), 0);
    state.take({ ...rows("tops", {}, {}, {}), key: "coinbase:BTC-USD" }, 0);
    expect(state.selected).toBe("kraken:BTC-USD");
    state.selectBusiest();
    expect(state.selected).toBe("coinbase:BTC-USD");
    state.select("kraken:BTC-USD");
    state.selectBusiest();
    expect(state.selected).toBe("kraken:BTC-USD");
  });
});
