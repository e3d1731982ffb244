"""Runs one queue of Python on no-op tasks, and prints how many a second it ended.

    measure.py celery|rq|rq-fork REDIS_URL TASKS WORKERS

All tasks wait before the first worker starts. What is counted is how the queue's list becomes shorter between a tenth and nine
tenths of them, so that neither the start of the workers nor what they hold at the end counts.
"""

import os
import subprocess
import sys
import time

import redis

TIMEOUT = 120


def rate(connection, key, tasks):
    """Tasks a second between a tenth and nine tenths of them."""
    began = None
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        left = connection.llen(key)
        now = time.monotonic()
        if began is None and left <= tasks * 0.9:
            began = (now, left)
        if left <= tasks * 0.1:
            return (began[1] - left) / max(now - began[0], 1e-9)
        time.sleep(0.002)
    sys.exit(f"after {TIMEOUT} s {connection.llen(key)} of {tasks} tasks are left")


def celery(url, tasks, workers):
    import noop_celery

    noop_celery.app.conf.broker_url = url
    with noop_celery.app.pool.acquire(block=True) as connection:
        with noop_celery.app.amqp.Producer(connection) as producer:
            for _ in range(tasks):
                noop_celery.noop.apply_async(producer=producer)
    command = [sys.executable, "-m", "celery", "-A", "noop_celery", "-b", url, "worker", "-P", "prefork",
               "-c", str(workers), "-O", "fair", "-l", "ERROR", "--without-gossip", "--without-mingle",
               "--without-heartbeat"]
    return [command], "celery"


def rq(url, tasks, workers, worker_class):
    from rq import Queue

    import noop_rq

    connection = redis.from_url(url)
    queue = Queue("noop", connection=connection)
    for start in range(0, tasks, 500):
        data = [Queue.prepare_data(noop_rq.noop, result_ttl=0) for _ in range(min(500, tasks - start))]
        queue.enqueue_many(data)
    command = [sys.executable, "-m", "rq.cli", "worker", "--url", url, "--worker-class", worker_class, "--quiet", "noop"]
    return [command] * workers, "rq:queue:noop"


def main():
    peer, url, tasks, workers = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    connection = redis.from_url(url)
    connection.flushall()
    if peer == "celery":
        commands, key = celery(url, tasks, workers)
    else:
        commands, key = rq(url, tasks, workers, "rq.worker.Worker" if peer == "rq-fork" else "rq.worker.SimpleWorker")
    here = os.path.dirname(os.path.abspath(__file__))
    environment = {**os.environ, "PYTHONPATH": here}
    running = [subprocess.Popen(command, cwd=here, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
               for command in commands]
    try:
        print(rate(connection, key, tasks))
    finally:
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


main()
