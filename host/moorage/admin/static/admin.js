// The admin UI's one script. Every page works without it; with it, lists refresh by themselves, times stay
// true, ids can be copied and a form can't be sent twice.
"use strict";

const EVERY = 2000;
const root = document.documentElement;
root.classList.add("js");

// Times: the exact one in the viewer's own zone, the relative one kept true.
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

function relative(at, now) {
  const away = Math.abs(at - now) / 1000;
  const days = Math.floor(away / 86400);
  if (away < 60) return "just now";
  const amount =
    away < 3600 ? `${Math.floor(away / 60)} min`
    : away < 86400 ? `${Math.floor(away / 3600)} h`
    : days < 14 ? `${days} ${days === 1 ? "day" : "days"}`
    : "";
  if (!amount) return "";
  return at > now ? `in ${amount}` : `${amount} ago`;
}

function tellTimes() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    time.title = exact.format(at);
    const text = relative(at, Date.now());
    if (text && time.textContent !== text) time.textContent = text;
  }
}

// Copying
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1500);
  } catch {
    const selection = getSelection();
    selection.selectAllChildren(button.previousElementSibling ?? button.parentElement);
  }
});

// A form that is on its way says so, and is not sent again; one that only asks, if the answer may take a while.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" && !form.querySelector("[data-busy]")) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "1";
  for (const button of form.querySelectorAll("button:not([type=button])")) {
    button.setAttribute("aria-busy", "true");
    if (button.dataset.busy) {
      button.dataset.idle = button.textContent;
      button.textContent = button.dataset.busy;
    }
  }
});
// Back from the browser's cache: the form may be sent again.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("[aria-busy]")) {
      button.removeAttribute("aria-busy");
      if (button.dataset.idle) button.textContent = button.dataset.idle;
    }
  }
});

// What a look alone means (these messages are read) is said at once, to those whose page is in front of them.
function sayAtOnce() {
  if (document.hidden) return;
  for (const form of document.querySelectorAll("form[data-at-once]")) {
    const said = new URLSearchParams(new FormData(form));
    form.remove();
    fetch(form.action, { method: "POST", body: said, redirect: "manual", keepalive: true }).catch(() => {});
  }
}

// Live parts: the page is asked for again and its live part replaces ours, unless somebody is using it.
function load(url) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // it parses a document without running anything in it
    request.open("GET", url);
    request.responseType = "document";
    request.setRequestHeader("X-Moorage-Live", "1");
    request.timeout = 10000;
    request.onload = () => resolve(request);
    request.onerror = request.ontimeout = () => reject(new Error("no answer"));
    request.send();
  });
}

function isInUse(part) {
  const active = document.activeElement;
  const selection = getSelection();
  return (
    (active && active !== document.body && part.contains(active)) ||
    (!selection.isCollapsed && part.contains(selection.anchorNode)) ||
    part.querySelector("details[open], form[data-sent]") !== null
  );
}

function keys(part) {
  return new Set([...part.querySelectorAll("[data-key]")].map((row) => row.dataset.key));
}

function announce(part, fresh) {
  const place = document.querySelector("[data-announce]");
  if (place && fresh) place.textContent = `${fresh} new ${part.dataset.noun}${fresh === 1 ? "" : "s"}`;
}

const shape = (part) => part.outerHTML.replace(/<time [^>]*>[^<]*<\/time>|name="csrf" value="[^"]*"| class="is-new"/g, "");

async function refresh(part) {
  if (document.hidden || isInUse(part)) return part;
  const answer = await load(location.href);
  if (answer.status === 401) {
    // Asked twice it is over; once, another window may have confirmed who it is, and the cookie is a new one.
    if (part.wasRefused) location.reload();
    part.wasRefused = true;
    return part;
  }
  part.wasRefused = false;
  const next = answer.status === 200 && answer.response?.querySelector(`[data-live="${part.dataset.live}"]`);
  if (!next || isInUse(part) || shape(next) === part.shape) return part;
  const known = keys(part);
  const here = document.adoptNode(next);
  here.shape = shape(here);
  let fresh = 0;
  for (const row of here.querySelectorAll("[data-key]")) {
    if (known.has(row.dataset.key)) continue;
    row.classList.add("is-new");
    fresh += 1;
  }
  part.replaceWith(here);
  announce(here, fresh);
  tellTimes();
  sayAtOnce();
  return here;
}

async function keepLive(part) {
  part.shape = shape(part);
  let wait = EVERY;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    try {
      part = await refresh(part);
      wait = EVERY;
    } catch {
      wait = Math.min(wait * 2, 60000); // the host is away: ask less often, it will be back
    }
  }
}

tellTimes();
setInterval(tellTimes, 30000);
sayAtOnce();
document.addEventListener("visibilitychange", sayAtOnce);
for (const part of document.querySelectorAll("[data-live]")) keepLive(part);
