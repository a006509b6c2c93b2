// Forms with data-send="METHOD /path" go to the API as JSON. Then: data-then (a path, or "reload"), or the answer's
// field data-shows, after the words data-said. What goes wrong is said in the form's .said.
const kinds = { json: JSON.parse, number: Number, list: (value) => value };

const values = (form) => {
  const sent = {};
  for (const field of form.elements) {
    if (!field.name || field.disabled || (field.type === "radio" && !field.checked)) continue;
    if (field.dataset.kind === "list") {
      sent[field.name] ??= [];
      if (field.checked) sent[field.name].push(field.dataset.number ? Number(field.value) : field.value);
    } else if (field.type !== "checkbox" || field.checked) {
      sent[field.name] = (kinds[field.dataset.kind] ?? String)(field.value);
    }
  }
  return sent;
};

const say = (form, text, code = "") => {
  const said = form.querySelector(".said");
  if (!said) return;
  said.textContent = text;
  if (code) {
    const shown = document.createElement("code");
    shown.textContent = code;
    said.append(" ", shown);
  }
};

const send = async (form) => {
  const [method, path] = form.dataset.send.split(" ");
  const button = form.querySelector("button");
  if (button) button.disabled = true;
  try {
    const file = form.querySelector("input[type=file]")?.files[0];
    const body = file ?? (method === "DELETE" ? undefined : JSON.stringify(values(form)));
    const headers = { "Content-Type": file ? "application/octet-stream" : "application/json" };
    const response = await fetch(path, { method, body, headers });
    const answer = response.status === 204 ? {} : await response.json();
    if (response.status === 401) return location.reload();
    if (!response.ok) return say(form, answer.error?.message ?? document.body.dataset.failed);
    const shown = answer[form.dataset.shows] ?? "";
    const text = (form.dataset.said ?? "").replace(/\{(\w+)\}/g, (_, name) => answer[name] ?? "");
    say(form, text, shown.startsWith("/") ? location.origin + shown : shown);
    form.dispatchEvent(new CustomEvent("sent", { detail: answer, bubbles: true }));
    if (form.dataset.then === "reload") location.reload();
    else if (form.dataset.then) location.assign(form.dataset.then);
    else form.reset();
  } catch {
    say(form, document.body.dataset.failed);
  } finally {
    if (button) button.disabled = false;
  }
};

document.addEventListener("submit", (event) => {
  if (!event.target.dataset.send) return;
  event.preventDefault();
  send(event.target);
});
document.addEventListener("change", (event) => {
  if ("submits" in event.target.dataset) event.target.form.requestSubmit();
});

// The review queue: decisions on one rating or on those that are chosen, by button or key.
const queued = () => [...document.querySelectorAll(".item")];
const current = () => document.activeElement?.closest(".item");

const decide = async (items, decision, answer = "", said = items[0]?.querySelector(".said")) => {
  if (!items.length) return;
  const ratings = items.map((item) => ({ id: Number(item.dataset.id), seen: item.dataset.seen }));
  const body = JSON.stringify({ ratings, decision, answer });
  const headers = { "Content-Type": "application/json" };
  const response = await fetch("/api/review", { method: "POST", body, headers }).catch(() => null);
  if (!response?.ok) {
    const problem = await response?.json().catch(() => null);
    said.textContent = problem?.error?.message ?? document.body.dataset.failed;
    return;
  }
  const all = queued();
  const next = all.slice(all.indexOf(items.at(-1)) + 1).find((item) => !items.includes(item));
  for (const item of items) item.remove();
  if (next) next.focus();
  else if (!queued().length) location.reload();
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.decide) {
    const item = button.closest(".item");
    decide([item], button.dataset.decide, "edited" in button.dataset ? item.querySelector(".edit textarea").value : "");
  } else if (button?.dataset.decideChosen) {
    const items = queued().filter((item) => item.querySelector(".chosen").checked);
    decide(items, button.dataset.decideChosen, "", document.querySelector("#bulk .said"));
  } else if (event.target.id === "all") {
    for (const box of document.querySelectorAll(".chosen")) box.checked = event.target.checked;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.target.matches("input:not([type=checkbox]), select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  const items = queued();
  const item = current();
  const at = items.indexOf(item);
  const keys = {
    j: () => items[Math.min(at + 1, items.length - 1)]?.focus(),
    k: () => items[Math.max(at - 1, 0)]?.focus(),
    x: () => item?.querySelector(".chosen").click(),
    a: () => item && decide([item], "accepted"),
    r: () => item && decide([item], "rejected"),
    e: () => {
      const edit = item?.querySelector(".edit");
      if (!edit) return;
      edit.open = true;
      edit.querySelector("textarea").focus();
    },
  };
  if (!items.length || !keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});

// Parts of a page that change by themselves: fetched every other second, and replaced only where they did change. Not
// while somebody is at them, has typed there, or reads what was shown; what was unfolded stays so.
const inUse = (part) =>
  (part.contains(document.activeElement) && !document.activeElement.matches("summary")) ||
  part.querySelector(".said code") ||
  [...part.querySelectorAll("input")].some((field) => field.value !== field.defaultValue);

const replace = (part, html) => {
  const folds = () => [...part.querySelectorAll("details")];
  const open = folds().map((fold) => fold.open);
  const focused = folds().findIndex((fold) => fold.contains(document.activeElement));
  part.innerHTML = html;
  folds().forEach((fold, n) => { fold.open = open[n] ?? false; });
  folds()[focused]?.querySelector("summary").focus();
};

for (const part of document.querySelectorAll("[data-live]")) {
  let last = "";
  setInterval(async () => {
    if (document.hidden || inUse(part)) return;
    const response = await fetch(part.dataset.live).catch(() => null);
    const html = response?.ok ? await response.text() : last;
    if (html === last || inUse(part)) return;
    replace(part, html);
    last = html;
  }, 2000);
}
