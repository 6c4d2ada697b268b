"use strict";
// The engine runs in a worker, so that no step of it blocks typing. Calls wait here, the most
// urgent first, and one that does not end costs the worker and not the page.

// limits says how long a call may take, in milliseconds, before the engine is started again.
const limits = { check: 10000, lint: 30000, run: 30000, fault: 30000, faults: 30000, attack: 120000, cell: 30000, try: 3000 };
const urgency = ["begin", "text", "check", "run", "download", "diff", "try", "faults", "attacks", "cell", "lint", "fault", "attack"];

const engine = {
  module: null, worker: null, ready: false, current: null, queue: [], next: 1, timer: 0, restarts: 0, failed: null,

  // start makes a worker, which fetches and compiles the engine by itself; later ones are
  // given what the first has compiled. A worker of a blob has the content security policy of the page.
  start() {
    const urls = ["wasm_exec.js", "worker.js"].map((f) => JSON.stringify(new URL(f, location.href).href));
    const url = URL.createObjectURL(new Blob([`importScripts(${urls.join(",")});`], { type: "text/javascript" }));
    this.ready = false;
    this.worker = new Worker(url);
    this.worker.onmessage = ({ data }) => this.heard(data);
    this.worker.onerror = (e) => { e.preventDefault(); this.stopped("a script of it cannot be loaded" + (e.message ? ": " + e.message : "")); };
    this.worker.postMessage({ module: this.module, url: new URL("attls.wasm.gz", location.href).href });
  },

  heard(data) {
    if (data.module) {
      this.module = data.module;
      Object.assign(measured, { fetched: data.fetched - performance.timeOrigin, compiled: data.compiled - performance.timeOrigin });
    } else if (data.ready) {
      this.ready = true;
      measured.engine ??= performance.now();
      this.began();
      this.pump();
    } else if (data.stopped) {
      this.stopped(data.stopped);
    } else if (this.current && this.current.id === data.id) {
      const call = this.current;
      clearTimeout(this.timer);
      this.current = null;
      const reply = JSON.parse(data.reply);
      if (reply.broken) this.restart(reply.error);
      if (reply.error) call.reject(new Error(reply.error)); else call.resolve(reply.result);
      this.pump();
    }
  },

  began() {}, // told each time that an engine is there

  // stopped starts an engine again that has worked; one that never did would end again.
  stopped(why) {
    if (this.module && this.ready) { this.restart("The engine stopped: " + why); return; }
    this.failed = new Error("The engine cannot be loaded: " + why);
    this.worker.terminate();
    say(this.failed.message);
    for (const call of this.queue.splice(0)) call.reject(this.failed);
  },

  // restart takes a new engine and says why; the call that the old one had fails.
  restart(why) {
    clearTimeout(this.timer);
    this.worker.terminate();
    this.restarts++;
    const call = this.current;
    this.current = null;
    notice(why + "\nIt was started again; the profile is as you left it.");
    if (call) call.reject(new Error(why));
    if (this.restarts > 50) { say("The engine was started too often. Load the page again."); return; }
    this.start();
  },

  pump() {
    if (!this.ready || this.current || this.queue.length === 0) return;
    this.queue.sort((a, b) => urgency.indexOf(a.method) - urgency.indexOf(b.method) || a.id - b.id);
    const call = this.current = this.queue.shift();
    const limit = limits[call.method] || 20000;
    this.timer = setTimeout(() => this.restart(`The engine did not answer "${call.method}" within ${limit / 1000} s.`), limit);
    this.worker.postMessage({ id: call.id, method: call.method, request: JSON.stringify(call.request) });
  },

  // ask calls a method; of check, lint, run and diff only the latest waits.
  ask(method, request) {
    if (["check", "lint", "run", "diff"].includes(method)) {
      this.queue = this.queue.filter((c) => c.method !== method || (c.reject(stale), false));
    }
    if (this.failed) return Promise.reject(this.failed);
    return new Promise((resolve, reject) => {
      this.queue.push({ id: this.next++, method, request, resolve, reject });
      this.pump();
    });
  },
};
const stale = new Error("there is a newer one");

