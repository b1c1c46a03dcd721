"use strict";
// One card at a time: the reviewer's answers are all that changes, and every view is drawn from them anew.
// Names and texts come from files that nobody has checked: they only ever become text nodes, never markup.

const facts = JSON.parse(document.getElementById("facts").textContent);
const cards = facts.cards;
const byId = new Map(cards.map((card) => [card.id, card]));
const classes = Object.keys(facts.classes);
const storeName = `specurate-review:${facts.dataset}:${facts.key}`;
const FEW = 9; // classes that number keys reach
const byKey = (name) => document.getElementById(name);

// ---- what is remembered

let isKept = true; // whether the browser keeps answers over a reload
let current = null;
let memory = { reviewer: "", answers: {}, notes: {}, past: [], at: "", keys: true, downloaded: "" };

function remember() {
  try {
    localStorage.setItem(storeName, JSON.stringify(memory));
    isKept = true;
  } catch {
    isKept = false;
  }
  byKey("warning").hidden = isKept;
  if (!isKept) {
    byKey("warning").textContent =
      "This browser does not keep your answers. Download them before you close or reload this page.";
  }
}

function recall() {
  try {
    const found = JSON.parse(localStorage.getItem(storeName) || "{}");
    memory = { ...memory, ...found };
    // What another page left there under the same name is not to break this one.
    for (const [name, answer] of Object.entries(memory.answers)) {
      if (!byId.has(name) || !answer || !Array.isArray(answer.apart)) delete memory.answers[name];
    }
  } catch {
    isKept = false;
  }
}

// ---- what answers mean

const isGroup = (card) => card.issue === "near_duplicate";
const asksLabel = (card) => facts.label_issues.includes(card.issue);

// What the answers to other cards amount to: the samples that they leave out (`gone`), and whose label they state.
function outcome(except = "") {
  const gone = new Set();
  const stated = new Set();
  for (const [name, answer] of Object.entries(memory.answers)) {
    if (name === except) continue;
    const card = byId.get(name);
    for (const one of linesOf(card, answer, false)) {
      if (one.action === "drop" || one.action === "merge") gone.add(one.sample_id);
      if (one.action === "relabel" || (one.action === "keep" && asksLabel(card))) stated.add(one.sample_id);
    }
  }
  return { gone, stated };
}

const askedOf = (card, gone) => card.members.filter((one) => one.open && !gone.has(one.id));

// Whether an answer to another card has settled this one, in words; "" while it is open.
function settled(card, { gone, stated }) {
  const asked = askedOf(card, gone);
  if (isGroup(card)) {
    const left = card.members.filter((one) => !gone.has(one.id)).length + card.hidden;
    return asked.length === 0 || left < 2 ? "Your other answers leave no copy here." : "";
  }
  if (asked.length === 0) return "Another answer of yours leaves this picture out.";
  const isStated = asksLabel(card) && stated.has(card.members[0].id);
  return isStated ? "Another answer of yours states the label of this picture." : "";
}

const isDone = (card, others) => Boolean(memory.answers[card.id]) || Boolean(settled(card, others));

// The lines that an answer becomes in the file: one a sample that it decides.
function linesOf(card, answer, isWhole = true) {
  const gone = isWhole ? outcome(card.id).gone : new Set();
  const line = (member, action, label = "") => ({
    sample_id: member.id,
    finding: card.issue,
    action,
    label,
    before: member.label,
    after: member.after,
    note: (memory.notes[card.id] || "").trim(),
    reviewer: answer.by,
    time: answer.time,
  });
  if (!isGroup(card)) return [line(card.members[0], answer.action, answer.label || "")];
  const asked = askedOf(card, gone);
  if (answer.action !== "merge") return asked.map((one) => line(one, answer.action));
  const stays = (one) => one.id === answer.label || answer.apart.includes(one.id);
  const isMerged = asked.some((one) => !stays(one));
  return asked.flatMap((one) => {
    if (!stays(one)) return [line(one, "merge", answer.label)];
    // What others are merged into is answered by that.
    return one.id === answer.label && isMerged ? [] : [line(one, "keep")];
  });
}

function words(card, answer) {
  if (answer.action === "relabel") return `relabelled ${answer.label}`;
  if (!isGroup(card)) return answer.action === "keep" ? "kept as it is" : "dropped";
  if (answer.action === "keep") return "no copies: all stay";
  if (answer.action === "drop") return "all dropped";
  const apart = answer.apart.length ? `, ${answer.apart.length} no copy` : "";
  return `merged into ${card.members.find((one) => one.id === answer.label).path}${apart}`;
}

// ---- answering

function give(card, answer) {
  if (!memory.reviewer) return askName();
  if (settled(card, outcome(card.id))) return;
  const before = [[card.id, memory.answers[card.id] || null]];
  memory.answers[card.id] = { label: "", apart: [], ...answer, by: memory.reviewer, time: new Date().toISOString() };
  // Copies cannot be merged into a picture that is left out now: their group is asked again.
  const out = linesOf(card, memory.answers[card.id]).filter((one) => one.action === "drop" || one.action === "merge");
  const leaving = new Set(out.map((one) => one.sample_id));
  for (const [name, other] of Object.entries(memory.answers)) {
    if (name !== card.id && other.action === "merge" && leaving.has(other.label)) {
      before.push([name, other]);
      delete memory.answers[name];
      drafts.delete(name);
    }
  }
  memory.past = [...memory.past, before].slice(-200);
  const again = before.length > 1 ? " Its copies are asked about again." : "";
  say(`${titleOf(card)}: ${words(card, memory.answers[card.id])}.${again} Undo: u`);
  go(nextOpen(card));
}

function accept() {
  const card = current;
  if (!card) return;
  if (isGroup(card)) {
    const { keeper, apart } = draftOf(card);
    if (askedOf(card, outcome(card.id).gone).every((one) => one.id === keeper || apart.includes(one.id))) return keep();
    return give(card, { action: "merge", label: keeper, apart });
  }
  if (card.action === "relabel" && classes.includes(card.label)) return relabel(card.label);
  if (card.action === "keep") return keep();
  if (card.action === "drop") return give(card, { action: "drop" });
  say("Nothing is suggested here. Keep it, relabel it or drop it.");
}

function keep() {
  if (!current) return;
  if (!isGroup(current) && asksLabel(current) && !current.members[0].label) {
    return say("This picture has no label that could be kept. Relabel it, or skip it.");
  }
  give(current, { action: "keep" });
}

function relabel(label) {
  if (!current || isGroup(current)) return;
  if (label === current.members[0].label) return keep();
  give(current, { action: "relabel", label });
}

function undo() {
  const last = memory.past.pop();
  if (!last) return say("There is nothing to undo.");
  const [name] = last[0];
  const undone = memory.answers[name];
  for (const [other, before] of last) {
    drafts.delete(other);
    if (before) memory.answers[other] = before;
    else delete memory.answers[other];
  }
  go(byId.get(name));
  const isSent = undone && memory.downloaded > undone.time;
  say(isSent ? "Undone here, but you have downloaded this answer already: answer it anew to change it." : "Undone.");
}

// ---- groups: which member stays, and which are no copies

const drafts = new Map();

function draftOf(card) {
  if (!drafts.has(card.id)) {
    const answer = memory.answers[card.id];
    const isMerge = answer && answer.action === "merge";
    drafts.set(card.id, { keeper: isMerge ? answer.label : card.keeper, apart: isMerge ? [...answer.apart] : [] });
  }
  const draft = drafts.get(card.id);
  const { gone } = outcome(card.id);
  if (gone.has(draft.keeper)) draft.keeper = card.members.find((one) => !gone.has(one.id)).id;
  return draft;
}

function chooseKeeper(member) {
  const { gone } = outcome(current.id);
  if (!member || gone.has(member.id)) return;
  const draft = draftOf(current);
  draft.keeper = member.id;
  draft.apart = draft.apart.filter((one) => one !== member.id);
  give(current, { action: "merge", label: member.id, apart: draft.apart });
}

function toggleApart(member) {
  const draft = draftOf(current);
  draft.apart = draft.apart.includes(member.id)
    ? draft.apart.filter((one) => one !== member.id)
    : [...draft.apart, member.id];
  draw();
}

// ---- going through the cards

function isWanted(card) {
  const issue = byKey("issue").value;
  const name = byKey("class").value;
  const hasClass = () => card.label === name || card.members.some((one) => one.label === name);
  return (!issue || card.issue === issue) && (!name || hasClass());
}

function isShown(card, others) {
  const status = byKey("status").value;
  return isWanted(card) && (status === "all" || (status === "answered") === isDone(card, others));
}

function step(from, way) {
  const others = outcome();
  for (let at = cards.indexOf(from) + way; at >= 0 && at < cards.length; at += way) {
    if (isShown(cards[at], others)) return cards[at];
  }
  return null;
}

// The next card without an answer, from the first again after the last; null when all are answered.
function nextOpen(from) {
  const others = outcome();
  const start = cards.indexOf(from) + 1;
  const order = [...cards.slice(start), ...cards.slice(0, start)];
  return order.find((card) => isWanted(card) && !isDone(card, others)) || null;
}

function skip() {
  const next = current ? step(current, 1) : null;
  if (next) go(next);
  else if (current && nextOpen(current) && nextOpen(current) !== current) go(nextOpen(current));
  else if (current) say("This is the last one.");
}

function back() {
  const before = current ? step(current, -1) : [...cards].reverse().find((card) => isShown(card, outcome()));
  if (before) go(before);
  else say("This is the first one.");
}

function go(card) {
  current = card || null;
  memory.at = current ? current.id : "";
  remember();
  draw();
  byKey("card").focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

// ---- drawing

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((one) => one !== null && one !== ""));
  return element;
}

const named = (label) => (label ? make("bdi", {}, label) : make("span", { className: "soft" }, "no label"));

function button(text, key, action, properties = {}) {
  const hint = key ? make("kbd", {}, key) : null;
  return make("button", { type: "button", onclick: action, ...properties }, text, hint);
}

function picture(one, className) {
  const frame = make("div", { className: `frame ${className}` });
  const source = one.picture && byKey(one.picture);
  const alt = `${one.path}, labelled ${one.label || "nothing"}`;
  if (source) frame.append(make("img", { src: source.textContent, alt, decoding: "async", draggable: false }));
  else frame.append(make("span", { className: "soft" }, "no picture"));
  return frame;
}

function titleOf(card) {
  return isGroup(card) ? `${card.members.length + card.hidden} copies` : card.members[0].path;
}

function draw() {
  drawProgress();
  const main = byKey("card");
  if (!current) {
    main.replaceChildren(drawDone());
    return;
  }
  main.replaceChildren(isGroup(current) ? drawGroup(current) : drawSingle(current));
  main.setAttribute("aria-label", titleOf(current));
}

function drawSingle(card) {
  const [member] = card.members;
  const path = make("p", { className: "path" }, make("bdi", {}, member.path), ` · ${member.size}`);
  const left = make("div", { className: "look" }, picture(member, "large"), path, drawContext(card));
  const labels = make("p", { className: "labels" }, make("span", { className: "soft" }, "labelled "), named(member.label));
  if (card.label && card.label !== member.label) {
    labels.append(make("span", { className: "soft" }, " → suggested "), make("bdi", { className: "new" }, card.label));
  }
  return make("article", { className: "single" }, left, make("div", { className: "say" }, ...head(card), labels, ...foot(card)));
}

function head(card) {
  const issue = facts.issues[card.issue];
  return [
    make("h2", {}, issue.title, make("span", { className: "score" }, `score ${card.score.toFixed(3)}`)),
    make("p", { className: "soft meaning" }, issue.meaning),
    make("p", { className: "evidence" }, isGroup(card) ? "" : card.evidence),
  ].filter((one) => one.textContent);
}

function foot(card) {
  const why = settled(card, outcome(card.id));
  const answer = memory.answers[card.id];
  const state = answer
    ? make("p", { className: "state" }, `Answered: ${words(card, answer)} (${answer.by})`)
    : why
      ? make("p", { className: "state" }, why)
      : null;
  return [state, why ? null : drawActions(card), drawNote(card)].filter(Boolean);
}

function drawActions(card) {
  const box = make("div", { className: "answers" });
  const main = make("div", { className: "bar" });
  const suggestion = suggested(card);
  if (suggestion) main.append(button(suggestion, "Enter", accept, { className: "strong", id: "accept", ariaKeyShortcuts: "Enter A" }));
  const canKeep = isGroup(card) || !asksLabel(card) || card.members[0].label;
  if (canKeep && card.action !== "keep") main.append(button(isGroup(card) ? "Not copies" : "Keep as is", "k", keep, { id: "keep" }));
  const dropped = () => give(card, { action: "drop" });
  if (card.action !== "drop") main.append(button(isGroup(card) ? "Drop all" : "Drop", "d", dropped, { id: "drop", className: "bad" }));
  main.append(button("Skip", "Space", skip, { id: "skip" }));
  box.append(main);
  if (!isGroup(card)) box.append(classes.length <= FEW ? drawClasses(card) : drawFinder(card));
  return box;
}

function suggested(card) {
  if (isGroup(card)) return "Merge into the framed one";
  if (card.action === "relabel" && classes.includes(card.label)) return `Relabel ${card.label}`;
  return { keep: "Keep as is", drop: "Drop" }[card.action] || "";
}

function drawClasses(card) {
  const rows = classes.map((name, place) => {
    const row = button("", "", () => relabel(name), { className: "class", ariaKeyShortcuts: String(place + 1) });
    row.append(make("kbd", {}, String(place + 1)), make("bdi", {}, name), make("span", { className: "soft" }, facts.classes[name]));
    row.ariaPressed = String(card.members[0].label === name);
    return make("li", {}, row);
  });
  return make("div", {}, make("h3", {}, "It is"), make("ul", { className: "classes" }, ...rows));
}

// Many classes: type the start of one; Enter takes the first that fits.
function drawFinder(card) {
  const list = make("ul", { className: "classes" });
  const input = make("input", { id: "finder", autocomplete: "off", spellcheck: false, ariaKeyShortcuts: "R" });
  const near = [card.label, card.members[0].label, ...card.context.map((one) => one.label)];
  const fitting = () => {
    const typed = input.value.trim().toLowerCase();
    if (!typed) return [...new Set(near)].filter((name) => classes.includes(name)).slice(0, 6);
    const starting = classes.filter((name) => name.toLowerCase().startsWith(typed));
    const holding = classes.filter((name) => !name.toLowerCase().startsWith(typed) && name.toLowerCase().includes(typed));
    return [...starting, ...holding].slice(0, 8);
  };
  const show = () => {
    list.replaceChildren(
      ...fitting().map((name) => {
        const row = button("", "", () => relabel(name), { className: "class" });
        row.append(make("bdi", {}, name), make("span", { className: "soft" }, facts.classes[name]));
        return make("li", {}, row);
      }),
    );
  };
  input.oninput = show;
  input.onkeydown = (event) => {
    if (event.key === "Enter" && !event.isComposing && input.value.trim()) {
      event.preventDefault();
      const [first] = fitting();
      if (first) relabel(first);
      else say("No class begins so.");
    }
  };
  show();
  return make("div", {}, make("label", { htmlFor: "finder" }, make("h3", {}, "It is ", make("kbd", {}, "r"))), input, list);
}

function drawNote(card) {
  const input = make("input", { id: "note", maxLength: 500, value: memory.notes[card.id] || "", autocomplete: "off" });
  input.oninput = () => {
    const text = input.value.replace(/\p{Cc}/gu, " ");
    if (text.trim()) memory.notes[card.id] = text;
    else delete memory.notes[card.id];
    // A note that comes later is part of the answer, and the file must say so anew.
    const answer = memory.answers[card.id];
    if (answer) answer.time = new Date().toISOString();
    remember();
  };
  input.onkeydown = (event) => {
    if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      byKey("card").focus();
    }
  };
  return make("div", { className: "note" }, make("label", { htmlFor: "note" }, "Note ", make("kbd", {}, "n")), input);
}

function drawContext(card) {
  if (!card.context.length) return "";
  const isCopies = ["label_conflict", "leakage"].includes(card.issue);
  const rows = card.context.map((one) =>
    make("li", { title: one.path }, picture(one, "small"), make("span", { className: one.label === card.label ? "new" : "" }, named(one.label))),
  );
  return make("div", { className: "context" }, make("h3", {}, isCopies ? "Its copies" : "Most like it"), make("ul", {}, ...rows));
}

function drawGroup(card) {
  const others = outcome(card.id);
  const draft = draftOf(card);
  const isOpen = !settled(card, others);
  const rows = card.members.map((member, place) => drawMember(member, place, draft, others.gone.has(member.id), isOpen));
  const labels = [...new Set(card.members.map((one) => one.label || "no label"))];
  const differ = labels.length > 1 ? make("p", { className: "differ" }, `The labels differ: ${labels.join(", ")}. What stays keeps its own.`) : null;
  const hidden = card.hidden ? make("p", { className: "soft" }, `${card.hidden} more of this group come with the next page.`) : null;
  const side = make("div", { className: "say" }, ...head(card), ...[differ, hidden].filter(Boolean), ...foot(card));
  return make("article", { className: "group" }, make("ol", { className: `members n${Math.min(4, card.members.length)}` }, ...rows), side);
}

function drawMember(member, place, draft, isGone, isOpen) {
  const stays = member.id === draft.keeper;
  const isApart = draft.apart.includes(member.id);
  const says = isGone ? "left out by another answer" : stays ? "stays" : isApart ? "not a copy" : member.open ? "merges" : "answered before";
  const item = make("li", { className: stays ? "keeper" : isGone ? "gone" : "" });
  const choose = make("button", { type: "button", className: "choose", disabled: isGone || !isOpen, onclick: () => chooseKeeper(member) });
  choose.ariaLabel = `Merge the others into ${member.path}`;
  choose.append(picture(member, "large"));
  const line = make("p", {}, place < FEW ? make("kbd", {}, String(place + 1)) : "", " ", named(member.label), make("span", { className: `mark ${stays ? "good" : ""}` }, says));
  const facts_ = make("p", { className: "path" }, make("bdi", {}, member.path), ` · ${member.size}`);
  item.append(choose, line, facts_);
  if (member.evidence) item.append(make("p", { className: "evidence" }, member.evidence));
  if (member.open && !stays && !isGone && isOpen) {
    const toggle = button(isApart ? "It is a copy" : "Not a copy", "", () => toggleApart(member), { className: "quiet" });
    item.append(toggle);
  }
  return item;
}

function drawDone() {
  const others = outcome();
  const open = cards.filter((card) => !isDone(card, others)).length;
  const text = open
    ? `Everything that this filter shows is answered; ${open} others are not.`
    : "Everything on this page is answered. Download your answers and send the file back.";
  const all = button("Show the others", "", () => {
    byKey("issue").value = byKey("class").value = "";
    byKey("status").value = "all";
    go(nextOpen(cards[cards.length - 1]));
  });
  return make("div", { className: "done" }, make("h2", {}, "Done"), make("p", {}, text), open ? all : "", button("Download answers", "", download, { className: "strong" }));
}

function drawProgress() {
  const others = outcome();
  const wanted = cards.filter(isWanted);
  const open = wanted.filter((card) => !isDone(card, others));
  const done = wanted.length - open.length;
  byKey("bar").max = Math.max(1, wanted.length);
  byKey("bar").value = done;
  const parts = [`${done} of ${wanted.length} answered`];
  if (current) parts.unshift(`No. ${wanted.indexOf(current) + 1}`);
  const rate = perMinute();
  if (rate) parts.push(`${rate} a minute`);
  const alike = open.filter((card) => current && card.issue === current.issue && card.chance !== null);
  const expected = Math.round(alike.reduce((sum, card) => sum + card.chance, 0));
  if (alike.length) parts.push(`${facts.issues[current.issue].title}: about ${expected} of the ${alike.length} left are real`);
  byKey("counts").textContent = parts.join(" · ");
  byKey("who").textContent = memory.reviewer ? `Reviewer: ${memory.reviewer}` : "Who reviews?";
}

// Answers a minute: by the middle one of the latest pauses between answers, so that a break does not count.
function perMinute() {
  const times = Object.values(memory.answers).map((one) => Date.parse(one.time)).sort((a, b) => a - b).slice(-21);
  if (times.length < 6) return 0;
  const pauses = times.slice(1).map((time, place) => time - times[place]).sort((a, b) => a - b);
  return Math.round(60000 / Math.max(200, pauses[Math.floor(pauses.length / 2)]));
}

let fading = 0;

function say(text) {
  byKey("said").textContent = text;
  clearTimeout(fading);
  fading = setTimeout(() => byKey("said").replaceChildren(), 12000);
}

// ---- the file

function download() {
  if (!memory.reviewer) return askName();
  const lines = Object.entries(memory.answers).flatMap(([name, answer]) => linesOf(byId.get(name), answer));
  if (!lines.length) return say("There is no answer to download yet.");
  lines.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
  const text = lines.map((one) => JSON.stringify(one) + "\n").join("");
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: "application/x-ndjson" })) });
  link.download = `answers-${memory.reviewer.replace(/[^\p{L}\p{N}._-]+/gu, "-")}.jsonl`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  memory.downloaded = new Date().toISOString();
  remember();
  say(`${lines.length} decisions in ${link.download}. Send this file back.`);
}

// ---- the reviewer's name, help, filters

function askName() {
  byKey("name").value = memory.reviewer || byKey("name").value;
  byKey("name-dialog").showModal();
}

function fillFilters() {
  const fill = (name, first, entries) => {
    byKey(name).replaceChildren(make("option", { value: "" }, first), ...entries.map(([value, text]) => make("option", { value }, text)));
    byKey(name).onchange = refilter;
  };
  const count = (issue) => cards.filter((card) => card.issue === issue).length;
  fill("issue", `all (${cards.length})`, Object.entries(facts.issues).map(([issue, one]) => [issue, `${one.title} (${count(issue)})`]));
  fill("class", "all", classes.map((name) => [name, name]));
  byKey("status").onchange = refilter;
}

function refilter() {
  const others = outcome();
  if (current && isShown(current, others)) return go(current);
  const shown = cards.filter((card) => isShown(card, others));
  go(shown.find((card) => !isDone(card, others)) || shown[0] || null);
}

const KEYS = {
  a: accept,
  k: keep,
  d: () => current && give(current, { action: "drop" }),
  u: undo,
  n: () => byKey("note") && byKey("note").focus(),
  r: () => byKey("finder") && byKey("finder").focus(),
  "?": () => byKey("help-dialog").showModal(),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || document.querySelector("dialog[open]")) return;
  const target = event.target;
  if (target.matches("input, textarea")) {
    if (event.key === "Escape") byKey("card").focus();
    return;
  }
  if (target.matches("select")) return;
  const isOnButton = target.matches("button, a, summary"); // where Enter and Space press it
  if (event.key === "ArrowRight" || (event.key === " " && !isOnButton)) {
    event.preventDefault();
    return skip();
  }
  if (event.key === "ArrowLeft") return back();
  if (event.repeat) return; // a key held down must not answer a hundred cards
  if (event.key === "Enter") {
    if (!isOnButton) accept();
    return;
  }
  if (!memory.keys || event.key.length !== 1) return;
  const key = event.key.toLowerCase();
  const number = "123456789".indexOf(key);
  if (number >= 0 && current) {
    if (isGroup(current)) chooseKeeper(current.members[number]);
    else if (classes.length <= FEW && classes[number]) relabel(classes[number]);
  } else if (KEYS[key]) {
    event.preventDefault(); // the letter is not to be typed into what it focuses
    KEYS[key]();
  }
}

function begin() {
  recall();
  fillFilters();
  byKey("keys").checked = memory.keys;
  byKey("keys").onchange = () => {
    memory.keys = byKey("keys").checked;
    remember();
  };
  byKey("name-form").onsubmit = (event) => {
    event.preventDefault();
    const name = byKey("name").value.replace(/[\p{C}\s]+/gu, " ").trim().slice(0, 100);
    if (!name) return;
    memory.reviewer = name;
    byKey("name-dialog").close();
    go(current);
  };
  byKey("help-dialog").querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    byKey("help-dialog").close();
  };
  byKey("help").onclick = KEYS["?"];
  byKey("who").onclick = askName;
  byKey("download").onclick = download;
  byKey("back").onclick = back;
  byKey("undo").onclick = undo;
  document.addEventListener("keydown", onKey);
  window.addEventListener("storage", (event) => {
    if (event.key !== storeName) return; // the same page in another tab
    recall();
    drafts.clear();
    draw();
  });
  window.addEventListener("beforeunload", (event) => {
    if (!isKept && Object.values(memory.answers).some((one) => one.time > memory.downloaded)) event.preventDefault();
  });
  go(byId.get(memory.at) || nextOpen(cards[cards.length - 1]) || null);
  if (!memory.reviewer) askName();
}

begin();
