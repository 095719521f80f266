import { describe, expect, it } from "vitest";
import { moment } from "../src/format";
import { Player, speedsWith, speedText, type Replay } from "../src/replay";
import { State } from "../src/state";

const told = (played: number): Replay => ({ paused: false, ended: false, speed: 1, played, position_ns: null });

/** A server that answers when it is let. */
class Server {
  asked: { body: string | null; answer: (replay: Replay, ok?: boolean) => void }[] = [];

  ask = ((_: string, given?: RequestInit) =>
    new Promise((resolve) => {
      const answer = (replay: Replay, ok = true): void => resolve({ ok, json: async () => replay } as Response);
      this.asked.push({ body: (given?.body as string) ?? null, answer });
    })) as typeof fetch;
}

describe("Player", () => {
  it("asks about recordings only, and only where somebody answers", async () => {
    const [state, server] = [new State(), new Server()];
    const player = new Player(state, server.ask);
    for (const source of ["LIVE", "SIMULATED", "CLUSTER", ""]) {
      state.source = source;
      await player.look(true);
    }
    state.source = "TAPE";
    await player.look(false);
    expect(server.asked).toEqual([]);
    for (const source of ["TAPE", "CSV"]) {
      state.source = source;
      void player.look(true);
    }
    expect(server.asked.length).toBe(2);
  });

  it("tells what to do, and shows what comes of it", async () => {
    const [state, server] = [new State(), new Server()];
    const done = new Player(state, server.ask).tell({ action: "step", n: 1 });
    expect(JSON.parse(server.asked[0]!.body!)).toEqual({ action: "step", n: 1 });
    state.dirty.clear();
    server.asked[0]!.answer(told(7));
    await done;
    expect(state.replay?.played).toBe(7);
    expect([...state.dirty]).toEqual(["replay"]);
  });

  it("keeps what was said last where answers overtake each other, and what is known where there is none", async () => {
    const [state, server] = [new State(), new Server()];
    state.source = "TAPE";
    const player = new Player(state, server.ask);
    const [slow, fast] = [player.look(true), player.tell({ action: "pause" })];
    server.asked[1]!.answer(told(2));
    server.asked[0]!.answer(told(1));
    await Promise.all([slow, fast]);
    const refused = player.tell({ action: "speed", speed: 0 });
    server.asked[2]!.answer(told(9), false);
    await refused;
    expect(state.replay?.played).toBe(2);
    await new Player(state, () => Promise.reject(new TypeError("away"))).look(true);
    expect(state.replay?.played).toBe(2);
  });
});

describe("what is shown", () => {
  it("offers the present speed among the others", () => {
    expect(speedsWith(10)).toEqual([1, 10, 100, "max"]);
    expect(speedsWith(0.5)).toEqual([0.5, 1, 10, 100, "max"]);
    expect(speedsWith("max").map(speedText)).toEqual(["1×", "10×", "100×", "max"]);
  });

  it("writes a moment in UTC", () => {
    expect(moment(1_786_251_601_999_999_744)).toBe("2026-08-09 05:00:01");
  });
});
