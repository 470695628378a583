// Reads the page anew while it is visible, and replaces what changed. Without a script the pages work as they are.
"use strict";
const seconds = Number(document.body.dataset.refresh || 0);
async function refresh() {
  const main = document.querySelector("main");
  if (document.hidden || main.contains(document.activeElement) || !getSelection().isCollapsed) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    if (fresh && fresh.innerHTML !== main.innerHTML) main.replaceChildren(...fresh.childNodes);
  } catch { /* the server is away: the page stays as it is */ }
}
if (seconds > 0) setInterval(refresh, seconds * 1000);
