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
    const body = method === "DELETE" ? undefined : JSON.stringify(values(form));
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(path, { method, body, headers });
    const answer = response.status === 204 ? {} : await response.json();
    if (response.status === 401) return location.reload();
    if (!response.ok) return say(form, answer.error?.message ?? document.body.dataset.failed);
    const shown = answer[form.dataset.shows] ?? "";
    say(form, form.dataset.said ?? "", shown.startsWith("/") ? location.origin + shown : shown);
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
