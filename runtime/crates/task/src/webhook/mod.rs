//! Webhooks: whoever is told of what happens to tasks and jobs, by requests that are signed after Standard Webhooks.
//!
//! All of it is pure: which events somebody wants, how a request is signed, when a failed delivery is tried again, and when a
//! webhook is disabled. The store makes a task of its own queue of each delivery, and a host sends it.

mod delivery;
mod event;
mod name;
mod record;
mod secret;
mod standing;

pub use delivery::{
    DELIVERY_KEPT, DELIVERY_TIMEOUT, DeliveryLink, MAX_DELIVERY_ATTEMPTS, NOT_SENT, RETRY_DELAYS, STATUS, TEST_EVENT,
    WEBHOOK_HANDLER, WEBHOOK_PACKAGE, WEBHOOK_QUEUE, asked_delay, is_internal, retry_after, retry_delay, tag_of,
    webhook_component,
};
pub use event::{EVENTS, EventPattern, EventPatternError, event_type};
pub use name::{WebhookName, WebhookNameError};
pub use record::{
    Disabled, MAX_FILTERS, MAX_WEBHOOK_URL_BYTES, SecretLife, Webhook, WebhookError, WebhookSpec, check_webhook_url,
};
pub use secret::{SECRET_PREFIX, SigningSecret, signatures};
pub use standing::{Attempted, DISABLE_AFTER, MAX_WORDS_BYTES, MIN_FAILURES, WebhookStanding};
