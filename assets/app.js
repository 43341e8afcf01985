// What HTML cannot do alone: the palette's filter, shortcuts, focus after navigation, announcements, toasts, copying.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const on = (type, handler, capture) => document.addEventListener(type, handler, capture);

  // --- Announcements and toasts. The regions exist from the start, so what enters them is read out.
  const say = (text) => {
    const said = $("#said");
    if (!said) return;
    said.textContent = "";
    setTimeout(() => (said.textContent = text), 50);
  };

  const show = (toast) => {
    const bad = toast.matches(".bad");
    // An error stays until it is closed. A message gives way to the next, so that an Undo never outlives what it undoes.
    if (bad) return $("#alerts")?.append(toast);
    $("#notes")?.replaceChildren(toast);
    let timer;
    const life = $("form", toast) ? 10000 : 6000;
    const stop = () => clearTimeout(timer);
    const start = () => {
      stop();
      timer = setTimeout(() => (toast.matches(":hover, :focus-within") ? start() : toast.remove()), life);
    };
    for (const type of ["mouseleave", "focusout"]) toast.addEventListener(type, start);
    for (const type of ["mouseenter", "focusin"]) toast.addEventListener(type, stop);
    start();
  };

  const complain = (text, request) => {
    const toast = $("#toast")?.content.firstElementChild.cloneNode(true);
    if (!toast) return;
    $("[data-text]", toast).textContent = text;
    const note = $("[data-request]", toast);
    if (request) {
      $("code", note).textContent = request;
      $(".copy", note).dataset.copy = request;
    } else note.remove();
    show(toast);
  };

  // --- Every page, first or swapped in.
  const keysOn = () => !/(^|; )keys=off/.test(document.cookie);
  const settle = () => {
    $$("#flash > .toast").forEach(show);
    const box = $("[data-keys]");
    if (box) box.checked = keysOn();
    if (/Mac|iP/.test(navigator.platform)) $$("[data-mod]").forEach((key) => (key.textContent = key.textContent.replace("Ctrl", "⌘")));
  };

  // --- htmx: busy targets, errors, focus.
  on("htmx:config:request", ({ detail: { ctx } }) => {
    const { method, body } = ctx.request;
    if (method === "GET" && body) for (const [name, value] of [...body]) if (value === "") body.delete(name);
  });
  on("htmx:before:request", ({ detail: { ctx } }) => ctx.target !== document.body && ctx.target.setAttribute("aria-busy", "true"));
  on("htmx:finally:request", ({ detail: { ctx } }) => ctx.target?.removeAttribute?.("aria-busy"));
  on("htmx:error", ({ detail: { ctx } }) => complain(ctx?.response ? "This page could not be updated. Reload it and try again." : "The server did not answer. Check the connection and try again."));
  // A whole page may show its own error; a part of one must not be painted over with it.
  on("htmx:before:swap", (event) => {
    const { target, response } = event.detail.ctx;
    if (target === document.body || !(response?.status >= 400) || response.status === 422) return;
    event.preventDefault();
    complain(`The server refused this request (${response.status}). Nothing was changed.`, response.headers.get("x-request-id"));
  });
  on("htmx:after:swap", () => {
    settle();
    if (document.activeElement !== document.body) return;
    const wanted = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    (wanted || $("h1"))?.focus({ preventScroll: !wanted });
  });

  // --- Unsaved changes.
  let dirty;
  on("input", ({ target }) => target.form?.matches("[data-guard]") && (dirty = target.form));
  on("submit", ({ target }) => target === dirty && (dirty = null), true);
  addEventListener("beforeunload", (event) => dirty?.isConnected && event.preventDefault());
  on("htmx:before:request", (event) => {
    if (!dirty?.isConnected || event.detail.ctx.target !== document.body) return;
    if (confirm("Leave without saving your changes?")) dirty = null;
    else event.preventDefault();
  });

  // --- Copying; the second way is for consoles reached over plain HTTP.
  const copy = async (button) => {
    const text = button.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      area.className = "vh";
      button.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1500);
    say("Copied");
  };

  const command = (button) => {
    const dialog = document.getElementById(button.getAttribute("commandfor"));
    if (button.getAttribute("command") === "close") dialog?.close();
    else if (!dialog?.open) dialog?.showModal();
  };

  on("click", ({ target }) => {
    const button = target.closest?.("button");
    if (!button) return;
    if (button.dataset.copy) copy(button);
    else if ("close" in button.dataset) {
      const back = button.closest(".toast").matches(":focus-within") && $("h1");
      button.closest(".toast").remove();
      if (back) back.focus({ preventScroll: true });
    } else if (button.hasAttribute("commandfor")) {
      if (!("commandForElement" in HTMLButtonElement.prototype)) command(button);
      // One dialog at a time: the palette gives way to what it opens.
      if (button.closest("#palette")) $("#palette").close();
    }
  });

  on("change", ({ target }) => {
    if (!target.matches("[data-keys]")) return;
    document.cookie = `keys=${target.checked ? "on" : "off"}; path=/admin; max-age=31536000; samesite=lax`;
  });

  // --- The theme changes in place: the server reads the cookie with the next page.
  on("submit", (event) => {
    const { target, submitter } = event;
    if (target.id !== "theme") return;
    event.preventDefault();
    const theme = submitter.value;
    document.cookie = `theme=${theme}; path=/; max-age=31536000; samesite=lax`;
    document.documentElement.dataset.theme = theme;
    $("meta[name=color-scheme]").content = theme === "auto" ? "light dark" : theme;
    for (const button of $$("[aria-pressed]", target)) button.ariaPressed = String(button.value === theme);
    palette().close();
  });

  // --- The palette: a static list narrowed here; Enter goes to the first match, else it searches everything.
  const palette = () => $("#palette");
  const shown = () => $$("li:not([hidden]) > *", palette());
  const narrow = () => {
    const query = $("#palette-q").value.trim();
    const words = query.toLowerCase().split(/\s+/);
    for (const item of $$("li:not([data-always])", palette())) {
      const text = item.textContent.toLowerCase();
      item.hidden = !words.every((word) => text.includes(word));
    }
    for (const section of $$("section", palette())) section.hidden = !$("li:not([hidden])", section);
    $("[data-query]", palette()).textContent = query && ` for “${query}”`;
    $$("li", palette()).forEach((item) => item.classList.remove("first"));
    if (query) shown()[0].parentElement.classList.add("first");
  };
  on("input", ({ target }) => target.id === "palette-q" && narrow());
  const steer = (event) => {
    const input = $("#palette-q");
    const stops = [input, ...shown()];
    const at = stops.indexOf(document.activeElement);
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      stops.at((at + (event.key === "ArrowDown" ? 1 : -1)) % stops.length).focus();
    } else if (event.key === "Enter" && at === 0) {
      event.preventDefault();
      if (input.value.trim()) stops[1].click();
    }
  };

  // --- Shortcuts. Single letters are dead in fields and dialogs, and where the reader turned them off.
  let going = 0;
  const step = (by) => {
    const links = $$("[data-row] th a");
    const at = links.findIndex((link) => link.closest("tr").contains(document.activeElement));
    links[Math.max(0, Math.min(links.length - 1, at < 0 ? 0 : at + by))]?.focus();
  };
  const row = () => document.activeElement.closest("[data-row]");
  const letters = {
    "/": () => ($("[data-search]") || $(".find")).focus(),
    "?": () => $("#keys").showModal(),
    g: () => (going = Date.now() + 1500),
    z: () => $("#notes form button")?.click(),
    j: () => step(1),
    k: () => step(-1),
    x: () => row()?.querySelector("[type=checkbox]")?.click(),
    e: () => {
      const edit = row()?.dataset.edit;
      if (edit) htmx.ajax("GET", edit.split("#")[0], { target: "body", push: edit });
      else $("form[data-guard] :is(input:not([type=hidden]), select, textarea)")?.focus();
    },
  };
  on("keydown", (event) => {
    const { key, target } = event;
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && key.toLowerCase() === "k" && palette()) {
      event.preventDefault();
      if (palette().open) return palette().close();
      palette().showModal();
      $("#palette-q").select();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || !target.closest) return;
    if (target.closest("#palette")) return steer(event);
    if (!keysOn() || !$("#keys") || target.closest("input, select, textarea, dialog")) return;
    const link = going > Date.now() && $(`[data-key="${CSS.escape(key)}"]`);
    going = 0;
    if (link) link.click();
    else if (Object.hasOwn(letters, key)) letters[key]();
    else return;
    event.preventDefault();
  });

  settle();
})();
