"use strict";
// What the page is about: the text and the choices, and the same in the link.

// A name from a profile or a link may be one of JavaScript's own, so that maps inherit nothing.
const mapOf = (entries) => Object.assign(Object.create(null), Object.fromEntries(entries));

// What is compared with: name is an embedded profile, other a text; neither: the base.
const state = { text: "", readings: mapOf([]), code_points: mapOf([]), attester: "", model: "", credential: "", root_of_trust: "", group: "", hello_retry: false,
  post_handshake: false, reattest: false, extended_key_update: false, name: "", other: "", other_readings: mapOf([]) };
const switches = ["hello_retry", "post_handshake", "reattest", "extended_key_update"];
let about = null, checked = null, trusted = true;
let fault = ""; // that the run has
let attack = null; // that is shown: its name and cell

const request = (more) => ({ ...state, fail: fault || undefined, ...more });

// The state in the link: JSON, deflated, base64url. What a link may say is bounded, and
// nothing of it is run before the user asks for it.
const maxLink = 300000, maxState = 700000, maxText = 262144; // characters, octets, characters

async function toLink() {
  const stream = new Blob([JSON.stringify({ v: 1, ...state, fail: fault, attack })]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const octets = new Uint8Array(await new Response(stream).arrayBuffer());
  let s = "";
  for (const o of octets) s += String.fromCharCode(o);
  return btoa(s).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

async function fromLink(hash) {
  if (hash.length > maxLink) throw new Error("it is too long");
  const octets = Uint8Array.from(atob(hash.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const reader = new Blob([octets]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const parts = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > maxState) { await reader.cancel(); throw new Error("what it has in it is too long"); }
    parts.push(value);
  }
  const v = JSON.parse(await new Blob(parts).text());
  if (typeof v !== "object" || v === null || v.v !== 1) throw new Error("it is of another version");
  const text = (x, n) => { if (typeof x !== "string" || x.length > n) throw new Error("it is not a state of this page"); return x; };
  const map = (x, value) => {
    const list = Object.entries(x && typeof x === "object" ? x : {});
    if (list.length > 256) throw new Error("it has too many choices");
    return mapOf(list.map(([k, y]) => [text(k, 200), value(y)]));
  };
  const words = (x) => map(x, (y) => text(y, 200));
  const number = (x) => { if (!Number.isSafeInteger(x) || x < 0) throw new Error("it has a code point that is not a number"); return x; };
  const shown = v.attack && typeof v.attack === "object" ? { name: text(v.attack.name, 200), cell: text(v.attack.cell, 1000) } : null;
  return { fail: text(v.fail || "", 200), attack: shown, state: { text: text(v.text, maxText), readings: words(v.readings), code_points: map(v.code_points, number),
    attester: text(v.attester || "", 40), model: text(v.model || "", 40), credential: text(v.credential || "", 40), group: text(v.group || "", 40),
    root_of_trust: text(v.root_of_trust || "", 200),
    name: text(v.name || "", 200), other: text(v.other || "", maxText), other_readings: words(v.other_readings),
    ...Object.fromEntries(switches.map((k) => [k, v[k] === true])) } };
}

let linkTimer = 0;
function saveLink() {
  clearTimeout(linkTimer);
  linkTimer = setTimeout(async () => {
    const hash = "#" + await toLink();
    if (hash !== location.hash) history.replaceState(null, "", hash);
  }, 400);
}
