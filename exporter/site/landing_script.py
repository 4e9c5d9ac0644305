"""The script of the landing page: it updates the page while somebody looks at it."""

#: The Content-Security-Policy has the hash of these bytes.
SCRIPT = """
"use strict";
(() => {
  const lost = document.getElementById("lost");
  let etag = document.body.dataset.etag, answered = new Date(), timer = 0, asking = false;
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const duration = (seconds) => {
    if (seconds < 1) return "< 1 s";
    const first = units.findIndex(([size]) => seconds >= size);
    let rest = Math.floor(seconds), text = [];
    for (const [size, unit] of units) {
      const count = Math.floor(rest / size);
      rest -= count * size;
      text.push(count ? count + "\\u202f" + unit : "");
    }
    return text.slice(first, first + 2).filter(Boolean).join(" ");
  };
  const tick = () => {
    const now = Date.now() / 1000 + Number(document.body.dataset.skew || 0);
    for (const cell of document.querySelectorAll("[data-since]"))
      cell.textContent = duration(Math.max(0, now - Number(cell.dataset.since)));
  };
  const replace = (text) => {
    const page = new DOMParser().parseFromString(text, "text/html");
    const focused = document.activeElement && document.activeElement.id;
    const open = [...document.querySelectorAll("details[open]")].map((d) => d.id);
    for (const section of page.querySelectorAll("[data-live]")) {
      const old = document.getElementById(section.id);
      if (!old) continue;
      const scroll = [...old.querySelectorAll(".scroll")].map((e) => e.scrollLeft);
      old.replaceChildren(...section.childNodes);
      [...old.querySelectorAll(".scroll")].forEach((e, n) => { e.scrollLeft = scroll[n] || 0; });
    }
    for (const id of open) { const d = document.getElementById(id); if (d) d.open = true; }
    const again = focused && document.getElementById(focused);
    if (again) again.focus({preventScroll: true});
  };
  const ask = async () => {
    if (asking || document.hidden) return;
    asking = true;
    try {
      const answer = await fetch(location.href, {
        headers: {"If-None-Match": etag}, cache: "no-store", signal: AbortSignal.timeout(10000)});
      if (answer.status !== 304) {
        if (!answer.ok) throw new Error(answer.status);
        etag = answer.headers.get("ETag") || "";
        replace(await answer.text());
      }
      answered = new Date();
      lost.hidden = true;
    } catch (error) {
      const since = answered.toISOString().slice(11, 19);
      if (lost.hidden) lost.textContent = "No answer from the agent since " + since + " UTC";
      lost.hidden = false;
    }
    asking = false;
    tick();
  };
  const start = () => {
    clearInterval(timer);
    if (!document.hidden) { timer = setInterval(ask, 1000); ask(); }
  };
  document.body.dataset.skew = Number(document.body.dataset.time) - Date.now() / 1000;
  document.addEventListener("visibilitychange", start);
  start();
})();
""".strip()
