"use strict";
(() => {
  const run = document.getElementById("run");
  const perBlock = Number(run.dataset.block);
  const blocks = [...document.querySelectorAll(".block")];
  const unpacked = new Map();
  const unpack = async (block) => {
    const octets = Uint8Array.from(atob(block.textContent), (c) => c.charCodeAt(0));
    const plain = new Blob([octets]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(plain).text());
  };
  let current;
  async function show(n, move) {
    const button = document.querySelector(`button[data-n="${n}"]`);
    if (!button) return;
    const at = Math.floor(n / perBlock);
    if (!unpacked.has(at)) unpacked.set(at, unpack(blocks[at]));
    const body = (await unpacked.get(at))[n % perBlock];
    current?.removeAttribute("aria-current");
    current = button;
    button.setAttribute("aria-current", "true");
    run.innerHTML = body;
    run.dataset.shown = n;
    if (move) {
      run.scrollIntoView();
      run.focus({ preventScroll: true });
    }
  }
  // A link to #run-12 opens that run.
  const open = () => {
    const m = /^#run-(\d+)$/.exec(location.hash);
    if (m) show(Number(m[1]), true);
  };
  document.getElementById("matrix").addEventListener("click", (e) => {
    const n = e.target.dataset?.n;
    if (n === undefined) return;
    if (location.hash === "#run-" + n) show(Number(n), true);
    else location.hash = "run-" + n;
  });
  addEventListener("hashchange", open);
  open();
})();
