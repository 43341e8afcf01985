// The reference is complete without this: search on /, copying, one language for all samples, the place in the contents.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const on = (type, handler) => document.addEventListener(type, handler);
  const menu = $("#menu");
  const seek = $("#seek");

  // --- The samples as they run on this server.
  for (const origin of $$("[data-origin]")) origin.textContent = `"${location.origin}"`;

  // --- One choice of language for every sample, kept for the next page.
  const speak = (language) => $$(`input[value="${CSS.escape(language)}"]`).forEach((input) => (input.checked = true));
  try {
    speak(localStorage.getItem("docs-language") ?? "curl");
  } catch {}
  on("change", ({ target }) => {
    if (!target.name?.startsWith("language-")) return;
    const top = target.getBoundingClientRect().top;
    speak(target.value);
    // Samples above have changed their height: stay where the reader is.
    scrollBy(0, target.getBoundingClientRect().top - top);
    try {
      localStorage.setItem("docs-language", target.value);
    } catch {}
  });

  // --- Copying; the second way is for plain HTTP.
  const copy = async (button) => {
    const code = $$("pre", button.closest("figure")).find((pre) => pre.offsetParent);
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
      getSelection().removeAllRanges();
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  };
  for (const caption of $$(".sample figcaption")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button quiet small duplicate";
    button.textContent = "Copy";
    button.ariaLive = "polite";
    button.addEventListener("click", () => copy(button));
    caption.append(button);
  }

  // --- Search: narrows the contents; Enter opens the first match.
  const groups = $$(".groups > li").map((group) => {
    const list = $("ul", group);
    const entries = $$("li", list).map((item) => {
      const link = $("a", item);
      return { item, link, text: `${link.textContent} ${link.title} ${group.firstElementChild.textContent}`.toLowerCase() };
    });
    return { group, list, entries, open: !list.hidden };
  });
  const narrow = () => {
    const words = seek.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const { group, list, entries, open } of groups) {
      let here = 0;
      for (const { item, text } of entries) {
        item.hidden = !words.every((word) => text.includes(word));
        here += !item.hidden;
      }
      group.hidden = !here;
      list.hidden = words.length ? !here : !open;
      found += here;
    }
    $("[role=status]", menu).textContent = words.length ? `${found} ${found === 1 ? "operation" : "operations"}` : "";
  };
  seek.addEventListener("input", narrow);
  seek.form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (seek.value.trim()) groups.flatMap(({ entries }) => entries).find(({ item }) => !item.hidden)?.link.click();
  });
  on("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, [contenteditable]")) return;
    event.preventDefault();
    if (!seek.offsetParent) menu.showPopover();
    seek.focus();
    seek.select();
  });

  // --- Where the reader is. A link within the page closes the contents that lie over it.
  menu.addEventListener("click", ({ target }) => target.closest("a") && menu.matches(":popover-open") && menu.hidePopover());
  const links = new Map($$(".groups ul:not([hidden]) a").map((link) => [link.hash.slice(1), link]));
  const sections = $$(".operation").filter(({ id }) => links.has(id));
  const place = () => {
    const here = sections.findLast((section) => section.getBoundingClientRect().top < innerHeight / 3);
    for (const [id, link] of links) {
      if (id === here?.id) link.setAttribute("aria-current", "location");
      else link.removeAttribute("aria-current");
    }
  };
  if (sections.length) {
    addEventListener("scroll", place, { passive: true });
    place();
  }
})();
