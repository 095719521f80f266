/** The records that the server sends: the fields of quicksilver/records.py that the page reads. */

export interface Instrumented {
  venue: string;
  symbol: string;
  seq: number;
  ts_event_ns: number;
  ts_recv_ns: number;
}

/** price, size, cumulative size, order count */
export type Level = [number, number, number, number | null];

export interface BookTop extends Instrumented {
  bids: Level[];
  asks: Level[];
  upticks: number;
  downticks: number;
}

export interface Candle extends Instrumented {
  ts_open_ns: number;
  interval_ns: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  trades: number;
  source: "trade" | "mid" | "price";
  closed: boolean;
}

export type Features = Instrumented & Record<string, number | string | null>;

export type Role = "online" | "live" | "shadow";

export interface Prediction extends Instrumented {
  horizon_ns: number;
  model: string;
  version: string;
  p_down: number;
  p_flat: number;
  p_up: number;
  direction: -1 | 0 | 1;
  confidence: number;
  role?: Role;
  flag?: string; // what is wrong with the inputs: nothing was predicted from them
  move_bps?: number | null;
}

export interface Score extends Instrumented {
  horizon_ns: number;
  model: string;
  version: string;
  ts_known_ns: number;
  predicted: -1 | 0 | 1;
  outcome: -1 | 0 | 1;
  n: number;
  accuracy: number;
  log_loss: number;
  baseline_accuracy: number;
  baseline_log_loss: number;
  role?: Role;
  brier?: number | null;
  profit_bps?: number | null;
  flagged?: number;
}

export interface Pick {
  weights: number[];
  mean_bps: number;
  risk_bps: number;
  sharpe: number;
  turnover?: number | null;
  cost_bps?: number | null;
  net_sharpe?: number | null;
  wanted?: number[] | null;
  mean_low_bps?: number | null;
  mean_high_bps?: number | null;
  sharpe_low?: number | null;
  sharpe_high?: number | null;
  note?: string;
}

export interface Frontier {
  universe: string;
  seq: number;
  ts_event_ns: number;
  period_ns: number;
  assets: string[];
  n_observations: number;
  n_portfolios: number;
  picks: Record<string, Pick>;
  frontier: [number, number][];
  frontier_weights: number[][];
  cloud: [number, number][];
  correlation: number[][];
  state?: "LIVE" | "WAITING";
  reason?: string;
  ts_computed_ns?: number;
  prices?: number[];
  ages_ns?: number[];
  absent?: Record<string, string>;
  held?: number[];
  risk?: string;
  estimators?: Record<string, string>;
  halflife?: number | null;
  sources?: string[];
  costs?: Costs | null;
  hold?: number | null;
  band?: number | null;
  constraints?: Record<string, unknown> | null;
  cash?: number | null;
  aversion?: number | null;
  window?: number | null;
}

export interface Costs {
  fee_bps: number;
  spread_bps: number;
  impact_bps: number;
}

export type DataState = "SYNCING" | "LIVE" | "GAP" | "STALE";

export interface Status extends Instrumented {
  state: DataState;
  reason: string;
}

export interface Audit extends Instrumented {
  levels: number;
  levels_different: number;
  largest_difference: number;
  best_bid_equal: boolean;
  best_ask_equal: boolean;
  reason: string;
}

export interface Latency {
  hop: string;
  n: number;
  p50_us: number;
  p99_us: number;
  max_us: number;
}

export interface FeedStats {
  venue: string;
  symbol: string; // empty: of the venue's connections
  ts_event_ns: number;
  state: DataState;
  messages: number;
  received_bytes: number;
  gaps: number;
  resyncs: number;
  checksums_passed: number;
  checksums_failed: number;
  crossed: number;
  rejected: number;
  reconnects: number;
  early: number;
  age_s: number;
  messages_per_s: number;
  latency_p50_us: number | null;
  latency_p99_us: number | null;
}

export interface DeadLetter {
  source: string;
  venue: string;
  reason: string;
}

export interface Trade extends Instrumented {
  price: number;
  size: number;
  side: "buy" | "sell" | null;
}

export interface FeatureSpec {
  name: string;
  formula: string;
  unit: string;
  warm_up: string;
}
