// What the tests ask of a page. Each probe gives a list of what is wrong.
"use strict";
const name = (e) => `<${e.tagName.toLowerCase()}${e.id ? "#" + e.id : ""}${[...e.classList].map((c) => "." + c).join("")}> ${e.textContent.trim().replace(/\s+/g, " ").slice(0, 40)}`;
const visible = (e) => e.checkVisibility({ contentVisibilityAuto: false, visibilityProperty: true }) && !e.closest(".sr, caption, .skip:not(:focus)") && e.getClientRects().length > 0;

// opened opens folds and the first runs, and waits for what they show.
async function opened(n) {
  for (const e of document.querySelectorAll("details.fold")) e.open = true;
  const runs = [...document.querySelectorAll(".run")].slice(0, n);
  for (const e of runs) e.open = true;
  for (let i = 0; i < 200 && runs.some((e) => !e.querySelector(".body:not(noscript *)")); i++) await new Promise((r) => setTimeout(r, 25));
  if (runs.some((e) => !e.querySelector(".body"))) throw new Error("a run shows nothing");
  return runs.length;
}

// texts are the elements that have text of their own and are shown. Of many rows alike
// the first thousand speak for the others.
function texts() {
  const list = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode() && list.length < 4000) {
    const e = walker.currentNode.parentElement;
    if (walker.currentNode.data.trim() && !e.closest("script, style, noscript") && visible(e)) list.push(e);
  }
  return [...new Set(list)];
}

const small = (pixels) => texts().filter((e) => parseFloat(getComputedStyle(e).fontSize) < pixels).map((e) => `${getComputedStyle(e).fontSize} ${name(e)}`);

const overflowing = () => [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, .sr, .skip")).slice(0, 5).map(name);

const outside = (selector) => [...document.querySelectorAll(selector)].filter((e) => {
  const r = e.getBoundingClientRect();
  return !visible(e) || r.left < 0 || r.right > innerWidth || r.width < 100;
}).map(name);

// Colours, as WCAG 2.2 and CIELAB have them.
const rgb = (text) => {
  const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
  return { r, g, b, a };
};
const luminance = ({ r, g, b }) => {
  const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const contrast = (a, b) => {
  const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
  return (x + 0.05) / (y + 0.05);
};
const lightness = (c) => 116 * Math.cbrt(luminance(c)) - 16;
const over = (top, below) => ({ r: top.r * top.a + below.r * (1 - top.a), g: top.g * top.a + below.g * (1 - top.a), b: top.b * top.a + below.b * (1 - top.a), a: 1 });

// ground is the colour behind an element.
function ground(e) {
  const layers = [];
  for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor);
    layers.push(c);
    if (c.a === 1) break;
  }
  return layers.reverse().reduce((below, c) => over(c, below), { r: 255, g: 255, b: 255, a: 1 });
}

function pale(least) {
  const found = [];
  for (const e of texts()) {
    let opacity = 1;
    for (let p = e; p; p = p.parentElement) opacity *= parseFloat(getComputedStyle(p).opacity);
    const behind = ground(e);
    const ink = rgb(getComputedStyle(e).color);
    const c = contrast(over({ ...ink, a: ink.a * opacity }, behind), behind);
    if (c < least) found.push(`${c.toFixed(2)} ${getComputedStyle(e).color} ${name(e)}`);
  }
  return found;
}

// alike finds outcomes whose colours differ by less than so much lightness.
function alike(selector, least) {
  const shades = {};
  for (const e of document.querySelectorAll(selector)) {
    const outcome = ["passed", "failed", "deviation", "limit", "skipped", "accepted", "rejected", "none"].find((o) => e.classList.contains(o));
    shades[outcome] = lightness(rgb(getComputedStyle(e).backgroundColor));
  }
  const found = [];
  const list = Object.entries(shades).sort((a, b) => a[1] - b[1]);
  if (list.length < 2) found.push("only " + Object.keys(shades));
  for (let i = 1; i < list.length; i++) {
    if (list[i][1] - list[i - 1][1] < least) found.push(`${list[i - 1]} and ${list[i]}`);
  }
  return found;
}

// Keyboard.
const seen = new Set();
const controls = () => [...document.querySelectorAll("a, button, input, summary, .scroll")]
  .filter((e) => e.classList.contains("skip") || visible(e)).map(name);
function focused() {
  seen.add(document.activeElement);
  return name(document.activeElement);
}
async function faintFocus() {
  for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame); // until what is scrolled to is laid out
  const e = document.activeElement;
  const s = getComputedStyle(e);
  if (s.outlineStyle === "none" || parseFloat(s.outlineWidth) < 2) return `outline ${s.outline}`;
  const r = e.getBoundingClientRect();
  if (r.bottom < 0 || r.top > innerHeight || r.right < 0 || r.left > innerWidth) return "outside the window";
  const c = contrast(rgb(s.outlineColor), ground(e.parentElement));
  return c < 3 ? `contrast ${c.toFixed(2)}` : "";
}

// untold finds what a screen reader cannot tell.
function untold() {
  const found = [];
  const say = (what, e) => found.push(`${what}: ${name(e)}`);
  for (const e of document.querySelectorAll("table")) if (!e.caption?.textContent.trim()) say("no caption", e);
  for (const e of document.querySelectorAll("th")) if (!e.scope || !e.textContent.trim()) say("no scope or no text", e);
  for (const e of document.querySelectorAll("button, a, summary")) if (!(e.ariaLabel ?? e.textContent).trim()) say("no name", e);
  for (const e of document.querySelectorAll("input")) if (!e.ariaLabel) say("no name", e);
  for (const e of document.querySelectorAll("[role=region]")) if (!e.ariaLabel) say("no name", e);
  for (const e of document.querySelectorAll("button[data-outcome], button[data-pair], button[data-reason]")) if (!e.hasAttribute("aria-pressed")) say("no state", e);
  for (const e of document.querySelectorAll(".dot:not([aria-hidden]), .bar:not([aria-hidden]), .mini:not([aria-hidden])")) if (!e.textContent.trim()) say("only a colour", e);
  if (document.documentElement.lang !== "en" || !document.title) found.push("no language or title");
  for (const selector of ["main", "h1", "header"]) if (document.querySelectorAll(selector).length !== 1) found.push("not one " + selector);
  return found;
}
