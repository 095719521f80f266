/** Candles with the predictions on them, and what became of each. */

import {
  CandlestickSeries, ColorType, createChart, createSeriesMarkers, CrosshairMode,
  type IChartApi, type ISeriesApi, type ISeriesMarkersPluginApi, type SeriesMarker, type Time, type UTCTimestamp,
} from "lightweight-charts";
import { byId, Choice, color, fetchJson, setText } from "../dom";
import { decimalsOf, percent, span } from "../format";
import type { Candle, Prediction } from "../records";
import { inOrder, type Call } from "../series";
import type { Instrument, State } from "../state";

const WORDS = { "-1": "down", "0": "flat", "1": "up" } as const;

export class CandlePanel {
  private chart: IChartApi;
  private series: ISeriesApi<"Candlestick">;
  private markers: ISeriesMarkersPluginApi<Time>;
  private intervals = new Choice<number>(byId("intervals"), span);
  private horizons = new Choice<number>(byId("horizons"), (ns) => `+${span(ns)}`);
  private interval = 0;
  private drawn = "";
  private drawnCount = 0;
  private lastOpen = 0;

  constructor(private readonly state: State) {
    this.chart = createChart(byId("candles"), {
      autoSize: true,
      timeScale: { timeVisible: true, secondsVisible: true, rightOffset: 4 },
      crosshair: { mode: CrosshairMode.Normal },
      rightPriceScale: { minimumWidth: 70 },
    });
    this.series = this.chart.addSeries(CandlestickSeries, {});
    this.markers = createSeriesMarkers(this.series, []);
    this.theme();
  }

  theme(): void {
    const [up, down, line] = [color("up"), color("down"), color("line")];
    this.chart.applyOptions({
      layout: {
        background: { type: ColorType.Solid, color: color("panel") }, textColor: color("muted"),
        attributionLogo: true, fontFamily: "inherit",
      },
      grid: { vertLines: { color: line }, horzLines: { color: line } },
      rightPriceScale: { borderColor: line },
      timeScale: { borderColor: line },
    });
    this.series.applyOptions({ upColor: up, downColor: down, borderVisible: false, wickUpColor: up, wickDownColor: down });
  }

  render(): void {
    const one = this.state.current;
    if (!one) return;
    if (!one.historyAsked) void this.loadHistory(one);
    const choices = [...one.candles.keys()].sort((a, b) => a - b);
    if (!choices.includes(this.interval)) this.interval = choices[0] ?? 0;
    const followed = this.state.followed;
    const same = inOrder(one.series.values()).filter((other) => other.model === followed?.model && other.version === followed.version);
    const keys = new Map(same.map((other) => [other.horizonNs, other.key]));
    const again = () => this.state.dirty.add("candles");
    this.intervals.render(choices, this.interval, (value) => { this.interval = value; again(); });
    this.horizons.render([...keys.keys()], followed?.horizonNs ?? 0, (value) => this.state.follow(keys.get(value) ?? ""));
    this.draw(one);
  }

  /** What was before the page was opened; the websocket's own history is short. */
  private async loadHistory(one: Instrument): Promise<void> {
    one.historyAsked = true;
    const stored = await fetchJson<{ rows: Candle[] }>(`/api/candles/${one.venue}:${one.symbol}?limit=1000`);
    one.addHistory(stored.rows);
    this.drawn = "";
    this.state.dirty.add("candles");
  }

  private draw(one: Instrument): void {
    const candles = one.candles.get(this.interval);
    if (!candles || candles.size === 0) {
      this.series.setData([]);
      this.drawn = "";
      return this.drawNoCalls();
    }
    const id = `${this.state.selected}|${this.interval}`;
    if (id !== this.drawn || candles.size < this.drawnCount) this.drawAll(id, candles);
    else this.drawLast(candles);
    this.drawnCount = candles.size;
    this.drawCalls(one);
  }

  private drawAll(id: string, candles: Map<number, Candle>): void {
    const sorted = [...candles.values()].sort((a, b) => a.ts_open_ns - b.ts_open_ns);
    const precision = Math.max(2, decimalsOf(sorted.slice(-50).flatMap((one) => [one.open, one.close])));
    this.series.applyOptions({ priceFormat: { type: "price", precision, minMove: 10 ** -precision } });
    this.series.setData(sorted.map(bar));
    this.lastOpen = sorted.at(-1)?.ts_open_ns ?? 0;
    if (id !== this.drawn) this.chart.timeScale().scrollToRealTime();
    this.drawn = id;
  }

  private drawLast(candles: Map<number, Candle>): void {
    const newest: Candle[] = [];
    for (const candle of [...candles.values()].reverse()) {
      if (candle.ts_open_ns < this.lastOpen) break;
      newest.unshift(candle);
    }
    for (const candle of newest) this.series.update(bar(candle));
    this.lastOpen = newest.at(-1)?.ts_open_ns ?? this.lastOpen;
  }

  private drawNoCalls(): void {
    this.markers.setMarkers([]);
    setText(byId("last-call"), "");
  }

  /** One mark a candle, its last prediction's: more would hide the price. */
  private drawCalls(one: Instrument): void {
    const followed = this.state.followed;
    if (!followed || followed.calls.size === 0) return this.drawNoCalls();
    const { calls } = followed;
    const last = new Map<number, Call>();
    for (const call of calls.values()) {
      last.set(Math.floor(call.prediction.ts_event_ns / this.interval) * this.interval, call);
    }
    const candles = one.candles.get(this.interval);
    const shown = [...last].filter(([open]) => candles?.has(open)).sort((a, b) => a[0] - b[0]);
    this.markers.setMarkers(shown.map(([open, call]) => mark(open, call)));
    setText(byId("last-call"), followed.last ? said(followed.last) : "");
  }
}

/** What a prediction says; one whose inputs are out of range says what is wrong with them. */
function said(one: Prediction): string {
  const who = one.role === undefined || one.role === "online" ? "" : `${one.model} ${one.version.slice(0, 7)}: `;
  if (one.flag) return `· now: ${who}no prediction, ${one.flag}`;
  const word = WORDS[String(one.direction) as keyof typeof WORDS];
  const move = one.move_bps == null ? "" : `, ${one.move_bps > 0 ? "+" : ""}${one.move_bps.toFixed(2)} bps`;
  return `· now: ${who}${word} in ${span(one.horizon_ns)}, p = ${percent(one.confidence, 0)}${move}`;
}

function bar(candle: Candle) {
  const { open, high, low, close } = candle;
  return { time: (candle.ts_open_ns / 1e9) as UTCTimestamp, open, high, low, close };
}

function mark(openNs: number, call: Call): SeriesMarker<Time> {
  const { direction, confidence, flag } = call.prediction;
  if (flag) return { time: (openNs / 1e9) as UTCTimestamp, position: "aboveBar", shape: "square", color: color("warn"), size: 0.5 };
  const outcome = call.score === null ? "wait" : call.score.outcome === direction ? "up" : "down";
  return {
    time: (openNs / 1e9) as UTCTimestamp,
    position: direction > 0 ? "belowBar" : "aboveBar",
    shape: direction > 0 ? "arrowUp" : direction < 0 ? "arrowDown" : "circle",
    color: color(outcome),
    size: direction === 0 ? 0.4 : 0.5 + confidence,
  };
}
