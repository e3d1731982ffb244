"""A Celery task that does nothing, with the settings that Celery's manual gives for many short tasks."""

from celery import Celery

app = Celery("noop_celery")
app.conf.update(
    task_ignore_result=True,
    # Durable: a task is acknowledged when it has ended.
    task_acks_late=True,
    worker_prefetch_multiplier=64,
    task_serializer="json",
    worker_send_task_events=False,
    broker_pool_limit=10,
)


@app.task
def noop():
    """Does nothing."""
