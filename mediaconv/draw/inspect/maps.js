// Maps of a node: pictures or curves, at the chosen time and file.
const sheetOf = (node, file = S.file) => node.sheets[Math.min(file, node.sheets.length - 1)];
const columnOf = sheet => sheet.at[Math.min(S.tick, sheet.at.length - 1)] || 0;

function drawPicture(canvas, node, channel) {
  const sheet = sheetOf(node);
  paint(canvas, sheet, channel, columnOf(sheet), table(node.ranges[channel], pictureLimits(node, channel), asGray(node)));
}
function pictureLimits(node, channel) {
  const sheet = sheetOf(node);
  const moment = S.scale === "moment" ? tileRange(sheet, channel, columnOf(sheet), node.ranges[channel]) : null;
  return limits(node.ranges, channel, moment);
}
// The stretch of time that curves show, as shares of the part: all of it, or a window around the slider.
function span() {
  const width = 1 / S.zoom, at = S.tick / CURVE_STEPS;
  const from = Math.min(1 - width, Math.max(0, at - width / 2));
  return [from, from + width, at];
}
// A canvas for lines, as sharp as the screen.
function sharp(canvas, height) {
  const width = canvas.clientWidth || 300, dense = Math.min(3, devicePixelRatio || 1);
  canvas.style.height = height + "px";
  canvas.width = Math.round(width * dense); canvas.height = Math.round(height * dense);
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.setTransform(dense, 0, 0, dense, 0, 0);
  return [context, width];
}
// rows: index of the lowest-value row in the sheet. Draws the envelope, zero and the slider's place.
function drawCurve(canvas, sheet, row, range, limit, height = 52, colour = "now") {
  const [context, width] = sharp(canvas, height);
  context.fillStyle = theme.sunk; context.fillRect(0, 0, width, height);
  const [from, to, at] = span(), n = sheet.w;
  const low = Math.min(0, limit.low), high = Math.max(0, limit.high), room = high - low || 1;
  const y = value => height - 4 - (value - low) / room * (height - 8);
  context.strokeStyle = theme.hair; context.beginPath(); context.moveTo(0, y(0)); context.lineTo(width, y(0)); context.stroke();
  const first = Math.max(0, Math.floor(from * n) - 1), last = Math.min(n - 1, Math.ceil(to * n) + 1);
  const x = i => ((i + 0.5) / n - from) / (to - from) * width;
  const value = (line, i) => valueOf(sheet.gray[(row + line) * sheet.stride + i], range) ?? 0;
  context.beginPath();
  for (let i = first; i <= last; i++) context[i === first ? "moveTo" : "lineTo"](x(i), y(value(1, i)));
  for (let i = last; i >= first; i--) context.lineTo(x(i), y(value(0, i)));
  context.closePath();
  context.fillStyle = context.strokeStyle = theme[colour]; context.lineWidth = 1.1; context.fill(); context.stroke();
  if (sheet.w === sheet.samples && (last - first) * 7 < width) {
    for (let i = first; i <= last; i++) { context.beginPath(); context.arc(x(i), y(value(0, i)), 2.4, 0, 7); context.fill(); }
  }
  const here = (at - from) / (to - from) * width;
  context.strokeStyle = theme.here; context.lineWidth = 1.5;
  context.beginPath(); context.moveTo(here, 0); context.lineTo(here, height); context.stroke();
}
function drawNodeCurve(canvas, node, channel, height) {
  drawCurve(canvas, sheetOf(node), 2 * channel, node.ranges[channel], limits(node.ranges, channel), height);
}
function curveValue(node, channel) {
  const sheet = sheetOf(node), i = Math.min(sheet.w - 1, Math.floor(S.tick / CURVE_STEPS * sheet.w));
  const [a, b] = [0, 1].map(line => valueOf(sheet.gray[(2 * channel + line) * sheet.stride + i], node.ranges[channel]));
  return sheet.w === sheet.samples ? `≈ ${number(a)}` : `≈ ${number(a)} … ${number(b)}`;
}
// The grid of all channels; `choose` is called with a channel.
function tiles(node, choose) {
  const wide = node.ranges.length <= 4 ? 170 : node.ranges.length <= 9 ? 140 : 108;
  const box = el("div", {class: curves ? "tiles curves" : "tiles", style: `--wide:${wide}px`});
  const flagged = new Map(node.flags.toReversed().map(([channel, kind]) => [channel, kind]));
  const parts = node.ranges.map((range, channel) => {
    const canvas = el("canvas", {class: curves ? "curve" : "map"});
    const note = el("span", {}, el("b", {}, `channel ${channel}`), flagged.has(channel) ? el("em", {}, flagged.get(channel)) : null);
    const button = el("button", {type: "button", class: "tile", "data-channel": channel, onclick: () => choose(channel),
      "aria-label": `${node.title} channel ${channel}`}, note, canvas);
    box.append(button);
    return {button, canvas, channel};
  });
  const colour = node.colour ? el("canvas", {class: "map colour", role: "img", "aria-label": `${node.title} in colours`}) : null;
  const whole = colour ? el("button", {type: "button", class: "tile", "data-channel": "colours", onclick: () => choose(null)},
    el("span", {}, el("b", {}, "in colours")), colour) : null;
  if (whole) box.prepend(whole);
  return {box, draw() {
    if (whole) {
      paintColour(colour, sheetOf(node), columnOf(sheetOf(node)), node.ranges);
      whole.setAttribute("aria-pressed", inColours.has(node.id));
    }
    for (const {button, canvas, channel} of parts) {
      button.setAttribute("aria-pressed", chosen.get(node.id) === channel && !inColours.has(node.id));
      if (curves) drawNodeCurve(canvas, node, channel); else drawPicture(canvas, node, channel);
    }
  }};
}
// The chosen channel, large, with the value under the pointer; or the picture in its colours.
function large(node) {
  const canvas = el("canvas", {class: curves ? "curve big" : "map big"});
  const caption = el("figcaption");
  let pointer = null;
  const read = () => {
    const channel = chosen.get(node.id), sheet = sheetOf(node);
    const head = inColours.has(node.id) ? [el("b", {}, "in colours")] : [el("b", {}, `channel ${channel}`), ` of ${node.channels}`];
    if (curves) { caption.replaceChildren(...head, ` · at the line ${curveValue(node, channel)}`); return; }
    if (!pointer) { caption.replaceChildren(...head); return; }
    const column = columnOf(sheet), [x, y] = pointer;
    const shown = inColours.has(node.id) ? [0, 1, 2] : [channel];
    const values = shown.map(c => number(valueOf(sheet.gray[(c * sheet.h + y) * sheet.stride + column * sheet.w + x], node.ranges[c])));
    const [h, w] = sheet.lengths.slice(-2);
    const place = `row ${Math.floor((y + .5) / sheet.h * h)}, column ${Math.floor((x + .5) / sheet.w * w)}`;
    caption.replaceChildren(...head, ` · ${place}: ≈ ${values.join(", ")}`);
  };
  const move = event => {
    const box = canvas.getBoundingClientRect(), sheet = sheetOf(node);
    if (!sheet.gray) return;
    const at = (n, share) => Math.max(0, Math.min(n - 1, Math.floor(share * n)));
    pointer = [at(sheet.w, (event.clientX - box.left) / box.width), at(sheet.h, (event.clientY - box.top) / box.height)];
    read();
  };
  if (!curves) {
    canvas.addEventListener("pointermove", move); canvas.addEventListener("pointerdown", move);
    canvas.addEventListener("pointerleave", () => { pointer = null; read(); });
  }
  const ramp = el("span", {class: "ramp"}), ends = [el("span"), el("span")];
  const legend = curves ? null : el("div", {class: "legend"}, ends[0], ramp, ends[1]);
  return {box: el("figure", {}, canvas, legend, caption), draw() {
    const channel = chosen.get(node.id), limit = curves ? null : pictureLimits(node, channel);
    const whole = inColours.has(node.id);
    if (curves) drawNodeCurve(canvas, node, channel, 120);
    else if (whole) paintColour(canvas, sheetOf(node), columnOf(sheetOf(node)), node.ranges);
    else drawPicture(canvas, node, channel);
    if (legend) legend.hidden = whole;
    if (!curves) {
      const [low, high] = asGray(node) ? [limit.low, limit.high] : [-limit.most, limit.most];
      const stops = [...Array(13).keys()].map(i => asGray(node) ? css(Array(3).fill(Math.round(255 * i / 12))) : css(signed(i / 6 - 1)));
      ramp.style.background = `linear-gradient(90deg, ${stops.join(",")})`;
      ends[0].textContent = number(low); ends[1].textContent = number(high);
    }
    read();
  }};
}
