/** A row for each venue's connections and each of its symbols: what has come, what was lost, how late it is. */

import { byId, element, setText } from "../dom";
import { age, bytes, fixed, microseconds, UNKNOWN } from "../format";
import type { Audit, FeedStats } from "../records";
import { STALE_MS, type Feed, type State } from "../state";

const host = byId("feeds");
const OLD_MS = 5_000; // reports come each second; who has not reported for so long has ended, or is away
const COLUMNS = [
  "venue", "symbol", "state", "per s", "messages", "received", "gaps", "resyncs", "checksums failed", "crossed",
  "rejected", "reconnects", "last message", "p50", "p99", "audit",
];
const BAD = new Set([6, 8, 9, 10, 15]); // columns whose numbers should be 0
const count = (value: number): string => value.toLocaleString("en");
const late = (value: number | null): string => (value == null ? UNKNOWN : microseconds(value));

export class FeedPanel {
  private rows = new Map<string, HTMLElement>();
  private body = element("tbody");
  private root = element("table");

  constructor(private readonly state: State) {
    const head = element("tr");
    head.append(...COLUMNS.map((name) => element("th", "", name)));
    const top = element("thead");
    top.append(head);
    this.root.append(top, this.body);
  }

  render(nowMs: number): void {
    const keys = [...this.state.feeds.keys()].sort();
    if (keys.length === 0) return;
    if (keys.length !== this.rows.size) this.place(keys);
    for (const [key, feed] of this.state.feeds) this.fill(this.rows.get(key)!, feed, nowMs, this.state.instruments.get(key)?.audit ?? null);
  }

  private place(keys: string[]): void {
    for (const key of keys) {
      if (this.rows.has(key)) continue;
      const row = element("tr", key.endsWith(":") ? "venue" : "");
      row.dataset["key"] = key;
      row.append(...COLUMNS.map(() => element("td")));
      this.rows.set(key, row);
    }
    this.body.replaceChildren(...keys.map((key) => this.rows.get(key)!));
    if (!this.root.isConnected) host.replaceChildren(this.root);
  }

  /** All bytes of a venue: its symbols', and those of messages that name none or several. */
  private received(venue: string): number {
    const all = [...this.state.feeds.values()].filter(({ stats }) => stats.venue === venue);
    return all.reduce((sum, { stats }) => sum + stats.received_bytes, 0);
  }

  private fill(row: HTMLElement, { stats, toldMs }: Feed, nowMs: number, audit: Audit | null): void {
    const sinceMs = Math.max(0, nowMs - toldMs);
    // Not the header's state, which the cluster's jobs tell: this is what the process that reads the feed says of it.
    const state = stats.state === "LIVE" && !this.state.recorded && sinceMs > STALE_MS ? "STALE" : stats.state;
    const received = stats.symbol === "" ? this.received(stats.venue) : stats.received_bytes;
    cells(stats, state, received, stats.age_s + sinceMs / 1000, audit).forEach((text, at) => {
      const cell = row.children[at] as HTMLElement;
      setText(cell, text);
      if (BAD.has(at)) cell.classList.toggle("bad", /^[1-9]/.test(text));
    });
    (row.children[2] as HTMLElement).dataset["state"] = state;
    (row.children[15] as HTMLElement).title = audit?.reason ?? "";
    row.classList.toggle("old", sinceMs > OLD_MS);
    row.title = stats.early ? `${count(stats.early)} events came before they happened: a clock is wrong` : "";
  }
}

function cells(one: FeedStats, state: string, received: number, ageS: number, audit: Audit | null): string[] {
  const whole = one.symbol === "";
  const checked = one.checksums_passed + one.checksums_failed;
  const ofSymbol = (text: string): string => (whole ? "" : text);
  return [
    one.venue, whole ? "connections" : one.symbol, state, fixed(one.messages_per_s, 1), count(one.messages),
    bytes(received), ofSymbol(count(one.gaps)), ofSymbol(count(one.resyncs)),
    ofSymbol(checked ? `${count(one.checksums_failed)} of ${count(checked)}` : UNKNOWN), ofSymbol(count(one.crossed)),
    count(one.rejected), count(one.reconnects), age(ageS), ofSymbol(late(one.latency_p50_us)),
    ofSymbol(late(one.latency_p99_us)),
    ofSymbol(audit ? `${count(audit.levels_different)} of ${count(audit.levels)}` : UNKNOWN),
  ];
}
