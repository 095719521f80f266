import { describe, expect, it } from "vitest";
import { shownName, withinRow } from "../src/rows";

const DAY_NS = 86_400e9;

describe("features of rows", () => {
  it("know no return over less than a row", () => {
    const names = ["return_1s_bps", "return_10s_bps", "return_60s_bps", "momentum_bps", "mid"];
    expect(names.map((name) => withinRow(name, DAY_NS))).toEqual([true, true, true, false, false]);
    expect(names.map((name) => withinRow(name, 10e9))).toEqual([true, false, false, false, false]);
    expect(names.some((name) => withinRow(name, 0))).toBe(false);
  });

  it("are named by rows where a bar is one", () => {
    expect(shownName("volatility_300s_bps", DAY_NS)).toBe("volatility 300 rows");
    expect(shownName("volatility_300s_bps", 0)).toBe("volatility 300s");
    expect(shownName("return_60s_bps", DAY_NS)).toBe("return 60s");
    expect(shownName("macd_signal_bps", 0)).toBe("macd signal");
  });
});
