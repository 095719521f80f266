import { describe, expect, it } from "vitest";
import type { Prediction, Score } from "../src/records";
import type { Rows } from "../src/protocol";
import { inOrder, Series } from "../src/series";
import { State } from "../src/state";

const base = { venue: "kraken", symbol: "BTC-USD", ts_recv_ns: 1, horizon_ns: 5, model: "near", version: "a", role: "live" };
const prediction = (seq: number, more: object = {}): Prediction =>
  ({ ...base, seq, ts_event_ns: seq, direction: 0, confidence: 0.5, flag: "", ...more }) as unknown as Prediction;
const score = (seq: number, known: number, more: object = {}): Score =>
  ({ ...base, seq, ts_event_ns: seq, ts_known_ns: known, n: 1, outcome: 1, flagged: 0, ...more }) as unknown as Score;
const rows = (channel: string, ...list: object[]): Rows =>
  ({ type: "delta", channel, key: "kraken:BTC-USD", seq: list.length, rows: list }) as unknown as Rows;

describe("Series", () => {
  it("counts what was flagged before its last score and since", () => {
    const one = new Series(prediction(1));
    for (const row of [prediction(1), prediction(2, { flag: "out" }), prediction(6, { flag: "out" })]) one.predict(row);
    expect(one.flagged).toBe(2); // also of one that has no score yet
    one.judge(score(1, 6, { flagged: 1 })); // said before the prediction of the same row
    expect(one.flagged).toBe(2);
    one.predict(prediction(7, { flag: "out" }));
    expect(one.flagged).toBe(3);
    expect(one.calls.get(1)?.score?.outcome).toBe(1);
  });

  it("takes the role that its last row says, and online where a row is older than roles", () => {
    const one = new Series(prediction(1));
    one.predict(prediction(2, { role: "shadow" }));
    expect(one.role).toBe("shadow");
    expect(new Series(prediction(1, { role: undefined })).role).toBe("online");
  });

  it("is gone when others of its name have gone on without it", () => {
    const [old, now, other] = [new Series(prediction(1)), new Series(prediction(1, { version: "b" })), new Series(prediction(1, { model: "far" }))];
    for (const seq of [10, 20]) old.predict(prediction(seq));
    for (const seq of [30, 40, 50]) now.predict(prediction(seq, { version: "b" }));
    other.predict(prediction(900, { model: "far" }));
    expect(old.gone([old, now, other])).toBe(false);
    now.predict(prediction(60, { version: "b" }));
    expect(old.gone([old, now, other])).toBe(true);
    expect(now.gone([old, now, other])).toBe(false);
  });

  it("stands with what decides first", () => {
    const all = [
      prediction(1, { role: "online", model: "softmax" }), prediction(1, { role: "shadow", version: "c" }),
      prediction(1, { role: "shadow", version: "b" }), prediction(1),
    ].map((one) => new Series(one));
    expect(inOrder(all).map((one) => one.version + one.role)).toEqual(["alive", "bshadow", "cshadow", "aonline"]);
  });
});

describe("State", () => {
  it("follows what is live, else the online model, until one is chosen", () => {
    const state = new State();
    const online = { model: "softmax-online", version: "1", role: "online" };
    state.take(rows("predictions", ...[1, 5, 30].map((horizon_ns) => prediction(1, { ...online, horizon_ns }))), 0);
    expect(state.followed?.horizonNs).toBe(5);
    state.take(rows("predictions", prediction(2), prediction(2, { version: "b", role: "shadow" })), 0);
    expect(state.followed?.role).toBe("live");
    const shadow = [...(state.current?.series.values() ?? [])].find((one) => one.version === "b")!;
    state.follow(shadow.key);
    expect(state.followed).toBe(shadow);
    state.take({ ...rows("predictions", prediction(1)), key: "kraken:ETH-USD" }, 0);
    state.select("kraken:ETH-USD"); // where that version does not predict
    expect(state.followed?.role).toBe("live");
  });
});
