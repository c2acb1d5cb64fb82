/* What all charts share: a figure that is drawn anew at every width, axes, legends. */

/* draw(svg, width) fills a d3 selection and returns the height. label: what the chart shows, for those who do not see
 * it; the figures themselves are in the table behind it, which table() makes. room: about how high it will be. */
function makeFigure({ label, caption, legend, draw, table, tableLabel, room }) {
  const plot = el("div", { class: "plot" });
  const figure = el("figure", null, legend || null, plot, caption ? el("figcaption", null, caption) : null,
    table ? behind(tableLabel || "The same as a table", table) : null);
  if (!haveD3) {
    plot.append(el("p", { class: "note" }, "The chart is left out: truespan was built without d3. The table has every figure."));
    figure.querySelectorAll("details").forEach((d) => { d.open = true; });
    return figure;
  }
  if (room) plot.style.minHeight = `${room}px`;
  whenSeen(plot, () => redrawn(plot, (width) => {
    const svg = d3.create("svg").attr("aria-label", label);
    const height = draw(svg, width);
    svg.attr("role", svg.select("[tabindex]").empty() ? "img" : "group"); /* an image has no parts to be reached */
    svg.attr("viewBox", `0 0 ${width} ${height}`).attr("width", width).attr("height", height);
    plot.replaceChildren(svg.node());
    plot.style.minHeight = "";
  }));
  return figure;
}

/* Begin with what is in view; the rest follows once the page answers. */
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) entry.target.begin();
}, { rootMargin: "100px" });
const unseen = new Set();
function whenSeen(place, act) {
  place.begin = () => {
    place.begin = () => {};
    seen.unobserve(place);
    unseen.delete(place);
    act();
  };
  seen.observe(place);
  unseen.add(place);
  later(() => place.begin());
}

/* Begin what is in view without waiting for a frame to say so: sections from the top, each of which pushes the next one
 * down, then the charts in them. */
function beginInView() {
  const inView = (place) => place.isConnected && place.getBoundingClientRect().top < window.innerHeight;
  for (const place of [...unseen]) if (place.localName === "section" && inView(place)) place.begin();
  for (const place of [...unseen].filter((one) => one.localName !== "section" && inView(one))) place.begin();
}

/* A section that is made when it comes into view, or once the page has time. room: about how high it will be. */
function laterSection(id, title, room, make) {
  const place = el("section", { id, "aria-label": title });
  place.style.minHeight = `${room}px`;
  whenSeen(place, () => {
    needD3();
    place.style.minHeight = "";
    place.append(...make().flat(Infinity).filter((node) => node));
  });
  return place;
}

/* Everything that is drawn for a width; on paper that is the paper's, whatever the window has. */
const drawings = new Set();
const paperWidth = 700;
function drawForPaper() {
  for (const { place, draw } of drawings) if (place.isConnected) draw(paperWidth);
}
function drawForScreen() {
  for (const { place, draw } of drawings) if (place.isConnected) draw(Math.floor(place.clientWidth));
}

/* Call draw(width) at once, and whenever the place has another width. */
function redrawn(place, draw) {
  let last = 0;
  for (const old of drawings) if (!old.place.isConnected) drawings.delete(old);
  drawings.add({ place, draw });
  const look = () => {
    const width = Math.floor(place.clientWidth);
    if (width > 0 && width !== last) {
      last = width;
      draw(width);
    }
  };
  look();
  new ResizeObserver(look).observe(place);
}

function legendOf(items) {
  return el("ul", { class: "legend" }, items.map(([mark, text]) => {
    const svg = d3.create("svg").attr("viewBox", "0 0 28 12").attr("aria-hidden", "true");
    mark(svg);
    return el("li", null, svg.node(), text);
  }));
}
const legendLine = (css, colour) => (svg) => svg.append("path").attr("d", "M1 6H27").attr("class", css).style("stroke", colour || null);
const legendBox = (css, colour) => (svg) => svg.append("rect").attr("x", 1).attr("y", 1).attr("width", 26).attr("height", 10)
  .attr("class", css).style("fill", colour || null).style("opacity", colour ? 0.18 : null);

function axisBottom(g, scale, y, ticks, format) {
  const [left, right] = scale.range();
  return g.append("g").attr("class", "axis axis-x").attr("transform", `translate(0,${y})`)
    .call(d3.axisBottom(scale).ticks(Math.max(2, Math.min(ticks, Math.floor((right - left) / 72)))).tickFormat(format).tickSizeOuter(0).tickPadding(6))
    .call((axis) => {
      /* Where the last one stands at the end its words go to the left of it: the figure has no room to the right. */
      let free = -Infinity;
      axis.selectAll(".tick text").each(function keepInside(value) {
        const words = d3.select(this), wide = measureText(words.text()), at = scale(value), last = at > right - 12;
        if (last) words.attr("text-anchor", "end").attr("x", Math.min(8, right - at + 8));
        const from = last ? at + Math.min(8, right - at + 8) - wide : at - wide / 2;
        if (from < free) words.text("");
        else free = from + wide + 6;
      });
    });
}
function axisLeft(g, scale, x, ticks, format, width) {
  g.append("g").attr("class", "grid").attr("transform", `translate(${x},0)`)
    .call(d3.axisLeft(scale).ticks(ticks).tickSize(-width).tickFormat(""));
  return g.append("g").attr("class", "axis").attr("transform", `translate(${x},0)`)
    .call(d3.axisLeft(scale).ticks(ticks).tickFormat(format).tickSize(0).tickPadding(8));
}
function axisTitle(svg, text, x, y, anchor) {
  return svg.append("text").attr("x", x).attr("y", y).attr("text-anchor", anchor || "middle").text(text);
}

/* The words of charts, measured and drawn on a canvas as the style has them in SVG. */
const chartFont = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif';

const measureText = (() => {
  let context = null;
  return (text, bold) => {
    if (!context) context = document.createElement("canvas").getContext("2d");
    context.font = `${bold ? 600 : 400} ${chartFont}`;
    return context.measureText(text).width;
  };
})();

const symbolKinds = ["symbolCircle", "symbolSquare", "symbolTriangle", "symbolDiamond"];
const symbolPath = (number, size) => d3.symbol().type(d3[symbolKinds[number % 4]]).size(size)();
const tick = (value) => minus(String(+value.toPrecision(6)));
