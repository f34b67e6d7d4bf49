// What somebody could not read of the page: small text, pale text, text beyond the edge. Called by tests/browser.py.
([smallest, contrast]) => {
  const rgb = text => (text.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const c = rgb(getComputedStyle(node).backgroundColor);
      if (c.length < 4 || c[3] > 0.5) return c;
    }
    return [255, 255, 255];
  };
  const under = (node, box) => {
    const seen = document.elementsFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    if (!seen.length) return null;  // not in the window
    for (const one of seen) {
      if (!one.ownerSVGElement) break;
      const fill = getComputedStyle(one).fill;
      if (!["text", "polyline", "line"].includes(one.tagName) && fill !== "none") return rgb(fill);
    }
    return seen.some(one => one === node.ownerSVGElement) ? behind(node.ownerSVGElement) : null;
  };
  const kept = node => { for (; node; node = node.parentElement) if (getComputedStyle(node).overflowX !== "visible") return true; };
  const found = [], edge = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > edge) found.push(`the page is ${document.documentElement.scrollWidth} wide`);
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = walk.nextNode());) {
    const node = text.parentElement, words = text.textContent.trim().slice(0, 40);
    if (!words || node.closest("script, style, option") || !node.getClientRects().length) continue;
    const range = document.createRange();
    range.selectNodeContents(text);
    const box = range.getBoundingClientRect(), style = getComputedStyle(node), drawn = node.ownerSVGElement;
    const scale = drawn ? Math.hypot(node.getScreenCTM().a, node.getScreenCTM().b) : 1;
    const size = parseFloat(style.fontSize) * scale;
    if (size < smallest - 0.01) found.push(`${size.toFixed(1)} px: ${words}`);
    if (!kept(node.parentElement) && (box.right > edge + 1 || box.left < -1)) found.push(`beyond the edge: ${words}`);
    const paper = drawn ? under(node, box) : behind(node), ink = rgb(drawn ? style.fill : style.color);
    if (paper && ratio(ink, paper) < contrast) found.push(`contrast ${ratio(ink, paper).toFixed(1)}: ${words}`);
  }
  return found;
}
