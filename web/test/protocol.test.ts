import { describe, expect, it } from "vitest";
import { backoff, Sequence, type Rows } from "../src/protocol";

const message = (type: Rows["type"], seq: number, n: number): Rows => ({
  type, channel: "tops", key: "kraken:BTC-USD", seq, rows: Array.from({ length: n }, () => ({})),
});

describe("Sequence", () => {
  it("accepts deltas that follow the snapshot", () => {
    const sequence = new Sequence();
    expect(sequence.accept(message("snapshot", 41, 1))).toBe(true);
    expect(sequence.accept(message("delta", 42, 1))).toBe(true);
    expect(sequence.accept(message("delta", 45, 3))).toBe(true);
  });

  it("accepts the first rows of a stream that began after the subscription", () => {
    expect(new Sequence().accept(message("delta", 2, 2))).toBe(true);
  });

  it("refuses a hole, a repetition, and goes on after a new snapshot", () => {
    const sequence = new Sequence();
    sequence.accept(message("snapshot", 10, 1));
    expect(sequence.accept(message("delta", 12, 1))).toBe(false);
    expect(sequence.accept(message("delta", 12, 1))).toBe(false);
    expect(sequence.accept(message("snapshot", 20, 1))).toBe(true);
    expect(sequence.accept(message("delta", 21, 1))).toBe(true);
  });

  it("numbers each key by itself", () => {
    const sequence = new Sequence();
    sequence.accept(message("snapshot", 10, 1));
    expect(sequence.accept({ ...message("delta", 1, 1), key: "kraken:ETH-USD" })).toBe(true);
  });
});

describe("backoff", () => {
  it("doubles up to ten seconds, with jitter", () => {
    expect(backoff(0, () => 0.5)).toBe(0.5);
    expect(backoff(3, () => 0.5)).toBe(4);
    expect(backoff(20, () => 0.5)).toBe(10);
    expect(backoff(0, () => 0)).toBeLessThan(backoff(0, () => 1));
  });
});
