// The timeline over the whole file, and the reaction around one event, in which pre-echo is seen.
function bounds(curves, field) {
  let low = Infinity, high = -Infinity;
  for (const curve of curves) {
    for (const v of field === "mean" ? curve.mean : curve.low) low = Math.min(low, v);
    for (const v of field === "mean" ? curve.mean : curve.high) high = Math.max(high, v);
  }
  if (!(high > low)) { low -= 0.5; high += 0.5; }
  return [low, high];
}

// The time of a step: between two frames in proportion, outside the file by the mean.
function seconds(step) {
  if (!data.rate || !data.times) return data.rate ? step / data.rate : step;
  const last = data.times.length - 1, mean = last ? data.times[last] / last : 1 / data.rate, i = Math.floor(step);
  if (i < 0) return step * mean;
  return i >= last ? data.times[last] + (step - last) * mean : data.times[i] + (step - i) * (data.times[i + 1] - data.times[i]);
}

function when(step) {
  if (!data.rate) return data.unit_one + " " + step;
  return seconds(step).toFixed(3) + " s";
}

// Curves that share an x axis of input steps: [{curve, stride, tone, label}].
function timeline(rows, options) {
  const width = 1000, height = options.height, bottom = 22, top = 20;
  const svg = el("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img",
    style: `height:${height}px`, "aria-label": options.label });
  const at = (step) => (step / Math.max(1, data.steps)) * width;
  const [low, high] = bounds(rows.map((r) => r.curve), "mean");
  const y = (v) => top + (1 - (v - low) / (high - low)) * (height - bottom - top);
  for (const event of data.events) {
    svg.append(el("line", { x1: at(event.step), x2: at(event.step), y1: 4, y2: height - bottom, stroke: "var(--ink)",
      "stroke-dasharray": "4 4", "stroke-width": 1, opacity: 0.55, "vector-effect": "non-scaling-stroke", class: "event" }));
  }
  for (const row of rows) {
    const n = row.curve.steps_per_point * row.stride;
    const points = row.curve.mean.map((v, i) => `${at((i + 0.5) * n).toFixed(2)},${y(v).toFixed(2)}`);
    svg.append(el("polyline", { points: points.join(" "), fill: "none", stroke: row.tone, "stroke-width": row.thick || 2,
      "vector-effect": "non-scaling-stroke", "stroke-linejoin": "round" }));
  }
  svg.append(el("line", { x1: 0, x2: width, y1: height - bottom, y2: height - bottom, stroke: "var(--hair)", "vector-effect": "non-scaling-stroke" }));
  const head = el("line", { x1: 0, x2: 0, y1: 0, y2: height - bottom, stroke: "var(--ink)", "stroke-width": 2, "vector-effect": "non-scaling-stroke" });
  svg.append(head);
  listen(() => { const x = at(state.position + 0.5); head.setAttribute("x1", x); head.setAttribute("x2", x); });
  if (options.seek) {
    svg.style.cursor = "pointer";
    svg.addEventListener("pointerdown", (event) => {
      const box = svg.getBoundingClientRect();
      options.seek(Math.floor(((event.clientX - box.left) / box.width) * data.steps));
    });
  }
  const labels = el("div", { style: "position:relative;height:18px;margin-top:-20px;font-size:12px", className: "soft" });
  for (const event of data.events) {
    labels.append(el("span", { style: `position:absolute;transform:translateX(-50%);left:${(100 * event.step) / Math.max(1, data.steps)}%`,
      textContent: data.events.length > 4 ? "▲" : "▲ " + when(event.step) }));
  }
  return el("div", {}, svg, labels);
}

// How strongly both stacks react around the chosen event; before it, an honest one does not.
function reactionChart(width) {
  const height = 250, left = 8, right = 8, top = 34, bottom = 36;
  const event = data.events[state.event];
  const rows = data.sides.map((side) => ({ side, found: ofChannel(event.reactions[side.name]) }));
  const svg = el("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", id: "reaction",
    "aria-label": "Reaction around the event" });
  const all = rows.flatMap((r) => r.found.offsets);
  const reach = Math.max(4, ...all.map((o) => (o < 0 ? -o : o + 1)));
  const most = Math.max(1e-12, ...rows.flatMap((r) => r.found.reaction));
  const x = (o) => left + ((o + reach) / (2 * reach)) * (width - left - right);
  const y = (v) => top + (1 - v / most) * (height - top - bottom);
  svg.append(el("rect", { x: left, y: top - 10, width: x(0) - left, height: height - top - bottom + 10, fill: "var(--before)", rx: 4 }));
  svg.append(label(x(0) - 8, top - 16, "before the event", "end"), label(x(0) + 8, top - 16, "from the event on", "start"));
  const bars = reach <= 60;
  rows.forEach((row, i) => {
    const tone = TONES[row.side.role];
    if (bars) {
      const step = (width - left - right) / (2 * reach), wide = Math.max(1, step * 0.38);
      row.found.offsets.forEach((o, k) => {
        const h = y(0) - y(row.found.reaction[k]);
        if (h > 0.2) svg.append(el("rect", { x: x(o) + step * (i ? 0.52 : 0.1), y: y(0) - h, width: wide, height: h, fill: tone, rx: 1,
          class: o < 0 ? "early" : "late", "data-side": row.side.name }));
      });
    } else {
      const points = row.found.offsets.map((o, k) => `${x(o).toFixed(1)},${y(row.found.reaction[k]).toFixed(1)}`);
      svg.append(el("polyline", { points: points.join(" "), fill: "none", stroke: tone, "stroke-width": 1.8, "stroke-linejoin": "round" }));
    }
  });
  svg.append(el("line", { x1: left, x2: width - right, y1: y(0), y2: y(0), stroke: "var(--soft)" }));
  svg.append(el("line", { x1: x(0), x2: x(0), y1: top - 12, y2: y(0) + 5, stroke: "var(--ink)", "stroke-width": 1.5 }));
  const unit = (o) => (data.rate ? `${o < 0 ? "−" : o > 0 ? "+" : ""}${Number(Math.abs(1000 * (seconds(event.step + o) - seconds(event.step))).toPrecision(3))} ms` : `${o > 0 ? "+" : ""}${o}`);
  const ends = [[-reach, "start"], [0, "middle"], [reach, "end"]];
  for (const [o, anchor] of ends) {
    svg.append(label(x(o), height - 16, o === 0 ? when(event.step) : `${o > 0 ? "+" : "−"}${Math.abs(o)} ${data.unit}`, anchor));
    if (o !== 0 && data.rate) svg.append(label(x(o), height - 2, unit(o), anchor));
  }
  return svg;
}

function label(x, y, text, anchor) {
  return el("text", { x, y, "text-anchor": anchor }, text);
}

// The outline of a sound: least and greatest value of each stretch, less `centre`, times `gain`; cut at the range.
function waveform(curve, tone, range, gain = 1, centre = 0) {
  const n = curve.low.length, width = 1000, height = 84;
  const y = (v) => Math.max(-1, Math.min(height + 1, ((range[1] - v) / (range[1] - range[0])) * height));
  const at = (v) => y((v - centre) * gain);
  const upper = curve.high.map((v, i) => `${((i / n) * width).toFixed(1)},${(at(v) - 0.4).toFixed(2)}`);
  const lower = curve.low.map((v, i) => `${((i / n) * width).toFixed(1)},${(at(v) + 0.4).toFixed(2)}`).reverse();
  const svg = el("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", style: `height:${height}px` });
  svg.append(el("line", { x1: 0, x2: width, y1: y(0), y2: y(0), stroke: "var(--hair)", "vector-effect": "non-scaling-stroke" }));
  svg.append(el("polygon", { points: [...upper, ...lower].join(" "), fill: tone }));
  for (const event of data.events) {
    const x = (event.step / Math.max(1, data.steps)) * width;
    svg.append(el("line", { x1: x, x2: x, y1: 0, y2: height, stroke: "var(--ink)", "stroke-dasharray": "4 4", opacity: 0.5, "vector-effect": "non-scaling-stroke" }));
  }
  return svg;
}
