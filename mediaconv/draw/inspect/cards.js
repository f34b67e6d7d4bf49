// One card a node, made of the parts; and the order of the cards, with the paths of blocks inside boxes.
const cards = new Map();
const shapeText = node => {
  const names = data.axisNames.length === node.lengths.length ? data.axisNames : [];
  return [`${node.channels} channel${node.channels === 1 ? "" : "s"}`, ...node.lengths.map((n, i) => names[i] ? `${names[i]} ${count(n)}` : count(n))].join(" × ");
};
const flagText = node => {
  const groups = new Map();
  for (const [channel, kind, text] of node.flags) {
    const key = `${kind}|${text}`;
    groups.set(key, [...(groups.get(key) || []), channel]);
  }
  return [...groups].map(([key, channels]) => {
    const [kind, text] = key.split("|"), list = channels.length > 12 ? `${channels.slice(0, 12).join(", ")} and ${channels.length - 12} more` : channels.join(", ");
    return [el("b", {}, `${kind}: `), `channel${channels.length > 1 ? "s" : ""} ${list} (${text})`];
  });
};
// Maps of other nodes side by side with signs between: both paths of a block and what they make.
function blockEquation(node) {
  const signs = {add: "+", mul: "×", concat: "·"}, ways = node.paths.map(([label, id]) => [label, data.nodes[id]]);
  const box = el("div"), pictures = [];
  const title = {add: "The paths and their sum", mul: "The paths and their product", concat: "The paths, one after the other"}[node.merge];
  const line = el("div", {class: curves ? "equation rows" : "equation", style: curves ? null : "--term:min(232px,35vw)"});
  [...ways, ["=", node]].forEach(([label, from], i) => {
    const canvas = el("canvas", {class: curves ? "curve" : "map"}), caption = el("figcaption");
    pictures.push({canvas, caption, from, label, way: i < ways.length ? i : null});
    const sign = curves || !i ? null : el("span", {class: "sign"}, i === ways.length ? "=" : signs[node.merge]);
    line.append(el("div", {class: curves ? null : "term"}, sign, el("figure", {}, caption, canvas)));
  });
  const result = {add: "sum", mul: "product", concat: "together"}[node.merge];
  const proof = `Largest difference of the merged paths from the block's output: ${number(node.mergeDifference)}.`;
  box.append(el("h3", {}, title), line, el("p", {class: "soft small"}, proof));
  return {box, draw() {
    let offset = 0;
    const own = chosen.get(node.id);
    for (const {canvas, caption, from, label, way} of pictures) {
      let channel = own;
      if (way !== null && node.merge === "concat") { channel = own - offset; offset += from.channels; }
      const there = channel >= 0 && channel < from.ranges.length;
      canvas.style.visibility = there ? "visible" : "hidden";
      caption.textContent = way === null ? `${result}, channel ${own}` : there ? `${label}, channel ${channel}` : `${label}: not in this channel`;
      if (!there) continue;
      const all = node.merge === "concat" ? [from] : [node, ...ways.map(w => w[1])];
      const ranges = all.map(n => n.ranges[channel]).filter(Boolean);
      const limit = {low: Math.min(...ranges.map(r => r[0])), high: Math.max(...ranges.map(r => r[1]))};
      limit.most = Math.max(Math.abs(limit.low), Math.abs(limit.high)) || 1;
      const sheet = sheetOf(from);
      if (curves) drawCurve(canvas, sheet, 2 * channel, from.ranges[channel], limit, 58, way === null ? "plus" : "now");
      else paint(canvas, sheet, channel, columnOf(sheet), table(from.ranges[channel], limit, S.colours === "gray"));
    }
  }};
}
// What comes in and what goes out of a layer that changes the size, one pixel as large in both.
function beforeAfter(node) {
  const source = data.nodes[node.source], box = el("div");
  const picker = (of, change) => el("select", {"aria-label": "channel", onchange: e => change(Number(e.target.value))},
    of.ranges.map((_, c) => el("option", {value: c}, `channel ${c}`)));
  let into = 0;
  const first = picker(source, c => { into = c; cards.get(node.id).draw(); });
  const canvases = [el("canvas", {class: curves ? "curve" : "map"}), el("canvas", {class: curves ? "curve" : "map"})];
  const words = n => n.lengths.map(count).join(" × ");
  const captions = [el("figcaption", {}, `before: ${words(source)} `, first), el("figcaption")];
  const factor = node.stride < source.stride ? `${number(source.stride / node.stride)} times as many steps along ${data.axisNames[0]}` : node.stride > source.stride ? `one step along ${data.axisNames[0]} for ${number(node.stride / source.stride)}` : "";
  const line = el("div", {class: curves ? "equation rows" : "pair"}, canvases.map((c, i) => el("figure", {}, captions[i], c)));
  box.append(el("h3", {}, "Before and after"), el("p", {class: "soft small"}, [factor, curves ? "the same stretch of time; zoom in to see the single samples" : "drawn at one scale: a pixel is as large in both"].filter(Boolean).join("; ") + "."), line);
  return {box, draw() {
    const channel = chosen.get(node.id);
    captions[1].textContent = `after: ${words(node)} channel ${channel}`;
    if (curves) {
      drawNodeCurve(canvases[0], source, into, 70); drawNodeCurve(canvases[1], node, channel, 70);
      return;
    }
    const room = Math.min(box.clientWidth || 300, 760), widths = [source, node].map(n => n.lengths.at(-1));
    const longest = Math.max(...widths), unit = Math.min((room < 500 ? room : (room - 20) * longest / (widths[0] + widths[1])) / longest, 8);
    canvases.forEach((canvas, i) => { canvas.parentNode.style.width = Math.max(24, widths[i] * unit) + "px"; });
    captions[0].style.minWidth = "190px";
    drawPicture(canvases[0], source, into); drawPicture(canvases[1], node, channel);
  }};
}
function card(node) {
  const parts = [];
  const choose = channel => {
    if (channel === null) { inColours.add(node.id); chosen.set(node.id, 0); } else { inColours.delete(node.id); chosen.set(node.id, channel); }
    cards.get(node.id).draw();
  };
  const add = part => { parts.push(part); return part.box; };
  const body = el("div", {class: "body"}, el("div", {}, add(tiles(node, choose)), node.kernels ? add(kernelGrid(node, c => { if (c < node.ranges.length) choose(c); })) : null), el("div", {class: "side"}, add(large(node)), add(histogram(node))));
  const size = n => n.lengths.join();
  const changes = node.source !== null && node.kind === "layer" && (size(data.nodes[node.source]) !== size(node)) && data.nodes[node.source].lengths.length === node.lengths.length;
  const title = node.kind === "block" ? {add: `${node.title}: the sum`, mul: `${node.title}: the product`, concat: `${node.title}: all paths`}[node.merge] : node.title;
  const detail = [node.detail, node.parameters ? `${count(node.parameters)} parameters` : ""].filter(Boolean).join(" · ");
  const hidden = node.channels > node.ranges.length ? `Channels 0 to ${node.ranges.length - 1} of ${node.channels}. ` : "";
  const box = el("section", {class: "card", id: `node-${node.id}`, "data-node": node.name},
    el("header", {}, el("h2", {}, title), node.kind === "layer" || node.kind === "block" ? el("code", {class: "name"}, node.name) : null, el("span", {class: "shape"}, shapeText(node))),
    detail ? el("p", {class: "soft small"}, detail) : null,
    node.flags.length ? el("div", {class: "flags"}, flagText(node).map(line => el("div", {}, line))) : null,
    hidden ? el("p", {class: "soft small"}, hidden) : null,
    node.kind === "block" ? add(blockEquation(node)) : null,
    changes ? add(beforeAfter(node)) : null,
    body,
    node.sums ? add(sums(node)) : null);
  const needed = [node, ...(changes ? [data.nodes[node.source]] : []), ...node.paths.map(([, id]) => data.nodes[id])];
  let visible = false, queued = false;
  const made = {box, node, async draw(unseen = false) {
    if (!(visible || unseen) || queued) return;
    queued = true;
    const file = S.file;
    await Promise.all([...needed.map(n => gray(sheetOf(n))), node.sums ? gray(node.sums.sheets[file]) : null]);
    queued = false;
    if (file !== S.file) { made.draw(); return; }
    for (const part of parts) part.draw();
    box.dataset.drawn = `${S.file}/${S.tick}`;
  }, see(now) { visible = now; if (now) made.draw(); }};
  return made;
}
function buildCards(main) {
  const boxes = [main];
  const top = () => boxes.at(-1);
  const leave = name => { while (boxes.length > 1 && boxes.at(-1).kind !== name) boxes.pop(); };
  for (const [kind, value] of data.outline) {
    if (kind === "enter") {
      const holder = el("div");
      holder.kind = "block";
      top().append(el("p", {class: "block-head"}, value), holder);
      boxes.push(holder);
    } else if (kind === "path") {
      leave("block");
      const way = el("div", {class: "way-box alone"}, el("p", {class: "label"}, value.startsWith("path") ? value : `path: ${value}`));
      way.kind = "path";
      top().append(way);
      boxes.push(way);
    } else if (kind === "leave") {
      leave("block");
      for (const way of top().querySelectorAll(":scope > .way-box.alone")) way.append(el("p", {class: "soft small"}, "What comes in, unchanged."));
      boxes.pop();
    } else {
      const made = card(data.nodes[Number(value)]);
      cards.set(made.node.id, made);
      top().classList.remove("alone");
      top().append(made.box);
    }
  }
}
