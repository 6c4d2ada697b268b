"use strict";
// The page of the workbench. Everything that comes from a profile, a link or a run is put
// into the page as text, never as markup.

const $ = (id) => document.getElementById(id);

// h makes an element: h("li", {class: "x"}, "text", child, ...).
function h(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [k, v] of Object.entries(attributes || {})) {
    if (v === null || v === undefined || v === false) continue;
    if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else e.setAttribute(k, v === true ? "" : String(v));
  }
  for (const c of children.flat(9)) if (c !== null && c !== undefined && c !== false) e.append(c);
  return e;
}

const fill = (e, ...children) => e.replaceChildren(...children.flat(9).filter((c) => c || c === ""));
const short = (s) => (s && s.length > 44 ? s.slice(0, 28) + "…" + s.slice(-12) : s || "–");
const clip = (s) => (s && s.length > 600 ? s.slice(0, 600) + "…" : s || "");
const plural = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;

function say(text) { $("status").textContent = text; }

function notice(text) {
  $("notice").hidden = !text;
  $("notice").textContent = text || "";
}

const measured = {}; // milliseconds, for tests
