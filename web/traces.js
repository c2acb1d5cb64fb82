/* The traces that the page carries, read out of their compact form one at a time (src/report/trace_pack.h). */

const flag = { noStart: 8, noEnd: 16, error: 32 };
const pairFlag = { fromEnd: 8, toEnd: 16, soft: 32, violated: 64, left: 128 };
const relations = ["parent", "one call, two halves", "link", "delivery", "receive", "answer", "token order"];
const kinds = ["span", "internal", "server", "client", "producer", "consumer"];

/* Bytes from..end of what base64 text holds, without decoding the rest. */
function bytesOf(base64, from, end) {
  const first = Math.floor(from / 3), text = base64.slice(4 * first, 4 * Math.ceil(end / 3)), skip = from - 3 * first;
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text).subarray(skip, skip + end - from);
  const plain = atob(text), bytes = new Uint8Array(end - from);
  for (let k = 0; k < bytes.length; k++) bytes[k] = plain.charCodeAt(skip + k);
  return bytes;
}

/* LEB128 numbers, one after the other: by 31 bits as long as that holds them. */
class Numbers {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  next() {
    const bytes = this.bytes;
    let byte = bytes[this.at++];
    if (byte < 128) return byte;
    let value = byte & 127, shift = 7;
    for (; shift < 28; shift += 7) {
      byte = bytes[this.at++];
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
    let large = value, scale = 2 ** 28;
    do {
      byte = bytes[this.at++];
      large += (byte & 127) * scale;
      scale *= 128;
    } while (byte >= 128);
    return large;
  }

  /* Zigzag: the lowest bit is the sign. */
  signed() {
    const n = this.next();
    return n % 2 ? -(n + 1) / 2 : n / 2;
  }
}

/* Pairs in columns; one is named by its row. by: sent - received in ns, as stamped and corrected: positive is too early. */
class Pairs {
  constructor(n) {
    this.n = n;
    this.from = new Uint32Array(n);
    this.to = new Uint32Array(n);
    this.flags = new Uint8Array(n);
    this.by = new Float64Array(n);
    this.by2 = new Float64Array(n);
  }

  violated(row) {
    return (this.flags[row] & pairFlag.violated) !== 0;
  }

  /* Rows of the violated ones, the worst first, as all are. */
  offending() {
    const rows = [];
    for (let k = 0; k < this.n; k++) if (this.flags[k] & pairFlag.violated) rows.push(k);
    return rows;
  }
}

class TraceStore {
  constructor(audit) {
    this.packed = audit.traces;
    this.audit = audit;
    this.names = audit.traces.names;
    this.clocks = audit.clockRows;
    this.rows = audit.traces.index.map(([id, spans, shown, violations, left, worst_ns, origin, place], row) =>
      ({ id, spans, shown, violations, left, worst_ns, origin, place, row }));
    this.read = new Map();
  }

  /* Row numbers of the traces with a violated pair from one clock to another. */
  withEdge(from, to) {
    const rows = new Set(), clock = (trace, line) => this.clocks[trace.clock[line]].clock;
    for (const row of this.rows) {
      if (!row.violations) continue;
      const trace = this.trace(row.row), { pairs } = trace;
      for (let k = 0; k < pairs.n; k++)
        if (pairs.violated(k) && clock(trace, pairs.from[k]) === from && clock(trace, pairs.to[k]) === to) {
          rows.add(row.row);
          break;
        }
    }
    return rows;
  }

  bytesOf(info) {
    if (!this.data) this.data = tracesText(this.audit);
    const next = this.rows[info.row + 1], { data } = this, padding = data.endsWith("==") ? 2 : data.endsWith("=") ? 1 : 0;
    return bytesOf(data, info.place, next ? next.place : (data.length / 4) * 3 - padding);
  }

  trace(row) {
    if (!this.read.has(row)) this.read.set(row, this.unpack(this.rows[row]));
    return this.read.get(row);
  }

  /* Starts and ends are ns after the trace's origin; of what has no stamp they are NaN. */
  unpack(info) {
    const bytes = this.bytesOf(info), read = new Numbers(bytes), n = info.shown;
    const trace = { info, n, bytes, parent: new Int32Array(n), clock: new Uint32Array(n), name: new Uint32Array(n),
      flags: new Uint8Array(n), start: new Float64Array(n), end: new Float64Array(n), start2: new Float64Array(n),
      end2: new Float64Array(n), id: new Uint32Array(n) };
    for (let k = 0; k < n; k++) {
      trace.parent[k] = read.next() - 1;
      trace.clock[k] = read.next();
      trace.name[k] = read.next();
      const flags = trace.flags[k] = read.next(), start = read.signed(), length = read.signed(), moved = read.signed(), moved2 = read.signed();
      trace.start[k] = flags & flag.noStart ? NaN : start;
      trace.end[k] = flags & (flag.noStart | flag.noEnd) ? NaN : start + length;
      trace.start2[k] = trace.start[k] + moved;
      trace.end2[k] = trace.end[k] + moved2;
      trace.id[k] = read.at;
      read.at += 8;
    }
    const pairs = trace.pairs = new Pairs(read.next());
    for (let k = 0; k < pairs.n; k++) {
      pairs.from[k] = read.next();
      pairs.to[k] = read.next();
      pairs.flags[k] = read.next();
      pairs.by[k] = read.signed();
      pairs.by2[k] = read.signed();
    }
    trace.offending = pairs.offending();
    return trace;
  }

  spanId(trace, line) {
    return Array.from(trace.bytes.subarray(trace.id[line], trace.id[line] + 8), (b) => b.toString(16).padStart(2, "0")).join("");
  }
}
