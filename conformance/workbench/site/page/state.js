"use strict";
// What the page is about: the text and the choices, and the same in the link.

const state = { text: "", readings: {}, code_points: {}, attester: "", model: "", credential: "", group: "", hello_retry: false,
  post_handshake: false, reattest: false, extended_key_update: false };
const switches = ["hello_retry", "post_handshake", "reattest", "extended_key_update"];
let about = null, checked = null, trusted = true, fault = "";

const request = (more) => ({ ...state, fail: fault || undefined, ...more });

// The state in the link: JSON, deflated, base64url. What a link may hold is bounded, and
// nothing of it is run before the user asks for it.
const maxLink = 300000, maxState = 400000;

async function toLink() {
  const stream = new Blob([JSON.stringify({ v: 1, ...state })]).stream().pipeThrough(new CompressionStream("deflate-raw"));
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
    if (size > maxState) { await reader.cancel(); throw new Error("what it holds is too long"); }
    parts.push(value);
  }
  const v = JSON.parse(await new Blob(parts).text());
  if (typeof v !== "object" || v === null || v.v !== 1) throw new Error("it is of another version");
  const text = (x, n) => { if (typeof x !== "string" || x.length > n) throw new Error("it is not a state of this page"); return x; };
  const map = (x, value) => Object.fromEntries(Object.entries(x && typeof x === "object" ? x : {}).slice(0, 256).map(([k, y]) => [text(k, 200), value(y)]));
  const number = (x) => { if (!Number.isSafeInteger(x) || x < 0) throw new Error("it has a code point that is not a number"); return x; };
  return { text: text(v.text, 262144), readings: map(v.readings, (x) => text(x, 200)), code_points: map(v.code_points, number),
    attester: text(v.attester || "", 40), model: text(v.model || "", 40), credential: text(v.credential || "", 40),
    group: text(v.group || "", 40), ...Object.fromEntries(switches.map((k) => [k, v[k] === true])) };
}

let linkTimer = 0;
function saveLink() {
  clearTimeout(linkTimer);
  linkTimer = setTimeout(async () => {
    const hash = "#" + await toLink();
    if (hash !== location.hash) history.replaceState(null, "", hash);
  }, 400);
}
