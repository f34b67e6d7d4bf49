// State of the page and small helpers. Knows no kind of media.
const state = { channel: 0, event: 0, position: 0, listeners: [] };
state.event = data.events.reduce((best, e, i) => (e.energy > data.events[best].energy ? i : best), 0);
const TONES = { input: "var(--input)", a: "var(--a)", b: "var(--b)", difference: "var(--difference)" };

function changed(what) { for (const listen of state.listeners) listen(what); }
function listen(act) { state.listeners.push(act); }

// Channels to pick from: those compared, or those of the larger output where none could be.
const channelCount = data.channels.length || Math.max(1, ...data.versions.map((v) => v.files.length));

// Of a list with an item a channel, that of the chosen one; the last where there are fewer.
function ofChannel(list) { return list[Math.min(state.channel, list.length - 1)]; }

function setChannel(channel) {
  const count = channelCount;
  state.channel = ((channel % count) + count) % count;
  changed("channel");
}

// A version's file for the chosen channel; the input has one for all.
function source(version) { return ofChannel(version.files); }
function version(role) { return data.versions.find((v) => v.role === role); }

function number(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e6) return value.toExponential(1).replace("e", "\u202fe");
  return Number.isInteger(value) ? String(value) : value.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : digits);
}

function percent(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0 %";
  return value < 0.001 ? "< 0.1 %" : (100 * value).toFixed(value < 0.1 ? 1 : 0) + " %";
}

function channelPicker() {
  const count = channelCount;
  if (count <= 1) return el("span");
  if (count > 10) {
    const menu = el("select", { id: "channel", onchange: () => setChannel(Number(menu.value)) });
    for (let i = 0; i < count; i++) menu.append(el("option", { value: i, textContent: "channel " + i }));
    listen(() => { menu.value = state.channel; });
    return el("label", { className: "inline" }, "Channel ", menu);
  }
  const group = el("div", { className: "segments", id: "channel", role: "group", ariaLabel: "Channel" });
  for (let i = 0; i < count; i++) {
    group.append(el("button", { type: "button", textContent: String(i), title: "channel " + i, onclick: () => setChannel(i) }));
  }
  const mark = () => [...group.children].forEach((b, i) => b.setAttribute("aria-pressed", String(i === state.channel)));
  listen(mark);
  mark();
  return el("label", { className: "inline" }, "Channel ", group);
}

// A slider that makes small differences visible, where there is a picture of them among these.
function amplifier(pictures) {
  const shown = pictures.find((picture) => picture.dataset.version === "difference");
  if (!shown) return el("span");
  const slider = el("input", { type: "range", min: 0, max: 5, step: 0.5, value: 1, style: "width:110px", id: "amplify" });
  const apply = () => { shown.style.filter = `contrast(${2 ** slider.value})`; };
  slider.addEventListener("input", apply);
  apply();
  return el("label", { className: "inline" }, "Amplify the difference", slider);
}

shortcuts.c = () => setChannel(state.channel + 1);
