/* Numbers as people read them. Every figure on the page goes through here. */

const minus = (text) => text.replace("-", "\u2212");
const count = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ",");
const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many || one + "s"}`;

/* Three digits that count, never 1e+3. */
function digits3(value) {
  const size = Math.abs(value);
  return value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}

/* Nanoseconds with the unit that fits. */
function duration(ns, sign) {
  if (ns === null || ns === undefined) return "\u2013";
  const size = Math.abs(ns);
  const [unit, scale] = size >= 999.5e6 ? ["s", 1e9] : size >= 999.5e3 ? ["ms", 1e6] : size >= 999.5 ? ["µs", 1e3] : ["ns", 1];
  if (ns === 0) return "0";
  if (scale === 1e9 && size >= 600e9) return minus((sign && ns > 0 ? "+" : "") + (ns / 3600e9 >= 2 || ns / 3600e9 <= -2
    ? digits3(ns / 3600e9) + "\u00a0h" : digits3(ns / 60e9) + "\u00a0min"));
  const text = scale === 1 ? String(Math.round(ns)) : digits3(ns / scale);
  return minus((sign && ns > 0 ? "+" : "") + text) + "\u00a0" + unit;
}
const signedDuration = (ns) => duration(ns, true);
/* A skew that someone chose: as it was written, without digits that say nothing. */
function skewName(ns) {
  const [unit, name] = unitFor(Math.max(2e6, 2 * Math.abs(ns)));
  return `${minus(String(+(ns / unit).toPrecision(6)))}\u00a0${name}`;
}
/* Where something lies, as words: either end may be open. */
function between(lo, hi) {
  if (lo === null && hi === null) return "bounded by nothing";
  return lo === null ? `at most ${signedDuration(hi)}` : hi === null ? `at least ${signedDuration(lo)}` : `between ${signedDuration(lo)} and ${signedDuration(hi)}`;
}
const bound = (ns) => (ns === null ? "unbounded" : signedDuration(ns));

/* A share as percent: one digit, more where that would be nothing. */
function percent(share) {
  if (share === null || share === undefined) return "\u2013";
  const p = 100 * share;
  return (p === 0 ? "0" : p < 0.01 ? String(+p.toPrecision(1)) : p < 0.1 ? p.toFixed(2) : p < 99.95 ? p.toFixed(1) : p.toFixed(0)) + "\u00a0%";
}
const interval = (lo, hi) => (lo === null || lo === undefined ? "\u2013" : `${percent(lo).replace("\u00a0%", "")}\u2013${percent(hi)}`);
/* Sentences of the program as the page writes figures: a unit stays with its number, an interval in one piece. */
const asWritten = (text) => text.replace(/(^|[\s(])([+-]?\d[\d.,]*) ?(ns|us|ms|s|min|h|ppm)(?=[\s,.;:)]|$)/g, (_, before, digits, unit) => `${before}${digits}\u00a0${unit === "us" ? "\u00b5s" : unit}`)
  .replace(/(\d)\u2013(?=\d)/g, "$1\u2060\u2013\u2060");
const ratio = (value) => (value === null || value === undefined ? "\u2013" : value.toFixed(3));
const drift = (ppb) => (ppb === null ? "\u2013" : Math.abs(ppb) < 5 ? "0\u00a0ppm" : minus((ppb > 0 ? "+" : "") + (ppb / 1000).toFixed(2)) + "\u00a0ppm");
const number1 = (value) => (value === null || value === undefined ? "\u2013" : value.toFixed(1));

/* Unix nanoseconds, as decimal text, to a time of day in UTC. */
function instant(at) {
  const ns = BigInt(at), seconds = ns / 1000000000n, rest = ns - seconds * 1000000000n;
  const date = new Date(Number(seconds) * 1000);
  if (Number.isNaN(date.getTime())) return String(at);
  return date.toISOString().slice(0, 19).replace("T", "\u00a0") + "." + String(rest < 0n ? -rest : rest).padStart(9, "0") + "\u00a0Z";
}

/* The same for people, to the millisecond: where an axis begins. */
const moment = (at) => instant(at).replace(/(\.\d{3})\d*\u00a0Z$/, "$1\u00a0UTC");

/* Difference of two such stamps, in ns; exact up to 104 days. */
const since = (at, origin) => Number(BigInt(at) - BigInt(origin));

/* A scale's unit for tick labels: [divisor, name]. */
function unitFor(spanNs) {
  return spanNs >= 2e9 ? [1e9, "s"] : spanNs >= 2e6 ? [1e6, "ms"] : spanNs >= 2e3 ? [1e3, "µs"] : [1, "ns"];
}
