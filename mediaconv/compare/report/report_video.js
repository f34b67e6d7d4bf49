// Films side by side, in step: one slider, one clock; each follows the first within half a frame.
function filmPlayer() {
  const videos = [], count = data.steps, duration = data.seconds;
  const times = data.times || Array.from({ length: count }, (_, i) => i / data.rate);
  const start = (i) => times[i];
  const end = (i) => (i + 1 < count ? times[i + 1] : Math.max(duration, times[i] + 1e-3));
  const player = { playing: false, loop: false, rate: 1, videos, times };
  const grid = el("div", { className: "tiles" + (data.ratio < 0.8 ? " narrow" : "") });
  for (const v of data.versions) {
    const video = el("video", { muted: true, playsInline: true, preload: "auto", src: source(v).src, title: v.label });
    video.dataset.version = v.name;
    videos.push(video);
    const note = el("small", { textContent: source(v).linked ? "linked file" : v.note || "" });
    grid.append(el("figure", { style: `--tone:${TONES[v.role]}` },
      el("figcaption", {}, el("span", { className: "dot" }), v.label, note), el("div", { className: "frame" }, video)));
  }
  const master = videos[0];

  function frameAt(time) {
    let low = 0, high = count - 1;
    while (low < high) { const mid = (low + high + 1) >> 1; if (times[mid] <= time + 1e-4) low = mid; else high = mid - 1; }
    return low;
  }
  function show(frame) { state.position = frame; slider.value = frame; clock(); changed("position"); }
  function clock() {
    read.replaceChildren(el("b", {}, `${data.unit_one} ${state.position}`), ` of ${count} · ${start(state.position).toFixed(3)} s`);
  }
  player.seek = (frame) => {
    const wanted = Math.max(0, Math.min(count - 1, Math.round(frame)));
    const time = (start(wanted) + end(wanted)) / 2;
    for (const video of videos) video.currentTime = Math.min(time, Number.isFinite(video.duration) ? video.duration - 1e-4 : time);
    show(wanted);
  };
  player.step = (by) => { player.pause(); player.seek(state.position + by); };
  player.pause = () => {
    if (!player.playing) return;
    player.playing = false;
    for (const video of videos) { video.pause(); video.playbackRate = player.rate; }
    play.textContent = "Play";
    player.seek(frameAt(master.currentTime));
  };
  player.play = async () => {
    if (state.position >= count - 1) player.seek(0);
    player.playing = true;
    play.textContent = "Pause";
    await ready();
    const time = master.currentTime;
    for (const video of videos) { video.playbackRate = player.rate; if (Math.abs(video.currentTime - time) > 1e-3) video.currentTime = time; }
    await ready();
    if (!player.playing) return;
    await Promise.all(videos.map((video) => video.play().catch(() => {})));
    follow();
  };
  function ready() {
    return Promise.all(videos.map((video) => (video.readyState >= 3 && !video.seeking) || video.error ? null : new Promise((done) => {
      const finish = () => { for (const name of ["canplay", "seeked", "error"]) video.removeEventListener(name, check); done(); };
      const check = () => { if (video.error || (video.readyState >= 3 && !video.seeking)) finish(); };
      for (const name of ["canplay", "seeked", "error"]) video.addEventListener(name, check);
      setTimeout(finish, 1500);
    })));
  }
  // Drift is taken up by a slightly other speed; a jump of several frames by a seek.
  function follow() {
    if (!player.playing) return;
    const frame = duration / count;
    for (const video of videos.slice(1)) {
      const drift = video.currentTime - master.currentTime;
      if (Math.abs(drift) > 4 * frame && !video.seeking) video.currentTime = master.currentTime;
      const pull = Math.abs(drift) < frame / 12 ? 0 : Math.max(-0.3, Math.min(0.3, (2 * drift) / Math.max(frame, 0.02) * 0.15));
      video.playbackRate = player.rate * (1 - pull);
    }
    if (master.ended || master.currentTime >= duration - frame / 4) {
      if (!player.loop) { player.pause(); return; }
      for (const video of videos) video.pause();
      player.seek(0);
      player.playing = true;
      player.play();
      return;
    }
    show(frameAt(master.currentTime));
    requestAnimationFrame(follow);
  }

  const play = el("button", { type: "button", id: "play", className: "main", textContent: "Play", onclick: () => toggle() });
  const toggle = () => (player.playing ? player.pause() : player.play());
  const back = el("button", { type: "button", id: "back", textContent: "◀", ariaLabel: "One frame back", title: "one frame back (←)", onclick: () => player.step(-1) });
  const on = el("button", { type: "button", id: "forward", textContent: "▶", ariaLabel: "One frame on", title: "one frame on (→)", onclick: () => player.step(1) });
  const loop = el("button", { type: "button", id: "loop", textContent: "Loop", ariaPressed: "false", onclick: () => {
    player.loop = !player.loop;
    loop.setAttribute("aria-pressed", String(player.loop));
  } });
  const speed = el("select", { id: "speed", ariaLabel: "Speed", onchange: () => {
    player.rate = Number(speed.value);
    for (const video of videos) video.playbackRate = player.rate;
  } });
  for (const [value, text] of [[0.1, "⅒ ×"], [0.25, "¼ ×"], [0.5, "½ ×"], [1, "1 ×"], [2, "2 ×"]]) {
    speed.append(el("option", { value, textContent: text, selected: value === 1 }));
  }
  const read = el("span", { className: "clock", id: "clock" });
  const slider = el("input", { type: "range", id: "slider", min: 0, max: count - 1, step: 1, value: 0, ariaLabel: "Frame",
    oninput: () => { if (player.playing) player.pause(); player.seek(Number(slider.value)); } });
  const events = eventButton((step) => player.step(step - state.position));
  listen((what) => {
    if (what !== "channel") return;
    const time = master.currentTime;
    player.pause();
    data.versions.forEach((v, i) => {
      const next = source(v).src;
      if (videos[i].getAttribute("src") === next) return;
      videos[i].src = next;
      videos[i].currentTime = time;
    });
  });
  Object.assign(shortcuts, {
    " ": toggle, ArrowLeft: (e) => player.step(e.shiftKey ? -10 : -1), ArrowRight: (e) => player.step(e.shiftKey ? 10 : 1),
    Home: () => player.step(-count), End: () => player.step(count), l: () => loop.click(),
  });
  const bar = el("div", { className: "bar" }, play, back, on, loop, speed, ...events, read, el("span", { className: "grow" }), channelPicker());
  player.nodes = [bar, grid, amplifier(videos), slider];
  clock();
  player.seek(data.events.length ? Math.max(0, data.events[state.event].step - 1) : 0);
  window.player = player;
  return player;
}

// Buttons that lead to the events of the input.
function eventButton(go) {
  if (!data.events.length) return [];
  const next = () => {
    const later = data.events.findIndex((e) => e.step > state.position + 1e-9);
    setEvent(later < 0 ? 0 : later);
    go(data.events[state.event].step);
  };
  shortcuts.e = next;
  return [el("button", { type: "button", id: "event", textContent: "Next event", title: "jump to the next event (E)", onclick: next })];
}

function setEvent(i) { state.event = i; changed("event"); }
