/** The websocket client of api/PROTOCOL.md: subscribe, check sequence, reconnect. */

export interface Rows {
  type: "snapshot" | "delta";
  channel: string;
  key: string;
  seq: number;
  rows: unknown[];
}

export interface Welcome {
  type: "welcome";
  version: string;
  source: string;
  detail: string;
  instruments: { venue: string; symbol: string; state: string; reason: string }[];
}

export type LinkState = { connected: true } | { connected: false; retryInS: number };

/** Says whether a message follows the one before it on its channel and key. */
export class Sequence {
  private last = new Map<string, number>();

  accept(message: Rows): boolean {
    const id = `${message.channel}|${message.key}`;
    const before = this.last.get(id);
    this.last.set(id, message.seq);
    if (message.type === "snapshot") return true;
    return message.seq - message.rows.length === (before ?? 0);
  }

  clear(): void {
    this.last.clear();
  }
}

/** Seconds to wait before attempt n: doubling from half a second to ten, with jitter against stampedes. */
export function backoff(attempt: number, random: () => number = Math.random): number {
  return Math.min(10, 0.5 * 2 ** attempt) * (0.75 + 0.5 * random());
}

export const counters = { received: 0, rows: 0, rendered: 0, lost: 0, reconnects: 0 };

export class Client {
  private sequence = new Sequence();
  private socket: WebSocket | null = null;
  private attempt = 0;

  constructor(
    private readonly url: string,
    private readonly subscriptions: { channels: string[]; history: number }[],
    private readonly onWelcome: (welcome: Welcome) => void,
    private readonly onRows: (message: Rows) => void,
    private readonly onLink: (state: LinkState) => void,
  ) {}

  connect(): void {
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.onopen = () => {
      this.sequence.clear();
      this.onLink({ connected: true });
      for (const one of this.subscriptions) this.send({ op: "subscribe", ...one });
    };
    socket.onmessage = (event) => this.receive(event.data as string);
    socket.onclose = () => this.retry();
  }

  private send(request: object): void {
    this.socket?.send(JSON.stringify(request));
  }

  private receive(text: string): void {
    const message = JSON.parse(text) as Rows | Welcome | { type: "error"; message: string } | { type: "pong" };
    if (message.type === "welcome") return this.onWelcome(message);
    if (message.type === "error") return console.error(`server: ${message.message}`);
    if (message.type === "pong") return;
    this.attempt = 0; // not before: who is let in and turned away at once must not come back in a storm
    counters.received += 1;
    counters.rows += message.rows.length;
    if (!this.sequence.accept(message)) {
      counters.lost += 1;
      const history = this.subscriptions.find((one) => one.channels.includes(message.channel))?.history ?? 1;
      this.send({ op: "subscribe", channels: [message.channel], keys: [message.key], history });
      return;
    }
    this.onRows(message);
  }

  private retry(): void {
    const retryInS = backoff(this.attempt++);
    counters.reconnects += 1;
    this.onLink({ connected: false, retryInS });
    setTimeout(() => this.connect(), retryInS * 1000);
  }
}
