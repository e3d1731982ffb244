// What a page has besides, where there is a script: keys, copies, and being kept up to date. Every page works without it.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("has-js");
  const main = () => document.getElementById("main");

  // Up to date: a stream tells that something has changed, and the page is asked for anew, at most once a second.
  const mark = document.querySelector(".live");
  const say = (state, words) => {
    if (!mark) return;
    mark.dataset.state = state;
    mark.lastElementChild.textContent = words;
  };
  let source = null, last = 0, timer = 0, busy = false, again = false, wait = 1000;

  // Whoever writes in a form, or has marked something, is not disturbed.
  const isDirty = () => {
    for (const field of main().querySelectorAll("input, textarea, select")) {
      if (field.type === "hidden" || field.closest(".filter") && field !== document.activeElement) continue;
      if (field.type === "checkbox" || field.type === "radio") {
        if (field.checked !== field.defaultChecked) return true;
      } else if (field.tagName === "SELECT") {
        const first = [...field.options].findIndex((option) => option.defaultSelected);
        if (field.selectedIndex !== Math.max(first, 0)) return true;
      } else if (field.value !== field.defaultValue || field === document.activeElement) return true;
    }
    return Boolean(document.getSelection() && !document.getSelection().isCollapsed && main().contains(document.getSelection().anchorNode));
  };

  const place = (element) => {
    if (!element || !main().contains(element)) return null;
    const same = [...main().querySelectorAll(element.tagName)].filter((other) => other.textContent === element.textContent && other.getAttribute("href") === element.getAttribute("href"));
    return { tag: element.tagName, text: element.textContent, href: element.getAttribute("href"), index: same.indexOf(element) };
  };

  const swap = (fresh) => {
    const old = main(), held = place(document.activeElement);
    const open = new Map([...old.querySelectorAll("details[data-key]")].map((one) => [one.dataset.key, one.open]));
    const scrolled = [...old.querySelectorAll(".table, .graph, pre")].map((one) => [one.scrollLeft, one.scrollTop]);
    old.replaceChildren(...fresh.childNodes);
    for (const one of old.querySelectorAll("details[data-key]")) if (open.has(one.dataset.key)) one.open = open.get(one.dataset.key);
    [...old.querySelectorAll(".table, .graph, pre")].forEach((one, index) => {
      if (scrolled[index]) [one.scrollLeft, one.scrollTop] = scrolled[index];
    });
    if (held) {
      const same = [...old.querySelectorAll(held.tag)].filter((other) => other.textContent === held.text && other.getAttribute("href") === held.href);
      (same[held.index] || same[0])?.focus({ preventScroll: true });
    }
    old.dispatchEvent(new CustomEvent("fresh"));
  };

  const refresh = async () => {
    // What a form was answered with is shown once: a new key, a question.
    if (!mark) return;
    if (busy) { again = true; return; }
    if (isDirty()) { say("held", "held: you are at work"); return; }
    busy = true;
    last = Date.now();
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", headers: { Accept: "text/html" } });
      if (answer.redirected && new URL(answer.url).pathname === "/ui/login") { location.reload(); return; }
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.getElementById("main");
        if (fresh && !isDirty()) {
          swap(fresh);
          const side = page.querySelector(".side"), own = document.querySelector(".side");
          if (side && own && side.innerHTML !== own.innerHTML && !own.contains(document.activeElement)) own.replaceWith(side);
          say("on", "live");
        }
      }
    } catch { say("off", "not reached"); } finally {
      busy = false;
      if (again) { again = false; soon(); }
    }
  };
  const soon = () => {
    if (timer) return;
    timer = setTimeout(() => { timer = 0; refresh(); }, Math.max(0, 1000 - (Date.now() - last)));
  };

  const close = () => { source?.close(); source = null; };
  const open = () => {
    if (source || document.hidden || !mark) return;
    source = new EventSource("/ui/live");
    source.addEventListener("open", () => { wait = 1000; say("on", "live"); });
    source.addEventListener("change", soon);
    source.addEventListener("quiet", soon);
    source.addEventListener("error", () => {
      // A stream that has come to its end is opened anew; one that is refused, later and later.
      close();
      say("off", "connecting");
      setTimeout(open, wait);
      wait = Math.min(wait * 2, 30000);
    });
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { close(); say("off", "paused"); } else { open(); soon(); }
  });
  addEventListener("pagehide", close);
  open();

  // One box for all of a table, and a copy of what stands beside.
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-all]")) return;
    for (const box of event.target.closest("table").querySelectorAll("tbody input[type=checkbox]")) box.checked = event.target.checked;
  });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) {
      event.preventDefault();
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
        const before = button.textContent;
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = before; }, 1200);
      } catch { button.textContent = "Not allowed"; }
    }
    if (event.target.closest("[data-help]")) document.getElementById("help").showModal();
  });

  // Keys: g and a letter leads to a section.
  let leads = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog[open]")) return;
    if (Date.now() - leads < 1500) {
      leads = 0;
      const link = document.querySelector(`.side a[data-key="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    if (event.key === "g") leads = Date.now();
    else if (event.key === "/") { event.preventDefault(); document.getElementById("search")?.focus(); }
    else if (event.key === "r") refresh();
    else if (event.key === "?") document.getElementById("help").showModal();
  });
})();
