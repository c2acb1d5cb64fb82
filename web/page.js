/* The page as a whole: sections, the choice of a run, colours, printing. */

const section = (id, title, nodes) => el("section", { id, "aria-label": title }, nodes);

/* The run that shows most: the one with the most violations. */
function firstAudit() {
  return page.audits.reduce((best, audit) => (audit.violations > best.violations ? audit : best), page.audits[0]);
}

/* Runs to choose from, a row a transport; small: how many violations each has. */
function picker(current, onPick) {
  if (page.audits.length < 2) return null;
  const chip = (audit, name) => el("label", { class: "chip" },
    el("input", { type: "radio", name: "audit", value: String(page.audits.indexOf(audit)), checked: audit === current, onchange: () => onPick(audit) }),
    el("span", null, name, audit.violations ? el("span", { class: "count" }, ` ${count(audit.violations)}`, el("span", { class: "unseen" }, " violations")) : null));
  const rows = new Map();
  for (const audit of page.audits) {
    const key = audit.runRow ? (page.labs.length > 1 ? `${audit.lab.name}, ` : "") + transportName(audit.runRow.transport) : "";
    rows.set(key, [...(rows.get(key) || []), audit]);
  }
  return el("fieldset", { class: "picker" }, el("legend", null, "Choose one; the small figure counts its violations"), [...rows].map(([key, audits]) => el("div", { class: "picker-row" },
    rows.size > 1 && key ? el("span", { class: "picker-name bidi" }, key) : null, audits.map((audit) => chip(audit, audit.runRow ? runName(audit.runRow) : clip(audit.name, 40))))));
}

function subtitle() {
  const parts = [];
  for (const lab of page.labs) {
    const summary = lab.summary, stage = /stage: "([^"]*)"/.exec(summary.spec);
    const many = page.labs.length > 1 ? `${runTitle(summary)}, ` : "";
    parts.push(`${many}${lab.name}: ${plural(summary.runs.length, "run")}${stage ? `, skew on the stamps of ${stage[1]}` : ""}. Nodes: ${summary.nodes_note}.`);
    for (const left of summary.left_out || []) parts.push(`Left out: ${left.transport} (${left.why}).`);
    if ((summary.gaps || []).length) parts.push(`${plural(summary.gaps.length, "block")} failed and ${summary.gaps.length === 1 ? "was" : "were"} repeated.`);
    if (summary.foreign_messages) parts.push(`The nodes got ${plural(summary.foreign_messages, "message")} of somebody else's, and dropped ${summary.foreign_messages === 1 ? "it" : "them"}.`);
    if (summary.outputs_note) parts.push(`${summary.outputs_note[0].toUpperCase()}${summary.outputs_note.slice(1)}.`);
    if (summary.partial) parts.push("Partial: the run was interrupted.");
  }
  if (!page.labs.length && page.audits.length) {
    const input = page.audits[0].check.input;
    parts.push(`${plural(input.files, "file")}, ${plural(input.spans, "span")}, ${plural(input.traces, "trace")}, ${plural(input.clocks, "clock")}, ${plural(input.hops, "hop")} between them.`);
  }
  return parts.join(" ");
}

/* In words: what the page makes of the data, and what check says of it. */
function story(audit) {
  const words = [...violationWords(audit), ...clockWords(audit), ...fixWords(audit), ...((audit.runRow && audit.runRow.what_happened) || []).map(asWritten)];
  return el("div", { class: "story" }, el("div", { class: "lead" }, el("p", null, named(asWritten(words.join(" "))))),
    audit.advice.length ? el("div", { class: "advice" }, el("h2", null, "What check says"), el("ul", null, audit.advice.slice(0, 5).map((line) => el("li", null, named(asWritten(line))))),
      audit.advice.length > 5 ? behind(`${count(audit.advice.length - 5)} more`, el("ul", null, audit.advice.slice(5).map((line) => el("li", null, named(asWritten(line)))))) : null) : null);
}

/* Everything about one input or one run of a sweep; its waterfall comes with the section of traces. */
function auditParts(audit, place) {
  const parts = { waterfall: null, traces: null };
  /* act with the waterfall, now or as soon as the file has been read. */
  parts.withTraces = (act) => {
    parts.traces.begin();
    onceRead(() => { if (parts.waterfall) act(parts.waterfall); });
  };
  const toEdge = (edge) => {
    parts.withTraces((waterfall) => waterfall.list.filterEdge(edge));
    parts.traces.scrollIntoView();
    document.querySelectorAll(".edge").forEach((g) => g.classList.toggle("chosen", g.dataset.from === edge.from && g.dataset.to === edge.to));
  };
  parts.traces = laterSection("traces", "Traces", 640, () => {
    parts.waterfall = new Waterfall(audit);
    onceRead(() => later(() => parts.waterfall.begin(), true));
    return waterfallSection(audit, parts.waterfall);
  });
  place.replaceChildren(
    tilesOf(audit),
    story(audit),
    ...overTime(audit.runRow),
    laterSection("clocks", "Clocks", 420, () => clocksSection(audit)),
    audit.check.edges.length ? laterSection("graph", "Graph", 480, () => graphSection(audit, toEdge)) : "",
    parts.traces,
    audit.healthRows.length ? laterSection("health", "Health", 320, () => healthSection(audit)) : "");
  return parts;
}

function navigation() {
  byId("nav").replaceChildren(...[...document.querySelectorAll("main section[id]")].map((place) => el("a", { href: `#${place.id}` }, place.getAttribute("aria-label"))));
}

function build() {
  const main = byId("main"), place = el("div", { id: "audit" });
  let shown = page.audits.length ? firstAudit() : null, parts = null;
  const pick = (audit) => {
    if (!readAudit(audit)) {
      onceRead(() => pick(audit));
      return;
    }
    const first = !parts;
    shown = audit;
    parts = auditParts(audit, place);
    if (byId("run-name")) byId("run-name").replaceChildren("One run, closely: ", named(audit.runRow ? `${transportName(audit.runRow.transport)}, ${runName(audit.runRow)}` : clip(audit.name, 60)));
    if (first) return;
    beginInView();
    navigation();
    document.querySelectorAll('input[name="audit"]').forEach((input) => { input.checked = page.audits[Number(input.value)] === audit; });
  };
  if (shown) readAudit(shown);
  const lone = page.labs.length === 1 && page.title === page.labs[0].name ? runTitle(page.labs[0].summary) : "", title = lone ? lone[0].toUpperCase() + lone.slice(1) : page.title;
  byId("title").append(named(title));
  if (lone) document.title = `${title} \u2013 truespan`;
  main.append(el("p", { class: "note" }, named(subtitle())));
  if (page.labs.length) {
    const words = [...sweepWords(), ...throughputWords()];
    main.append(sweepTiles() || "", el("div", { class: "lead columns", id: "story" }, words.map((sentence) => el("p", null, asWritten(sentence)))));
    main.append(laterSection("sweep", "Sweep", 620, () => sweepSection((run) => {
      const audit = page.audits.find((a) => a.lab === run.lab && a.runRow && a.runRow.folder === run.folder);
      if (audit) {
        pick(audit);
        byId("run").scrollIntoView();
      }
    })));
    main.append(laterSection("throughput", "Throughput", 420, () => throughputSection()));
  }
  if (shown) {
    const several = page.audits.length > 1;
    main.append(several ? section("run", "One run", [el("h2", { id: "run-name" }, "One run, closely"), picker(shown, pick)]) : el("div", { id: "run" }), place);
    pick(shown);
  }
  for (const lab of page.labs) main.append(el("section", { class: "spec" }, behind("The spec of the run", () => el("pre", { tabindex: 0 }, el("code", null, lab.summary.spec)))));
  navigation();
  const code = (text) => el("code", null, text);
  later(() => byId("foot").append(`Made by truespan ${page.truespan}. Nothing in this file is loaded from elsewhere. Figures are those of `, code("check --json"), ", ", code("clocks --json"), " and ",
    code("fix --json"), ...(page.labs.length ? [", and of ", code("summary.json"), "."] : ["."])));
  beginInView();
  followHash(() => parts);
  afterFrame(startLater);
  return { redraw: () => parts && parts.waterfall && parts.waterfall.sheet.draw() };
}

/* #trace=ID opens that trace. */
function followHash(current) {
  const follow = () => {
    const match = /^#trace=([0-9a-fA-F]+)$/.exec(location.hash), parts = current();
    if (!match || !parts) return;
    parts.withTraces(({ list }) => {
      list.search.value = match[1].toLowerCase();
      list.fill();
    });
    parts.traces.scrollIntoView();
  };
  window.addEventListener("hashchange", follow);
  setTimeout(follow, 1);
}

/* Colours follow the system until the button says otherwise. */
function themes(redraw) {
  const order = ["auto", "light", "dark"], dark = matchMedia("(prefers-color-scheme: dark)"), button = byId("theme");
  let choice = "auto", printing = false;
  const apply = () => {
    document.documentElement.dataset.theme = printing ? "light" : choice === "auto" ? (dark.matches ? "dark" : "light") : choice;
    button.dataset.choice = choice;
    button.textContent = { auto: "Auto", light: "Light", dark: "Dark" }[choice];
    button.setAttribute("aria-label", `Colours: ${choice === "auto" ? "as the system has them" : choice}`);
    redraw();
  };
  button.addEventListener("click", () => {
    choice = order[(order.indexOf(choice) + 1) % 3];
    apply();
  });
  dark.addEventListener("change", apply);
  window.addEventListener("beforeprint", () => {
    printing = true;
    finishNow();
    apply();
    drawForPaper();
  });
  window.addEventListener("afterprint", () => {
    printing = false;
    drawForScreen();
    apply();
  });
  apply();
}

let redraw = () => {};
themes(() => redraw());
redraw = build().redraw;
document.documentElement.dataset.ready = "1";
window.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hide(); });
