// Images: two of them under a swipe, all of them side by side.
function imageViewer() {
  const names = data.versions.map((v) => v.label);
  const chosen = [data.versions.findIndex((v) => v.role === "a"), data.versions.findIndex((v) => v.role === "b")];
  const under = el("img", { alt: "" }), over = el("img", { alt: "", className: "over" });
  const edge = el("div", { className: "edge" });
  const tags = [el("span", { className: "tag", style: "left:8px" }), el("span", { className: "tag", style: "right:8px" })];
  const box = el("div", { className: "swipe", id: "swipe" }, under, over, edge, ...tags);
  const slider = el("input", { type: "range", id: "slider", min: 0, max: 1000, value: 500, ariaLabel: "Swipe", oninput: () => place() });
  function place() {
    const part = slider.value / 10;
    over.style.clipPath = `inset(0 ${100 - part}% 0 0)`;
    edge.style.left = `calc(${part}% - 1px)`;
  }
  const drag = (event) => {
    const r = box.getBoundingClientRect();
    slider.value = Math.round(1000 * Math.max(0, Math.min(1, (event.clientX - r.left) / r.width)));
    place();
  };
  box.addEventListener("pointerdown", (event) => { box.setPointerCapture(event.pointerId); drag(event); });
  box.addEventListener("pointermove", (event) => { if (event.buttons) drag(event); });
  const menus = [0, 1].map((side) => {
    const menu = el("select", { ariaLabel: side ? "Right" : "Left", onchange: () => { chosen[side] = Number(menu.value); paint(); } });
    names.forEach((name, i) => menu.append(el("option", { value: i, textContent: name })));
    return menu;
  });
  const grid = el("div", { className: "tiles" + (data.ratio < 0.8 ? " narrow" : "") });
  const pictures = data.versions.map((v) => {
    const img = el("img", { alt: v.label });
    img.dataset.version = v.name;
    grid.append(el("figure", { style: `--tone:${TONES[v.role]}` },
      el("figcaption", {}, el("span", { className: "dot" }), v.label, el("small", { textContent: v.note || "" })),
      el("div", { className: "frame" }, img)));
    return img;
  });
  function paint() {
    data.versions.forEach((v, i) => {
      pictures[i].src = source(v).src;
      pictures[i].classList.toggle("pixelated", data.width < 400);
    });
    [over, under].forEach((img, side) => {
      img.src = source(data.versions[chosen[side]]).src;
      img.classList.toggle("pixelated", data.width < 400);
      tags[side].textContent = names[chosen[side]];
      menus[side].value = chosen[side];
    });
    place();
  }
  listen((what) => { if (what === "channel") paint(); });
  const nudge = (by) => { slider.value = Number(slider.value) + by; place(); };
  Object.assign(shortcuts, { ArrowLeft: (e) => nudge(e.shiftKey ? -100 : -10), ArrowRight: (e) => nudge(e.shiftKey ? 100 : 10) });
  paint();
  const bar = el("div", { className: "bar" }, "Left ", menus[0], "right ", menus[1], el("span", { className: "grow" }), channelPicker());
  window.viewer = { slider, box };
  return { nodes: [bar, el("div", { style: "max-width:860px;margin:10px auto" }, box, slider), grid, amplifier(pictures)], seek: () => {} };
}
