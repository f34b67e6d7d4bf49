"use strict";
// Images: two of them under a swipe, all of them side by side.
function imageViewer() {
  const names = data.versions.map((v) => v.label);
  const chosen = [data.versions.findIndex((v) => v.role === "a"), data.versions.findIndex((v) => v.role === "b")];
  const under = make("img", { alt: "" }), over = make("img", { alt: "", className: "over" });
  const edge = make("div", { className: "edge" });
  const tags = [make("span", { className: "tag", style: "left:8px" }), make("span", { className: "tag", style: "right:8px" })];
  const box = make("div", { className: "swipe", id: "swipe" }, under, over, edge, ...tags);
  const slider = make("input", { type: "range", id: "slider", min: 0, max: 1000, value: 500, ariaLabel: "Swipe", oninput: () => place() });
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
    const menu = make("select", { ariaLabel: side ? "Right" : "Left", onchange: () => { chosen[side] = Number(menu.value); paint(); } });
    names.forEach((name, i) => menu.append(make("option", { value: i, textContent: name })));
    return menu;
  });
  const grid = make("div", { className: "tiles" + (data.ratio < 0.8 ? " narrow" : "") });
  const pictures = data.versions.map((v) => {
    const img = make("img", { alt: v.label });
    img.dataset.version = v.name;
    grid.append(make("figure", { style: `--tone:${TONES[v.role]}` },
      make("figcaption", {}, make("span", { className: "dot" }), v.label, make("small", { textContent: v.note || "" })),
      make("div", { className: "frame" }, img)));
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
  const bar = make("div", { className: "bar" }, "Left ", menus[0], "right ", menus[1], make("span", { className: "grow" }), channelPicker());
  window.viewer = { slider, box };
  return { nodes: [bar, make("div", { style: "max-width:860px;margin:10px auto" }, box, slider), grid, amplifier(pictures)], seek: () => {} };
}
