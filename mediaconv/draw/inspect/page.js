// The page: time and batch, overview, list of layers, keys.
const ticks = () => curves ? CURVE_STEPS : Math.max(0, ...data.files.map(f => f.ticks.length - 1));
const drawAll = () => { for (const made of cards.values()) made.draw(); };
function clockText() {
  const file = data.files[S.file];
  if (!curves) return file.ticks[Math.min(S.tick, file.ticks.length - 1)] || "";
  const sample = Math.min(file.stop - 1, file.start + Math.floor(S.tick / CURVE_STEPS * (file.stop - file.start)));
  return `sample ${count(sample)}${file.rate ? ` · ${(sample / file.rate).toFixed(4)} s` : ""}`;
}
const time = stepper({last: ticks(), label: "time", wait: () => curves ? 40 : 160,
  stride: () => curves ? Math.max(1, Math.round(4 / Math.sqrt(S.zoom))) : 1,
  show: tick => { S.tick = tick; drawAll(); return clockText(); }});
function setFile(index) {
  S.file = Math.max(0, Math.min(data.files.length - 1, index));
  document.querySelectorAll("#batch, #file").forEach(control => { control.value = S.file; });
  time.go(S.tick);
}
const choice = (label, id, options, change) => el("label", {}, label, el("select", {id, onchange: e => { change(e.target.value); drawAll(); }},
  options.map(([value, text]) => el("option", {value}, text))));
function controls() {
  const bar = el("div", {class: "bar"}), batchBar = el("div", {class: "bar"}), more = document.getElementById("settings");
  if (ticks() > 0) bar.append(...time.nodes);
  if (data.files.length > 1) {
    const batch = el("input", {type: "range", id: "batch", class: "own-keys", min: 0, max: data.files.length - 1, value: 0, "aria-label": "file of the batch",
      onpointerup: e => e.target.blur(),
      oninput: e => setFile(Number(e.target.value))});
    batchBar.append(el("label", {class: "grow"}, "Batch", batch, el("select", {id: "file", "aria-label": "file", onchange: e => setFile(Number(e.target.value))},
      data.files.map((f, i) => el("option", {value: i}, f.name)))));
  }
  if (curves) more.append(choice("Zoom", "zoom", [1, 4, 16, 64].filter(z => z === 1 || data.nodes[0].sheets[0].w / z >= 40).map(z => [z, `${z}×`]), v => { S.zoom = Number(v); }));
  else more.append(choice("Colours", "colours", [["signed", "blue − 0 + orange"], ["gray", "gray"]], v => { S.colours = v; }));
  more.append(choice("Scale", "scale", [["channel", "each channel"], ["layer", "whole layer"], ...(curves ? [] : [["moment", "this picture"]])], v => { S.scale = v; }),
    choice("Counts", "counts", [["log", "logarithmic"], ["linear", "linear"]], v => { S.counts = v; }));
  document.getElementById("controls").append(...[bar, batchBar].filter(b => b.childElementCount));
}
function overview() {
  const flagged = data.nodes.filter(node => node.flags.length);
  const many = flagged.reduce((n, node) => n + new Set(node.flags.map(flag => flag[0])).size, 0);
  const list = flagged.map(node => el("li", {}, el("a", {href: `#node-${node.id}`}, `${node.kind === "input" || node.kind === "normalize" ? "" : node.name + " "}${node.title}`), " ", flagText(node).flatMap((line, i) => i ? ["; ", ...line] : line)));
  const keys = ticks() > 0 ? el("p", {class: "soft small keys"}, "Keys: ", el("kbd", {}, "←"), " ", el("kbd", {}, "→"), " time · ", el("kbd", {}, "Home"), " ", el("kbd", {}, "End"), " · ", el("kbd", {}, "Space"), " play", data.files.length > 1 ? [" · ", el("kbd", {}, "["), " ", el("kbd", {}, "]"), " file"] : null, " · ", el("kbd", {}, "T"), " light or dark") : null;
  return el("section", {class: "card", id: "overview"},
    el("h2", {}, many ? `${many} channel${many > 1 ? "s" : ""} to look at` : "No dead, saturated or broken channel"),
    many ? el("ul", {}, list) : null,
    el("p", {class: "soft small", style: "margin-top:8px"}, "Dead: constant over all positions and files. Saturated: more than 99% of the values at an end of the activation's range (smooth ones: within 0.001 of it)."),
    data.notes.length ? el("ul", {class: "soft"}, data.notes.map(note => el("li", {}, note))) : null, keys);
}
function navigation() {
  const list = el("details", {open: innerWidth > 980}, el("summary", {}, `Layers (${data.nodes.length - 1})`));
  let depth = 0;
  for (const [kind, value] of data.outline) {
    if (kind === "enter") { depth += 1; continue; }
    if (kind === "leave") { depth -= 1; continue; }
    const indent = 14 * Math.min(depth, 6);
    if (kind === "path") { list.append(el("span", {class: "way", style: `margin-left:${indent - 10}px`}, value)); continue; }
    const node = data.nodes[Number(value)], sum = {add: " (sum)", mul: " (product)", concat: " (concat)"}[node.merge] || "";
    list.append(el("a", {href: `#node-${node.id}`, style: `margin-left:${indent}px`}, node.flags.length ? el("i", {title: "dead or saturated channels"}) : null, node.title + sum, el("small", {}, `${node.channels} ch`)));
  }
  document.getElementById("nav").append(list);
}
themeListeners.push(() => { readTheme(); drawAll(); });
readTheme();
controls();
navigation();
const main = document.getElementById("page");
main.append(overview());
buildCards(main);
const seen = new IntersectionObserver(entries => {
  for (const entry of entries) cards.get(Number(entry.target.id.slice(5))).see(entry.isIntersecting);
}, {rootMargin: "200px"});
for (const made of cards.values()) seen.observe(made.box);
addEventListener("resize", drawAll);
shortcuts["["] = () => setFile(S.file - 1);
shortcuts["]"] = () => setFile(S.file + 1);
time.go(0);
// Cards that nobody has come to are drawn while nothing else happens, so that a print or a picture of the page has them.
const unseen = [...cards.values()], idle = window.requestIdleCallback || (act => setTimeout(act, 50));
idle(async function next() {
  const made = unseen.find(card => !card.box.dataset.drawn);
  if (!made) return;
  await made.draw(true);
  if (!made.box.dataset.drawn) unseen.splice(unseen.indexOf(made), 1);
  idle(next);
});
