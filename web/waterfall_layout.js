/* Where each span of a trace lies on the sheet, by clock and by span. */

const laneHeight = 9, laneMost = 10, rowHeight = 20, panelTitle = 26;
const panelMost = 290, bandLeast = 15; /* two panels of so much are seen at once; a name needs so much */

/* Where many clocks take part, those of no offending pair get one lane: the others are what a panel is looked at for. */
function squeeze(trace, bands, band, lane) {
  const involved = new Uint8Array(bands.length), { from, to } = trace.pairs;
  for (const pair of trace.offending) involved[band[from[pair]]] = involved[band[to[pair]]] = 1;
  bands.forEach((one, row) => { if (!involved[row]) one.lanes = 1; });
  for (let k = 0; k < trace.n; k++) if (!involved[band[k]]) lane[k] = 0;
}

/* Rows of a band: each span in the first lane that is free at its start. */
function layoutClocks(trace, clocksN) {
  const bands = [], bandOf = new Int32Array(clocksN).fill(-1), band = new Uint32Array(trace.n), lane = new Uint8Array(trace.n), ends = [], first = [];
  for (let k = 0; k < trace.n; k++) {
    const clock = trace.clock[k];
    if (bandOf[clock] < 0) {
      bandOf[clock] = bands.length;
      bands.push({ clock, lanes: 1 });
      ends.push([]);
      first.push(Infinity);
    }
    const row = band[k] = bandOf[clock], open = ends[row], start = trace.start[k];
    let at = 0;
    while (at < open.length && at < laneMost - 1 && open[at] > start) at++;
    open[at] = Math.max(trace.end[k] || start, start + 1);
    lane[k] = at;
    if (at >= bands[row].lanes) bands[row].lanes = at + 1;
    if (trace.start2[k] < first[row]) first[row] = trace.start2[k];
  }
  /* From top to bottom as messages flow: by each clock's first stamp once corrected. */
  const places = bands.map((_, row) => row).sort((a, b) => first[a] - first[b]), place = new Uint32Array(bands.length);
  places.forEach((row, at) => { place[row] = at; });
  for (let k = 0; k < trace.n; k++) band[k] = place[band[k]];
  const sorted = places.map((row) => bands[row]), tall = sorted.reduce((sum, one) => sum + Math.max(26, one.lanes * laneHeight + 10), 0);
  if (tall > panelMost) squeeze(trace, sorted, band, lane);
  let y = panelTitle;
  for (const one of sorted) {
    one.y = y;
    one.height = tall > panelMost ? Math.max(bandLeast, one.lanes * laneHeight + 4) : Math.max(26, one.lanes * laneHeight + 10);
    y += one.height;
  }
  return { mode: "clocks", bands: sorted, lane, band, panel: y + 10 };
}

/* Rows in the order of the tree; a ring or a missing parent makes a root. */
function layoutSpans(trace) {
  const children = new Map(), order = [], depth = new Uint16Array(trace.n), row = new Int32Array(trace.n).fill(-1), stack = [];
  for (let k = 0; k < trace.n; k++) {
    const parent = trace.parent[k];
    if (!children.has(parent)) children.set(parent, []);
    children.get(parent).push(k);
  }
  const open = (k, d) => stack.push([k, d]);
  for (const root of (children.get(-1) || []).slice().reverse()) open(root, 0);
  while (stack.length) {
    const [k, d] = stack.pop();
    row[k] = order.length;
    depth[k] = d;
    order.push(k);
    for (const child of (children.get(k) || []).slice().reverse()) open(child, Math.min(d + 1, 65535));
  }
  for (let k = 0; k < trace.n; k++) if (row[k] < 0) { row[k] = order.length; order.push(k); }
  return { mode: "spans", order, depth, row };
}
