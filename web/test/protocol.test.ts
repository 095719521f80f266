import { afterEach, describe, expect, it, vi } from "vitest";
import { backoff, Client, Sequence, type LinkState, type Rows } from "../src/protocol";

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

/** A server that lets a client in, says what a test says, and closes. */
class FakeSocket {
  static all: FakeSocket[] = [];
  sent: unknown[] = [];
  onopen = () => {};
  onclose = () => {};
  onmessage = (_: { data: string }) => {};

  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
}

describe("Client", () => {
  afterEach(() => {
    FakeSocket.all = [];
    vi.unstubAllGlobals();
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  /** Let each connection open, say something and close; return the seconds until each next attempt. */
  function waits(...said: object[][]): number[] {
    vi.useFakeTimers();
    vi.stubGlobal("WebSocket", FakeSocket);
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    const seconds: number[] = [];
    const noted = (link: LinkState) => void (link.connected || seconds.push(link.retryInS));
    new Client("ws://x/ws", [{ channels: ["tops"], history: 1 }], () => {}, () => {}, noted).connect();
    for (const messages of said) {
      const socket = FakeSocket.all.at(-1)!;
      socket.onopen();
      for (const one of messages) socket.onmessage({ data: JSON.stringify(one) });
      socket.onclose();
      vi.advanceTimersByTime(10_000);
    }
    expect(FakeSocket.all.map((one) => one.sent)).toEqual([
      ...said.map(() => [{ op: "subscribe", channels: ["tops"], history: 1 }]), [],
    ]);
    return seconds;
  }

  it("waits longer each time that it is let in and closed without data", () => {
    const welcome = { type: "welcome" };
    expect(waits([], [welcome], [welcome, { type: "pong" }], [welcome])).toEqual([0.5, 1, 2, 4]);
  });

  it("waits little again after data came", () => {
    expect(waits([], [], [message("snapshot", 1, 1)], [], [message("delta", 2, 2)])).toEqual([0.5, 1, 0.5, 1, 0.5]);
  });
});
