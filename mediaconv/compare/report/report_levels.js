// How loud each sound is heard and drawn: as it is stored, or scaled to its peak or to the event. Both sides share a
// scale, so that they can be compared; the difference has an amplifier besides.
function soundLevels(curveOf, players) {
  const LEAST = 1e-5, FULL = 0.9, BEFORE = 0.1, AFTER = 0.4;
  const graph = { context: null, nodes: [] };
  const own = { scale: data.events.length ? "event" : "peak", decibels: 0 };
  const linked = data.versions.map((v) => v.files.some((file) => file.linked));
  const decibels = (gain) => 20 * Math.log10(gain);

  // The largest distance from the mean between two steps of the input, from the curve's stretches.
  function peak(version, from, to) {
    const curve = curveOf(version);
    if (!curve) return 0;
    const span = data.steps / curve.low.length, middle = centre(version);
    const first = Math.max(0, Math.floor(from / span)), last = Math.min(curve.low.length, Math.ceil(to / span));
    let most = 0;
    for (let i = first; i < last; i++) most = Math.max(most, curve.high[i] - middle, middle - curve.low[i]);
    return most;
  }
  function mean(version) {
    const curve = curveOf(version);
    return curve && curve.mean.length ? curve.mean.reduce((sum, v) => sum + v, 0) / curve.mean.length : 0;
  }
  const centre = (version) => (own.scale === "stored" && !amplified(version) ? 0 : mean(version));
  const amplified = (version) => version.role === "difference" && own.decibels > 0;
  const whole = (version) => peak(version, 0, data.steps);
  function shown(version) {
    const event = data.events[state.event];
    if (own.scale !== "event" || !event) return whole(version);
    return peak(version, event.step - BEFORE * data.rate, event.step + AFTER * data.rate) || whole(version);
  }
  function gain(version) {
    const extra = version.role === "difference" ? 10 ** (own.decibels / 20) : 1;
    if (own.scale === "stored") return extra;
    const pair = version.role === "a" || version.role === "b" ? data.versions.filter((v) => v.role === "a" || v.role === "b") : [version];
    const most = Math.max(...pair.map(shown));
    return most > LEAST ? (extra * FULL) / most : extra;
  }
  function words(version) {
    const most = whole(version), dc = mean(version), by = decibels(gain(version));
    if (!curveOf(version)) return "";
    const parts = [most > LEAST ? `peak ${decibels(most).toFixed(1)} dB` : "silent"];
    if (Math.abs(dc) >= 0.005) parts.push(`DC ${dc.toFixed(2)}`);
    if (Math.abs(by) >= 0.05) parts.push(`shown ${by > 0 ? "+" : "\u2212"}${Math.abs(by).toFixed(1)} dB`);
    return parts.join(" \u00b7 ").replace(/-/g, "\u2212");
  }
  // A browser gives the samples of a file beside the page to no script: such a sound is heard as it is stored.
  function apply() {
    graph.nodes.forEach((node, i) => { if (node) node.gain.value = gain(data.versions[i]); });
  }
  function hear() {
    if (!graph.context) {
      graph.context = new AudioContext();
      graph.nodes = players.map((audio, i) => {
        if (linked[i]) return null;
        const node = graph.context.createGain(), highpass = graph.context.createBiquadFilter();
        highpass.type = "highpass";
        highpass.frequency.value = 10;   // a constant is not heard, but would be amplified with the sound
        graph.context.createMediaElementSource(audio).connect(highpass).connect(node).connect(graph.context.destination);
        return node;
      });
    }
    graph.context.resume();
    apply();
  }
  function controls(changed) {
    const menu = el("select", { id: "scale", onchange: () => { own.scale = menu.value; changed(); } });
    const choices = [["event", "to the event"], ["peak", "to the peak"], ["stored", "as stored"]];
    for (const [value, text] of choices) {
      if (value !== "event" || data.events.length) menu.append(el("option", { value, textContent: text, selected: value === own.scale }));
    }
    const slider = el("input", { type: "range", min: 0, max: 40, step: 2, value: 0, style: "width:110px", id: "amplify",
      oninput: () => { own.decibels = Number(slider.value); read.textContent = `+${own.decibels} dB`; changed(); } });
    const read = el("span", { textContent: "+0 dB" });
    const bar = el("div", { className: "bar" }, el("label", { className: "inline" }, "Scale sounds ", menu));
    if (data.versions.some((v) => v.role === "difference")) bar.append(el("label", { className: "inline" }, "Amplify the difference", slider, read));
    if (linked.some(Boolean)) bar.append(el("small", { className: "soft", textContent: "Linked files are drawn scaled, and heard as stored." }));
    return bar;
  }
  return { gain, centre, words, apply, hear, controls, graph };
}
