// What the page does without the server: panels, theme, the dialog, copying, dropping files, the address.
// It knows no words: what it shows comes from the elements it works on.
() => {
  const root = document.documentElement;
  const body = document.body;
  const find = (selector) => document.querySelector(selector);
  const wide = matchMedia("(min-width: 1100px)");
  const roomy = matchMedia("(min-width: 800px)");

  // Theme: the system's, until the person chooses.
  const setTheme = (dark) => {
    body.classList.toggle("dark", dark);
    root.style.colorScheme = dark ? "dark" : "light";
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosenTheme = () => localStorage.getItem("fiel-theme");
  setTheme(chosenTheme() ? chosenTheme() === "dark" : system.matches);
  system.addEventListener("change", () => chosenTheme() || setTheme(system.matches));

  // Panels. body[data-panel] is "", "documents" or "source"; body[data-list] is "" or "open".
  let opener = null;
  const show = (panel) => {
    body.dataset.panel = panel;
    sync();
  };
  const showList = (open) => {
    body.dataset.list = open ? "open" : "";
    sync();
  };
  const sync = () => {
    for (const button of document.querySelectorAll("[data-toggle=documents][aria-expanded]"))
      button.setAttribute("aria-expanded", body.dataset.panel === "documents");
    for (const button of document.querySelectorAll("[data-toggle=conversations][aria-expanded]"))
      button.setAttribute("aria-expanded", body.dataset.list === "open");
  };
  const close = () => {
    if (body.dataset.panel) show("");
    else if (!roomy.matches) showList(false);
    if (opener?.isConnected) opener.focus();
    opener = null;
  };
  const reveal = (panel, from) => {
    opener = from;
    if (!wide.matches) showList(roomy.matches && body.dataset.list === "open");
    show(panel);
    const title = find(panel === "source" ? "#source h2" : "#documents h2");
    title?.focus({ preventScroll: true });
  };
  body.dataset.panel = "";
  body.dataset.list = roomy.matches ? "open" : "";
  sync();

  const toggles = {
    theme: () => {
      const dark = !body.classList.contains("dark");
      localStorage.setItem("fiel-theme", dark ? "dark" : "light");
      setTheme(dark);
    },
    conversations: () => showList(body.dataset.list !== "open"),
    documents: (button) => (body.dataset.panel === "documents" ? close() : reveal("documents", button)),
    panel: () => close(),
    dialog: () => find("#dialog").close(),
    files: (button) => {
      reveal("documents", button);
      find("#upload input[type=file]")?.click();
    },
  };

  // The dialog: confirms, or asks for one line, and then sends the element's event.
  const ask = (button) => {
    const dialog = find("#dialog");
    const input = dialog.querySelector("input");
    const prompts = "prompt" in button.dataset;
    find("#dialog-text").textContent = prompts ? button.dataset.prompt : button.dataset.confirm;
    input.hidden = !prompts;
    input.required = prompts;
    input.value = prompts ? button.dataset.value : "";
    dialog.returnValue = "";
    dialog.addEventListener(
      "close",
      () => {
        if (dialog.returnValue !== "ok") return;
        const detail = { ...button.dataset, answer: input.value };
        button.dispatchEvent(new CustomEvent("fiel", { detail, bubbles: true }));
      },
      { once: true },
    );
    dialog.showModal();
    if (prompts) input.select();
  };

  const copy = async (button) => {
    const answer = button.closest(".exchange").querySelector(".answer").cloneNode(true);
    for (const chip of answer.querySelectorAll(".chip")) chip.replaceWith(`[${chip.textContent}]`);
    await navigator.clipboard.writeText(answer.innerText.trim());
    const label = button.getAttribute("aria-label");
    button.classList.add("done");
    button.setAttribute("aria-label", button.dataset.copied);
    setTimeout(() => {
      button.classList.remove("done");
      button.setAttribute("aria-label", label);
    }, 1500);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button, a, summary");
    for (const menu of document.querySelectorAll("details.menu[open]"))
      if (!menu.contains(event.target) || button?.closest("details.menu > div")) menu.open = false;
    if (event.target.closest("#shade")) return close();
    if (!button) return;
    if (button.dataset.toggle) toggles[button.dataset.toggle](button);
    else if ("confirm" in button.dataset || "prompt" in button.dataset) ask(button);
    else if ("copy" in button.dataset) copy(button);
    else if (button.dataset.event === "cite") {
      for (const current of document.querySelectorAll("#transcript [aria-current]")) current.removeAttribute("aria-current");
      button.setAttribute("aria-current", "true");
      reveal("source", button);
    }
    else if (button.dataset.event === "edit") find("#question textarea").focus();
    else if (button.dataset.event === "open" || button.id === "new") {
      if (!roomy.matches) showList(false);
      find("#question textarea").focus();
    }
  });

  // A form with data-event sends that event with its fields.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.event) return;
    event.preventDefault();
    const detail = { ...form.dataset, ...Object.fromEntries(new FormData(form)) };
    form.dispatchEvent(new CustomEvent("fiel", { detail, bubbles: true }));
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || find("#dialog").open) return;
    const menu = find("details.menu[open]");
    if (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    } else if (body.dataset.panel || (!roomy.matches && body.dataset.list)) close();
    else find("#notice [data-event=cancel_edit]")?.click();
  });

  // Files go to the API; what it says of each is told by the list of documents.
  const upload = async (input) => {
    const form = new FormData();
    for (const file of input.files) form.append("files", file);
    if (!input.files.length) return;
    const box = input.closest(".upload");
    box.classList.add("busy");
    let files = [];
    try {
      const answer = await (await fetch("/api/documents", { method: "POST", body: form })).json();
      files = answer.files ?? [{ name: "", error: answer.error }];
    } catch {
      files = [...input.files].map(({ name }) => ({ name, error: { message: box.dataset.failed } }));
    } finally {
      box.classList.remove("busy");
      input.value = "";
    }
    const detail = { event: "uploaded", files: JSON.stringify(files) };
    const inside = [...document.querySelectorAll("#document-list *")].pop(); // who listens is within the framework's box
    inside.dispatchEvent(new CustomEvent("fiel", { detail, bubbles: true }));
  };
  document.addEventListener("change", (event) => event.target.matches("#upload input") && upload(event.target));

  // A session that has ended: the page asks for a new one.
  const fetched = window.fetch;
  window.fetch = async (...asked) => {
    const response = await fetched(...asked);
    if (response.status === 401) location.reload();
    return response;
  };

  // Files dropped anywhere go the way of those that are chosen.
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0;
  const dragging = (change) => {
    depth = Math.max(0, change === 0 ? 0 : depth + change);
    body.classList.toggle("dragging", depth > 0);
  };
  document.addEventListener("dragenter", (event) => hasFiles(event) && dragging(1), true);
  document.addEventListener("dragleave", (event) => hasFiles(event) && dragging(-1), true);
  document.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  document.addEventListener(
    "drop",
    (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      event.stopPropagation();
      dragging(0);
      const input = find("#upload input[type=file]");
      input.files = event.dataTransfer.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
      reveal("documents", null);
    },
    true,
  );

  // What is worked out after an answer, in the background: asked for a few times, less and less often.
  const fill = async (place) => {
    place.dataset.asked = "";
    for (let wait = 1000; wait < 64_000 && place.isConnected; wait *= 2) {
      await new Promise((done) => setTimeout(done, wait));
      const response = await fetch(place.dataset.await).catch(() => null);
      if (response?.status === 200) place.outerHTML = await response.text();
    }
  };

  // How far people agreed with the judge of a badge: asked for when the badge is opened.
  const checked = async ({ target }) => {
    const place = target.open && target.querySelector?.(":scope > [data-checked]");
    if (!place) return;
    const response = await fetch(place.dataset.checked).catch(() => null);
    if (response?.status === 200) place.outerHTML = await response.text();
  };
  document.addEventListener("toggle", checked, true);

  // The thread stays at its end while an answer grows, unless the person has scrolled up.
  const follow = () => {
    const thread = find("#thread");
    let atEnd = true;
    thread.addEventListener("scroll", () => {
      atEnd = thread.scrollHeight - thread.scrollTop - thread.clientHeight < 80;
    });
    let streaming = false;
    new MutationObserver(() => {
      const busy = Boolean(find("#live .exchange"));
      if (atEnd || (busy && !streaming)) thread.scrollTop = thread.scrollHeight;
      streaming = busy;
      for (const place of thread.querySelectorAll("[data-await]:not([data-asked])")) fill(place);
    }).observe(thread, { childList: true, subtree: true, characterData: true });
  };

  const whenThere = (selector, run) => {
    if (find(selector)) return run();
    const observer = new MutationObserver(() => {
      if (!find(selector)) return;
      observer.disconnect();
      run();
    });
    observer.observe(document, { childList: true, subtree: true });
  };
  whenThere("#thread", follow);
  whenThere("#question textarea", () => roomy.matches && find("#question textarea").focus());
}
