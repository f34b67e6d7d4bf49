// The frames of an animation: shapes that several of them share are drawn once.
const colour = role => role ? `var(--${role})` : "none";
function shape(index, drawn) {
  if (drawn.has(index)) return drawn.get(index);
  const s = data.shapes[index];
  let node;
  if (s[0] === "t") {
    node = el("text", {x: s[1], y: s[2], "font-size": s[4], fill: colour(s[5]), "text-anchor": s[6]});
    if (s[7]) node.setAttribute("font-weight", "bold");
    if (s[8]) { node.setAttribute("textLength", s[8]); node.setAttribute("lengthAdjust", "spacingAndGlyphs"); }
    node.textContent = s[3];
  } else {
    const points = s[1].reduce((text, n, i) => text + n + (i % 2 ? " " : ","), "").trim();
    node = el(s[0] === "l" ? "polyline" : "polygon",
      {points, fill: colour(s[2]), stroke: colour(s[3]), "stroke-width": s[4]});
    if (s[5]) node.setAttribute("stroke-dasharray", "5 3.5");
  }
  drawn.set(index, node);
  return node;
}
// A panel is never smaller than three quarters of its own size, at which its numbers have 9 pixels: it scrolls then.
// Wider pages enlarge it, as far as its height is seen whole.
const panels = data.panels.map((panel, i) => {
  const svg = el("svg", {viewBox: `0 0 ${panel.width} ${panel.height}`, role: "img", "aria-label": `${document.title}, panel ${i + 1}`});
  const box = el("div", {class: "panel", style: `--w:${panel.width};--h:${panel.height}`}, svg);
  return {...panel, svg, box, drawn: new Map()};
});
const key = ({shapes, text}) => el("span", {}, el("svg", {viewBox: "0 0 18 16", width: 18, height: 16}, shapes.map(i => shape(i, new Map()))), text);
const page = document.getElementById("page"), last = data.seconds.length - 1;
const steps = stepper({last, label: "step", wait: i => data.seconds[i] * 1000,
  show: i => {
    for (const panel of panels) panel.svg.replaceChildren(...panel.frames[i].map(s => shape(s, panel.drawn)));
    return `step ${i + 1} of ${last + 1}`;
  }});
Object.assign(shortcuts, {ArrowDown: shortcuts.ArrowLeft, ArrowUp: shortcuts.ArrowRight});
if (data.title) page.append(el("h1", {}, data.title));
page.append(el("div", {class: "controls"}, el("div", {class: "bar"}, steps.nodes, themeButton)),
  el("div", {id: "stage"}, panels.map(panel => panel.box)),
  el("div", {class: "legend"}, data.keys.map(key)), ...data.notes.map(note => el("div", {class: "keys"}, note)),
  el("div", {class: "keys"}, "Keys: left and right arrow one step, Home and End, space to play, T light or dark."));
steps.go(0);
