import { describe, expect, it } from "vitest";
import { AXES, cells, domain, duration, filtered, type Interval, MEASURES, minute, periods, ranked, type Row, seconds, sorted, stateText, withInterval } from "../src/optimize/rows";

const interval = (value: number): Interval => ({ value, low: value - 2, high: value + 2, mean_low: value - 1, mean_high: value + 1 });

function row(type: string, granularity: string, correct: number | null, profit = 0): Row {
  const scored = correct === null ? null : interval(correct);
  return {
    id: `${type}${granularity}`, type, granularity, horizon: granularity, datasetinputs: 2, features: [], minutes_back: 0,
    instruments: ["csv:BTC-USD"], n: 100, folds: correct === null ? 0 : 6, of_folds: 8,
    start_ns: correct === null ? null : 1_509_681_900e9, end_ns: correct === null ? null : 1_510_000_000e9, seconds: 1, why: correct === null ? "too few" : "", warned: [],
    percent_correct: scored, percent_majority: scored, percent_better: scored,
    profit_bps: correct === null ? null : interval(profit), balanced_accuracy: scored, matthews: scored, log_loss: scored,
    brier: scored, sharpe_daily: correct, deflated: null, few: false,
  };
}

const [type, granularity] = AXES;
const [correct] = MEASURES;
const rows = [row("lda", "5m", 50), row("lda", "15m", 52), row("qda", "5m", null), row("qda", "250ms", 48), row("lda", "5m", 56)];

describe("a search's rows", () => {
  it("are sorted by a value, those without one last either way", () => {
    const values = (descending: boolean) => sorted(rows, correct!.of, descending).map(correct!.of);
    expect(values(true)).toEqual([56, 52, 50, 48, null]);
    expect(values(false)).toEqual([48, 50, 52, 56, null]);
  });

  it("have axes in the order of what they mean", () => {
    expect(domain(rows, granularity!)).toEqual(["250ms", "5m", "15m"]);
    expect([seconds("250ms"), seconds("1.5h"), seconds("soon")]).toEqual([0.25, 5400, NaN]);
  });

  it("are filtered by words, all of which must be there", () => {
    expect(filtered(rows, " LDA 15m ").map((one) => one.id)).toEqual(["lda15m"]);
    expect(filtered(rows, "few")).toHaveLength(1);
    expect(filtered(rows, "")).toBe(rows);
  });

  it("that too little has judged are last whichever way, and in no cell", () => {
    const lucky: Row = { ...row("lda", "1h", 100, 90), folds: 1, few: true };
    const by = (one: Row) => ranked(correct!, one);
    for (const descending of [true, false]) expect(sorted([lucky, ...rows], by, descending).slice(-2).map(by)).toEqual([null, null]);
    expect(cells([lucky, row("lda", "1h", 50)], type!, granularity!, correct!, "best")).toEqual([{ x: "lda", y: "1h", value: 50, n: 1 }]);
    expect(periods(lucky)).toBe("1 of 8, too few");
    expect(withInterval(MEASURES[3]!, lucky)[0]).toBe("too few");
    expect(withInterval(MEASURES[3]!, row("lda", "1h", 0))[0]).toBe("no trades");
  });

  it("say which later periods have judged them", () => {
    const [judged, failed] = [rows[0]!, rows[2]!];
    expect([periods(judged), minute(judged.start_ns), minute(judged.end_ns)]).toEqual(["6 of 8", "2017-11-03 04:05", "2017-11-06 20:26"]);
    expect([periods(failed), minute(failed.start_ns)]).toEqual(["0 of 8", "–"]);
  });

  it("become cells: the median, best or worst of what is scored", () => {
    const of = (pick: "median" | "best" | "worst") => cells(rows, granularity!, type!, correct!, pick);
    expect(of("median")).toEqual([
      { x: "5m", y: "lda", value: 53, n: 2 }, { x: "15m", y: "lda", value: 52, n: 1 }, { x: "250ms", y: "qda", value: 48, n: 1 },
    ]);
    expect([of("best")[0]?.value, of("worst")[0]?.value]).toEqual([56, 50]);
    const loss = MEASURES.find((one) => one.name === "log-loss")!;
    expect(cells(rows, granularity!, type!, loss, "best")[0]?.value).toBe(50); // less is better
  });
});

describe("a search's state", () => {
  const state = { name: "x", done: 5, total: 1234, failed: 0, running: true, eta_s: 3723 };

  it("is said in words", () => {
    expect(stateText(state)).toBe("5 of 1,234, ETA 1:02:03");
    expect(stateText({ ...state, eta_s: null, failed: 2 })).toBe("5 of 1,234, 2 without scores, ETA not known yet");
    expect(stateText({ ...state, running: false })).toBe("5 of 1,234, stopped: the same command goes on with it");
    expect(stateText({ ...state, done: 1234, running: false })).toBe("all 1,234 done");
    expect([duration(42), duration(725)]).toEqual(["0:42", "12:05"]);
  });
});
