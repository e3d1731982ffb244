// A host of a test's own, with something on every page.
import { execFile, execFileSync, spawn } from "node:child_process";
import { createServer } from "node:http";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BINARY = process.env.DASHBOARD_BINARY, GUESTS = process.env.SUNABA_GUESTS;

export class Host {
  static async start(options = []) {
    const host = new Host();
    host.folder = mkdtempSync(join(tmpdir(), "sunaba-dashboard-"));
    host.options = options;
    await host.run();
    return host;
  }

  async run() {
    const options = ["serve", "--listen", "127.0.0.1:0", "-o", "json", "--data", join(this.folder, "data"), ...this.options];
    this.process = spawn(BINARY, options, { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, NO_COLOR: "1" } });
    const ready = await new Promise((done, failed) => {
      let text = "";
      this.process.stdout.on("data", (piece) => { text += piece; if (text.includes("\n")) done(text.split("\n")[0]); });
      this.process.once("exit", (code) => failed(new Error(`the host has ended with ${code}`)));
    });
    this.address = JSON.parse(ready).address;
    await this.listen();
  }

  // Whoever is told by webhooks: it takes what comes, but at `/gone`.
  async listen() {
    this.hooks = createServer((request, answer) => {
      request.resume();
      request.on("end", () => { answer.writeHead(request.url === "/gone" ? 410 : 200).end(request.url === "/gone" ? "no such hook\n" : '{"taken": true}\n'); });
    });
    await new Promise((done) => this.hooks.listen(0, "127.0.0.1", done));
    this.receiver = `http://127.0.0.1:${this.hooks.address().port}`;
  }

  // The first delivery of a webhook that stands so.
  async delivery(name, state) {
    for (;;) {
      const found = this.ok("webhook", "deliveries", name, "-o", "jsonl").split("\n").filter(Boolean).map((line) => JSON.parse(line)).find((one) => one.state === state);
      if (found) return found.id;
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  ok(...words) {
    return execFileSync(BINARY, [...words, "--address", this.address], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
  }

  may(...words) {
    try { return this.ok(...words); } catch (error) { return String(error.stderr ?? error); }
  }

  // The same, while the receiver of this program can answer; how it ends is not asked.
  beside(...words) {
    return new Promise((done) => execFile(BINARY, [...words, "--address", this.address], () => done()));
  }

  deploy(name) { return this.ok("handler", "deploy", join(GUESTS, `${name}.wasm`)); }

  submit(handler, input, ...more) { return this.ok("task", "submit", handler, "--input", JSON.stringify(input), ...more); }

  async until(id, ...states) {
    for (;;) {
      const { state } = JSON.parse(this.ok("task", "get", id, "-o", "json"));
      if (states.includes(state)) return state;
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  async stop() {
    const ended = new Promise((done) => this.process.once("exit", done));
    this.process.kill("SIGTERM");
    await ended;
    this.hooks.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

// What an operator may meet: all states, failures that are alike, a schedule, a job, a paused queue, a key.
export const furnish = async (host) => {
  for (const name of ["hello", "retry-or-fail", "approval", "saga", "sleep", "spin", "panic", "fetch", "dice"]) host.deploy(name);
  host.ok("handler", "deploy", join(GUESTS, "word-count.wasm"), "--name", "words");
  host.ok("handler", "deploy", join(GUESTS, "dice.wasm"), "--name", "words", "--allow-widening");
  const ids = {};
  const greeted = [];
  for (let number = 0; number < 40; number += 1) greeted.push(host.submit("hello/hello", { name: `guest ${number}` }, "--tag", number % 2 ? "odd" : "even"));
  ids.good = greeted[0];
  ids.dead = host.submit("retry-or-fail/retry-or-fail", { how: "fatal" });
  for (const how of ["fatal", "malformed", "malformed"]) host.submit("retry-or-fail/retry-or-fail", { how });
  ids.panic = host.submit("panic/panic", null, "--max-attempts", "1");
  ids.retry = host.submit("retry-or-fail/retry-or-fail", { how: "network" });
  ids.waits = host.submit("approval/approval", { amount: 900, purpose: "a printer" });
  ids.evil = host.submit("hello/hello", { name: "<script>globalThis.pwned = 1</script><img src=x onerror='globalThis.pwned = 2'>\u202egnp.exe" }, "--tag", "<img src=x onerror=globalThis.pwned=3>");
  host.ok("queue", "pause", "mail");
  for (let number = 0; number < 6; number += 1) host.submit("hello/hello", { name: "Ada" }, "--queue", "mail");
  host.ok("queue", "set", "mail", "--concurrency", "4", "--rate", "100/1s");
  ids.later = host.submit("hello/hello", { name: "later" }, "--delay", "2h");
  ids.runs = host.submit("spin/spin", null, "--timeout", "10m");
  host.ok("schedule", "create", "nightly", "--cron", "0 3 * * *", "--time-zone", "Europe/Berlin", "hello/hello", "--input", '{"name":"night"}');
  host.ok("schedule", "create", "often", "--cron", "*/5 * * * *", "hello/hello", "--input", '{"name":"often"}');
  host.ok("key", "create", "ci", "--scope", "submit");
  host.ok("webhook", "add", "billing", `${host.receiver}/hooks/T0K3N`, "--event", "task.dead,job.*,schedule.failed,alert.*", "--queue", "default");
  host.ok("webhook", "add", "gone", `${host.receiver}/gone`, "--event", "*");
  host.ok("webhook", "add", "quiet", "https://example.com/a/rather/long/path/that/nobody/has/to/read/in/full/in/a/list", "--event", "job.failed", "--disabled");
  host.ok("webhook", "rotate", "billing");
  await host.beside("webhook", "test", "billing");
  ids.delivered = await host.delivery("billing", "succeeded");
  await host.beside("webhook", "test", "gone");
  ids.undelivered = await host.delivery("gone", "dead");
  const node = (name, after = []) => ({ name, handler: "hello/hello", input: { name }, after });
  const plan = join(host.folder, "job.json");
  writeFileSync(plan, JSON.stringify({ name: "nightly build", nodes: [node("fetch"), node("unpack", ["fetch"]), node("lint", ["unpack"]), node("compile", ["unpack"]), node("test", ["compile"]), node("publish", ["test", "lint"])] }));
  ids.job = host.ok("job", "submit", plan);
  await host.until(ids.dead, "dead");
  await host.until(ids.panic, "dead");
  await host.until(ids.evil, "succeeded");
  await host.until(ids.runs, "running");
  return ids;
};
