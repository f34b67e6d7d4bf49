// What all parts of the page share: what is chosen, colours, sheets of gray tiles.
const S = {tick: 0, file: 0, zoom: 1, colours: "signed", scale: "channel", counts: "log"};
const chosen = new Map(data.nodes.map(node => [node.id, 0]));
// Nodes that are shown large in their colours, not one channel of them.
const inColours = new Set(data.nodes.filter(node => node.colour).map(node => node.id));
const curves = data.axes === 1;
const CURVE_STEPS = 400;

function number(value, digits = 3) {
  if (value === null || value === undefined) return "no number";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e5 || size < 1e-4 ? value.toExponential(digits - 1) : Number(value.toPrecision(digits)).toString();
  return text.replace("-", "−").replace("e−", "e−").replace("e+", "e");
}
const count = value => value.toLocaleString("en-US");

let theme = {};
function readTheme() {
  const style = getComputedStyle(document.documentElement);
  theme = {};
  for (const name of ["zero", "plus", "plus-end", "minus", "minus-end", "nan", "ink", "soft", "hair", "now", "card", "sunk", "masked", "masked-edge", "here", "hist"]) {
    theme[name] = style.getPropertyValue("--" + name).trim();
  }
  theme.rgb = name => [1, 3, 5].map(i => parseInt(theme[name].slice(i, i + 2), 16));
}
// Colour of t in [-1, 1]: zero is the paper, blue below, orange above, in two stretches.
function signed(t) {
  const side = t < 0 ? "minus" : "plus", size = Math.min(1, Math.abs(t));
  const [from, to, part] = size < 0.6 ? ["zero", side, size / 0.6] : [side, side + "-end", (size - 0.6) / 0.4];
  const a = theme.rgb(from), b = theme.rgb(to);
  return a.map((x, i) => Math.round(x + (b[i] - x) * part));
}
const css = rgb => `rgb(${rgb.join(",")})`;

// A sheet's gray values, decoded once.
function gray(sheet) {
  if (!sheet.promise) {
    sheet.promise = (async () => {
      const image = new Image();
      image.src = "data:image/png;base64," + sheet.png;
      await image.decode();
      const canvas = el("canvas", {width: image.naturalWidth, height: image.naturalHeight});
      const context = canvas.getContext("2d", {willReadFrequently: true});
      context.drawImage(image, 0, 0);
      const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
      sheet.gray = new Uint8Array(canvas.width * canvas.height);
      for (let i = 0; i < sheet.gray.length; i++) sheet.gray[i] = pixels[4 * i];
      sheet.stride = canvas.width;
      sheet.png = null;
    })();
  }
  return sheet.promise;
}
const valueOf = (level, [low, high]) => level === 0 ? null : low + (level - 1) * (high - low) / 254;

// Lowest and highest value of one tile.
function tileRange(sheet, row, column, range) {
  let low = 256, high = 0;
  for (let y = 0; y < sheet.h; y++) {
    const from = (row * sheet.h + y) * sheet.stride + column * sheet.w;
    for (let x = from; x < from + sheet.w; x++) {
      const level = sheet.gray[x];
      if (level && level < low) low = level;
      if (level > high) high = level;
    }
  }
  return high ? [valueOf(low, range), valueOf(high, range)] : range;
}
// What a colour's ends stand for: a channel at all times, all channels of the layer, or this one picture.
function limits(ranges, channel, moment = null) {
  const own = S.scale === "layer" ? ranges : [S.scale === "moment" && moment ? moment : ranges[channel]];
  const low = Math.min(...own.map(r => r[0])), high = Math.max(...own.map(r => r[1]));
  return {low, high, most: Math.max(Math.abs(low), Math.abs(high)) || 1};
}
// 256 colours for the grays of a tile whose range is `range`.
function table(range, limit, asGray) {
  const colours = new Uint8ClampedArray(1024);
  for (let level = 0; level < 256; level++) {
    const value = valueOf(level, range);
    let rgb;
    if (value === null) rgb = theme.rgb("nan");
    else if (asGray) rgb = Array(3).fill(255 * (limit.high > limit.low ? (value - limit.low) / (limit.high - limit.low) : 0.5));
    else rgb = signed(value / limit.most);
    colours.set([...rgb, 255], 4 * level);
  }
  return colours;
}
// The first three channels of a tile as red, green and blue from 0 to 1.
function paintColour(canvas, sheet, column, ranges) {
  const {h, w} = sheet;
  canvas.width = w; canvas.height = h;
  canvas.classList.toggle("smooth", Math.max(w, h) > 96);
  const image = new ImageData(w, h);
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) for (let c = 0; c < 4; c++) {
    const level = sheet.gray[Math.min(c, 2) * h * sheet.stride + y * sheet.stride + column * w + x];
    image.data[4 * (y * w + x) + c] = c === 3 ? 255 : Math.round(255 * (valueOf(level, ranges[c]) ?? 0));
  }
  canvas.getContext("2d", {willReadFrequently: true}).putImageData(image, 0, 0);
}
const asGray = node => S.colours === "gray" || (S.colours === "signed" && node.gray);
// Draw one tile of a decoded sheet.
function paint(canvas, sheet, row, column, colours) {
  const {h, w} = sheet;
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w; canvas.height = h;
    canvas.classList.toggle("smooth", Math.max(w, h) > 96);
  }
  const context = canvas.getContext("2d", {willReadFrequently: true});
  const image = context.createImageData(w, h);
  for (let y = 0; y < h; y++) {
    let from = (row * h + y) * sheet.stride + column * w;
    for (let x = 0; x < w; x++, from++) {
      const at = 4 * (y * w + x), level = 4 * sheet.gray[from];
      image.data[at] = colours[level]; image.data[at + 1] = colours[level + 1]; image.data[at + 2] = colours[level + 2]; image.data[at + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
}
