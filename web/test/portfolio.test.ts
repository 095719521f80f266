import { describe, expect, it } from "vitest";
import { changed } from "../src/changes";
import { byWeight, computedNs, nearest, pickName, Portfolios, stack, type PickRow, Universe } from "../src/portfolio";
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

  it("is measured from the row before where that is older", () => {
    const days = [1, 2, 5].map((day) => row(day * 86_400, AB, { max_sharpe: pick(day / 10, 1 - day / 10) }, { period_ns: 86_400 * SECOND }));
    const found = changed(days, sharpest);
    expect(found?.sinceNs).toBe(2 * 86_400 * SECOND);
    expect(found?.turnover).toBeCloseTo(0.6);
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

  it("is nothing where no weight moved, with the pick's own reason if there is one", () => {
    const note = "what is held stays: 1.00% to trade is less than 2.00%";
    const rows = [row(1, AB, { max_sharpe: calm }), row(2, AB, { max_sharpe: { ...calm, wanted: [1, 0], note } })];
    expect(changed(rows, sharpest)).toMatchObject({ moves: [], turnover: 0, why: note });
    expect(changed(rows.slice(0, 1), sharpest)).toBeNull();
    expect(changed([], sharpest)).toBeNull();
    const noted = [row(1, AB, { max_sharpe: calm }), row(2, AB, { max_sharpe: { ...calm, note: "the best that was drawn" } })];
    expect(changed(noted, sharpest)?.why).toBe("");
  });

  describe("is what the user has set otherwise", () => {
    const set = { constraints: { cap: 1, current: { A: 1 } }, costs: { fee_bps: 1, spread_bps: 2, impact_bps: 3 }, hold: 10, risk: "variance" };
    const why = (was: Partial<Frontier>, is: Partial<Frontier>, moved = true) =>
      changed([row(1, AB, { max_sharpe: calm }, was), row(2, AB, { max_sharpe: moved ? pick(0.9, 0.1) : calm }, is)], sharpest)?.why;

    it("each by its name, once", () => {
      expect(why(set, { ...set, constraints: { ...set.constraints, cap: 0.9 } })).toBe("constraints changed");
      expect(why(set, { ...set, constraints: { cap: 1, current: { A: 0.5, B: 0.5 } } })).toBe("what is held changed");
      expect(why(set, { ...set, costs: { ...set.costs, fee_bps: 5 }, hold: 20 })).toBe("costs changed");
      expect(why(set, { ...set, risk: "cvar", constraints: { cap: 0.9, current: {} } }))
        .toBe("constraints changed, what is held changed, the measure of risk changed");
    });

    it("also where nothing moved for it", () => {
      expect(why(set, { ...set, hold: 20 }, false)).toBe("though costs changed");
    });

    it("unknown of rows from before it was told", () => {
      expect(why({}, set)).toBe("expected returns changed");
      expect(why({ ...set, costs: null, constraints: null }, set)).toBe("expected returns changed");
    });
  });

  it("is a trade that has become worth it, or is so no longer", () => {
    const stays = { ...calm, wanted: [1, 0], note: "what is held stays: no trade is worth its cost over 9 periods" };
    const goes = [row(1, AB, { max_sharpe: stays }), row(2, AB, { max_sharpe: pick(0.9, 0.1) })];
    expect(changed(goes, sharpest)?.why).toBe("a trade is worth it now");
    const back = [row(1, AB, { max_sharpe: pick(0.9, 0.1) }), row(2, AB, { max_sharpe: stays })];
    expect(changed(back, sharpest)?.why).toBe(stays.note);
  });

  it("is a pick that another stands in for, or does so no longer", () => {
    const all = new Portfolios();
    const pickOf = (one: PickRow) => all.pickOf(one);
    const note = "no feasible mean is above cash: min_variance stands in for max_sharpe";
    const rows = [row(1, AB, { max_sharpe: pick(1, 0) }), row(2, AB, { max_sharpe_fallback: { ...calm, note } })];
    expect(changed(rows, pickOf)?.why).toBe("no feasible mean is above cash: min variance stands in for max Sharpe");
    expect(changed([row(1, AB, rows[1]?.picks ?? {}), row(2, AB, rows[0]?.picks ?? {})], pickOf)?.why).toBe("a mean is above cash again");
  });

  it("is never an expected return for picks that read none", () => {
    const moved = (name: string) =>
      changed([row(1, AB, { min_variance: calm, [name]: calm }), row(2, AB, { min_variance: calm, [name]: pick(0.9, 0.1) })], (one) => one.picks[name])?.why;
    expect([moved("risk_parity"), moved("equal_weight"), moved("current"), moved("max_utility")])
      .toEqual(["risks changed", "", "", "expected returns changed"]);
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
