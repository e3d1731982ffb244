//! What is or was wrong with a host, and what it has done.

use reqwest::Method;
use serde::Serialize;
use sunaba_server::api::{AlertsView, IncidentsView, ReportBy, ReportView};

use crate::{Client, ClientError};

impl Client {
    /// The alerts that fire, and those that were resolved lately.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_alerts(&self) -> Result<AlertsView, ClientError> {
        self.send(self.request(Method::GET, "/v1/alerts")).await
    }

    /// What the host has done, with the figures of the service.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_report(&self, by: ReportBy) -> Result<ReportView, ClientError> {
        #[derive(Serialize)]
        struct Question {
            by: ReportBy,
        }
        self.ask("/v1/report", &Question { by }).await
    }

    /// Like failures of the last days, and what has resolved them; None: of the last thirty.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_incidents(&self, days: Option<u32>) -> Result<IncidentsView, ClientError> {
        #[derive(Serialize)]
        struct Question {
            days: Option<u32>,
        }
        self.ask("/v1/incidents", &Question { days }).await
    }

    /// The metrics, as a scraper gets them.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_metrics(&self) -> Result<String, ClientError> {
        let bytes = self.fetch(self.request(Method::GET, "/metrics")).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
