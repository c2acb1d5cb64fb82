/* The causal graph: who sends to whom, how much skew each edge takes, and where it took more. */

const graphMost = 40; /* nodes: more than that is a hairball, and the table has them all */
const ringNames = 12; /* so many stand in a ring, each with what is known of it */
const narrowWidth = 560, ringMost = 5, columnMost = 14; /* a ring of more has no room for names where it is narrow */

/* The clocks that matter most, most of them at the most, and the edges between them. */
function graphOf(audit, most = graphMost) {
  const weight = new Map();
  const note = (name, n) => weight.set(name, (weight.get(name) || 0) + n);
  for (const edge of audit.check.edges) {
    note(edge.from, edge.hops + 1e9 * (edge.violations > 0));
    note(edge.to, edge.hops + 1e9 * (edge.violations > 0));
  }
  const kept = new Set([...weight].sort((a, b) => b[1] - a[1]).slice(0, most).map(([name]) => name));
  const rows = new Map(audit.clockRows.map((clock) => [clock.clock, clock]));
  const nodes = [...kept].map((name) => ({ name, clock: rows.get(name) })).filter((node) => node.clock);
  nodes.sort((a, b) => a.clock.row - b.clock.row);
  const at = new Map(nodes.map((node, k) => [node.name, k]));
  const edges = audit.check.edges.filter((e) => at.has(e.from) && at.has(e.to)).map((e) => ({ ...e, source: at.get(e.from), target: at.get(e.to) }));
  return { nodes, edges, left: weight.size - nodes.length };
}

/* Round a ring in the order in which messages flow: each next node is the one most sent to. */
function ringOrder(nodes, edges) {
  const order = [], seen = new Set();
  const starts = nodes.map((_, k) => k).sort((a, b) => nodes[a].clock.row - nodes[b].clock.row);
  for (const start of starts) {
    for (let at = start; at !== undefined && !seen.has(at);) {
      seen.add(at);
      order.push(at);
      at = edges.filter((e) => e.source === at && !seen.has(e.target)).sort((a, b) => b.hops - a.hops).map((e) => e.target)[0];
    }
  }
  return order;
}

function placeNodes(nodes, edges, width, height) {
  const marginX = width < narrowWidth || nodes.length > ringNames ? 62 : 130, marginY = 54, n = nodes.length;
  ringOrder(nodes, edges).forEach((k, place) => {
    const angle = -Math.PI + (2 * Math.PI * place) / n;
    nodes[k].x = width / 2 + (width / 2 - marginX) * Math.cos(angle);
    nodes[k].y = height / 2 + (height / 2 - marginY) * Math.sin(angle);
  });
  if (n <= ringNames) return;
  const links = edges.filter((e) => e.source !== e.target).map((e) => ({ source: e.source, target: e.target }));
  const force = d3.forceSimulation(nodes).stop().force("charge", d3.forceManyBody().strength(-900))
    .force("link", d3.forceLink(links).distance(110).strength(0.25)).force("x", d3.forceX(width / 2).strength(0.05))
    .force("y", d3.forceY(height / 2).strength(0.14)).force("room", d3.forceCollide(44));
  for (let k = 0; k < 260; k++) force.tick();
  const [x0, x1] = d3.extent(nodes, (v) => v.x), [y0, y1] = d3.extent(nodes, (v) => v.y);
  for (const node of nodes) {
    node.x = marginX + ((node.x - x0) / (x1 - x0 || 1)) * (width - 2 * marginX);
    node.y = marginY + ((node.y - y0) / (y1 - y0 || 1)) * (height - 2 * marginY);
  }
}

/* From rim to rim, bent to its right so that the way back does not lie on it. */
function edgePath(a, b, both) {
  const dx = b.x - a.x, dy = b.y - a.y, length = Math.hypot(dx, dy) || 1, bend = both ? 26 : Math.min(14, length / 12);
  const cx = (a.x + b.x) / 2 - (dy / length) * bend * 2, cy = (a.y + b.y) / 2 + (dx / length) * bend * 2, r = 15;
  const cut = (from, toX, toY) => {
    const l = Math.hypot(toX - from.x, toY - from.y) || 1;
    return [from.x + ((toX - from.x) / l) * r, from.y + ((toY - from.y) / l) * r];
  };
  const [x1, y1] = cut(a, cx, cy), [x2, y2] = cut(b, cx, cy), angle = Math.atan2(y2 - cy, x2 - cx);
  const head = [[0, 0], [-9, 4.5], [-9, -4.5]].map(([u, v]) => [x2 + u * Math.cos(angle) - v * Math.sin(angle), y2 + u * Math.sin(angle) + v * Math.cos(angle)]);
  const between = (t, from, by, to) => (1 - t) * (1 - t) * from + 2 * t * (1 - t) * by + t * t * to;
  return { d: `M${x1} ${y1}Q${cx} ${cy} ${x2 - 7 * Math.cos(angle)} ${y2 - 7 * Math.sin(angle)}`, head: head.map((p) => p.join(" ")).join("L"),
    point: (t) => [between(t, x1, cx, x2), between(t, y1, cy, y2)], side: [-dy / length, dx / length] };
}

function edgeText(edge) {
  return `${clip(edge.from, 60)} \u2192 ${clip(edge.to, 60)}\n${count(edge.violations)} of ${count(edge.hops)} hops violated` +
    (edge.violations ? `, the worst by ${duration(edge.worst_ns)}` : "") +
    `\nmedian delay as stamped ${signedDuration(edge.slack_p50_ns)}\n` +
    (edge.margin_ns < 0 ? `${duration(-edge.margin_ns)} beyond its margin` : `margin ${duration(edge.margin_ns)}: so much more skew until the first violation`);
}

/* What an edge does when it is pointed at, chosen or reached by the keyboard. */
function makeEdge(svg, edge, quiet, onEdge) {
  const g = svg.append("g").attr("class", `edge${edge.violations ? " violated" : quiet ? " quiet" : ""}`).attr("tabindex", 0).attr("role", "button")
    .attr("aria-label", edgeText(edge).replace(/\n/g, ". ") + ". Show examples.").attr("data-from", edge.from).attr("data-to", edge.to);
  g.on("click", () => onEdge(edge)).on("keydown", () => {
    if (d3.event.key === "Enter" || d3.event.key === " ") { d3.event.preventDefault(); onEdge(edge); }
  });
  attachTip(g.node(), () => edgeText(edge) + (edge.violations ? "\nClick: its traces" : ""));
  return g;
}

const nodeFacts = (clock) => (clock.reference ? "reference" : clock.offset_ns === null ? "offset unknown" : signedDuration(clock.offset_ns));

/* What a clock says when it is pointed at or reached by the keyboard. */
function sayNode(g, { name, clock }) {
  const facts = `${clock.label}: ${clockFacts(clock)}`;
  g.attr("tabindex", 0).attr("role", "img").attr("aria-label", `${clip(name, 120)}, ${facts}`);
  attachTip(g.node(), `${clip(name, 120)}\n${facts}`);
}

/* For a phone: clocks one below the other in the order in which messages flow, names beside them, edges as arcs at the
 * left; below a name the worst that it received. */
function drawColumn(svg, width, { nodes, edges, left }, onEdge) {
  const order = ringOrder(nodes, edges), row = new Map(order.map((k, place) => [k, place])), step = 46, x = 88, top = 26;
  const y = (k) => top + row.get(k) * step, longest = Math.max(1, ...edges.map((e) => Math.abs(row.get(e.source) - row.get(e.target))));
  const hops = d3.scaleSqrt([0, d3.max(edges, (e) => e.hops) || 1], [1, 3.5]);
  for (const edge of edges.slice().sort((a, b) => a.violations - b.violations)) {
    if (edge.source === edge.target) continue;
    const far = Math.abs(row.get(edge.source) - row.get(edge.target)), bulge = 22 + (far / longest) * 76, down = row.get(edge.target) > row.get(edge.source);
    const y1 = y(edge.source) + (down ? 4 : -4), y2 = y(edge.target) + (down ? -4 : 4), g = makeEdge(svg, edge, edges.length > 8, onEdge);
    const d = `M${x - 9} ${y1}C${x - 9 - bulge} ${y1} ${x - 9 - bulge} ${y2} ${x - 15} ${y2}`;
    g.append("path").attr("class", "shaft").attr("d", d).style("stroke-width", hops(edge.hops));
    g.append("path").attr("class", "head").attr("d", `M${x - 8} ${y2}l-9 -4.5v9Z`);
    g.append("path").attr("class", "hit").attr("d", d);
  }
  for (const k of order) {
    const { clock, name } = nodes[k], g = svg.append("g").attr("class", `node ${clock.label}`).attr("transform", `translate(${x},${y(k)})`);
    const worst = edges.filter((e) => e.target === k && e.violations).sort((a, b) => b.worst_ns - a.worst_ns)[0], most = Math.floor((width - x - 120) / 8);
    g.append("circle").attr("r", 7);
    const text = g.append("text").attr("class", "halo").attr("x", 16).attr("y", worst ? 0 : 4);
    text.append("tspan").attr("class", "strong").style("font-weight", 600).style("fill", "var(--ink)").text(isolate(clipMiddle(name, Math.max(8, most))));
    text.append("tspan").attr("dx", 8).text(nodeFacts(clock));
    if (worst) g.append("text").attr("class", "bad-text halo").attr("x", 16).attr("y", 15).text(`${count(worst.violations)} of ${count(worst.hops)}, worst ${duration(worst.worst_ns)}`);
    sayNode(g, nodes[k]);
  }
  const height = top + nodes.length * step - step / 2 + (left > 0 ? 26 : 8);
  if (left > 0) svg.append("text").attr("x", x + 16).attr("y", height - 8).text(`and ${plural(left, "other")}, in the table`);
  return height;
}

function drawGraph(svg, width, audit, graph, onEdge) {
  if (width < narrowWidth && graph.nodes.length > ringMost) return drawColumn(svg, width, graphOf(audit, columnMost), onEdge);
  const { nodes, edges } = graph, n = nodes.length, many = n > ringNames;
  const height = many ? Math.min(760, Math.max(460, width * 0.62)) : n < 3 ? 190 : width < narrowWidth ? 340 : n > 6 ? 460 : 380;
  placeNodes(nodes, edges, width, height);
  const most = d3.max(edges, (e) => e.hops) || 1, hops = d3.scaleSqrt([0, most], [1.2, Math.min(5, 2 + Math.log10(most))]), curves = [];
  const pairs = new Set(edges.map((e) => `${e.source} ${e.target}`));
  for (const edge of edges.slice().sort((a, b) => a.violations - b.violations)) {
    if (edge.source === edge.target) continue;
    const path = edgePath(nodes[edge.source], nodes[edge.target], pairs.has(`${edge.target} ${edge.source}`));
    const g = makeEdge(svg, edge, edges.length > 12, onEdge);
    g.append("path").attr("class", "shaft").attr("d", path.d).style("stroke-width", hops(edge.hops));
    g.append("path").attr("class", "head").attr("d", `M${path.head}Z`);
    g.append("path").attr("class", "hit").attr("d", path.d);
    curves.push({ edge, path });
  }
  for (const node of nodes) node.r = many ? 7 : 9;
  const labels = new Labels(width, height, nodes.map(({ x, y, r }) => [x - r - 2, y - r - 2, x + r + 2, y + r + 2]));
  const lines = curves.flatMap(({ path }) => Array.from({ length: 41 }, (_, k) => path.point(k / 40)));
  for (const node of nodes.slice().sort((a, b) => verdictOrder[a.clock.label] - verdictOrder[b.clock.label])) drawNode(svg, node, labels, many, width, lines);
  drawEdgeLabels(svg, curves, edges.length <= 10 && width >= narrowWidth, labels, lines);
  return height;
}

/* What is violated speaks first, and of the others where there are few; a label without room is left out, as is a
 * mild one across other lines, and pointing at the edge says the same. */
function drawEdgeLabels(svg, curves, all, labels, lines) {
  curves.filter(({ edge }) => edge.violations || all).slice(-12).reverse().forEach(({ edge, path }) => {
    const bad = edge.violations > 0, words = bad ? [`${count(edge.violations)} of ${count(edge.hops)}`, `worst ${duration(edge.worst_ns)}`] : [plural(edge.hops, "hop"), `margin ${duration(edge.margin_ns)}`];
    const label = labels.edge(path, words.map((text) => ({ text, bold: bad })), lines, bad ? Infinity : 2);
    if (label) drawLabel(svg.append("g").attr("class", "edge-label").style("pointer-events", "none"), label, 0, 0, bad ? "bad-text halo" : "halo");
  });
}

function drawNode(svg, node, labels, many, width, lines) {
  const { clock } = node, g = svg.append("g").attr("class", `node ${clock.label}`).attr("transform", `translate(${node.x},${node.y})`);
  g.append("circle").attr("r", node.r);
  sayNode(g, node);
  const proven = clock.label === "proven", facts = many ? null : { text: nodeFacts(clock), bold: proven, css: proven ? "bad-text" : "plain" };
  const label = labels.name(node, facts, width < narrowWidth ? 15 : many ? 18 : 26, lines);
  if (label) drawLabel(g, label, node.x, node.y, "halo strong");
}

function edgesTable(audit, onEdge) {
  return makeTable({
    caption: "Edges, the worst first. Margin: how much more skew the edge takes before its first violation; negative: how far it is beyond. To 1 %: until one hop in a hundred is violated.",
    rows: audit.check.edges, onRow: onEdge, describeRow: (e) => `Show traces of ${edgeName(e)}`,
    columns: [
      { label: "from", text: true, value: (e) => e.from, show: (e) => clip(e.from, 80) },
      { label: "to", text: true, value: (e) => e.to, show: (e) => clip(e.to, 80) },
      { label: "hops", value: (e) => e.hops, show: (e) => count(e.hops) },
      { label: "violations", value: (e) => e.violations, show: (e) => count(e.violations), bad: (e) => e.violations > 0 },
      { label: "worst", value: (e) => e.worst_ns, show: (e) => (e.worst_ns ? duration(e.worst_ns) : "\u2013"), bad: (e) => e.worst_ns > 0 },
      { label: "median", value: (e) => e.slack_p50_ns, show: (e) => duration(e.slack_p50_ns) },
      { label: "margin", value: (e) => e.margin_ns, show: (e) => duration(e.margin_ns), bad: (e) => e.margin_ns < 0 },
      { label: "to 1 %", value: (e) => e.margin_1pct_ns, show: (e) => duration(e.margin_1pct_ns), bad: (e) => e.margin_1pct_ns < 0 },
    ],
  });
}

/* What the rings of the clocks mean: those that are there. */
function clockLegend(nodes) {
  const ring = (label) => (svg) => svg.append("g").attr("class", `node ${label}`).append("circle").attr("cx", 14).attr("cy", 6).attr("r", 4.5);
  const words = { proven: "clock proven wrong", suspected: "suspected", unknown: "unknown", ok: "in order", reference: "reference" };
  return Object.keys(verdictOrder).filter((label) => nodes.some(({ clock }) => clock.label === label)).map((label) => [ring(label), words[label]]);
}

function graphSection(audit, onEdge) {
  const graph = graphOf(audit);
  const violated = audit.check.edges.some((e) => e.violations), stroke = (colour) => (svg) => svg.append("path").attr("d", "M1 6H27").style("stroke", colour).style("stroke-width", 3);
  const legend = haveD3 && legendOf([
    ...(violated ? [[stroke("var(--bad)"), "with violations"]] : []),
    [stroke("var(--faint)"), violated ? "without; width: number of hops" : "hops; width: how many"],
    ...clockLegend(graph.nodes),
  ]);
  return [
    el("h2", null, "Who sends to whom"),
    el("p", { class: "note" }, "Clocks and the hops between them. An edge shows its violations, or how much skew it would still hide." + (graph.left > 0 ? ` The ${graph.nodes.length} clocks that matter most; ${plural(graph.left, "other is", "others are")} in the table.` : "")),
    makeFigure({ label: "Causal graph of clocks and hops", legend, draw: (svg, width) => drawGraph(svg, width, audit, graph, onEdge),
      table: () => edgesTable(audit, onEdge), room: 340, tableLabel: "All edges, as a table" }),
  ];
}
