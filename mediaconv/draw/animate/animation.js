// The frames of an animation: shapes that several of them share are drawn once.
const colour = role => role ? `var(--${role})` : "none";
const drawn = new Map();
function shape(index) {
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
const svg = el("svg", {viewBox: `0 0 ${data.width} ${data.height}`, role: "img", "aria-label": document.title,
  style: `min-width:${Math.min(760, data.width)}px`});
const page = document.getElementById("page"), last = data.frames.length - 1;
const steps = stepper({last, label: "step", wait: i => data.seconds[i] * 1000,
  show: i => { svg.replaceChildren(...data.frames[i].map(shape)); return `step ${i + 1} of ${last + 1}`; }});
Object.assign(shortcuts, {ArrowDown: shortcuts.ArrowLeft, ArrowUp: shortcuts.ArrowRight});
page.append(el("div", {id: "stage"}, svg), el("div", {class: "bar"}, steps.nodes, themeButton),
  el("div", {class: "keys"}, "Keys: left and right arrow one step, Home and End, space to play, T light or dark."));
steps.go(0);
