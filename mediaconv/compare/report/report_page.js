// The page: verdicts, player, timeline, pre-echo, numbers, stack and keys, from top to bottom.
const page = document.getElementById("page");
const PLAYERS = { video: filmPlayer, audio: soundPlayer, image: imageViewer };
const KEYS = {
  video: [["Space", "play, pause"], ["← →", "a frame back, on"], ["Shift", "ten at once"], ["L", "loop"], ["E", "next event"], ["C", "next channel"], ["T", "light, dark"]],
  audio: [["Space", "play, pause"], ["1 2 3 4", "which one is heard"], ["← →", "a tenth of a second"], ["Shift", "a second"], ["L", "loop the event"], ["E", "next event"], ["C", "next channel"], ["T", "light, dark"]],
  image: [["← →", "swipe"], ["C", "next channel"], ["T", "light, dark"]],
};

function card(title, ...children) {
  return el("section", { className: "card" }, ...(title ? [el("h2", { textContent: title })] : []), ...children);
}

function verdicts() {
  const box = el("div", { className: "verdicts" });
  for (const side of data.sides) {
    box.append(el("div", { className: "verdict", style: `--tone:${TONES[side.role]}` },
      el("b", { textContent: side.label }), el("p", { textContent: side.verdict }),
      el("ul", {}, ...side.facts.map((fact) => el("li", { textContent: fact })))));
  }
  return box;
}

function legend(rows) {
  return el("div", { className: "legend" }, ...rows.map((r) =>
    el("span", { style: `--tone:${r.tone}` }, el("span", { className: "key" }), r.label)));
}

function timelineRows(player) {
  const box = el("div", { id: "timeline" });
  const rows = () => {
    const curves = data.curves[state.channel] || {};
    const found = [{ curve: data.input_curve, stride: 1, tone: TONES.input, label: "input", thick: 1.5 }];
    data.sides.forEach((side, i) => { if (curves[i ? "b" : "a"]) found.push({ curve: curves[i ? "b" : "a"], stride: side.stride, tone: TONES[side.role], label: side.label }); });
    return found;
  };
  const paint = () => {
    const all = rows();
    const text = el("span", { textContent: data.level + (data.events.length ? " ▲ marks an event of the input." : "") });
    const keys = legend(all);
    keys.append(text);
    box.replaceChildren(keys, timeline(all, { height: 170, label: data.level, seek: player && player.seek.bind(player) }));
  };
  listen((what) => { if (what === "channel") paint(); });
  paint();
  return box;
}

function preEcho() {
  if (!data.events.length) {
    return card("Pre-echo", el("p", { className: "soft", textContent: "No event was found in this input: nothing in it changes far more than just before. There is no reaction to measure." }));
  }
  const chart = el("div"), pair = el("div", { className: "pair" });
  const menu = el("select", { id: "which", ariaLabel: "Event", onchange: () => setEvent(Number(menu.value)) });
  data.events.forEach((event, i) => menu.append(el("option", { value: i, textContent: `event ${i + 1}: ${data.unit_one} ${event.step}` + (data.rate ? `, ${when(event.step)}` : "") })));
  const paint = () => {
    menu.value = state.event;
    const event = data.events[state.event];
    chart.replaceChildren(reactionChart(Math.max(280, Math.min(900, chart.clientWidth || 560))));
    pair.replaceChildren(...data.sides.map((side) => {
      const found = ofChannel(event.reactions[side.name]);
      return el("div", { style: `--tone:${TONES[side.role]}` }, el("div", { className: "big", textContent: percent(found.pre_echo) }),
        el("div", { className: "soft", textContent: side.label }));
    }));
  };
  listen((what) => { if (what !== "position") paint(); });
  const text = "How strongly each output reacts to the event, before it and from it on: the output with the event less the output without it. The percentage is the energy before the event relative to that after it.";
  return card("Pre-echo", el("p", { className: "soft", textContent: text }),
    data.events.length > 1 ? el("div", { className: "bar" }, el("label", { className: "inline" }, "Event ", menu)) : "",
    pair, legend(data.sides.map((s) => ({ tone: TONES[s.role], label: s.label }))), chart);
}

function numbers() {
  if (!data.channels.length) return card("Numbers", el("p", { className: "soft", textContent: data.mismatch || "nothing could be compared" }));
  const head = el("tr", {}, el("th", { textContent: "channel" }), ...data.columns.map((c) => el("th", { title: c.help, textContent: c.label })));
  const rows = data.channels.map((row, i) => el("tr", { "data-channel": i, onclick: () => setChannel(i) },
    el("td", { textContent: i }), ...data.columns.map((c) => el("td", { textContent: c.percent ? percent(row[c.key]) : number(row[c.key]) }))));
  const mark = () => rows.forEach((row, i) => row.classList.toggle("chosen", i === state.channel && rows.length > 1));
  listen(mark);
  mark();
  const text = data.mismatch ? [el("p", { textContent: data.mismatch })] : [];
  return card("Numbers", ...text, el("div", { className: "scroll" }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows))),
    el("p", { className: "soft", style: "font-size:13.5px", textContent: data.legend }));
}

function stacks() {
  const two = el("div", { className: "two" });
  for (const side of data.sides) {
    const drawing = el("div", { className: "reach" });
    drawing.innerHTML = side.drawing;
    two.append(el("div", {}, el("figcaption", { style: `--tone:${TONES[side.role]}` }, el("span", { className: "dot" }), side.label), drawing, el("p", { className: "soft", textContent: side.reads })));
  }
  return card("What an output reads", el("p", { className: "soft", textContent: data.reading }), two);
}

const build = data.shown && PLAYERS[data.kind];
const player = build ? build() : null;
page.append(verdicts());
if (player) {
  const under = data.kind === "audio" || !data.curves.length ? [] : [timelineRows(player)];
  const caps = (keys) => keys.split(" ").flatMap((key) => [el("kbd", { textContent: key }), " "]);
  const keys = el("div", { className: "keys" }, ...KEYS[data.kind].map(([each, text]) => el("span", {}, ...caps(each), text)));
  page.append(card("", ...player.nodes, ...under, keys));
} else if (data.curves.length) {
  page.append(card("Timeline", timelineRows(null)));
}
page.append(preEcho(), numbers(), stacks());
page.append(el("footer", {}, ...data.footer.map((text) => el("p", { textContent: text }))));
changed("channel");
window.addEventListener("resize", () => changed("event"));
