"use strict";
// Updates the page while somebody looks at it, and says what the pointer or the focus is on.
// The Content-Security-Policy has the hash of these bytes.
(() => {
  const body = document.body, lost = document.getElementById("lost");
  const skew = Number(body.dataset.time) * 1000 - Date.now(); // of this clock behind the agent's
  const now = () => new Date(Date.now() + skew);

  // -- times that run on -------------------------------------------------------------------

  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const duration = (seconds) => {
    if (seconds < 1) return "< 1 s";
    const first = units.findIndex(([size]) => seconds >= size);
    const texts = [];
    let rest = Math.floor(seconds);
    for (const [size, unit] of units) {
      const count = Math.floor(rest / size);
      rest -= count * size;
      texts.push(count ? count + "\u202f" + unit : "");
    }
    return texts.slice(first, first + 2).filter(Boolean).join(" ");
  };
  const setText = (element, text) => {
    if (element && element.textContent !== text) element.textContent = text;
  };
  const tick = () => {
    const moment = now();
    setText(document.getElementById("clock"), moment.toISOString().slice(0, 19).replace("T", " "));
    for (const cell of document.querySelectorAll("[data-since]"))
      setText(cell, duration(Math.max(0, moment / 1000 - Number(cell.dataset.since))));
  };

  // -- what a part of a bar is -------------------------------------------------------------

  const tip = document.createElement("p");
  tip.id = "tip";
  tip.hidden = true;
  tip.setAttribute("role", "status");
  body.append(tip);
  let picked = null; // the part with the tip
  const pick = (part, x) => {
    if (picked) picked.classList.remove("picked");
    picked = part;
    tip.hidden = !part;
    if (!part) return;
    part.classList.add("picked");
    setText(tip, part.dataset.tip);
    const box = part.getBoundingClientRect();
    const middle = x === undefined ? (box.left + box.right) / 2 : x;
    const most = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = Math.max(8, Math.min(most, middle - tip.offsetWidth / 2)) + scrollX + "px";
    tip.style.top = Math.max(0, box.top - tip.offsetHeight - 6) + scrollY + "px";
  };
  // A title would be shown beside the tip, late.
  const takeTitles = (root) => {
    for (const title of root.querySelectorAll("rect > title")) {
      title.parentNode.dataset.tip = title.textContent;
      title.remove();
    }
  };
  const partOf = (target) => target.closest ? target.closest("[data-tip]") : null;
  const partsOf = (bar) => [...bar.querySelectorAll("[data-tip]")];
  document.addEventListener("pointermove", (event) => {
    const part = partOf(event.target);
    if (part || (picked && !picked.closest("svg").matches(":focus"))) pick(part, event.clientX);
  });
  document.addEventListener("focusin", (event) => {
    const bar = event.target.closest(".bars svg");
    if (bar && !(picked && bar.contains(picked))) pick(partsOf(bar).at(-1));
  });
  document.addEventListener("focusout", () => pick(null));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return pick(null);
    const bar = event.target.closest(".bars svg");
    if (!bar || event.altKey || event.ctrlKey || event.metaKey) return;
    const parts = partsOf(bar), at = parts.indexOf(picked);
    const next = {ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: parts.length - 1}[event.key];
    if (next === undefined) return;
    event.preventDefault();
    pick(parts[Math.max(0, Math.min(parts.length - 1, next))]);
  });

  // -- updates -----------------------------------------------------------------------------

  // Bars and rows are the same if they have the same name, also in another place.
  const key = (node) => {
    if (node.nodeName === "LI") return (node.querySelector(".name") || node).textContent;
    if (node.nodeName === "TR") return [...node.cells].slice(0, 3).map((c) => c.textContent).join();
    return null;
  };
  // Changes only what differs, so that focus, selection and scrolling stay.
  const patch = (old, fresh) => {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== Node.ELEMENT_NODE) { old.nodeValue = fresh.nodeValue; return; }
    for (const {name} of [...old.attributes])
      if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    for (const {name, value} of fresh.attributes)
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    const keyed = new Map();
    for (const child of old.children) if (key(child) !== null) keyed.set(key(child), child);
    let at = old.firstChild;
    for (const next of [...fresh.childNodes]) {
      const name = key(next);
      const alike = at && at.nodeName === next.nodeName && key(at) === null;
      const same = name !== null ? keyed.get(name) : alike ? at : null;
      if (!same) {
        if (next.nodeName === "TR" && next.closest("#changes")) next.classList.add("new");
        old.insertBefore(next, at);
        continue;
      }
      keyed.delete(name);
      if (same === at) at = at.nextSibling;
      else old.insertBefore(same, at);
      patch(same, next);
    }
    while (at) { const next = at.nextSibling; at.remove(); at = next; }
  };
  const replace = (text) => {
    const page = new DOMParser().parseFromString(text, "text/html");
    takeTitles(page);
    const focused = document.activeElement, bar = picked && picked.closest("svg");
    const place = bar ? partsOf(bar).length - partsOf(bar).indexOf(picked) : 0;
    for (const fresh of page.querySelectorAll("[data-live]")) {
      const old = document.getElementById(fresh.id);
      if (old) patch(old, fresh);
    }
    if (focused && focused !== document.activeElement && focused.isConnected)
      focused.focus({preventScroll: true});
    // The bars move to the left: counted from the end, the part is still the same.
    if (bar) pick(bar.isConnected && bar.matches(":focus") ? partsOf(bar).at(-place) || null : null);
  };
  const address = location.origin + location.pathname + location.search; // without a password
  let etag = body.dataset.etag, answered = now(), timer = 0, asking = false;
  const ask = async () => {
    if (asking || document.hidden) return;
    asking = true;
    try {
      const answer = await fetch(address, {
        headers: {"If-None-Match": etag}, cache: "no-store", signal: AbortSignal.timeout(10000)});
      if (answer.status !== 304) {
        if (!answer.ok) throw new Error(answer.status);
        const text = await answer.text();
        etag = answer.headers.get("ETag") || "";
        replace(text);
      }
      answered = now();
      lost.hidden = true;
      tick();
    } catch (error) {
      const what = /^\d+$/.test(error.message) ?
        "The agent answers with HTTP status " + error.message : "No answer from the agent";
      setText(lost, what + " since " + answered.toISOString().slice(11, 19) +
        " UTC. What is shown is as of then.");
      lost.hidden = false;
    }
    body.classList.toggle("stale", !lost.hidden);
    if (picked) pick(picked); // it may have moved
    asking = false;
  };
  const start = () => {
    clearInterval(timer);
    if (!document.hidden) { timer = setInterval(ask, 1000); ask(); }
  };
  takeTitles(document);
  document.addEventListener("visibilitychange", start);
  start();
})();
