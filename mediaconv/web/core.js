"use strict";
// What every page shares: its data, elements, theme, keys, and a row of controls to step through something.
const data = JSON.parse(document.getElementById("data").textContent);
const SVG = new Set(["svg", "rect", "line", "text", "g", "polyline", "polygon"]);

// An element: properties where it has them, attributes elsewhere, listeners by "on...". Text is never read as HTML.
function el(tag, attributes = {}, ...inside) {
  const svg = SVG.has(tag), node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined) continue;
    if (key === "style") node.style.cssText = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (!svg && key in node) node[key] = value;
    else if (value !== false) node.setAttribute(key, value);
  }
  node.append(...inside.flat(Infinity).filter((x) => x !== null && x !== undefined));
  return node;
}

const shortcuts = { t: () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark") };
const themeListeners = [];
const dark = matchMedia("(prefers-color-scheme: dark)");
function setTheme(name = dark.matches ? "dark" : "light") {
  document.documentElement.dataset.theme = name;
  for (const act of themeListeners) act();
}
const themeButton = el("button", { id: "theme", type: "button", title: "Light or dark (T)", ariaLabel: "Switch between light and dark", onclick: () => shortcuts.t() }, "◐");
document.querySelector("header.top")?.append(themeButton);
dark.addEventListener("change", () => setTheme());
setTheme();

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, input:not([type=range]), .own-keys")) return;
  const act = shortcuts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || (event.key === " " && event.target.matches("button, a, summary"))) return;
  event.preventDefault();
  act(event);
});

// Play, one step back, one step on, a slider, a clock. last: the last position, from 0. show(i): draws it; its
// text is the clock's. wait(i): milliseconds for which it is seen. stride(): how far an arrow key goes.
function stepper({ last, show, wait, label, stride = () => 1 }) {
  let timer = null;
  const slider = el("input", { type: "range", id: "slider", min: 0, max: last, value: 0, ariaLabel: label, oninput: () => to(position()) });
  const clock = el("output", { id: "clock", class: "clock", for: "slider" });
  const play = el("button", { id: "play", type: "button", "aria-pressed": "false", onclick: () => toggle() }, "Play");
  const position = () => Number(slider.value);
  const go = (i) => { slider.value = Math.max(0, Math.min(last, i)); clock.textContent = show(position()); };
  const press = (on) => { play.textContent = on ? "Pause" : "Play"; play.setAttribute("aria-pressed", String(on)); };
  const stop = () => { clearTimeout(timer); timer = null; press(false); };
  const to = (i) => { stop(); go(i); };
  const tick = () => { timer = setTimeout(() => { go(position() >= last ? 0 : position() + 1); tick(); }, wait(position())); };
  const toggle = () => { if (timer !== null) stop(); else { press(true); tick(); } };
  const by = (sign) => () => to(position() + sign * stride());
  if (last > 0) Object.assign(shortcuts, { ArrowLeft: by(-1), ArrowRight: by(1), Home: () => to(0), End: () => to(last), " ": toggle });
  const arrow = (id, text, words, sign) => el("button", { id, type: "button", ariaLabel: words, onclick: by(sign) }, text);
  return { go, position, nodes: [play, arrow("back", "←", "one step back", -1), arrow("next", "→", "one step on", 1), slider, clock] };
}
