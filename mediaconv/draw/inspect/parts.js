// Histogram, kernels, sums over input channels, both paths of a block, before and after.
function histogram(node) {
  const box = el("div");
  const draw = () => {
    const channel = chosen.get(node.id), stats = node.stats, [low, high] = stats.edges;
    const W = 320, H = 118, floor = 96, n = stats.total.length;
    const scaled = value => S.counts === "log" ? Math.log1p(value) : value;
    const share = node.channels;
    const most = Math.max(...stats.total.map(v => scaled(v / share)), ...stats.counts[channel].map(scaled), 1e-9);
    const bars = (counts, divide, fill, inset) => counts.map((v, i) => {
      const h = scaled(v / divide) / most * (floor - 8), w = W / n;
      return el("rect", {x: i * w + inset, width: Math.max(.5, w - 2 * inset), y: floor - h, height: h, fill});
    });
    const x = value => high > low ? (value - low) / (high - low) * W : W / 2;
    const svg = el("svg", {class: "chart", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `histogram of ${node.title}`},
      bars(stats.total, share, "var(--hist)", 0), bars(stats.counts[channel], 1, "var(--leak)", n > 1 ? 1.8 : 40),
      el("line", {x1: 0, x2: W, y1: floor, y2: floor, stroke: "var(--soft)"}));
    for (const end of stats.ends.filter(end => end >= low && end <= high && high > low)) {
      svg.append(el("line", {x1: x(end), x2: x(end), y1: 4, y2: floor, stroke: "var(--here)", "stroke-dasharray": "4 3", "stroke-width": 1.5}));
    }
    const label = (at, text, anchor) => el("text", {x: at, y: H - 6, "text-anchor": anchor}, text);
    svg.append(label(0, number(low), "start"));
    if (high > low) svg.append(label(W, number(high), "end"));
    if (low < 0 && high > 0 && x(0) > 60 && x(0) < W - 60) svg.append(label(x(0), "0", "middle"));
    const seen = stats.ends.filter(end => end >= low && end <= high && high > low);
    const ends = seen.length ? ` Dashed: end${seen.length > 1 ? "s" : ""} of the activation's range.` : "";
    const rows = [["lowest", stats.low], ["highest", stats.high], ["mean", stats.mean], ["deviation", stats.deviation]];
    box.replaceChildren(el("h3", {}, "Values"), svg,
      el("p", {class: "soft small"}, `Orange: channel ${channel}. Gray: the mean of all channels. Counts ${S.counts === "log" ? "logarithmic" : "linear"}.${ends}`),
      el("dl", {}, rows.map(([name, values]) => [el("dt", {}, name), el("dd", {}, number(values[channel]))]),
        el("dt", {}, "zeros"), el("dd", {}, `${number(100 * stats.zeros[channel])}%`), el("dt", {}, "values"), el("dd", {}, count(stats.counts[channel].reduce((a, b) => a + b, 0)))));
  };
  return {box, draw};
}
function weights(kernels) {
  if (!kernels.values) {
    const bytes = Uint8Array.from(atob(kernels.data), c => c.charCodeAt(0));
    kernels.values = new Float32Array(bytes.buffer);
    kernels.most = kernels.values.reduce((m, v) => Math.max(m, Math.abs(v)), 0) || 1;
    const shape = kernels.shape.slice(2);
    kernels.taps = shape.reduce((a, b) => a * b, 1);
    kernels.kernel = [...Array(3 - shape.length).fill(1), ...shape];
  }
  return kernels;
}
// Size of one kernel's drawing, and where a tap lies in it.
function kernelPlan(kernels, least = 46) {
  const [depth, rows, columns] = weights(kernels).kernel;
  if (curves) {
    const w = Math.max(least, Math.min(180, columns * 6));
    return {w, h: 44, place: t => [t * w / columns, 0, w / columns, 44]};
  }
  const size = Math.max(2, Math.min(13, Math.floor(96 / Math.max(rows, depth > 1 ? columns : Math.max(rows, columns)))));
  const gap = depth > 1 ? 4 : 0;
  return {w: depth * columns * size + (depth - 1) * gap, h: rows * size, place: t => {
    const d = Math.floor(t / (rows * columns)), r = Math.floor(t / columns) % rows, c = t % columns;
    return [d * (columns * size + gap) + c * size, r * size, size, size];
  }};
}
function drawKernel(context, kernels, out, index, x0, y0, plan) {
  const inside = kernels.shape[1];
  if (curves) {
    context.fillStyle = theme.sunk; context.fillRect(x0, y0, plan.w, plan.h);
    context.fillStyle = theme.hair; context.fillRect(x0, y0 + plan.h / 2, plan.w, 1);
  }
  for (let t = 0; t < kernels.taps; t++) {
    const value = kernels.values[(out * inside + index) * kernels.taps + t], [x, y, w, h] = plan.place(t), masked = !kernels.mask[t];
    const pad = w > 5 ? .5 : 0;
    if (masked) {
      context.fillStyle = theme.masked; context.fillRect(x0 + x + pad, y0 + y + pad, w - 2 * pad, h - 2 * pad);
      context.strokeStyle = theme["masked-edge"]; context.lineWidth = 1;
      context.beginPath(); context.moveTo(x0 + x + 1, y0 + y + h - 1); context.lineTo(x0 + x + w - 1, y0 + y + 1); context.stroke();
    } else if (curves) {
      const size = value / kernels.most * (h / 2 - 2);
      context.fillStyle = value < 0 ? theme.minus : theme.plus;
      context.fillRect(x0 + x + pad, y0 + h / 2 - Math.max(0, size), Math.max(.8, w - 2 * pad), Math.abs(size) || .6);
    } else {
      context.fillStyle = css(signed(value / kernels.most)); context.fillRect(x0 + x + pad, y0 + y + pad, w - 2 * pad, h - 2 * pad);
    }
  }
  if (!curves) { context.strokeStyle = theme.soft; context.lineWidth = .6; context.strokeRect(x0 - .5, y0 - .5, plan.w + 1, plan.h + 1); }
}
function canvasOf(canvas, width, height) {
  const dense = Math.min(3, devicePixelRatio || 1);
  canvas.width = Math.ceil(width * dense); canvas.height = Math.ceil(height * dense);
  canvas.style.width = width + "px"; canvas.style.height = height + "px";
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.setTransform(dense, 0, 0, dense, 0, 0);
  return context;
}
// Rows are output channels, columns input channels; a click chooses the output channel.
function kernelGrid(node, choose) {
  const kernels = weights(node.kernels), [outs, ins] = kernels.shape, plan = kernelPlan(kernels);
  const left = 52, top = 20, dx = Math.max(plan.w, 30) + 12, dy = plan.h + 12;
  const canvas = el("canvas", {role: "img", "aria-label": "kernels"}), caption = el("figcaption");
  const grouped = kernels.inputs.some(row => row[0] !== kernels.inputs[0][0]);
  const say = (o, c, t) => {
    const index = kernels.kernel.slice(3 - (kernels.shape.length - 2)), places = [];
    for (let i = index.length - 1, rest = t; i >= 0; i--) { places.unshift(rest % index[i]); rest = Math.floor(rest / index[i]); }
    const value = kernels.mask[t] ? number(kernels.values[(o * ins + c) * kernels.taps + t], 5) : "masked";
    caption.replaceChildren(el("b", {}, value), ` · output ${o}, input ${kernels.inputs[o][c]}, tap ${places.join(", ")}`);
  };
  const find = event => {
    const box = canvas.getBoundingClientRect(), x = event.clientX - box.left - left, y = event.clientY - box.top - top;
    const c = Math.floor(x / dx), o = Math.floor(y / dy);
    if (c < 0 || o < 0 || c >= ins || o >= outs) return null;
    for (let t = 0; t < kernels.taps; t++) {
      const [tx, ty, w, h] = plan.place(t), px = x - c * dx, py = y - o * dy;
      if (px >= tx && px < tx + w && py >= ty && py < ty + h) return [o, c, t];
    }
    return [o, c, null];
  };
  canvas.addEventListener("pointermove", e => { const at = find(e); if (at && at[2] !== null) say(...at); });
  canvas.addEventListener("click", e => { const at = find(e); if (at) { if (at[2] !== null) say(...at); choose(at[0]); } });
  const cut = outs < kernels.outputs || ins < kernels.groupInputs ? ` Shown: ${outs} of ${kernels.outputs} output channels, ${ins} of ${kernels.groupInputs} input channels.` : "";
  const masked = kernels.mask.includes(0) ? " Gray, struck through: masked." : "";
  const deep = kernels.kernel[0] > 1 ? " Frames of a kernel from left to right, the last one latest." : "";
  const groups = grouped ? ` Groups: each output channel sees ${kernels.groupInputs} input channel${kernels.groupInputs > 1 ? "s" : ""}.` : "";
  const box = el("div", {}, el("h3", {}, "Kernels"),
    el("p", {class: "soft small"}, `A row an output channel, a column an input channel. Blue is below zero, orange above; strongest ±${number(kernels.most)}.${deep}${masked}${groups}${cut}`),
    el("div", {class: "scroll"}, canvas), caption);
  return {box, draw() {
    const context = canvasOf(canvas, left + ins * dx + 4, top + outs * dy);
    context.font = "12px system-ui, 'DejaVu Sans', sans-serif"; context.textBaseline = "middle";
    for (let o = 0; o < outs; o++) {
      const now = chosen.get(node.id) === o;
      if (now) { context.fillStyle = theme.sunk; context.fillRect(0, top + o * dy - 6, left + ins * dx, dy); }
      context.fillStyle = now ? theme.ink : theme.soft; context.textAlign = "left";
      context.fillText(`out ${o}`, 4, top + o * dy + plan.h / 2);
      for (let c = 0; c < ins; c++) {
        drawKernel(context, kernels, o, c, left + c * dx, top + o * dy, plan);
        if (grouped || o > 0) continue;
        context.fillStyle = theme.soft; context.textAlign = "center";
        context.fillText(`in ${kernels.inputs[0][c]}`, left + c * dx + plan.w / 2, 8);
      }
    }
  }};
}
// One output channel as the sum of its input channels' shares.
function sums(node) {
  const box = el("div"), taken = node.sums;
  let canvases = [], entry = null;
  const term = (title, kernelOf) => {
    const canvas = el("canvas", {class: curves ? "curve" : "map"}), kernel = kernelOf === null ? null : el("canvas", {class: "kernel"});
    canvases.push(canvas);
    if (kernel) kernel.index = kernelOf;
    return el("figure", {}, el("figcaption", {}, title), curves ? null : kernel, canvas);
  };
  const build = () => {
    const channel = chosen.get(node.id);
    entry = taken.outputs.find(o => o.channel === channel);
    canvases = [];
    const head = el("h3", {}, `Channel ${channel} is the sum over its input channels`);
    if (!entry) {
      const known = taken.outputs.map(o => o.channel);
      box.replaceChildren(head, el("p", {class: "soft small"}, `Taken apart for channels ${known.join(", ")}: choose one of them above.`));
      return;
    }
    const signed = (text, part) => curves ? part : el("div", {class: "term"}, text ? el("span", {class: "sign"}, text) : null, part);
    const k = node.kernels, where = k.inputs[channel];
    const across = entry.inputs.length + (entry.others ? 1 : 0) + (entry.bias !== null ? 1 : 0) + 2;
    const line = el("div", {class: curves ? "equation rows" : "equation", style: curves ? null : `--term:clamp(84px, calc((min(100vw, 1400px) - 380px) / ${across} - 28px), 220px)`});
    entry.inputs.forEach((input, i) => {
      const index = where ? where.indexOf(input) : -1;
      line.append(signed(i ? "+" : "", term(`input ${input}`, index >= 0 ? index : null)));
    });
    if (entry.others) line.append(signed("+", term(`${entry.others} others`, null)));
    if (entry.bias !== null) line.append(signed("+", el("div", {class: "number"}, el("small", {}, "bias"), number(entry.bias, 4))));
    line.append(signed("=", term("sum", null)), signed("≈", term("the layer gives", null)));
    const words = taken.agrees ? "as float32 rounds" : "more than float32 rounding explains";
    const proof = el("div", {class: taken.agrees ? "proof" : "proof bad"}, el("b", {}, `Largest difference ${number(taken.difference)}`),
      ` over every position, file and channel taken apart: ${words} (at most ${number(taken.bound)}).`);
    const example = el("div", {class: "soft small example"});
    box.replaceChildren(head, el("p", {class: "soft small"}, "What each input channel alone contributes through its kernel; all in one scale."), line, example, proof);
  };
  let built = null;
  return {box, draw() {
    if (built !== chosen.get(node.id)) { build(); built = chosen.get(node.id); }
    if (!entry) return;
    const sheet = taken.sheets[S.file], own = sheetOf(node);
    const rows = canvases.map((_, i) => entry.first + i);
    const ranges = rows.map(r => taken.ranges[r]);
    const limit = {low: Math.min(...ranges.map(r => r[0])), high: Math.max(...ranges.map(r => r[1]))};
    limit.most = Math.max(Math.abs(limit.low), Math.abs(limit.high)) || 1;
    canvases.forEach((canvas, i) => {
      if (curves) drawCurve(canvas, {...sheet, samples: own.samples}, 2 * rows[i], ranges[i], limit, 46, i >= canvases.length - 2 ? "plus" : "now");
      else paint(canvas, sheet, rows[i], columnOf(own), table(ranges[i], limit, false));
    });
    const kernels = weights(node.kernels), plan = kernelPlan(kernels);
    for (const small of box.querySelectorAll("canvas.kernel")) {
      const scale = Math.min(1, (small.parentNode.clientWidth - 4) / plan.w), context = canvasOf(small, plan.w * scale + 2, plan.h * scale + 2);
      context.scale(scale, scale);
      drawKernel(context, kernels, entry.channel, small.index, 1, 1, plan);
    }
    const at = curves ? 0 : columnOf(own), points = entry.points[S.file].map(row => row[at]);
    const shares = points.slice(0, -2).map(v => number(v, 4)), [total, output] = points.slice(-2);
    if (entry.bias !== null) shares.push(`bias ${number(entry.bias, 4)}`);
    const place = curves ? "in the middle" : `in the middle, row ${Math.floor(own.lengths.at(-2) / 2)}, column ${Math.floor(own.lengths.at(-1) / 2)}`;
    box.querySelector(".example").textContent = `For one position, ${place}: ${shares.join(" + ").replaceAll("+ −", "− ")} = ${number(total, 6)}; the layer gives ${number(output, 6)}.`;
  }};
}
