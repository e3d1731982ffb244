// The dashboard in a browser: every screen at two widths in both themes, and what a script adds to it.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { Host, furnish } from "./host.mjs";

const OUT = process.env.DASHBOARD_SCREENS;
const PATIENCE = 60_000;
const SIZES = { desktop: { width: 1360, height: 900 }, phone: { width: 390, height: 844 } };
const say = (words) => process.stdout.write(`${words}\n`);

mkdirSync(OUT, { recursive: true });
const host = await Host.start(["--concurrency", "4", "--grace", "1s", "--webhook-http", "--webhook-allow", "127.0.0.1"]);
const browser = await chromium.launch({ executablePath: process.env.DASHBOARD_CHROMIUM, args: ["--no-sandbox"] });
let failures = 0;
const check = async (name, work) => {
  try { await work(); say(`ok    ${name}`); } catch (error) { failures += 1; say(`FAIL  ${name}\n      ${error.message}`); }
};

// A page that tells of whatever goes wrong in it.
const open = async (options = {}) => {
  const context = await browser.newContext({ viewport: SIZES.desktop, baseURL: host.address, permissions: [], ...options });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  page.wrong = [];
  page.on("pageerror", (error) => page.wrong.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error") page.wrong.push(message.text()); });
  page.on("dialog", (dialog) => { page.wrong.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
  return page;
};

try {
  const empty = await open();
  await check("a new host says on each page what to do next", async () => {
    for (const section of ["overview", "tasks", "jobs", "queues", "dead", "schedules", "webhooks", "handlers", "keys"]) {
      await empty.goto(`/ui/${section}`);
      assert.ok(await empty.locator(".empty, .calm").count() > 0, section);
    }
    await empty.goto("/ui/overview");
    await empty.screenshot({ path: join(OUT, "overview-new-desktop-light.png"), fullPage: true });
  });
  await empty.context().close();
  const ids = await furnish(host);
  // The charts are of looks that are ten seconds apart.
  const ready = await open();
  await ready.goto("/ui/overview");
  await ready.waitForFunction(() => document.querySelectorAll(".chart rect").length > 0);
  await ready.context().close();

  const screens = {
    overview: "/ui/overview", tasks: "/ui/tasks", "tasks-filtered": "/ui/tasks?state=dead", task: `/ui/tasks/${ids.good}`,
    "task-dead": `/ui/tasks/${ids.panic}`, "task-edit": `/ui/tasks/${ids.dead}?edit=1`, "task-running": `/ui/tasks/${ids.runs}`,
    "task-waits": `/ui/tasks/${ids.waits}`, "task-evil": `/ui/tasks/${ids.evil}`, jobs: "/ui/jobs", job: `/ui/jobs/${ids.job}`,
    queues: "/ui/queues", queue: "/ui/queues/mail", dead: "/ui/dead",
    "dead-group": `/ui/dead?handler=${encodeURIComponent("retry-or-fail/retry-or-fail")}&kind=malformed`,
    schedules: "/ui/schedules", schedule: "/ui/schedules/nightly", webhooks: "/ui/webhooks", webhook: "/ui/webhooks/billing",
    "webhook-stopped": "/ui/webhooks/gone", delivery: `/ui/webhooks/billing/deliveries/${ids.delivered}`,
    "delivery-failed": `/ui/webhooks/gone/deliveries/${ids.undelivered}`, handlers: "/ui/handlers", package: "/ui/handlers/words",
    handler: "/ui/handlers/hello/hello", workers: "/ui/workers", incidents: "/ui/incidents", keys: "/ui/keys", audit: "/ui/audit",
    settings: "/ui/settings", login: "/ui/login", problem: "/ui/nothing",
  };
  for (const [width, viewport] of Object.entries(SIZES)) for (const colorScheme of ["light", "dark"]) {
    const page = await open({ viewport, colorScheme, deviceScaleFactor: 1, hasTouch: width === "phone" });
    for (const [name, path] of Object.entries(screens)) await check(`${name} at ${width} in ${colorScheme}`, async () => {
      page.wrong.length = 0;
      await page.goto(path);
      await page.screenshot({ path: join(OUT, `${name}-${width}-${colorScheme}.png`), fullPage: true });
      const { over, unnamed, small } = await page.evaluate(() => {
        const fields = [...document.querySelectorAll("input:not([type=hidden]), select, textarea, button")].filter((one) => one.checkVisibility());
        const name = (one) => one.getAttribute("aria-label") || [...(one.labels ?? [])].map((label) => label.textContent.trim()).join("") || one.textContent.trim();
        return {
          over: document.documentElement.scrollWidth - document.documentElement.clientWidth,
          unnamed: fields.filter((one) => !name(one)).map((one) => one.outerHTML),
          small: document.querySelectorAll("h1").length,
        };
      });
      assert.equal(over, 0, `it is ${over} px wider than the window`);
      assert.deepEqual(unnamed, [], "fields without a name");
      assert.equal(small, 1, "one heading of the first level");
      assert.equal(await page.evaluate(() => globalThis.pwned), undefined);
      // Of a page that says that something is not there, a browser says the same.
      const wrong = page.wrong.filter((words) => !(name === "problem" && words.includes("404")));
      assert.deepEqual(wrong, []);
    });
    await page.context().close();
  }

  await check("text can be read: contrast of 4.5 to 1 in both themes", async () => {
    for (const colorScheme of ["light", "dark"]) {
      const page = await open({ colorScheme });
      for (const path of [screens.overview, screens.tasks, screens["task-dead"], screens.handlers, screens.webhooks, screens.webhook, screens["delivery-failed"]]) {
        await page.goto(path);
        const dim = await page.evaluate(() => {
          const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
          const rgb = (color, under) => {
            canvas.fillStyle = under ? `rgb(${under})` : "#fff";
            canvas.fillRect(0, 0, 1, 1);
            canvas.fillStyle = color;
            canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
          };
          const light = (color) => {
            const [r, g, b] = color.map((part) => (part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const ground = (one) => {
            const all = [];
            for (let at = one; at; at = at.parentElement) all.unshift(getComputedStyle(at).backgroundColor);
            return all.reduce((under, color) => rgb(color, under), [255, 255, 255]);
          };
          const found = new Set();
          for (const one of document.querySelectorAll("main *, nav *, header *")) {
            if (one.closest("svg") || !one.checkVisibility() || ![...one.childNodes].some((child) => child.nodeType === 3 && child.data.trim())) continue;
            if (one.closest("kbd, .hidden")) continue;
            const under = ground(one), [a, b] = [light(rgb(getComputedStyle(one).color, under)), light(under)];
            const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            if (ratio < 4.5) found.add(`${one.tagName} ${one.className} ${ratio.toFixed(2)}`);
          }
          return [...found];
        });
        assert.deepEqual(dim, [], `${path} in ${colorScheme}`);
      }
      await page.context().close();
    }
  });

  await check("a page is brought up to date while somebody looks, without being loaded anew", async () => {
    const page = await open();
    await page.goto("/ui/tasks");
    await page.waitForSelector(".live[data-state=on]");
    await page.evaluate(() => { globalThis.mark = 1; });
    const id = host.submit("hello/hello", { name: "live" });
    await page.waitForSelector(`main a[href="/ui/tasks/${id}"]`);
    await page.waitForFunction((id) => document.querySelector(`a[href="/ui/tasks/${id}"]`)?.closest("tr").textContent.includes("succeeded"), id);
    assert.equal(await page.evaluate(() => globalThis.mark), 1);
    await page.context().close();
  });

  await check("whoever writes in a form is not disturbed", async () => {
    const page = await open();
    await page.goto("/ui/queues/mail");
    await page.waitForSelector(".live[data-state=on]");
    await page.getByLabel("Weight").fill("7");
    host.submit("hello/hello", { name: "meanwhile" }, "--queue", "mail");
    await page.waitForSelector(".live[data-state=held]");
    assert.equal(await page.getByLabel("Weight").inputValue(), "7");
    await page.context().close();
  });

  await check("what was opened stays open, and focus stays where it was", async () => {
    const page = await open();
    await page.goto(`/ui/tasks/${ids.good}`);
    await page.locator("details[data-key^=receipt] summary").first().click();
    await page.getByRole("link", { name: "raw JSON" }).focus();
    await page.evaluate(() => { document.getElementById("main").addEventListener("fresh", () => { globalThis.fresh = 1; }); });
    host.submit("hello/hello", { name: "more" });
    await page.waitForFunction(() => globalThis.fresh === 1);
    assert.ok(await page.locator("details[data-key^=receipt]").first().evaluate((one) => one.open));
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "raw JSON");
    await page.context().close();
  });

  await check("tasks are marked and cancelled together", async () => {
    const page = await open();
    await page.goto("/ui/tasks?queue=mail&state=queued");
    const rows = await page.locator("tbody input[type=checkbox]").count();
    assert.ok(rows >= 6, `${rows} rows`);
    await page.getByLabel("Choose all on this page").check();
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("status").filter({ hasText: `${rows} tasks cancelled` }).waitFor();
    assert.equal(await page.locator("tbody input[type=checkbox]").count(), 0);
    await page.context().close();
  });

  await check("keys lead to sections, to the search and to a help", async () => {
    const page = await open();
    await page.goto("/ui/overview");
    await page.keyboard.press("g");
    await page.keyboard.press("q");
    await page.waitForURL("**/ui/queues");
    await page.keyboard.press("/");
    assert.equal(await page.evaluate(() => document.activeElement.id), "search");
    await page.keyboard.type(ids.good);
    await page.keyboard.press("Enter");
    await page.waitForURL(`**/ui/tasks/${ids.good}`);
    await page.keyboard.press("?");
    await page.locator("#help[open]").waitFor();
    await page.keyboard.press("Escape");
    await page.goto("/ui/overview");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
    await page.context().close();
  });

  await check("the theme is chosen over that of the system", async () => {
    const page = await open({ colorScheme: "light" });
    await page.goto("/ui/overview");
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    await page.getByRole("button", { name: /^Colours/ }).click();
    await page.waitForSelector("html[data-theme=dark]");
    assert.notEqual(await ground(), light);
    await page.context().close();
  });

  await check("a webhook is added, and its secret is shown once", async () => {
    const page = await open();
    await page.goto("/ui/webhooks");
    await page.getByLabel(/^Name/).fill("chat");
    await page.getByLabel("Address").fill(`${host.receiver}/hooks/T0K3N`);
    await page.getByLabel("Events").fill("task.dead, alert.*");
    await page.getByRole("button", { name: "Add it" }).click();
    const secret = await page.locator("code.secret").textContent();
    assert.match(secret, /^whsec_/);
    for (const [width, viewport] of Object.entries(SIZES)) {
      await page.setViewportSize(viewport);
      await page.screenshot({ path: join(OUT, `webhook-secret-${width}-light.png`), fullPage: true });
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0, width);
    }
    await page.getByRole("link", { name: "To the webhook" }).click();
    await page.getByRole("button", { name: "Send a test" }).click();
    await page.locator("h1 .chip", { hasText: "delivered" }).waitFor();
    assert.ok(!(await page.content()).includes(secret));
    await page.context().close();
  });

  await check("a schedule is made by a form", async () => {
    const page = await open();
    await page.goto("/ui/schedules");
    await page.getByLabel("Name", { exact: true }).fill("weekly");
    await page.getByLabel(/^Cron/).fill("0 8 * * 1");
    await page.getByLabel(/^Handler/).fill("hello/hello");
    await page.getByLabel("Input (JSON)").fill('{"name": "Monday"}');
    await page.getByRole("button", { name: "Make it" }).click();
    await page.getByRole("status").filter({ hasText: "the schedule weekly is made" }).waitFor();
    await page.context().close();
  });

  await check("everything works without a script", async () => {
    const page = await open({ javaScriptEnabled: false });
    await page.goto("/ui/queues");
    await page.locator("tr", { hasText: "mail" }).getByRole("button", { name: "Resume" }).click();
    await page.getByRole("status").filter({ hasText: "queue mail is resumed" }).waitFor();
    await page.goto(`/ui/tasks/${ids.waits}`);
    await page.getByLabel("Output (JSON)").fill('{"approved": true, "note": "by hand"}');
    await page.getByRole("button", { name: "Complete it" }).click();
    await page.getByRole("status").filter({ hasText: "the task is completed" }).waitFor();
    await page.goto("/ui/dead?handler=panic%2Fpanic&kind=trap");
    await page.getByRole("link", { name: "Edit and run again" }).first().click();
    await page.getByLabel("Input of the new task").fill("null");
    await page.getByRole("button", { name: "Run again with this" }).click();
    await page.getByRole("status").filter({ hasText: "this is the new task" }).waitFor();
    await page.getByRole("button", { name: /^Colours/ }).click();
    assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
    assert.equal(await page.locator(".js").first().isVisible(), false);
    await page.context().close();
  });
} finally {
  await browser.close();
  await host.stop();
}
say(`${failures === 0 ? "all is well" : `${failures} failed`}; the screens are in ${OUT}`);
process.exit(failures === 0 ? 0 : 1);
