/* Where the words of the causal graph stand: no name lies on another name, a clock or the words of an edge, and those
 * keep clear of lines that are not theirs as far as there is room. Boxes are [left, top, right, bottom] in pixels. */

const lineHigh = 14, ascent = 12, descent = 4;

const overlap = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];

/* The start and the end of a long name: those of one deployment differ at the end. */
function clipMiddle(text, most) {
  const letters = [...text];
  if (letters.length <= most) return shown(text);
  const head = Math.ceil((most - 1) * 0.6);
  return shown(letters.slice(0, head).join("") + "…" + letters.slice(letters.length - (most - 1 - head)).join(""));
}

/* Lines of text as they would stand at x, y (the first one's baseline): { lines, anchor, x, y, box }. */
function block(lines, x, y, anchor) {
  const wide = Math.max(...lines.map(({ text, bold }) => measureText(text, bold))) + 4;
  const left = anchor === "start" ? x - 2 : anchor === "end" ? x - wide + 2 : x - wide / 2;
  return { lines, anchor, x, y, box: [left, y - ascent, left + wide, y + (lines.length - 1) * lineHigh + descent] };
}

class Labels {
  /* width, height: of the drawing; circles: boxes of the clocks. */
  constructor(width, height, circles) {
    this.frame = [0, 0, width, height];
    this.taken = circles.slice();
  }

  fits({ box }) {
    const [left, top, right, bottom] = this.frame;
    return box[0] >= left && box[1] >= top && box[2] <= right && box[3] <= bottom && !this.taken.some((other) => overlap(box, other));
  }

  /* Of places with what each costs the cheapest that fits; what lies under the words costs, too: points of lines, of
   * which there may be so many at the most. */
  best(candidates, lines, pointsMost) {
    let best = null;
    candidates.forEach(([label, cost]) => {
      if (!this.fits(label)) return;
      const [left, top, right, bottom] = label.box;
      const under = lines.filter(([x, y]) => x > left - 3 && x < right + 3 && y > top && y < bottom).length;
      cost += 3 * under;
      if (under <= pointsMost && (!best || cost < best.cost)) best = { cost, label };
    });
    if (best) this.taken.push(best.label.box);
    return best && best.label;
  }

  /* The name of a clock with what is known of it below: away from the middle first, whole before cut, with its facts
   * before without. null: there is no room at all. */
  name(node, facts, most, lines) {
    const [, , , height] = this.frame, r = node.r + 7, above = node.y < height / 2;
    for (const lettersN of [most, 18, 13, 9].filter((n) => n <= most)) {
      const name = { text: isolate(clipMiddle(node.name, lettersN)), bold: true };
      for (const words of facts ? [[name, facts], [name]] : [[name]]) {
        const tall = (words.length - 1) * lineHigh, over = [node.x, node.y - r - tall, "middle"], under = [node.x, node.y + r + 10, "middle"];
        const places = [...(above ? [over, under] : [under, over]), [node.x + r + 3, node.y + 4 - tall / 2, "start"], [node.x - r - 3, node.y + 4 - tall / 2, "end"]];
        const label = this.best(places.map(([x, y, anchor], k) => [block(words, x, y, anchor), 3 * k]), lines, Infinity);
        if (label) return label;
      }
    }
    return null;
  }

  /* The words of an edge beside its curve, near its middle. */
  edge(path, words, lines, pointsMost) {
    const candidates = [];
    for (const at of [0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74])
      for (const away of [8, -8, 18, -18]) {
        const [x, y] = path.point(at), u = path.side[0], v = path.side[1], right = u * away, down = v * away;
        const anchor = Math.abs(u) < 0.35 ? "middle" : right > 0 ? "start" : "end", tall = (words.length - 1) * lineHigh;
        const label = block(words, x + right, y + down + (anchor === "middle" ? (down < 0 ? -tall - descent : ascent) : (ascent - descent - tall) / 2), anchor);
        candidates.push([label, Math.abs(at - 0.5) * 12 + (away < 0 ? 1 : 0) + (Math.abs(away) > 8 ? 5 : 0)]);
      }
    return this.best(candidates, lines, pointsMost);
  }
}

/* Put a label's lines into g, whose origin is at (x0, y0). */
function drawLabel(g, label, x0, y0, css) {
  const text = g.append("text").attr("class", css).attr("text-anchor", label.anchor);
  label.lines.forEach((line, k) => text.append("tspan").attr("class", line.css || null).attr("x", label.x - x0).attr("y", label.y - y0 + k * lineHigh).text(line.text));
}
