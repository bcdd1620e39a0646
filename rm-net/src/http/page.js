// The page of rmd: asks the server again and again, and changes on the page only what has changed.
//
// Names, labels and modes are what strangers chose. They only ever become text, never markup: nothing here sets innerHTML,
// and the server forbids every script but this one.
"use strict";

const EVERY_MS = 2000; // how often the server is asked
const PATIENCE_MS = 6000; // an answer that takes longer is none

const $ = (id) => document.getElementById(id);
const state = { chosen: null, prefix: "", after: null, paused: false, round: 0, timer: null, asking: new AbortController(), goneSince: null };

// Text and attributes are touched only where they differ: so nothing flickers, and what is selected stays so.
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

// Makes the children of `parent` those for `items`, in their order; what is there for a key is kept and filled anew.
function sync(parent, items, keyOf, create, fill) {
  const present = new Map(Array.from(parent.children, (child) => [child.dataset.key, child]));
  const seen = new Map();
  let place = parent.firstElementChild;
  items.forEach((item, index) => {
    const same = keyOf(item, index);
    const count = seen.get(same) ?? 0;
    seen.set(same, count + 1);
    const key = `${count} ${same}`;
    let child = present.get(key);
    if (child) present.delete(key);
    else {
      child = create(item);
      child.dataset.key = key;
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    fill(child, item);
  });
  present.forEach((child) => child.remove());
}

function span(ms) {
  if (ms < 1000) return `${ms} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.floor(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor(whole / 60) % 60} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor(whole / 3600) % 24} h`;
}

// The bytes of a name, from hexadecimal to what stands in an address.
const encodeHex = (hex) => hex.replace(/../g, "%$&");
const encodeText = (text) => encodeHex(Array.from(new TextEncoder().encode(text), (byte) => byte.toString(16).padStart(2, "0")).join(""));

async function ask(path, signal) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]) });
  if (answer.status === 404) return null;
  const object = await answer.json();
  if (!answer.ok) throw new Refusal(object.error || `the server says ${answer.status}`);
  return object;
}

// The server is there, and says no.
class Refusal extends Error {}

function showStatus(status) {
  document.title = `${status.name}: locks`;
  setText($("server"), status.name);
  const pill = $("standing");
  setText(pill, status.ready ? "lends" : `not ready: ${status.standing}`);
  pill.className = status.ready ? "pill good" : "pill bad";
  const reasons = $("reasons");
  reasons.hidden = status.ready;
  sync(reasons, status.reasons, (reason, index) => `${index}`, () => make("li"), setText);
  const counter = (name) => String(status.counters[name] ?? 0);
  const facts = [
    ["Role", status.role],
    ["Sessions", String(status.sessions)],
    ["Resources", String(status.resources)],
    ["Loans", counter("loans")],
    ["Waiting requests", counter("waiting")],
    ["Epoch", String(status.epoch)],
    ["Lease", span(status.lease_ms)],
    ["Up for", span(status.uptime_ms)],
    ["Version", status.software],
  ];
  const create = () => {
    const fact = make("div");
    fact.append(make("dt"), make("dd", "theirs"));
    return fact;
  };
  sync($("overview"), facts, ([name]) => name, create, (fact, [name, value]) => {
    setText(fact.children[0], name);
    setText(fact.children[1], value);
  });
  showMembers(status.cluster);
}

function showMembers(cluster) {
  const create = () => {
    const row = make("tr");
    row.append(make("td", "name"), make("td", "theirs"), make("td"), make("td", "number"));
    return row;
  };
  sync($("members"), cluster.members, (member) => member.name_hex, create, (row, member) => {
    const state = cluster.missing.includes(member.name) ? `${member.state}, its report is missing` : member.state;
    [member.name, member.address, state, String(member.weight)].forEach((text, at) => setText(row.children[at], text));
  });
  const { kind, connected, last_error: error, warnings } = cluster.coordinator;
  const parts = [`Coordinator: ${kind}${connected ? "" : ", which cannot be reached"}`];
  if (error) parts.push(`last error: ${error}`);
  setText($("coordinator"), parts.concat(warnings).join("; "));
}

const idOf = (resource) => `${resource.type_id}:${resource.name_hex}`;

function showResources(list) {
  const create = () => {
    const row = make("tr");
    const name = make("td", "name");
    name.append(make("a"));
    row.append(name, make("td", "wide theirs"), make("td", "number"), make("td", "number"), make("td", "number wide"));
    return row;
  };
  sync($("resources"), list.resources, idOf, create, (row, resource) => {
    const link = row.children[0].firstElementChild;
    const id = idOf(resource);
    setText(link, resource.name);
    if (link.getAttribute("href") !== `#${id}`) link.setAttribute("href", `#${id}`);
    const isChosen = id === state.chosen;
    row.classList.toggle("chosen", isChosen);
    if (isChosen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    [resource.type, resource.debtors, resource.waiting, resource.holds].forEach((value, at) => setText(row.children[at + 1], String(value)));
    row.children[3].classList.toggle("some", resource.waiting > 0);
  });
  const none = $("none");
  none.hidden = list.resources.length > 0;
  setText(none, state.prefix ? "Nothing that starts so is held, cached or waited for." : "Nothing is held, cached or waited for.");
  $("next").disabled = !list.next;
  $("next").dataset.after = list.next || "";
  $("first").disabled = !state.after;
}

const nodeOf = (entry) => entry.node || "a node without a name";

// One party in a few words: what it does, in which mode, since when. Its token is larger than numbers are exact here.
function words(entry) {
  const times = entry.guards > 1 ? `, ${entry.guards} times` : "";
  switch (entry.kind) {
    case "holds": return `holds it to ${entry.mode}, for ${span(entry.age_ms)}${times}`;
    case "caches": return "has it cached, and may use it";
    case "silent": return `may hold it, and has not answered for ${span(entry.age_ms)}`;
    default: return `waits to ${entry.mode || "have it"}, for ${span(entry.age_ms)}`;
  }
}

function makeParty() {
  const party = make("li");
  party.append(make("strong", "theirs"), make("span"), make("span", "theirs"), make("ul", "why"));
  return party;
}

function fillParty(party, entry) {
  const [node, what, label, why] = party.children;
  setText(node, nodeOf(entry));
  setText(what, ` ${words(entry)}`);
  setText(label, entry.label ? `: ${entry.label}` : "");
  party.className = entry.kind === "caches" ? "cached" : entry.kind === "silent" ? "silent" : "";
  why.hidden = true;
}

function showOne(shown) {
  const hasOne = state.chosen !== null;
  $("choose").hidden = hasOne;
  $("shown").hidden = !hasOne;
  if (!hasOne) return;
  if (!shown) {
    setText($("about"), "Nobody holds it, nobody waits.");
    sync($("holders"), [], String, makeParty, fillParty);
    sync($("waiters"), [], String, makeParty, fillParty);
    return;
  }
  setText($("name"), shown.name);
  const more = shown.omitted > 0 ? `; ${shown.omitted} more parties are not shown` : "";
  setText($("about"), `${shown.type}${more}`);
  const keyed = shown.entries.map((entry, place) => ({ ...entry, place }));
  const says = (entry) => keyed.some((other) => other.kind === "holds" && other.node === entry.node);
  const holders = keyed.filter((entry) => entry.kind !== "waits" && !(entry.kind === "caches" && says(entry)));
  // They answer in any order; here each keeps its place.
  holders.sort((one, other) => (one.node < other.node ? -1 : one.node > other.node ? 1 : one.place - other.place));
  const key = (entry) => `${entry.kind} ${entry.node} ${entry.mode} ${entry.label} ${entry.kind === "waits" ? entry.place : entry.fence}`;
  sync($("holders"), holders, key, makeParty, fillParty);
  const waiters = shown.fronts.map((front) => ({ ...keyed[front.entry], front }));
  sync($("waiters"), waiters, key, makeParty, (party, waiter) => {
    fillParty(party, waiter);
    const why = party.children[3];
    const reasons = waiter.front.behind.map((place) => {
      const other = keyed[place];
      const label = other.label ? ` (${other.label})` : "";
      if (other.kind === "waits") return `behind ${nodeOf(other)}${label}, which asked before, to ${other.mode || "have it"}`;
      return `for ${nodeOf(other)}${label}, which ${words(other)}`;
    });
    if (waiter.front.more > 0) reasons.push(`and for ${waiter.front.more} more`);
    if (reasons.length === 0) reasons.push("for credit that is on its way");
    why.hidden = false;
    sync(why, reasons, (reason, index) => `${index}`, () => make("li", "theirs"), setText);
  });
}

function showFresh() {
  state.goneSince = null;
  $("gone").hidden = true;
  $("main").classList.remove("stale");
  setText($("fresh"), state.paused ? "paused" : `as of ${new Date().toLocaleTimeString()}`);
}

function showGone(error) {
  state.goneSince = state.goneSince || new Date();
  const since = state.goneSince.toLocaleTimeString();
  const gone = $("gone");
  const what = error instanceof Refusal ? `The server refuses to answer (${error.message})` : "The server cannot be reached";
  setText(gone, `${what} since ${since}. What is shown below is from before. It is asked again every ${EVERY_MS / 1000} s.`);
  gone.hidden = false;
  $("main").classList.add("stale");
  setText($("standing"), "unknown");
  $("standing").className = "pill bad";
  setText($("fresh"), "no answer");
}

async function refresh() {
  clearTimeout(state.timer);
  state.asking.abort(); // what was asked before is of no interest any more
  state.asking = new AbortController();
  const { signal } = state.asking;
  const round = ++state.round;
  try {
    const after = state.after ? `&after=${encodeURIComponent(state.after)}` : "";
    const [type, hex] = state.chosen ? state.chosen.split(":") : [];
    const [status, list, one] = await Promise.all([
      ask("status", signal),
      ask(`resources?limit=100&prefix=${encodeText(state.prefix)}${after}`, signal),
      state.chosen ? ask(`resource?type=${type}&name=${encodeHex(hex)}`, signal) : null,
    ]);
    if (round !== state.round) return; // somebody has asked for something else since
    showStatus(status);
    showResources(list);
    showOne(one);
    showFresh();
  } catch (error) {
    if (round === state.round) showGone(error);
  }
  if (round === state.round && !state.paused) state.timer = setTimeout(refresh, EVERY_MS);
}

function choose() {
  const match = /^#(\d{1,10}:(?:[0-9a-f]{2}){1,255})$/.exec(location.hash);
  state.chosen = match ? match[1] : null;
  if (match) setText($("name"), "…");
  setText($("about"), "");
  refresh();
}

$("search").addEventListener("submit", (event) => event.preventDefault());
$("prefix").addEventListener("input", (event) => {
  state.prefix = event.target.value;
  state.after = null;
  refresh();
});
$("next").addEventListener("click", (event) => {
  state.after = event.currentTarget.dataset.after || null;
  refresh();
});
$("first").addEventListener("click", () => {
  state.after = null;
  refresh();
});
$("pause").addEventListener("click", (event) => {
  state.paused = !state.paused;
  event.currentTarget.setAttribute("aria-pressed", String(state.paused));
  setText(event.currentTarget, state.paused ? "Go on" : "Pause");
  refresh();
});
addEventListener("hashchange", () => {
  // The link to skip to the locks is no choice.
  if (location.hash === "#locks") return;
  choose();
  // On a narrow screen it is further down, and whoever listens wants to hear it.
  if (state.chosen) $("detail-title").focus();
});
choose();
