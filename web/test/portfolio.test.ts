import { describe, expect, it } from "vitest";
import { byWeight, changed, computedNs, nearest, pickName, Portfolios, stack, type PickRow, Universe } from "../src/portfolio";
import type { Frontier, Pick } from "../src/records";

const SECOND = 1e9;
const pick = (...weights: number[]): Pick => ({ weights, mean_bps: 1, risk_bps: 2, sharpe: 0.5 });
const row = (second: number, assets: string[], picks: Record<string, Pick>, more: Partial<Frontier> = {}): Frontier => ({
  universe: "u", seq: second, ts_event_ns: second * SECOND, period_ns: SECOND, assets, n_observations: 1, n_portfolios: 1,
  picks, frontier: [], frontier_weights: [], cloud: [], correlation: [], state: "LIVE", ...more,
});
const sharpest = (one: PickRow) => one.picks.max_sharpe;
const AB = ["A", "B"];

describe("a universe", () => {
  it("keeps live rows in order, once, and stored ones before them", () => {
    const one = new Universe();
    one.take([row(5, AB, {}), row(6, AB, {})]);
    one.take([row(6, AB, {}), row(7, AB, {})]);
    one.addHistory([row(3, AB, {}), row(4, AB, {}, { state: "WAITING" }), row(5, AB, {})]);
    expect(one.rows.map((each) => each.ts_event_ns / SECOND)).toEqual([3, 5, 6, 7]);
  });

  it("shows what waits, but does not take the last good weights for new ones", () => {
    const one = new Universe();
    one.take([row(5, AB, {}), row(6, AB, {}, { state: "WAITING", ts_computed_ns: 5 * SECOND })]);
    expect([one.frontier?.state, one.rows.length]).toEqual(["WAITING", 1]);
    expect(computedNs(one.frontier as Frontier)).toBe(5 * SECOND);
    expect(computedNs(row(6, [], {}, { state: "WAITING", ts_computed_ns: 0 }))).toBeNull();
    expect(computedNs(row(6, AB, {}))).toBe(6 * SECOND);
  });
});

describe("the universes", () => {
  it("show the first until one is chosen", () => {
    const all = new Portfolios();
    all.take("b", [row(1, AB, {})]);
    all.take("a", [row(1, AB, {})]);
    expect([all.names, all.name]).toEqual([["a", "b"], "a"]);
    all.choose("b");
    expect(all.current).toBe(all.all.get("b"));
  });

  it("follow a pick also where another stands in for it", () => {
    const all = new Portfolios();
    const fallback = row(1, AB, { min_variance: pick(1, 0), max_sharpe_fallback: pick(0, 1) });
    expect(all.pickIn(fallback.picks)).toBe("max_sharpe_fallback");
    expect(all.pickOf(fallback)?.weights).toEqual([0, 1]);
    all.follow("equal_weight");
    expect(all.pickIn(fallback.picks)).toBe("min_variance");
  });
});

describe("weights over time", () => {
  it("are stacked by the assets named, then all others, with a gap where nothing was known", () => {
    const rows = [
      row(1, AB, { max_sharpe: pick(0.25, 0.75) }), row(2, ["A", "B", "C"], { max_sharpe: pick(0.25, 0.5, 0.25) }),
      row(60, AB, { max_sharpe: pick(1, 0) }),
    ];
    expect(byWeight(rows, sharpest)).toEqual(["A", "B", "C"]);
    expect(stack(rows, ["B"], sharpest)).toEqual([[1, 2, 3, 60], [0.75, 0.5, null, 0], [1, 1, null, 1]]);
  });
});

describe("what changed", () => {
  const calm = pick(0.5, 0.5);
  it("is measured from the first row of the last minute", () => {
    const rows = [0, 30, 61].map((at) => row(at, AB, { min_variance: calm, max_sharpe: pick(at / 100, 1 - at / 100) }));
    const found = changed(rows, sharpest);
    expect(found?.sinceNs).toBe(30 * SECOND);
    expect(found?.moves.map(([asset, change]) => [asset, Number(change.toFixed(6))])).toEqual([["A", 0.31], ["B", -0.31]]);
    expect(found?.turnover).toBeCloseTo(0.62);
    expect(found?.why).toBe("expected returns changed");
  });

  it("is driven by risks where the pick that reads them alone has moved as well, or is meant", () => {
    const rows = [row(1, AB, { min_variance: calm, max_sharpe: calm }), row(2, AB, { min_variance: pick(0.65, 0.35), max_sharpe: pick(0.7, 0.3) })];
    expect(changed(rows, sharpest)?.why).toBe("risks changed");
    const still = [row(1, AB, { min_variance: pick(0.4, 0.6) }), row(2, AB, { min_variance: calm })];
    expect(changed(still, (one) => one.picks.min_variance)?.why).toBe("risks changed");
  });

  it("names the assets that joined or left", () => {
    const rows = [row(1, AB, { max_sharpe: calm }), row(2, ["B", "C"], { max_sharpe: pick(0.5, 0.5) })];
    expect(changed(rows, sharpest)).toMatchObject({ why: "C joined, A left", moves: [["C", 0.5], ["A", -0.5]] });
  });

  it("is nothing where no weight moved, with the reason if there is one", () => {
    const rows = [row(1, AB, { max_sharpe: calm }), row(2, AB, { max_sharpe: { ...calm, wanted: [1, 0] } })];
    expect(changed(rows, sharpest)).toMatchObject({ moves: [], turnover: 0, why: "a trade is not worth its cost" });
    expect(changed(rows.slice(0, 1), sharpest)).toBeNull();
    expect(changed([], sharpest)).toBeNull();
  });
});

it("finds the point of the line nearest to a risk", () => {
  const line: [number, number][] = [[1, 0], [2, 1], [4, 2]];
  expect([0, 2.4, 3.5, 9].map((risk) => nearest(line, risk))).toEqual([0, 1, 2, 2]);
  expect(nearest([], 1)).toBe(0);
});

it("names picks for people", () => {
  expect([pickName("max_sharpe_fallback"), pickName("min_cvar")]).toEqual(["max Sharpe (fallback)", "min cvar"]);
});
