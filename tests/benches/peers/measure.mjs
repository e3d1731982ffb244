// Runs one queue of Node.js on no-op tasks, and prints how many a second it ended.
//
//     measure.mjs bullmq REDIS_PORT TASKS CONCURRENCY
//     measure.mjs graphile POSTGRES_URL TASKS CONCURRENCY
//
// All tasks wait before the first is taken. What is counted is the time between a tenth and nine tenths of them.

const [peer, place, tasksText, concurrencyText] = process.argv.slice(2);
const tasks = Number(tasksText);
const concurrency = Number(concurrencyText);

let ended = 0;
let began;
let told;
const done = new Promise((resolve) => { told = resolve; });
function end() {
  ended += 1;
  if (ended === Math.ceil(tasks * 0.1)) began = process.hrtime.bigint();
  if (ended === Math.floor(tasks * 0.9)) {
    const seconds = Number(process.hrtime.bigint() - began) / 1e9;
    told((Math.floor(tasks * 0.9) - Math.ceil(tasks * 0.1)) / seconds);
  }
}

async function bullmq() {
  const { Queue, Worker } = await import('bullmq');
  const connection = { host: '127.0.0.1', port: Number(place) };
  const queue = new Queue('noop', { connection });
  await queue.obliterate({ force: true });
  const options = { removeOnComplete: true };
  for (let start = 0; start < tasks; start += 1000) {
    const count = Math.min(1000, tasks - start);
    await queue.addBulk(Array.from({ length: count }, () => ({ name: 'noop', data: {}, opts: options })));
  }
  const worker = new Worker('noop', async () => null, { connection, concurrency });
  worker.on('completed', end);
  const rate = await done;
  await worker.close(true);
  await queue.close();
  return rate;
}

async function graphile() {
  const { makeWorkerUtils, run } = await import('graphile-worker');
  const logger = new (await import('graphile-worker')).Logger(() => () => {});
  const utils = await makeWorkerUtils({ connectionString: place, logger });
  await utils.migrate();
  await utils.withPgClient((client) => client.query(
    `select graphile_worker.add_jobs(array(select ('noop', '{}'::json, null, null, null, null, null, null)::graphile_worker.job_spec
     from generate_series(1, $1)))`, [tasks]));
  const preset = { worker: { connectionString: place, concurrentJobs: concurrency, maxPoolSize: 10,
    localQueue: { size: Math.max(500, concurrency * 4) }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } };
  const runner = await run({ preset, logger, taskList: { noop: async () => { end(); } }, noHandleSignals: true });
  const rate = await done;
  await runner.stop();
  await utils.release();
  return rate;
}

const rate = await (peer === 'bullmq' ? bullmq() : graphile());
console.log(rate);
process.exit(0);
