/* The traces that the page carries, read out of their compact form one at a time (src/report/trace_pack.h). */

const flag = { noStart: 8, noEnd: 16, error: 32 };
const pairFlag = { fromEnd: 8, toEnd: 16, soft: 32, violated: 64, left: 128 };
const relations = ["parent", "one call, two halves", "link", "delivery", "receive", "answer", "token order"];
const kinds = ["span", "internal", "server", "client", "producer", "consumer"];

function bytesOf(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
  return bytes;
}

class TraceStore {
  constructor(audit) {
    this.packed = audit.traces;
    this.names = audit.traces.names;
    this.clocks = audit.clockRows;
    this.rows = audit.traces.index.map(([id, spans, shown, violations, left, worst_ns, origin, place], row) =>
      ({ id, spans, shown, violations, left, worst_ns, origin, place, row }));
    this.read = new Map();
  }

  get bytes() {
    this.raw = this.raw || bytesOf(this.packed.data);
    return this.raw;
  }

  /* Row numbers of the traces with a violated pair from one clock to another. */
  withEdge(from, to) {
    const rows = new Set();
    for (const row of this.rows) {
      if (!row.violations) continue;
      const trace = this.trace(row.row);
      if (trace.pairs.some((pair) => pair.flags & pairFlag.violated && this.clocks[trace.clock[pair.from]].clock === from
        && this.clocks[trace.clock[pair.to]].clock === to)) rows.add(row.row);
    }
    return rows;
  }

  /* Starts and ends are ns after the trace's origin; of what has no stamp they are NaN. */
  trace(row) {
    if (this.read.has(row)) return this.read.get(row);
    const info = this.rows[row], bytes = this.bytes, n = info.shown;
    const trace = { info, n, parent: new Int32Array(n), clock: new Uint32Array(n), name: new Uint32Array(n),
      flags: new Uint8Array(n), start: new Float64Array(n), end: new Float64Array(n), start2: new Float64Array(n),
      end2: new Float64Array(n), id: new Uint32Array(n), pairs: [] };
    let at = info.place;
    const number = () => {
      let low = 0, shift = 0, byte;
      do {
        byte = bytes[at++];
        low += (byte & 127) * 2 ** shift;
        shift += 7;
      } while (byte & 128);
      return low;
    };
    const signed = () => {
      const n = number();
      return n % 2 ? -(n + 1) / 2 : n / 2;
    };
    for (let k = 0; k < n; k++) {
      trace.parent[k] = number() - 1;
      trace.clock[k] = number();
      trace.name[k] = number();
      trace.flags[k] = number();
      const noStart = trace.flags[k] & flag.noStart, noEnd = trace.flags[k] & flag.noEnd;
      const start = signed(), length = signed(), moved = signed(), moved2 = signed();
      trace.start[k] = noStart ? NaN : start;
      trace.end[k] = noStart || noEnd ? NaN : start + length;
      trace.start2[k] = trace.start[k] + moved;
      trace.end2[k] = trace.end[k] + moved2;
      trace.id[k] = at;
      at += 8;
    }
    for (let pairs = number(); pairs > 0; pairs--)
      trace.pairs.push({ from: number(), to: number(), flags: number(), by_ns: signed(), by2_ns: signed() });
    this.read.set(row, trace);
    return trace;
  }

  spanId(trace, line) {
    return Array.from(this.bytes.subarray(trace.id[line], trace.id[line] + 8), (b) => b.toString(16).padStart(2, "0")).join("");
  }
}
