//! Webhooks that an operator declares beside the store, as queues are: in force whenever a host starts or reads them again.
//!
//! A secret is made with the webhook, or is somebody else's, who keeps it in a variable or a file: in a declaration itself there is none.

use std::time::Duration;

use sunaba_store::{Expected, NewWebhook, Store, StoreError, audited, new_signing_secret};
use sunaba_task::NewAudit;
use sunaba_task::webhook::{SigningSecret, WebhookName, WebhookSpec};

use super::{WebhookPolicy, WebhookRefusal};
use crate::declared::Declared;
use crate::runtime::Runtime;
use crate::secrets::SecretPlace;

/// How long the secret before signs beside one that is declared anew.
const OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);

/// A webhook as it is declared.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredWebhook {
    /// What is asked for.
    pub spec: WebhookSpec,
    /// Whether it gets anything. None: as it was; a new one does.
    pub enabled: Option<bool>,
    /// Where its secret is. None: it has the one that it was made with, or what somebody has given it since.
    pub secret: Option<SecretPlace>,
}

/// Why what is declared is not in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeclareError {
    /// The store has failed, or takes no changes on.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A webhook cannot be as it is declared.
    #[error("the webhook `{name}` cannot be as it is declared: {problem}")]
    Webhook {
        /// Its name.
        name: WebhookName,
        /// Why.
        problem: WebhookRefusal,
    },
    /// Its secret is not where it should be, or is none. Nothing of it is repeated.
    #[error(
        "the secret of the webhook `{name}` cannot be had: {problem}\nhint: it is `whsec_` and the base64 of 24 to 64 bytes, as `sunaba \
         webhook rotate` prints it"
    )]
    Secret {
        /// Its name.
        name: WebhookName,
        /// Why.
        problem: String,
    },
}

impl Declared {
    /// Puts webhooks in force that are declared and are otherwise in the store; what that was, a line each.
    ///
    /// # Errors
    /// [`DeclareError`]. What was changed before that stays so.
    pub(crate) async fn apply_webhooks(
        &self,
        store: &dyn Store,
        policy: &WebhookPolicy,
    ) -> Result<Vec<String>, DeclareError> {
        let mut changed = Vec::new();
        for (name, declared) in &self.webhooks {
            let refused = |problem: WebhookRefusal| DeclareError::Webhook { name: name.clone(), problem };
            policy.check(&declared.spec.url).map_err(|error| refused(error.into()))?;
            let secret = match &declared.secret {
                Some(place) => Some(signing(name, place.clone()).await?),
                None => None,
            };
            let known = store.webhook(name.clone()).await?;
            let is_in_force = known.as_ref().is_some_and(|known| {
                known.spec == declared.spec
                    && declared.enabled.is_none_or(|enabled| enabled == known.disabled.is_none())
            });
            if !is_in_force {
                let own = match &secret {
                    Some(secret) => secret.clone(),
                    None => new_signing_secret().map_err(|error| refused(error.into()))?,
                };
                let new = NewWebhook {
                    name: name.clone(),
                    spec: declared.spec.clone(),
                    enabled: declared.enabled,
                    secret: own,
                    expected: Expected::Any,
                };
                let by = NewAudit::by(Self::WHO, "webhook.put", name.as_str());
                audited(by, store.put_webhook(new)).await?.map_err(|error| refused(error.into()))?;
                changed.push(format!("webhook `{name}`: set as it is declared"));
            }
            let Some(secret) = secret.filter(|_| known.is_some()) else { continue };
            let target = store.webhook_target(name.clone()).await?;
            if target.is_some_and(|target| target.secrets.first() != Some(&secret)) {
                let by = NewAudit::by(Self::WHO, "webhook.rotate", name.as_str());
                let rotated = audited(by, store.rotate_webhook(name.clone(), secret, OVERLAP)).await?;
                rotated.map_err(|error| refused(error.into()))?;
                changed.push(format!("webhook `{name}`: another secret signs, and for a day the one before, too"));
            }
        }
        Ok(changed)
    }
}

async fn signing(name: &WebhookName, place: SecretPlace) -> Result<SigningSecret, DeclareError> {
    let failed = |problem: String| DeclareError::Secret { name: name.clone(), problem };
    let text = tokio::task::spawn_blocking(move || place.read()).await;
    let text = text.map_err(|error| failed(error.to_string()))?.map_err(failed)?;
    SigningSecret::of_text(text.trim()).ok_or_else(|| failed("what is there is no such secret".into()))
}

impl Runtime {
    /// Puts in force what is declared and is otherwise in the store; what that was, a line each.
    ///
    /// # Errors
    /// [`DeclareError`]. What was changed before that stays so.
    pub async fn declare(&self, declared: &Declared) -> Result<Vec<String>, DeclareError> {
        let mut changed = declared.apply(&**self.store()).await?;
        changed.extend(declared.apply_webhooks(&**self.store(), self.webhooks.sender.policy()).await?);
        if !declared.webhooks.is_empty() {
            self.webhooks.begin();
        }
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use sunaba_store::{EmbeddedStore, WebhookStore as _};

    use super::*;

    const FIRST: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const SECOND: &str = "whsec_CwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCws=";

    fn declared(url: &str, enabled: Option<bool>, secret: Option<SecretPlace>) -> Declared {
        let events = vec!["task.dead".parse().expect("an event")];
        let (queues, handlers, tags) = (Vec::new(), Vec::new(), Vec::new());
        let spec = WebhookSpec { url: url.into(), events, queues, handlers, tags };
        let webhooks = [("billing".parse().expect("a name"), DeclaredWebhook { spec, enabled, secret })].into();
        Declared { webhooks, ..Declared::default() }
    }

    async fn apply(declared: &Declared, store: &EmbeddedStore) -> Result<Vec<String>, String> {
        declared.apply_webhooks(store, &WebhookPolicy::default()).await.map_err(|error| error.to_string())
    }

    async fn signing(store: &EmbeddedStore) -> Vec<String> {
        let target = store.webhook_target("billing".parse().expect("a name")).await;
        let secrets = target.expect("the store works").expect("it is there").secrets;
        secrets.iter().map(|secret| secret.reveal().reveal().to_owned()).collect()
    }

    #[tokio::test]
    async fn webhook_that_is_declared_is_put_once_and_changed_where_it_differs() {
        let store = EmbeddedStore::memory().expect("a store");
        let here = "https://example.com/hooks";
        assert_eq!(
            apply(&declared(here, None, None), &store).await.expect("put"),
            ["webhook `billing`: set as it is declared"]
        );
        assert_eq!(apply(&declared(here, None, None), &store).await.expect("known"), [""; 0]);
        assert_eq!(apply(&declared(here, Some(true), None), &store).await.expect("known"), [""; 0]);
        let own = signing(&store).await;
        assert_eq!(apply(&declared("https://example.com/x", Some(false), None), &store).await.expect("put").len(), 1);
        let known = store.webhook("billing".parse().expect("a name")).await.expect("a store").expect("it is there");
        assert!(known.spec.url.ends_with("/x") && known.disabled.is_some() && known.revision == 2);
        assert_eq!(signing(&store).await, own, "a change brings no other secret");
        let refused = apply(&declared("http://example.com/", None, None), &store).await.expect_err("not encrypted");
        assert!(refused.contains("the webhook `billing` cannot be as it is declared"), "{refused}");
    }

    #[tokio::test]
    async fn secret_of_a_webhook_is_where_the_operator_says_and_replaces_the_one_before() {
        let path = std::env::temp_dir().join(format!("sunaba-declared-{}.secret", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let declared = declared("https://example.com/hooks", None, Some(SecretPlace::File(path.clone())));
        let store = EmbeddedStore::memory().expect("a store");
        let missing = apply(&declared, &store).await.expect_err("there is none");
        assert!(missing.contains("the secret of the webhook `billing` cannot be had"), "{missing}");
        for bad in ["", "hunter2", "whsec_AAEC"] {
            std::fs::write(&path, bad).expect("written");
            let refused = apply(&declared, &store).await.expect_err("no secret");
            assert!(!refused.contains("hunter2") && !refused.contains("AAEC"), "{refused}");
        }
        std::fs::write(&path, format!("{FIRST}\n")).expect("written");
        apply(&declared, &store).await.expect("put");
        assert_eq!(signing(&store).await, [FIRST]);
        std::fs::write(&path, SECOND).expect("written");
        assert_eq!(apply(&declared, &store).await.expect("rotated").len(), 1);
        assert_eq!(signing(&store).await, [SECOND, FIRST], "both sign for a day");
        assert_eq!(apply(&declared, &store).await.expect("known"), [""; 0]);
        std::fs::remove_file(&path).expect("it is there");
    }
}
