//! What a host has counted, as a text of OpenMetrics: a pure function of what was sampled of it.
//!
//! Labels are bounded: the store counts the first pairs of a queue and a handler apart and all others as one, and so does this
//! with the queues that stand now.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;
use sunaba_host::{Alert, QueueSample, Sample};
use sunaba_store::{Counts, ENDS, MAX_SERIES, OTHER, Observations, Series, Spread, WebhookSeries};
use sunaba_task::BreakerState;

/// What is sent with it.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const MICROS: f64 = 1_000_000.0;

/// What the text is made of.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) version: &'static str,
    pub(crate) sample: Sample,
    /// None: the store has failed.
    pub(crate) observations: Option<Observations>,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) alerts_fired: u64,
}

impl Page {
    /// The text.
    ///
    /// # Errors
    /// Never: it is written to memory.
    pub(crate) fn text(self) -> Result<String, fmt::Error> {
        let (mut registry, mut text) = (Registry::with_prefix("sunaba"), String::new());
        registry.register_collector(Box::new(self));
        text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer(encoder);
        self.host(&mut writer)?;
        self.queues(&mut writer)?;
        self.alerts(&mut writer)?;
        match &self.observations {
            Some(observations) => {
                webhooks(&mut writer, &observations.webhooks)?;
                self.counted(&mut writer, observations)
            }
            None => Ok(()),
        }
    }
}

struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn family(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        write: impl Fn(&mut MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        write(&mut encoder)
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Into<Option<u64>>) -> fmt::Result {
        match value.into() {
            Some(value) => self.family(name, help, MetricType::Gauge, |encoder| encoder.encode_gauge(&value)),
            None => Ok(()),
        }
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.family(name, help, MetricType::Counter, |encoder| count(encoder, value))
    }

    /// Of every series that has counted something.
    fn counters(&mut self, name: &str, help: &str, series: &[Series], value: fn(&Counts) -> u64) -> fmt::Result {
        self.family(name, help, MetricType::Counter, |encoder| {
            let some = series.iter().map(|series| (series, value(&series.counts))).filter(|(_, value)| *value > 0);
            some.into_iter().try_for_each(|(series, value)| count(&mut encoder.encode_family(&of(series))?, value))
        })
    }

    /// Of every series that has some; values are in so many of their units.
    fn spreads(
        &mut self,
        (name, help, unit): (&str, &str, f64),
        series: &[Series],
        spread: fn(&Counts) -> &Spread,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Histogram, |encoder| {
            series.iter().try_for_each(|series| histogram(encoder, &of(series), spread(&series.counts), unit))
        })
    }
}

/// What is spread, if there is some of it.
fn histogram(encoder: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, spread: &Spread, unit: f64) -> fmt::Result {
    if spread.count() == 0 {
        return Ok(());
    }
    let end = |end: Option<u64>| end.map_or(f64::INFINITY, |end| end as f64 / unit);
    let buckets: Vec<_> = spread.buckets().map(|(bound, count)| (end(bound), count)).collect();
    let mut encoder = encoder.encode_family(labels)?;
    encoder.encode_histogram::<NoLabelSet>(spread.sum() as f64 / unit, spread.count(), &buckets, None)
}

/// What has come of deliveries. Their number bounds the labels: there are few webhooks.
fn webhooks(writer: &mut Writer<'_>, webhooks: &[WebhookSeries]) -> fmt::Result {
    let name = |webhook: &'_ WebhookSeries| [("webhook", webhook.name.clone())];
    let pending = "Deliveries of a webhook that have not ended.";
    writer.family("webhook_deliveries_pending", pending, MetricType::Gauge, |encoder| {
        webhooks.iter().try_for_each(|webhook| set(encoder, &name(webhook), webhook.pending as f64))
    })?;
    let ended = "Deliveries of a webhook that have ended, by how; and events of which it was not told.";
    writer.family("webhook_deliveries", ended, MetricType::Counter, |encoder| {
        for webhook in webhooks {
            for (outcome, value) in
                [("delivered", webhook.delivered), ("given-up", webhook.given_up), ("dropped", webhook.dropped)]
            {
                let labels = [("webhook", webhook.name.as_str()), ("outcome", outcome)];
                count(&mut encoder.encode_family(&labels)?, value)?;
            }
        }
        Ok(())
    })?;
    let sent = "Requests to a webhook, by whether they were taken.";
    writer.family("webhook_requests", sent, MetricType::Counter, |encoder| {
        for webhook in webhooks {
            for (outcome, value) in [("taken", webhook.answers.taken), ("failed", webhook.answers.failed)] {
                let labels = [("webhook", webhook.name.as_str()), ("outcome", outcome)];
                count(&mut encoder.encode_family(&labels)?, value)?;
            }
        }
        Ok(())
    })?;
    let time = "How long requests to a webhook took, from the look-up of its name to the answer.";
    writer.family("webhook_answer_seconds", time, MetricType::Histogram, |encoder| {
        webhooks.iter().try_for_each(|webhook| histogram(encoder, &name(webhook), &webhook.answers.time_us, MICROS))
    })
}

fn of(series: &Series) -> [(&'static str, &str); 2] {
    [("queue", series.queue.as_str()), ("handler", series.handler.as_str())]
}

fn count(encoder: &mut MetricEncoder<'_>, value: u64) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, u64, u64>(&value, None::<&Exemplar<NoLabelSet, u64>>)
}

fn set(encoder: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, value: f64) -> fmt::Result {
    encoder.encode_family(labels)?.encode_gauge(&value)
}

impl Page {
    fn host(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let sample = &self.sample;
        let version = [("version", self.version)];
        writer.family("build", "What runs here.", MetricType::Info, |encoder| encoder.encode_info(&version))?;
        writer.gauge("slots", "Attempts that may run at a time.", sample.slots as u64)?;
        writer.gauge("slots_used", "Attempts that run.", sample.running as u64)?;
        writer.gauge("workers", "Workers that have a session with the store.", sample.workers as u64)?;
        writer.gauge("dead_tasks", "Dead tasks that are kept.", sample.dead)?;
        writer.gauge(
            "memory_budget_bytes",
            "What attempts may hold of the machine's memory.",
            sample.memory_budget_bytes,
        )?;
        writer.gauge("memory_held_bytes", "What those that run may hold of it.", sample.memory_held_bytes)?;
        writer.gauge("memory_resident_bytes", "What the process has of it.", sample.resident_bytes)?;
        writer.gauge("store_size_bytes", "What the store has on its disk.", sample.store_bytes)?;
        writer.gauge("store_free_bytes", "What the disk of the store has left.", sample.free_bytes)?;
        writer.gauge(
            "store_failed",
            "1 when the store takes no changes any more.",
            u64::from(sample.failure.is_some()),
        )?;
        let open = || sample.handlers.iter().filter(|handler| handler.breaker != BreakerState::Closed);
        writer.gauge("breakers_open", "Handlers that are given a pause because they fail.", open().count() as u64)?;
        writer.family("breaker_open", "1 for each of them.", MetricType::Gauge, |encoder| {
            open().take(MAX_SERIES).try_for_each(|handler| set(encoder, &[("handler", handler.name.as_str())], 1.0))
        })
    }

    fn queues(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let queues = bounded(&self.sample.queues);
        writer.family("queue_tasks", "Tasks of a queue by where they stand.", MetricType::Gauge, |encoder| {
            for queue in &queues {
                for (state, tasks) in
                    [("queued", queue.queued), ("scheduled", queue.scheduled), ("running", queue.running)]
                {
                    set(encoder, &[("queue", queue.name.as_str()), ("state", state)], tasks as f64)?;
                }
            }
            Ok(())
        })?;
        let of_each = |name: &str, help: &str, writer: &mut Writer<'_>, value: fn(&QueueSample) -> f64| {
            writer.family(name, help, MetricType::Gauge, |encoder| {
                queues.iter().try_for_each(|queue| set(encoder, &[("queue", queue.name.as_str())], value(queue)))
            })
        };
        let oldest = "How long the oldest task that waits for a slot has waited.";
        of_each("queue_oldest_seconds", oldest, writer, |queue| queue.oldest.unwrap_or_default().as_secs_f64())?;
        of_each("queue_paused", "1 when nothing of the queue is started.", writer, |queue| f64::from(queue.paused))
    }

    fn alerts(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.family("alert_firing", "1 for each alert that fires.", MetricType::Gauge, |encoder| {
            let firing = self.alerts.iter().filter(|alert| alert.resolved_at.is_none()).take(MAX_SERIES);
            firing.into_iter().try_for_each(|alert| {
                set(encoder, &[("alert", alert.rule.word()), ("subject", alert.subject.as_str())], 1.0)
            })
        })?;
        writer.counter("alerts_fired", "Alerts that have fired.", self.alerts_fired)
    }

    fn counted(&self, writer: &mut Writer<'_>, seen: &Observations) -> fmt::Result {
        let series = &seen.series;
        writer.counter("events", "What the feed has told.", seen.totals.events)?;
        writer.family("recoveries", "Tasks that succeeded after a failure.", MetricType::Counter, |encoder| {
            let by = [("retry", seen.totals.recovered), ("person", seen.totals.recovered_by_person)];
            by.into_iter().try_for_each(|(by, value)| count(&mut encoder.encode_family(&[("by", by)])?, value))
        })?;
        let after = seen.totals.recovery.as_secs_f64();
        let help = "From the first failures of those to their successes.";
        writer.family("recovery_seconds", help, MetricType::Counter, |encoder| {
            encoder.encode_counter::<NoLabelSet, f64, u64>(&after, None::<&Exemplar<NoLabelSet, u64>>)
        })?;
        writer.counters("tasks_submitted", "Tasks that were taken on.", series, |counts| counts.submitted)?;
        writer.family("tasks_ended", "Tasks that have ended, by how.", MetricType::Counter, |encoder| {
            for series in series {
                let Counts { succeeded, dead, cancelled, expired, .. } = series.counts;
                for (state, value) in
                    [("succeeded", succeeded), ("dead", dead), ("cancelled", cancelled), ("expired", expired)]
                {
                    let [queue, handler] = of(series);
                    if value > 0 {
                        count(&mut encoder.encode_family(&[queue, handler, ("state", state)])?, value)?;
                    }
                }
            }
            Ok(())
        })?;
        writer.family("attempts", "Attempts that have ended, by how and why.", MetricType::Counter, |encoder| {
            for series in series {
                for ((outcome, cause), value) in ENDS.iter().zip(series.counts.ends).filter(|(_, value)| *value > 0) {
                    let [queue, handler] = of(series);
                    let labels = [queue, handler, ("outcome", outcome), ("cause", cause)];
                    count(&mut encoder.encode_family(&labels)?, value)?;
                }
            }
            Ok(())
        })?;
        writer.counters("retries", "Attempts after which another was planned.", series, |counts| counts.retries)?;
        writer.counters("leases_lost", "Attempts whose host or lease was lost.", series, leases_lost)?;
        let wait = ("queue_wait_seconds", "How long tasks had waited for their attempts.", MICROS);
        writer.spreads(wait, series, |counts| &counts.wait_us)?;
        let run = ("run_seconds", "How long attempts took, with making and taking down their sandboxes.", MICROS);
        writer.spreads(run, series, |counts| &counts.run_us)?;
        writer.spreads(("fuel", "Fuel of attempts.", 1.0), series, |counts| &counts.fuel)?;
        let memory = ("peak_memory_bytes", "The highest memory of attempts.", 1.0);
        writer.spreads(memory, series, |counts| &counts.memory_bytes)
    }
}

fn leases_lost(counts: &Counts) -> u64 {
    let ends = ENDS.iter().zip(counts.ends);
    ends.filter(|(end, _)| matches!(end, ("host-lost", _) | (_, "lease-lost"))).map(|(_, count)| count).sum()
}

/// So many queues; all others are one.
fn bounded(queues: &[QueueSample]) -> Vec<QueueSample> {
    if queues.len() <= MAX_SERIES {
        return queues.to_vec();
    }
    let (first, others) = queues.split_at(MAX_SERIES);
    // A queue that is called so is one of the others: the same labels twice are no metrics any more.
    let (called_so, first): (Vec<_>, Vec<_>) = first.iter().partition(|queue| queue.name == OTHER);
    let others = called_so.into_iter().chain(others);
    let none = QueueSample { name: OTHER.into(), paused: false, queued: 0, scheduled: 0, running: 0, oldest: None };
    let sum = others.fold(none, |sum, queue| QueueSample {
        queued: sum.queued + queue.queued,
        scheduled: sum.scheduled + queue.scheduled,
        running: sum.running + queue.running,
        oldest: sum.oldest.max(queue.oldest),
        ..sum
    });
    first.into_iter().cloned().chain([sum]).collect()
}

#[cfg(test)]
mod tests;
