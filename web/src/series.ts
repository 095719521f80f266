/** What one version of a model says of one horizon: its predictions, what became of them, and its running score. */

import type { Prediction, Role, Score } from "./records";

const KEPT_CALLS = 400;
const KEPT_SCORES = 600;
const MISSED = 3; // decisions that a version has missed while others of its name went on: it is not at work any more
const ORDER: Record<Role, number> = { live: 0, shadow: 1, online: 2 };

export interface Call {
  prediction: Prediction;
  score: Score | null;
}

type Named = Pick<Prediction, "model" | "version" | "horizon_ns" | "role">;

export function keyOf(one: Named): string {
  return JSON.stringify([one.model, one.version, one.horizon_ns]);
}

export class Series {
  readonly key: string;
  readonly model: string;
  readonly version: string;
  readonly horizonNs: number;
  role: Role;
  calls = new Map<number, Call>();
  scores: Score[] = [];

  constructor(one: Named) {
    this.key = keyOf(one);
    this.model = one.model;
    this.version = one.version;
    this.horizonNs = one.horizon_ns;
    this.role = one.role ?? "online"; // rows from before there were roles have none
  }

  predict(prediction: Prediction): void {
    this.role = prediction.role ?? this.role;
    this.calls.set(prediction.seq, { prediction, score: this.calls.get(prediction.seq)?.score ?? null });
    for (const seq of this.calls.keys()) {
      if (this.calls.size <= KEPT_CALLS) break;
      this.calls.delete(seq);
    }
  }

  judge(score: Score): void {
    this.role = score.role ?? this.role;
    const call = this.calls.get(score.seq);
    if (call) call.score = score;
    this.scores.push(score);
    if (this.scores.length > KEPT_SCORES) this.scores.shift();
  }

  get last(): Prediction | undefined {
    return [...this.calls.values()].at(-1)?.prediction;
  }

  /** Predictions that were none: those that its last score counts, and those since then. */
  get flagged(): number {
    const score = this.scores.at(-1);
    let n = score?.flagged ?? 0;
    for (const { prediction } of this.calls.values()) {
      if (prediction.flag && prediction.ts_event_ns >= (score?.ts_known_ns ?? 0)) n += 1;
    }
    return n;
  }

  /** Whether others of its name have gone on without it. */
  gone(others: Iterable<Series>): boolean {
    const [before, last] = [...this.calls.values()].slice(-2).map((call) => call.prediction.ts_event_ns);
    if (before === undefined || last === undefined) return false;
    for (const one of others) {
      const now = one.model === this.model ? one.last?.ts_event_ns : undefined;
      if (now !== undefined && now > last + MISSED * (last - before)) return true;
    }
    return false;
  }
}

/** What decides first: by role, then by name, version and horizon. */
export function inOrder(all: Iterable<Series>): Series[] {
  return [...all].sort(
    (a, b) =>
      ORDER[a.role] - ORDER[b.role] || a.model.localeCompare(b.model) || a.version.localeCompare(b.version) ||
      a.horizonNs - b.horizonNs,
  );
}
