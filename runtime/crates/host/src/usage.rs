//! What the attempts of one handler have used. What all have used is the store's to say.

use sunaba_store::{NAMES_PAGE, StoreError, Usage, UsageOf};
use sunaba_task::HandlerName;

use crate::Runtime;

impl Runtime {
    /// The sums of a handler's attempts; none while it has none of its own.
    ///
    /// # Errors
    /// The store has failed.
    pub async fn usage_of(&self, handler: &HandlerName) -> Result<Option<Usage>, StoreError> {
        let name = handler.to_string();
        // Names are in order, and those of the package stand behind this. There are as many pages as there are sums.
        let mut after = format!("{}/", handler.package);
        loop {
            let page = self.store().usage(UsageOf::Handlers, Some(after)).await?;
            let is_last = page.len() < NAMES_PAGE || page.last().is_some_and(|last| last.name >= name);
            let next = page.last().map(|last| last.name.clone());
            if let Some(found) = page.into_iter().find(|usage| usage.name == name) {
                return Ok(Some(found));
            }
            match next {
                Some(next) if !is_last => after = next,
                _ => return Ok(None),
            }
        }
    }
}
