// The page: time and batch, overview, list of layers, keys.
const ticks = () => curves ? CURVE_STEPS : Math.max(0, ...D.files.map(f => f.ticks.length - 1));
const drawAll = () => { for (const made of cards.values()) made.draw(); };
const slider = el("input", {type: "range", id: "time", min: 0, max: ticks(), value: 0, "aria-label": "time"});
const clock = el("output", {id: "clock", class: "clock", for: "time"});
const play = el("button", {id: "play", type: "button", "aria-pressed": "false"}, "Play");
function clockText() {
  const file = D.files[S.file];
  if (!curves) return file.ticks[Math.min(S.tick, file.ticks.length - 1)] || "";
  const sample = Math.min(file.stop - 1, file.start + Math.floor(S.tick / CURVE_STEPS * (file.stop - file.start)));
  return `sample ${count(sample)}${file.rate ? ` · ${(sample / file.rate).toFixed(4)} s` : ""}`;
}
function goTo(tick) {
  S.tick = Math.max(0, Math.min(ticks(), tick));
  slider.value = S.tick;
  clock.textContent = clockText();
  drawAll();
}
function stop() {
  clearInterval(S.playing); S.playing = null;
  play.textContent = "Play"; play.setAttribute("aria-pressed", "false");
}
function toggle() {
  if (S.playing !== null) { stop(); return; }
  S.playing = setInterval(() => goTo(S.tick >= ticks() ? 0 : S.tick + 1), curves ? 40 : 160);
  play.textContent = "Pause"; play.setAttribute("aria-pressed", "true");
}
const step = () => curves ? Math.max(1, Math.round(4 / Math.sqrt(S.zoom))) : 1;
function setFile(index) {
  S.file = Math.max(0, Math.min(D.files.length - 1, index));
  document.querySelectorAll("#batch, #file").forEach(control => { control.value = S.file; });
  goTo(S.tick);
}
const choice = (label, id, options, change) => el("label", {}, label, el("select", {id, onchange: e => { change(e.target.value); drawAll(); }},
  options.map(([value, text]) => el("option", {value}, text))));
function controls() {
  const bar = el("div", {class: "bar"}), batchBar = el("div", {class: "bar"}), more = document.getElementById("settings");
  slider.addEventListener("input", () => { stop(); goTo(Number(slider.value)); });
  play.addEventListener("click", toggle);
  if (ticks() > 0) {
    const to = by => () => { stop(); goTo(S.tick + by * step()); };
    bar.append(play, el("button", {id: "back", type: "button", "aria-label": "one step back", onclick: to(-1)}, "←"),
      el("button", {id: "next", type: "button", "aria-label": "one step on", onclick: to(1)}, "→"), slider, clock);
  }
  if (D.files.length > 1) {
    const batch = el("input", {type: "range", id: "batch", min: 0, max: D.files.length - 1, value: 0, "aria-label": "file of the batch",
      onpointerup: e => e.target.blur(),
      oninput: e => setFile(Number(e.target.value))});
    batchBar.append(el("label", {class: "grow"}, "Batch", batch, el("select", {id: "file", "aria-label": "file", onchange: e => setFile(Number(e.target.value))},
      D.files.map((f, i) => el("option", {value: i}, f.name)))));
  }
  if (curves) more.append(choice("Zoom", "zoom", [1, 4, 16, 64].filter(z => z === 1 || D.nodes[0].sheets[0].w / z >= 40).map(z => [z, `${z}×`]), v => { S.zoom = Number(v); }));
  else more.append(choice("Colours", "colours", [["signed", "blue − 0 + orange"], ["gray", "gray"]], v => { S.colours = v; }));
  more.append(choice("Scale", "scale", [["channel", "each channel"], ["layer", "whole layer"], ...(curves ? [] : [["moment", "this picture"]])], v => { S.scale = v; }),
    choice("Counts", "counts", [["log", "logarithmic"], ["linear", "linear"]], v => { S.counts = v; }));
  document.getElementById("controls").append(...[bar, batchBar].filter(b => b.childElementCount));
}
function overview() {
  const flagged = D.nodes.filter(node => node.flags.length);
  const many = flagged.reduce((n, node) => n + new Set(node.flags.map(flag => flag[0])).size, 0);
  const list = flagged.map(node => el("li", {}, el("a", {href: `#node-${node.id}`}, `${node.kind === "input" || node.kind === "normalize" ? "" : node.name + " "}${node.title}`), " ", flagText(node).flatMap((line, i) => i ? ["; ", ...line] : line)));
  const keys = ticks() > 0 ? el("p", {class: "soft small keys"}, "Keys: ", el("kbd", {}, "←"), " ", el("kbd", {}, "→"), " time · ", el("kbd", {}, "Home"), " ", el("kbd", {}, "End"), " · ", el("kbd", {}, "Space"), " play", D.files.length > 1 ? [" · ", el("kbd", {}, "["), " ", el("kbd", {}, "]"), " file"] : null, " · ", el("kbd", {}, "T"), " light or dark") : null;
  return el("section", {class: "card", id: "overview"},
    el("h2", {}, many ? `${many} channel${many > 1 ? "s" : ""} to look at` : "No dead, saturated or broken channel"),
    many ? el("ul", {}, list) : null,
    el("p", {class: "soft small", style: "margin-top:8px"}, "Dead: constant over all positions and files. Saturated: more than 99% of the values at an end of the activation's range (smooth ones: within 0.001 of it)."),
    D.notes.length ? el("ul", {class: "soft"}, D.notes.map(note => el("li", {}, note))) : null, keys);
}
function navigation() {
  const list = el("details", {open: innerWidth > 980}, el("summary", {}, `Layers (${D.nodes.length - 1})`));
  let depth = 0, inPath = [];
  for (const [kind, value] of D.outline) {
    if (kind === "enter") { depth += 1; inPath.push(value); continue; }
    if (kind === "leave") { depth -= 1; inPath.pop(); continue; }
    const indent = `margin-left:${14 * depth}px`;
    if (kind === "path") { list.append(el("span", {class: "way", style: `margin-left:${14 * depth - 10}px`}, value)); continue; }
    const node = D.nodes[Number(value)], sum = {add: " (sum)", mul: " (product)", concat: " (concat)"}[node.merge] || "";
    list.append(el("a", {href: `#node-${node.id}`, style: indent}, node.flags.length ? el("i", {title: "dead or saturated channels"}) : null, node.title + sum, el("small", {}, `${node.channels} ch`)));
  }
  document.getElementById("nav").append(list);
}
function darker() {
  const root = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  root.dataset.theme = (root.dataset.theme || system) === "dark" ? "light" : "dark";
  readTheme(); drawAll();
}
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
document.getElementById("theme").addEventListener("click", darker);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readTheme(); drawAll(); });
addEventListener("resize", drawAll);
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || ["SELECT"].includes(event.target.tagName) || event.target.id === "batch") return;
  const steps = {ArrowLeft: -step(), ArrowRight: step(), Home: -ticks(), End: ticks()};
  if (event.key in steps && ticks() > 0) { stop(); goTo(S.tick + steps[event.key]); event.preventDefault(); }
  else if (event.key === " " && ticks() > 0 && !["BUTTON", "SUMMARY", "A"].includes(event.target.tagName)) { toggle(); event.preventDefault(); }
  else if (event.key === "[" || event.key === "]") setFile(S.file + (event.key === "]" ? 1 : -1));
  else if (event.key.toLowerCase() === "t") darker();
});
goTo(0);
