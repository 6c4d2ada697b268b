"use strict";
// The engine's side of the page: one program in WebAssembly, which answers one call after
// the other. What it prints before it ends is why it ended.

let printed = "";
console.log = (...list) => { printed = (printed + list.join(" ") + "\n").slice(-6000); };

self.onmessage = async ({ data }) => {
  if (data.module) {
    self.attlsReady = () => self.postMessage({ ready: true });
    try {
      const go = new Go();
      const instance = await WebAssembly.instantiate(data.module, go.importObject);
      await go.run(instance);
    } catch (e) {
      printed += String(e);
    }
    self.postMessage({ stopped: printed || "the engine ended" });
    return;
  }
  self.attlsCall(data.method, data.request, (reply) => self.postMessage({ id: data.id, reply }));
};
