/** The recording that a server plays: what it says of itself, and what it is told to do; see api/replay.py. */

import type { State } from "./state";

export type Speed = number | "max";

export interface Replay {
  paused: boolean;
  ended: boolean;
  speed: Speed;
  played: number;
  position_ns: number | null;
}

export type Order = { action: "pause" | "resume" } | { action: "step"; n: number } | { action: "speed"; speed: Speed };

const ADDRESS = "/api/replay";
const SPEEDS: Speed[] = [1, 10, 100, "max"];

/** The speeds to choose from, the present one among them: slow to fast. */
export function speedsWith(present: Speed): Speed[] {
  const size = (speed: Speed): number => (speed === "max" ? Infinity : speed);
  return [...new Set([...SPEEDS, present])].sort((a, b) => (size(a) < size(b) ? -1 : 1));
}

export function speedText(speed: Speed): string {
  return speed === "max" ? "max" : `${speed}×`;
}

/** Asks what the recording does, and tells it what to do; who asks nobody who plays none gets no refusal. */
export class Player {
  private asked = 0;

  constructor(private readonly state: State, private readonly ask: typeof fetch = (...given) => fetch(...given)) {}

  look(connected: boolean): Promise<void> {
    return this.state.recorded && connected ? this.request() : Promise.resolve();
  }

  tell(order: Order): Promise<void> {
    return this.request({
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(order),
    });
  }

  private async request(given?: RequestInit): Promise<void> {
    const asked = ++this.asked;
    const response = await this.ask(ADDRESS, given).catch(() => undefined); // the badge says that the server is away
    const replay = response?.ok ? ((await response.json()) as Replay) : null;
    if (replay && asked === this.asked) this.state.takeReplay(replay); // not what was said before a later order
  }
}
