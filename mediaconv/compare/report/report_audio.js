// Sounds one above the other over one clock: one is heard, and another takes over at the same position.
function soundPlayer() {
  const players = [], tracks = [], duration = data.seconds;
  const player = { playing: false, loop: null, active: 1, players };
  const list = el("div", { className: "tracks" });
  const curveOf = (v) => (v.role === "input" ? data.input_curve : data.curves[state.channel] && data.curves[state.channel][v.curve]);
  data.versions.forEach((v, i) => {
    const audio = el("audio", { preload: "auto", src: source(v).src });
    audio.dataset.version = v.name;
    audio.addEventListener("ended", () => { if (i === player.active) player.stop(); });
    players.push(audio);
    const picture = el("div", { className: "track", style: `--tone:${TONES[v.role]};cursor:pointer` });
    const head = el("div", { className: "head", style: "left:0" });
    const hear = el("button", { type: "button", textContent: "Hear " + (i + 1), title: `hear ${v.label} (${i + 1})`, onclick: () => player.choose(i) });
    picture.addEventListener("pointerdown", (event) => {
      const box = picture.getBoundingClientRect();
      player.seek(((event.clientX - box.left) / box.width) * duration);
    });
    const level = el("small", { className: "track-level" });
    tracks.push({ picture, head, hear, level });
    list.append(el("figure", { style: `--tone:${TONES[v.role]}` },
      el("figcaption", {}, hear, el("span", { className: "dot" }), v.label,
        el("small", { textContent: source(v).linked ? "linked file" : v.note || "" }), level), picture, audio));
  });

  const levels = soundLevels(curveOf, players);
  function paint() {
    levels.apply();
    data.versions.forEach((v, i) => {
      const parts = [];
      const curve = curveOf(v);
      if (curve) parts.push(waveform(curve, TONES[v.role], data.range, levels.gain(v), levels.centre(v)));
      tracks[i].level.textContent = levels.words(v);
      const file = source(v);
      if (file.spectrogram) parts.push(el("img", { src: file.spectrogram, alt: "Spectrogram of " + v.label }));
      tracks[i].picture.replaceChildren(...parts, tracks[i].head);
    });
  }
  const now = () => players[player.active].currentTime;
  function show() {
    const time = now(), part = duration ? Math.min(1, time / duration) : 0;
    state.position = Math.floor(time * data.rate);
    for (const track of tracks) track.head.style.left = `${100 * part}%`;
    slider.value = time;
    read.replaceChildren(el("b", {}, `${time.toFixed(3)} s`), ` of ${duration.toFixed(3)} s`);
    changed("position");
  }
  player.seek = (time) => {
    const wanted = Math.max(0, Math.min(duration, time));
    for (const audio of players) audio.currentTime = wanted;
    show();
  };
  // An AbortError says that a press came before the sound began: what was pressed decides, not the error.
  const start = () => players[player.active].play().catch((error) => { if (error.name !== "AbortError") player.stop(); });
  player.choose = (i) => {
    if (i < 0 || i >= players.length) return;
    const time = now(), sounding = player.playing;
    players[player.active].pause();
    player.active = i;
    players[i].currentTime = time;
    if (sounding) start();
    mark();
  };
  player.play = async () => {
    if (duration - now() < 0.01) player.seek(player.loop ? player.loop[0] : 0);
    player.playing = true;
    play.textContent = "Pause";
    levels.hear();
    await start();
    follow();
  };
  player.stop = () => {
    if (player.loop && player.playing && players[player.active].ended) { player.seek(player.loop[0]); player.play(); return; }
    player.playing = false;
    play.textContent = "Play";
    for (const audio of players) audio.pause();
  };
  function follow() {
    if (!player.playing) return;
    if (player.loop && (now() >= player.loop[1] || now() < player.loop[0] - 0.02)) player.seek(player.loop[0]);
    show();
    requestAnimationFrame(follow);
  }
  function mark() {
    tracks.forEach((track, i) => {
      track.picture.classList.toggle("active", i === player.active);
      track.hear.setAttribute("aria-pressed", String(i === player.active));
    });
  }
  const toggle = () => (player.playing ? player.stop() : player.play());
  const play = el("button", { type: "button", id: "play", className: "main", textContent: "Play", onclick: () => toggle() });
  const loop = el("button", { type: "button", id: "loop", textContent: "Loop", ariaPressed: "false", title: "loop around the event, or all (L)", onclick: () => {
    const event = data.events[state.event];
    player.loop = player.loop ? null : event ? [Math.max(0, event.seconds - 0.6), Math.min(duration, event.seconds + 0.6)] : [0, duration];
    loop.setAttribute("aria-pressed", String(Boolean(player.loop)));
    loop.textContent = player.loop && event ? "Looping the event" : "Loop";
    if (player.loop) player.seek(player.loop[0]);
  } });
  const read = el("span", { className: "clock", id: "clock" });
  const slider = el("input", { type: "range", id: "slider", min: 0, max: duration, step: "any", value: 0, ariaLabel: "Position",
    oninput: () => player.seek(Number(slider.value)) });
  const events = eventButton((step) => player.seek(Math.max(0, step / data.rate - 0.3)));
  listen((what) => {
    if (what === "event") paint();
    if (what !== "channel") return;
    const time = now(), sounding = player.playing;
    player.stop();
    data.versions.forEach((v, i) => {
      if (players[i].getAttribute("src") !== source(v).src) players[i].src = source(v).src;
      players[i].currentTime = time;
    });
    paint();
    if (sounding) player.play();
  });
  Object.assign(shortcuts, {
    " ": toggle, ArrowLeft: (e) => player.seek(now() - (e.shiftKey ? 1 : 0.1)), ArrowRight: (e) => player.seek(now() + (e.shiftKey ? 1 : 0.1)),
    Home: () => player.seek(0), End: () => player.seek(duration), l: () => loop.click(),
  });
  data.versions.forEach((_, i) => { shortcuts[String(i + 1)] = () => player.choose(i); });
  player.nodes = [el("div", { className: "bar" }, play, loop, ...events, read, el("span", { className: "grow" }), channelPicker()), levels.controls(() => paint()), list, slider];
  player.levels = levels;
  paint();
  mark();
  show();
  window.player = player;
  return player;
}
