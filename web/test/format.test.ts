import { describe, expect, it } from "vitest";
import { age, bytes, clock, decimalsOf, fixed, microseconds, price, short, span } from "../src/format";

describe("format", () => {
  it("tells decimals from prices", () => {
    expect(decimalsOf([64732.1, 64733])).toBe(1);
    expect(decimalsOf([0.52165])).toBe(5);
    expect(decimalsOf([64033.649999999994])).toBe(2);
    expect(decimalsOf([264.07998657])).toBe(5);
    expect(decimalsOf([1e-9])).toBe(8);
  });

  it("gives a zero no sign", () => {
    expect([fixed(-0.001, 2), fixed(-0.006, 2)]).toEqual(["0.00", "-0.01"]);
  });

  it("shows unknown as a dash", () => {
    expect([short(null), short(Number.NaN), fixed(undefined, 2)]).toEqual(["–", "–", "–"]);
  });

  it("shows prices whole", () => {
    expect([price(64033.649999999994), price(0.52165), price(null)]).toEqual(["64033.65", "0.52165", "–"]);
  });

  it("shows ages and bytes in units that fit", () => {
    expect([0.04, 9.94, 12.4, 119, 120, 7199, 7200, 172800].map(age)).toEqual(
      ["0.0 s", "9.9 s", "12 s", "119 s", "2 min", "120 min", "2 h", "2 d"],
    );
    expect([0, 999, 1000, 9_949, 12_345, 999_499, 999_600, 3.2e9].map(bytes)).toEqual(
      ["0 B", "999 B", "1.0 kB", "9.9 kB", "12 kB", "999 kB", "1.0 MB", "3.2 GB"],
    );
  });

  it("shortens numbers to four digits", () => {
    expect([short(0), short(64732.1), short(0.0000051), short(3.14159), short(2.5e6), short(2.65e10)]).toEqual(
      ["0", "64.73K", "5.1e-6", "3.142", "2.5M", "26.5B"],
    );
  });

  it("names spans and latencies", () => {
    expect([span(25e7), span(5e9), span(6e10), span(864e11)]).toEqual(["250 ms", "5 s", "1 min", "1 d"]);
    expect([12, 1500, 184_100, 2.5e6].map(microseconds)).toEqual(["12 µs", "1.5 ms", "184 ms", "2.50 s"]);
    expect(clock(1_500_000_000)).toBe("00:00:01");
  });
});
