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
    if (["used", "leak", "usedpad"].includes(s[2])) node.dataset.used = "";
  }
  drawn.set(index, node);
  return node;
}
// On a phone each panel has a layout of its own. Wider pages enlarge panels, as far as their height is seen whole;
// what is wider than the page scrolls in its box, which follows the kernel.
const phone = matchMedia("(max-width: 700px)");
const panels = data.panels.map((panel, i) => {
  const svg = el("svg", {role: "img", "aria-label": `${document.title}, panel ${i + 1}`});
  return {panel, svg, box: el("div", {class: "panel"}, svg), drawn: new Map()};
});
const sized = ({panel}) => phone.matches ? panel.narrow : panel.wide;
function lay() {
  for (const one of panels) {
    const {width, height} = sized(one);
    one.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    one.box.style.setProperty("--w", width); one.box.style.setProperty("--h", height);
  }
}
// Scrolls a box so far that what is used now is seen.
function follow({box, svg}) {
  if (box.scrollWidth <= box.clientWidth) return;
  const used = [...svg.querySelectorAll("[data-used]")].map(node => node.getBoundingClientRect()), edge = box.getBoundingClientRect();
  if (!used.length) return;
  const left = Math.min(...used.map(r => r.left)), right = Math.max(...used.map(r => r.right));
  box.scrollLeft += (left + right) / 2 - (edge.left + edge.width / 2);
  hold({box, svg});
}
// Words that begin at the left edge stay there while a box scrolls: names, and the sum.
function hold({box, svg}) {
  const units = box.scrollLeft * svg.viewBox.baseVal.width / svg.clientWidth;
  for (const text of svg.querySelectorAll("text[text-anchor=start]"))
    if (text.getAttribute("x") <= 8) text.setAttribute("transform", `translate(${units})`);
}
for (const one of panels) one.box.addEventListener("scroll", () => hold(one));
const key = ({shapes, text}) => el("span", {}, el("svg", {viewBox: "0 0 18 16", width: 18, height: 16}, shapes.map(i => shape(i, new Map()))), text);
const page = document.getElementById("page"), last = data.seconds.length - 1;
const steps = stepper({last, label: "step", wait: i => data.seconds[i] * 1000,
  show: i => {
    for (const one of panels) { one.svg.replaceChildren(...sized(one).frames[i].map(s => shape(s, one.drawn))); follow(one); }
    return `step ${i + 1} of ${last + 1}`;
  }});
Object.assign(shortcuts, {ArrowDown: shortcuts.ArrowLeft, ArrowUp: shortcuts.ArrowRight});
if (data.title) page.append(el("h1", {}, data.title));
page.append(el("div", {class: "controls"}, el("div", {class: "bar"}, steps.nodes, themeButton)),
  el("div", {id: "stage"}, panels.map(panel => panel.box)),
  el("div", {class: "legend"}, data.keys.map(key)), ...data.notes.map(note => el("div", {class: "keys"}, note)),
  el("div", {class: "keys"}, "Keys: left and right arrow one step, Home and End, space to play, T light or dark."));
lay();
steps.go(0);
phone.addEventListener("change", () => { lay(); steps.go(steps.position()); });
