//! Events as they come.

use std::time::Duration;

use sunaba_server::api::{EventView, EventsView};
use sunaba_store::EventsOf;

use crate::{Client, ClientError, EventsWanted};

/// Events that are asked for at a time.
const PAGE: usize = 500;

/// Events as they come, one by one. It holds no connection while nobody asks.
#[derive(Debug)]
pub struct Events {
    client: Client,
    of: Option<EventsOf>,
    after: Option<u64>,
    missed: bool,
    come: std::vec::IntoIter<EventView>,
    last: Option<u64>,
}

impl Client {
    /// Follows what happens, to this task or job or to all. After the event of this number: 0 means from the oldest that is kept,
    /// and none from now on, which is when [`Events::begin`] returns or, without that, when the first event is asked for.
    pub fn follow(&self, of: Option<EventsOf>, after: Option<u64>) -> Events {
        Events { client: self.clone(), of, after, missed: false, come: Vec::new().into_iter(), last: None }
    }
}

impl Events {
    /// Fixes where it begins, unless that is fixed; the number of the event before. What happens after this returns is given, whatever
    /// becomes of connections meanwhile.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn begin(&mut self) -> Result<u64, ClientError> {
        if let Some(after) = self.after {
            return Ok(after);
        }
        // Without a wait: an answer that is lost while it waits would take the place with it.
        let wanted = EventsWanted { after: None, of: self.of, limit: 1, wait: Duration::ZERO };
        let EventsView { next, .. } = self.client.stream_events(wanted).await?;
        self.after = Some(next);
        Ok(next)
    }

    /// The next event. Waits for it as long as that takes; dropping the future stops the wait and loses nothing. After an error it can
    /// be asked again, and goes on where it was.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn next(&mut self) -> Result<EventView, ClientError> {
        loop {
            if let Some(event) = self.come.next() {
                self.last = Some(event.sequence);
                return Ok(event);
            }
            let after = self.begin().await?;
            let wait = self.client.poll_time();
            let wanted = EventsWanted { after: Some(after), of: self.of, limit: PAGE, wait };
            let EventsView { events, next, missed } = self.client.stream_events(wanted).await?;
            self.after = Some(next);
            self.missed |= missed;
            self.come = events.into_iter();
        }
    }

    /// The number of the last event that was given: whoever keeps it can follow on from there, in another process too.
    pub fn last(&self) -> Option<u64> {
        self.last.or(self.after)
    }

    /// Whether there were events that are not kept any more, and were not given.
    pub fn missed(&self) -> bool {
        self.missed
    }
}
