"use strict";
// The engine's side of the page: one program in WebAssembly, which answers one call after
// the other. What it prints before it ends is why it ended.

let printed = "";
console.log = (...list) => { printed = (printed + list.join(" ") + "\n").slice(-6000); };

// compile fetches the program. A server that says what it is lets the browser unpack it, and keep what
// it has compiled; others serve a compressed file, which is unpacked here.
async function compile(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  const fetched = performance.timeOrigin + performance.now(), type = { headers: { "Content-Type": "application/wasm" } };
  const program = response.headers.get("Content-Type") === "application/wasm" ? response :
    new Response(response.body.pipeThrough(new DecompressionStream("gzip")), type);
  const module = await WebAssembly.compileStreaming(program);
  self.postMessage({ module, fetched, compiled: performance.timeOrigin + performance.now() });
  return module;
}

async function start(data) {
  self.attlsReady = () => self.postMessage({ ready: true });
  try {
    const go = new Go();
    const instance = await WebAssembly.instantiate(data.module || await compile(data.url), go.importObject);
    await go.run(instance);
  } catch (e) {
    printed += String(e);
  }
  self.postMessage({ stopped: printed || "the engine ended" });
}

self.onmessage = ({ data }) => {
  if (data.url) start(data);
  else self.attlsCall(data.method, data.request, (reply) => self.postMessage({ id: data.id, reply }));
};
